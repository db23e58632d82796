"""The figure of the miniature: one panel for each run, one line for each language."""

from __future__ import annotations

from PIL import Image

from lidr.miniature.show import draw

CURVE = {
    0: {"en": (1.0, 200), "de": (0.5, 200), "es": (0.7, 200)},
    1: {"en": (0.98, 200), "de": (0.8, 200), "es": (0.8, 200)},
}


def test_the_figure_has_a_panel_for_each_run_and_the_colour_of_each_language(tmp_path):
    draw({"run": CURVE, "control": CURVE}, tmp_path / "there" / "figure.png")
    image = Image.open(tmp_path / "there" / "figure.png").convert("RGB")
    for half in ((0, 0, image.width // 2, image.height), (image.width // 2, 0, image.width, image.height)):
        colours = {colour for _, colour in image.crop(half).getcolors(1 << 20)}
        assert {(0x2E, 0x6B, 0xB0), (0xC8, 0x55, 0x3D), (0xD9, 0x9A, 0x2B)} <= colours


def test_a_language_that_was_not_evaluated_has_no_line(tmp_path):
    curve = {k: {"en": row["en"]} for k, row in CURVE.items()}
    draw({"run": curve}, tmp_path / "figure.png")
    assert (tmp_path / "figure.png").stat().st_size > 1000
