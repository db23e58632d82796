"""What one release publishes, in which order, and what each part is told of the others; nothing is sent here."""

from __future__ import annotations

from dataclasses import dataclass, field
from types import SimpleNamespace
from typing import Any

import httpx
import pytest
from huggingface_hub.errors import HfHubHTTPError

from lidr.hub import Target
from lidr.release import make_release
from lidr.release.make_release import Destinations, release
from lidr.release.publish_staged import Published, State

BOTH = Destinations("lidr/pairs", "lidr/policy", private=True, rename_default="theirs")
TARGET = Target("http://127.0.0.1:1", "hf_secretsecretsecret")


@dataclass
class Run:
    """A finished run of some iterations."""

    iterations: tuple[int, ...] = (1, 2, 3)
    base_model: Any = field(default_factory=lambda: SimpleNamespace(repo="org/base"))
    recipe: Any = field(default_factory=lambda: SimpleNamespace(name="twice"))
    verified: list[bool] = field(default_factory=list)

    def up_to(self, k: int) -> Run:
        return Run(tuple(one for one in self.iterations if one <= k), self.base_model, self.recipe)

    def verify(self, *, with_policies: bool) -> None:
        self.verified.append(with_policies)


@dataclass
class Hub:
    """What was staged and sent, and what went into a collection; `states` are of single repositories."""

    state: State = "published"
    states: dict[str, State] = field(default_factory=dict)
    staged: list[tuple[Any, ...]] = field(default_factory=list)
    sent: list[tuple[str, dict[str, Any]]] = field(default_factory=list)
    collections: list[dict[str, Any]] = field(default_factory=list)
    items: list[tuple[str, str, str]] = field(default_factory=list)
    error: Exception | None = None

    def stage_dataset(self, run, folder, repo, *, siblings):
        assert folder.is_dir()
        self.staged.append(("pairs", run.iterations, repo, siblings))
        return "pairs"

    def stage_model(self, run, folder, repo, *, adapter_only, datasets, siblings):
        assert folder.is_dir()
        self.staged.append(("policy", run.iterations, repo, siblings, adapter_only, datasets))
        return "policy"

    def publish(self, files, repo, **how):
        assert how.pop("target") is TARGET
        assert how.pop("patience") is None
        self.sent.append((repo, how))
        kind, sha = ("dataset" if files == "pairs" else "model"), f"{len(self.sent)}" * 40
        return Published(
            kind, repo, sha, f"v{len(self.sent)}", "", "http://127.0.0.1:1", self.states.get(repo, self.state)
        )

    def create_collection(self, **said):
        if self.error:
            raise self.error
        self.collections.append(said)
        return SimpleNamespace(slug="lidr/twice-1")

    def add_collection_item(self, slug, *, item_id, item_type, note, exists_ok):
        assert (slug, exists_ok) == ("lidr/twice-1", True)
        self.items.append((item_id, item_type, note))


@pytest.fixture
def hub(monkeypatch) -> Hub:
    hub = Hub()
    for name in ("stage_dataset", "stage_model", "publish"):
        monkeypatch.setattr(make_release, name, getattr(hub, name))
    monkeypatch.setattr(Target, "api", lambda self: hub)
    return hub


def test_the_pairs_come_first_then_the_policy_of_each_iteration_with_their_commit_and_the_last_at_the_end(hub):
    run, siblings = Run(), {"pairs": "lidr/pairs", "policy": "lidr/policy"}
    found = release(run, BOTH, target=TARGET)
    pairs = (("lidr/pairs", "1" * 40),)
    assert hub.staged == [
        ("pairs", (1, 2, 3), "lidr/pairs", siblings),
        ("policy", (1,), "lidr/policy", siblings, False, pairs),
        ("policy", (1, 2), "lidr/policy", siblings, False, pairs),
        ("policy", (1, 2, 3), "lidr/policy", siblings, False, pairs),
    ]
    assert hub.sent == [
        ("lidr/pairs", {"private": True, "rename_default": "theirs"}),
        *[("lidr/policy", {"private": True})] * 3,
    ]
    assert [one.tag for one in found] == ["v1", "v2", "v3", "v4"]
    assert run.verified == [True]


def test_a_collection_holds_the_last_of_each_repository_and_where_the_policy_started(hub):
    release(Run(), BOTH, target=TARGET)
    assert hub.collections == [{"title": "twice", "namespace": "lidr", "private": True, "exists_ok": True}]
    assert hub.items == [
        ("lidr/pairs", "dataset", f"v1: {'1' * 40}"),
        ("lidr/policy", "model", f"v4: {'4' * 40}"),
        ("org/base", "model", "where the policy started from"),
    ]


def test_one_part_alone_names_no_other(hub):
    run = Run((1,), base_model=None)
    release(run, Destinations("lidr/pairs", None), target=TARGET)
    release(run, Destinations(None, "lidr/policy", adapter_only=True), target=TARGET)
    assert hub.staged == [
        ("pairs", (1,), "lidr/pairs", {"pairs": "lidr/pairs"}),
        ("policy", (1,), "lidr/policy", {"policy": "lidr/policy"}, True, ()),
    ]
    assert hub.sent == [("lidr/pairs", {"private": False, "rename_default": None}), ("lidr/policy", {"private": False})]
    assert run.verified == [False, True]
    assert [item for item, _, _ in hub.items] == ["lidr/pairs", "lidr/policy"]


def test_what_is_there_already_gets_no_collection(hub):
    hub.state = "already there"
    release(Run(), BOTH, target=TARGET)
    assert hub.collections == []


def test_one_part_that_is_new_is_enough_for_a_collection(hub):
    hub.state = "already there"
    hub.states = {"lidr/policy": "published"}
    release(Run((1,)), BOTH, target=TARGET)
    assert [item for item, _, _ in hub.items] == ["lidr/pairs", "lidr/policy", "org/base"]


def test_a_hub_that_refuses_the_collection_is_said_without_the_token_and_another_fault_is_raised(hub):
    said: list[str] = []
    response = httpx.Response(403, request=httpx.Request("POST", "http://127.0.0.1:1/api/collections"))
    hub.error = HfHubHTTPError(f"no, {TARGET.token}", response=response)
    release(Run(), BOTH, target=TARGET, say=said.append)
    assert len(said) == 1
    assert said[0].startswith("published, but without its collection: no, ")
    assert TARGET.token not in said[0]
    hub.error = KeyError("a fault of ours")
    with pytest.raises(KeyError):
        release(Run(), BOTH, target=TARGET, say=said.append)
    assert len(said) == 1
