"""Packages that only some parts of lidr need."""

from __future__ import annotations

import importlib.util
from collections.abc import Iterable

from lidr.errors import MissingExtraError


def require(extra: str, packages: Iterable[str], *, needed_for: str) -> None:
    """Raise MissingExtraError, which says what to install, for the first of the packages that is not there."""
    for package in packages:
        if importlib.util.find_spec(package) is None:
            raise MissingExtraError(extra, needed_for=needed_for, missing=package)


def has(package: str) -> bool:
    """Whether a package is installed; it is not loaded."""
    return importlib.util.find_spec(package) is not None
