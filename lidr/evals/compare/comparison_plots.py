"""Pictures of a comparison: for each metric the scores on the left, the differences to the baseline on the right.

Rows are languages, one colour a model, a dot with its 95% interval; the same scene is written as PNG or as SVG.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from lidr.drawing import Circle, Drawing, Line, Rectangle, Text, text_width, write_png, write_svg
from lidr.errors import EvaluationError
from lidr.evals.compare.paired_comparison import Comparison, Section
from lidr.evals.compare.text_tables import heading
from lidr.evals.statistics import ALL, Estimate

_INK, _SOFT, _GRID, _BAND = "#282c34", "#6b7280", "#e1e4e8", "#f5f6f8"
_COLOURS = ("#0072b2", "#d55e00", "#009e73", "#cc79a7", "#56b4e9", "#e69f00", "#8c6d31", "#636363")
"""Okabe & Ito's colours, which colour-blind people can tell apart, and two more."""

_WIDTH, _MARGIN, _LABELS, _BETWEEN = 1000, 28, 64, 56
_STEP, _PAD = 15, 11  # pixels between models of a row, and above and below them
_FORMATS: Mapping[str, Callable[[Drawing, Path, str], None]] = {
    ".png": lambda scene, path, title: write_png(scene, path),
    ".svg": write_svg,
}


def check_plot(path: Path) -> None:
    """Refuse a file name whose picture cannot be drawn, before anything is computed.

    Raises:
        EvaluationError: another ending than .png or .svg, or no such folder.
    """
    if path.suffix not in _FORMATS:
        raise EvaluationError(f"--plot {path}: the name must end in {' or '.join(_FORMATS)}")
    if not path.parent.is_dir():
        raise EvaluationError(f"--plot {path}: there is no folder {path.parent}; make it first")


def write_plot(comparison: Comparison, path: Path) -> None:
    """Draw a comparison as PNG or SVG, by the file's ending.

    Raises:
        EvaluationError: the ending is neither.
    """
    check_plot(path)
    _FORMATS[path.suffix](drawing_of(comparison), path, "; ".join(heading(s) for s in comparison.sections))


def drawing_of(comparison: Comparison) -> Drawing:
    """All sections of a comparison below each other."""
    scene = Drawing(_WIDTH)
    y = 12.0
    for section in comparison.sections:
        y = _draw_section(scene, section, y, comparison.resamples)
    scene.height = math.ceil(y + 6)
    return scene


@dataclass(frozen=True)
class _Axis:
    """Maps values to pixels between two edges."""

    left: float
    right: float
    low: float
    high: float

    @classmethod
    def over(
        cls,
        values: Iterable[float],
        left: float,
        right: float,
        *,
        least: float,
        span: tuple[float, float] | None = None,
    ) -> _Axis:
        """Round limits that hold all values, inside the span of what is possible.

        Args:
            least: shortest length, so that noise does not fill the picture.
        """
        known = list(values) or [0.0]
        low, high = min(known), max(known)
        if high - low < least:
            middle = (low + high) / 2
            low, high = middle - least / 2, middle + least / 2
        if span is not None:
            low, high = max(low, span[0]), min(high, span[1])
        step = nice_step(high - low)
        return cls(left, right, math.floor(low / step + 1e-9) * step, math.ceil(high / step - 1e-9) * step)

    @property
    def step(self) -> float:
        return nice_step(self.high - self.low)

    @property
    def ticks(self) -> list[float]:
        first = math.ceil(self.low / self.step - 1e-9)
        last = math.floor(self.high / self.step + 1e-9)
        return [i * self.step for i in range(first, last + 1)]

    def at(self, value: float) -> float:
        return self.left + (self.right - self.left) * (value - self.low) / (self.high - self.low)


def nice_step(length: float, about: int = 5) -> float:
    """A step of 1, 2 or 5 times a power of ten that divides a length into about so many parts.

    >>> nice_step(0.6), nice_step(38)
    (0.1, 10.0)
    """
    raw = length / about
    power = math.floor(math.log10(raw))
    step = next((m for m in (1.0, 2.0, 5.0) if m * 10.0**power >= raw * 0.75), 10.0)
    return step * float(10**power) if power >= 0 else step / float(10**-power)


