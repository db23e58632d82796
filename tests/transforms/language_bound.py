"""How well the lists of rules find prompts that are bound to their language: python -m tests.transforms.language_bound

Writes language_bound.json beside this file, from the data in LIDR_DATA; a test computes it again. The verdicts in
language_bound_verdicts.tsv are of one reader of the English prompts that the rules hit, ids and verdicts
only: `bound` (a translation of a good answer answers another prompt, or loses what was asked for), `partly` (much of it
survives: a story that must hold given words, a poem without a form), `free`.
"""

from __future__ import annotations

import json
import os
from collections import Counter
from pathlib import Path
from typing import Any

import polars as pl

from lidr.intervals import wilson
from lidr.resources import shared
from lidr.steps.pair.language_bound_prompts import read_rules
from lidr.transforms.language_bound import count_hits, detect

HERE = Path(__file__).parent
RESULT = HERE / "language_bound.json"
VERDICTS = HERE / "language_bound_verdicts.tsv"
LISTS = shared("recipes") / "data" / "language_bound"
LANGUAGES = ("en", "de", "es", "fr", "ru")
THRESHOLDS = (0.8, 0.5)


def prompts(path: Path) -> pl.DataFrame:
    """Id and instruction of a JSON-lines file of prompts."""
    rows = [json.loads(line) for line in path.read_text(encoding="utf-8").split("\n") if line.strip()]
    return pl.DataFrame({"id": [row["id"] for row in rows], "text": [row["instruction"] for row in rows]})


def verdicts() -> dict[str, str]:
    """Prompt id -> bound, partly, free."""
    lines = VERDICTS.read_text(encoding="utf-8").splitlines()
    return dict(line.split("\t") for line in lines if line and not line.startswith("#"))


def found(frame: pl.DataFrame, language: str, threshold: float) -> pl.DataFrame:
    """The prompts with what the rules of a language find in them."""
    rules = read_rules(LISTS / f"{language}.yaml")
    return pl.concat([frame, detect(frame["text"], rules, threshold=threshold)], how="horizontal")


def proportion(part: int, n: int) -> dict[str, Any]:
    """A share with its 95% interval (Wilson)."""
    low, high = wilson(part / n, n)
    return {"part": part, "n": n, "share": round(part / n, 4), "low": round(low, 4), "high": round(high, 4)}


def recall(frame: pl.DataFrame, language: str) -> dict[str, Any]:
    """Share of prompts, all of which ask for a translation, in which the class translation is found at 0.8."""
    hits = found(frame, language, 0.8).filter(pl.col("classes").list.contains("translation"))
    return proportion(hits.height, frame.height)


def precision(frame: pl.DataFrame, threshold: float) -> dict[str, Any]:
    """Of the English prompts that the rules would send to a policy, those that the reader found bound."""
    read = verdicts()
    ids = found(frame, "en", threshold).filter(pl.col("classes").list.len() > 0)["id"].to_list()
    counts = Counter(read[prompt_id] for prompt_id in ids)
    bound, partly = counts["bound"], counts["bound"] + counts["partly"]
    return {
        "hits": dict(sorted(counts.items())),
        "bound": proportion(bound, len(ids)),
        "bound_or_partly": proportion(partly, len(ids)),
    }


def by_rule(frame: pl.DataFrame, language: str) -> dict[str, Any]:
    """Hits of each rule; in English with the reader's verdicts, where the rule's score is at least 0.5."""
    rules = read_rules(LISTS / f"{language}.yaml")
    rows = found(frame, language, 0.8)
    hits = count_hits(rows)
    if language != "en":
        return {rule.name: hits[rule.name] for rule in rules}
    read = verdicts()
    table = {}
    for rule in rules:
        ids = rows.filter(pl.col("rules").list.contains(rule.name))["id"]
        counts = Counter(read[id] for id in ids) if rule.score >= 0.5 else Counter()
        table[rule.name] = {"score": rule.score, "hits": hits[rule.name], **dict(sorted(counts.items()))}
    return table


def measure(data: Path) -> dict[str, Any]:
    """All of it."""
    folder = data / "alpagasus"
    authors = prompts(folder / "translation_type_prompts.jsonl")
    frames = {language: prompts(folder / f"{language}.jsonl") for language in LANGUAGES}
    ids = authors["id"].implode()
    return {
        "note": "The English rules were tuned on these 2,000 prompts and read by one reader, so the precision is that "
        "of the sample; of the 88, 71 lie outside it. Of the other languages only the class translation is measured.",
        "data": "alpagasus (ZNLP/Language-Imbalance-Driven-Rewarding at bd9764e); 2,000 prompts a language",
        "recall_of_the_authors_88": recall(authors, "en"),
        "recall_of_those_among_the_2000": {
            language: recall(frame.filter(pl.col("id").is_in(ids)), language) for language, frame in frames.items()
        },
        "precision_en": {str(threshold): precision(frames["en"], threshold) for threshold in THRESHOLDS},
        "hits_by_rule": {language: by_rule(frame, language) for language, frame in frames.items()},
    }


if __name__ == "__main__":
    RESULT.write_text(json.dumps(measure(Path(os.environ["LIDR_DATA"])), indent=1) + "\n", encoding="utf-8")
