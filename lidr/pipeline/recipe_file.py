"""A recipe file, read with the settings of every step that a chain may name."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from lidr.recipe import Recipe, read_recipe
from lidr.steps import CHAIN_STEPS


def load_recipe(path: str | Path, *, overrides: Sequence[str] = (), alone: bool = False) -> Recipe:
    """Read and check a recipe file.

    Args:
        path: the YAML file.
        overrides: `key=value` texts, as `--set` takes them: `"chain.train.epochs=2"`.
        alone: a recipe of others, which names no base: that would be a file of this machine.

    Raises:
        RecipeError: with every problem of the file, each as `file:line:column path: found, allowed, did you mean`.
    """
    return read_recipe(Path(path), CHAIN_STEPS, overrides, alone=alone)
