"""vLLM on the CPU in a Ray actor, with the real SmolLM2: it says what bare vLLM says, and leaves nothing behind."""

from __future__ import annotations

import importlib.util
import json
import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import psutil
import pytest

from lidr.engines import EngineSpec, open_engine
from lidr.engines.replicas.ray_engine import RayEngine
from tests.engines.helpers import ask, by_key
from tests.engines.replicas.simulated import Simulated

pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(importlib.util.find_spec("vllm") is None, reason="vLLM is not installed"),
]

ROWS = [ask(f"p{number}", f"Name {number} things that bees make.", max_tokens=4 * number) for number in range(2, 18)]
BARE = """
import json, sys
from vllm import LLM, SamplingParams

if __name__ == "__main__":
    model, asked = sys.argv[1], json.loads(sys.argv[2])
    usual = {"dtype": "float32", "enforce_eager": True, "generation_config": "vllm"}
    llm = LLM(model=model, max_model_len=256, distributed_executor_backend="uni", **usual)
    sampling = [SamplingParams(max_tokens=most, temperature=0) for _, most in asked]
    answers = llm.chat([messages for messages, _ in asked], sampling, use_tqdm=False)
    print(json.dumps([answer.outputs[0].text for answer in answers]))
"""


@pytest.fixture(scope="module")
def cluster() -> Iterator[Simulated]:
    started = Simulated()
    started.of(1)
    yield started
    started.close()


def bare(model: Path, folder: Path) -> dict[str, str]:
    """What vLLM answers without lidr, its own template and decoding included."""
    program = folder / "bare.py"
    program.write_text(BARE)
    asked = json.dumps([(row.messages, row.sampling.max_tokens) for row in ROWS])
    alone = {"VLLM_ENABLE_V1_MULTIPROCESSING": "0", "VLLM_CPU_OMP_THREADS_BIND": "0", "VLLM_CPU_KVCACHE_SPACE": "1"}
    command = [sys.executable, str(program), str(model), asked]
    ran = subprocess.run(command, capture_output=True, text=True, env={**os.environ, **alone})
    assert ran.returncode == 0, ran.stderr[-2000:]
    said = json.loads(ran.stdout.strip().splitlines()[-1])
    return dict(zip([row.key for row in ROWS], said, strict=True))


@pytest.fixture(scope="module")
def expected(smollm2: Path, tmp_path_factory: pytest.TempPathFactory) -> dict[str, str]:
    return bare(smollm2, tmp_path_factory.mktemp("bare"))


def test_a_replica_says_what_bare_vllm_says_and_a_killed_one_leaves_no_process(
    cluster: Simulated, smollm2: Path, expected: dict[str, str], tmp_path: Path
) -> None:
    """It is killed after its first answers; the replica that follows gives the others."""
    spec = EngineSpec("vllm", model=str(smollm2), max_model_len=256, threads=1, replicas="all", cluster=cluster.address)
    with open_engine(spec, log=tmp_path / "log") as engine:
        assert isinstance(engine, RayEngine)
        (slot,) = engine._slots
        assert slot.hello is not None
        replica = psutil.Process(slot.hello.pid)
        started = replica.children(recursive=True)
        assert any("EngineCore" in process.name() for process in started)
        found = []
        for answer in engine.generate(iter(ROWS)):
            found.append(answer)
            if len(found) == 1:
                replica.kill()
        assert {key: answer.text for key, answer in by_key(found).items()} == expected
        assert engine.facts["replicas_died"] == 1
        _, alive = psutil.wait_procs([replica, *started], timeout=60)
        assert [one for one in alive if one.is_running() and one.status() != psutil.STATUS_ZOMBIE] == []


def test_two_replicas_on_one_machine_share_the_work_and_no_core_is_taken_twice(
    cluster: Simulated, smollm2: Path, expected: dict[str, str], tmp_path: Path
) -> None:
    """vLLM pins its threads to cores; with replicas the system places them."""
    cluster.of(2)
    spec = EngineSpec("vllm", model=str(smollm2), max_model_len=256, threads=1, replicas=2, cluster=cluster.address)
    with open_engine(spec, log=tmp_path / "log") as engine:
        assert isinstance(engine, RayEngine)
        found = list(engine.generate(iter(ROWS)))
        assert {key: answer.text for key, answer in by_key(found).items()} == expected
        assert (engine.facts["replicas_died"], engine.facts["nodes"]) == (0, 2)
        cores = [core for slot in engine._slots for core in engine_cores(slot.hello.pid)]
        assert len(cores) == 2
        everywhere = sorted(os.sched_getaffinity(0))
        for core in cores:
            assert {tuple(sorted(os.sched_getaffinity(thread.id))) for thread in core.threads()} == {tuple(everywhere)}
            assert core.environ()["OMP_NUM_THREADS"] == "1"


def engine_cores(pid: int) -> list[psutil.Process]:
    """The processes in which vLLM computes."""
    return [one for one in psutil.Process(pid).children(recursive=True) if "EngineCore" in one.name()]
