"""lidr: recipes, preference pairs and evaluation for Language Imbalance Driven Rewarding (arXiv 2410.08964).

    recipe = lidr.load_recipe("recipes/quickstart.yaml")
    for step in lidr.plan(recipe).steps:
        print(step.place, step.state)
    lidr.run(recipe)

Importing lidr loads no torch and no vllm.
"""

from typing import TYPE_CHECKING

from lidr.lazy import lazily

if TYPE_CHECKING:
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
    from lidr.lazy import lazily
    from lidr.pipeline import load_recipe, plan, run
    from lidr.preferences import load_pairs
    from lidr.version import __version__

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
    "__version__",
    "lazily",
    "load_pairs",
    "load_recipe",
    "plan",
    "run",
]
__getattr__ = lazily(__name__)
