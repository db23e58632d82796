import importlib.util
import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from lidr.engines.engine import EngineSpec
from lidr.engines.process.engine_process import ProcessEngine, open_engine
from lidr.engines.remote.openai import OpenAIEngine
from lidr.engines.scripted import ScriptedEngine
from lidr.errors import EngineError, MissingExtraError
from lidr.worker import Worker
from tests.engines.helpers import Holder, ask, by_key, members, wait_until_empty
from tests.tiny import tiny_model

# Long enough to be still under way whenever a test looks.
LONG = [ask(f"{number}", max_tokens=400) for number in range(400)]


@pytest.fixture(scope="module")
def spec(tmp_path_factory: pytest.TempPathFactory) -> EngineSpec:
    folder = tiny_model(tmp_path_factory.mktemp("tiny") / "llama3", "llama3", seed=1)
    return EngineSpec("transformers", model=str(folder), batch=2, threads=1)


@pytest.fixture(scope="module")
def engine(spec: EngineSpec, tmp_path_factory: pytest.TempPathFactory) -> Iterator[ProcessEngine]:
    engine = open_engine(spec, log=tmp_path_factory.mktemp("log") / "worker.log")
    assert isinstance(engine, ProcessEngine)
    with engine:
        yield engine


def test_answers_pass_the_pipe_unchanged(engine: ProcessEngine, spec: EngineSpec) -> None:
    from lidr.engines.transformers import TransformersEngine

    asked = [
        ask("ü/蜜", "蜜蜂は\u2028何を\n作りますか。", prefill="<t>\n", stop=("\u2028", "z"), repetition_penalty=1.1),
        ask("b", temperature=0.7, seed=3),
        ask("c", "bees " * 500),
    ]
    with TransformersEngine(spec) as here:
        expected = by_key(here.generate(asked))
    assert by_key(engine.generate(asked)) == expected
    assert by_key(engine.generate(iter(asked))) == expected
    assert not [path for path in engine._log.parent.iterdir() if path != engine._log]  # requests are handed over there


def test_an_error_in_the_worker_is_raised_here_with_its_type(engine: ProcessEngine) -> None:
    with pytest.raises(EngineError, match="the chat template refuses the conversation"):
        list(engine.generate([replace(ask("a"), messages=())]))
    assert len(by_key(engine.generate([ask("a")]))) == 1


def test_a_stream_left_early_ends_the_worker_and_the_next_call_starts_another(engine: ProcessEngine) -> None:
    stream = engine.generate(LONG)
    next(stream)
    group = engine.pid
    assert group is not None
    assert members(group)
    stream.close()  # type: ignore[attr-defined]  # a generator, which the protocol does not promise
    assert engine.pid is None
    wait_until_empty(group)
    assert len(by_key(engine.generate([ask("a")]))) == 1


def test_a_worker_that_is_killed_is_an_error_that_names_its_log(engine: ProcessEngine) -> None:
    stream = engine.generate(LONG)
    next(stream)
    assert engine.pid is not None
    os.kill(engine.pid, signal.SIGKILL)
    with pytest.raises(EngineError, match=r"ended early \(exit status -9\)(?s:.*)worker\.log"):
        list(stream)


def test_an_exception_in_the_consumer_ends_everything_at_the_end_of_the_block(spec: EngineSpec, tmp_path: Path) -> None:
    groups = []

    def consume() -> None:
        with open_engine(spec, log=tmp_path / "log") as engine:
            assert isinstance(engine, ProcessEngine)
            stream = engine.generate(LONG)
            for _ in stream:
                groups.append(engine.pid)
                raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        consume()
    wait_until_empty(groups[0])


def test_a_closed_engine_holds_no_process_and_answers_no_more(spec: EngineSpec, tmp_path: Path) -> None:
    engine = open_engine(spec, log=tmp_path / "log")
    assert isinstance(engine, ProcessEngine)
    group = engine.pid
    assert group is not None
    engine.close()
    wait_until_empty(group)
    engine.close()
    with pytest.raises(EngineError, match="this engine is closed"):
        list(engine.generate([ask("a")]))


def test_nothing_outlives_a_parent_that_is_killed_while_it_asks(spec: EngineSpec, tmp_path: Path) -> None:
    with Holder(spec, [ask("a", max_tokens=400)], folder=tmp_path) as holder:
        assert members(holder.group)
        holder.kill()
        wait_until_empty(holder.group)


def test_a_model_that_cannot_be_loaded_is_an_error_with_its_path(spec: EngineSpec, tmp_path: Path) -> None:
    folder = tiny_model(tmp_path / "damaged", "qwen2")
    (folder / "model.safetensors").write_bytes(b"no tensors")
    with pytest.raises(EngineError, match=r"transformers cannot load \S*/damaged: SafetensorError") as found:
        open_engine(EngineSpec("transformers", model=str(folder)), log=tmp_path / "log")
    assert str(found.value).endswith(f". Its log is {tmp_path / 'log'}")
    assert "Traceback (most recent call last)" in (tmp_path / "log").read_text()


def test_what_an_engine_raises_while_it_answers_ends_with_the_place_of_its_log(tmp_path: Path) -> None:
    with Worker("lidr.engines.process.engine_worker", log=tmp_path / "log") as worker:
        worker.send({"open": {}})
        with pytest.raises(EngineError, match=rf"^TypeError: .* \(the traceback is in {tmp_path}/log\)$"):
            list(worker.replies())
    assert "Traceback (most recent call last)" in (tmp_path / "log").read_text()


def test_a_missing_folder_is_found_before_a_worker_starts(tmp_path: Path) -> None:
    with pytest.raises(EngineError, match="nowhere: no such model folder"):
        open_engine(EngineSpec("vllm", model=str(tmp_path / "nowhere")), log=tmp_path / "log")
    assert not (tmp_path / "log").exists()


@pytest.mark.parametrize(("kind", "package", "extra"), [("vllm", "vllm", "vllm"), ("transformers", "torch", "train")])
def test_a_missing_package_names_the_extra_to_install(
    kind: Any, package: str, extra: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    find = importlib.util.find_spec
    monkeypatch.setattr(importlib.util, "find_spec", lambda name: None if name == package else find(name))
    with pytest.raises(MissingExtraError, match=rf"'{package}', which is not installed: pip install 'lidr\[{extra}\]'"):
        open_engine(EngineSpec(kind, model=str(tmp_path)), log=tmp_path / "log")


def test_engines_without_a_model_run_in_this_process(tmp_path: Path) -> None:
    script = tmp_path / "script.jsonl"
    script.write_text('{"text": "Hello."}')
    with open_engine(EngineSpec("scripted", model=str(script)), log=tmp_path / "log") as engine:
        assert isinstance(engine, ScriptedEngine)
        assert by_key(engine.generate([ask("a")]))["a"].text == "Hello."
    server = EngineSpec("openai", model="m", url="http://127.0.0.1:9/v1")
    with open_engine(server, log=tmp_path / "log") as engine:
        assert isinstance(engine, OpenAIEngine)
    assert not (tmp_path / "log").exists()


def test_opening_an_engine_loads_no_torch_here() -> None:
    check = "import sys, lidr.engines.process.engine_process, lidr.engines.gguf, lidr.engines.scripted;" + (
        "import lidr.engines.remote.openai; sys.exit(bool({'torch', 'transformers', 'vllm'} & set(sys.modules)))"
    )
    assert subprocess.run([sys.executable, "-c", check], check=False).returncode == 0
