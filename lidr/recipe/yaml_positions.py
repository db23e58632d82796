"""Read YAML safely, remembering where each value stands.

Only the types of YAML 1.2's core schema are recognised: `no` stays a string (Norwegian), `8:16` is no base-60 number,
`1e-5` is a float. A key that stands twice is an error, not the last one's word.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NamedTuple

import yaml

from lidr.errors import RecipeError

KeyPath = tuple[str | int, ...]
"""Where a value stands: ("chain", 2, "pair", "drop")."""


class Mark(NamedTuple):
    """A place in a file; line and column count from 1."""

    file: str
    line: int
    column: int

    def __str__(self) -> str:
        return f"{self.file}:{self.line}:{self.column}"


@dataclass(frozen=True)
class Document:
    """A YAML file as plain data, its text, and where every key path in it stands."""

    file: str
    text: str
    data: Any
    marks: Mapping[KeyPath, Mark]

    def mark(self, path: KeyPath) -> Mark:
        """Where the path stands, or its nearest parent that stands in a file."""
        while path not in self.marks:
            path = path[:-1]
        return self.marks[path]

    def where(self, path: KeyPath) -> str:
        """Give `file:line:column` of the path, or of its nearest parent that stands in the file."""
        return str(self.mark(path))


class _Loader(yaml.SafeLoader):
    """YAML 1.2's core types, and no aliases: a recipe says each thing where it stands."""

    def compose_node(self, parent: yaml.Node | None, index: Any) -> yaml.Node | None:
        if self.check_event(yaml.AliasEvent):
            mark = self.peek_event().start_mark  # type: ignore[no-untyped-call]  # missing in the stubs
            raise yaml.composer.ComposerError(None, None, "an alias (*) is not allowed; write the value again", mark)
        return super().compose_node(parent, index)

    yaml_implicit_resolvers: dict[str, list[tuple[str, re.Pattern[str]]]] = {}  # noqa: RUF012


_SHORT = r"(?=.{1,32}$)"  # a commit of 40 hex digits stays text, though it may look like a number

for _tag, _pattern, _first in (
    ("bool", r"true|True|TRUE|false|False|FALSE", "tTfF"),
    ("null", r"~|null|Null|NULL|", ["~", "n", "N", ""]),
    ("int", rf"{_SHORT}[-+]?[0-9]+", "-+0123456789"),
    ("float", rf"{_SHORT}[-+]?(\.[0-9]+|[0-9]+(\.[0-9]*)?)([eE][-+]?[0-9]+)?", "-+.0123456789"),
):
    _Loader.add_implicit_resolver(f"tag:yaml.org,2002:{_tag}", re.compile(f"^(?:{_pattern})$"), list(_first))


_Loader.add_constructor("tag:yaml.org,2002:int", lambda loader, node: int(node.value))  # 010 is ten, as in YAML 1.2
_Loader.add_constructor("tag:yaml.org,2002:float", lambda loader, node: float(node.value))


def read_yaml(path: Path) -> Document:
    """Read one YAML file.

    Raises:
        RecipeError: no such file, not UTF-8, not YAML, nested too deep, a tag, an alias, or a key that stands twice.
    """
    file = str(path)
    try:
        text = path.read_text(encoding="utf-8")
    except FileNotFoundError:
        raise RecipeError([f"{file}: no such recipe; `lidr ls` lists those that ship with lidr"]) from None
    except OSError as error:
        raise RecipeError([f"{file}: cannot be read ({error.strerror}); give a recipe file"]) from None
    except UnicodeDecodeError as error:
        raise RecipeError([f"{file}: not UTF-8 at byte {error.start}; save the file as UTF-8"]) from None
    try:
        root = yaml.compose(text, Loader=_Loader)
    except yaml.YAMLError as error:
        mark = getattr(error, "problem_mark", None)
        where = f"{file}:{mark.line + 1}:{mark.column + 1}" if mark else file
        raise RecipeError([f"{where} not YAML: {getattr(error, 'problem', None) or error}"]) from None
    except RecursionError:
        raise RecipeError([f"{file}: lists or mappings nested too deep; no recipe is"]) from None
    if root is None:
        raise RecipeError([f"{file}: the file is empty; `lidr cp quickstart {file}` gives a start"])
    marks: dict[KeyPath, Mark] = {}
    problems: list[str] = []
    data = _plain(root, (), marks, problems, file)
    if problems:
        raise RecipeError(problems)
    return Document(file, text, data, marks)


def read_value(text: str) -> Any:
    """Read one value as YAML would, for `--set key=value`.

    Raises:
        ValueError: the text is not YAML.
    """
    try:
        return yaml.load(text, Loader=_Loader)
    except yaml.YAMLError as error:
        raise ValueError(getattr(error, "problem", None) or str(error)) from None


def _plain(node: yaml.Node, path: KeyPath, marks: dict[KeyPath, Mark], problems: list[str], file: str) -> Any:
    marks.setdefault(path, Mark(file, node.start_mark.line + 1, node.start_mark.column + 1))
    if isinstance(node, yaml.MappingNode):
        result: dict[str, Any] = {}
        for key_node, value_node in node.value:
            key = str(key_node.value)
            mark = Mark(file, key_node.start_mark.line + 1, key_node.start_mark.column + 1)
            if key in result:
                problems.append(f"{mark} {dotted((*path, key))}: this key stands twice; keep one")
            marks[(*path, key)] = mark
            result[key] = _plain(value_node, (*path, key), marks, problems, file)
        return result
    if isinstance(node, yaml.SequenceNode):
        return [_plain(child, (*path, i), marks, problems, file) for i, child in enumerate(node.value)]
    try:
        return _Loader("").construct_object(node)
    except yaml.YAMLError:
        problems.append(f"{marks[path]} {dotted(path)}: the tag {node.tag} is not allowed; write a plain value")
        return None


def dotted(path: KeyPath) -> str:
    """Write a key path as people do.

    >>> dotted(("chain", 2, "pair", "drop"))
    'chain[2].pair.drop'
    """
    text = "".join(f"[{part}]" if isinstance(part, int) else f".{part}" for part in path)
    return text.removeprefix(".") or "(top level)"
