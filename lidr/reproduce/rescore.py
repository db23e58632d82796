"""The scores of an evaluation, made again from the answers and preferences that its release holds: no model, no judge.

outputs --the benchmarks' rules--> the value of each item   must be the published rows
        --summed up-------------> the numbers of the task   must be those of the record, which the card shows
        --paired with iter_0----> the differences           too

Values of items are compared exactly, sums and fits within 1e-5: their last digits differ between processors.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from typing import TYPE_CHECKING, Any

from lidr.analysis import few_of
from lidr.errors import EvaluationError
from lidr.evals import BENCHMARKS, Score, TaskResult, benchmark, score_again
from lidr.evals.compare import differences
from lidr.release import FOLDER, RUN, OpenedRelease, item_digest, read_outputs
from lidr.reproduce.comparison import FIRST, compare_rows
from lidr.reproduce.released_rows import PublishedRows
from lidr.reproduce.verdict import Finding, RowDifference, Verdict
from lidr.steps import STEPS
from lidr.store import Record, Rules, row_digest

if TYPE_CHECKING:
    import pyarrow as pa

_CLOSE = 1e-5  # absolute: a fit near zero has no digits to spare
"""Another processor adds up in another order, which moves the fit of lc_win_rate by some 1e-6 points."""


_BOUNDED, _FITTED = 3, "lc_win_rate"
"""Until these rules of `evaluate` the intervals of this score's differences knew no bounds; they are not made again."""

_ELSEWHERE = "lc_win_rate_v1"
"""A number that is made with files of others."""


def check_scores(release: OpenedRelease, published: PublishedRows, record: Record) -> Verdict:
    """Score the stored outputs of an evaluate step again; what was touched is added to the findings of `published`."""
    said = release.run["rows"].get(record.place, {}).get("outputs")
    if said is None:
        return _verdict(record, "cannot run here", "the release holds no outputs: it was published by an older lidr")
    table = read_outputs(release.folder, record.place, most=published.most_outputs)
    if table is None:
        return _verdict(record, "different", f"{FOLDER}/{record.place} does not hold the outputs that {RUN} names")
    odd = _touched(release, record, table, said["digest"])
    rules: dict[str, tuple[int, int]] = {}
    if odd is not None:
        published.touched.append(odd)
    try:
        tasks = [TaskResult.model_validate(task) for task in record.counts["tasks"]]
        rules = _other_rules(tasks)
        again, summed = score_again(tasks, table.to_pylist())
        found = _compared(release, published, record, again, rules)
        found = found or _numbers(published, record, again, summed).by_rules(record.step, rules)
    except EvaluationError as error:
        return _verdict(record, "cannot run here" if odd is None else "different", str(error))
    except (ValueError, KeyError, TypeError) as error:  # no score can be made of what stands there
        said = (str(error).splitlines() or [type(error).__name__])[0]
        found = _verdict(record, "different", f"cannot be scored: {said}").by_rules(record.step, rules)
        return found if odd is None else replace(found, kind="different")
    if odd is not None:
        return _verdict(record, "different", f"the stored outputs {odd.text}", found.rows)
    return found


def _other_rules(tasks: Sequence[TaskResult]) -> dict[str, tuple[int, int]]:
    """The rules of each benchmark that scored the answers, where this lidr has others."""
    names = {
        task.benchmark: task.rules
        for task in tasks
        if task.benchmark in BENCHMARKS and (task.benchmark, task.rules) != ("x_alpacaeval", 1)  # scored by those
    }
    return {name: (was, now) for name, was in names.items() if (now := benchmark(name).VERSION) != was}


def _verdict(record: Record, kind: Any, reason: str, rows: tuple[RowDifference, ...] = ()) -> Verdict:
    return Verdict(f"{record.place} (scores from stored outputs)", kind, reason, inputs="stored outputs", rows=rows)


def _touched(release: OpenedRelease, record: Record, table: pa.Table, digest: str) -> Finding | None:
    """What is not as it was published: the items whose row has another digest, or that rows were added or taken."""
    path = f"{FOLDER}/{record.place}"
    items = [f"{row['task']} item {row['item']}" for row in table.to_pylist() if item_digest(row) != row["digest"]]
    if items:
        more = f" and {len(items) - FIRST:,} more" if len(items) > FIRST else ""
        return Finding(path, f"hold another answer or preference of {', '.join(items[:FIRST])}{more}")
    if row_digest([table]) != digest:
        return Finding(path, f"are other rows, or in another order, than {RUN} says ({digest[:12]})")
    return None


