"""A vLLM that dies, at its start or in use, and what is said of it: the cause, and where its log is."""

from __future__ import annotations

import json
from importlib.util import find_spec
from pathlib import Path

import psutil
import pytest

from lidr.engines.engine import EngineSpec
from lidr.engines.process import ProcessEngine, open_engine
from lidr.errors import EngineError
from tests.engines.helpers import ask
from tests.odd_models import odd_model

pytestmark = [pytest.mark.slow, pytest.mark.skipif(find_spec("vllm") is None, reason="vLLM is not installed")]


def spec(folder: Path) -> EngineSpec:
    return EngineSpec("vllm", model=str(folder), max_model_len=256, threads=1)


def configured(folder: Path, **changes: object) -> Path:
    """A tiny model whose config.json says something else than its weights."""
    odd_model(folder, "qwen3_moe", head_dim=32)
    config = json.loads((folder / "config.json").read_text(encoding="utf-8"))
    (folder / "config.json").write_text(json.dumps({**config, **changes}), encoding="utf-8")
    return folder


@pytest.mark.parametrize(
    ("changes", "cause"),
    [
        ({"architectures": ["NobodyForCausalLM"], "model_type": "llama"}, r".*'NobodyForCausalLM'\] are not supported"),
        ({"vocab_size": 1024}, r"AssertionError: assert loaded_weight\.shape"),  # in the process that loads the weights
    ],
)
def test_one_that_cannot_load_a_model_says_why(tmp_path: Path, changes: dict[str, object], cause: str) -> None:
    folder = configured(tmp_path / "model", **changes)
    with pytest.raises(EngineError, match=rf"(?s)^vllm cannot load {folder}: {cause}") as found:
        open_engine(spec(folder), log=tmp_path / "log")
    assert str(found.value).endswith(f". Its log is {tmp_path / 'log'}")
    assert "root cause" not in str(found.value)
    assert len(str(found.value)) < 800


def test_one_that_dies_in_use_says_why(tmp_path: Path) -> None:
    folder = odd_model(tmp_path / "model", "qwen3_moe")  # heads of 16: vLLM's attention on CPUs takes none
    with open_engine(spec(folder), log=tmp_path / "log") as engine, pytest.raises(EngineError) as found:
        list(engine.generate([ask("a", max_tokens=4)]))
    assert str(found.value).startswith("RuntimeError: Unsupported CPU attention configuration: head_dim=16")
    assert str(found.value).endswith(f" (the traceback is in {tmp_path / 'log'})")


def test_one_that_is_killed_says_so(tmp_path: Path) -> None:
    with open_engine(spec(configured(tmp_path / "model")), log=tmp_path / "log") as engine:
        assert isinstance(engine, ProcessEngine)
        started = psutil.Process(engine.pid).children(recursive=True)
        next(one for one in started if "EngineCore" in one.name()).kill()
        with pytest.raises(EngineError, match=r"^EngineDeadError: .* one was killed, as is done where memory runs"):
            list(engine.generate([ask("a", max_tokens=4)]))
