"""What the estimates of a plan rest on, in sentences: for who reads them and wants to know how far to trust them."""

from __future__ import annotations

from lidr import costs
from lidr.costs import Card, ModelShape
from lidr.pipeline.planned import Plan
from lidr.recipe import Recipe

_IF_READ = (
    "a reward model reads each answer once, after a prompt as long as an answer may be: 2 FLOP a parameter and token; "
    "by transformers one text after the other, which reads the weights each time"
)
_IF_FEW = (
    "runtime.engine_batch is {batch}: vLLM on a GPU answers hundreds at once, in a fraction of the time; "
    "--set runtime.engine_batch=256 plans so"
)
_FEW = 64
_EXCHANGE = "what the GPUs of one model and the processes of training say to each other, "
_IF_SLOWER = (
    "answers are counted as vLLM writes them, many at once without a pause; runtime.engine is transformers, which is "
    "slower than that: on a GPU take --set runtime.engine=vllm"
)


def sources_of(planned: Plan, card: Card, why: str, shapes: dict[str, ModelShape], *, reads: bool) -> tuple[str, ...]:
    """One sentence each: the models, the card, what is assumed, what is not counted, and what would change the numbers.

    Args:
        planned: the plan.
        card: that is estimated for. why: who says so.
        shapes: of the models whose time is estimated.
        reads: whether a model that only reads is among them.
    """
    runtime = planned.recipe.runtime
    waiting = any(step.expected.count > runtime.engine_batch for step in planned.steps if step.expected.tokens)
    has_few = runtime.engine == "vllm" and runtime.engine_batch < _FEW and waiting
    exchange = _EXCHANGE if _are_several(planned.recipe) else ""
    models = (f"{name}: {_count(shape.parameters)} parameters ({shape.source})" for name, shape in shapes.items())
    return (
        "; ".join(models),
        f"card: {card.name} ({why}): {card.memory} GB, {card.bandwidth:,} GB/s, {card.half:g} TFLOP/s in 16 bits, "
        f"{card.single:g} in float32, by {costs.SOURCE}",
        f"assumed, not measured: {costs.BANDWIDTH:.0%} of the bandwidth and {costs.ARITHMETIC:.0%} of the FLOP/s are "
        "reached; every answer and every pair as long as it may be",
        f"not counted: reading prompts, retries, {exchange}and starting engines, loading, "
        "merging and saving models, which is most of a short run's time",
        *([_IF_READ] if reads else []),
        *([_IF_SLOWER] if runtime.engine == "transformers" else []),
        *([_IF_FEW.format(batch=runtime.engine_batch)] if has_few else []),
    )


def _are_several(recipe: Recipe) -> bool:
    """Whether GPUs share a model, or a training."""
    return recipe.runtime.gpus_of_one > 1 or recipe.runtime.train_processes > 1


def _count(number: int) -> str:
    return f"{number / 1e9:.2f} billion" if number >= 1e9 else f"{number / 1e6:.1f} million"
