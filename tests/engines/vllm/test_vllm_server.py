"""A real vLLM server whose model asks for penalties of its own: what lidr asks of it is what the recipe says."""

from __future__ import annotations

import json
import os
import shutil
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from importlib.util import find_spec
from pathlib import Path

import httpx
import pytest

from lidr.engines.engine import ChatRequest, Completion, EngineSpec, Sampling
from lidr.engines.remote.openai import OpenAIEngine

pytestmark = [pytest.mark.slow, pytest.mark.skipif(find_spec("vllm") is None, reason="vLLM is not installed")]
OWN = {"repetition_penalty": 1.8, "top_k": 1, "top_p": 0.01}
TALK = {"messages": [{"role": "user", "content": "What do bees make?"}], "max_tokens": 24, "seed": 5}


@pytest.fixture(scope="module")
def server(smollm2: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """Its URL; it runs as its users start it, with the model's generation_config."""
    folder = tmp_path_factory.mktemp("models") / "policy"
    shutil.copytree(smollm2, folder, copy_function=os.link)
    file = folder / "generation_config.json"
    own = json.loads(file.read_text(encoding="utf-8")) | OWN
    file.unlink()
    file.write_text(json.dumps(own), encoding="utf-8")
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    how = f"--served-model-name m --host 127.0.0.1 --port {port} --max-model-len 256 --dtype float32 --enforce-eager"
    command = ["-m", "vllm.entrypoints.openai.api_server", "--model", str(folder), *how.split()]
    environment = os.environ | {"OMP_NUM_THREADS": "1", "VLLM_CPU_KVCACHE_SPACE": "1", "CUDA_VISIBLE_DEVICES": ""}
    with (folder.parent / "log").open("w", encoding="utf-8") as log:
        process = subprocess.Popen(
            [sys.executable, *command], stdout=log, stderr=log, env=environment, start_new_session=True
        )
    try:
        url = f"http://127.0.0.1:{port}/v1"
        until = time.monotonic() + 300
        while True:
            try:
                httpx.get(f"{url}/models", timeout=5, trust_env=False)
                break
            except httpx.HTTPError:
                logged = (folder.parent / "log").read_text(encoding="utf-8")[-3000:]
                assert process.poll() is None, logged
                assert time.monotonic() < until, logged
                time.sleep(0.5)
        yield url
    finally:
        os.killpg(process.pid, signal.SIGKILL)
        process.wait()


def said(url: str, **fields: object) -> str:
    """What the server answers to exactly these fields."""
    answer = httpx.post(f"{url}/chat/completions", json={"model": "m", **TALK, **fields}, timeout=60, trust_env=False)
    return str(answer.raise_for_status().json()["choices"][0]["message"]["content"])


@pytest.mark.parametrize("temperature", [0.0, 1.0])
def test_a_model_s_own_generation_config_has_no_part_in_what_a_server_answers(server, monkeypatch, temperature):
    monkeypatch.setenv("NO_PROXY", "127.0.0.1")
    sampling = Sampling(max_tokens=24, temperature=temperature, seed=5)
    with OpenAIEngine(EngineSpec("openai", model="m", url=server)) as engine:
        (found,) = engine.generate([ChatRequest("a", tuple(TALK["messages"]), sampling)])
    assert isinstance(found, Completion)
    plain = {"temperature": temperature, "repetition_penalty": 1.0, "top_k": -1, "top_p": 1.0, "min_p": 0.0}
    assert found.text == said(server, **plain) != said(server, temperature=temperature)
