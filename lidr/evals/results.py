"""What an evaluation leaves: `results.json` (scores and everything they depend on), `samples.parquet` (texts) and
`scores.parquet` (one value an item). Every table, picture and comparison is made from these three.

<folder>/results.json      Results
         samples.parquet   SAMPLES: task, language, item, prompt, response, detail
         scores.parquet    SCORES:  task, language, item, metric, value     (null: unscored, which is not wrong)
"""

from __future__ import annotations

import json
import math
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal, NamedTuple

from pydantic import Field, ValidationError, model_validator

from lidr.errors import EvaluationError
from lidr.recipe import Frozen
from lidr.rows import Columns, arrow_schema
from lidr.secrecy import clean_data

if TYPE_CHECKING:
    import pyarrow as pa

SCHEMA = "lidr.results/1"
Benchmark = Literal["mgsm", "x_alpacaeval", "mt_bench", "head_to_head", "tax"]

SAMPLES: Columns = {
    "task": "string",  # lidr_mgsm_de
    "benchmark": "string",
    "language": "string",
    "item": "string",  # the same in every language: items are parallel
    "prompt": "string",  # what the user says, before any chat template
    "response": "string",
    "detail": "string",  # JSON: how a number was read, what the judge said
}
SCORES: Columns = {
    "task": "string",
    "benchmark": "string",
    "language": "string",
    "item": "string",
    "metric": "string",
    "value": "float64",  # null: not scored
}


class Declined(str):
    """An answer that is none: what came of it, mostly nothing. It is scored like any other, and counted by its reason.

    Args:
        reason: the finish reason: content_filter, refused, unreadable, prompt_too_long.
        said: the server's words.
    """

    reason: str
    said: str

    def __new__(cls, text: str, reason: str, said: str = "") -> Declined:
        """Make the text one that knows its reason."""
        found = super().__new__(cls, text)
        found.reason, found.said = reason, said
        return found


class Score(Frozen):
    """A number one can trust: value, standard error, and how many items it rests on."""

    value: float | None
    """None where no item could be scored."""
    stderr: float | None = None
    """None where it is not defined: a single item, a count."""
    n: int = Field(ge=0)

    def text(self, scale: float = 1.0, digits: int = 3) -> str:
        """As printed.

        >>> Score(value=0.5, stderr=0.0316, n=250).text()
        '0.500 ± 0.032'
        """
        if self.value is None:
            return "-"
        shown = f"{self.value * scale:.{digits}f}"
        return shown if self.stderr is None else f"{shown} ± {self.stderr * scale:.{digits}f}"


def mean_score(values: Sequence[float | None]) -> Score:
    """Mean and its standard error (ddof 1) over the items that were scored.

    >>> mean_score([1.0, 0.0, None, 1.0, 0.0])
    Score(value=0.5, stderr=0.28867513459481287, n=4)
    """
    known = [value for value in values if value is not None]
    n = len(known)
    if not n:
        return Score(value=None, n=0)
    mean = math.fsum(known) / n
    if n == 1:
        return Score(value=mean, n=1)
    variance = math.fsum((value - mean) ** 2 for value in known) / (n - 1)
    return Score(value=mean, stderr=math.sqrt(variance / n), n=n)


class DataFacts(Frozen):
    """Which rows were asked."""

    source: str
    """`mgsm/de.jsonl` below a data folder, or org/name@commit: never a folder of this machine."""
    sha256: str
    """Of the rows that were read, before any limit."""
    rows: int
    """Rows there are."""
    asked: int
    """Rows that were asked: fewer under a limit."""
    reference: str | None = None
    """What the answers were compared with, where it is not a gold answer: name of the reference's generator."""
    reference_sha256: str | None = None


class JudgeFacts(Frozen):
    """Who judged, and how."""

    model: str
    mode: Literal["logprob", "logprob_swap", "text", "score"]
    template: str
    """Name of the template."""
    template_sha256: str
    served: Literal["server", "local"]
    """A server that was there, or one that lidr started from a local model."""
    digest: str | None = None
    """Of a local judge's weights."""
    seed: int = 0
    host: str | None = None
    """Of a server: host and port alone."""
    decoding: dict[str, Any] = Field(default_factory=dict)
    """temperature, max_tokens, top_logprobs, as they were asked for."""
    reading: int = 1
    """Version of how its answers were read; since 2, log-probabilities that leave its letters next to nothing are an
    error. Results without the entry were read by 1."""


