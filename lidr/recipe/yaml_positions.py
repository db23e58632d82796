"""Read YAML safely, remembering where each value stands.

Only the types of YAML 1.2's core schema are recognised: `no` stays a string (Norwegian), `8:16` is no base-60 number,
`1e-5` is a float. A key that stands twice is an error, not the last one's word.
"""

from __future__ import annotations

import contextlib
import difflib
import re
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NamedTuple

import yaml

from lidr.errors import Problem, RecipeError

KeyPath = tuple[str | int, ...]
"""Where a value stands: ("chain", 2, "pair", "drop")."""


Problems = list[tuple[KeyPath, str | Problem]]
"""Where each is, and what."""


class Mark(NamedTuple):
    """A place in a file; line and column count from 1. Of a value from the command line: `--set "key=value"`."""

    file: str
    line: int | None = None
    column: int | None = None

    def __str__(self) -> str:
        return ":".join(str(part) for part in self if part is not None)

    def problem(self, path: KeyPath, text: str) -> Problem:
        """What is wrong here."""
        return Problem(text, path=dotted(path), file=self.file, line=self.line, column=self.column)


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


class _Quick(getattr(yaml, "CSafeLoader", yaml.SafeLoader)):  # type: ignore[misc]  # PyYAML may be built without libyaml
    """The same types, by libyaml: some ten times as fast."""

    yaml_implicit_resolvers = _Loader.yaml_implicit_resolvers


_NOT_QUICK = frozenset("&*!?%\t")
"""Characters of aliases, tags, complex keys and directives, and tabs: where libyaml may read otherwise than PyYAML."""


def _composed(text: str) -> yaml.Node | None:
    """The nodes of a text. What is wrong in it PyYAML says, in the words that `_YAML_ADVICE` knows."""
    if text.isascii() and _NOT_QUICK.isdisjoint(text):
        with contextlib.suppress(yaml.YAMLError):
            return yaml.compose(text, Loader=_Quick)
    return yaml.compose(text, Loader=_Loader)


MOST_BYTES = 256_000
"""Of a recipe's file. The largest that ships with lidr has 5,000."""
DEEPEST = 100
"""Lists and mappings within each other."""


def read_yaml(path: Path, *, kind: str = "recipe file") -> Document:
    """Read one YAML file.

    Args:
        path: the file.
        kind: what it is, for messages.

    Raises:
        RecipeError: no such file, more than MOST_BYTES, not UTF-8, not YAML, nested too deep, a tag, an alias, or a
            key that stands twice.
    """
    file = str(path)
    try:
        with path.open("rb") as opened:
            content = opened.read(MOST_BYTES + 1)
        if len(content) > MOST_BYTES:
            raise RecipeError(
                [f"{file}: more than {MOST_BYTES:,} bytes, the most that a {kind} has; is it the file that was meant?"]
            )
        text = content.decode("utf-8").replace("\r\n", "\n").replace("\r", "\n")
    except FileNotFoundError:
        raise RecipeError([f"{file}: no such recipe{_near(path)}; `lidr ls` lists those that ship with lidr"]) from None
    except OSError as error:
        raise RecipeError([f"{file}: cannot be read ({error.strerror}); give a {kind}"]) from None
    except UnicodeDecodeError as error:
        raise RecipeError([f"{file}: not UTF-8 at byte {error.start}; save the file as UTF-8"]) from None
    marks: dict[KeyPath, Mark] = {}
    problems: list[Problem] = []
    try:
        root = _composed(text)
        data = None if root is None else _plain(root, (), marks, problems, file, _Loader(""))
    except yaml.YAMLError as error:
        raise RecipeError([_not_yaml(file, error)]) from None
    except RecursionError:
        raise RecipeError([f"{file}: lists or mappings nested too deep; no recipe is"]) from None
    if root is None:
        start = (
            f"`lidr cp quickstart {file}` gives a start" if kind == "recipe file" else "is it the file that was meant?"
        )
        raise RecipeError([f"{file}: the file is empty; {start}"])
    if problems:
        raise RecipeError(problems)
    return Document(file, text, data, marks)


