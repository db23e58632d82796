"""The GPU hours that the shipped recipes state: the plan's upper bounds over two assumed rates.

python -m tests.recipe.gpu_hours         one line for each recipe
"""

from __future__ import annotations

from lidr.pipeline import Plan

GENERATED = 4_000
"""Tokens a second that a 7B to 9B model in bfloat16 is assumed to write on one 80 GB GPU, 256 requests at once."""
TRAINED = 4_000
"""Tokens a second that the same is assumed to train on: LoRA, gradient checkpointing, the reference's pass included."""


def gpu_hours(planned: Plan) -> int:
    """Hours at most: every answer as long as it may be, every pair trained on at its longest, both sides."""
    written = sum(step.expected.tokens for step in planned.steps)
    trains = [step for step in planned.steps if step.name == "train"]
    trained = sum(step.expected.count * 2 * step.config.max_length * step.config.epochs for step in trains)
    return round((written / GENERATED + trained / TRAINED) / 3600)


def main() -> None:
    """Print them."""
    import lidr
    from lidr.cli.recipe.ls import shipped

    for name, path in shipped().items():
        if "/" in name:
            print(f"{name}: {gpu_hours(lidr.plan(lidr.load_recipe(path)))}")


if __name__ == "__main__":
    main()
