"""What a real policy says to held-out prompts, and how likely it finds reference answers, before training and after.

    untrained   SmolLM2-135M-Instruct as it comes
    lidr        recipes/real_policy.yaml: language imbalance, one iteration
    swapped     recipes/real_policy/swapped.yaml: the same pairs, chosen and rejected exchanged
    sft         recipes/real_policy/sft.yaml: the chosen answers of the same pairs alone
    strict      recipes/real_policy/strict.yaml: language imbalance, pairs of translations in their language alone

All of it stands in one store (LIDR_PROVE_STORE, else runs/real_policy): the trained arms share answers, translations
and pairs, and a killed one goes on where it was.
"""

from __future__ import annotations

import json
import os
import sys
from collections import Counter
from collections.abc import Sequence
from pathlib import Path
from typing import Any, NamedTuple

import polars as pl

import lidr
from lidr.api.run_result import RunResult
from lidr.resources import shared
from lidr.rows import Pair, Prompt, Response, Translation
from lidr.store import Artifact, open_artifact
from lidr.train import AskedLogp, answer_logps
from lidr.transforms import identify

RECIPES = {
    "untrained": "real_policy",
    "lidr": "real_policy",
    "swapped": "real_policy/swapped",
    "sft": "real_policy/sft",
    "strict": "real_policy/strict",
}
DOMINANT, OTHERS = "en", ("es", "fr", "de")
LANGUAGES = (DOMINANT, *OTHERS)
HELD_OUT = shared("recipes") / "prompts" / "everyday_held_out"
_MAX_LENGTH, _TOGETHER = 1024, 8


class Item(NamedTuple):
    """One held-out prompt in one language: the language of the policy's answer (None: it cannot be told), and the mean
    log-likelihood of the reference answer's tokens, nats.
    """

    language: str | None
    logp: float


Items = dict[str, list[Item]]
"""Language -> its items, in the order of the held-out prompts."""


def store() -> Path:
    """Where all runs stand."""
    return Path(os.environ.get("LIDR_PROVE_STORE", "runs/real_policy")).resolve()


def run_arm(arm: str, more: Sequence[str] = ()) -> tuple[RunResult, Path]:
    """Run what an arm needs, as far as it is not there yet.

    Args:
        arm: a key of RECIPES.
        more: overrides, as of `--set`.

    Returns:
        The run, and the folder of the policy that is measured.
    """
    file = shared("recipes") / f"{RECIPES[arm]}.yaml"
    recipe = lidr.load_recipe(file, overrides=[f"runtime.store={store()}", *more])
    made = lidr.run(recipe, until="policy" if arm == "untrained" else None, say=_saying(arm))
    if arm == "untrained":
        return made, made.folder(next(step for step in made.steps if step.name == "policy")) / "model"
    assert made.policy is not None
    return made, made.policy


def measure(name: str, policy: Path, rows: Path = HELD_OUT, more: Sequence[str] = ()) -> Items:
    """Ask a policy the held-out prompts as the recipe asks its prompts, and score the reference answers.

    Args:
        name: of the run that asks, in the store.
        policy: its folder.
        rows: held-out prompts, a file for each language with `id`, `instruction` and `output`.
        more: overrides of the recipe that asks.
    """
    references = {code: _read(rows / f"{code}.jsonl") for code in LANGUAGES}
    file = shared("recipes") / "real_policy.yaml"
    count = len(references[DOMINANT])
    words = ["name=real-policy-held-out", f"version=0.1.0-{name}", f"policy={{model: {policy}}}",
             f"prompts.source={rows}", f'iterations=[{{prompts: "0:{count}"}}]',
             f"runtime.store={store()}"]  # fmt: skip
    recipe = lidr.load_recipe(file, overrides=[*words, *more])
    made = lidr.run(recipe, until="generate", say=_saying(f"{name}: held out"))
    asked = {(row["prompt_id"], row["language"]): row["text"] for row in rows_of(made, Prompt.name)}
    answers = {(row["prompt_id"], row["language"]): row["text"] for row in rows_of(made, Response.name)}
    logps = _reference_logps(policy, references, asked)
    items: Items = {}
    for code, table in references.items():
        texts = [answers[row["id"], code].strip() for row in table]
        found = identify(pl.Series(texts, dtype=pl.String), LANGUAGES, asked=code)["language"].to_list()
        items[code] = [
            Item(said if text else None, logps[row["id"], code])
            for row, said, text in zip(table, found, texts, strict=True)
        ]
    return items


def _reference_logps(
    policy: Path, references: dict[str, list[dict[str, str]]], asked: dict[tuple[str, str], str]
) -> dict[tuple[str, str], float]:
    rows = [
        AskedLogp(f"{code}/{row['id']}", [{"role": "user", "content": asked[row["id"], code]}], row["output"])
        for code, table in references.items()
        for row in table
    ]
    batches = [rows[start : start + _TOGETHER] for start in range(0, len(rows), _TOGETHER)]
    loading = {"log": store() / "likelihoods.log", "dtype": "float32", "threads": 0, "double_bos": False, "form": {}}
    found = {}
    for key, nats, tokens, reason in answer_logps(policy, batches, _MAX_LENGTH, loading):
        assert nats is not None, f"{key}: {reason}"
        code, _, id = key.partition("/")
        found[id, code] = nats / tokens
    return found


def translation_counts(made: RunResult) -> dict[str, dict[str, int]]:
    """Source>target -> status -> translations of the run."""
    found: dict[str, Counter[str]] = {}
    for row in rows_of(made, Translation.name):
        found.setdefault(f"{row['source']}>{row['target']}", Counter())[row["status"]] += 1
    return {way: dict(sorted(found[way].items())) for way in sorted(found)}


def pair_counts(made: RunResult) -> dict[str, int]:
    """Language -> pairs that were trained on."""
    counted = Counter(row["language"] for row in rows_of(made, Pair.name))
    return {code: counted[code] for code in LANGUAGES}


def rejected_elsewhere(made: RunResult) -> dict[str, int]:
    """Language -> pairs that were trained on whose rejected text is in another language."""
    pairs = pl.DataFrame(
        [{name: row[name] for name in ("language", "rejected_text")} for row in rows_of(made, Pair.name)]
    )
    told = identify(pairs["rejected_text"], LANGUAGES, asked=pairs["language"])["language"]
    counted = Counter(pairs["language"].filter(told != pairs["language"]).to_list())
    return {code: counted[code] for code in LANGUAGES}


def rows_of(made: RunResult, rows: str) -> list[dict[str, Any]]:
    """The last rows of this kind that the run made."""
    folders = [made.folder(step) for step in made.steps if (made.folder(step) / "record.json").is_file()]
    found: list[Artifact] = [one for one in map(open_artifact, folders) if one.record.writes == rows]
    table: list[dict[str, Any]] = found[-1].read().to_pylist()
    return table


def _read(path: Path) -> list[dict[str, str]]:
    return [json.loads(line) for line in path.read_text(encoding="utf-8").splitlines()]


def _saying(name: str) -> Any:
    return lambda text: print(f"{name}: {text}", file=sys.stderr)
