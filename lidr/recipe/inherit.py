"""Recipes that share a base: `base: ../llama3-8b/instruct.yaml` at the top, and below it only what differs.

    base: instruct.yaml
    name: llama3-8b-no-nll
    chain:
      - train: {nll: {weight: 0}}

Mappings are merged, key by key. Every other value takes the place of the base's: a list whole, `null` too, and a value
with its provenance. The chain is merged by the names of its steps: a step that the base has keeps its place, a new one
comes after the step that stands before it in the list. `without: [gate]` leaves steps of the base out. Each recipe has
a name of its own; a base may have a base.
"""

from __future__ import annotations

import difflib
import hashlib
import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from lidr.errors import Problem, RecipeError
from lidr.recipe.dump import header_of, written_out
from lidr.recipe.yaml_positions import Document, KeyPath, Mark, read_yaml

WRAPPER = frozenset(("value", "provenance", "source"))
_OWN = ("base", "without")  # keys of the file, not of the recipe that comes out


def read_whole(path: Path, *, alone: bool = False) -> Document:
    """Read a recipe file together with its base, and that one's base.

    Args:
        alone: a recipe of others: it names no base, which would be a file of this machine.

    Returns:
        What they say together; each value with its place in the file that says it. `text` is the file verbatim, or,
        where there is a base, the whole recipe written out, which stands alone.

    Raises:
        RecipeError: a file cannot be read, bases go in a circle, or a step cannot be placed or left out.
    """
    if alone:
        return _alone(read_yaml(path))
    documents = _with_bases(path)
    whole = documents[-1]
    if len(documents) == 1:
        return whole
    for document in reversed(documents[:-1]):
        whole = _Merger(whole, document).merged()
    return Document(str(path), _text(documents, whole.data), whole.data, whole.marks)


def _alone(document: Document) -> Document:
    for key in _OWN:
        if isinstance(document.data, dict) and key in document.data:
            where = document.where((key,))
            raise RecipeError(
                [f"{where} {key}: a recipe of others stands alone; a base would be a file of this machine"]
            )
    return document


def step_name(entry: Any) -> Any:
    """The step that an entry of a chain is: `pair`, or `{pair: {...}}`; of anything else None."""
    if isinstance(entry, dict):
        return next(iter(entry)) if len(entry) == 1 else None
    return entry if isinstance(entry, str) else None


def is_wrapped(value: Any) -> bool:
    """Whether it is a value with its provenance."""
    return isinstance(value, dict) and "value" in value and set(value) <= WRAPPER


def _with_bases(path: Path) -> list[Document]:
    """The file, its base, that one's base, ..."""
    documents: list[Document] = []
    seen: list[Path] = []
    while True:
        document = _read_base(path, documents[-1]) if documents else read_yaml(path)
        documents.append(document)
        seen.append(path.resolve())
        if not isinstance(document.data, dict) or "base" not in document.data:
            if isinstance(document.data, dict) and "without" in document.data:
                raise RecipeError([f"{document.where(('without',))} without: it leaves out steps of a base; name one"])
            return documents
        path = _base_of(document, Path(document.file).parent)
        if path.resolve() in seen:
            raise RecipeError([f"{document.where(('base',))} base: {path} has this recipe as its own base: a circle"])


def _base_of(document: Document, folder: Path) -> Path:
    base = document.data["base"]
    if not isinstance(base, str) or not base.strip():
        raise RecipeError([f"{document.where(('base',))} base: write the file of another recipe, as ../base.yaml"])
    if "name" not in document.data:
        where = document.where(())
        raise RecipeError([f"{where} name: missing; a recipe with a base has a name of its own, hence its own results"])
    return Path(os.path.normpath(folder / Path(base).expanduser()))


def _read_base(path: Path, above: Document) -> Document:
    try:
        document = read_yaml(path)
    except RecipeError as error:
        if path.is_file():
            raise
        where = above.where(("base",))
        raise RecipeError([f"{where} base: no file {path}; it is looked for beside {above.file}"]) from error
    if not isinstance(document.data, dict):
        raise RecipeError([f"{document.where(())} a base is a recipe: a mapping of keys to values"])
    return document


