"""What a run measured before training, and what its gates found, as rows and sentences for cards and reports."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from typing import TYPE_CHECKING, Any, NamedTuple

if TYPE_CHECKING:
    from lidr.store import Record

_LABELS: Mapping[str, tuple[str, str | None]] = {
    "own_mark": ("mark of the own answer, 0-10", "language_gap"),
    "translated_mark": ("mark of the self-translated answer, 0-10", "self_translation"),
    "mark_difference": ("mark of the dominant answer minus the other's", None),
    "preferred": ("the dominant answer is preferred, 0-1", None),
    "round_trip_chrf": ("chrF after a round trip, 0-100", None),
    "length_ratio": ("ln(length / source's length)", None),
    "off_target": ("off-target rate", None),
    "off_target_all": ("off-target rate, of all", None),
    "undecided": ("language undecided", None),
    "logp_margin": ("log-probability a token, chosen - rejected", None),
}
"""Test -> what it is called, and the paper's name for the same."""

COLUMNS = ("number", "language", "value [95% interval]", "n", "the paper's")


class Line(NamedTuple):
    """One number of a measurement."""

    label: str
    language: str
    value: str
    n: str
    paper: str


def measurements(records: Iterable[Record]) -> list[Record]:
    """The records of measurements, in the order of the iterations."""
    found = [record for record in records if record.writes == "measures" and "reward_accuracy" in record.counts]
    return sorted(found, key=lambda record: record.iteration)


def lines(record: Record) -> Iterator[Line]:
    """Every number of one measurement beside the paper's, where it published the same."""
    published = record.counts["paper"]["values"]
    for one in record.counts["numbers"]:
        label, name = _LABELS[one["test"]]
        where = f"{one['other']}->{one['language']}" if one["other"] and not one["kind"] else one["language"]
        label += f", {_kind(one)} pairs" if one["kind"] else ""
        yield Line(label, where, _interval(one), _count(one), _published(published, name, one["language"]))
    for one in record.counts["reward_accuracy"]:
        pairs = record.identity["recipe"]["languages"]["dominant"] if one["kind"] == "dominant" else one["language"]
        unsure = "" if one["is_certain"] else " (not above chance)"
        yield Line(
            f"reward accuracy by {one['referee']}, {_kind(one)} pairs",
            one["language"],
            _interval(one["accuracy"]) + unsure,
            f"{one['accuracy']['n']:,} + {one['ties']:,} ties",
            "-" if one["kind"] == "sampled" else _published(published, "reward_accuracy", pairs),
        )
    for one in record.counts.get("scorer_accuracy", ()):
        label = f"reward accuracy of the scorer {one['scorer']} by {one['referee']}"
        yield Line(label, one["language"], _interval(one), _count(one), "-")


def source_of(record: Record) -> str:
    """Where the paper's figures come from."""
    paper = record.counts["paper"]
    return f"The paper's: {paper['model']}; {paper['source']}."


def _kind(one: Mapping[str, Any]) -> str:
    return str(one["kind"]).replace("_", "-")


def _interval(one: Mapping[str, Any]) -> str:
    if one["value"] is None:
        return "-"
    return f"{one['value']:.3f} [{one['low']:.3f}, {one['high']:.3f}]"


def _count(one: Mapping[str, Any]) -> str:
    return f"{one['n']:,}" + (f" ({one['not_scored']:,} not scored)" if one["not_scored"] else "")


def _published(values: Mapping[str, Mapping[str, float]], name: str | None, language: str) -> str:
    found = values.get(name, {}).get(language) if name else None
    return "-" if found is None else f"{found:g}"


def gates(records: Iterable[Record]) -> list[Record]:
    """The records of gates, in the order of the iterations."""
    return sorted((r for r in records if r.writes == "verdicts"), key=lambda record: record.iteration)


def gate_sentences(records: Iterable[Record]) -> Iterator[str]:
    """What each gate found and did, in the order of the iterations; where one fired, what its intervals are."""
    found = gates(records)
    for record in found:
        yield from _sentences(record)
    if any(record.counts["fired"] for record in found):
        yield (
            "The intervals of a gate hold at 95% for all numbers of a signature together (Bonferroni), so they are "
            "wider than those of the same number in a table."
        )


def _sentences(record: Record) -> Iterator[str]:
    """What one gate looked for, what fired and why, and how the run went on."""
    counts, decision = record.counts, record.counts["decision"]
    if not counts["fired"]:
        yield f"{record.place}: none of {counts['findings']:,} numbers lies beyond its limit."
    for one in counts["fired"]:
        yield f"{record.place}: {one['signature']} ({one['act']}): {one['says']}."
    for gain in counts["gains"]:
        yield (
            f"{record.place}: mean gain of the non-dominant languages over iter_{gain['baseline']}, "
            f"{gain['metric']} of {gain['benchmark']}: {_interval(gain)}."
        )
    if decision["ends"]:
        yield f"{record.place}: {decision['ends']}."
    elif decision["policy"] != record.iteration:
        yield f"{record.place}: rolled back; the policy of iter_{decision['policy']} goes on."
    for step, settings in decision["changes"].items():
        changed = ", ".join(f"{step}.{name} = {value}" for name, value in settings.items())
        yield f"{record.place}: later iterations have {changed}."
    if counts["scores"]:
        scores = ", ".join(f"iter_{k} {value:.3f}" for k, value in counts["scores"].items())
        yield f"{record.place}: mean scores {scores}; best so far: iter_{counts['best']}."
