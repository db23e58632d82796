"""Lineage across repositories: from a release up to what it was made from, and down to what was made from it."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import asdict
from pathlib import Path
from typing import Any

from lidr.errors import HubError
from lidr.hub import DATASETS, Patience, Target, patiently
from lidr.lineage.graph import Data, Graph, foreign_graph, graph_of, parent_node, release_node
from lidr.lineage.row_lineage import add_row
from lidr.references import repository_of
from lidr.release import MANIFEST, RUN, Found, OpenedRelease, find, open_release
from lidr.store import file_sha256

_DEPTH = 8
_MOST = 200  # repositories that are looked through for what was made from one
_MOST_PARENTS = 200  # repositories that are asked for what they were made from
_LARGEST = 16 << 20  # bytes of a run.json of others
_ROW = re.compile(r"(.+?@[^/\s]+)/(\d+/.+)")


def lineage(text: str, target: Target, work: Path) -> Graph:
    """The lineage of a release, a model, a data set or one pair (`org/name@v1.0.0/PAIR_ID`).

    Args:
        work: a folder for what is read.

    Raises:
        HubError: the Hub does not have it.
    """
    match = _ROW.fullmatch(text)
    found = find(match[1] if match else text, target)
    if RUN not in {entry.path for entry in found.entries}:
        if match:
            raise HubError(f"{text}: {found} is no release of lidr (no {RUN}), so nothing is known of its rows")
        return _foreign(found, work)
    patterns = [
        "lidr/*",
        *([f"all/iter_{_iteration(match)}-*", f"candidates/iter_{_iteration(match)}-*"] if match else []),
    ]
    release = open_release(found, work / "focus", patterns=patterns)
    graph = release_graph(release)
    if match:
        split = f"iter_{_iteration(match)}"
        graph = add_row(graph, match[2], release.rows("all", split), release.rows("candidates", split), where=text)
        graph.differences += _other_files(release, split)
    _upward(graph, release.run, target, work, _DEPTH)
    _downward(graph, {found.key}, target, work)
    return graph


def _iteration(match: re.Match[str]) -> str:
    return match[2].partition("/")[0]


def _other_files(release: OpenedRelease, split: str) -> Iterator[str]:
    """Files of a pair's rows that are not those of the release."""
    for path in (*release.rows("all", split), *release.rows("candidates", split)):
        name = path.relative_to(release.folder).as_posix()
        if (said := release.manifest.get(name)) is None:
            yield f"{name}: {MANIFEST} does not have it"
        elif file_sha256(path) != said["sha256"]:
            yield f"{name}: has another content than {MANIFEST} says"


def release_graph(release: OpenedRelease) -> Graph:
    """One release by its own records."""
    records = [asdict(record) for record in release.records.values()]
    revision = release.found.requested or release.found.sha
    try:
        return graph_of(release.run, records, release.found.key, revision)
    except (LookupError, ValueError, TypeError, AttributeError) as error:
        # counts are what a step wants them to be, so only who draws them knows their shape
        raise HubError(f"{release.found}: its records cannot be drawn ({error}); the release is damaged") from None


def _foreign(found: Found, work: Path) -> Graph:
    """Something that lidr did not make: only what was made from it is known."""
    graph = foreign_graph(found.key, found.requested or found.sha)
    _downward(graph, {found.key}, found.target, work)
    return graph


def _upward(graph: Graph, run: Data, target: Target, work: Path, depth: int) -> None:
    """What the parents were made from, where they are releases of lidr too: each once, whoever names it again."""
    level: list[Data] = [run]
    asked: set[tuple[str, str]] = set()
    for _ in range(depth):
        above: list[Data] = []
        for repo, revision in [found for one in level for found in _repositories(one)]:
            if (repo, revision) in asked or len(asked) >= _MOST_PARENTS:
                continue
            asked.add((repo, revision))
            parents = _run_json(repo, revision, target, work)
            if parents is None:
                continue
            above.append(parents)
            for other in parents["parents"]:
                graph.join(graph.add(parent_node(other)).id, repo, "made with lidr")
        level = above


def _repositories(run: Data) -> Iterator[tuple[str, str]]:
    for parent in run["parents"]:
        if (repo := repository_of(parent)) is not None:
            yield repo, str(parent["revision"])


def _run_json(repo: str, revision: str, target: Target, work: Path) -> dict[str, Any] | None:
    """lidr/run.json of a repository at a commit; None where the Hub has none."""
    kind = repo if repo.startswith(DATASETS) else f"models/{repo}"
    try:
        found = find(f"{kind}@{revision}", target)
        if not any(entry.path == RUN and entry.size <= _LARGEST for entry in found.entries):
            return None
        return open_release(found, work / found.key.replace("/", "--") / found.sha[:12], patterns=[RUN]).run
    except HubError:
        return None


def _downward(graph: Graph, keys: set[str], target: Target, work: Path) -> None:
    """What other runs made from these, found by looking through what lidr published on the Hub."""
    others = [(key, run) for key, run in _published(target, work) if key not in graph.nodes]
    known = set(keys)
    for _ in range(_DEPTH):
        new = set()
        for key, run in others:
            sources = {repository_of(parent) for parent in run["parents"]} & known
            sources |= {f"{DATASETS}{data['repo']}" for data in run.get("release", {}).get("datasets", [])} & known
            if sources - {key}:
                graph.add(
                    release_node(key, None, run), made_from=sorted(str(s) for s in sources - {key}), how="made from"
                )
                new.add(key)
        if new <= known:
            return
        known |= new


def _published(target: Target, work: Path) -> Iterator[tuple[str, dict[str, Any]]]:
    """Repositories that carry lidr's tag, each with its run.json."""
    api, patience = target.api(), Patience(tries=3)

    def models() -> list[Any]:
        return list(api.list_models(filter="lidr", limit=_MOST))

    def datasets() -> list[Any]:
        return list(api.list_datasets(filter="lidr", limit=_MOST))

    for prefix, ask in ((DATASETS, datasets), ("", models)):
        for found in patiently(ask, what="repositories of lidr", target=target, patience=patience):
            key = f"{prefix}{found.id}"
            run = _run_json(key, "main", target, work)
            if run is not None:
                yield key, run
