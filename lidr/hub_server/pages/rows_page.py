"""Rows for people: preference pairs side by side, dropped rows with their reason, other tables as they are."""

from __future__ import annotations

from typing import Any
from urllib.parse import urlencode

from starlette.responses import Response

from lidr.hub_server import card_rules
from lidr.hub_server.api import card_of
from lidr.hub_server.pages import row_query as data
from lidr.hub_server.pages.element import Child, Html, h
from lidr.hub_server.pages.frame import link, repository_page
from lidr.hub_server.refusal import Refusal
from lidr.hub_server.wire import Call
from lidr.languages import LANGUAGES

PER_PAGE = 10
_LABELS = {"other_language": "other language", "iteration": "iteration", "q": "search"}
_MOST_CHARACTERS = 4000  # of a cell in a table


def rows(call: Call) -> Response:
    """The rows of a config and a split, filtered."""
    repository, revision = call.repository, call.parts.get("revision", "main")
    commit = repository.resolve(revision)
    metadata = card_rules.metadata(card_of(call, commit))
    configs = data.configs(commit, metadata)
    if not configs:
        raise Refusal(404, "This repository has no Parquet files, so no rows to show")
    query = call.query
    config = query.get("config") if query.get("config") in configs else next(iter(configs))
    splits = configs[str(config)]
    split = query.get("split") if query.get("split") in splits else next(iter(splits))
    wanted = {column: query[column] for column in data.FILTERS if query.get(column)}
    start = max(0, int(query["start"])) if query.get("start", "").isdigit() else 0
    try:
        found = data.read(
            call.storage.objects,
            commit,
            splits[str(split)],
            wanted=wanted,
            search=query.get("q", ""),
            start=min(start, 10**9),
            count=PER_PAGE,
        )
    except (OSError, ValueError) as error:  # what pyarrow raises on files that are none of its own
        raise Refusal(422, f"These files cannot be read as rows: {error}") from None
    chosen = {"config": str(config), "split": str(split), **wanted, "q": query.get("q", "")}
    address = link(repository, "rows", revision)
    content = [_form(address, configs, chosen, found), _body(found), _pages(address, chosen, start, found.total)]
    return repository_page(call, repository, commit, "rows", [], *content)


def _form(address: str, configs: data.Configs, chosen: dict[str, str], found: data.Rows) -> Html:
    fields = [
        _select("config", list(configs), chosen["config"]),
        _select("split", list(configs[chosen["config"]]), chosen["split"]),
    ]
    fields += [_select(name, ["", *values], chosen.get(name, "")) for name, values in found.choices.items()]
    if found.can_search:
        fields.append(h("label", "search", h("input", type="search", name="q", value=chosen["q"], dir="auto")))
    count = h("p", f"{found.total:,} {'row' if found.total == 1 else 'rows'}", class_="lead")
    return h("div", h("form", *fields, h("button", "Show"), class_="filter box", method="get", action=address), count)


def _select(name: str, values: list[str], chosen: str) -> Html:
    options = [h("option", value or "all", value=value, selected=value == chosen) for value in values]
    return h("label", _LABELS.get(name, name), h("select", *options, name=name))


def _body(found: data.Rows) -> Html:
    if not found.rows:
        return h("div", "No row fits.", class_="box empty")
    if {"chosen_text", "rejected_text"} <= set(found.columns) or {"chosen", "rejected"} <= set(found.columns):
        return h("div", map(_pair, found.rows))
    return _table(found)


def _pair(row: dict[str, Any]) -> Html:
    language = row.get("language")
    marks = [h("span", text, class_="chip") for text in _marks(row)]
    scored = row.get("margin") is not None
    marks += [h("span", f"margin {row['margin']:.3f}", class_="chip")] if scored else []
    id_ = h("span", row.get("pair_id") or row.get("prompt_id") or "", class_="id sha")
    prompt = h("div", h("span", "PROMPT", class_="label"), _text(_said(row, "prompt"), language), class_="prompt")
    answers = h("div", _answer(row, "chosen", "✓", language), _answer(row, "rejected", "✗", language), class_="answers")
    return h("article", h("div", *marks, id_, class_="meta"), prompt, answers, class_="pair box")


def _marks(row: dict[str, Any]) -> list[str]:
    marks = [_language(row["language"])] if row.get("language") else []
    if row.get("other_language") and row.get("other_language") != row.get("language"):
        marks.append(f"with {_language(row['other_language'])}")
    if row.get("kind"):
        marks.append(str(row["kind"]).replace("_", "-"))
    if row.get("iteration") is not None:
        marks.append(f"iteration {row['iteration']}")
    return marks


def _language(code: Any) -> str:
    known = LANGUAGES.get(str(code))
    return f"{known.name} ({code})" if known else str(code)


def _answer(row: dict[str, Any], side: str, sign: str, language: Any) -> Html:
    key, score = row.get(f"{side}_key"), row.get(f"score_{side}")
    words = [f" · {key}" if key else "", f" · score {score:.3f}" if score is not None else ""]
    label = h("span", f"{sign} {side.upper()}", h("span", *words), class_="label")
    return h("div", label, _text(_said(row, side), language), class_=f"answer {side}")


def _said(row: dict[str, Any], side: str) -> str:
    """The flat text, or that of the messages of data sets that have no flat one."""
    flat = row.get(f"{side}_text")
    if isinstance(flat, str):
        return flat
    value = row.get(side)
    if isinstance(value, list):
        return "\n\n".join(str(message.get("content", "")) for message in value if isinstance(message, dict))
    return "" if value is None else str(value)


def _text(text: str, language: Any) -> Html:
    """A text in its own direction: `auto` looks at its first strong character."""
    return h("div", text or "(empty)", class_="text", dir="auto", lang=str(language) if language else None)


def _table(found: data.Rows) -> Html:
    columns = [name for name in found.columns if any(row.get(name) not in (None, "", []) for row in found.rows)]
    heading = h("tr", *(h("th", name.replace("_", " ")) for name in columns))
    body = [h("tr", *(_cell(row.get(name)) for name in columns)) for row in found.rows]
    return h("div", h("table", h("thead", heading), h("tbody", *body)), class_="box wide")


def _cell(value: Any) -> Html:
    text = "" if value is None else str(value)
    shown = text if len(text) <= _MOST_CHARACTERS else f"{text[:_MOST_CHARACTERS]} … ({len(text):,} characters)"
    return h("td", shown, dir="auto", class_="text")


def _pages(address: str, chosen: dict[str, str], start: int, total: int) -> Child:
    if total <= PER_PAGE and start == 0:
        return None

    def to(place: int, text: str) -> Html:
        query = urlencode({**{key: value for key, value in chosen.items() if value}, "start": place})
        return h("a", text, href=f"{address}?{query}")

    before = to(max(0, start - PER_PAGE), "← earlier") if start > 0 else None
    after = to(start + PER_PAGE, "later →") if start + PER_PAGE < total else None
    return h(
        "nav",
        before,
        f"{min(start + 1, total):,} to {min(start + PER_PAGE, total):,} of {total:,}",
        after,
        class_="pages",
    )
