"""What a run came to, at the top of its report: each language before and after, and how much of the gap was closed."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, NamedTuple

from lidr.analysis import MEAN, Evaluated, ShownScore, evaluated
from lidr.drawing import Circle, Drawing, Line, Text, text_width
from lidr.evals import GAP_ERRORS, Estimate
from lidr.evals.compare import closed_cell
from lidr.intervals import FEW
from lidr.languages import LANGUAGES
from lidr.release.cards import interval
from lidr.report.html.gaps_closed import gaps_closed
from lidr.report.pictures import GRID, INK, SOFT, WIDTH, Point, Scale, interval_bar, svg

if TYPE_CHECKING:
    from lidr.report.run_state import RunState

_BEFORE, _AFTER = SOFT, "var(--after, #0072b2)"


class Change(NamedTuple):
    """One language: score before and after, each with the ends of its 95% interval; and the paired difference."""

    language: str
    before: Point
    after: Point
    difference: Mapping[str, Any] | None
    closed: Estimate | None
    """Share of its gap that is closed; None for the dominant language, without a value where there was no gap."""

    @property
    def share(self) -> str:
        """`78% [71, 85]`, or a dash."""
        return closed_cell(self.closed) if self.closed else "-"


@dataclass(frozen=True)
class Headline:
    """The first benchmark that was asked before and after.

    Args:
        title: of the benchmark.
        unit: what its score is called.
        scale: the largest possible score.
        iterations: of the two policies, the first and the one that is compared.
        changes: the dominant language first.
        mean: paired difference of the mean over all languages, where it was computed.
        closed: share of the mean gap that is closed.
    """

    title: str
    unit: str
    scale: float
    iterations: tuple[int, int]
    changes: tuple[Change, ...]
    n: int
    mean: Mapping[str, Any] | None
    closed: Estimate | None

    @property
    def share(self) -> str:
        """Of the mean gap: `78% [71, 85]`; empty where none can be told."""
        return "" if self.closed is None or self.closed.value is None else closed_cell(self.closed)

    @property
    def why_bare(self) -> str:
        """Why a share has no interval; empty where each has one."""
        shares = [change.closed for change in self.changes if change.closed and change.closed.value is not None]
        if all(share.low is not None for share in shares):
            return ""
        if not all(share.n for share in shares):
            return "No interval of a share: the scores of each question are not beside the records."
        return (
            f"No interval of a share where the gap before is less than {GAP_ERRORS:g} standard errors from 0, or rests "
            f"on fewer than {FEW} questions: it would not hold."
        )

    def shown(self, value: float) -> str:
        """A score for people: `58.3%`, or points."""
        return f"{100 * round(value / self.scale, 3):.1f}%"  # as tables round it, which show 0.583

    def difference(self, change: Change) -> str:
        """The paired difference of a language, where there is one, else that of its two scores."""
        value = change.after.value - change.before.value
        return self.points(change.difference or {"value": value, "low": None, "high": None})

    def points(self, found: Mapping[str, Any]) -> str:
        """`+31.2 points [+25.1, +37.0]`."""
        value, low, high = (self._points(found[name]) for name in ("value", "low", "high"))
        ends = "" if low is None or high is None else f" [{low:+.1f}, {high:+.1f}]"
        return f"{value:+.1f} points{ends}"

    def _points(self, value: float | None) -> float | None:
        return None if value is None else 100 * round(value / self.scale, 3)


def headline(run: RunState) -> Headline | None:
    """Read it from the records; None where nothing was evaluated before and after."""
    for one in evaluated(run.records):
        iterations = [record.iteration for record in one.records]
        if 0 in iterations and len(iterations) > 1:
            last = run.result if run.result in iterations[1:] else iterations[-1]
            return _headline(run, one, iterations.index(0), iterations.index(last))
    return None


def _headline(run: RunState, one: Evaluated, first: int, last: int) -> Headline | None:
    score = one.shown[0]
    cells = {code: (found[first], found[last]) for shown, code, found in one.scores() if shown is score}
    both = {code: (a, b) for code, (a, b) in cells.items() if a and b}
    if not both:
        return None
    iterations = one.records[first].iteration, one.records[last].iteration
    paired = one.changes().get(f"iter_{iterations[1]} - iter_{iterations[0]}", {})
    dominant = run.recipe.languages.dominant
    folders = run.where(one.records[first]), run.where(one.records[last])
    scores = {code: (a["value"], b["value"]) for code, (a, b) in both.items()}
    closed = gaps_closed(one, score, dominant, folders, scores)
    changes = tuple(
        Change(
            code,
            _point(a, score),
            _point(b, score),
            paired.get((score.name, code)),
            closed.get(code),
        )
        for code, (a, b) in sorted(both.items(), key=lambda item: item[0] != dominant)
    )
    n = max(cell["n"] for cell, _ in both.values())
    mean = paired.get((score.name, MEAN))
    return Headline(one.title, score.label, score.scale, iterations, changes, n, mean, closed.get(MEAN))


def _point(cell: Mapping[str, Any], score: ShownScore) -> Point:
    return Point(0, cell["value"], *interval(cell, score))


def headline_picture(found: Headline) -> str:
    """The drawing of a headline, as SVG for a page."""
    return svg(headline_drawing(found), f"{found.title}: {found.unit} before and after, by language")


def headline_drawing(found: Headline) -> Drawing:
    """Each language as a line from its score before to that after, with both intervals."""
    names = {change.language: _name(change.language) for change in found.changes}
    left = 18 + max(text_width(name, 15) for name in names.values())
    step, top = 62, 46.0
    ends = [v for c in found.changes for p in (c.before, c.after) for v in (p.value, p.low, p.high) if v is not None]
    across = Scale.over(ends, left, WIDTH - 20, (0.0, found.scale))
    scene = Drawing(WIDTH)
    bottom = top + step * len(found.changes)
    for value, _ in across.ticks:
        x = across.at(value)
        scene.add(Line(x, top, x, bottom, GRID))
        scene.add(Text(x, bottom + 14, f"{100 * value / found.scale:.0f}%", SOFT, 12, "middle"))
    scene.add(Circle(left, 22, 5, _BEFORE), Text(left + 12, 22, f"before (iter_{found.iterations[0]})", INK, 13))
    scene.add(Circle(left + 150, 22, 5, _AFTER), Text(left + 162, 22, f"after (iter_{found.iterations[1]})", INK, 13))
    for number, change in enumerate(found.changes):
        y = top + step * (number + 0.5)
        scene.add(Text(8, y, names[change.language], INK, 15))
        scene.add(*_values(change, found, across, y))
        start, end = across.at(change.before.value), across.at(change.after.value)
        scene.add(Line(start, y, end, y, _AFTER, 3))
        for point, colour, shift in ((change.before, _BEFORE, -5), (change.after, _AFTER, 5)):
            if point.low is not None and point.high is not None:
                interval_bar(scene, (across.at(point.low), y + shift), (across.at(point.high), y + shift), colour)
            scene.add(Circle(across.at(point.value), y, 6, colour))
    scene.height = math.ceil(bottom + 28)
    return scene


def _values(change: Change, found: Headline, across: Scale, y: float) -> Iterator[Text]:
    """Both values, above and below the line, so that they never lie on each other."""
    for point, colour, shift in ((change.before, SOFT, -19), (change.after, INK, 20)):
        x = min(max(across.at(point.value), across.start + 18), across.end - 18)
        yield Text(x, y + shift, found.shown(point.value), colour, 13, "middle")


def _name(code: str) -> str:
    return LANGUAGES[code].name if code in LANGUAGES else code