class TaskResult(Frozen):
    """One task: one benchmark, one form of prompt, one language."""

    task: str
    benchmark: Benchmark
    variant: str
    language: str
    data: DataFacts
    prompt_sha256: str
    """Of the form of the prompt: instruction and answer words of MGSM, system prompt; not of the rows."""
    rules: int = 1
    """Version of the benchmark's scoring."""
    gold: Literal["number", "text"] | None = None
    """How a gold answer of MGSM is compared: as a number (also where old results say nothing), or as its text (the
    authors' way). Other benchmarks have none, though old results say "number"."""
    generation: dict[str, Any]
    """max_tokens, temperature, repetition_penalty, system_prompt, ..."""
    judge: JudgeFacts | None = None
    scores: dict[str, Score]
    declined: dict[str, int] = Field(default_factory=dict, exclude_if=lambda value: not value)
    """Reason -> how many of the answers are none for it; written where there are any."""
    length_control_sha256: str | None = Field(None, exclude_if=lambda value: value is None)
    """Of the two files behind `lc_win_rate_v1`, where there is that score."""

    @model_validator(mode="before")
    @classmethod
    def _minimal_by_its_name(cls, data: Any) -> Any:
        """Rules 1 of X-AlpacaEval called the length-controlled rate without a prior `lc_win_rate`."""
        if not isinstance(data, dict) or data.get("benchmark") != "x_alpacaeval" or data.get("rules", 1) != 1:
            return data
        scores = data.get("scores")
        if not isinstance(scores, dict) or "lc_win_rate" not in scores:
            return data
        renamed = {"lc_win_rate_minimal" if name == "lc_win_rate" else name: score for name, score in scores.items()}
        return {**data, "scores": renamed}


class ModelFacts(Frozen):
    """Which checkpoint."""

    reference: str
    """As the user wrote it; an absolute folder by its name only."""
    revision: str | None = None
    """Commit of a Hub model."""
    digest: str | None = None
    """Of its files."""
    adapter: str | None = None
    adapter_digest: str | None = None
    adapter_shift: float | None = None
    """Largest change that the adapter makes to a logit of a fixed prompt, nats."""


class Results(Frozen):
    """One evaluation of one checkpoint."""

    schema_: Literal["lidr.results/1"] = Field("lidr.results/1", alias="schema")
    name: str
    """Short name in tables and pictures."""
    identity: str = ""
    """SHA-256 of all that was asked of which model, how; without the judge, who may come later."""
    model: ModelFacts
    engine: dict[str, Any]
    """kind (hf, vllm, openai, scripted, outputs), dtype, batch."""
    versions: dict[str, str]
    seeds: dict[str, int]
    created: str
    """UTC, ISO 8601, seconds."""
    tasks: tuple[TaskResult, ...]

    model_config = Frozen.model_config | {"populate_by_name": True}

    def of(self, benchmark: str) -> tuple[TaskResult, ...]:
        """The tasks of one benchmark."""
        return tuple(task for task in self.tasks if task.benchmark == benchmark)


def samples_table(rows: Sequence[Mapping[str, Any]]) -> pa.Table:
    """Rows of SAMPLES; `detail` may be any JSON value."""
    import pyarrow as pa

    said = [{**row, "detail": json.dumps(row["detail"], ensure_ascii=False, sort_keys=True)} for row in rows]
    return pa.Table.from_pylist(said, arrow_schema(SAMPLES))


def scores_table(rows: Sequence[Mapping[str, Any]]) -> pa.Table:
    """Rows of SCORES; not-a-number is read as not scored."""
    import pyarrow as pa

    clean = [{**row, "value": None if _is_nan(row["value"]) else row["value"]} for row in rows]
    return pa.Table.from_pylist(clean, arrow_schema(SCORES))


def _is_nan(value: Any) -> bool:
    return isinstance(value, float) and math.isnan(value)


def write_results(folder: Path, results: Results, samples: pa.Table, scores: pa.Table) -> None:
    """Write all three beside what stands there, then put them in its place, `results.json` last: a full disk or a kill
    before that costs nothing.
    """
    import pyarrow.parquet as pq

    folder.mkdir(parents=True, exist_ok=True)
    text = json.dumps(results.model_dump(mode="json", by_alias=True), ensure_ascii=False, indent=1, sort_keys=True)
    names = ("samples.parquet", "scores.parquet", "results.json")
    partials = [folder / f".{name}.partial" for name in names]
    pq.write_table(samples.cast(arrow_schema(SAMPLES)), partials[0], compression="zstd")
    pq.write_table(scores.cast(arrow_schema(SCORES)), partials[1], compression="zstd")
    partials[2].write_text(clean_data(text) + "\n", encoding="utf-8")
    for partial, name in zip(partials, names, strict=True):
        partial.replace(folder / name)


