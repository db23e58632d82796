"""The table of methods in docs/methods.md and its picture, from tests/proofs/methods.json.

python -m tests.methods.method_table
"""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any

from lidr.drawing import Circle, Drawing, Line, Text, svg_text
from tests.documents.blocks import ROOT
from tests.methods.cells import CONTROL, METHODS, OTHERS, WORLDS

PAGE = ROOT / "docs" / "methods.md"
PICTURE = ROOT / "docs" / "images" / "methods.svg"
FILE = ROOT / "tests" / "proofs" / "methods.json"
TITLE = "Gain in accuracy in German and Spanish after two iterations, by method and world, with 95% intervals"
_TABLE = re.compile(r"(?<=<!-- methods -->\n).*?(?=<!-- end of methods -->)", re.S)
_INK, _SOFT, _DOT = "#282c34", "#9aa0a6", "#1f6feb"
_LEFT, _WIDTH, _TOP, _ROW, _PANEL = 84, 160, 54, 24, 132
_LOW, _HIGH = -0.4, 0.3

Cells = dict[str, dict[str, Any]]


def cells() -> Cells:
    """World/method -> what it came to; of the finished cells alone."""
    if not FILE.is_file():
        return {}
    found: Cells = json.loads(FILE.read_text(encoding="utf-8"))["cells"]
    return found


def table(found: Cells) -> str:
    """For each world one table, a row for each method; cells that were not run say so."""
    return "\n".join(_of_world(world, found) for world in (*WORLDS, CONTROL))


def _of_world(world: str, found: Cells) -> str:
    head = ["method", "en", *OTHERS, "gain, de and es", "against LIDR", "pairs", "reward accuracy, de es",
            "thousand tokens"]  # fmt: skip
    lines = [head, ["---"] * len(head)]
    for method, told in METHODS.items():
        one = found.get(f"{world}/{method}")
        said = [*(["not run"] if one is None else ["ended"]), *[""] * (len(head) - 2)]
        lines.append([told.label, *(said if one is None or "ended" in one else _cells(one))])
    body = "".join(f"| {' | '.join(line)} |\n" for line in lines)
    return f"**{world}**\n\n{body}"


def _cells(one: dict[str, Any]) -> list[str]:
    first, *_, last = one["accuracy"].values()
    accuracy = [f"{first[code]:.3f} -> {last[code]:.3f}" for code in ("en", *OTHERS)]
    signal = " ".join(_share(one["reward_accuracy"].get(code)) for code in OTHERS)
    tokens = sum(one["tokens"].values()) / 1000
    against = _signed(one["against_lidr"]) if one["against_lidr"] else "-"
    pairs = " + ".join(f"{count:,}" for count in one["pairs"])
    return [*accuracy, _signed(one["others"]), against, pairs, signal, f"{tokens:,.0f}"]


def _share(number: list[float | None] | None) -> str:
    return "-" if not number or number[0] is None else f"{number[0]:.2f}"


def _signed(number: list[float]) -> str:
    value, low, high = number
    return f"{value:+.3f} [{low:+.3f}, {high:+.3f}]"


def picture(found: Cells) -> Drawing:
    """A panel for each world: the mean gain of German and Spanish, a row for each method."""
    scene = Drawing(_LEFT + len(WORLDS) * _WIDTH + 16, _TOP + len(METHODS) * _ROW + 48)
    scene.add(Text(12, 18, "Gain in German and Spanish, points of accuracy, after two iterations", _INK, 14))
    for row, told in enumerate(METHODS.values()):
        scene.add(Text(12, _TOP + row * _ROW + 12, told.label, _INK, 12))
    for column, world in enumerate(WORLDS):
        _panel(scene, _LEFT + column * _WIDTH + 14, world, found)
    return scene


def _panel(scene: Drawing, left: float, world: str, found: Cells) -> None:
    def at(value: float) -> float:
        return left + _PANEL * (min(max(value, _LOW), _HIGH) - _LOW) / (_HIGH - _LOW)

    bottom = _TOP + len(METHODS) * _ROW
    scene.add(Text(left + _PANEL / 2, 40, world, _INK, 12, "middle"))
    for tick in (-0.4, -0.2, 0.0, 0.2):
        scene.add(Line(at(tick), _TOP, at(tick), bottom, _SOFT if tick == 0 else "#e6e8eb"))
        scene.add(Text(at(tick), bottom + 14, f"{tick * 100:+.0f}" if tick else "0", _SOFT, 11, "middle"))
    for row, method in enumerate(METHODS):
        y = _TOP + row * _ROW + 12
        one = found.get(f"{world}/{method}")
        if one is None or "ended" in one:
            scene.add(Text(at(0) + 6, y, "not run" if one is None else "ended", _SOFT, 11))
            continue
        value, low, high = one["others"]
        scene.add(Line(at(low), y, at(high), y, _DOT, 2), Circle(at(value), y, 4, _DOT))


def written() -> tuple[str, str]:
    """The page with the table of today, and the picture."""
    found = cells()
    body = f"{table(found)}\n"
    page = _TABLE.sub(lambda _: body, PAGE.read_text(encoding="utf-8"))
    return page, svg_text(picture(found), TITLE)


def write() -> None:
    """Write both."""
    page, drawn = written()
    PAGE.write_text(page, encoding="utf-8")
    PICTURE.write_text(drawn, encoding="utf-8")


if __name__ == "__main__":
    write()
    print(PAGE.name, Path(PICTURE).name, sep="\n")
