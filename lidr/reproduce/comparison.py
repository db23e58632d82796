"""What was made again, against what was published: by digest, row by row, or number by number within its error."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import TYPE_CHECKING, Any

from lidr.intervals import quantile, student
from lidr.reproduce.verdict import Number, RowDifference, Verdict
from lidr.rows import RowType
from lidr.steps import InitialPolicy
from lidr.store import Record, shown_apart

if TYPE_CHECKING:
    import pyarrow as pa

FIRST = 5
"""Rows that differ and are named."""

NAMES = ("policy", "policy_in")
"""Columns that say who made a row; they hold a fingerprint, which another engine setting changes."""

_LONGEST = 80
_CLOSE = 1e-4  # relative: sums in another order
_MOST_ROWS = 200_000  # beyond that the rows are compared by digest alone

_TAIL = 0.9975  # where Student's and the normal quantile are compared: 95% over some twenty numbers

Sample = tuple[str, float, float]
"""Name, mean, standard error, of few values as much larger as Student's quantile is than the normal one."""


def compare_rows(
    published: pa.Table | None, again: pa.Table, rows: RowType, *, digests: tuple[str, str]
) -> tuple[str, str, tuple[RowDifference, ...]]:
    """Kind, reason, and the first rows that differ.

    Args:
        published: None where only their digest was published.
        digests: of the published rows, and of those made again.
    """
    if digests[0] == digests[1]:
        return "identical", f"{again.num_rows:,} rows, rows digest {digests[0][:12]}", ()
    if published is None:
        return (
            "different",
            f"other rows (rows digest {digests[0][:12]} -> {digests[1][:12]}); they are not published",
            (),
        )
    if max(published.num_rows, again.num_rows) > _MOST_ROWS:
        return "different", f"more than {_MOST_ROWS:,} rows, with another rows digest", ()
    theirs, ours = _by_key(published, rows), _by_key(again, rows)
    found = list(_differences(theirs, ours))
    if not found:
        same = [{k: v for k, v in row.items() if k not in NAMES} for row in published.to_pylist()]
        order = same == [{k: v for k, v in row.items() if k not in NAMES} for row in again.to_pylist()]
        why = "apart from the name of the policy" if order else "in another order"
        return "equal rows", f"{again.num_rows:,} rows, the same {why}", ()
    count = len({difference.key for difference in found})
    return "different", f"{count:,} of {max(len(theirs), len(ours)):,} rows differ", tuple(found[:FIRST])


def _by_key(table: pa.Table, rows: RowType) -> dict[str, dict[str, Any]]:
    """Rows by their key; of several with one key, as sets that others made have them, each keeps a place of its own."""
    found: dict[str, dict[str, Any]] = {}
    times: Counter[str] = Counter()
    names = rows.key_in(table.schema.names)
    for row in table.to_pylist():
        key = " ".join(str(row[name]) for name in names)
        times[key] += 1
        found[key if times[key] == 1 else f"{key} ({times[key]})"] = row
    return found


def _differences(
    theirs: Mapping[str, Mapping[str, Any]], ours: Mapping[str, Mapping[str, Any]]
) -> Iterator[RowDifference]:
    for key in (*theirs, *(key for key in ours if key not in theirs)):
        if key not in ours or key not in theirs:
            missing_here = key not in ours
            yield RowDifference(key, "", "a row" if missing_here else None, None if missing_here else "a row")
            continue
        for column, value in theirs[key].items():
            if column not in NAMES and column in ours[key] and ours[key][column] != value:
                yield RowDifference(key, column, *shown_apart(str(value), str(ours[key][column]), _LONGEST))


def count_differences(was: Any, now: Any, path: str = "") -> Iterator[str]:
    """Name each count that differs, with both values; numbers that were computed may differ in their last digits."""
    if isinstance(was, Mapping) and isinstance(now, Mapping):
        for key in (*was, *(key for key in now if key not in was)):
            yield from count_differences(was.get(key), now.get(key), f"{path}.{key}".removeprefix("."))
    elif isinstance(was, list | tuple) and isinstance(now, list | tuple) and len(was) == len(now):
        for number, (one, other) in enumerate(zip(was, now, strict=True)):
            yield from count_differences(one, other, f"{path}[{number}]")
    elif not _same(was, now):
        yield f"{path}: {' -> '.join(shown_apart(str(was), str(now), _LONGEST))}"


def without_source_names(record: Record) -> dict[str, Any]:
    """A record's counts without what folders and sets are called: their content is compared by its digest."""
    counts = dict(record.counts)
    for name in ("model", "adapter") if record.writes == InitialPolicy.name else ():
        counts.pop(name, None)
    if "sets" in counts:
        counts["sets"] = [{name: value for name, value in one.items() if name != "name"} for one in counts["sets"]]
    return counts


def _same(was: Any, now: Any) -> bool:
    if isinstance(was, float) and isinstance(now, float | int) and not isinstance(now, bool):
        return math.isclose(was, now, rel_tol=_CLOSE, abs_tol=_CLOSE)
    return bool(was == now) and isinstance(was, bool) == isinstance(now, bool)