def read_results(folder: Path) -> Results:
    """Read `results.json` of a folder, or the file itself.

    Raises:
        EvaluationError: it is not there, is no results file, or was written by a newer lidr.
    """
    path = folder if folder.suffix == ".json" else folder / "results.json"
    try:
        data = json.loads(path.read_text(encoding="utf-8"))
    except FileNotFoundError:
        if (path.parent / "work").is_dir():
            raise EvaluationError(
                f"{path}: no results yet: an evaluation was interrupted here, and its command goes on where it was"
            ) from None
        raise EvaluationError(
            f"{path}: no results here; give the folder that `lidr eval run` wrote, or an evaluate step's folder"
        ) from None
    except (ValueError, RecursionError) as error:
        raise EvaluationError(f"{path}: no JSON ({error}); evaluate again") from None
    found = data.get("schema") if isinstance(data, dict) else None
    if found != SCHEMA:
        raise EvaluationError(f"{path}: schema {found!r}, this lidr reads {SCHEMA!r}; update lidr, or evaluate again")
    try:
        return Results.model_validate(data)
    except ValidationError as error:
        first = error.errors()[0]
        where, found = ".".join(str(part) for part in first["loc"]), first["input"]
        shown = f"found {json.dumps(found)[:80]}: " if isinstance(found, str | int | float) else ""
        raise EvaluationError(f"{path}: {where}: {shown}{first['msg']}; evaluate again") from None


def read_samples(folder: Path) -> pa.Table:
    """The texts, in the order of the tasks and of the items.

    Raises:
        EvaluationError: they are not there, damaged, or a cell is no text.
    """
    return _table(folder / "samples.parquet", SAMPLES)


def read_scores(folder: Path) -> pa.Table:
    """One value for each item and metric.

    Raises:
        EvaluationError: they are not there, damaged, or a value is no number.
    """
    return _table(folder / "scores.parquet", SCORES)


def _table(path: Path, columns: Columns) -> pa.Table:
    import pyarrow as pa
    import pyarrow.parquet as pq

    try:
        table = pq.read_table(path)
    except FileNotFoundError:
        raise EvaluationError(f"{path}: not there; it stands beside results.json: evaluate again") from None
    except pa.ArrowException as error:
        raise EvaluationError(f"{path}: damaged ({error}); evaluate again") from None
    if missing := [name for name in columns if name not in table.column_names]:
        raise EvaluationError(f"{path}: lacks the columns {', '.join(missing)}; evaluate again")
    for name, kind in columns.items():
        if (place := _wrong(table[name], is_text=kind == "string")) >= 0:
            raise EvaluationError(f"{path}: {_cell_said(table, name, place, is_text=kind == 'string')}")
    return table.select(list(columns)).cast(arrow_schema(columns))


def _wrong(column: pa.ChunkedArray, *, is_text: bool) -> int:
    """Place of the first cell that is no text, or no number; -1 where there is none."""
    import pyarrow.compute as pc
    from pyarrow import types

    kind = column.type.value_type if types.is_dictionary(column.type) else column.type
    if is_text:
        wrong = column.is_null() if types.is_string(kind) or types.is_large_string(kind) else None
    elif types.is_integer(kind) or types.is_floating(kind) or types.is_boolean(kind) or types.is_null(kind):
        wrong = pc.invert(pc.is_finite(column.cast("float64", safe=False)))
    else:
        wrong = column.is_valid()
    if wrong is None:
        return 0 if len(column) else -1
    return int(pc.index(wrong, True).as_py())


def _cell_said(table: pa.Table, name: str, place: int, *, is_text: bool) -> str:
    row = table.slice(place, 1).to_pylist()[0]
    named = {"task": str(row["task"]), "item": f"item {row['item']}"}
    where = ", ".join(text for column, text in named.items() if column != name)
    allowed = "text" if is_text else "a finite number, or null where the item was not scored"
    found = json.dumps(row[name], default=str, ensure_ascii=False)
    return (
        f'column "{name}", row {place + 1} ({where}): found {found} ({table[name].type}); allowed: {allowed}. Mend the '
        "file, or evaluate again"
    )


class Scored(NamedTuple):
    """One scored answer: metric -> value (None: not scored, which is not wrong), and how it came about."""

    values: dict[str, float | None]
    detail: dict[str, Any]
