"""The lineage of one pair: its two texts, the answers that they were translated from, the prompt, the policy."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

from lidr.errors import HubError
from lidr.lineage.graph import Data, Graph, Node, short
from lidr.release import read_bounded

if TYPE_CHECKING:
    import polars as pl


def add_row(graph: Graph, pair_id: str, pairs: list[Path], candidates: list[Path], *, where: str) -> Graph:
    """The graph around one pair, with the steps of a run's graph around it.

    Args:
        graph: of the run or the release.
        pairs: Parquet files of the iteration's pairs.
        candidates: of its responses and translations, as published.
        where: what was asked for, for messages.

    Raises:
        HubError: there is no such pair, or the rows cannot be read.
    """
    import polars as pl

    try:
        return _with_row(graph, pair_id, pairs, candidates, where)
    except (pl.exceptions.PolarsError, LookupError, ValueError, TypeError, OverflowError) as error:
        said = (str(error).splitlines() or [type(error).__name__])[0]
        raise HubError(f"{where}: its rows cannot be read: {said}; the release is damaged") from None


def _with_row(graph: Graph, pair_id: str, pairs: list[Path], candidates: list[Path], where: str) -> Graph:
    import polars as pl

    iteration = pair_id.partition("/")[0]
    found = _read(pairs, where, ("pair_id", pair_id))
    if found is None or found.is_empty():
        first = pl.concat(pl.read_parquet(file, n_rows=1, columns=["pair_id"]) for file in pairs) if pairs else None
        some = "" if first is None or first.is_empty() else f"; the first one there is {first['pair_id'][0]}"
        raise HubError(f"{where}: no pair {pair_id}{some}. A pair is named ITERATION/PROMPT/XX-YY/KIND")
    row: dict[str, Any] = found.row(0, named=True)
    texts = _read(candidates, where, ("prompt_id", str(row["prompt_id"])))
    graph.focus = f"row:{pair_id}"
    lines = (
        f"{row['language']}, {row['kind']}",
        f"margin {row['margin']}" if row["margin"] is not None else "unscored",
    )
    graph.add(Node(graph.focus, "row", pair_id, lines))
    _add_prompt(graph, row, texts, iteration)
    for side in ("chosen", "rejected"):
        key = str(row[f"{side}_key"])
        _add_text(graph, key, str(row[f"{side}_text"]), texts, iteration)
        graph.join(f"text:{key}", graph.focus, side)
    last = [
        id_ for id_, node in graph.nodes.items() if id_.startswith(f"iter_{iteration}/") and "pairs" in node.lines[0]
    ]
    for step in last[-1:]:  # from the pair to what was made of it, not from all other rows to the pair
        graph.join(graph.focus, step, "one of")
        graph.edges = [e for e in graph.edges if e.target not in last or e.source == graph.focus]
    return graph.around()


def _read(files: list[Path], where: str, only: tuple[str, str]) -> pl.DataFrame | None:
    """The rows of one pair or one prompt."""
    import polars as pl

    try:
        table = read_bounded(files, only=only)
    except HubError as error:
        raise HubError(f"{where}: its rows cannot be read: {error}; the release is damaged") from None
    return None if table is None else pl.DataFrame(table)


def _add_prompt(graph: Graph, row: Data, texts: pl.DataFrame | None, iteration: str) -> None:
    id_ = f"prompt:{row['prompt_id']}/{row['language']}"
    node = Node(id_, "prompts", f"{row['prompt_id']} ({row['language']})", (short(str(row["prompt_text"])),))
    graph.add(node, made_from=_step(graph, iteration, "prompts"))
    graph.join(id_, graph.focus, "asked")
    asked = _prompt(texts, str(row["prompt_id"]), str(row["language"]))
    if asked and asked != row["prompt_text"]:
        said = short(str(row["prompt_text"]))
        graph.differences.append(f"{node.title}: the pair's prompt says {said!r}, the candidate's {short(asked)!r}")


def _add_text(graph: Graph, key: str, text: str, texts: pl.DataFrame | None, iteration: str) -> None:
    """A response, or a translation and the response that it was made from; said where it is no candidate's."""
    prompt_id, _, languages = key.rpartition("/")
    source, is_translation, language = languages.partition("->")
    steps = _step(graph, iteration, "translate" if is_translation else "generate")
    id_, what = f"text:{key}", "translation" if is_translation else "response"
    candidate = _row(texts, prompt_id, what, language or source, source if is_translation else None)
    known: tuple[str, ...] = ()
    if candidate is not None:
        known = (f"status {candidate['status']}", f"by {candidate['policy']}")
    if candidate is not None and str(candidate["text"]) != text:
        graph.differences.append(f"{key}: the pair says {short(text)!r}, the candidate {short(candidate['text'])!r}")
        known = ("another text than the candidate's",)
    lines = (f"{what}: {short(text)}", *known)
    graph.add(Node(id_, "text", key, lines), made_from=steps)
    if is_translation:
        asked = _response(texts, prompt_id, source)
        _add_text(graph, f"{prompt_id}/{source}", asked, texts, iteration)
        graph.join(f"text:{prompt_id}/{source}", id_, "translated")
    else:
        prompt = f"prompt:{prompt_id}/{source}"
        if prompt not in graph.nodes:
            graph.add(
                Node(prompt, "prompts", f"{prompt_id} ({source})", (short(_prompt(texts, prompt_id, source)),)),
                made_from=_step(graph, iteration, "prompts"),
            )
        graph.join(prompt, id_, "answered")


def _response(texts: pl.DataFrame | None, prompt_id: str, language: str) -> str:
    row = _row(texts, prompt_id, "response", language, None)
    return "" if row is None else str(row["text"])


def _prompt(texts: pl.DataFrame | None, prompt_id: str, language: str) -> str:
    row = _row(texts, prompt_id, "response", language, None)
    return "" if row is None else str(row["prompt_text"])


def _row(
    texts: pl.DataFrame | None, prompt_id: str, kind: str, language: str, source: str | None
) -> dict[str, Any] | None:
    import polars as pl

    if texts is None:
        return None
    found = texts.filter(pl.col("prompt_id") == prompt_id, pl.col("kind") == kind, pl.col("language") == language)
    if source is not None:
        found = found.filter(pl.col("source") == source)
    return None if found.is_empty() else found.row(0, named=True)


def _step(graph: Graph, iteration: str, name: str) -> list[str]:
    place = f"iter_{iteration}/{name}"
    return [place] if place in graph.nodes else []
