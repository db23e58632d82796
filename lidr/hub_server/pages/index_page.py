"""All repositories, and one collection."""

from __future__ import annotations

from typing import Any

from starlette.responses import Response

from lidr.hub_server.api import collection_of, collections_of
from lidr.hub_server.pages.frame import day, link, page
from lidr.hub_server.refusal import Refusal
from lidr.hub_server.storage import REPO_TYPES, Repository, RepoType
from lidr.hub_server.wire import Call
from lidr.markup import Child, Html, h

_TITLES: dict[RepoType, str] = {"dataset": "Datasets", "model": "Models", "space": "Spaces"}


def index(call: Call) -> Response:
    """Every repository that the caller may see, and the collections."""
    content: list[Child] = []
    for type_ in sorted(REPO_TYPES, key=list(_TITLES).index):
        repositories = [r for r in call.storage.repositories(type_) if call.is_owner or not r.is_private]
        if repositories:
            repositories.sort(key=lambda repository: -float(repository.meta.get("modified", 0)))
            content += [h("h2", _TITLES[type_]), h("div", map(_tile, repositories), class_="grid")]
    visible = [c for c in collections_of(call).values() if call.is_owner or not c["private"]]
    if visible:
        tiles = [_box(f"/collections/{c['slug']}", c["title"], f"{_items(c)} · {c['owner']}") for c in visible]
        content += [h("h2", "Collections"), h("div", tiles, class_="grid")]
    if not content:
        content = [h("div", "Nothing is published here yet. ", h("code", "lidr publish RUN"), class_="box empty")]
    hint = None if call.is_owner else h("span", " ", h("a", "Show private ones", href="/lidr/login"))
    lead = h("p", "Published on this machine, for every client of the Hugging Face Hub.", hint, class_="lead")
    return page("Repositories", h("h1", "Repositories"), lead, *content)


def _tile(repository: Repository) -> Html:
    refs, meta = repository.refs(), repository.meta
    last = list(refs["tags"])[-1:]
    words = [*(f"release {tag}" for tag in last), f"changed {day(float(meta.get('modified', 0)))}"]
    if repository.is_private:
        words.insert(0, "private")
    return _box(link(repository), repository.id, " · ".join(words))


def _items(found: dict[str, Any]) -> str:
    return "1 item" if len(found["items"]) == 1 else f"{len(found['items'])} items"


def _box(href: str, title: str, words: str) -> Html:
    return h("a", h("strong", title), h("small", words), href=href, class_="repo box")


def collection(call: Call) -> Response:
    """A collection and its items."""
    found = collection_of(call)
    tiles = []
    for item in found["items"]:
        prefix = "" if item["type"] == "model" else f"{item['type']}s/"
        note = (item.get("note") or {}).get("text") or item["type"]
        tiles.append(_box(f"/{prefix}{item['id']}", item["id"], note))
    lead = h("p", found.get("description") or "A collection", class_="lead")
    return page(found["title"], h("h1", found["title"]), lead, h("div", tiles, class_="grid"))


def login(call: Call) -> Response:
    """Ask the browser for the token; it then sends it with every page, and the pages show what is private."""
    if call.is_owner:
        return Response(status_code=303, headers={"Location": "/"})
    raise Refusal(
        401, "This needs the token of this Hub, as the password", headers={"WWW-Authenticate": 'Basic realm="lidr Hub"'}
    )
