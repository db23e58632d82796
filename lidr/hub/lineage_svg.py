"""A lineage as a picture: layers from left to right, nothing in it but rectangles, curves and escaped text."""

from __future__ import annotations

from collections.abc import Callable
from html import escape

from lidr.hub.lineage import Graph, Node

WIDTH, HEIGHT, GAP_X, GAP_Y, MARGIN = 250, 66, 70, 18, 20
_COLOURS = {
    "recipe": ("#f3eefc", "#6a4bd8"),
    "prompts": ("#eef8f2", "#11734b"),
    "model": ("#eaf0fc", "#2457c5"),
    "dataset": ("#fdf3ec", "#a8451a"),
    "step": ("#f5f6f9", "#5b6475"),
    "evaluation": ("#fdf8e4", "#8a6d00"),
    "row": ("#fbeaf2", "#b0246b"),
    "text": ("#ffffff", "#5b6475"),
}
_SHOWN = 2  # lines below a title
Link = Callable[[Node], str | None]


def svg(graph: Graph, link: Link = lambda node: None) -> str:
    """Draw a graph.

    Args:
        link: where a node leads to; None: nowhere.
    """
    places = _places(graph)
    width = MARGIN * 2 + max(x for x, _ in places.values()) + WIDTH
    height = MARGIN * 2 + max(y for _, y in places.values()) + HEIGHT
    title = f"Lineage of {graph.nodes[graph.focus].title}"
    parts = [
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {width} {height}" width="{width}" height="{height}" '
        f'font-family="system-ui, sans-serif" role="img" aria-label="{escape(title)}">',
        f"<title>{escape(title)}</title>",
        f'<rect width="{width}" height="{height}" fill="#ffffff"/>',
        '<defs><marker id="tip" viewBox="0 0 8 8" refX="8" refY="4" markerWidth="7" markerHeight="7" orient="auto">'
        '<path d="M0 0 L8 4 L0 8 z" fill="#8a93a6"/></marker></defs>',
        *(_edge(places[e.source], places[e.target]) for e in graph.edges if {e.source, e.target} <= set(places)),
        *(_node(graph.nodes[id_], place, link, is_focus=id_ == graph.focus) for id_, place in places.items()),
        "</svg>",
    ]
    return "\n".join(parts) + "\n"


def _places(graph: Graph) -> dict[str, tuple[int, int]]:
    """Left upper corner of each node: its layer is the longest way to it, its row near what it is made of."""
    layers = _layers(graph)
    columns: dict[int, list[str]] = {}
    for id_ in graph.nodes:
        columns.setdefault(layers[id_], []).append(id_)
    rows: dict[str, float] = {}
    for layer in sorted(columns):
        before = {id_: [rows[other] for other in graph.before(id_) if other in rows] for id_ in columns[layer]}
        order = sorted(columns[layer], key=lambda id_: sum(before[id_]) / len(before[id_]) if before[id_] else 0.0)
        for number, id_ in enumerate(order):
            rows[id_] = float(number)
    tallest = max(len(ids) for ids in columns.values())
    found = {}
    for layer, ids in columns.items():
        top = (tallest - len(ids)) * (HEIGHT + GAP_Y) // 2
        for id_ in ids:
            y = MARGIN + top + int(rows[id_]) * (HEIGHT + GAP_Y)
            found[id_] = (MARGIN + layer * (WIDTH + GAP_X), y)
    return found


def _layers(graph: Graph) -> dict[str, int]:
    """The longest way that leads to each node, in edges; a circle, which no record should hold, is cut."""
    layers: dict[str, int] = {}

    def layer(id_: str, on_the_way: frozenset[str]) -> int:
        if id_ not in layers:
            sources = [other for other in graph.before(id_) if other not in on_the_way]
            layers[id_] = max((layer(other, on_the_way | {id_}) + 1 for other in sources), default=0)
        return layers[id_]

    for id_ in graph.nodes:
        layer(id_, frozenset())
    for id_ in graph.nodes:  # what begins somewhere stands just before what is made of it
        if not graph.before(id_) and (after := graph.after(id_)):
            layers[id_] = max(0, min(layers[other] for other in after) - 1)
    return layers


def _edge(source: tuple[int, int], target: tuple[int, int]) -> str:
    x1, y1, x2, y2 = source[0] + WIDTH, source[1] + HEIGHT // 2, target[0], target[1] + HEIGHT // 2
    bend = max(30, (x2 - x1) // 2)
    return (
        f'<path d="M{x1} {y1} C{x1 + bend} {y1} {x2 - bend} {y2} {x2} {y2}" fill="none" stroke="#8a93a6" '
        'stroke-width="1.2" marker-end="url(#tip)"/>'
    )


def _node(node: Node, place: tuple[int, int], link: Link, *, is_focus: bool) -> str:
    (x, y), (fill, stroke) = place, _COLOURS[node.kind]
    href = link(node)
    box = (
        f'<rect x="{x}" y="{y}" width="{WIDTH}" height="{HEIGHT}" rx="8" fill="{fill}" stroke="{stroke}" '
        f'stroke-width="{3 if is_focus else 1.2}"/>'
    )
    lines = [_text(x, y + 22, node.title, 13, "#1d2330", 34, bold=True)]
    lines += [_text(x, y + 40 + 16 * i, line, 11, "#5b6475", 42) for i, line in enumerate(node.lines[:_SHOWN])]
    hover = f"<title>{escape(node.title)}: {escape('; '.join(node.lines))}</title>"
    group = f"<g>{hover}{box}{''.join(lines)}</g>"
    return f'<a href="{escape(href)}">{group}</a>' if href else group


def _text(x: int, y: int, text: str, size: int, colour: str, longest: int, *, bold: bool = False) -> str:
    """One line, cut by a width that most letters keep to."""
    room = (WIDTH - 20) / (size * 0.56)
    shown, used = "", 0.0
    for letter in text[: longest + 1]:
        used += 2.0 if ord(letter) > 0x2E80 else 1.0
        if used > min(room, longest):
            shown = shown[:-1].rstrip() + "…"
            break
        shown += letter
    weight = ' font-weight="600"' if bold else ""
    return f'<text x="{x + 10}" y="{y}" font-size="{size}" fill="{colour}"{weight}>{escape(shown)}</text>'
