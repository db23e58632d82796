"""What must not be published: folders of this machine, and secrets.

>>> without_paths("store: /home/ada/runs/x, see http://h/a/b")
'store: <folder>/x, see http://h/a/b'
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from lidr.secrecy import HIDDEN, clean_published

_PATH = re.compile(r"(?<![\w./:$<>~-])/(?:[\w.@+~ -]*[\w.@+~-]/)+([\w.@+~-]*)")
_SIGNED = re.compile(r"(?i)([?&](?:[\w-]*token|sig|signature)=|\bx-amz-[a-z-]+ ?[=:] ?)[^\s&'\"]+")
"""What gives whoever has an address the right to read there. Words alone are no sign of it: a recipe may speak of a
token."""
_PRIVATE = frozenset({"answers", "store", "api_key_env", "report_to", "push", "cluster", "accelerate_config"})
"""Settings of `runtime` that say something about this machine or its owner and nothing about the result."""


def without_paths(text: str) -> str:
    """Replace absolute paths by their last part, and take out what is secret."""
    text = clean_published(_PATH.sub(lambda match: f"<folder>/{match[1]}", text))
    return _SIGNED.sub(rf"\1{HIDDEN}", text)


def clean(value: Any) -> Any:
    """The same data with every absolute path cut down to its last part."""
    if isinstance(value, str):
        return without_paths(value)
    if isinstance(value, Mapping):
        return {key: clean(child) for key, child in value.items()}
    if isinstance(value, list | tuple):
        return [clean(child) for child in value]
    return value


def clean_execution(execution: Mapping[str, Any]) -> dict[str, Any]:
    """How a step ran, without what belongs to the machine's owner."""
    return {key: clean(value) for key, value in execution.items() if key not in _PRIVATE}


_NAMES = ("_name_or_path", "name_or_path", "base_model_name_or_path")


def clean_model_config(config: dict[str, Any], *, base_model: str | None, revision: str | None) -> dict[str, Any]:
    """A model's JSON configuration naming its base as the Hub knows it, never a folder of this machine."""
    cleaned = dict(config)
    for key in _NAMES:
        if isinstance(cleaned.get(key), str):
            cleaned[key] = base_model or Path(cleaned[key]).name
    if "base_model_name_or_path" in cleaned and base_model:
        cleaned["revision"] = revision
    return cleaned
