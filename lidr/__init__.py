"""lidr: recipes, preference pairs and evaluation for Language Imbalance Driven Rewarding (arXiv 2410.08964).

    result = lidr.run("recipes/quickstart.yaml")     result.pairs, .scores, .account, .policy, .report
    lidr.build_pairs("my.yaml").pairs                the preference pairs alone, as a polars data frame
    lidr.evaluate("org/model", ["en", "de"]).scores
    lidr.publish("my.yaml")
    lidr.reproduce("org/name@v0.1.0")

Importing lidr loads no torch and no vllm.
"""

from typing import TYPE_CHECKING

from lidr.lazy import lazily

if TYPE_CHECKING:
    from lidr.api import EvaluationResult, RunResult, build_pairs, evaluate, publish, run
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
    from lidr.pipeline import load_recipe, plan
    from lidr.preferences import load_pairs
    from lidr.report import report
    from lidr.reproduce import reproduce
    from lidr.version import __version__

__all__ = [
    "EngineError",
    "EvaluationError",
    "EvaluationResult",
    "HubError",
    "LidrError",
    "MissingExtraError",
    "PlanError",
    "RecipeError",
    "RowError",
    "RunResult",
    "StoreError",
    "TrainError",
    "__version__",
    "build_pairs",
    "evaluate",
    "lazily",
    "load_pairs",
    "load_recipe",
    "plan",
    "publish",
    "report",
    "reproduce",
    "run",
]
__getattr__ = lazily(__name__)
