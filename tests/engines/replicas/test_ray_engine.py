"""Real Ray, real actors: no row lost, none doubled, whoever dies. One cluster serves all tests."""

from __future__ import annotations

import contextlib
import json
import os
import shutil
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import psutil
import pytest
import ray

from lidr.engines import ChatRequest, Completion, EngineSpec, Failure, open_engine
from lidr.engines.replicas import model_proof, replica, silence
from lidr.engines.replicas.chunks import Chunk
from lidr.engines.replicas.ray_engine import RayEngine, _Slot
from lidr.errors import EngineError
from tests.adapters import lora, make_adapter
from tests.engines.helpers import ask, by_key
from tests.engines.replicas.simulated import Simulated
from tests.tiny import tiny_model

pytestmark = pytest.mark.slow

ROWS = [ask(f"p{number}", f"What do {number} bees make?", max_tokens=8) for number in range(240)]


@pytest.fixture(scope="module")
def cluster() -> Iterator[Simulated]:
    started = Simulated()
    started.of(2)
    yield started
    started.close()


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tiny_model(tmp_path_factory.mktemp("tiny") / "llama3", "llama3", seed=1)


@pytest.fixture(scope="module")
def alone(model: Path, tmp_path_factory: pytest.TempPathFactory) -> dict[str, Completion]:
    """What one process answers."""
    spec = EngineSpec("transformers", model=str(model), batch=8, threads=1)
    with open_engine(spec, log=tmp_path_factory.mktemp("log") / "log") as engine:
        return by_key(engine.generate(ROWS))


def over(cluster: Simulated, model: Path, kind: str = "transformers", **more: Any) -> EngineSpec:
    options: dict[str, Any] = {"replicas": 2, "batch": 8, "threads": 1, **more}
    return EngineSpec(kind, model=str(model), cluster=cluster.address, **options)


def script(folder: Path, *, delay_s: float = 0.01) -> Path:
    path = folder / "answers.jsonl"
    path.write_text(json.dumps({"text": "Honey.", "delay_s": delay_s}) + "\n")
    return path


def answered(
    engine: RayEngine, rows: Iterable[ChatRequest], at: dict[int, Callable[[], None]]
) -> dict[str, Completion]:
    """All answers; after so many of them something happens."""
    found: list[Completion | Failure] = []
    for result in engine.generate(iter(rows)):
        found.append(result)
        if (act := at.get(len(found))) is not None:
            act()
    return by_key(found)


def in_rounds(is_enough: Callable[[], bool]) -> Iterator[ChatRequest]:
    """All rows again and again, under new keys, until it is enough."""
    for round_number in range(200):
        for row in ROWS:
            yield replace(row, key=f"{row.key}/{round_number}")
        if is_enough():
            return


def are_all_there_as_said_alone(found: dict[str, Completion], alone: dict[str, Completion]) -> None:
    assert len(found) % len(ROWS) == 0
    for key, answer in found.items():
        assert answer == replace(alone[key.partition("/")[0]], key=key)


def kill(slot: _Slot) -> None:
    assert slot.hello is not None
    os.kill(slot.hello.pid, signal.SIGKILL)


def test_two_replicas_on_two_nodes_say_what_one_process_says(
    cluster: Simulated, model: Path, alone: dict[str, Completion], tmp_path: Path
) -> None:
    with open_engine(over(cluster, model), log=tmp_path / "log") as engine:
        assert isinstance(engine, RayEngine)
        assert by_key(engine.generate(iter(ROWS))) == alone
        assert engine.facts == {"replicas_started": 2, "replicas_died": 0, "nodes": 2}
        assert by_key(engine.generate(ROWS[:3])) == {row.key: alone[row.key] for row in ROWS[:3]}
        assert list(engine.generate([])) == []
        assert len(list(tmp_path.iterdir())) == 2  # each prints to a log of its own
    assert list(tmp_path.iterdir()) == []
    with pytest.raises(EngineError, match="this engine is closed"):
        list(engine.generate(ROWS))


def test_replicas_answer_with_an_adapter_over_the_model(
    cluster: Simulated, model: Path, alone: dict[str, Completion], tmp_path: Path
) -> None:
    adapter = str(make_adapter(model, tmp_path / "adapter", lora()).folder)
    one = EngineSpec("transformers", model=str(model), adapter=adapter, batch=8, threads=1)
    with open_engine(one, log=tmp_path / "log") as engine:
        expected = by_key(engine.generate(ROWS))
    assert expected != alone
    with open_engine(over(cluster, model, adapter=adapter), log=tmp_path / "log") as engine:
        assert by_key(engine.generate(iter(ROWS))) == expected


