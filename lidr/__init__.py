"""lidr: recipes, preference pairs and evaluation for Language Imbalance Driven Rewarding (arXiv 2410.08964).

    recipe = lidr.load_recipe("recipes/quickstart.yaml")
    for step in lidr.plan(recipe).steps:
        print(step.place, step.state)
    lidr.run(recipe)

Importing lidr loads no torch and no vllm.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
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
from lidr.version import __version__ as __version__

if TYPE_CHECKING:
    from datasets import Dataset

    from lidr.pipeline import Plan, Say
    from lidr.recipe.schema import Recipe

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
    "load_pairs",
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
    from lidr.recipe.load import read_recipe
    from lidr.steps import CHAIN_STEPS

    return read_recipe(Path(path), CHAIN_STEPS, overrides)


def load_pairs(
    reference: str,
    *,
    languages: Sequence[str] | None = None,
    kinds: Sequence[str] | None = None,
    iterations: Sequence[int] | None = None,
    min_margin: float | None = None,
    config: str | None = None,
    split: str | None = None,
    columns: Mapping[str, str | None] | None = None,
    language: str | None = None,
) -> Dataset:
    """Read preference pairs wherever they stand, as rows that TRL trains on as they are.

    Args:
        reference: `org/name[@rev]` on the Hub, `run:NAME[@VERSION][/iter_K/STEP]`, or a folder or file. A tag is
            resolved to a commit, and what is read is that commit: when the Hub is away, this fails instead of giving
            another cached revision.
        languages: only pairs of these non-dominant languages, of either kind.
        kinds: only `dominant` or `non_dominant`.
        iterations: only these, from 1.
        min_margin: only pairs scored at least so far apart.
        config, split: of a data set; by default its default configuration, and all its iterations.
        columns: of a set that is not lidr's, what each column is: `{"prompt": "question"}`; None where there is none.
        language: of every row of such a set, where no column says it.

    Warns:
        UserWarning: rows that cannot be read as pairs were left out; it says how many and why.

    Returns:
        Columns as in `lidr.rows.Pair`; `prompt`, `chosen` and `rejected` are message lists. Mapped into memory from a
        temporary file, which is gone when Python ends.

    Raises:
        HubError, StoreError: the pairs are not there, or not as the Hub has them.
        RowError: a column is missing, nothing is of what was asked for, or a margin is asked of unscored pairs.
    """
    from lidr.preferences import read_pairs

    return read_pairs.load_pairs(
        reference,
        languages=languages,
        kinds=kinds,
        iterations=iterations,
        min_margin=min_margin,
        config=config,
        split=split,
        columns=columns,
        language=language,
    )


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
