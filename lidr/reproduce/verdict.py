"""What a reproduction says: of each step, of the release's files, and of the whole.

identical            the digest is the same: every row in its order, or every weight
equal rows           the same rows, in another order, or apart from the name of the policy that made them
equal within error   other rows or weights, and every number inside the interval of its difference
other rules          made by another version of its step or benchmark, or from such rows, and not the same any more
different            none of these; or the release is not what its own records say
cannot run here      hardware, a licence, a model or a file is missing
not asked for        left out by --from or --until, or nothing that is made again
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, dataclass, field, replace
from typing import Any, Literal

from lidr.store import Rules, made_by, rules_json

Kind = Literal[
    "identical", "equal rows", "equal within error", "other rules", "different", "cannot run here", "not asked for"
]

SCHEMA = "lidr.reproduction/1"
RAN: tuple[Kind, ...] = ("identical", "equal rows", "equal within error", "other rules", "different")
"""From the best to the worst."""

CARD = "card"
"""The place of the card's verdict. It is text about the steps: rendered again, it says nothing of them."""


@dataclass(frozen=True)
class RowDifference:
    """One row that is not the same. `column` is "" where the whole row is on one side only."""

    key: str
    column: str
    published: str | None
    again: str | None

    def __str__(self) -> str:
        if not self.column:
            return f"{self.key}: {'not made again' if self.again is None else 'not published'}"
        return f"{self.key} {self.column}: {self.published!r} -> {self.again!r}"


@dataclass(frozen=True)
class Number:
    """A number of both runs, and the largest difference that their errors allow (95% over all numbers of the step)."""

    name: str
    published: float
    again: float
    allowed: float

    @property
    def is_inside(self) -> bool:
        """Whether the difference is no larger than its error."""
        return abs(self.again - self.published) <= self.allowed

    def __str__(self) -> str:
        return f"{self.name}: {self.published:.4g} -> {self.again:.4g} (allowed ±{self.allowed:.2g})"


@dataclass(frozen=True)
class Verdict:
    """Of one step.

    Args:
        place: `iter_K/STEP`, `iter_K/STEP (scores from stored outputs)`, or `card`.
        expected: how it is to be compared: exact, or statistical.
        inputs: what it was made from: published, or made again.
        rows: the first rows that differ.
        numbers: what was compared within error.
        rules: that made it, where this lidr has others: {"pair": {"made_by": 1, "now": 2}}.
    """

    place: str
    kind: Kind
    reason: str
    expected: str = "exact"
    inputs: str = ""
    rows: tuple[RowDifference, ...] = ()
    numbers: tuple[Number, ...] = ()
    rules: dict[str, dict[str, int]] = field(default_factory=dict)

    @property
    def said(self) -> str:
        """The kind for people: "made by rules 1" where other rules made it."""
        versions = ", ".join(str(versions["made_by"]) for versions in self.rules.values())
        return f"made by rules {versions}" if self.kind == "other rules" and versions else self.kind

    def by_rules(self, step: str, rules: Rules) -> Verdict:
        """The verdict where other rules made it: that it comes out otherwise says nothing against the release."""
        if not rules or self.kind not in RAN:
            return self
        made = f"made by {made_by(step, rules)}"
        if self.kind != "different":
            return replace(self, reason=f"{self.reason}; {made}", rules=rules_json(rules))
        return replace(self, kind="other rules", reason=f"{made}: {self.reason}", rules=rules_json(rules))

    @property
    def details(self) -> list[str]:
        """The rows that differ, and the numbers outside their interval."""
        return [*map(str, self.rows), *(str(number) for number in self.numbers if not number.is_inside)]


@dataclass(frozen=True)
class Finding:
    """Something in the release that is not what its own records say: the path that was touched, and how one sees it."""

    path: str
    text: str