class _Merger:
    """Lays one document over another, keeping where each value stands."""

    def __init__(self, base: Document, over: Document) -> None:
        self._base, self._over = base, over
        self._marks: dict[KeyPath, Mark] = {(): over.mark(())}
        self._problems: list[Problem] = []

    def _wrong(self, path: KeyPath, text: str) -> None:
        self._problems.append(self._over.mark(path).problem(path, text))

    def merged(self) -> Document:
        base = {key: value for key, value in self._base.data.items() if key not in _OWN}
        over = {key: value for key, value in self._over.data.items() if key not in _OWN}
        if "without" in self._over.data:
            over.setdefault("chain", [])
        data = self._mapping(base, (), over, (), ())
        if self._problems:
            raise RecipeError(self._problems)
        return Document(self._over.file, self._over.text, data, self._marks)

    def _mapping(
        self, base: Mapping[str, Any], base_at: KeyPath, over: Mapping[str, Any], over_at: KeyPath, at: KeyPath
    ) -> dict[str, Any]:
        """Merge two mappings that stand at `base_at` and `over_at` and will stand at `at`."""
        self._marks.setdefault(at, self._over.mark(over_at))
        merged: dict[str, Any] = {}
        for key in (*base, *(key for key in over if key not in base)):
            paths = (*base_at, key), (*over_at, key), (*at, key)
            if key not in over:
                merged[key] = self._copied(self._base, base[key], paths[0], paths[2])
            elif paths[2] == ("chain",) and isinstance(base.get(key), list) and isinstance(over[key], list):
                self._marks[paths[2]] = self._over.mark(paths[1])
                merged[key] = self._chain(base[key], over[key])
            elif _is_mapping(base.get(key)) and _is_mapping(over[key]):
                self._marks[paths[2]] = self._over.mark(paths[1])
                merged[key] = self._mapping(base[key], paths[0], over[key], paths[1], paths[2])
            else:
                merged[key] = self._copied(self._over, over[key], paths[1], paths[2])
        return merged

    def _chain(self, base: list[Any], over: list[Any]) -> list[Any]:
        """Merge by the names of the steps, then leave out what `without` names."""
        order = self._without(self._placed(base, over))
        here = {step_name(entry): number for number, entry in reversed([*enumerate(over)])}
        there = {step_name(entry): number for number, entry in enumerate(base)}
        return [self._entry(name, base, there.get(name), over, here.get(name), i) for i, name in enumerate(order)]

    def _placed(self, base: list[Any], over: list[Any]) -> list[Any]:
        """The names in their order; a new step comes after the one that stands before it."""
        order = [step_name(entry) for entry in base]
        before: str | None = None
        new: list[str] = []
        for number, entry in enumerate(over):
            name, at = step_name(entry), ("chain", number)
            if name is None:
                self._wrong(at, "each entry is one step, as `- pair: {drop: joint}`")
            elif [step_name(other) for other in over].index(name) < number:
                self._wrong(at, f'the step "{name}" stands twice; write it once')
            elif name in order:
                order[order.index(name) : order.index(name)] = new
                before, new = name, []
            elif before is not None:
                order.insert(order.index(before) + 1, name)
                before = name
            else:
                new.append(name)
        if new:
            self._wrong(
                ("chain",),
                f'the base has no step "{new[0]}"; say where it belongs: write '
                f"the step that it follows before it, as `- {order[-1]}` (the base has {', '.join(map(str, order))})",
            )
        return order

    def _entry(
        self, name: Any, base: list[Any], there: int | None, over: list[Any], here: int | None, number: int
    ) -> Any:
        at: KeyPath = ("chain", number)
        if here is None:
            assert there is not None
            return self._copied(self._base, base[there], ("chain", there), at)
        if there is None or not isinstance(over[here], dict):
            if there is None:
                return self._copied(self._over, over[here], ("chain", here), at)
            return self._copied(self._base, base[there], ("chain", there), at)
        settings = over[here][name]
        if not _is_mapping(settings) or not isinstance(base[there], dict) or not _is_mapping(base[there][name]):
            return self._copied(self._over, over[here], ("chain", here), at)
        self._marks[at] = self._over.mark(("chain", here))
        paths = ("chain", there, name), ("chain", here, name), (*at, name)
        self._marks[paths[2]] = self._over.mark(paths[1])
        return {name: self._mapping(base[there][name], paths[0], settings, paths[1], paths[2])}

    def _without(self, order: list[Any]) -> list[Any]:
        return [name for name in order if name not in self._left_out(order)]

    def _left_out(self, order: list[Any]) -> list[str]:
        names = self._over.data.get("without", [])
        if not isinstance(names, list):
            self._wrong(("without",), "write a list of steps, as [gate]")
            return []
        for number, name in enumerate(names):
            if name not in order:
                near = difflib.get_close_matches(str(name), map(str, order), n=1)
                hint = f'; did you mean "{near[0]}"?' if near else ";"
                said = f'the base has no step "{name}"{hint} ({", ".join(map(str, order))})'
                self._wrong(("without", number), said)
        return names

    def _copied(self, document: Document, value: Any, source: KeyPath, at: KeyPath) -> Any:
        """The value as it is, with its places."""
        self._marks[at] = document.mark(source)
        if isinstance(value, dict):
            return {key: self._copied(document, child, (*source, key), (*at, key)) for key, child in value.items()}
        if isinstance(value, list):
            return [self._copied(document, child, (*source, i), (*at, i)) for i, child in enumerate(value)]
        return value


def _is_mapping(value: Any) -> bool:
    return isinstance(value, dict) and not is_wrapped(value)


def _text(documents: list[Document], data: Mapping[str, Any]) -> str:
    """The recipe written out, under the head of its own file and a line that says of what it was made."""
    sums = [hashlib.sha256(document.text.encode()).hexdigest()[:12] for document in documents]
    names = [f"{Path(document.file).name} (sha256 {sum_})" for document, sum_ in zip(documents, sums, strict=True)]
    return f"{header_of(documents[0].text)}# Written out by lidr: {', over '.join(names)}.\n{written_out(data)}"
