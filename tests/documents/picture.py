"""The README's picture, from the finished run of recipes/first.yaml in the store: `python -m tests.documents.picture`.

It is the one at the top of the run's report, in the colours of a light page.
"""

from __future__ import annotations

import re
from dataclasses import replace

from lidr.drawing import Drawing, Shape, write_png, write_svg
from lidr.pipeline import load_recipe
from lidr.report import run_state_of
from lidr.report.html.headline import headline, headline_drawing
from lidr.resources import shared
from tests.documents.blocks import ROOT

FILES = ROOT / "docs/images/first.png", ROOT / "docs/images/first.svg"


def in_light_colours(shape: Shape) -> Shape:
    """The same with `var(--ink, #282c34)` as `#282c34`."""
    return replace(shape, colour=re.sub(r"var\(--\w+, (#\w+)\)", r"\1", shape.colour))


def drawn() -> Drawing:
    """The picture of the run that the store holds."""
    found = headline(run_state_of(load_recipe(shared("recipes") / "first.yaml")))
    assert found is not None, "no finished run of recipes/first.yaml here: make quickstart"
    scene = headline_drawing(found)
    light = Drawing(scene.width, scene.height)
    light.add(*(in_light_colours(shape) for shape in scene.shapes))
    return light


if __name__ == "__main__":
    png, svg = FILES
    scene = drawn()
    write_png(scene, png)
    write_svg(scene, svg, "Accuracy on 400 held-out problems before and after two iterations, with 95% intervals")
    print(*FILES, sep="\n")