def test_a_killed_replica_a_killed_worker_and_an_actor_that_ray_ends_lose_and_double_nothing(
    cluster: Simulated, model: Path, alone: dict[str, Completion], tmp_path: Path
) -> None:
    """Each dies after the death before it is known, so it is another one; questions come until all three have died."""
    with open_engine(over(cluster, model), log=tmp_path / "log") as engine:
        assert isinstance(engine, RayEngine)

        def ready() -> _Slot:
            return next(slot for slot in engine._slots if slot.state == "ready")

        def kill_worker() -> None:
            hello = ready().hello
            assert hello is not None
            (worker,) = (
                one for one in psutil.Process(hello.pid).children() if "engine_worker" in " ".join(one.cmdline())
            )
            worker.kill()

        deaths = [lambda: kill(ready()), lambda: ray.kill(ready().actor), kill_worker]
        found: list[Completion | Failure] = []
        done = 0
        for result in engine.generate(in_rounds(lambda: engine.facts["replicas_died"] == len(deaths))):
            found.append(result)
            is_known = engine.facts["replicas_died"] == done
            if is_known and done < len(deaths) and len(found) > 30 * (done + 1) and engine.replicas[0]:
                deaths[done]()
                done += 1
        assert engine.facts["replicas_died"] == 3
        are_all_there_as_said_alone(by_key(found), alone)


def test_a_lost_node_and_a_joining_one_lose_and_double_nothing(
    cluster: Simulated, model: Path, alone: dict[str, Completion], tmp_path: Path
) -> None:
    """Each replica needs a node of its own, so its successor waits for the new one; questions come until that works."""
    cluster.of(2)
    joined: list[str] = []

    def joins() -> None:
        joined.append(cluster.add().node_id)

    with open_engine(over(cluster, model, replicas="all"), log=tmp_path / "log") as engine:
        assert isinstance(engine, RayEngine)
        engine._new_places_every_s = 0.5

        def works() -> bool:
            return any(slot.hello is not None and slot.hello.node in joined and slot.chunks for slot in engine._slots)

        found = answered(engine, in_rounds(works), {60: lambda: cluster.lose(cluster.nodes[0]), 120: joins})
        are_all_there_as_said_alone(found, alone)
        assert engine.facts["replicas_died"] >= 1
        assert engine.facts["nodes"] == 3
    cluster.of(2)


