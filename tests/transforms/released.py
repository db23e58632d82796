"""The authors' released answers and self-translations, as rows of lidr.

ZNLP/Language-Imbalance-Driven-Rewarding at bd9764e releases, for one direction, one object a line:

    {"id": "alpagasus-0", "prompt": ..., "instruction": ..., "response": <the answer>, "en2fr_reponse": <translated>}

The last name is theirs. A translation that their parser could not read stands there as "Translation Error"; what the
policy wrote is not kept, so nobody can tell why: such a row is `failed_upstream`.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any, NamedTuple

import polars as pl

from lidr.errors import RowError
from lidr.rows import Prompt, Response, Translation
from lidr.transforms.bias import _units

FAILED = "Translation Error"


class Released(NamedTuple):
    """One released file as the tables of `lidr.rows`: prompts and answers in the source language, translations."""

    prompts: pl.DataFrame
    responses: pl.DataFrame
    translations: pl.DataFrame


def read_released(path: Path, *, source: str, target: str, policy: str) -> Released:
    """Read one released file.

    Args:
        path: the JSON-lines file.
        source, target: the direction of its translations; it must have the field `<source>2<target>_reponse`.
        policy: what the rows say of who answered and translated.

    Raises:
        RowError: a line is no JSON object or lacks a field; the message says file:line.
    """
    field = f"{source}2{target}_reponse"
    rows = [
        _row(path, number, line, field)
        for number, line in enumerate(path.read_text(encoding="utf-8").split("\n"), start=1)
        if line.strip()
    ]
    frame = pl.DataFrame(rows, schema=["prompt_id", "prompt", "response", "moved"], orient="row")
    failed = pl.col("moved") == FAILED
    named = {"language": pl.lit(source), "policy": pl.lit(policy)}
    return Released(
        _as(Prompt.schema, frame.select("prompt_id", text="prompt", language=pl.lit(source))),
        _as(Response.schema, frame.select("prompt_id", text="response", finish_reason=pl.lit("stop"), **named)),
        _as(
            Translation.schema,
            frame.select(
                "prompt_id",
                source=pl.lit(source),
                target=pl.lit(target),
                text=pl.when(failed).then(pl.lit("")).otherwise("moved"),
                status=pl.when(failed).then(pl.lit("failed_upstream")).otherwise(pl.lit("ok")),
                attempts=1,
                policy=pl.lit(policy),
            ),
        ),
    )


def _row(path: Path, number: int, line: str, field: str) -> tuple[str, ...]:
    try:
        row = json.loads(line)
    except ValueError as error:
        raise RowError(f"{path}:{number}: not JSON: {error}") from None
    names = ("id", "prompt", "response", field)
    if not isinstance(row, dict) or (missing := [name for name in names if not isinstance(row.get(name), str)]):
        lacks = ", ".join(missing) if isinstance(row, dict) else "an object"
        found = ", ".join(row) if isinstance(row, dict) else type(row).__name__
        raise RowError(f"{path}:{number}: lacks {lacks} as text; found: {found}")
    return tuple(row[name] for name in names)


def _as(schema: Any, frame: pl.DataFrame) -> pl.DataFrame:
    """The frame with all columns of an Arrow schema, in its order; those it lacks are null."""
    empty = pl.DataFrame(schema.empty_table())
    return pl.concat([empty, frame], how="diagonal_relaxed").select(empty.columns).cast(empty.schema)


def units_of_translations(
    translations: pl.DataFrame, kinds: pl.DataFrame, responses: pl.DataFrame, *, dominant: str
) -> pl.DataFrame:
    """Translations as units; lost are those whose status is not `ok`."""
    other = pl.when(pl.col("source") == dominant).then("target").otherwise("source")
    placed = translations.select("prompt_id", "source", language=other, lost=pl.col("status") != "ok")
    return _units(placed, kinds, responses)
