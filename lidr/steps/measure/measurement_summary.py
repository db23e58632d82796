"""What a measurement comes to: every number with its interval, reward accuracy, and the paper's figures beside them."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING, Any

import pyarrow as pa

from lidr import evals
from lidr.recipe import Languages
from lidr.steps.evaluate import JudgeConfig
from lidr.transforms import Number, agreement, mean, share

if TYPE_CHECKING:
    import polars as pl


SPANS: dict[str, tuple[float, float]] = {
    "own_mark": (0.0, 10.0),
    "translated_mark": (0.0, 10.0),
    "mark_difference": (-10.0, 10.0),
    "preferred": (0.0, 1.0),
    "round_trip_chrf": (0.0, 100.0),
    "length_ratio": (-20.0, 20.0),
    "off_target": (0.0, 1.0),
    "logp_margin": (-20.0, 20.0),
}
"""Smallest and largest value of each test but those of pairs."""

REFEREES = ("gold", "judge")
"""Who says which side of a pair is better: gold answers, where a recipe has them, else a judge."""


def summary(table: pa.Table, languages: Languages, *, judge: JudgeConfig | None) -> dict[str, Any]:
    """Every number with its interval, reward accuracy, and the paper's figures, as plain data."""
    import polars as pl

    frame = pl.DataFrame(table)
    keys = ["test", "language", "other", "kind"]
    numbers = [
        {**dict(zip(keys, key, strict=True)), **_number(str(key[0]), group["value"].to_list()).as_json(),
         "not_scored": group["value"].null_count()}
        for key, group in frame.group_by(keys, maintain_order=True)
        if key[0] in SPANS
    ]  # fmt: skip
    accuracy = list(reward_accuracy(frame, languages.dominant))
    return {
        "numbers": numbers,
        "reward_accuracy": accuracy,
        "uncertain": [
            {"language": one["language"], "kind": one["kind"]}
            for one in deciding_accuracy(accuracy)
            if not one["is_certain"]
        ],
        "judge": _judge_facts(judge),
        "paper": _paper(languages.all),
    }


def _number(test: str, values: Sequence[float | None]) -> Number:
    if test == "off_target":
        known = [value for value in values if value is not None]
        return share(int(sum(known)), len(known))
    return mean(values, SPANS[test])


def reward_accuracy(frame: pl.DataFrame, dominant: str) -> Iterator[dict[str, Any]]:
    """Agreement of each referee with the pairs, by non-dominant language and kind."""
    import polars as pl

    other = pl.when(pl.col("language") == dominant).then("other").otherwise("language")
    pairs = frame.filter(pl.col("test").is_in([f"reward_{name}" for name in REFEREES])).with_columns(at=other)
    for (test, language, kind), group in pairs.group_by("test", "at", "kind", maintain_order=True):
        value = group["value"]
        found = agreement(int((value > 0.5).sum()), int((value < 0.5).sum()), int((value == 0.5).sum()))
        yield {
            "language": language,
            "kind": kind,
            "referee": str(test).removeprefix("reward_"),
            **found.as_json(),
            "not_scored": value.null_count(),
        }


def deciding_accuracy(accuracy: Sequence[dict[str, Any]]) -> list[dict[str, Any]]:
    """The reward accuracy that counts for each language and kind: by gold where there is any, else by the judge."""
    found: dict[tuple[str, str], dict[str, Any]] = {}
    for referee in reversed(REFEREES):
        found |= {(one["language"], one["kind"]): one for one in accuracy if one["referee"] == referee}
    return list(found.values())


def _judge_facts(judge: JudgeConfig | None) -> dict[str, Any] | None:
    return None if judge is None else {"model": judge.model, "mode": judge.mode, "template": judge.template}


def _paper(languages: Sequence[str]) -> dict[str, Any]:
    """What was published of the same tests, in the recipe's languages."""
    table = evals.read_paper().tables["premise"]
    published = table.rows["M0"]
    at = [code for code in table.columns if code in languages]
    return {
        "model": published.label,
        "source": table.source,
        "values": {
            name: {code: values[table.columns.index(code)] for code in at} for name, values in published.values.items()
        },
    }
