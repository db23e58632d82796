"""The faces of packages: what a package gives others is named in its `__init__`, and loaded when it is first used.

A face imports its names under `if TYPE_CHECKING:`, where type checkers and editors find them, and ends with
`__getattr__ = lazily(__name__)`. So each name stands once, and `from lidr.store import Record` loads the module of
`Record` and no other: whoever reads a record does not wait for pyarrow.
"""

from __future__ import annotations

import importlib
import re
import sys
from collections.abc import Callable, Mapping
from functools import cache
from types import ModuleType
from typing import Any

# Read as text: `import ast` would take longer than `lidr --help`. A test holds it against the syntax tree.
_BLOCK = re.compile(r"^if TYPE_CHECKING:\n((?:    .*\n|\n)+)", re.MULTILINE)
_IMPORT = re.compile(r"^    from (\S+) import (\([^)]*\)|.*)$", re.MULTILINE)


def lazily(package: str) -> Callable[[str], Any]:
    """Make the `__getattr__` of a face.

    Args:
        package: the package's `__name__`.

    Returns:
        A function from a name to what it stands for. Nothing is kept: what stands in the module counts, at each use.

    Raises:
        AttributeError: the face has no such name.

    >>> lazily("lidr.store")("Record").__module__
    'lidr.store.record'
    """

    def get(name: str) -> Any:
        home = homes(package).get(name)
        if home is None:
            raise AttributeError(f"module {package!r} has no attribute {name!r}")
        return getattr(importlib.import_module(home), name)

    return get


class _CallablePackage(ModuleType):
    """A package that is also its main function: `lidr.report(recipe)` beside `lidr.report.page`."""

    def __call__(self, *args: Any, **kwargs: Any) -> Any:
        return getattr(self, _MAIN[self.__name__])(*args, **kwargs)


_MAIN: dict[str, str] = {}


def callable_as(package: str, name: str) -> None:
    """Let a package be called like the function of this name in its face.

    `lidr.report` is a function for users; once anything imports the package of that name, Python puts the package in
    the function's place, and so it must do the same.
    """
    _MAIN[package] = name
    sys.modules[package].__class__ = _CallablePackage


@cache
def homes(package: str) -> Mapping[str, str]:
    """Name -> the module that it comes from, by the imports in the package's `if TYPE_CHECKING:`."""
    loader = sys.modules[package].__spec__.loader  # type: ignore[union-attr]  # an imported package has both
    source = loader.get_source(package)  # type: ignore[union-attr]  # files and zip files have a source
    block = _BLOCK.search(source)
    imports = _IMPORT.findall(block[1]) if block else []
    return {name: module for module, names in imports for name in re.findall(r"\w+", names)}
