"""Answers in alpaca_eval's form, so that alpaca_eval itself can judge them.

OUT/model_outputs_de.json   [{"instruction": "...", "output": "...", "generator": "NAME", "dataset": "...", "id": "1"}]
OUT/reference_outputs_de.json   the same of the reference, where --data has it
alpaca_eval --model_outputs OUT/model_outputs_de.json --reference_outputs OUT/reference_outputs_de.json
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from lidr.errors import EvaluationError
from lidr.evals.benchmark_rows import Loaded, load_rows
from lidr.evals.model_outputs import OutputSet, read_outputs


def export_alpaca_eval(results: Path, out: Path, *, data: str | None = None, with_reference: bool = True) -> list[Path]:
    """Write the x_alpacaeval answers of a results folder, and the references they were compared with.

    Args:
        results: a folder of `lidr eval run`.
        out: folder to write to.
        data: where the references stand, as for `lidr eval run`.
        with_reference: write them too.

    Returns:
        The files, in the order of the languages.

    Raises:
        EvaluationError: no such answers, or data that are not those that were answered.
    """
    outputs = read_outputs(results)
    if outputs.results is None:
        raise EvaluationError(f"{results}: no results.json here; give the folder that `lidr eval run` wrote")
    out.mkdir(parents=True, exist_ok=True)
    files = []
    for language in outputs.by_language:
        loaded = _asked(outputs, language, data) if with_reference else None
        rows = {row["item"]: row for row in loaded.rows} if loaded else {}
        files.append(_write(out / f"model_outputs_{language}.json", _model_rows(outputs, language, rows)))
        if rows:
            files.append(_write(out / f"reference_outputs_{language}.json", _reference_rows(outputs, language, rows)))
    return files


def _asked(outputs: OutputSet, language: str, data: str | None) -> Loaded:
    """The rows that were answered.

    Raises:
        EvaluationError: they are not there, or are others.
    """
    assert outputs.results is not None
    loaded = load_rows("x_alpacaeval", language, data)
    then = next(task.data for task in outputs.results.of("x_alpacaeval") if task.language == language)
    if (loaded.facts.sha256, loaded.facts.reference_sha256) != (then.sha256, then.reference_sha256):
        raise EvaluationError(
            f"{loaded.facts.source}: sha256 {loaded.facts.sha256[:12]}, but the answers are to {then.sha256[:12]}: "
            "give the same data with --data, or leave the references out with --without-reference"
        )
    return loaded


def _model_rows(outputs: OutputSet, language: str, rows: Mapping[str, Mapping[str, Any]]) -> list[dict[str, Any]]:
    return [
        {
            "instruction": output.instruction,
            "output": output.text,
            "generator": outputs.name,
            "dataset": rows[str(output.item)]["dataset"] if str(output.item) in rows else "x_alpacaeval",
            "id": output.item,
        }
        for output in outputs.by_language[language]
    ]


def _reference_rows(outputs: OutputSet, language: str, rows: Mapping[str, Mapping[str, Any]]) -> list[dict[str, Any]]:
    """The references of the items that were answered, in the same order."""
    return [
        {
            "instruction": row["instruction"],
            "output": row["reference"],
            "generator": row["generator"],
            "dataset": row["dataset"],
            "id": row["item"],
        }
        for output in outputs.by_language[language]
        for row in [rows[str(output.item)]]
    ]


def _write(path: Path, rows: list[dict[str, Any]]) -> Path:
    path.write_text(json.dumps(rows, ensure_ascii=False, indent=1) + "\n", encoding="utf-8")
    return path
