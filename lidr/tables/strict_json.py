"""JSON as it must be written: UTF-8, every key once in its object, no NaN, no half of a character.

Python's own reader takes NaN and keeps the last of two keys; others keep the first. Either way a row would be read as
something that its writer may not have meant, so both are refused, with the place.
"""

from __future__ import annotations

import json
import re
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from lidr.errors import RowError
from lidr.tables.text_files import line_blocks

_NO_JSON = re.compile(r'"(?:[^"\\]|\\.)*"|(NaN|-?Infinity)')
_HALF = re.compile("[\ud800-\udfff]")


class _Wrong(ValueError):
    """What the JSON reader itself would let pass."""


def decode(data: bytes, path: Path, *, line: int = 1) -> str:
    """Text from UTF-8, with or without a byte order mark.

    Args:
        data: of the file, or a part of it.
        path: for the message.
        line: number of the first line of `data`.

    Raises:
        RowError: other bytes; says at which line, and at which byte of it.
    """
    try:
        return data.decode("utf-8-sig" if line == 1 else "utf-8")
    except UnicodeDecodeError as error:
        begun = data.rfind(b"\n", 0, error.start) + 1
        number = line + data.count(b"\n", 0, begun)
        raise RowError(
            f"{path}:{number}: byte 0x{data[error.start]:02x} is not UTF-8; save the "
            f"file as UTF-8 (byte {error.start - begun + 1} of the line)"
        ) from error


def parse_json(text: str, path: Path | str, *, line: int = 1) -> Any:
    """Parse one JSON text.

    Args:
        text: of the file, or one line of it.
        path: for messages.
        line: number of its first line.

    Raises:
        RowError: no JSON, a key that stands twice in one object, NaN or Infinity, half of a character, a number or a
            depth that cannot be read; says at which line, and at which character of it where that is known.
    """
    try:
        found = json.loads(text, object_pairs_hook=_once, parse_constant=_constant)
    except json.JSONDecodeError as error:
        raise RowError(f"{path}:{line + error.lineno - 1}:{error.colno}: not JSON: {error.msg}") from error
    except _Wrong as error:
        raise RowError(f"{path}:{_place(text, str(error), line)}: {error}") from None
    except (ValueError, RecursionError) as error:  # a number of 5,000 digits, brackets nested without end
        raise RowError(f"{path}:{line}: JSON that cannot be read: {error}") from error
    return found


def json_lines(path: Path, data: bytes, first: int = 1) -> Iterator[tuple[int, dict[str, Any]]]:
    """Yield (number, object) of every line that is not blank; `first` is the number of the first.

    Raises:
        RowError: as `parse_json`; and a line that is no object, or that holds half of a surrogate pair.
    """
    # split, not splitlines: U+2028 and U+0085 may stand inside a JSON string
    for number, line in enumerate(decode(data, path, line=first).split("\n"), start=first):
        if line.strip():
            yield number, _checked(path, number, parse_json(line, path, line=number), has_escapes="\\u" in line)


def json_lines_of(path: Path) -> Iterator[tuple[int, dict[str, Any]]]:
    """As `json_lines`, of a file, a few megabytes of which are held at a time; it may be packed with gzip."""
    for first, lines in line_blocks(path):
        yield from json_lines(path, b"".join(lines), first)


def json_array(path: Path, data: bytes) -> Iterator[tuple[int, dict[str, Any]]]:
    """Yield (number of its line, object) of every item of a JSON array.

    Raises:
        RowError: as `json_lines`; and what is no array.
    """
    text = decode(data, path)
    if not isinstance(parse_json(text, path), list):
        raise RowError(f"{path}: expected a JSON array of objects ([{{...}}, ...])")
    decoder, line, counted, at = json.JSONDecoder(), 1, 0, text.index("[") + 1
    while True:  # again, item by item, to know the line of each; the text is known to be well-formed
        while text[at] in " \t\r\n,":
            at += 1
        if text[at] == "]":
            return
        line, counted, begun = line + text.count("\n", counted, at), at, at
        row, at = decoder.raw_decode(text, at)
        yield line, _checked(path, line, row, has_escapes="\\u" in text[begun:at])


def _checked(path: Path, number: int, row: Any, *, has_escapes: bool) -> dict[str, Any]:
    """Refuse what is no object, and half of a surrogate pair, which UTF-8 cannot store."""
    if not isinstance(row, dict):
        raise RowError(f"{path}:{number}: expected an object ({{...}}), found {type(row).__name__}")
    if has_escapes and (half := _HALF.search(json.dumps(row, ensure_ascii=False))):
        raise RowError(
            f"{path}:{number}: {half[0].encode('unicode_escape').decode()} is half of a character: a surrogate without "
            "the other one. Write the character, or take it out"
        )
    return row


def _once(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    found = dict(pairs)
    if len(found) < len(pairs):
        twice = next(name for name, times in Counter(name for name, _ in pairs).items() if times > 1)
        raise _Wrong(f"the key {json.dumps(twice)} stands twice in one object; which of them counts? Keep one")
    return found


def _constant(name: str) -> Any:
    raise _Wrong(f"{name} is no JSON; write null where there is no value")


def _place(text: str, said: str, line: int) -> str:
    """Line, and the character in it where NaN is what is wrong."""
    found = next((match for match in _NO_JSON.finditer(text) if match[1]), None) if "is no JSON" in said else None
    if found is None:
        return str(line)
    begun = text.rfind("\n", 0, found.start()) + 1
    return f"{line + text.count(chr(10), 0, found.start())}:{found.start() - begun + 1}"
