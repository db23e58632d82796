r"""Messages that a column holds as JSON text, `[{"role": "user", "content": "..."}]`, as tables without lists do.

A column is read so where every text in it is such messages; where the first is and another is not, the set is refused.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from functools import lru_cache
from pathlib import Path
from typing import Any

import polars as pl

from lidr.errors import RowError
from lidr.preferences.messages import MESSAGES
from lidr.preferences.set_columns import Files, stamped, values
from lidr.tables import OTHER_PARTS, THOUGHTS, file_schema, is_visible, parse_json, text_type

_KEYS = (("role", "content"), ("from", "value"))
_CONTENTS = ("content", "value", "tool_calls", "function_call")


def told_in_json(files: Sequence[Path], column: str) -> bool:
    """Whether a column of texts holds messages as JSON.

    Raises:
        RowError: only some of its texts are messages, or they are written as Python prints them.
    """
    return _is_told(stamped(files), column)


@lru_cache(maxsize=64)
def _is_told(files: Files, column: str) -> bool:
    messages = 0
    for path, _, _ in files:
        schema = file_schema(path)
        if column not in schema.names or not text_type(schema.field(column).type):
            return False
        for value in values(path, column):
            text = value if isinstance(value, str) else value.decode(errors="replace")
            if not is_visible(text):
                continue
            if _parsed(text) is not None:
                messages += 1
                continue
            if text.lstrip().startswith(("[{'role'", "[{'from'", "[{'content'", "{'role'", "{'from'")):
                raise RowError(f"{path}: column {column} holds messages as Python prints them; write them as JSON, or "
                               "as lists")  # fmt: skip
            if messages:
                raise RowError(
                    f"{path}: column {column}: its first {messages:,} texts are messages written as JSON, and the next "
                    f"is none: {text[:40]!r}; write all alike"
                )
            return False
    return messages > 0


def told(texts: pl.Series) -> pl.Series:
    """Texts that are messages as JSON -> lists of {role, content}; a message that is more than text has no content."""
    rows = [None if text is None or not is_visible(text) else _parsed(text) for text in texts]
    said = [None if row is None else [_message(one) for one in row] for row in rows]
    return pl.Series(texts.name, said, dtype=MESSAGES)


def _parsed(text: str) -> list[dict[str, Any]] | None:
    """The messages that a text is; None where it is something else."""
    if not text.lstrip().startswith(("[", "{")):
        return None
    try:
        found = json.loads(text)
    except (ValueError, RecursionError):
        return None
    turns = found if isinstance(found, list) else [found]
    is_talk = all(
        isinstance(turn, dict)
        and isinstance(turn.get("role", turn.get("from")), str)
        and any(k in turn for k in _CONTENTS)
        for turn in turns
    )
    if not (turns and is_talk):
        return None
    parse_json(text, "messages as JSON")  # what the strict reader refuses is not guessed at
    return turns


def _message(turn: dict[str, Any]) -> dict[str, str | None]:
    role_key, text_key = next(keys for keys in _KEYS if keys[0] in turn)
    said = turn.get(text_key)
    if isinstance(said, list):
        parts = [part if isinstance(part, str) else _text_of(part) for part in said]
        said = None if None in parts or not parts else "".join(part for part in parts if part is not None)
    is_more = any(turn.get(name) for name in (*OTHER_PARTS, *THOUGHTS))
    return {"role": turn[role_key], "content": said if isinstance(said, str) and not is_more else None}


def _text_of(part: Any) -> str | None:
    is_text = isinstance(part, dict) and part.get("type") == "text" and isinstance(part.get("text"), str)
    return str(part["text"]) if is_text else None