def _draw_section(scene: Drawing, section: Section, y: float, resamples: int) -> float:
    """Title, legend and both panels, from y downwards; the first free y."""
    numbers = section.paired
    rows = [*section.languages, *([ALL] if len(section.languages) > 1 else [])]
    others = [name for name in section.models if name != section.baseline]
    colours = {name: _COLOURS[i % len(_COLOURS)] for i, name in enumerate(section.models)}
    items = sorted(set(section.items.values()))
    counted = f"{items[0]:,}" if len(items) == 1 else f"{items[0]:,} to {items[-1]:,}"
    y += 18
    scene.add(Text(_MARGIN, y, heading(section), _INK, 19))
    y += 24
    subtitle = f"{counted} items in each language; bars: 95% intervals, whole items resampled {resamples:,} times"
    scene.add(Text(_MARGIN, y, subtitle, _SOFT, 13))
    y = _draw_legend(scene, colours, y + 28)
    top = y + 34
    half = (_WIDTH - 2 * _MARGIN - _LABELS - _BETWEEN) * 0.56
    left, middle = _MARGIN + _LABELS, _MARGIN + _LABELS + half
    unit = 100.0 if section.metric.scale > 1 else 1.0
    bottom = _draw_rows(scene, rows, top, len(section.models))
    span = section.metric.scaled_span
    scores = _Axis.over(_ends(numbers.scores, rows), left, middle, least=0.05 * unit, span=span)
    _draw_axis(scene, scores, top, bottom, section.metric.label)
    _draw_points(scene, scores, numbers.scores, rows, section.models, colours, top)
    differences = _Axis.over(
        [0.0, *_ends(numbers.differences, rows)], middle + _BETWEEN, _WIDTH - _MARGIN, least=0.05 * unit
    )
    _draw_axis(scene, differences, top, bottom, f"difference to {section.baseline}", zero=True)
    _draw_points(scene, differences, numbers.differences, rows, others, colours, top, of=len(section.models))
    return bottom + 62


def _ends(table: Mapping[str, Mapping[str, Estimate]], rows: Sequence[str]) -> list[float]:
    cells = [table[name][row] for name in table for row in rows]
    return [value for cell in cells for value in (cell.value, cell.low, cell.high) if value is not None]


def _height(models: int) -> int:
    return _STEP * (models - 1) + 2 * _PAD


def _draw_legend(scene: Drawing, colours: Mapping[str, str], y: float) -> float:
    """Dots with names; a new line where the width is used up."""
    x = float(_MARGIN)
    for name, colour in colours.items():
        shown = shortened(name)
        width = 18 + text_width(shown, 14) + 26
        if x > _MARGIN and x + width > _WIDTH - _MARGIN:
            x, y = float(_MARGIN), y + 22
        scene.add(Circle(x + 6, y, 5, colour), Text(x + 18, y, shown, _INK, 14))
        x += width
    return y


def shortened(name: str, longest: int = 60) -> str:
    """A name that fits; the middle goes, since the end of a path says most."""
    return name if len(name) <= longest else f"{name[:20]}...{name[-(longest - 23) :]}"


def _draw_rows(scene: Drawing, rows: Sequence[str], top: float, models: int) -> float:
    """Bands and names of the languages; the y below the last one."""
    y = top
    for number, row in enumerate(rows):
        if number % 2 == 0:
            scene.add(Rectangle(_MARGIN, y, _WIDTH - 2 * _MARGIN, _height(models), _BAND))
        if row == ALL:
            scene.add(Line(_MARGIN, y, _WIDTH - _MARGIN, y, _SOFT))
        scene.add(Text(_MARGIN + 10, y + _height(models) / 2, "mean" if row == ALL else row, _INK, 15))
        y += _height(models)
    return y


def _draw_axis(scene: Drawing, axis: _Axis, top: float, bottom: float, label: str, *, zero: bool = False) -> None:
    digits = max(0, -math.floor(math.log10(axis.step) + 1e-9))
    for tick in axis.ticks:
        x, is_zero = axis.at(tick), zero and abs(tick) < axis.step / 1000
        scene.add(Line(x, top, x, bottom + 5, _INK if is_zero else _GRID, 1.5 if is_zero else 1))
        shown = f"{tick:+.{digits}f}" if zero and not is_zero else f"{abs(tick) if is_zero else tick:.{digits}f}"
        scene.add(Text(x, bottom + 16, shown, _SOFT, 12, "middle"))
    scene.add(Text((axis.left + axis.right) / 2, bottom + 38, shortened(label, 50), _INK, 14, "middle"))


def _draw_points(
    scene: Drawing,
    axis: _Axis,
    table: Mapping[str, Mapping[str, Estimate]],
    rows: Sequence[str],
    models: Sequence[str],
    colours: Mapping[str, str],
    top: float,
    *,
    of: int | None = None,
) -> None:
    """A dot and its interval for each row and model, in the middle of rows made for `of` models."""
    height = _height(of or len(models))
    for number, row in enumerate(rows):
        first = top + number * height + height / 2 - _STEP * (len(models) - 1) / 2
        for place, name in enumerate(models):
            cell, y = table[name][row], first + place * _STEP
            if cell.value is None:
                continue
            if cell.low is not None and cell.high is not None:
                low, high = axis.at(cell.low), axis.at(cell.high)
                scene.add(Line(low, y, high, y, colours[name], 2))
                scene.add(*(Line(x, y - 4, x, y + 4, colours[name], 2) for x in (low, high)))
            scene.add(Circle(axis.at(cell.value), y, 5, colours[name]))