def compare_numbers(published: Sequence[Sample], again: Sequence[Sample]) -> tuple[Number, ...]:
    """Each number of both, with the largest difference that their standard errors allow: 95% over all of them together
    (Bonferroni).
    """
    ours = {name: (value, error) for name, value, error in again}
    both = [(name, value, error, *ours[name]) for name, value, error in published if name in ours]
    factor = quantile(1 - 0.05 / max(1, len(both)))
    return tuple(
        Number(name, value, other, factor * math.hypot(error, other_error) + 1e-9)
        for name, value, error, other, other_error in both
    )


def within_error(numbers: Sequence[Number], place: str, why: str, **more: Any) -> Verdict:
    """The verdict of numbers: all inside their intervals, or which are not."""
    outside = [number for number in numbers if not number.is_inside]
    if not numbers:
        return Verdict(place, "different", f"{why}, and nothing to compare within error", "statistical", **more)
    if outside:
        names = ", ".join(number.name for number in outside[:3])
        said = f"{why}; {len(outside)} of {len(numbers)} numbers outside their interval: {names}"
        return Verdict(place, "different", said, "statistical", numbers=tuple(numbers), **more)
    said = f"{why}; all {len(numbers)} numbers inside their interval"
    return Verdict(place, "equal within error", said, "statistical", numbers=tuple(numbers), **more)


def samples_of(writes: str) -> Callable[[pa.Table], list[Sample]] | None:
    """How rows of a kind are summed up in numbers; None where they are not."""
    known = {"responses": _of_responses, "translations": _of_translations, "measures": _of_measures}
    return (known | {"prompt_translations": _of_translations, "answer_scores": _of_answer_scores}).get(writes)


def _of_responses(table: pa.Table) -> list[Sample]:
    """By language: tokens of an answer, and the share that was cut."""
    found = []
    for language, rows in _groups(table, ("language",)):
        found += _mean(f"{language} tokens", [float(row["completion_tokens"] or 0) for row in rows])
        found.append(_share(f"{language} cut", [row["finish_reason"] == "length" for row in rows]))
    return found


def _of_translations(table: pa.Table) -> list[Sample]:
    """By direction: the share that can be used, and its characters."""
    found = []
    for direction, rows in _groups(table, ("source", "target")):
        found.append(_share(f"{direction} ok", [row["status"] == "ok" for row in rows]))
        found += _mean(f"{direction} characters", [float(len(row["text"] or "")) for row in rows])
    return found


def _of_measures(table: pa.Table) -> list[Sample]:
    """Each measure's mean, by language."""
    groups = _groups(table, ("test", "language", "other", "kind"))
    known = [(name, [float(row["value"]) for row in rows if row["value"] is not None]) for name, rows in groups]
    return [sample for name, values in known for sample in _mean(name, values)]


def _of_answer_scores(table: pa.Table) -> list[Sample]:
    """Each scorer's mean, by language."""
    known = [(name, [row["value"] for row in rows if row["value"] is not None])
             for name, rows in _groups(table, ("scorer", "language"))]  # fmt: skip
    return [sample for name, values in known for sample in _mean(name, values)]


def _groups(table: pa.Table, columns: Sequence[str]) -> Iterator[tuple[str, list[dict[str, Any]]]]:
    groups: dict[str, list[dict[str, Any]]] = {}
    for row in table.to_pylist():
        groups.setdefault("->".join(str(row[column]) for column in columns), []).append(row)
    yield from sorted(groups.items())


def _mean(name: str, values: Sequence[float]) -> list[Sample]:
    """A mean and its error; none of one value alone, whose error nobody knows."""
    n = len(values)
    if n < 2:
        return []
    mean = math.fsum(values) / n
    variance = math.fsum((value - mean) ** 2 for value in values) / (n - 1)
    return [(name, mean, _of_few(n - 1) * math.sqrt(variance / n))]


def _share(name: str, hits: Sequence[bool]) -> Sample:
    """A share and its error, after Agresti and Coull's two and two, so that 0 and 1 have one too."""
    n, share = len(hits), sum(hits) / max(1, len(hits))
    middle = (sum(hits) + 2) / (n + 4)
    return name, share, _of_few(n + 3) * math.sqrt(middle * (1 - middle) / (n + 4))


def _of_few(freedom: int) -> float:
    """How much further Student's interval reaches than the normal one."""
    return student(_TAIL, freedom) / quantile(2 * _TAIL - 1)


def samples_of_record(record: Record) -> list[Sample]:
    """The numbers that a step's record holds with their errors: of training and of evaluations."""
    return _of_training(record) if record.writes == "policy" else _of_scores(record)


def _of_training(record: Record) -> list[Sample]:
    """Means over the steps of training, and the share of pairs in their right order afterwards, by group."""
    history = record.counts.get("history", [])
    found = [
        sample
        for name in ("loss", "dpo", "nll", "margin")
        for sample in _mean(f"mean {name}", [float(step[name]) for step in history if step.get(name) is not None])
    ]
    for group in record.counts.get("groups", []):
        if group.get("accuracy") is not None:
            n, name = int(group["pairs"]), f"{group['language']} {group['kind']} accuracy"
            hits = round(float(group["accuracy"]) * n)
            found.append(_share(name, [True] * hits + [False] * (n - hits)))
    return found


def _of_scores(record: Record) -> list[Sample]:
    """Every score of every task."""
    return [
        (f"{task['task']} {name}", float(score["value"]), float(score["stderr"] or 1 / max(1, score["n"])))
        for task in record.counts.get("tasks", [])
        for name, score in task["scores"].items()
        if score["value"] is not None
    ]
