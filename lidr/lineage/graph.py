"""What was made from what: a graph of prompts, models, steps, rows and releases, by lidr's own records alone.

Every edge leads from what was read to what was made from it, so that the graph can be followed both ways.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass, field
from typing import Any, Literal

from lidr.references import repository_of

Kind = Literal["recipe", "prompts", "model", "dataset", "step", "evaluation", "row", "text"]
Data = Mapping[str, Any]

_LONGEST = 90
_DEEPEST = 100  # levels that are indented further


@dataclass(frozen=True)
class Node:
    """One thing.

    Args:
        id: unique in its graph.
        lines: what is known of it, the most telling first.
        repo: org/name of a model, or datasets/org/name, where it is on a Hub.
        revision: the commit or tag that is meant.
    """

    id: str
    kind: Kind
    title: str
    lines: tuple[str, ...] = ()
    repo: str | None = None
    revision: str | None = None


@dataclass(frozen=True)
class Edge:
    """From what was read to what was made from it."""

    source: str
    target: str
    how: str = ""


@dataclass
class Graph:
    """Nodes by their ids, edges, the node that was asked for, and what was read that is not as it was published."""

    focus: str
    nodes: dict[str, Node] = field(default_factory=dict)
    edges: list[Edge] = field(default_factory=list)
    differences: list[str] = field(default_factory=list)
    _joined: set[tuple[str, str]] = field(init=False, repr=False, compare=False)

    def __post_init__(self) -> None:
        self._joined = {(edge.source, edge.target) for edge in self.edges}

    def add(self, node: Node, *, made_from: Iterable[str] = (), how: str = "") -> Node:
        """Add a node, once, and edges to it."""
        self.nodes.setdefault(node.id, node)
        for source in made_from:
            self.join(source, node.id, how)
        return node

    def join(self, source: str, target: str, how: str = "") -> None:
        """Add an edge, once."""
        if source != target and (source, target) not in self._joined:
            self._joined.add((source, target))
            self.edges.append(Edge(source, target, how))

    def before(self, node: str) -> list[str]:
        """What it was made from, directly."""
        return self._beside()[0].get(node, [])

    def after(self, node: str) -> list[str]:
        """What was made from it, directly."""
        return self._beside()[1].get(node, [])

    def origins(self, node: str) -> list[str]:
        """What was read from outside to make it: prompts, models and data sets, whatever steps lie between."""
        before, found, front = self._beside()[0], dict.fromkeys([node]), [node]
        while front:
            front = list(dict.fromkeys(other for one in front for other in before.get(one, ()) if other not in found))
            found.update(dict.fromkeys(front))
        del found[node]
        return [id_ for id_ in found if self.nodes[id_].kind in ("prompts", "model", "dataset")]

    def around(self) -> Graph:
        """Only what leads to the node that was asked for, and what was made from it."""
        kept = {self.focus}
        for beside in self._beside():
            front = [self.focus]
            while front:
                new = dict.fromkeys(other for node in front for other in beside.get(node, ()) if other not in kept)
                kept.update(front := [*new])
        edges = [edge for edge in self.edges if {edge.source, edge.target} <= kept]
        nodes = {id_: node for id_, node in self.nodes.items() if id_ in kept}
        return Graph(self.focus, nodes, edges, self.differences)

    def _beside(self) -> tuple[dict[str, list[str]], dict[str, list[str]]]:
        """For each node what it was made from, directly, and what was made from it."""
        before: dict[str, list[str]] = {}
        after: dict[str, list[str]] = {}
        for edge in self.edges:
            if edge.source in self.nodes and edge.target in self.nodes:
                before.setdefault(edge.target, []).append(edge.source)
                after.setdefault(edge.source, []).append(edge.target)
        return before, after

    def as_json(self) -> dict[str, Any]:
        """Plain data."""
        nodes = [asdict(node) for node in self.nodes.values()]
        edges = [asdict(edge) for edge in self.edges]
        return {"focus": self.focus, "nodes": nodes, "edges": edges, "differences": self.differences}

    def text(self) -> str:
        """Two trees: what it was made from, and what was made from it."""
        lines = [_named(self.nodes[self.focus])]
        for heading, beside in zip(("made from", "made from it"), self._beside(), strict=True):
            found = list(_tree(self, beside))
            lines += ["", heading, *(found or ["  nothing that is known"])]
        if self.differences:
            lines += ["", "not as it was published", *(f"  {line}" for line in self.differences)]
        return "\n".join(lines)


def _tree(graph: Graph, beside: Mapping[str, Sequence[str]]) -> Iterator[str]:
    """What stands beside the focus, and beside that; with a stack of its own, for long runs."""
    seen, open_ = {graph.focus}, [iter(beside.get(graph.focus, ()))]
    while open_:
        other = next(open_[-1], None)
        if other is None:
            open_.pop()
            continue
        indent = "  " * min(len(open_), _DEEPEST)
        if other in seen:
            yield f"{indent}{graph.nodes[other].title} (above)"
            continue
        seen.add(other)
        yield indent + _named(graph.nodes[other])
        open_.append(iter(beside.get(other, ())))


def _named(node: Node) -> str:
    return f"{node.title} ({node.kind})" + (f": {'; '.join(node.lines)}" if node.lines else "")


def short(text: str, longest: int = _LONGEST) -> str:
    """A text on one line."""
    text = " ".join(text.split())
    return text if len(text) <= longest else text[: longest - 3] + "..."


def parent_node(parent: Data) -> Node:
    """What a run started from: prompts, a model, pairs of others."""
    repo, role = repository_of(parent), str(parent["role"])
    kinds: dict[str, Kind] = {"policy": "model", "prompts": "prompts"}
    lines = (f"{role}, licence {parent.get('license') or 'unknown'}", *_revision(parent.get("revision")))
    id_ = repo or f"{role}:{parent['name']}"
    return Node(id_, kinds.get(role, "dataset"), str(parent["name"]), lines, repo, parent.get("revision"))


def _revision(revision: Any) -> tuple[str, ...]:
    return (f"at {str(revision)[:12]}",) if revision else ()


def release_node(key: str, revision: str | None, run: Data) -> Node:
    """A release of a run."""
    kind: Kind = "dataset" if key.startswith("datasets/") else "model"
    said = (("licence", run["license"]["id"]), ("lidr", run.get("lidr")))
    lines = tuple(f"{name} {value}" for name, value in said if value)
    return Node(key, kind, key.removeprefix("datasets/"), lines, key, revision or run.get("tag"))


def foreign_graph(key: str, revision: str | None) -> Graph:
    """A repository that lidr did not make: of it alone nothing is known but its name."""
    kind: Kind = "dataset" if key.startswith("datasets/") else "model"
    graph = Graph(key)
    graph.add(Node(key, kind, key.removeprefix("datasets/"), ("not made by lidr",), key, revision))
    return graph


def graph_of(run: Data, records: Sequence[Data], key: str | None = None, revision: str | None = None) -> Graph:
    """A run as a graph.

    Args:
        run: its run.json, as it is published.
        records: of its steps, in their order.
        key: the release that was asked for, `org/name` or `datasets/org/name`; None: the run itself.
        revision: its tag or commit.
    """
    recipe = recipe_node(run)
    graph = Graph(key or recipe.id)
    graph.add(recipe)
    parents = [parent_node(parent) for parent in run["parents"]]
    for node in parents:
        graph.add(node)
        graph.join(node.id, recipe.id, "named")
    for record in records:
        add_step(graph, record)
        _roots(graph, record, recipe, parents)
    _add_releases(graph, run, records, key, revision)
    return graph


def recipe_node(run: Data) -> Node:
    """The recipe of a run."""
    sha = str(run.get("recipe_sha256") or "")[:12]
    return Node(f"recipe:{run['recipe']}", "recipe", f"{run['recipe']} {run['version']}", (f"recipe, sha256 {sha}",))


def add_step(graph: Graph, record: Data) -> Node:
    """A step, made from the steps that its record names."""
    place = f"iter_{record['iteration']}/{record['step']}"
    kind: Kind = "evaluation" if record["writes"] == "scores" else "step"
    inputs = dict.fromkeys(said["place"] for said in record["inputs"].values())
    return graph.add(Node(place, kind, place, tuple(_lines(record))), made_from=inputs)


def _lines(record: Data) -> Iterator[str]:
    rows = sum(f.get("rows") or 0 for f in record["files"] if f["path"].startswith("data/"))
    yield f"{rows:,} {record['writes']}" if rows else record["writes"].replace("_", " ")
    if record["writes"] == "policy" and "pairs" in record["counts"]:
        yield f"trained on {record['counts']['pairs']:,} pairs"
    for task in record["counts"].get("tasks", [])[:4]:
        yield ", ".join([task["task"], *_scores(task)])
    yield f"artifact digest {record['digest'][:12]}"


def _scores(task: Data) -> Iterator[str]:
    for name, score in list(task["scores"].items())[:2]:
        if score["value"] is not None:
            yield f"{name} {score['value']:.3f}"


_ROOTS = {"initial_policy": ("model",), "pairs": ("dataset",)}


def _roots(graph: Graph, record: Data, recipe: Node, parents: Sequence[Node]) -> None:
    """Where a run begins: its recipe, and the parent that a step without inputs, or one of prompts, read."""
    reads_prompts = record["writes"] in ("prompts", "prompt_translations")
    if record["inputs"] and not reads_prompts:
        return
    place = f"iter_{record['iteration']}/{record['step']}"
    graph.join(recipe.id, place)
    wanted = ("prompts",) if reads_prompts else _ROOTS.get(record["writes"], ())
    for parent in parents:
        if parent.kind in wanted:
            graph.join(parent.id, place)


def _add_releases(graph: Graph, run: Data, records: Sequence[Data], key: str | None, revision: str | None) -> None:
    """The release itself, its siblings, and the pairs that a policy names by their commit."""
    links = run.get("release", {})
    siblings = links.get("siblings", {})
    pairs = {f"datasets/{data['repo']}": data["sha"] for data in links.get("datasets", [])}
    if "pairs" in siblings:
        pairs.setdefault(f"datasets/{siblings['pairs']}", "")
    if key is not None and key.startswith("datasets/"):
        pairs[key] = revision or ""
    policy = siblings.get("policy") if key is None or key.startswith("datasets/") else key
    last = {r["iteration"]: f"iter_{r['iteration']}/{r['step']}" for r in records if r["writes"] == "pairs"}
    for repo, sha in pairs.items():
        graph.add(release_node(repo, sha or None, run), made_from=last.values(), how="published")
    result = (run.get("outcome") or {}).get("result")
    trained = [r for r in records if r["writes"] == "policy" and (result is None or r["iteration"] == result)]
    if policy and trained:
        node = release_node(policy, revision if policy == key else None, run)
        place = f"iter_{trained[-1]['iteration']}/{trained[-1]['step']}"
        graph.add(node, made_from=[place], how="published")
        for repo in pairs:
            graph.join(repo, policy, "trained on")
        for record in records:
            if record["writes"] == "scores" and place in {said["place"] for said in record["inputs"].values()}:
                graph.join(policy, f"iter_{record['iteration']}/{record['step']}", "evaluated")
