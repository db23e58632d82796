"""lidr: recipes, preference pairs and evaluation for Language Imbalance Driven Rewarding (arXiv 2410.08964).

    recipe = lidr.load_recipe("recipes/quickstart.yaml")
    for step in lidr.plan(recipe).steps:
        print(step.place, step.state)
    lidr.run(recipe)

Importing lidr loads no torch and no vllm.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from lidr.errors import (
    EngineError,
    EvaluationError,
    HubError,
    LidrError,
    MissingExtraError,
    PlanError,
    RecipeError,
    RowError,
    StoreError,
    TrainError,
)

if TYPE_CHECKING:
    from lidr.pipeline import Plan, Say
    from lidr.recipe.schema import Recipe

__version__ = "0.1.0"

__all__ = [
    "EngineError",
    "EvaluationError",
    "HubError",
    "LidrError",
    "MissingExtraError",
    "PlanError",
    "RecipeError",
    "RowError",
    "StoreError",
    "TrainError",
    "load_recipe",
    "plan",
    "run",
]


def load_recipe(path: str | Path, *, overrides: Sequence[str] = ()) -> Recipe:
    """Read and check a recipe file.

    Args:
        path: the YAML file.
        overrides: `key=value` texts, as `--set` takes them: `"chain.train.epochs=2"`.

    Raises:
        RecipeError: with every problem of the file, each as `file:line:column path: found, allowed, did you mean`.
    """
    from lidr.recipe.load import load
    from lidr.steps import CHAIN_STEPS

    return load(Path(path), CHAIN_STEPS, overrides)


def plan(recipe: Recipe, *, until: str | None = None) -> Plan:
    """Make a recipe concrete: every step with its artifact, and whether it is there, new or drifted.

    Raises:
        PlanError: the chain cannot be carried out.
        StoreError: the store holds a damaged record, or one from a newer lidr.
    """
    from lidr import pipeline

    return pipeline.plan(recipe, until=until)


def run(
    recipe: Recipe,
    *,
    until: str | None = None,
    rebuild: Sequence[str] = (),
    allow_unpinned: bool = False,
    say: Say | None = None,
) -> Plan:
    """Carry out a recipe; what is in the store already is not made again. Returns the plan as it then stands.

    Args:
        recipe: from `load_recipe`.
        until: stop each iteration after this step.
        rebuild: steps to make again, with all that follows from them.
        allow_unpinned: pin an unpinned Hub model to the commit that it has now, and run.
        say: called with one line of text for each step.

    Raises:
        LidrError: any of its kinds; what was finished is kept, and the same call goes on from there.
    """
    from lidr import pipeline

    return pipeline.run(
        recipe, until=until, rebuild=rebuild, allow_unpinned=allow_unpinned, say=say or (lambda text: None)
    )
