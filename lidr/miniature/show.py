"""Run the miniature recipe and its control, and draw accuracy by language and iteration: python -m lidr.miniature.show

The control is the same run with chosen and rejected swapped in training, under a version of its own: it shares with the
run the first policy and the first iteration's answers, translations and pairs, and differs from training on.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Mapping, Sequence
from itertools import pairwise
from pathlib import Path

from lidr.drawing import Circle, Drawing, Line, Text, write_png
from lidr.intervals import wilson
from lidr.miniature.tell import Curve, accuracies, gains, scores
from lidr.pipeline import Plan, load_recipe, run
from lidr.resources import shared

_COLOURS = {"en": "#2e6bb0", "de": "#c8553d", "es": "#d99a2b"}
_INK, _SOFT, _GRID = "#282c34", "#6b7280", "#e1e4e8"
_WIDTH, _HEIGHT, _LEFT, _TOP, _BOTTOM, _BETWEEN = 900, 420, 60, 84, 60, 40


def run_both(recipe: Path, overrides: Sequence[str] = ()) -> dict[str, Plan]:
    """The run and its control, as far as they are not there yet."""
    version = load_recipe(recipe, overrides=overrides).version
    control = (f"version={version}-swapped", "chain.train.sides=swapped", "chain.gate={no_gain: {act: warn}}")
    return {
        title: run(load_recipe(recipe, overrides=[*overrides, *words]), say=_say)
        for title, words in (("the method", ()), ("control: chosen and rejected swapped", control))
    }


def _say(text: str) -> None:
    print(text, file=sys.stderr)


def draw(curves: Mapping[str, Curve], path: Path) -> None:
    """One panel for each curve, beside each other; bars are Wilson's 95% intervals."""
    scene = Drawing(_WIDTH, _HEIGHT)
    problems = max(n for curve in curves.values() for row in curve.values() for _, n in row.values())
    scene.add(Text(_LEFT, 24, "Held-out problems answered right, by iteration", _INK, 19))
    scene.add(Text(_LEFT, 48, f"{problems} problems in each language; bars: 95% intervals", _SOFT, 13))
    width = (_WIDTH - _LEFT - 40 - _BETWEEN * (len(curves) - 1)) / len(curves)
    for number, (title, curve) in enumerate(curves.items()):
        _panel(scene, title, curve, _LEFT + number * (width + _BETWEEN), width)
    for number, (language, colour) in enumerate(_COLOURS.items()):
        x = _WIDTH - 190 + number * 55
        scene.add(Circle(x, 24, 5, colour), Text(x + 10, 24, language, _INK, 14))
    path.parent.mkdir(parents=True, exist_ok=True)
    write_png(scene, path)


def _panel(scene: Drawing, title: str, curve: Curve, left: float, width: float) -> None:
    height = _HEIGHT - _TOP - _BOTTOM
    last = max(curve)

    def place(iteration: float, share: float) -> tuple[float, float]:
        return left + 16 + (width - 32) * iteration / max(1, last), _TOP + height * (1 - share)

    scene.add(Text(left + width / 2, _TOP - 14, title, _INK, 14, "middle"))
    for tenth in range(0, 11, 2):
        y = place(0, tenth / 10)[1]
        scene.add(Line(left, y, left + width, y, _GRID), Text(left - 8, y, f"{tenth * 10}%", _SOFT, 12, "end"))
    for iteration in curve:
        label = "first policy" if iteration == 0 else f"iteration {iteration}"
        scene.add(Text(place(iteration, 0)[0], _TOP + height + 18, label, _SOFT, 12, "middle"))
    for shift, (language, colour) in enumerate(_COLOURS.items()):
        dots = [(k, *row[language]) for k, row in sorted(curve.items()) if language in row]
        places = [place(k, share) for k, share, _ in dots]
        for (x1, y1), (x2, y2) in pairwise(places):
            scene.add(Line(x1, y1, x2, y2, colour, 2))
        for (x, y), (k, share, n) in zip(places, dots, strict=True):
            low, high = (place(k, bound)[1] for bound in wilson(share, n))
            scene.add(Line(x + shift - 1, low, x + shift - 1, high, colour, 1.5), Circle(x, y, 5, colour))


def main(words: list[str] | None = None) -> int:
    """Run both, print the numbers, draw."""
    parser = argparse.ArgumentParser(prog="python -m lidr.miniature.show", description=(__doc__ or "").split("\n")[0])
    parser.add_argument("--recipe", type=Path, default=shared("recipes") / "miniature.yaml")
    parser.add_argument("--set", action="append", default=[], dest="overrides", metavar="KEY=VALUE")
    parser.add_argument("--figure", type=Path, default=Path("runs/miniature.png"))
    options = parser.parse_args(words)
    tables = {title: scores(plan) for title, plan in run_both(options.recipe, options.overrides).items()}
    for title, found in tables.items():
        print(title)
        for iteration, row in accuracies(found).items():
            print(f"  iter_{iteration}  " + "  ".join(f"{code} {share:.3f}" for code, (share, _) in row.items()))
        if len(found) > 1:
            changes = gains(found[0], found[max(found)]).items()
            print("  gain    " + "  ".join(f"{code} {value:+.3f} [{low:+.3f}, {high:+.3f}]" for code, (value, low, high)
                                           in changes))  # fmt: skip
    draw({title: accuracies(found) for title, found in tables.items()}, options.figure)
    print(f"figure: {options.figure}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
