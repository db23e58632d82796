"""From slots to kept pairs as a picture: what is left after each step, and why the rest is gone."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from lidr.drawing import Drawing, Rectangle, Text
from lidr.evals.compare import shortened
from lidr.report.pictures import BAND, INK, SOFT, WIDTH, svg

if TYPE_CHECKING:
    from lidr.report.summary import Summary

_KEPT, _GONE = "var(--good, #11734b)", "var(--bad-mark, #fad4bd)"
_MOST_REASONS = 3
_RECIPE, _NOT_REQUESTED = "the recipe's choice", "not requested "


@dataclass(frozen=True)
class Stage:
    """One step of the funnel: how many slots come in, how many are left, and the reasons for the others."""

    name: str
    before: int
    after: int
    reasons: tuple[tuple[str, int], ...] = ()


def stages(summary: Summary, iteration: int) -> tuple[Stage, ...]:
    """The funnel of one iteration, all languages together.

    Returns:
        The slots, those that the recipe asks for, then each step that lost some; the last one's `after` are the pairs
        that are kept.
    """
    columns = [k for k, column in enumerate(summary.columns) if column.iteration == iteration]
    requested, *gone, _ = [(row.label, sum(row.counts[k] for k in columns)) for row in summary.account]
    left = requested[1]
    found = [Stage(requested[0].partition(" (")[0], left, left)]
    by_step: dict[str, Counter[str]] = {}
    for label, count in gone:
        step, _, reason = label.partition(": ")
        name = _RECIPE if reason.startswith(_NOT_REQUESTED) else step
        by_step.setdefault(name, Counter())[reason.removeprefix(_NOT_REQUESTED).strip("()")] += count
    for step, reasons in sorted(by_step.items(), key=lambda one: one[0] != _RECIPE):
        if lost := reasons.total():
            found.append(Stage(step, left, left - lost, tuple((+reasons).most_common())))
            left -= lost
    return tuple(found)


def funnel_picture(found: Sequence[Stage], title: str) -> str:
    """Bars from the slots down to the pairs, as SVG; green is kept, orange what a step drops.

    Args:
        found: from `stages`; the first has every slot.
    """
    scene, y = Drawing(WIDTH), 22.0
    scene.add(Text(8, y, shortened(title, 58), INK, 15))
    whole, width = max(1, found[0].before), WIDTH - 16
    for number, stage in enumerate(found):
        y += 30
        name = f"{stage.before:,} {stage.name}" if number == 0 else _called(stage.name)
        scene.add(Text(8, y, name, INK, 14))
        if number:
            scene.add(Text(WIDTH - 8, y, f"{stage.after:,} left ({stage.after / whole:.0%})", INK, 13, "end"))
        y += 12
        scene.add(Rectangle(8, y, width, 16, BAND))
        scene.add(Rectangle(8, y, width * stage.before / whole, 16, _GONE))
        scene.add(Rectangle(8, y, width * stage.after / whole, 16, _KEPT))
        y += 16
        if stage.reasons:
            y += 14
            scene.add(Text(8, y, shortened(_said(stage), 74), SOFT, 12))
    scene.height = math.ceil(y + 16)
    return svg(scene, title)


def _called(step: str) -> str:
    return "asked for by the recipe" if step == _RECIPE else f"after {step}"


def _said(stage: Stage) -> str:
    shown = [f"{name.replace('_', ' ')} {count:,}" for name, count in stage.reasons[:_MOST_REASONS]]
    others = sum(count for _, count in stage.reasons[_MOST_REASONS:])
    return ", ".join([*shown, *([f"others {others:,}"] if others else [])])
