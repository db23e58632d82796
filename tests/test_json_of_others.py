"""JSON nested too deep ends Python's reader in a RecursionError, no ValueError: who expects one expects the other."""

from __future__ import annotations

import ast
from collections.abc import Iterator
from pathlib import Path

import pytest

import lidr
from lidr.engines.model_folder import ModelFolder
from lidr.errors import LidrError

ROOT = Path(lidr.__file__).parent


def caught(handler: ast.ExceptHandler) -> set[str]:
    if handler.type is None:
        return {"BaseException"}
    kinds = handler.type.elts if isinstance(handler.type, ast.Tuple) else [handler.type]
    return {ast.unparse(kind).rpartition(".")[2] for kind in kinds}


def readers(source: str) -> Iterator[tuple[int, set[str]]]:
    """Line of each `try` around json.load or json.loads, and what is caught there."""
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.Try):
            calls = [ast.unparse(one.func) for part in node.body for one in ast.walk(part) if isinstance(one, ast.Call)]
            if {"json.load", "json.loads"} & {*calls}:
                yield node.lineno, {kind for handler in node.handlers for kind in caught(handler)}


def test_whoever_catches_what_is_no_json_catches_what_is_too_deep():
    found = {
        f"{path.relative_to(ROOT)}:{line}": kinds
        for path in ROOT.rglob("*.py")
        for line, kinds in readers(path.read_text(encoding="utf-8"))
    }
    assert len(found) > 20
    both = {"RecursionError", "Exception", "BaseException"}
    assert [
        place for place, kinds in found.items() if {"ValueError", "JSONDecodeError"} & kinds and not both & kinds
    ] == []


@pytest.mark.parametrize("deep", ["[" * 100_000, '{"a":' * 100_000])
def test_a_models_files_that_are_too_deep_are_refused(tmp_path, deep):
    (tmp_path / "config.json").write_text(deep)
    with pytest.raises(LidrError, match=r"config\.json"):
        ModelFolder(tmp_path).end_ids()
