"""An engine that is kept from one use to the next."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest

from lidr.engines import EngineSpec
from lidr.engines.process.kept_engine import KeptEngine
from tests.engines.helpers import ask, by_key, wait_until_empty
from tests.tiny import tiny_model


@pytest.fixture(scope="module")
def spec(tmp_path_factory: pytest.TempPathFactory) -> EngineSpec:
    folder = tiny_model(tmp_path_factory.mktemp("tiny") / "llama3", "llama3", seed=1)
    return EngineSpec("transformers", model=str(folder), batch=2, threads=1)


def test_the_same_weights_are_asked_in_the_same_process_and_others_in_another(spec: EngineSpec, tmp_path: Path) -> None:
    with KeptEngine(tmp_path / "log") as kept:
        with kept.use(spec) as engine:
            first = by_key(engine.generate([ask("a", max_tokens=4)]))
            group = engine.pid
        with kept.use(replace(spec)) as engine:
            assert engine.pid == group
            assert by_key(engine.generate([ask("a", max_tokens=4)])) == first
        with kept.use(replace(spec, dtype="bfloat16")) as engine:
            wait_until_empty(group)  # never two models at once
            other = engine.pid
    wait_until_empty(other)
    assert not (tmp_path / "log").exists()


def test_after_a_failure_nothing_is_kept_but_the_log(spec: EngineSpec, tmp_path: Path) -> None:
    def fail() -> None:
        with KeptEngine(tmp_path / "log") as kept, kept.use(spec) as engine:
            groups.append(engine.pid)
            raise ZeroDivisionError

    groups: list[int] = []
    with pytest.raises(ZeroDivisionError):
        fail()
    wait_until_empty(groups[0])
    assert (tmp_path / "log").exists()
