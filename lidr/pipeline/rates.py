"""What a measured rate is a rate of. A plan promises nothing by the rate of another model, engine or machine."""

from __future__ import annotations

from typing import Any

from lidr.costs import this_machine
from lidr.recipe import Frozen, PolicyConfig, Recipe
from lidr.steps import Expected


def model_of(recipe: Recipe, config: Frozen, expected: Expected) -> PolicyConfig | None:
    """The model that a step runs: one of its own, else the policy; None where it runs none."""
    own: tuple[PolicyConfig, ...] = getattr(config, "models", ())
    runs_policy = expected.tokens or expected.trains or expected.unit == "model"
    return own[0] if own else recipe.policy if runs_policy else None


def engine_of(recipe: Recipe, config: Frozen, expected: Expected) -> str | None:
    """Who runs it; None where it is trained, or nothing is run."""
    if expected.trains or model_of(recipe, config, expected) is None:
        return None
    return getattr(config, "engine", None) or recipe.runtime.engine


def measured_on(recipe: Recipe, config: Frozen, expected: Expected) -> dict[str, Any]:
    """What decides how fast a step is, but for the amount: model, engine, kind of machine, length of a unit."""
    model, runtime = model_of(recipe, config, expected), recipe.runtime
    lora = getattr(config, "lora", None)
    of_training = {
        "adapter": lora.rank if lora is not None else 0,
        "gradient_checkpointing": runtime.gradient_checkpointing,
        "micro_batch": runtime.micro_batch,
        **runtime.model_dump(include={"train_processes", "sharding"}),  # where there are several
    }
    return {
        "machine": this_machine().kind,
        **({"model": model.model, "dtype": model.dtype} if model is not None else {}),
        **({"engine": engine} if (engine := engine_of(recipe, config, expected)) else {}),
        **(runtime.model_dump(include={"replicas"}) if engine else {}),  # where there are several
        **({"size": expected.size} if expected.size else {}),
        **(of_training if expected.trains else {}),
    }
