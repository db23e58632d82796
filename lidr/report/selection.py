"""What dropping selects, and which prompts are bound to their language: as lines and as tables."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator
from typing import TYPE_CHECKING, Any

from lidr.evals.compare import TextTable
from lidr.report.record_reading import of_records
from lidr.rows import NON_DOMINANT

if TYPE_CHECKING:
    from lidr.store import Record

_BY = {
    "length": ("fifth of length, 1 the shortest", "By length of the answer that had to be translated"),
    "prompt_kind": ("prompt", "By kind of prompt"),
    "language": (NON_DOMINANT, f"By {NON_DOMINANT}"),
}
"""Section of a selection -> its first column and its title."""
_OF_SAMPLED = {
    **_BY,
    "length": (_BY["length"][0], "By mean length of a prompt's answers"),
    "language": ("language", "By language"),
}
"""The same of pairs from scores: nothing is translated, and every language has its own."""


@of_records
def selection_lines(records: Iterable[Record]) -> tuple[str, ...]:
    """At most two lines over all iterations: how many slots the pair step dropped, and prompts bound to a language.

    Args:
        records: of a run, in any order.
    """
    records = list(records)
    return (*_dropped_line(records), *_bound_line(records))


def _dropped_line(records: Iterable[Record]) -> Iterator[str]:
    found = [record.counts["selection"] for record in records if "selection" in record.counts]
    slots, dropped = (sum(one[name] for one in found) for name in ("slots", "dropped"))
    if slots:
        fifths = ", ".join(f"{100 * share:.1f}" for _, share in _shares(found, "length"))
        yield (
            f"pair dropped {dropped:,} of {slots:,} slots ({dropped / slots:.1%}); by length of the answer that had to "
            f"be translated, from the shortest fifth to the longest: {fifths}%"
        )


def _shares(found: Iterable[dict[str, Any]], by: str) -> list[tuple[str, float]]:
    slots: Counter[Any] = Counter()
    dropped: Counter[Any] = Counter()
    for row in (row for one in found for row in one[by]):
        slots[row["name"]] += row["slots"]
        dropped[row["name"]] += row["dropped"]
    return [(str(name), dropped[name] / count) for name, count in sorted(slots.items()) if count]


def _bound_line(records: Iterable[Record]) -> Iterator[str]:
    found = [record.counts["language_bound"] for record in records if "language_bound" in record.counts]
    if found:
        sent, hits = _total(found, "sent_to"), _total(found, "hits")
        policies = ", ".join(f"{policy} {count:,}" for policy, count in sorted(sent.items()))
        rules = ", ".join(f"{rule} {count:,}" for rule, count in hits.most_common() if count)
        total = sum(sent.values())
        yield (
            f"Prompts bound to their language: {total:,}{f' ({policies})' if total else ''}; hits by rule, whatever "
            f"its score: {rules or 'none'}"
        )


def _total(found: Iterable[dict[str, Any]], name: str) -> Counter[str]:
    total: Counter[str] = Counter()
    for one in found:
        total.update(one[name])
    return total


def selection_tables(records: Iterable[Record], *, are_sampled: bool = False) -> tuple[TextTable, ...]:
    """Shares of dropped slots by length, kind of prompt and language; a column for each iteration.

    Args:
        records: of a run, in any order.
        are_sampled: whether its pairs are from scores.
    """
    titles = _OF_SAMPLED if are_sampled else _BY
    found = {record.place: record.counts["selection"] for record in records if record.counts.get("selection")}
    return tuple(_by(found, by, *titles[by]) for by in titles) if found else ()


def _by(found: dict[str, dict[str, Any]], by: str, head: str, title: str) -> TextTable:
    names = sorted({row["name"] for one in found.values() for row in one[by]}, key=str)
    cells = {(place, row["name"]): row for place, one in found.items() for row in one[by]}
    rows = tuple((str(name), *(_share(cells.get((place, name))) for place in found)) for name in names)
    return TextTable(title, (head, *found), rows)


def _share(row: dict[str, Any] | None) -> str:
    if row is None or not row["slots"]:
        return "-"
    return f"{row['dropped']:,} of {row['slots']:,} ({row['share']:.1%})"


def length_remarks(records: Iterable[Record]) -> tuple[str, ...]:
    """Mean lengths of what was kept and dropped, one sentence for each iteration."""
    said = []
    for record in records:
        if selection := record.counts.get("selection"):
            kept, dropped = (_characters(selection["characters"][name]) for name in ("kept", "dropped"))
            said.append(f"{record.place}: mean length of the text kept {kept}, dropped {dropped} characters.")
    return tuple(said)


def _characters(value: float | None) -> str:
    return "-" if value is None else f"{value:,.1f}"


def bound_tables(records: Iterable[Record]) -> tuple[TextTable, ...]:
    """Prompts by policy, and hits by rule: those that never hit are counted in a remark."""
    found = {record.place: record.counts["language_bound"] for record in records if "language_bound" in record.counts}
    if not found:
        return ()
    return (
        _counted(found, "sent_to", "Prompts by policy", "policy"),
        _counted(found, "hits", "Hits by rule, whatever its score", "rule"),
    )


def _counted(found: dict[str, dict[str, Any]], name: str, title: str, head: str) -> TextTable:
    total = _total(found.values(), name)
    rows = tuple(
        (key, *(f"{one[name].get(key, 0):,}" for one in found.values())) for key, n in total.most_common() if n
    )
    never = sum(1 for count in total.values() if not count)
    remarks = (f"{never:,} of {len(total):,} rules never hit.",) if never else ()
    return TextTable(title, (head, *found), rows, 1, remarks)
