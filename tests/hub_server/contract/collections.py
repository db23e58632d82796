"""Collections."""

from __future__ import annotations

from huggingface_hub.errors import HfHubHTTPError

from tests.hub_server.contract.world import World, raises


def a_collection_is_created(w: World) -> None:
    w.memo.model, w.memo.data = w.create("c-model"), w.create("c-data", "dataset")
    w.memo.title = w.id("release").split("/")[1][:50]
    made = w.api.create_collection(w.memo.title, namespace=w.namespace, description="one release", private=True)
    w.memo.slug = made.slug
    assert (made.title, made.owner, made.private) == (w.memo.title, w.namespace, True)
    assert made.slug.startswith(f"{w.namespace}/")


def the_namespace_is_by_default_ones_own(w: World) -> None:
    made = w.api.create_collection(f"{w.memo.title}-own", private=True)
    assert made.owner == w.api.whoami()["name"]
    w.api.delete_collection(made.slug)


def it_exists_already(w: World) -> None:
    with raises(HfHubHTTPError, status=409):
        w.api.create_collection(w.memo.title, namespace=w.namespace, private=True)
    again = w.api.create_collection(w.memo.title, namespace=w.namespace, private=True, exists_ok=True)
    assert again.slug == w.memo.slug


def items_are_added(w: World) -> None:
    w.api.add_collection_item(w.memo.slug, w.memo.model, "model", note="the policy")
    made = w.api.add_collection_item(w.memo.slug, w.memo.data, "dataset")
    assert [(item.item_id, item.item_type) for item in made.items] == [
        (w.memo.model, "model"),
        (w.memo.data, "dataset"),
    ]
    assert made.items[0].note == "the policy"


def an_item_is_there_already(w: World) -> None:
    with raises(HfHubHTTPError, status=409):
        w.api.add_collection_item(w.memo.slug, w.memo.data, "dataset")
    again = w.api.add_collection_item(w.memo.slug, w.memo.data, "dataset", exists_ok=True)
    assert len(again.items) == 2


def an_item_that_is_nowhere_is_refused(w: World) -> None:
    with raises(HfHubHTTPError, status=404):
        w.api.add_collection_item(w.memo.slug, w.id("nowhere"), "model")


def an_item_moves_and_gets_a_note(w: World) -> None:
    item = w.api.get_collection(w.memo.slug).items[1]
    w.api.update_collection_item(w.memo.slug, item.item_object_id, note="the pairs", position=0)
    items = w.api.get_collection(w.memo.slug).items
    assert [(item.item_id, item.note) for item in items] == [(w.memo.data, "the pairs"), (w.memo.model, "the policy")]


def collections_are_listed(w: World) -> None:
    assert w.memo.slug in {found.slug for found in w.api.list_collections(owner=w.namespace)}


def its_description_changes(w: World) -> None:
    made = w.api.update_collection_metadata(w.memo.slug, description="changed")
    assert made.description == "changed"
    assert made.slug == w.memo.slug


def an_item_is_taken_out(w: World) -> None:
    item = w.api.get_collection(w.memo.slug).items[0]
    w.api.delete_collection_item(w.memo.slug, item.item_object_id)
    w.api.delete_collection_item(w.memo.slug, item.item_object_id, missing_ok=True)
    assert [item.item_id for item in w.api.get_collection(w.memo.slug).items] == [w.memo.model]


def a_collection_is_deleted(w: World) -> None:
    w.api.delete_collection(w.memo.slug)
    w.api.delete_collection(w.memo.slug, missing_ok=True)
    with raises(HfHubHTTPError, status=404):
        w.api.get_collection(w.memo.slug)