def test_a_node_that_falls_silent_loses_and_doubles_nothing(
    cluster: Simulated, model: Path, alone: dict[str, Completion], tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    """No connection is closed, so nobody is told: Ray has to notice that nobody answers there any more, which takes it
    a minute. What comes back to life ends by itself.
    """
    cluster.of(2)
    silent: list[psutil.Process] = []
    with open_engine(over(cluster, model), log=tmp_path / "log") as engine:
        assert isinstance(engine, RayEngine)
        while engine.replicas != (2, 2):
            engine._listen()

        def fall_silent() -> None:
            slot = max(engine._slots, key=lambda slot: sum(len(one.waiting) for one in slot.chunks.values()))
            assert slot.hello is not None
            there = slot.hello.node
            silent.extend(cluster.silence(next(node for node in cluster.nodes if node.node_id == there)))
            assert slot.hello.pid in {process.pid for process in silent}

        try:
            assert answered(engine, ROWS, {1: fall_silent}) == alone
            assert engine.facts["replicas_died"] == 1
            assert "because its node has died" in caplog.text
        finally:
            cluster.wake(silent)
    _, alive = psutil.wait_procs(silent, timeout=60)
    assert [one for one in alive if one.is_running() and one.status() != psutil.STATUS_ZOMBIE] == []


def test_a_preempted_node_loses_and_doubles_nothing(
    cluster: Simulated, model: Path, alone: dict[str, Completion], tmp_path: Path
) -> None:
    """Ray is told that the node will go, and then it goes; questions come until that is noticed."""
    cluster.of(2)
    with open_engine(over(cluster, model), log=tmp_path / "log") as engine:
        assert isinstance(engine, RayEngine)

        def until_one_is_gone() -> Iterator[ChatRequest]:
            for round_number in range(200):
                for row in ROWS:
                    yield replace(row, key=f"{row.key}/{round_number}")
                if engine.facts["replicas_died"]:
                    return

        node = cluster.nodes[0]
        found = answered(engine, until_one_is_gone(), {60: lambda: cluster.warn(node), 120: lambda: cluster.lose(node)})
        assert len(found) % len(ROWS) == 0
        for key, answer in found.items():
            assert answer == replace(alone[key.partition("/")[0]], key=key)
    cluster.of(2)


def test_answers_that_lie_on_a_lost_node_are_asked_for_again(cluster: Simulated, tmp_path: Path) -> None:
    """What a replica has said stays on its node until it is fetched, where it has more than 100 kB."""
    path = tmp_path / "answers.jsonl"
    path.write_text(json.dumps({"text": "Honey. " * 20_000}))
    rows = [ask(f"p{number}", max_tokens=40_000) for number in range(100)]
    cluster.of(2)
    with open_engine(over(cluster, path, "scripted"), log=tmp_path / "log") as engine:
        assert isinstance(engine, RayEngine)
        while engine.replicas != (2, 2):
            engine._listen()
        slot, said = engine._slots[0], Chunk(-1, {row.key: row for row in rows[:50]})
        slot.chunks[-1] = said
        slot.actor.take.remote(-1, said.load())
        slot.call = slot.actor.collect.remote()
        ray.wait([slot.call], fetch_local=False)
        assert slot.hello is not None
        cluster.lose(next(node for node in cluster.nodes if node.node_id == slot.hello.node))
        assert set(by_key(engine.generate(rows[50:]))) == {row.key for row in rows}
        assert engine.facts["replicas_died"] >= 1
    cluster.of(2)


ELSEWHERE = """
import sys
from pathlib import Path
from lidr.engines import EngineSpec, open_engine
from tests.engines.helpers import ask
answers, cluster = sys.argv[1:]
spec = EngineSpec("scripted", model=answers, replicas="all", cluster=cluster, batch=8)
with open_engine(spec, log=Path(answers).with_suffix(".log")) as engine:
    print("answered", len({one.key for one in engine.generate(ask(f"p{n}") for n in range(60))}))
    print("nodes", len({slot.hello.node for slot in engine._slots if slot.hello is not None}))
"""


@pytest.mark.parametrize("how", ["auto", "HOST:PORT", "auto, and no address"])
def test_a_process_that_ray_did_not_start_reaches_a_cluster_and_leaves_it_as_it_was(
    cluster: Simulated, tmp_path: Path, how: str
) -> None:
    cluster.of(2)
    of_auto = {"RAY_ADDRESS": cluster.address} if how == "auto" else {}
    env = {name: value for name, value in os.environ.items() if name != "RAY_ADDRESS"} | of_auto
    asked = cluster.address if how == "HOST:PORT" else "auto"
    command = [sys.executable, "-c", ELSEWHERE, str(script(tmp_path)), asked]
    done = subprocess.run(command, env=env, capture_output=True, text=True, timeout=300, check=False)
    if how == "auto, and no address":
        assert done.returncode == 1
        assert "runtime.cluster: auto: RAY_ADDRESS is not set: start lidr on a node of the cluster" in done.stderr
        return
    assert done.stdout.splitlines() == ["answered 60", "nodes 2"], done.stderr[-3000:]
    with open_engine(over(cluster, script(tmp_path), "scripted"), log=tmp_path / "log") as engine:
        assert len(by_key(engine.generate(ROWS[:20]))) == 20


def test_a_row_that_kills_every_replica_is_given_up_and_the_others_are_answered(
    cluster: Simulated, tmp_path: Path
) -> None:
    """Whoever comes to this row would take a minute, and is killed by us as by a batch too large for the machine."""
    path = tmp_path / "answers.jsonl"
    path.write_text(json.dumps({"match": "heavy", "text": "x", "delay_s": 60}) + "\n" + json.dumps({"text": "Honey."}))
    rows = [ask(f"p{number}", "heavy" if number == 7 else "light") for number in range(16)]
    is_over = threading.Event()
    with open_engine(over(cluster, path, "scripted", batch=1), log=tmp_path / "log") as engine:
        assert isinstance(engine, RayEngine)

        def kill_whoever_has_it() -> None:
            while not is_over.wait(0.5):
                for slot in [*engine._slots]:
                    if slot.hello is not None and any(
                        one.key == "p7" for chunk in [*slot.chunks.values()] for one in [*chunk.waiting.values()]
                    ):
                        with contextlib.suppress(ProcessLookupError):
                            os.kill(slot.hello.pid, signal.SIGKILL)

        threading.Thread(target=kill_whoever_has_it, daemon=True).start()
        try:
            found = list(engine.generate(rows))
        finally:
            is_over.set()
    failed = [one for one in found if isinstance(one, Failure)]
    assert [one.key for one in failed] == ["p7"]
    assert failed[0].error.startswith("3 replicas died while they answered it: ")
    assert set(by_key(one for one in found if one not in failed)) == {row.key for row in rows} - {"p7"}


def test_a_worker_that_hangs_is_ended_and_what_it_had_is_asked_again(
    cluster: Simulated,
    model: Path,
    alone: dict[str, Completion],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
) -> None:
    """The worker is stopped; its actor lives, is asked and has nothing to say. The other replica works on."""
    cluster.of(2)
    monkeypatch.setattr(silence, "LEAST_S", 30.0)
    monkeypatch.setattr(silence, "FACTOR", 1e-9)
    stopped: list[psutil.Process] = []
    with open_engine(over(cluster, model), log=tmp_path / "log") as engine:
        assert isinstance(engine, RayEngine)
        while engine.replicas != (2, 2):
            engine._listen()

        def hang() -> None:
            slot = max(engine._slots, key=lambda slot: sum(len(one.waiting) for one in slot.chunks.values()))
            assert slot.hello is not None
            children = psutil.Process(slot.hello.pid).children()
            stopped.extend(one for one in children if "engine_worker" in " ".join(one.cmdline()))
            stopped[0].suspend()

        assert answered(engine, ROWS, {1: hang}) == alone
        assert engine.facts["replicas_died"] == 1
        assert "is gone: it was ended, having answered nothing for 0.5" in caplog.text
        _, alive = psutil.wait_procs(stopped, timeout=30)
        assert [one for one in alive if one.status() != psutil.STATUS_ZOMBIE] == []


def test_a_row_over_which_every_replica_sleeps_is_given_up_and_an_honest_one_is_waited_for(
    cluster: Simulated, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    """`slow` takes longer than the least patience, and no longer than its many tokens may."""
    monkeypatch.setattr(silence, "LEAST_S", 5.0)
    monkeypatch.setattr(silence, "TELL_S", 6.0)
    rules = [{"match": "asleep", "delay_s": 600}, {"match": "slow", "delay_s": 15}, {"text": "Honey."}]
    path = tmp_path / "answers.jsonl"
    path.write_text("".join(json.dumps({"text": "x", **rule}) + "\n" for rule in rules))
    light = [ask(f"p{number}", "light", max_tokens=1) for number in range(16)]
    with open_engine(over(cluster, path, "scripted", batch=1), log=tmp_path / "log") as engine:
        assert isinstance(engine, RayEngine)
        assert len(by_key(engine.generate(light))) == 16
        assert [one.key for one in engine.generate([ask("slow", "slow", max_tokens=10_000)])] == ["slow"]
        assert "has answered nothing for" in caplog.text
        assert engine.facts["replicas_died"] == 0
        monkeypatch.setattr(silence, "FACTOR", 1e-9)
        found = list(engine.generate([*light[:8], ask("asleep", "asleep", max_tokens=1), *light[8:]]))
        assert engine.facts["replicas_died"] >= 3
    failed = [one for one in found if isinstance(one, Failure)]
    assert [one.key for one in failed] == ["asleep"]
    assert failed[0].error.startswith("3 replicas died while they answered it: it was ended, having answered nothing")
    assert set(by_key(one for one in found if one not in failed)) == {row.key for row in light}


def test_a_fault_of_the_work_itself_is_an_error_and_no_death(cluster: Simulated, tmp_path: Path) -> None:
    model = tiny_model(tmp_path / "gemma", "gemma", seed=1)  # its template takes no system message
    refused = replace(ask("a"), messages=({"role": "system", "content": "Be brief."}, *ask("a").messages))
    with open_engine(over(cluster, model), log=tmp_path / "log") as engine:
        assert isinstance(engine, RayEngine)
        with pytest.raises(EngineError, match=r"node \S+: .*System role not supported"):
            list(engine.generate([refused]))
        assert engine.facts["replicas_died"] == 0
        assert len(by_key(engine.generate([ask("a")]))) == 1


def test_a_stream_left_early_answers_no_more(cluster: Simulated, tmp_path: Path) -> None:
    with open_engine(over(cluster, script(tmp_path), "scripted"), log=tmp_path / "log") as engine:
        stream = engine.generate(ROWS)
        next(stream)
        stream.close()  # type: ignore[attr-defined]  # a generator, which the protocol does not promise
        assert len(by_key(engine.generate(ROWS[:5]))) == 5


def test_a_node_with_another_byte_in_the_model_is_refused_by_name_before_the_first_answer(
    cluster: Simulated, model: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The nodes share this machine's files, so the driver is made to mean other bytes."""
    folder = tmp_path / "model"
    shutil.copytree(model, folder)
    real, digests_of = replica.versions(), model_proof.digests_of

    def others(path: Path) -> dict[str, str]:
        return {**digests_of(path), "model.safetensors": "0" * 64}

    monkeypatch.setattr(model_proof, "digests_of", others)
    with pytest.raises(EngineError, match=r"^node \S+: \S+/model/model.safetensors has other bytes than the one that"):
        open_engine(over(cluster, folder), log=tmp_path / "log")
    monkeypatch.undo()
    monkeypatch.setattr("lidr.engines.replicas.ray_engine.versions", lambda: {**real, "transformers": "4.0"})
    with pytest.raises(
        EngineError, match=rf"^node \S+ has other versions: transformers {real['transformers']}, 4.0 here"
    ):
        open_engine(over(cluster, folder), log=tmp_path / "log")
    assert not (tmp_path / "log").exists()


def test_a_replica_for_which_no_node_has_room_is_refused_with_what_there_is(
    cluster: Simulated, model: Path, tmp_path: Path
) -> None:
    with pytest.raises(
        EngineError, match=r"no node has room for a replica: each needs 64 CPUs; the cluster has 3 nodes"
    ):
        open_engine(over(cluster, model, threads=64), log=tmp_path / "log")


def test_a_replica_has_gpus_for_all_parts_into_which_vllm_splits_the_model(
    cluster: Simulated, model: Path, tmp_path: Path
) -> None:
    node = cluster.add(gpus=2)
    try:
        split = {"tensor_parallel": 2, "vllm": {"pipeline_parallel_size": 2}}
        with pytest.raises(
            EngineError, match=r"no node has room for a replica: each needs 4 GPUs of one node and 1 CPU; "
        ):
            open_engine(over(cluster, model, "vllm", **split), log=tmp_path / "log")
    finally:
        cluster.forget(node)


def test_whoever_finds_no_place_says_what_it_waits_for_and_then_gives_up(
    cluster: Simulated, model: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    """The only node with GPUs is gone when the replicas are placed, and no other one comes."""
    node = cluster.add(gpus=2)
    monkeypatch.setattr("lidr.engines.replicas.ray_engine._TELL_NO_PLACE_S", 1.0)
    monkeypatch.setattr("lidr.engines.replicas.ray_engine._NO_PLACE_S", 5.0)
    real = RayEngine._begin

    def lost_first(engine: RayEngine) -> None:
        cluster.forget(node)
        monkeypatch.setattr(RayEngine, "_places", lambda _: 1)
        engine._placed_at = time.monotonic()
        real(engine)

    monkeypatch.setattr(RayEngine, "_begin", lost_first)
    with pytest.raises(EngineError, match=r"no replica has found a place for 0 minutes: each needs 1 GPU of one node"):
        open_engine(over(cluster, model), log=tmp_path / "log")
    said = [record.getMessage() for record in caplog.records if "no replica has found" in record.getMessage()]
    assert len(said) == 1
    assert said[0].startswith("no replica has found a place yet: each needs 1 GPU of one node and 1 CPU; the cluster ")


def test_a_model_that_cannot_be_loaded_is_an_error(cluster: Simulated, model: Path, tmp_path: Path) -> None:
    folder = tmp_path / "damaged"
    shutil.copytree(model, folder)
    (folder / "model.safetensors").write_bytes(b"no tensors")
    with pytest.raises(EngineError, match=r"transformers cannot load \S*/damaged: SafetensorError"):
        open_engine(over(cluster, folder), log=tmp_path / "log")