@dataclass(frozen=True)
class Reproduction:
    """A whole reproduction.

    Args:
        release: repo, type, tag, sha, digest.
        environment: what differs here from where it was made, one line each.
        findings: what was touched in the release.
        machine: what it ran on, without its name.
        asked: `from`, `until` and `rows`, each None where it was not given.
    """

    release: dict[str, Any]
    environment: tuple[str, ...]
    findings: tuple[Finding, ...]
    verdicts: tuple[Verdict, ...]
    started: str
    finished: str
    machine: dict[str, Any] = field(default_factory=dict)
    asked: dict[str, Any] = field(default_factory=dict)

    @property
    def kind(self) -> Kind:
        """Of the whole: the worst of what ran."""
        return overall(self.verdicts, self.findings)

    @property
    def part(self) -> str:
        """What was asked for, as "pair to filter"; empty where it was everything."""
        start, until, rows = (self.asked.get(name) for name in ("from", "until", "rows"))
        steps = f"{start} to {until}" if start and until else f"from {start}" if start else f"up to {until}"
        said = [steps] if start or until else []
        return ", ".join([*said, *([f"answers to {rows} prompts of each iteration"] if rows else [])])

    @property
    def said(self) -> str:
        """The kind for people: a reproduction in part says nothing of the rest, nor of steps that could not be made."""
        if self.kind not in ("identical", "equal rows", "equal within error"):
            return self.kind
        if not (missing := self.not_checked):
            return f"{self.kind} in what was made again ({self.part})" if self.part else self.kind
        made = dict.fromkeys(_step(v) for v in self.verdicts if v.kind in RAN and v.place != CARD)
        names = ", ".join(name for name in made if name not in missing)
        of = f" of what was asked for, {self.part}" if self.part else ""
        return f"{self.kind} in what could be made{of} ({names}); {', '.join(missing)} not checked"

    @property
    def not_checked(self) -> tuple[str, ...]:
        """Steps that could not be made again here in some iteration, by name, in the run's order."""
        return tuple(dict.fromkeys(_step(v) for v in self.verdicts if v.kind == "cannot run here" and v.place != CARD))

    @property
    def not_asked_for(self) -> int:
        """How many steps were left out."""
        return sum(verdict.kind == "not asked for" for verdict in self.verdicts)

    @property
    def reason(self) -> str:
        """In one sentence."""
        if self.findings:
            return f"touched since it was published: {', '.join(dict.fromkeys(f.path for f in self.findings))}"
        differing = [verdict.place for verdict in self.verdicts if verdict.kind == "different"]
        if differing:
            return f"not the same: {', '.join(differing)}"
        if self.kind == "other rules":
            others = [verdict.place for verdict in self.verdicts if verdict.kind == "other rules"]
            return (
                f"made by other rules than this lidr has, or from such rows: {', '.join(others)}; lidr "
                f"{self.release.get('lidr')} can make them again"
            )
        counts = {kind: sum(verdict.kind == kind for verdict in self.verdicts) for kind in (*RAN, "cannot run here")}
        said = ", ".join(f"{count} {kind}" for kind, count in counts.items() if count)
        if said and self.kind == "cannot run here":
            return f"no step was made again ({said})"
        left = f"; {self.not_asked_for} steps not asked for" if self.not_asked_for else ""
        return f"{said or 'nothing was made again'}{left}"

    def as_json(self) -> dict[str, Any]:
        """As verdict.json and attestations hold it, but for the schema."""
        data = asdict(self)
        whole = {"verdict": self.kind, "said": self.said, "reason": self.reason, "not_asked_for": self.not_asked_for}
        return {**whole, **data}


def _step(verdict: Verdict) -> str:
    """A verdict's step without its iteration."""
    return verdict.place.partition("/")[2] or verdict.place


def overall(verdicts: Sequence[Verdict], findings: Sequence[Finding] = ()) -> Kind:
    """The verdict of the whole: the worst of what ran; `cannot run here` where nothing did, or the card alone."""
    if findings:
        return "different"
    ran = [verdict for verdict in verdicts if verdict.kind in RAN]
    if any(verdict.place != CARD for verdict in ran):
        return max((verdict.kind for verdict in ran), key=RAN.index)
    return "different" if any(verdict.kind == "different" for verdict in ran) else "cannot run here"
