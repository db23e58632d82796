"""`runtime.vllm`: what is passed on, what is refused, and what counts as identity."""

from __future__ import annotations

import ast
import importlib.util
from pathlib import Path

import pytest

import lidr
from lidr.engines.vllm import vllm_arguments
from lidr.engines.vllm.vllm_arguments import (
    EXECUTION,
    NOT_OFFERED,
    OWNED,
    arguments_of_others,
    check_arguments,
    text_arguments,
)
from lidr.errors import RecipeError
from lidr.recipe.runtime import Runtime
from tests.scripted import write_world

HAS_VLLM = importlib.util.find_spec("vllm") is not None


@pytest.fixture(params=["installed", "absent"])
def vllm(request, monkeypatch, tmp_path):
    """A vLLM whose EngineArgs has few fields, or none at all."""
    package = tmp_path / "vllm"
    (package / "engine").mkdir(parents=True)
    (package / "__init__.py").write_text("raise RuntimeError('imported')")
    fields = ["max_num_seqs: int = 1", "kv_cache_dtype: str = 'auto'", "newer: int = 0", "_own: int = 0"]
    (package / "engine" / "arg_utils.py").write_text("class EngineArgs:\n    " + "\n    ".join(fields))
    spec = importlib.util.spec_from_file_location("vllm", package / "__init__.py")
    found = {"installed": spec, "absent": None}[request.param]
    monkeypatch.setattr(vllm_arguments.importlib.util, "find_spec", lambda name: found)
    vllm_arguments._installed.cache_clear()
    yield request.param
    vllm_arguments._installed.cache_clear()


def test_names_are_those_of_the_installed_vllm_else_of_a_table(vllm):
    check_arguments({"max_num_seqs": 512, "kv_cache_dtype": "fp8"})
    said = {
        "installed": r"vllm\.max_num_seq: the vLLM that is installed here has no such.*; did you mean max_num_seqs",
        "absent": r"vllm\.max_num_seq: lidr does not know.*not installed here; did you mean max_num_seqs.*known ones",
    }
    with pytest.raises(ValueError, match=said[vllm]):
        check_arguments({"max_num_seq": 1})
    if vllm == "installed":
        check_arguments({"newer": 1})
        assert text_arguments({"newer": 1}) == {"newer": 1}  # what nobody has looked at counts as able to change texts
    else:
        with pytest.raises(ValueError, match="newer"):
            check_arguments({"newer": 1})
    with pytest.raises(ValueError, match="_own"):
        check_arguments({"_own": 1})


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"tensor_parallel_size": 2}, r"vllm\.tensor_parallel_size is set by runtime\.tensor_parallel; set it there"),
        ({"trust_remote_code": True}, r"vllm\.trust_remote_code is set by policy\.trust_remote_code, for a pinned"),
        ({"worker_cls": "a.B"}, r"vllm\.worker_cls is not passed on: it names code to be run; take it out"),
        ({"load_format": "pt"}, r"vllm\.load_format: 'pt'; allowed are auto, safetensors"),
        ({"distributed_executor_backend": "a.B"}, r"distributed_executor_backend: 'a\.B'; allowed are mp, ray"),
    ],
)
def test_what_is_not_passed_on_is_refused_by_name(arguments, message):
    with pytest.raises(ValueError, match=message):
        Runtime(vllm=arguments)


def test_a_recipe_that_says_it_wrongly_is_told_where(tmp_path):
    path = write_world(tmp_path)
    path.write_text(path.read_text().replace("runtime: {", "runtime: {vllm: {seed: 1}, ", 1))
    with pytest.raises(RecipeError, match=r"runtime\.vllm.*vllm\.seed is set by seed of the recipe"):
        lidr.load_recipe(path)


def test_what_others_wrote_reaches_no_further_than_their_texts():
    given = {"max_num_seqs": 10**6, "kv_cache_dtype": "fp8", "hf_overrides": {"rope_theta": 1e6}}
    assert arguments_of_others(given) == {"kv_cache_dtype": "fp8", "hf_overrides": {"rope_theta": 1e6}}
    with pytest.raises(ValueError, match=r"runtime\.vllm\.compilation_config is not taken from a recipe of others"):
        arguments_of_others({"compilation_config": {"cache_dir": "/home"}})


@pytest.mark.skipif(not HAS_VLLM, reason="vLLM is not installed")
def test_the_tables_hold_arguments_that_the_installed_vllm_has():
    vllm_arguments._installed.cache_clear()
    names = vllm_arguments._installed()
    assert len(names) > 200
    assert sorted((EXECUTION | vllm_arguments._COMMON | {*OWNED}) - names) == []
    assert sorted({*NOT_OFFERED} - names) == ["enable_log_requests"]  # of AsyncEngineArgs


def test_the_tables_do_not_overlap():
    tables = (EXECUTION, vllm_arguments._COMMON, {*OWNED}, {*NOT_OFFERED})
    assert sum(map(len, tables)) == len(set().union(*tables))


def test_no_module_of_lidr_uses_vllms_own_insides():
    """What `LLM.enqueue` returns and what `llm_engine.step()` does is vLLM's own affair."""
    source = Path(vllm_arguments.__file__).with_name("vllm_engine.py").read_text(encoding="utf-8")
    used = {node.attr for node in ast.walk(ast.parse(source)) if isinstance(node, ast.Attribute)}
    assert not used & {"llm_engine", "enqueue", "engine_core", "output_processor", "input_processor", "step"}
