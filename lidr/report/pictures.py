"""Pictures of a report: lines over iterations or steps, and differences beside zero; narrow, for phones.

Series("de", ((0, 0.58, 0.53, 0.62), (1, 0.80, 0.76, 0.83)))        x, value, ends of the 95% interval
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import NamedTuple

from lidr.drawing import Circle, Drawing, Line, Rectangle, Text, svg_text, text_width
from lidr.evals.compare import nice_step, shortened

INK, SOFT, GRID, BAND = "var(--ink, #282c34)", "var(--soft, #6b7280)", "var(--line, #e1e4e8)", "var(--ground, #f5f6f8)"
"""The page's own colours, light or dark."""
_COLOURS = ("#0072b2", "#d55e00", "#009e73", "#cc79a7", "#56b4e9", "#e69f00", "#8c6d31", "#636363")
"""Okabe & Ito's colours, which colour-blind people can tell apart, and two more."""
WIDTH, _LEFT, _RIGHT, _PLOT = 460, 52, 14, 210  # pixels


class Point(NamedTuple):
    """A value at x; its interval, where it has one."""

    x: float
    value: float
    low: float | None = None
    high: float | None = None


@dataclass(frozen=True)
class Series:
    """One line, with its name in the legend."""

    name: str
    points: tuple[Point, ...]


@dataclass(frozen=True)
class Scale:
    """Maps values to pixels; its ends are round numbers that hold all values."""

    low: float
    high: float
    start: float
    end: float

    @classmethod
    def over(cls, values: Iterable[float], start: float, end: float, span: tuple[float, float] | None = None) -> Scale:
        """The scale of these values; `span` is what is possible."""
        known = list(values)
        low, high = min(known), max(known)
        if high - low < 1e-9:
            low, high = low - 0.05 * (abs(low) or 1), high + 0.05 * (abs(high) or 1)
        if span is not None:
            low, high = max(low, span[0]), min(high, span[1])
            if high <= low:
                low, high = span
        step = nice_step(high - low)
        return cls(math.floor(low / step + 1e-9) * step, math.ceil(high / step - 1e-9) * step, start, end)

    def at(self, value: float) -> float:
        """The pixel of a value."""
        return self.start + (self.end - self.start) * (value - self.low) / (self.high - self.low)

    @property
    def ticks(self) -> list[tuple[float, str]]:
        """Round values and how they are written."""
        step = nice_step(self.high - self.low)
        digits = max(0, -math.floor(math.log10(step) + 1e-9))
        numbers = range(round(self.low / step), round(self.high / step) + 1)
        return [(i * step, f"{i * step:.{digits}f}") for i in numbers]


def lines_over(
    series: Sequence[Series], *, title: str, x_label: str, x_names: Sequence[str] = (), span: tuple[float, float] | None
) -> str:
    """Lines as SVG, one for each series, with bars for intervals.

    Args:
        series: at least one, each with at least one point.
        title: also what a screen reader says.
        x_names: names of x = 0, 1, ...; empty: numbers.
        span: what is possible; None where there is no bound.
    """
    scene, y = Drawing(WIDTH), 20.0
    scene.add(Text(8, y, shortened(title, 58), INK, 15))
    y = _legend(scene, [one.name for one in series], y + 26) + 22
    bottom = y + _PLOT
    points = [point for one in series for point in one.points]
    ends = [v for p in points for v in (p.value, p.low, p.high) if v is not None]
    vertical = Scale.over(ends, bottom, y, span)
    xs = [point.x for point in points]
    margin = 24 if x_names else 0
    horizontal = Scale(min(xs), max(xs) if max(xs) > min(xs) else min(xs) + 1, _LEFT + margin, WIDTH - _RIGHT - margin)
    for value, name in vertical.ticks:
        scene.add(Line(_LEFT, vertical.at(value), WIDTH - _RIGHT, vertical.at(value), GRID))
        scene.add(Text(_LEFT - 8, vertical.at(value), name, SOFT, 12, "end"))
    ticks = enumerate(x_names) if x_names else [(v, n) for v, n in horizontal.ticks if v in (int(v),)]
    for x, name in ticks:
        if horizontal.low <= x <= horizontal.high:
            scene.add(Text(horizontal.at(x), bottom + 16, name, SOFT, 12, "middle"))
    scene.add(Text((_LEFT + WIDTH - _RIGHT) / 2, bottom + 36, x_label, INK, 13, "middle"))
    for number, one in enumerate(series):
        shift = (number - (len(series) - 1) / 2) * 5 if x_names else 0.0
        _draw(scene, one.points, horizontal, vertical, _COLOURS[number % len(_COLOURS)], shift)
    scene.height = math.ceil(bottom + 48)
    return svg(scene, title)


