"""The house as its own files show it: which module imports what, where, and what that loads. Nothing is imported here.

An import is `at the top` (it runs when the module is loaded), `in a function`, or `for types` (under TYPE_CHECKING).
A face, the `__init__` of a package, hands out names that stand under its TYPE_CHECKING: `from lidr.store import Record`
loads the module of Record, and that alone (lidr/lazy.py).
"""

from __future__ import annotations

import ast
from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping
from functools import cache, cached_property
from pathlib import Path
from typing import Literal, NamedTuple

Where = Literal["at the top", "in a function", "for types"]

HEAVY = frozenset(
    """
    pydantic yaml jinja2 httpx httpx2 rich tqdm lingua PIL num2words
    numpy scipy polars pyarrow datasets fsspec huggingface_hub
    torch transformers trl peft accelerate safetensors tokenizers gguf sentencepiece vllm lm_eval ray
    starlette uvicorn markdown_it urllib.request
    """.split()  # noqa: SIM905  # read as words
)
"""Packages that take long to load, or that come with an extra: what a quick command does not need it does not load.

tqdm looks harmless, and brought `lidr validate` some 10 ms; so does urllib.request, which brings http and ssl.
"""


class Import(NamedTuple):
    """One name that a module imports: of `module`, or, where `name` is None, the module itself."""

    module: str
    name: str | None
    where: Where
    line: int

    def __str__(self) -> str:
        return f"from {self.module} import {self.name}" if self.name else f"import {self.module}"


class House:
    """All modules below one folder that is a package."""

    def __init__(self, package: Path) -> None:
        self.package = package
        paths = (path for path in sorted(package.rglob("*.py")) if "_share" not in path.parts)
        self.paths = {self._name(path): path for path in paths}
        self.trees = {name: ast.parse(path.read_text(encoding="utf-8")) for name, path in self.paths.items()}
        self.packages = {name for name, path in self.paths.items() if path.name == "__init__.py"}
        self.imports = {name: tuple(self._imports(tree, "at the top")) for name, tree in self.trees.items()}

    def _name(self, path: Path) -> str:
        parts = path.relative_to(self.package.parent).with_suffix("").parts
        return ".".join(parts).removesuffix(".__init__")

    def _imports(self, node: ast.AST, where: Where) -> Iterator[Import]:
        for child in ast.iter_child_nodes(node):
            here = where
            if isinstance(child, ast.If) and ast.unparse(child.test) == "TYPE_CHECKING":
                here = "for types"
            elif isinstance(child, ast.FunctionDef | ast.AsyncFunctionDef):
                here = "in a function"
            if isinstance(child, ast.ImportFrom):
                for found in child.names:
                    whole = f"{child.module}.{found.name}"
                    if whole in self.paths:
                        yield Import(whole, None, here, child.lineno)
                    else:
                        yield Import(str(child.module), found.name, here, child.lineno)
            elif isinstance(child, ast.Import):
                yield from (Import(found.name, None, here, child.lineno) for found in child.names)
            yield from self._imports(child, here)

    def room(self, module: str) -> str:
        """The package that a module stands in; of a package itself."""
        return module if module in self.packages else module.rpartition(".")[0]

    @cached_property
    def homes(self) -> Mapping[str, Mapping[str, str]]:
        """Package -> name in its face -> the module that it comes from."""
        return {
            package: {one.name: one.module for one in self.imports[package] if one.name and one.where == "for types"}
            for package in self.packages
        }

    def home(self, one: Import) -> str:
        """The module that an import ends up in, through any number of faces."""
        module = one.module
        while one.name is not None and one.name in self.homes.get(module, {}):
            module = self.homes[module][one.name]
        return module

    def our_imports(self, module: str) -> Iterator[tuple[Import, str]]:
        """Imports of the house's own modules, each with the module that it ends up in."""
        for one in self.imports[module]:
            if one.module in self.paths:
                yield one, self.home(one)

    @cached_property
    def edges(self) -> dict[str, set[str]]:
        """Module -> the modules that it imports anywhere, for types too: the face, and what stands behind it."""
        found: dict[str, set[str]] = {}
        for module in self.paths:
            targets = {target for one, home in self.our_imports(module) for target in (one.module, home)}
            found[module] = targets - {module}
        return found

    def rooms_of(self, package: str) -> dict[str, set[str]]:
        """What stands in a package, modules and packages as wholes -> what else in it they import."""
        found: dict[str, set[str]] = defaultdict(set)
        for module, targets in self.edges.items():
            child = _child(package, module)
            if child:
                found[child] |= {other for target in targets if (other := _child(package, target)) and other != child}
        return found

    @cache  # noqa: B019  # one house a test run
    def heavy_of(self, module: str) -> frozenset[str]:
        """Heavy packages that are loaded when a module is."""
        seen: set[str] = set()
        heavy: set[str] = set()
        todo = [module]
        while todo:
            found = todo.pop()
            if found in seen or found not in self.paths:
                continue
            seen.add(found)
            todo += _above(found)
            for one in self.imports[found]:
                if one.where == "at the top":
                    heavy |= {one.module, one.module.split(".")[0]} & HEAVY
                    todo += [one.module, self.home(one)]
        return frozenset(heavy)

    def spares(self, module: str, one: Import) -> bool:
        """Whether an import inside a function keeps something heavy away from whoever loads the module."""
        if one.module not in self.paths:
            return not HEAVY.isdisjoint((one.module, one.module.split(".")[0]))
        loaded = self.heavy_of(one.module) | self.heavy_of(self.home(one))
        return bool(loaded - self.heavy_of(module))


def _child(package: str, module: str) -> str | None:
    """The part of a package, one level below it, that a module belongs to."""
    if not module.startswith(f"{package}."):
        return None
    return f"{package}.{module[len(package) + 1 :].split('.')[0]}"


def _above(module: str) -> list[str]:
    parts = module.split(".")
    return [".".join(parts[:number]) for number in range(1, len(parts))]


def circles(edges: Mapping[str, Iterable[str]]) -> list[list[str]]:
    """The strongly connected parts of a graph that have more than one node (Tarjan 1972).

    >>> circles({"a": ["b"], "b": ["c"], "c": ["b"], "d": ["a"]})
    [['b', 'c']]
    """
    number: dict[str, int] = {}
    low: dict[str, int] = {}
    stack: list[str] = []
    found: list[list[str]] = []

    def visit(node: str) -> None:
        number[node] = low[node] = len(number)
        stack.append(node)
        for other in edges.get(node, ()):
            if other not in number:
                visit(other)
                low[node] = min(low[node], low[other])
            elif other in stack:
                low[node] = min(low[node], number[other])
        if low[node] == number[node]:
            part = stack[stack.index(node) :]
            del stack[stack.index(node) :]
            if len(part) > 1:
                found.append(sorted(part))

    for node in edges:
        if node not in number:
            visit(node)
    return sorted(found)
