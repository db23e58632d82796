"""What a run's evaluations were answered, as a release holds it: enough to score every answer again without a model or
a judge, and no text of others.

lidr/outputs/iter_K/evaluate/00000.parquet     OUTPUTS, one row for each task and item, in the order of scoring

The answers are the policy's own text. Of a benchmark there is the item's id alone, and what its rules compare with: of
MGSM the gold number (a number is no text, and without it nobody could tell a right answer), of X-AlpacaEval the length
of the reference's answer. Of a judge there is the preference; not what it was asked, nor what it said.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pyarrow as pa

from lidr.errors import HubError
from lidr.release.bounded_rows import MOST_ROWS, read_bounded
from lidr.rows import RowType
from lidr.store import Artifact, TableWriter, row_digest

if TYPE_CHECKING:
    from lidr.release.finished import Finished

FOLDER = "lidr/outputs"
SAMPLES = "results/samples.parquet"
"""What an evaluate step keeps of its answers, below its folder."""

OUTPUTS = RowType(
    "outputs",
    {
        "task": "string",  # lidr_mgsm_de
        "benchmark": "string",
        "language": "string",
        "item": "string",  # the benchmark's id of the question
        "response": "string",
        "gold": "string",  # mgsm: the gold number; null: none is known
        "reference_length": "int64",  # x_alpacaeval: characters of the reference's answer
        "is_judged": "bool",
        "preference": "float64",  # 1 (reference better) to 2 (model better); null: no verdict
        "digest": "string",  # of the row's other columns: names the item that was touched
    },
    key=("task", "item"),
)


def item_digest(row: Mapping[str, Any]) -> str:
    """16 hex digits of the SHA-256 over a row in canonical JSON, without its digest."""
    kept = {name: value for name, value in row.items() if name != "digest"}
    return hashlib.sha256(json.dumps(kept, sort_keys=True, ensure_ascii=False).encode()).hexdigest()[:16]


def has_outputs(artifact: Artifact) -> bool:
    """Whether an artifact is of an evaluation that kept its answers."""
    is_kept = any(entry.path == SAMPLES for entry in artifact.record.files) and (artifact.folder / SAMPLES).is_file()
    return artifact.record.writes == "scores" and is_kept


def tells_of_outputs(artifact: Artifact) -> bool:
    """The same, also of an artifact that is read back from a release: its folder is then the release's."""
    return has_outputs(artifact) or (artifact.folder / FOLDER / artifact.record.place).is_dir()


def outputs_table(artifact: Artifact) -> pa.Table:
    """The answers of one evaluate step, (items, columns of OUTPUTS)."""
    import pyarrow.parquet as pq

    lengths = _reference_lengths(artifact.read())
    rows = []
    for sample in pq.read_table(artifact.file(SAMPLES)).to_pylist():
        detail = json.loads(sample["detail"])
        verdict = detail.get("verdict")
        row = {
            **{name: sample[name] for name in ("task", "benchmark", "language", "item", "response")},
            "gold": detail.get("gold"),
            "reference_length": lengths.get((sample["task"], sample["item"])),
            "is_judged": verdict is not None,
            "preference": verdict["preference"] if verdict else None,
        }
        rows.append({**row, "digest": item_digest(row)})
    return pa.Table.from_pylist(rows, OUTPUTS.schema)


def _reference_lengths(scores: pa.Table) -> dict[tuple[str, str], int]:
    return {
        (row["task"], row["item"]): int(row["value"])
        for row in scores.to_pylist()
        if row["metric"] == "reference_length" and row["value"] is not None
    }


def write_outputs(run: Finished, folder: Path) -> None:
    """Write the outputs of every evaluation into a release's folder."""
    for artifact in run.artifacts:
        if has_outputs(artifact):
            writer = TableWriter(folder / FOLDER / artifact.record.place, OUTPUTS)
            writer.write(outputs_table(artifact))
            writer.close()


def outputs_json(run: Finished) -> Iterator[tuple[str, dict[str, Any]]]:
    """For each evaluation its place, and number and digest of its outputs, as run.json holds them."""
    for artifact in run.artifacts:
        if has_outputs(artifact):
            table = outputs_table(artifact)
            yield artifact.record.place, {"rows": table.num_rows, "digest": row_digest([table])}


def read_outputs(release: Path, place: str, *, most: int = MOST_ROWS) -> pa.Table | None:
    """The outputs of one evaluation in a release's folder; None where they are not there, or not of their form.

    Args:
        most: rows that there may be.
    """
    try:
        table = read_bounded(sorted((release / FOLDER / place).glob("*.parquet")), most=most)
        return table.select(OUTPUTS.schema.names).cast(OUTPUTS.schema) if table is not None else None
    except (HubError, pa.ArrowException, LookupError, ValueError, TypeError):
        return None


def write_samples(outputs: pa.Table, folder: Path) -> None:
    """Write the answers as an evaluate step keeps them below its folder, for the steps that read them: without the
    questions and without how each score came about.
    """
    import pyarrow.parquet as pq

    given = outputs.select(["task", "benchmark", "language", "item", "response"])
    for name, text in (("prompt", ""), ("detail", "{}")):
        given = given.append_column(name, pa.array([text] * outputs.num_rows, pa.string()))
    (folder / SAMPLES).parent.mkdir(parents=True, exist_ok=True)
    pq.write_table(given, folder / SAMPLES, compression="zstd")