def _near(path: Path) -> str:
    """A recipe beside it that may have been meant."""
    there = {one.name: one for ending in ("*.yaml", "*.yml") for one in path.parent.glob(ending)}
    stems = {one.stem: one for one in there.values()}
    near = difflib.get_close_matches(path.name, [*stems, *there], n=1)
    return f"; did you mean {(stems | there)[near[0]]}?" if near else ""


_YAML_ADVICE = (
    ("expected the node content, but found ','", "a comma too many: take one out"),
    (
        "mapping values are not allowed",
        "a colon and a space make a key: quote a text that holds them",
    ),
    ("could not find expected ':'", "a key needs a colon and a space after it"),
    ("found character '\\t'", "indent with spaces, not with tabs"),
    ("expected <block end>", "this line is indented otherwise than those it belongs to"),
    ("expected ',' or", "close the bracket, and put a comma between entries"),
    ("found unexpected end of stream", "a quote or a bracket is never closed"),
    ("found character '@'", "quote a text that begins with @"),
    ("found character '`'", "quote a text that begins with a backquote"),
)
"""What PyYAML says -> what to do."""


def _not_yaml(file: str, error: yaml.YAMLError) -> Problem:
    mark = getattr(error, "problem_mark", None)
    said = str(getattr(error, "problem", None) or error)
    advice = next((advice for words, advice in _YAML_ADVICE if words in said), "")
    text = f"not YAML: {said}{f'; {advice}' if advice else ''}"
    if mark is None:
        return Problem(text, file=file)
    return Problem(text, file=file, line=mark.line + 1, column=mark.column + 1)


def read_value(text: str) -> Any:
    """Read one value as YAML would, for `--set key=value`.

    Raises:
        ValueError: the text is not YAML.
    """
    try:
        return yaml.load(text, Loader=_Loader)
    except yaml.YAMLError as error:
        raise ValueError(getattr(error, "problem", None) or str(error)) from None


def _plain(
    node: yaml.Node, path: KeyPath, marks: dict[KeyPath, Mark], problems: list[Problem], file: str, loader: _Loader
) -> Any:
    if len(path) > DEEPEST:
        raise RecursionError
    marks.setdefault(path, Mark(file, node.start_mark.line + 1, node.start_mark.column + 1))
    if isinstance(node, yaml.MappingNode):
        result: dict[str, Any] = {}
        for key_node, value_node in node.value:
            key = str(key_node.value)
            mark = Mark(file, key_node.start_mark.line + 1, key_node.start_mark.column + 1)
            if key in result:
                problems.append(mark.problem((*path, key), "this key stands twice; keep one"))
            marks[(*path, key)] = mark
            result[key] = _plain(value_node, (*path, key), marks, problems, file, loader)
        return result
    if isinstance(node, yaml.SequenceNode):
        return [_plain(child, (*path, i), marks, problems, file, loader) for i, child in enumerate(node.value)]
    try:
        return loader.construct_object(node)
    except (yaml.YAMLError, ValueError, TypeError, LookupError, AttributeError, OverflowError):  # `!!int abc`, too
        problems.append(marks[path].problem(path, f"the tag {node.tag} is not allowed; write a plain value"))
        return None


def dotted(path: KeyPath) -> str:
    """Write a key path as people do.

    >>> dotted(("chain", 2, "pair", "drop"))
    'chain[2].pair.drop'
    """
    text = "".join(f"[{part}]" if isinstance(part, int) else f".{part}" for part in path)
    return text.removeprefix(".") or "(top level)"


def kind_said(value: Any) -> str:
    """What a value of YAML is, for messages."""
    names = {
        str: "text",
        bool: "yes or no",
        int: "a whole number",
        float: "a number",
        list: "a list",
        dict: "a mapping",
    }
    return names.get(type(value), "nothing" if value is None else type(value).__name__)
