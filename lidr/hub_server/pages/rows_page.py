"""Rows for people: preference pairs side by side, dropped rows with their reason, other tables as they are."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any
from urllib.parse import urlencode

from starlette.responses import Response

from lidr.hub_server.api import metadata_of
from lidr.hub_server.pages import row_query as data
from lidr.hub_server.pages.frame import link, repository_page
from lidr.hub_server.pages.row_reader import FILTERS, KEYS
from lidr.hub_server.refusal import Refusal
from lidr.hub_server.wire import Call, whole
from lidr.markup import Child, Html, Shown, h, language_name, pair_article, text_block

PER_PAGE = 10
_LABELS = {"other_language": "other language", "iteration": "iteration", "q": "search"}
_MOST_CANDIDATES = 200  # of one prompt; each language has an answer and two translations
_LAST_ROW = 10_000_000  # that can be paged to; before it the rows are read one after the other
_MOST_CHARACTERS = 4000  # of a cell in a table


def rows(call: Call) -> Response:
    """The rows of a config and a split, filtered."""
    repository, revision = call.repository, call.parts.get("revision", "main")
    commit = repository.resolve(revision)
    configs = data.configs(commit, metadata_of(call, commit))
    if not configs:
        raise Refusal(404, "This repository has no Parquet files, so no rows to show")
    query = call.query
    config = query.get("config") if query.get("config") in configs else next(iter(configs))
    splits = configs[str(config)]
    split = query.get("split") if query.get("split") in splits else next(iter(splits))
    wanted = {column: query[column] for column in FILTERS if query.get(column)}
    start = whole(query.get("start", "0"), _LAST_ROW) or 0
    alone = {column: query[column] for column in KEYS if query.get(column)}

    def read(files: list[str], wanted: Mapping[str, str], start: int, count: int, search: str = "") -> data.Rows:
        try:
            return data.read(
                call.storage.objects, commit, files, wanted=wanted, search=search, start=start, count=count
            )
        except ValueError as error:
            raise Refusal(422, f"These files cannot be read as rows: {error}") from None

    found = read(splits[str(split)], {**wanted, **alone}, start, PER_PAGE, query.get("q", ""))
    chosen = {"config": str(config), "split": str(split), **wanted, "q": query.get("q", "")}
    address = link(repository, "rows", revision)
    content = [
        _form(address, configs, chosen, found) if not alone else _back(address, chosen),
        _body(found, address, chosen),
        _pages(address, {**chosen, **alone}, start, found.total),
    ]
    if "pair_id" in alone and found.rows and (files := configs.get("candidates", {}).get(str(split))):
        prompt = {"prompt_id": str(found.rows[0].get("prompt_id"))}
        content.append(_candidates(read(files, prompt, 0, _MOST_CANDIDATES)))
    return repository_page(call, repository, commit, "rows", [], *content)


def _back(address: str, chosen: Mapping[str, str]) -> Html:
    query = {name: value for name, value in chosen.items() if value}
    return h("p", h("a", "← all rows", href=f"{address}?{urlencode(query)}"), class_="lead")


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


def _body(found: data.Rows, address: str, chosen: Mapping[str, str]) -> Html:
    if not found.rows:
        return h("div", "No row fits.", class_="box empty")
    if {"chosen_text", "rejected_text"} <= set(found.columns) or {"chosen", "rejected"} <= set(found.columns):
        return h("div", (_pair(row, address, chosen) for row in found.rows))
    return _table(found)


def _pair(row: dict[str, Any], address: str, chosen: Mapping[str, str]) -> Html:
    return pair_article(_shown(row), address=_address_of(row, address, chosen))


def _address_of(row: Mapping[str, Any], address: str, chosen: Mapping[str, str]) -> str | None:
    """The page of one pair alone; None where the rows name none."""
    if not row.get("pair_id"):
        return None
    query = {"config": chosen["config"], "split": chosen["split"], "pair_id": str(row["pair_id"])}
    return f"{address}?{urlencode(query)}"


def _shown(row: Mapping[str, Any]) -> Shown:
    names = (("margin", "margin"), ("score_chosen", "score of chosen"), ("score_rejected", "of rejected"))
    return Shown(
        id=_word(row, "pair_id") or _word(row, "prompt_id"),
        language=_word(row, "language"),
        other_language=_word(row, "other_language"),
        kind=_word(row, "kind"),
        prompt=_said(row, "prompt"),
        chosen=_said(row, "chosen"),
        rejected=_said(row, "rejected"),
        chosen_key=_word(row, "chosen_key"),
        rejected_key=_word(row, "rejected_key"),
        figures=tuple(f"{said} {_figure(row[name])}" for name, said in names if row.get(name) is not None),
        marks=(f"iteration {row['iteration']}",) if row.get("iteration") is not None else (),
    )


def _word(row: Mapping[str, Any], column: str) -> str:
    return "" if row.get(column) is None else str(row[column])


def _figure(value: Any) -> str:
    return f"{value:.3f}" if isinstance(value, int | float) else str(value)


def _said(row: Mapping[str, Any], side: str) -> str:
    """The flat text, or that of the messages of data sets that have no flat one."""
    flat = row.get(f"{side}_text")
    if isinstance(flat, str):
        return flat
    value = row.get(side)
    if isinstance(value, list):
        return "\n\n".join(str(message.get("content", "")) for message in value if isinstance(message, dict))
    return "" if value is None else str(value)


def _candidates(found: data.Rows) -> Child:
    """Every answer and translation of one prompt, in the order of the file."""
    if not found.rows:
        return None
    articles = [_candidate(row) for row in found.rows]
    return [h("h2", "All answers and translations of this prompt"), h("div", articles, class_="box")]


def _candidate(row: Mapping[str, Any]) -> Html:
    code, source = _word(row, "language"), _word(row, "source")
    origin = f"translated from {language_name(source)}" if source else "answer"
    status = h(
        "span", _word(row, "status").replace("_", " "), class_="chip" if row.get("status") == "ok" else "chip bad"
    )
    label = h("div", h("span", language_name(code), class_="chip"), origin, status, class_="meta")
    return h("section", label, h("div", text_block(_word(row, "text"), code), class_="prompt"), class_="candidate")


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
