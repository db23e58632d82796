"""A recipe's data as YAML that reads like one written by hand: what fits on a line stands on a line."""

from __future__ import annotations

import json
from collections.abc import Mapping
from functools import lru_cache
from itertools import takewhile
from typing import Any

from lidr.recipe.yaml_positions import read_value

_WIDTH = 120


def written_out(data: Mapping[str, Any]) -> str:
    r"""Write a mapping of plain values; read again it is the same.

    >>> print(written_out({"name": "bees", "seed": 42, "chain": [{"pair": {"drop": "joint"}}]}), end="")
    name: bees
    seed: 42
    chain:
      - pair: {drop: joint}
    """
    return "".join(f"{line}\n" for line in _mapping(data, ""))


def header_of(text: str) -> str:
    """The comment lines that a file begins with."""
    return "".join(f"{line}\n" for line in takewhile(lambda line: line.startswith("#"), text.splitlines()))


def _mapping(data: Mapping[str, Any], indent: str) -> list[str]:
    return [line for key, value in data.items() for line in _entry(_flow(key), value, indent)]


def _entry(key: str, value: Any, indent: str) -> list[str]:
    line = f"{indent}{key}: {_flow(value)}"
    if isinstance(value, list) and any(isinstance(item, dict) for item in value):
        return [f"{indent}{key}:", *(line for item in value for line in _item(item, f"{indent}  "))]
    if len(line) <= _WIDTH or not value or not isinstance(value, dict | list):
        return [line]
    if isinstance(value, dict):
        return [f"{indent}{key}:", *_mapping(value, f"{indent}  ")]
    return [f"{indent}{key}:", *(line for item in value for line in _item(item, f"{indent}  "))]


def _item(value: Any, indent: str) -> list[str]:
    if not isinstance(value, dict) or not value:
        return [f"{indent}- {_flow(value)}"]
    first, *rest = _mapping(value, f"{indent}  ")
    return [f"{indent}- {first.removeprefix(indent + '  ')}", *rest]


def _flow(value: Any) -> str:
    if isinstance(value, dict):
        return "{" + ", ".join(f"{_flow(key)}: {_flow(child)}" for key, child in value.items()) + "}"
    if isinstance(value, list):
        return "[" + ", ".join(map(_flow, value)) + "]"
    if isinstance(value, str):
        return value if _reads_back(value) else json.dumps(value, ensure_ascii=False)
    return (
        {True: "true", False: "false", None: "null"}[value] if value is None or isinstance(value, bool) else str(value)
    )


@lru_cache(maxsize=4096)  # a value is written out for its own line, and to see whether its parents fit on theirs
def _reads_back(text: str) -> bool:
    """Whether a text needs no quotes, neither alone nor inside brackets."""
    if text != text.strip() or "\n" in text:
        return False
    try:
        return bool(read_value(text) == text and read_value(f"{{a: [{text}]}}") == {"a": [text]})
    except ValueError:
        return False
