"""JSON that others wrote, read in bounds: whoever uses it may walk through it, print its numbers and write its texts.

Ten thousand brackets end in the interpreter's stack, a number of 400 digits is too large for a float or a column, and
half a character cannot be written anywhere.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

LARGEST = 64 << 20
"""Bytes of one file."""
_DEEPEST = 100
_LARGEST_NUMBER = 2**63


class ForeignJsonError(ValueError):
    """It cannot be read; the message is one line and says why."""


def load_foreign_json(path: Path, *, largest: int = LARGEST) -> Any:
    """The value of a JSON file.

    Raises:
        FileNotFoundError: there is no such file.
        ForeignJsonError: it is too large, no UTF-8, no JSON, or holds what nobody should have to handle.
    """
    try:
        if (size := path.stat().st_size) > largest:
            raise ForeignJsonError(f"it has {size:,} bytes; at most {largest:,} are read")
        value = json.loads(path.read_text(encoding="utf-8"))
    except FileNotFoundError:
        raise
    except ForeignJsonError:
        raise
    except json.JSONDecodeError as error:
        raise ForeignJsonError(f"no JSON: {str(error)[:200]}") from None
    except (ValueError, OSError) as error:
        raise ForeignJsonError(str(error)[:200]) from None
    except (RecursionError, MemoryError):
        raise ForeignJsonError("nested too deep") from None
    check_foreign(value)
    return value


def check_foreign(value: Any) -> None:
    """See that plain data are no deeper and no larger than one can handle.

    Raises:
        ForeignJsonError: they are.
    """
    level = [value]
    for _ in range(_DEEPEST):
        below: list[Any] = []
        for one in level:
            if isinstance(one, dict):
                for key in one:
                    _check_one(key)
                below += one.values()
            elif isinstance(one, list):
                below += one
            else:
                _check_one(one)
        if not (level := below):
            return
    raise ForeignJsonError(f"nested too deep: more than {_DEEPEST} levels")


def _check_one(value: Any) -> None:
    if isinstance(value, str):
        try:
            value.encode()
        except UnicodeEncodeError:
            raise ForeignJsonError("a text with half a character") from None
    elif isinstance(value, int) and not -_LARGEST_NUMBER <= value < _LARGEST_NUMBER:
        raise ForeignJsonError("a number of more than 64 bits")
