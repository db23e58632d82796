"""What is around every page."""

from __future__ import annotations

import base64
import hashlib
from collections.abc import Sequence
from datetime import UTC, datetime
from pathlib import Path
from urllib.parse import quote

from starlette.responses import Response

from lidr.hub_server.refusal import Refusal
from lidr.hub_server.storage import Commit, Repository
from lidr.hub_server.wire import Call, Handler, error_headers, shortened
from lidr.markup import PAIR_STYLE, Child, Html, h

STYLE = PAIR_STYLE + Path(__file__).with_name("style.css").read_text(encoding="utf-8")
_HASH = base64.b64encode(hashlib.sha256(STYLE.encode()).digest()).decode()
POLICY = (
    f"default-src 'none'; style-src 'sha256-{_HASH}'; img-src 'self'; form-action 'self'; base-uri 'none'; "
    "frame-ancestors 'none'"
)
"""No script, no frame, nothing from elsewhere: cards and rows are anybody's texts."""


def page(
    title: str, *content: Child, where: str = "", status: int = 200, headers: dict[str, str] | None = None
) -> Response:
    """A whole page."""
    head = h(
        "head",
        h("meta", charset="utf-8"),
        h("meta", name="viewport", content="width=device-width, initial-scale=1"),
        h("title", f"{title} · lidr Hub"),
        h("style", Html(STYLE)),
    )
    brand = h("a", h("b", "lidr"), " Hub", class_="brand", href="/")
    top = h("header", h("div", brand, h("span", where or "on this machine", class_="where")), class_="top")
    body = f"<!doctype html>{h('html', head, h('body', top, h('main', *content)), lang='en')}"
    always = {"Content-Security-Policy": POLICY, "X-Content-Type-Options": "nosniff", "Referrer-Policy": "no-referrer"}
    return Response(body.encode("utf-8", "replace"), status, {**always, **(headers or {})}, media_type="text/html")


def shown(handler: Handler) -> Handler:
    """The handler, with a page instead of JSON when it says no."""

    def careful(call: Call) -> Response:
        try:
            return handler(call)
        except Refusal as refusal:
            headers = error_headers(refusal)
            content = h(
                "div", h("h1", refusal.status), h("p", shortened(refusal.message)), h("a", "All repositories", href="/")
            )
            private = "A private repository shows after " if refusal.status == 404 else None
            hint = h("p", private, h("a", "giving the token", href="/lidr/login"), class_="lead") if private else None
            return page(
                str(refusal.status), h("div", content, hint, class_="box empty"), status=refusal.status, headers=headers
            )

    return careful


def link(repository: Repository, *parts: str, query: str = "") -> str:
    """The address of a page of a repository; each part is one segment, however many slashes it has."""
    return (
        "/"
        + "/".join([quote(repository.prefix), *(quote(part, safe="") for part in parts)])
        + (f"?{query}" if query else "")
    )


def repository_page(
    call: Call, repository: Repository, commit: Commit, tab: str, chips: Sequence[str], *content: Child
) -> Response:
    """A page of a repository: its name, tabs, and the content."""
    revision = call.parts.get("revision", "main")
    namespace, _, name = repository.id.partition("/")
    marks = [h("li", "private", class_="chip lock")] if repository.is_private else []
    marks += [h("li", chip, class_="chip") for chip in (repository.type, *chips)]
    tabs = [("Card", "card"), ("Files", "tree"), ("Commits", "commits")]
    if any(path.endswith(".parquet") for path in commit.files):
        tabs.insert(1, ("Rows", "rows"))
    if "lidr/run.json" in commit.files or tab == "lineage":
        tabs.append(("Lineage", "lineage"))
    navigation = [
        h("a", text, href=link(repository, target, revision), aria_current="page" if target == tab else None)
        for text, target in tabs
    ]
    return page(
        repository.id,
        h("h1", h("span", f"{namespace} / ", class_="ns"), name),
        h("ul", *marks, class_="chips"),
        h("nav", *navigation, class_="tabs"),
        *content,
        where=f"{revision} · {commit.sha[:10]}" if revision != commit.sha else commit.sha[:10],
    )


def day(seconds: float) -> str:
    """A time for people.

    >>> day(0)
    '1 January 1970, 00:00 UTC'
    """
    moment = datetime.fromtimestamp(seconds, UTC)
    return f"{moment.day} {moment:%B %Y, %H:%M} UTC"


def size(number: float) -> str:
    """A number of bytes for people.

    >>> size(17), size(20480), size(3_500_000)
    ('17 B', '20.0 KB', '3.3 MB')
    """
    for unit in ("B", "KB", "MB", "GB"):
        if number < 1024 or unit == "GB":
            return f"{number:.0f} B" if unit == "B" else f"{number:.1f} {unit}"
        number /= 1024
    raise AssertionError