def _compared(
    release: OpenedRelease, published: PublishedRows, record: Record, again: pa.Table, rules: Rules
) -> Verdict | None:
    """The values of the items against the published rows; None where they are the same."""
    there = published.artifact(record.place)
    said = release.run["rows"][record.place].get("data", {}).get("digest", "")
    table = there.read() if there else None
    rows = STEPS[record.step].writes
    now = row_digest([again.cast(rows.schema)])
    was = row_digest([table]) if table is not None else said
    kind, reason, differing = compare_rows(table, again, rows, digests=(was, now))
    if kind == "identical":
        return None
    if now == said:
        reason = f"{reason}: the published scores were touched; scored again they have the digest of their record"
        return _verdict(record, "different", reason, differing)
    return _verdict(record, "different", reason, differing).by_rules(record.step, rules)


def _numbers(published: PublishedRows, record: Record, again: pa.Table, summed: Mapping[str, Any]) -> Verdict:
    """The sums and differences against those of the record."""
    was = {**_scores(record.counts["tasks"]), **_changes(record.counts.get("differences", ()))}
    now = {f"{task} {name}": _values(score) for task, scores in summed.items() for name, score in scores.items()}
    first = next((said["place"] for name, said in record.inputs.items() if name == "scores_0"), None)
    if first is not None and first not in published.release.records:
        return _verdict(record, "different", f"it compares with {first}, which has no record in the release")
    before = published.artifact(first) if first else None
    if before is not None:
        found = differences(before.read(), again, baseline="iter_0", few=few_of(record))
        now |= _changes([one.as_json() for one in found])
    elif first:
        was = _scores(record.counts["tasks"])
    if record.identity.get("version", 1) < _BOUNDED:
        was, now = (
            {name: _without_fitted_interval(name, numbers) for name, numbers in side.items()} for side in (was, now)
        )
    rows = tuple(_differing(was, now))
    if rows:
        count = len(rows)
        return _verdict(record, "different", f"the record holds other numbers: {count:,} of {len(was):,}", rows[:FIRST])
    items = len(set(zip(again["task"].to_pylist(), again["item"].to_pylist(), strict=True)))
    reason = f"{items:,} answers scored again: {again.num_rows:,} values and {len(was):,} numbers, all the same"
    if any(_ELSEWHERE in task["scores"] for task in record.counts["tasks"]):
        reason += f"; {_ELSEWHERE} was not: it needs two files that no release holds"
    return _verdict(record, "identical", reason)


Numbers = tuple[float | None, ...]


def _values(score: Score) -> Numbers:
    return score.value, score.stderr, float(score.n)


def _scores(tasks: Sequence[Mapping[str, Any]]) -> dict[str, Numbers]:
    return {
        f"{task['task']} {name}": _values(Score.model_validate(score))
        for task in tasks
        for name, score in task["scores"].items()
        if name != _ELSEWHERE
    }


def _changes(found: Sequence[Mapping[str, Any]]) -> dict[str, Numbers]:
    return {
        f"{one['group']} {one['language']} {one['metric']} - {one['baseline']}": tuple(
            one[name] for name in ("value", "low", "high", "n")
        )
        for one in found
    }


def _without_fitted_interval(name: str, numbers: Numbers) -> Numbers:
    return (numbers[0], numbers[-1]) if f" {_FITTED} - " in name else numbers


def _differing(was: Mapping[str, Numbers], now: Mapping[str, Numbers]) -> Iterator[RowDifference]:
    for name in (*was, *(name for name in now if name not in was)):
        ours, theirs = now.get(name, ()), was.get(name, ())
        if len(ours) != len(theirs) or not all(map(_same, theirs, ours)):
            yield RowDifference(name, "value, error, n", str(theirs), str(ours))


def _same(was: float | None, now: float | None) -> bool:
    if was is None or now is None:
        return was is now
    return math.isclose(was, now, rel_tol=0.0, abs_tol=_CLOSE)