def _draw(
    scene: Drawing, points: Sequence[Point], horizontal: Scale, vertical: Scale, colour: str, shift: float
) -> None:
    """One line; `shift` keeps the bars of several apart, pixels."""
    places = [(horizontal.at(point.x) + shift, vertical.at(point.value)) for point in points]
    for (x1, y1), (x2, y2) in pairwise(places):
        scene.add(Line(x1, y1, x2, y2, colour, 2))
    is_dense = len(points) > 40
    for (x, y), point in zip(places, points, strict=True):
        if point.low is not None and point.high is not None:
            interval_bar(scene, (x, vertical.at(point.low)), (x, vertical.at(point.high)), colour)
        if not is_dense:
            scene.add(Circle(x, y, 3.5, colour))


def interval_bar(scene: Drawing, one: tuple[float, float], other: tuple[float, float], colour: str) -> None:
    """An interval with its two caps, upright or lying."""
    dx, dy = (3, 0) if one[0] == other[0] else (0, 3)
    scene.add(Line(*one, *other, colour, 1.5))
    scene.add(*(Line(x - dx, y - dy, x + dx, y + dy, colour, 1.5) for x, y in (one, other)))


def _legend(scene: Drawing, names: Sequence[str], y: float) -> float:
    """Dots with names; a new line where the width is used up. One series needs none."""
    x = 8.0
    for number, name in enumerate(names if len(names) > 1 else ()):
        shown = shortened(name, 40)
        width = 16 + text_width(shown, 13) + 18
        if x > 8 and x + width > WIDTH:
            x, y = 8.0, y + 20
        scene.add(Circle(x + 5, y, 4.5, _COLOURS[number % len(_COLOURS)]), Text(x + 16, y, shown, INK, 13))
        x += width
    return y if len(names) > 1 else y - 26


class Beside(NamedTuple):
    """A difference with its interval, and what it is of."""

    name: str
    value: float
    low: float | None
    high: float | None


def beside_zero(rows: Sequence[Beside], *, title: str) -> str:
    """Differences as SVG, each a dot with its 95% interval: green above zero, orange below, else grey."""
    scene, step, top = Drawing(WIDTH), 24, 42.0
    left = 24 + max(text_width(shortened(row.name, 34), 13) for row in rows)
    ends = [0.0, *(v for row in rows for v in (row.value, row.low, row.high) if v is not None)]
    across = Scale.over(ends, left, WIDTH - 26)
    bottom = top + step * len(rows)
    scene.add(Text(8, 20, shortened(title, 58), INK, 15))
    for number in range(0, len(rows), 2):
        scene.add(Rectangle(4, top + number * step, WIDTH - 8, step, BAND))
    for value, name in across.ticks:
        is_zero = abs(value) < 1e-12
        x = across.at(value)
        scene.add(Line(x, top, x, bottom + 4, INK if is_zero else GRID, 1.5 if is_zero else 1))
        scene.add(Text(x, bottom + 16, name if is_zero or value < 0 else f"+{name}", SOFT, 12, "middle"))
    for number, row in enumerate(rows):
        y = top + (number + 0.5) * step
        scene.add(Text(12, y, shortened(row.name, 34), INK, 13))
        colour = _verdict(row)
        if row.low is not None and row.high is not None:
            interval_bar(scene, (across.at(row.low), y), (across.at(row.high), y), colour)
        scene.add(Circle(across.at(row.value), y, 4, colour))
    scene.height = math.ceil(bottom + 30)
    return svg(scene, title)


def _verdict(row: Beside) -> str:
    if row.low is None or row.high is None or row.low <= 0 <= row.high:
        return SOFT
    return _COLOURS[2] if row.low > 0 else _COLOURS[1]


def svg(scene: Drawing, title: str) -> str:
    """A scene as the text of an SVG element, on the page's own ground."""
    return svg_text(scene, title, paper="none")
