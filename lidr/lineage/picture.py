"""A lineage as a picture: layers from top to bottom, nothing in it but rectangles, curves and escaped text."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from html import escape
from itertools import pairwise

from lidr.lineage.graph import Edge, Graph, Node

WIDTH, HEIGHT, GAP_X, GAP_Y, MARGIN, LANE = 250, 66, 22, 46, 16, 10
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
    drawing = _Drawing(graph)
    title = f"Lineage of {graph.nodes[graph.focus].title}"
    parts = [
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {drawing.width} {drawing.height}" '
        f'width="{drawing.width}" height="{drawing.height}" font-family="system-ui, sans-serif" role="img" '
        f'aria-label="{_safe(title)}">',
        f"<title>{_safe(title)}</title>",
        f'<rect width="{drawing.width}" height="{drawing.height}" fill="#ffffff"/>',
        '<defs><marker id="tip" viewBox="0 0 8 8" refX="8" refY="4" markerWidth="7" markerHeight="7" orient="auto">'
        '<path d="M0 0 L8 4 L0 8 z" fill="#8a93a6"/></marker></defs>',
        *(drawing.edge(edge) for edge in graph.edges if {edge.source, edge.target} <= set(graph.nodes)),
        *(_node(node, drawing.corner(id_), link, is_focus=id_ == graph.focus) for id_, node in graph.nodes.items()),
        "</svg>",
    ]
    return "\n".join(parts) + "\n"


class _Drawing:
    """Where everything stands: layers from top to bottom; an edge over several layers has a lane of its own in each."""

    def __init__(self, graph: Graph) -> None:
        self._layer = _layers(graph)
        self._lanes = {(e.source, e.target): self._lanes_of(e) for e in graph.edges if e.source in self._layer}
        self._before: dict[str, list[str]] = {}
        for (source, target), lanes in self._lanes.items():
            way = [source, *lanes, target]
            for above, below in pairwise(way):
                self._before.setdefault(below, []).append(above)
        self._middle = self._middles()
        self.width = int(max(x + self._width(id_) / 2 for id_, x in self._middle.items())) + MARGIN
        self.height = (max(self._layer.values()) + 1) * (HEIGHT + GAP_Y) - GAP_Y + 2 * MARGIN

    def _lanes_of(self, edge: Edge) -> list[str]:
        lanes = []
        for layer in range(self._layer[edge.source] + 1, self._layer.get(edge.target, 0)):
            lane = f"{edge.source}\0{layer}"  # edges that leave one node together share their lanes
            self._layer[lane] = layer
            lanes.append(lane)
        return lanes

    def _width(self, id_: str) -> int:
        return LANE if "\0" in id_ else WIDTH

    def _middles(self) -> dict[str, float]:
        """The middle of everything, from left to right: near the middle of what it comes from, and clear of others."""
        rows: dict[int, list[str]] = {}
        for id_, layer in self._layer.items():
            rows.setdefault(layer, []).append(id_)
        middle: dict[str, float] = {}
        widest = max(sum(self._width(id_) + GAP_X for id_ in ids) for ids in rows.values())
        for layer in sorted(rows):
            wish = {id_: self._wish(id_, middle, widest) for id_ in rows[layer]}
            order = sorted(rows[layer], key=lambda id_: (wish[id_] is None, wish[id_] or 0.0))
            total = sum(self._width(id_) + GAP_X for id_ in order) - GAP_X
            left = MARGIN + (widest - GAP_X - total) / 2
            for id_ in order:
                middle[id_] = left + self._width(id_) / 2
                left += self._width(id_) + GAP_X
        return middle

    def _wish(self, id_: str, middle: dict[str, float], widest: float) -> float | None:
        found = [middle[other] for other in self._before.get(id_, ()) if other in middle]
        return sum(found) / len(found) if found else None

    def corner(self, id_: str) -> tuple[int, int]:
        """Left upper corner of a node."""
        return int(self._middle[id_] - WIDTH / 2), MARGIN + self._layer[id_] * (HEIGHT + GAP_Y)

    def edge(self, edge: Edge) -> str:
        """A curve from the lower side of one to the upper side of the other, along its lanes."""
        x, y = self._middle[edge.source], self.corner(edge.source)[1] + HEIGHT
        parts = [f"M{x:.0f} {y}"]
        for id_ in (*self._lanes[edge.source, edge.target], edge.target):
            to, top = self._middle[id_], MARGIN + self._layer[id_] * (HEIGHT + GAP_Y)
            bend = GAP_Y // 2
            parts.append(f"C{x:.0f} {y + bend} {to:.0f} {top - bend} {to:.0f} {top}")
            x, y = to, top
            if "\0" in id_:
                y = top + HEIGHT
                parts.append(f"L{x:.0f} {y}")
        return (
            f'<path d="{" ".join(parts)}" fill="none" stroke="#8a93a6" stroke-width="1.2" marker-end="url(#tip)">'
            f"<title>{_safe(edge.how)}</title></path>"
        )


def _layers(graph: Graph) -> dict[str, int]:
    """The longest way that leads to each node, in edges; a circle, which no record should hold, is cut."""
    layers: dict[str, int] = {}
    before: dict[str, list[str]] = {id_: [] for id_ in graph.nodes}
    after: dict[str, list[str]] = {id_: [] for id_ in graph.nodes}
    for edge in graph.edges:
        if edge.source in before and edge.target in before:
            before[edge.target].append(edge.source)
            after[edge.source].append(edge.target)
    for id_ in graph.nodes:
        _walk(id_, before, layers)
    for id_ in graph.nodes:  # what begins somewhere stands just before what is made of it
        if not before[id_] and after[id_]:
            layers[id_] = max(0, min(layers[other] for other in after[id_]) - 1)
    return layers


def _walk(start: str, before: Mapping[str, list[str]], layers: dict[str, int]) -> None:
    """Fill in the layer of a node and of all that lead to it; with a stack of its own, for long runs."""
    way, entered = [start], {start}
    while way:
        id_ = way[-1]
        left = [other for other in before[id_] if other not in layers and other not in entered]
        if left and id_ not in layers:
            way.append(left[0])
            entered.add(left[0])
            continue
        if id_ not in layers:
            layers[id_] = max((layers[other] + 1 for other in before[id_] if other in layers), default=0)
        entered.discard(way.pop())


def _node(node: Node, place: tuple[int, int], link: Link, *, is_focus: bool) -> str:
    (x, y), (fill, stroke) = place, _COLOURS[node.kind]
    href = link(node)
    box = (
        f'<rect x="{x}" y="{y}" width="{WIDTH}" height="{HEIGHT}" rx="8" fill="{fill}" stroke="{stroke}" '
        f'stroke-width="{3 if is_focus else 1.2}"/>'
    )
    lines = [_text(x, y + 22, node.title, 13, "#1d2330", 34, bold=True)]
    lines += [_text(x, y + 40 + 16 * i, line, 11, "#5b6475", 42) for i, line in enumerate(node.lines[:_SHOWN])]
    hover = f"<title>{_safe(node.title)}: {_safe('; '.join(node.lines))}</title>"
    group = f"<g>{hover}{box}{''.join(lines)}</g>"
    return f'<a href="{_safe(href)}">{group}</a>' if href else group


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
    return f'<text x="{x + 10}" y="{y}" font-size="{size}" fill="{colour}"{weight}>{_safe(shown)}</text>'


_NO_XML = re.compile("[^\\t\\n\\r\\x20-\\ud7ff\\ue000-\\ufffd\\U00010000-\\U0010ffff]")


def _safe(text: str) -> str:
    """A text that may stand in XML, whatever a model wrote."""
    return escape(_NO_XML.sub("\ufffd", text))
