"""What the paper's setting costs by model size, from `lidr plan`'s own estimates: `python -m tests.documents.costs`.

It writes the table into the pages that have the two marks.
"""

from __future__ import annotations

import os
import re
import tempfile

from lidr import pipeline
from lidr.resources import shared
from tests.documents.blocks import ROOT

PAGES = ("README.md", "docs/models.md")
MODELS = {
    "1.5B": "Qwen/Qwen2.5-1.5B-Instruct",
    "3B": "Qwen/Qwen2.5-3B-Instruct",
    "8B": "meta-llama/Meta-Llama-3-8B-Instruct",
    "14B": "Qwen/Qwen2.5-14B-Instruct",
}
CARDS = ("RTX 4090", "A100 80GB", "H100")
_TABLE = re.compile(r"(?<=<!-- costs -->\n).*?(?=<!-- end of costs -->)", re.S)


def table() -> str:
    """One row a model: GPU hours on each card, memory of training, disk of the policies."""
    head = ["model", *(f"hours, {card}" for card in CARDS), "memory, training", "disk, policies"]
    rows = [head, ["---"] * len(head), *(_row(size, model) for size, model in MODELS.items())]
    return "".join(f"| {' | '.join(row)} |\n" for row in rows)


def _row(size: str, model: str) -> list[str]:
    hours, training, disk = [], "", ""
    for card in CARDS:
        overrides = [f"policy.model={model}", f"runtime.gpu={card}"]
        recipe = pipeline.load_recipe(shared("recipes") / "llama3-8b" / "instruct.yaml", overrides=overrides)
        costs = pipeline.costs_of(pipeline.plan(recipe))
        needs = {need.what: need.size for need in (*costs.memory, *costs.disk)}
        assert costs.card is not None
        fits = needs["train"] <= costs.card.memory * 1e9
        hours.append(f"{costs.gpu_hours:.0f}" if fits and costs.gpu_hours is not None else "too small")
        training, disk = (pipeline.gigabytes(needs[what]) for what in ("train", "policies"))
    return [size, *hours, training, disk]


def written(page: str) -> str:
    """A page with the table of today."""
    found = table()
    return _TABLE.sub(lambda _: found, (ROOT / page).read_text(encoding="utf-8"))


if __name__ == "__main__":
    os.environ["LIDR_STORE"] = tempfile.mkdtemp()  # nothing measured on this machine goes in
    os.environ.pop("LIDR_DATA", None)
    for page in PAGES:
        (ROOT / page).write_text(written(page), encoding="utf-8")
        print(f"{page}: written")
