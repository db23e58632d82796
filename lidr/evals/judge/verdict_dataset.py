"""Verdicts as a data set: one Parquet file that says what was judged, and that fills another one's cache.

    table = verdict_table(folder, cache=Path(".judge.sqlite"))      write_verdicts(table, Path("verdicts.parquet"))
    import_verdicts(Path("verdicts.parquet"), Path("mine.sqlite"))  the same questions are then answered without a call

No instruction and no output stands in it: a question is known by its SHA-256 alone, so the texts' licences do not
travel. `response` is the judge's own answer (in the modes text and score its words; one token otherwise).
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq

from lidr.errors import EvaluationError
from lidr.evals.judge.judge_cache import Cache, answers_in
from lidr.evals.judge.verdicts import Verdict
from lidr.evals.results import TaskResult, read_results, read_samples

SCHEMA = "lidr.verdicts/1"
VERDICTS = pa.schema(
    {
        "task": pa.string(),
        "language": pa.string(),
        "item": pa.string(),
        "order": pa.string(),  # given, switched; identical outputs: none
        "preference": pa.float64(),  # 1 to 2, of this order; null: not judged
        "p": pa.float64(),  # probability of the identifier m, shown first
        "token": pa.string(),
        "error": pa.string(),
        "model": pa.string(),
        "mode": pa.string(),
        "template": pa.string(),
        "template_sha256": pa.string(),
        "judge_digest": pa.string(),  # of a local judge
        "request_sha256": pa.string(),
        "response": pa.string(),  # null: not in the cache, so it cannot be reused
    },
    metadata={b"lidr.schema": SCHEMA.encode()},
)


def verdict_table(folder: Path, *, cache: Path | None) -> pa.Table:
    """The verdicts of a results folder.

    Args:
        folder: that `lidr eval run` or `lidr eval judge` wrote.
        cache: with the judge's answers; None leaves `response` empty.

    Returns:
        VERDICTS, one row for each order that was asked, and one for each pair of equal outputs.

    Raises:
        EvaluationError: nothing in the folder was judged, or the cache cannot be used.
    """
    tasks = {task.task: task for task in read_results(folder).tasks if task.judge is not None}
    rows: list[dict[str, Any]] = []
    for sample in read_samples(folder).to_pylist():
        task, detail = tasks.get(sample["task"]), json.loads(sample["detail"])
        if task is not None and isinstance(detail, dict) and detail.get("verdict"):
            rows += _rows(task, sample["item"], Verdict.from_json(detail["verdict"]))
    if not rows:
        raise EvaluationError(f"{folder}: nothing was judged here; `lidr eval judge` does that")
    known = answers_in(str(cache) if cache else None, {row["request_sha256"] for row in rows if row["request_sha256"]})
    return pa.Table.from_pylist([{**row, "response": known.get(row["request_sha256"])} for row in rows], VERDICTS)


def write_verdicts(table: pa.Table, path: Path) -> None:
    """Write one Parquet file; it appears when it is complete."""
    path.parent.mkdir(parents=True, exist_ok=True)
    partial = path.with_name(f".{path.name}.partial")
    pq.write_table(table.cast(VERDICTS), partial, compression="zstd")
    partial.replace(path)


def import_verdicts(path: Path, cache: Path) -> int:
    """Put published answers into a cache; what is there already stays.

    Returns:
        How many were new.

    Raises:
        EvaluationError: no such file, no verdicts of lidr in it, or none that can be reused.
    """
    try:
        table = pq.read_table(path)
    except (OSError, pa.ArrowException) as error:
        raise EvaluationError(
            f"{path}: cannot be read as verdicts ({error}); give a file of published verdicts"
        ) from None
    if (table.schema.metadata or {}).get(b"lidr.schema") != SCHEMA.encode():
        raise EvaluationError(f"{path}: holds no verdicts of this form ({SCHEMA}); export them with this lidr")
    rows = [_answer(row, path) for row in table.to_pylist() if row["response"] is not None]
    if not rows:
        raise EvaluationError(
            f"{path}: holds no answers of the judge, only verdicts: export them with the judge's cache"
        )
    with Cache(cache) as into:
        return into.put_many(rows)


def _answer(row: Mapping[str, Any], path: Path) -> tuple[str, str, str]:
    try:
        is_completion = isinstance(json.loads(row["response"])["choices"][0], dict)
    except (ValueError, LookupError, TypeError, RecursionError):
        is_completion = False
    if not is_completion or not row["request_sha256"]:
        raise EvaluationError(f"{path}: the answer of item {row['item']} ({row['task']}) is no chat completion")
    return row["request_sha256"], row["response"], row["model"]


def _rows(task: TaskResult, item: str, verdict: Verdict) -> Iterator[dict[str, Any]]:
    assert task.judge is not None
    same = {
        "task": task.task,
        "language": task.language,
        "item": item,
        "model": task.judge.model,
        "mode": task.judge.mode,
        "template": task.judge.template,
        "template_sha256": task.judge.template_sha256,
        "judge_digest": task.judge.digest,
    }
    nothing = {"p": None, "token": None, "error": verdict.error, "request_sha256": None}
    if not verdict.orders:
        yield {**same, **nothing, "order": "none", "preference": verdict.preference}
    for order in verdict.orders:
        yield {
            **same,
            "order": "switched" if order.switched else "given",
            "preference": order.preference,
            "p": order.p,
            "token": order.token,
            "error": order.error,
            "request_sha256": order.request_sha256,
        }
