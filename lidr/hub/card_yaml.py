"""Metadata of a card, read in bounds: whoever wrote it may mean no good.

A few hundred bytes of aliases stand for megabytes, a number of 5,000 digits cannot be printed, and `[` ten thousand
times ends in the interpreter's stack. So the text is looked through once, event by event, before anything is built.
"""

from __future__ import annotations

import math
from typing import Any

import yaml

LARGEST = 512 * 1024
"""Characters of metadata; the parser needs about a second for so many."""
_DEEPEST = 60
_ALIASES_GIVE = 4096
"""Characters that aliases may stand for, besides three times the text itself."""
_LONGEST_NUMBER = 25

_Loader: Any = getattr(yaml, "CSafeLoader", yaml.SafeLoader)


class CardYamlError(ValueError):
    """The metadata cannot be read; the message is one line."""


class _Careful(_Loader):  # type: ignore[misc]
    """Reads long digits as text: they collide in dictionaries, and Python refuses to print them."""


def _whole(loader: Any, node: Any) -> Any:
    text = loader.construct_scalar(node)
    return text if len(text) > _LONGEST_NUMBER else loader.construct_yaml_int(node)


def _real(loader: Any, node: Any) -> Any:
    text = loader.construct_scalar(node)
    return text if len(text) > 2 * _LONGEST_NUMBER else loader.construct_yaml_float(node)


_Careful.add_constructor("tag:yaml.org,2002:int", _whole)
_Careful.add_constructor("tag:yaml.org,2002:float", _real)


def load_card_yaml(text: str) -> Any:
    """The value of a YAML text.

    Raises:
        CardYamlError: it is no YAML, too long, nested too deep, or stands for far more than it holds.
    """
    if len(text) > LARGEST:
        raise CardYamlError(f"it has {len(text)} characters; at most {LARGEST} are read")
    try:
        _look_through(text)
        return yaml.load(text, _Careful)
    except CardYamlError:
        raise
    except (yaml.YAMLError, ValueError, LookupError, TypeError, AttributeError, OverflowError) as error:
        # The parser's own error, and what its constructors raise at a wrong tag, an impossible date, an empty number.
        said = " ".join(str(error).split())[:500]
        raise CardYamlError("it is nested too deep" if "maximum nesting depth" in said else said) from None
    except RecursionError:
        raise CardYamlError("it is nested too deep") from None


def _look_through(text: str) -> None:
    """Refuse what is nested too deep, and aliases that stand for much more than the text."""
    sizes: dict[str, int] = {}  # anchor -> characters that it stands for, once it has ended
    open_: list[tuple[str | None, int]] = []  # anchor and the size before it, of what has not ended
    size, by_alias, most = 0, 0, 3 * len(text) + _ALIASES_GIVE
    for event in yaml.parse(text, _Loader):
        if isinstance(event, yaml.AliasEvent):
            if event.anchor not in sizes:
                raise CardYamlError(f"the alias *{str(event.anchor)[:60]} has no anchor before it")
            size += sizes[event.anchor]
            by_alias += sizes[event.anchor]
            if by_alias > most:
                raise CardYamlError("its aliases stand for far more than the text itself; write it out")
        elif isinstance(event, yaml.CollectionStartEvent):
            open_.append((event.anchor, size))
            size += 2
            if len(open_) > _DEEPEST:
                raise CardYamlError(f"it is nested too deep: more than {_DEEPEST} levels")
        elif isinstance(event, yaml.CollectionEndEvent):
            anchor, before = open_.pop()
            if anchor is not None:
                sizes[anchor] = size - before
        elif isinstance(event, yaml.ScalarEvent):
            size += len(event.value) + 2
            if event.anchor is not None:
                sizes[event.anchor] = len(event.value) + 2


def plain(value: Any) -> Any:
    """The same as JSON can hold it: dates, sets and what is no number as text, half characters replaced.

    >>> plain({"when": float("nan"), 3: ["a"]})
    {'when': 'nan', '3': ['a']}
    """
    if isinstance(value, dict):
        return {_text(key): plain(child) for key, child in value.items()}
    if isinstance(value, list):
        return [plain(child) for child in value]
    if value is None or isinstance(value, bool | int):
        return value
    if isinstance(value, float):
        return value if math.isfinite(value) else str(value)
    return _text(value)


def _text(value: Any) -> str:
    return str(value).encode("utf-8", "replace").decode()
