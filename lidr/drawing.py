"""A picture as a list of shapes, drawn once and written as PNG or as SVG, with the same layout.

Coordinates are in pixels of the SVG, from the top left corner; the PNG has two of its pixels for each.
"""

from __future__ import annotations

import unicodedata
from collections.abc import Iterable
from dataclasses import dataclass, field
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal
from xml.sax.saxutils import escape

if TYPE_CHECKING:
    from PIL import ImageFont

Anchor = Literal["start", "middle", "end"]
Colour = str
"""`#rrggbb`; in an SVG that stands in a page also a variable of its style, `var(--ink, #282c34)`."""

_SCALE = 2  # pixels of the PNG for one of the SVG
_SMOOTH = 2  # drawn larger by this and shrunk: Pillow's own lines and circles have steps


@dataclass(frozen=True)
class Line:
    """A straight line."""

    x1: float
    y1: float
    x2: float
    y2: float
    colour: Colour
    width: float = 1.0


@dataclass(frozen=True)
class Circle:
    """A filled circle."""

    x: float
    y: float
    radius: float
    colour: Colour


@dataclass(frozen=True)
class Rectangle:
    """A filled rectangle."""

    x: float
    y: float
    width: float
    height: float
    colour: Colour


@dataclass(frozen=True)
class Text:
    """One line of text, its vertical middle at y."""

    x: float
    y: float
    text: str
    colour: Colour
    size: float = 14.0
    anchor: Anchor = "start"


Shape = Line | Circle | Rectangle | Text


@dataclass
class Drawing:
    """Shapes in the order in which they are drawn."""

    width: int
    height: int = 0
    shapes: list[Shape] = field(default_factory=list)

    def add(self, *shapes: Shape) -> None:
        """Draw on top."""
        self.shapes.extend(shapes)


def text_width(text: str, size: float) -> float:
    """Width in pixels in the built-in font, which browsers' sans-serif fonts come close to."""
    return float(_font(round(size * _SCALE)).getlength(plain(text))) / _SCALE


def write_svg(scene: Drawing, path: Path, title: str) -> None:
    """Write the scene as SVG; the same scene gives the same bytes."""
    path.write_text(svg_text(scene, title), encoding="utf-8")


def svg_text(scene: Drawing, title: str, paper: Colour = "#ffffff") -> str:
    """The scene as an SVG element.

    Args:
        title: what a screen reader says.
        paper: behind it all; `none` lets the page shine through.
    """
    size = f'width="{scene.width}" height="{scene.height}" viewBox="0 0 {scene.width} {scene.height}"'
    lines = [
        f'<svg xmlns="http://www.w3.org/2000/svg" {size} font-family="Helvetica, Arial, \'DejaVu Sans\', sans-serif">',
        f"<title>{escape(title)}</title>",
        f'<rect width="{scene.width}" height="{scene.height}" fill="{paper}"/>',
        *(_svg(shape) for shape in scene.shapes),
        "</svg>",
    ]
    return "\n".join(lines) + "\n"


def _svg(shape: Shape) -> str:
    match shape:
        case Line(x1, y1, x2, y2, colour, width):
            at = f'x1="{x1:.1f}" y1="{y1:.1f}" x2="{x2:.1f}" y2="{y2:.1f}"'
            return f'<line {at} stroke="{colour}" stroke-width="{width:g}"/>'
        case Circle(x, y, radius, colour):
            return f'<circle cx="{x:.1f}" cy="{y:.1f}" r="{radius:g}" fill="{colour}"/>'
        case Rectangle(x, y, width, height, colour):
            return f'<rect x="{x:.1f}" y="{y:.1f}" width="{width:.1f}" height="{height:.1f}" fill="{colour}"/>'
        case Text(x, y, text, colour, size, anchor):
            at = f'x="{x:.1f}" y="{y + 0.35 * size:.1f}" font-size="{size:g}" text-anchor="{anchor}"'
            return f'<text {at} fill="{colour}">{escape(text)}</text>'


def write_png(scene: Drawing, path: Path) -> None:
    """Write the scene as PNG."""
    from PIL import Image, ImageDraw

    large = _SCALE * _SMOOTH
    image = Image.new("RGB", (scene.width * large, scene.height * large), "#ffffff")
    pen = ImageDraw.Draw(image)
    texts = [shape for shape in scene.shapes if isinstance(shape, Text)]
    for shape in scene.shapes:
        _draw(pen, shape, large)
    image = image.resize((scene.width * _SCALE, scene.height * _SCALE), Image.Resampling.LANCZOS)
    _write_texts(ImageDraw.Draw(image), texts)  # afterwards: letters are smooth by themselves
    image.save(path, format="PNG", optimize=True)


def _draw(pen: Any, shape: Shape, scale: int) -> None:
    match shape:
        case Line(x1, y1, x2, y2, colour, width):
            pen.line((x1 * scale, y1 * scale, x2 * scale, y2 * scale), fill=colour, width=round(width * scale))
        case Circle(x, y, r, colour):
            pen.ellipse(((x - r) * scale, (y - r) * scale, (x + r) * scale, (y + r) * scale), fill=colour)
        case Rectangle(x, y, width, height, colour):
            pen.rectangle((x * scale, y * scale, (x + width) * scale, (y + height) * scale), fill=colour)


def _write_texts(pen: Any, texts: Iterable[Text]) -> None:
    anchors = {"start": "lm", "middle": "mm", "end": "rm"}
    for t in texts:
        at, font = (t.x * _SCALE, t.y * _SCALE), _font(round(t.size * _SCALE))
        pen.text(at, plain(t.text), fill=t.colour, font=font, anchor=anchors[t.anchor])


@cache
def _font(size: int) -> ImageFont.FreeTypeFont | ImageFont.ImageFont:
    from PIL import ImageFont

    return ImageFont.load_default(size)


def plain(text: str) -> str:
    """What the built-in font can write: accents are dropped, other letters become question marks.

    >>> plain("Größe − 1: ответ")
    'Grosse - 1: ?????'
    """
    text = text.replace("−", "-").replace("–", "-").replace("ß", "ss")
    letters = unicodedata.normalize("NFKD", text)
    return "".join(c if c.isascii() or c == "±" else "?" for c in letters if not unicodedata.combining(c))
