"""The lineage of a release, by its own records and those of the other repositories here, and who reproduced it."""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any

from starlette.responses import Response

from lidr.hub_server.budget import Budget
from lidr.hub_server.pages.frame import repository_page
from lidr.hub_server.refusal import Refusal
from lidr.hub_server.storage import Commit, Repository
from lidr.hub_server.wire import Call
from lidr.lineage import Graph, Link, Node, foreign_graph, graph_of, release_node, svg
from lidr.markup import Html, h
from lidr.references import repository_of

RUN = "lidr/run.json"
ATTESTATIONS = "lidr/attestations/"
_MOST_ATTESTATIONS = 100
_LARGEST = 8 << 20  # bytes of a JSON file that is read
_MOST = 500  # repositories that are looked through
_MOST_STEPS = 1000
_LOOK_S = 5.0  # CPU time for the records, and for the other repositories
_NO_RELEASE = (KeyError, TypeError, AttributeError, ValueError, IndexError, OverflowError, RecursionError)


def lineage(call: Call) -> Response:
    """The picture, each node that is a repository here a link to its own lineage; then the attestations."""
    repository, revision = call.repository, call.parts.get("revision", "main")
    commit = repository.resolve(revision)
    here = {r.prefix: r for r in _visible(call)}

    def link(node: Node) -> str | None:
        there = here.get(node.repo or "")
        return f"/{there.prefix}/lineage/main" if there and there.prefix != repository.prefix else None

    try:
        graph = _graph(call, repository, commit, revision)
        made_from = dict.fromkeys([*graph.origins(graph.focus), *graph.before(graph.focus)])
        both = (("Made from", made_from), ("Made from it", graph.after(graph.focus)))
        lists = [_list(title, [graph.nodes[id_] for id_ in ids], link) for title, ids in both]
        picture = svg(graph, link)
    except _NO_RELEASE as error:  # anybody may push any JSON
        raise Refusal(422, f"lidr/ of this commit does not hold a release of lidr: {error!r}") from None
    drawn = h("div", Html(picture), class_="box wide")
    lead = h(
        "p", "From what was read, at the top, to what was made from it. Names that are here lead on.", class_="lead"
    )
    boxes = h("div", lists, _attested(call, repository), class_="grid")
    return repository_page(call, repository, commit, "lineage", [], lead, boxes, drawn)


def _graph(call: Call, repository: Repository, commit: Commit, revision: str) -> Graph:
    run = _json(call, commit, RUN)
    if run is None and RUN in commit.files:
        raise Refusal(404, f"The {RUN} of this commit is no JSON object: it is no release of lidr")
    if run is None:
        graph = foreign_graph(repository.prefix, revision)
    else:
        if len(run["steps"]) > _MOST_STEPS or len(run["parents"]) > _MOST_STEPS:
            raise Refusal(
                422, f"The {RUN} of this commit has more than {_MOST_STEPS} steps or parents: no picture is drawn"
            )
        budget = Budget(_LOOK_S, "reading the records of this release")
        records = []
        for step in run["steps"]:
            budget.check()
            records.append(_json(call, commit, f"lidr/records/{step['place']}.json"))
        graph = graph_of(run, [r for r in records if r is not None], repository.prefix, revision)
    _add_later(graph, dict(_releases(call)))
    return graph


def _releases(call: Call) -> Iterator[tuple[str, dict[str, Any]]]:
    """Every repository here with a run of lidr."""
    budget = Budget(_LOOK_S, "looking through the other repositories")
    for repository in _visible(call):
        if budget.is_spent:
            return
        run = _json(call, repository.resolve("main"), RUN)
        if run is not None:
            yield repository.prefix, run


def _add_later(graph: Graph, others: dict[str, dict[str, Any]]) -> None:
    """Releases elsewhere on this Hub that were made from something in the graph, and what was made from these."""
    left = [found for key, run in others.items() if key not in graph.nodes and (found := _later(key, run))]
    before = 0
    while before < len(graph.nodes):
        before = len(graph.nodes)
        for node, sources in left:
            if here := sources & (graph.nodes.keys() - {node.id}):
                graph.add(node, made_from=sorted(here))


def _later(key: str, run: dict[str, Any]) -> tuple[Node, set[str]] | None:
    """A release, and the repositories that it was made from; None where it is none: its own page says so."""
    try:
        sources = {repository_of(parent) for parent in run.get("parents", [])}
        sources |= {f"datasets/{data['repo']}" for data in run.get("release", {}).get("datasets", [])}
        return release_node(key, None, run), {source for source in sources if source}
    except _NO_RELEASE:
        return None


def _visible(call: Call) -> Iterator[Repository]:
    found = (r for type_ in ("dataset", "model") for r in call.storage.repositories(type_))
    for number, repository in enumerate(found):
        if number < _MOST and (call.is_owner or not repository.is_private):
            yield repository


def _json(call: Call, commit: Commit, path: str) -> dict[str, Any] | None:
    file = commit.files.get(path)
    if file is None or file["size"] > _LARGEST:
        return None
    try:
        content = json.loads(call.storage.objects.read(file["sha256"]))
    except (ValueError, RecursionError):
        return None
    return content if isinstance(content, dict) else None


def _list(title: str, nodes: list[Node], link: Link) -> Html:
    rows = [
        h("li", h("a", node.title, href=target) if (target := link(node)) else h("b", node.title), f": {_what(node)}")
        for node in nodes
    ]
    return h("section", h("h3", title), h("ul", rows) if rows else h("p", "Nothing that is known here."), class_="box")


def _what(node: Node) -> str:
    """What a node is, and what is known of it first: `policy, licence mit`, `step, 14 pairs`."""
    first = node.lines[0] if node.lines else ""
    if first.startswith(("policy,", "prompts,", "pairs,")):
        return first
    return f"{node.kind}, {first}" if first else node.kind


def _attested(call: Call, repository: Repository) -> Html | None:
    """Reproductions that were published beside the release."""
    commit = repository.resolve("main")
    paths = sorted(path for path in commit.files if path.startswith(ATTESTATIONS))[:_MOST_ATTESTATIONS]
    found = [_json(call, commit, path) for path in paths]
    rows = [
        h(
            "li",
            h("b", _verdict(one)),
            f" {one['release'].get('tag') or ''}: {one.get('reason')}",
            h("br"),
            h("span", f"{one.get('who')}, {one.get('finished')}", class_="soft"),
        )
        for one in found
        if one is not None and isinstance(one.get("release"), dict)
    ]
    return h("section", h("h3", "Reproduced"), h("ul", rows), class_="box") if rows else None


def _verdict(one: dict[str, Any]) -> str:
    """What a reproduction says of itself; one that was written before it said so, in its words."""
    asked = one.get("asked")
    is_in_part = isinstance(asked, dict) and any(asked.values())
    return str(one.get("said") or f"{one.get('verdict')}{' in what was made again' if is_in_part else ''}")
