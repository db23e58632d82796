"""Endpoints of collections: named lists of repositories, with notes."""

from __future__ import annotations

import re
import time
import uuid
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from starlette.responses import Response

from lidr.hub_server.refusal import Refusal
from lidr.hub_server.storage import iso, read_json, write_json
from lidr.hub_server.wire import Call, answer, number

Collections = dict[str, dict[str, Any]]
_LONGEST = {"title": 60, "description": 1000, "theme": 60}
_FIELDS = {"title": str, "description": str | None, "private": bool, "theme": str, "position": int}
"""What may be changed."""


def collections_of(call: Call) -> Collections:
    """All collections by slug."""
    return read_json(call.storage.root / "collections.json") or {}


@contextmanager
def _changed(call: Call) -> Iterator[Collections]:
    """All collections, to be changed by the holder of the token; written whole when the block ends well."""
    call.need_token()
    with call.storage.changing:
        known = collections_of(call)
        yield known
        write_json(call.storage.root / "collections.json", known)


def _one(call: Call, known: Collections) -> dict[str, Any]:
    """The collection of the path. The id at the end of the slug decides: a new title changes the words before it."""
    key = call.parts["slug"].rpartition("-")[2]
    for collection in known.values():
        if collection["owner"] == call.parts["namespace"] and collection["slug"].rpartition("-")[2] == key:
            if collection["private"] and not call.is_owner:
                break
            return collection
    raise Refusal(404, f"Collection not found: {call.parts['namespace']}/{call.parts['slug']}")


def _slug(owner: str, title: str, key: str) -> str:
    words = re.sub(r"[^a-z0-9]+", "-", title.lower()).strip("-")
    return f"{owner}/{words}-{key}" if words else f"{owner}/{key}"


def _touch(collection: dict[str, Any]) -> dict[str, Any]:
    collection["lastUpdated"] = iso(time.time())
    for position, item in enumerate(collection["items"]):
        item["position"] = position
    return collection


def listing(call: Call) -> Response:
    """Collections by owner and item."""
    owners, items = (call.request.query_params.getlist(key) for key in ("owner", "item"))
    found = [
        collection
        for collection in collections_of(call).values()
        if (call.is_owner or not collection["private"])
        and (not owners or collection["owner"] in owners)
        and (not items or any(f"{item['type']}s/{item['id']}" in items for item in collection["items"]))
    ]
    found.sort(key=lambda collection: collection["lastUpdated"], reverse=True)
    # Without `position`: the client gives that itself and does not take it twice.
    return answer([{key: value for key, value in item.items() if key != "position"} for item in found])


def create(call: Call) -> Response:
    """Create a collection; one of the same owner and title answers 409 with its slug."""
    wanted = call.json()
    title, owner = str(wanted.get("title") or "").strip(), str(wanted.get("namespace") or call.user)
    if not title or len(title) > 60:
        raise Refusal(400, "A collection needs a title of at most 60 characters")
    if len(owner) > 96 or len(str(wanted.get("description") or "")) > _LONGEST["description"]:
        raise Refusal(400, f"The namespace or the description is too long: 96 and {_LONGEST['description']} characters")
    with _changed(call) as known:
        for collection in known.values():
            if collection["owner"] == owner and collection["title"] == title:
                raise Refusal(409, "This collection exists already", body={"slug": collection["slug"]})
        slug = _slug(owner, title, uuid.uuid4().hex[:24])
        made = {"slug": slug, "title": title, "owner": owner, "items": [], "private": bool(wanted.get("private"))}
        made |= {
            "position": len(known),
            "theme": "green",
            "upvotes": 0,
            "description": str(wanted.get("description") or "") or None,
        }
        known[slug] = _touch(made)
    return answer(made)


def collection_of(call: Call) -> dict[str, Any]:
    """The collection that the path names, to a caller who may see it."""
    return _one(call, collections_of(call))


def get(call: Call) -> Response:
    """One collection."""
    return answer(collection_of(call))


def update(call: Call) -> Response:
    """Change title, description, visibility, theme or position."""
    wanted = call.json()
    with _changed(call) as known:
        collection = _one(call, known)
        del known[collection["slug"]]
        for key, kind in _FIELDS.items():
            if not isinstance(value := wanted.get(key, collection[key]), kind):
                raise Refusal(400, f"Invalid {key}: {value!r}")
            if isinstance(value, str) and len(value) > _LONGEST[key]:
                raise Refusal(400, f"{key} has more than {_LONGEST[key]} characters")
            collection[key] = value
        key = collection["slug"].rpartition("-")[2].rpartition("/")[2]
        collection["slug"] = _slug(collection["owner"], str(collection["title"]), key)
        known[collection["slug"]] = _touch(collection)
    return answer({"success": True, "data": collection})


def delete(call: Call) -> Response:
    """Delete a collection; the repositories in it stay."""
    with _changed(call) as known:
        del known[_one(call, known)["slug"]]
    return answer({"success": True})


def add_item(call: Call) -> Response:
    """Add a repository; one that is in the collection already answers 409."""
    wanted = call.json()
    item = wanted.get("item")
    if not isinstance(item, dict) or item.get("type") not in ("model", "dataset", "space", "paper", "collection"):
        raise Refusal(400, "item must have an id and a type")
    if not isinstance(item.get("id"), str) or len(item["id"]) > 300:
        raise Refusal(400, "The id of an item must be a text of at most 300 characters")
    if item["type"] in ("model", "dataset", "space"):
        call.find(item["type"], item["id"])
    with _changed(call) as known:
        collection = _one(call, known)
        if any((other["id"], other["type"]) == (item["id"], item["type"]) for other in collection["items"]):
            raise Refusal(409, "This item is in the collection already")
        made = {"_id": uuid.uuid4().hex[:24], "id": item["id"], "type": item["type"]}
        if wanted.get("note"):
            made["note"] = _note(wanted["note"])
        collection["items"].append(made)
        _touch(collection)
    return answer(collection)


def _note(text: object) -> dict[str, str]:
    return {"text": str(text)[:500], "html": ""}


def _item(call: Call, collection: dict[str, Any]) -> dict[str, Any]:
    for item in collection["items"]:
        if item["_id"] == call.parts["item"]:
            return dict(item)
    raise Refusal(404, f"No such item in the collection: {call.parts['item']}")


def update_item(call: Call) -> Response:
    """Change an item's note or position."""
    wanted = call.json()
    with _changed(call) as known:
        collection = _one(call, known)
        item = _item(call, collection)
        place = int(number(wanted.get("position"), "position", default=item["position"]))
        if "note" in wanted:
            item["note"] = _note(wanted["note"])
        others = [other for other in collection["items"] if other["_id"] != item["_id"]]
        collection["items"] = [*others[:place], item, *others[place:]]
        _touch(collection)
    return answer({"success": True})


def delete_item(call: Call) -> Response:
    """Take an item out."""
    with _changed(call) as known:
        collection = _one(call, known)
        gone = _item(call, collection)["_id"]
        collection["items"] = [item for item in collection["items"] if item["_id"] != gone]
        _touch(collection)
    return answer({"success": True})
