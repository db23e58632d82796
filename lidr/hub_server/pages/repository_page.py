"""The pages of a repository: its card, its files, one file, its commits."""

from __future__ import annotations

from itertools import islice
from typing import Any

from starlette.responses import Response

from lidr.hub import split_front_matter
from lidr.hub_server.api import card_of, metadata_of, tags_of
from lidr.hub_server.pages.frame import day, link, repository_page, size
from lidr.hub_server.pages.lineage_page import ATTESTATIONS
from lidr.hub_server.pages.markdown import render
from lidr.hub_server.refusal import no_entry
from lidr.hub_server.storage import REPO_TYPES, Commit, Repository
from lidr.hub_server.wire import Call
from lidr.markup import Html, h

_LONGEST_TEXT = 256 * 1024  # bytes of a file that are shown
_MOST_NAMED = 5
_MOST_COMMITS, _MOST_REFS, _MOST_ENTRIES, _MOST_HERE = 200, 200, 2000, 2000


def _at(call: Call) -> tuple[Repository, Commit, str]:
    repository, revision = call.repository, call.parts.get("revision", "main")
    return repository, repository.resolve(revision), revision


def chips(data: dict[str, Any]) -> list[str]:
    """What a card's metadata says in a few words."""
    return tags_of(data)[:14]


def card(call: Call) -> Response:
    """The README, with releases and how to load it beside."""
    repository, commit, revision = _at(call)
    data, (_, body) = metadata_of(call, commit), split_front_matter(card_of(call, commit))
    shown = h("p", "No card.", class_="empty")
    if body.strip():
        shown = render(body, base=link(repository, "resolve", revision), here=_here(call))
    beside = [
        _box("Load it", h("pre", h("code", _loading(call, repository, commit, data), class_="whole"))),
        _releases(repository),
        _branches(repository),
    ]
    article = h("article", shown, class_="box card", dir="auto")
    content = h("div", h("div", _since_release(repository, commit), article), h("aside", *beside), class_="split")
    return repository_page(call, repository, commit, "card", chips(data), content)


def _box(title: str, *content: Html) -> Html:
    return h("section", h("h3", title), *content, class_="box")


def _here(call: Call) -> dict[str, str]:
    """Every repository that the caller may see -> its page."""
    found = (r for type_ in REPO_TYPES for r in call.storage.repositories(type_) if call.is_owner or not r.is_private)
    return {repository.prefix: link(repository) for repository in islice(found, _MOST_HERE)}


def _loading(call: Call, repository: Repository, commit: Commit, data: dict[str, Any]) -> str:
    """Python that loads this commit from this Hub, and for pairs the trainer's lines: complete, to be copied."""
    lines = ["import os", "", f'os.environ["HF_ENDPOINT"] = "{call.base_url}"', ""]
    pin = _pin(repository, commit)
    if repository.type != "dataset":
        auto = "from transformers import AutoModelForCausalLM"
        call_ = f'policy = AutoModelForCausalLM.from_pretrained(\n    "{repository.id}", revision="{pin}"\n)'
        return "\n".join([*lines, auto, "", call_])
    declared = data.get("configs")
    configs = [c for c in (declared if isinstance(declared, list) else []) if isinstance(c, dict)]
    config = f'"{configs[0].get("config_name")}", ' if configs else ""
    files = configs[0].get("data_files") if configs else None
    splits = [f.get("split") for f in (files if isinstance(files, list) else []) if isinstance(f, dict)]
    split = f', split="{"+".join(map(str, splits))}"' if splits else ""
    lines += ["from datasets import load_dataset", ""]
    lines.append(f'pairs = load_dataset(\n    "{repository.id}", {config}revision="{pin}"{split}\n)')
    tags = data.get("tags")
    if isinstance(tags, list) and "dpo" in tags and split:
        lines += ["", "from trl import DPOConfig, DPOTrainer", ""]
        lines.append('DPOTrainer("your/model", args=DPOConfig("out"), train_dataset=pairs).train()')
    return "\n".join(lines)


def _pin(repository: Repository, commit: Commit) -> str:
    """The commit to load: that of the release, where only attestations came after it."""
    released = _last_release(repository, commit)
    return released[1].sha if released and not _changed(released[1], commit) else commit.sha


def _last_release(repository: Repository, commit: Commit) -> tuple[str, Commit] | None:
    """The tag that was set last at a commit or below it, and its commit."""
    tagged = {tag["target"]: name for name, tag in repository.refs()["tags"].items()}
    below = islice(repository.log(commit.sha), _MOST_COMMITS)
    return next(((tagged[one.sha], repository.commit(one.sha)) for one in below if one.sha in tagged), None)


def _changed(before: Commit, after: Commit) -> list[str]:
    """Files that are not the same in both, but for attestations."""
    was, now = _content(before), _content(after)
    return sorted(path for path in {*was, *now} if was.get(path) != now.get(path))


def _since_release(repository: Repository, commit: Commit) -> Html | None:
    """What to know of a commit above a release, whose card still names it: what is another there."""
    released = _last_release(repository, commit)
    if released is None or not (changed := _changed(released[1], commit)):
        return None
    tag, more = released[0], f" and {len(changed) - _MOST_NAMED} more" if len(changed) > _MOST_NAMED else ""
    name = h("a", tag, href=link(repository, "card", tag))
    return h("p", "Not release ", name, f": changed since in {', '.join(changed[:_MOST_NAMED])}{more}.", class_="since")


def _content(commit: Commit) -> dict[str, str]:
    return {path: file["sha256"] for path, file in commit.files.items() if not path.startswith(ATTESTATIONS)}


def _releases(repository: Repository) -> Html | None:
    tags = repository.refs()["tags"]
    rows = [
        h("li", h("a", name, href=link(repository, "card", name)), h("span", tag["target"][:10], class_="sha"))
        for name, tag in islice(reversed(tags.items()), _MOST_REFS)
    ]
    return _box("Releases", h("ul", rows)) if rows else None


def _branches(repository: Repository) -> Html:
    rows = [
        h("li", h("a", name, href=link(repository, "card", name)), h("span", target[:10], class_="sha"))
        for name, target in islice(repository.refs()["branches"].items(), _MOST_REFS)
    ]
    return _box("Branches", h("ul", rows))


def files(call: Call) -> Response:
    """The entries of a folder."""
    repository, commit, revision = _at(call)
    folder = call.parts.get("path", "").strip("/")
    if folder not in commit.folders:
        raise no_entry(folder, commit.sha)
    ordered = sorted(commit.inside(folder, recursive=False), key=lambda path: (path in commit.files, path))
    rows = [_entry(repository, commit, revision, path) for path in ordered[:_MOST_ENTRIES]]
    if len(ordered) > _MOST_ENTRIES:
        more = f"and {len(ordered) - _MOST_ENTRIES:,} more, which the API lists"
        rows.append(h("tr", h("td", more, colspan="3", class_="soft")))
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
    last = repository.last_change(commit, path)
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
    for found in islice(repository.log(commit.sha), _MOST_COMMITS):
        mark = h("span", tags[found.sha], class_="chip") if found.sha in tags else None
        id_ = h("a", found.sha[:10], href=link(repository, "tree", found.sha), class_="sha")
        title = h("td", found.title, " ", mark, dir="auto")
        rows.append(
            h("tr", title, h("td", found.author, class_="soft"), h("td", day(found.time), class_="soft"), h("td", id_))
        )
    table = h("div", h("table", h("tbody", rows)), class_="box")
    return repository_page(call, repository, commit, "commits", [], table)
