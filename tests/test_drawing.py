"""Pictures: the exact SVG of each shape, and where its pixels are in the PNG."""

from __future__ import annotations

import pytest
from PIL import Image

from lidr.drawing import Circle, Drawing, Line, Rectangle, Text, plain, text_width, write_png, write_svg


def test_an_svg_has_every_shape_in_order_and_escapes_its_texts(tmp_path):
    scene = Drawing(100, 40)
    scene.add(Rectangle(1, 2, 30, 4.25, "#aaaaaa"), Line(0, 1, 50, 1.25, "#bbbbbb"))
    scene.add(Circle(9, 10, 2.5, "#cccccc"), Text(5, 20, "a < b", "#dddddd"))
    scene.add(Text(5, 20, "x", "#eeeeee", size=10, anchor="end"), Line(0, 0, 1, 1, "#ffffff", width=2.5))
    write_svg(scene, tmp_path / "s.svg", "1 & 2")
    assert (tmp_path / "s.svg").read_text(encoding="utf-8").splitlines() == [
        '<svg xmlns="http://www.w3.org/2000/svg" width="100" height="40" viewBox="0 0 100 40" '
        "font-family=\"Helvetica, Arial, 'DejaVu Sans', sans-serif\">",
        "<title>1 &amp; 2</title>",
        '<rect width="100" height="40" fill="#ffffff"/>',
        '<rect x="1.0" y="2.0" width="30.0" height="4.2" fill="#aaaaaa"/>',
        '<line x1="0.0" y1="1.0" x2="50.0" y2="1.2" stroke="#bbbbbb" stroke-width="1"/>',
        '<circle cx="9.0" cy="10.0" r="2.5" fill="#cccccc"/>',
        '<text x="5.0" y="24.9" font-size="14" text-anchor="start" fill="#dddddd">a &lt; b</text>',
        '<text x="5.0" y="23.5" font-size="10" text-anchor="end" fill="#eeeeee">x</text>',
        '<line x1="0.0" y1="0.0" x2="1.0" y2="1.0" stroke="#ffffff" stroke-width="2.5"/>',
        "</svg>",
    ]
    assert (tmp_path / "s.svg").read_text(encoding="utf-8").endswith("</svg>\n")


def pixels(scene: Drawing, path) -> Image.Image:
    write_png(scene, path)
    with Image.open(path) as image:
        assert image.format == "PNG"
        return image.convert("RGB")


def inked(image: Image.Image) -> tuple[int, int, int, int]:
    """Left, top, right, bottom of what is not white; right and bottom are the first beyond it."""
    dark = image.convert("L").point(lambda value: 255 if value < 128 else 0)
    box = dark.getbbox()
    assert box is not None
    return box


@pytest.mark.parametrize(
    ("shape", "box"),
    [
        (Rectangle(10, 4, 20, 10, "#000000"), (20, 8, 60, 28)),
        (Circle(20, 10, 5, "#000000"), (30, 10, 50, 30)),
        (Line(10, 10, 30, 10, "#000000", width=4), (20, 16, 60, 24)),
        (Line(10, 4, 10, 16, "#000000", width=2), (18, 8, 22, 32)),
    ],
)
def test_a_png_has_two_pixels_for_each_of_the_svg(shape, box, tmp_path):
    image = pixels(Drawing(50, 20, [shape]), tmp_path / "s.png")
    assert image.size == (100, 40)
    assert image.getpixel((99, 39)) == (255, 255, 255)
    assert all(abs(found - expected) <= 1 for found, expected in zip(inked(image), box, strict=True)), inked(image)


def test_the_edge_of_a_circle_is_smooth(tmp_path):
    image = pixels(Drawing(50, 20, [Circle(20, 10, 5, "#000000")]), tmp_path / "s.png").convert("L")
    between = sum(64 < image.getpixel((x, y)) < 192 for x in range(100) for y in range(40))
    assert between > 8


def test_later_shapes_lie_on_top_and_texts_over_all(tmp_path):
    under, over = Rectangle(0, 0, 50, 20, "#ff0000"), Rectangle(0, 0, 25, 20, "#00ff00")
    image = pixels(Drawing(50, 20, [Text(2, 10, "MMM", "#000000"), under, over]), tmp_path / "s.png")
    assert image.getpixel((80, 20)) == (255, 0, 0)
    assert image.getpixel((46, 2)) == (0, 255, 0)
    assert (0, 0, 0) in {image.getpixel((x, y)) for x in range(100) for y in range(40)}


@pytest.mark.parametrize(("anchor", "begin", "end"), [("start", 0, 1), ("middle", -0.5, 0.5), ("end", -1, 0)])
def test_a_text_stands_where_its_anchor_says_and_is_as_wide_as_measured(anchor, begin, end, tmp_path):
    width = text_width("HHHHHH", 14)
    image = pixels(Drawing(200, 20, [Text(100, 10, "HHHHHH", "#000000", anchor=anchor)]), tmp_path / "s.png")
    left, top, right, bottom = inked(image)
    assert left == pytest.approx(2 * (100 + begin * width), abs=6)
    assert right == pytest.approx(2 * (100 + end * width), abs=6)
    assert (top + bottom) / 2 == pytest.approx(20, abs=3)
    assert 14 < bottom - top < 28


def test_the_width_of_a_text_grows_with_its_size_and_counts_what_can_be_written():
    assert text_width("HHHH", 28) == pytest.approx(2 * text_width("HHHH", 14), rel=0.03)
    assert 30 < text_width("HHHH", 14) < 50
    assert text_width("Größe", 14) == text_width("Grosse", 14)


def test_what_the_font_cannot_write_is_replaced():
    assert plain("à − – ±1 ß ñ") == "a - - ±1 ss n"
    assert plain("ответ") == "?????"
