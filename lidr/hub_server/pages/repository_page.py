"""The pages of a repository: its card, its files, one file, its commits."""

from __future__ import annotations

from itertools import islice
from typing import Any

from starlette.responses import Response

from lidr.hub_server import card_rules
from lidr.hub_server.api import card_of, tags_of
from lidr.hub_server.pages.element import Html, h
from lidr.hub_server.pages.frame import day, link, repository_page, size
from lidr.hub_server.pages.markdown import render
from lidr.hub_server.refusal import no_entry
from lidr.hub_server.storage import Commit, Repository
from lidr.hub_server.wire import Call

_LONGEST_TEXT = 256 * 1024  # bytes of a file that are shown
_MOST_COMMITS = 200


def _at(call: Call) -> tuple[Repository, Commit, str]:
    repository, revision = call.repository, call.parts.get("revision", "main")
    return repository, repository.resolve(revision), revision


def chips(data: dict[str, Any]) -> list[str]:
    """What a card's metadata says in a few words."""
    return tags_of(data)[:14]


def card(call: Call) -> Response:
    """The README, with releases and how to load it beside."""
    repository, commit, revision = _at(call)
    text = card_of(call, commit)
    data, (_, body) = card_rules.metadata(text), card_rules.split(text)
    shown = (
        render(body, base=link(repository, "resolve", revision)) if body.strip() else h("p", "No card.", class_="empty")
    )
    beside = [
        _box("Load it", h("pre", h("code", _loading(repository, commit, data)))),
        _releases(repository),
        _branches(repository),
    ]
    content = h("div", h("article", shown, class_="box card", dir="auto"), h("aside", *beside), class_="split")
    return repository_page(call, repository, commit, "card", chips(data), content)


def _box(title: str, *content: Html) -> Html:
    return h("section", h("h3", title), *content, class_="box")


def _loading(repository: Repository, commit: Commit, data: dict[str, Any]) -> str:
    if repository.type != "dataset":
        return f'from_pretrained(\n  "{repository.id}",\n  revision="{commit.sha}",\n)'
    configs = [config.get("config_name") for config in data.get("configs") or [] if isinstance(config, dict)]
    config = f'\n  "{configs[0]}",' if configs else ""
    return f'load_dataset(\n  "{repository.id}",{config}\n  revision="{commit.sha}",\n)'


def _releases(repository: Repository) -> Html | None:
    tags = repository.refs()["tags"]
    rows = [
        h("li", h("a", name, href=link(repository, "card", name)), h("span", tag["target"][:10], class_="sha"))
        for name, tag in reversed(tags.items())
    ]
    return _box("Releases", h("ul", rows)) if rows else None


def _branches(repository: Repository) -> Html:
    rows = [
        h("li", h("a", name, href=link(repository, "card", name)), h("span", target[:10], class_="sha"))
        for name, target in repository.refs()["branches"].items()
    ]
    return _box("Branches", h("ul", rows))


def files(call: Call) -> Response:
    """The entries of a folder."""
    repository, commit, revision = _at(call)
    folder = call.parts.get("path", "").strip("/")
    if folder not in commit.folders:
        raise no_entry(folder, commit.sha)
    begin = f"{folder}/" if folder else ""
    names = {path[len(begin) :].split("/")[0] for path in commit.files if path.startswith(begin)}
    ordered = sorted(names, key=lambda name: (begin + name in commit.files, name))
    rows = [_entry(repository, commit, revision, begin + name) for name in ordered]
    if folder:
        rows.insert(
            0, h("tr", h("td", h("a", "..", href=_tree(repository, revision, folder.rpartition("/")[0])), colspan="3"))
        )
    heading = h("tr", h("th", folder or "Name"), h("th", "Size", class_="num"), h("th", "Last change"))
    table = h("div", h("table", h("thead", heading), h("tbody", rows)), class_="box")
    return repository_page(call, repository, commit, "tree", [], table)


def _tree(repository: Repository, revision: str, folder: str) -> str:
    return link(repository, "tree", revision, *(folder.split("/") if folder else ()))


def _entry(repository: Repository, commit: Commit, revision: str, path: str) -> Html:
    name, file = path.rpartition("/")[2], commit.files.get(path)
    if file is None:
        return h("tr", h("td", h("a", f"{name}/", href=_tree(repository, revision, path))), h("td"), h("td"))
    target = link(repository, "blob", revision, *path.split("/"))
    last = repository.commit(file["commit"])
    return h(
        "tr",
        h("td", h("a", name, href=target)),
        h("td", size(file["size"]), class_="num"),
        h("td", last.title, class_="soft", dir="auto"),
    )


def blob(call: Call) -> Response:
    """One file: its text if it is one, else how to have it."""
    repository, commit, revision = _at(call)
    path = call.parts["path"]
    file = commit.file(path)
    raw = link(repository, "resolve", revision, *path.split("/"))
    content = h("p", "Not shown: it is large, or no text.", class_="empty")
    if path.endswith((".png", ".jpg", ".jpeg", ".gif", ".webp", ".svg")):
        content = h("div", h("img", src=raw, alt=path), class_="card")
    elif file["size"] <= _LONGEST_TEXT:
        try:
            text = call.storage.objects.read(file["sha256"]).decode("utf-8")
            content = h("pre", h("code", text, class_="text"), dir="auto")
        except UnicodeDecodeError:
            pass
    id_ = f"sha256 {file['sha256']}" if file["lfs"] else f"git {file['oid']}"
    head = h("p", h("a", path, href=raw), f" · {size(file['size'])} · ", h("span", id_, class_="sha"), class_="lead")
    return repository_page(call, repository, commit, "tree", [], head, h("div", content, class_="box"))


def commits(call: Call) -> Response:
    """The history of a revision."""
    repository, commit, _ = _at(call)
    tags = {tag["target"]: name for name, tag in repository.refs()["tags"].items()}
    rows = []
    for found in islice(repository.log(commit), _MOST_COMMITS):
        mark = h("span", tags[found.sha], class_="chip") if found.sha in tags else None
        id_ = h("a", found.sha[:10], href=link(repository, "tree", found.sha), class_="sha")
        title = h("td", found.title, " ", mark, dir="auto")
        rows.append(
            h("tr", title, h("td", found.author, class_="soft"), h("td", day(found.time), class_="soft"), h("td", id_))
        )
    table = h("div", h("table", h("tbody", rows)), class_="box")
    return repository_page(call, repository, commit, "commits", [], table)
