"""Answers of one server are never taken for another's: in the store, across versions, and in stores of earlier lidr."""

from __future__ import annotations

import json

import pytest

import lidr
from lidr.cli.main import main
from lidr.errors import StoreError
from lidr.steps import policy
from tests.engines.server import Reply, Server, completion
from tests.scripted import RECIPE, write_world

UNTIL = "generate"
ONE = ("iterations=[{prompts: '0:2'}]", "version=0.1.0")
NEXT = ("iterations=[{prompts: '0:2'}]", "version=0.2.0")


@pytest.fixture
def two_servers():
    with Server(lambda *_: completion("Of A.")) as a, Server(lambda *_: completion("Of B.")) as b:
        yield a, b


@pytest.fixture
def world(tmp_path, two_servers):
    served = RECIPE.replace("canned@http://127.0.0.1:9", f"default@{two_servers[0].url}").replace(
        "engine: scripted, answers: {folder}/answers.jsonl", "engine: openai"
    )
    return write_world(tmp_path / "w", served)


def recipe_of(world, *overrides):
    return lidr.load_recipe(world, overrides=[*overrides])


def asked_of(server):
    return f"policy.model=openai:default@{server.url}"


def texts(planned):
    return set(pytest.importorskip("polars").read_parquet(planned.version_folder / "iter_1/generate/data")["text"])


def states(planned):
    return {step.place: step.state for step in planned.steps}


def test_another_server_of_the_same_name_is_asked_itself(world, two_servers):
    a, b = two_servers
    assert texts(lidr.run(recipe_of(world, *ONE), until=UNTIL)) == {"Of A."}
    assert texts(lidr.run(recipe_of(world, *NEXT, asked_of(b)), until=UNTIL)) == {"Of B."}
    assert (len(a.bodies), len(b.bodies)) == (6, 6)
    with pytest.raises(StoreError, match=r"what it reads has changed: address: http://127\.0\.0\.1:\d+/v1 -> http"):
        lidr.run(recipe_of(world, *ONE, asked_of(b)), until=UNTIL)


def test_the_same_server_is_taken_over_and_the_plan_says_from_where_and_when(world, two_servers, capsys):
    a, _ = two_servers
    lidr.run(recipe_of(world, *ONE), until=UNTIL)
    overrides = [word for text in NEXT for word in ("--set", text)]
    assert main(["plan", str(world), *overrides, "--until", UNTIL]) == 0
    said = capsys.readouterr().out
    assert "iter_0/policy taken over: from scripted/0.1.0/iter_0/policy, made 20" in said
    assert f" by {a.url}" in said
    assert "iter_1/generate taken over: from scripted/0.1.0/iter_1/generate, made 20" in said
    lidr.run(recipe_of(world, *NEXT), until=UNTIL)
    assert len(a.bodies) == 6


def test_fresh_takes_nothing_over(world, two_servers):
    a, _ = two_servers
    lidr.run(recipe_of(world, *ONE), until=UNTIL)
    assert set(states(lidr.plan(recipe_of(world, *NEXT), until=UNTIL, fresh=True)).values()) == {
        "new",
        "unresolved",
    } - {"unresolved"}
    lidr.run(recipe_of(world, *NEXT), until=UNTIL, fresh=True)
    assert len(a.bodies) == 12
    lidr.run(recipe_of(world, *NEXT), until=UNTIL, fresh=True)  # its own artifacts are kept
    assert len(a.bodies) == 12


def test_a_revision_of_the_user_s_stands_in_for_the_address(world, two_servers):
    _, b = two_servers
    lidr.run(recipe_of(world, *ONE, "policy.revision=2026-11"), until=UNTIL)
    moved = recipe_of(world, *ONE, "policy.revision=2026-11", asked_of(b))
    assert set(states(lidr.plan(moved, until=UNTIL)).values()) == {"cached"}
    with pytest.raises(StoreError, match=r"what it reads has changed: revision: 2026-11 -> 2026-12"):
        lidr.run(recipe_of(world, *ONE, "policy.revision=2026-12"), until=UNTIL)
    with pytest.raises(lidr.LidrError, match="a word of at most 64 letters"):
        recipe_of(world, *ONE, "policy.revision=two words")


@pytest.fixture
def old_store(world, monkeypatch):
    """As lidr wrote it before it recorded addresses."""
    with monkeypatch.context() as before:
        before.setattr(policy, "outside_model", lambda around, config, where: {})
        lidr.run(recipe_of(world, *ONE), until=UNTIL)
    return world


def test_answers_of_an_unknown_server_are_not_used_unasked(old_store, two_servers, capsys):
    a, b = two_servers
    planned = lidr.plan(recipe_of(old_store, *ONE), until=UNTIL)
    assert states(planned)["iter_0/policy"] == "unknown server"
    with pytest.raises(
        StoreError, match=r"iter_0/policy was made by a server whose address was not recorded.*--accept"
    ):
        lidr.run(recipe_of(old_store, *ONE), until=UNTIL)
    for server in (a, b):  # nor under another version
        fresh = lidr.plan(recipe_of(old_store, *NEXT, asked_of(server)), until=UNTIL)
        assert states(fresh)["iter_0/policy"] == "new"
    overrides = [word for text in NEXT for word in ("--set", text)]
    assert main(["plan", str(old_store), *overrides, "--until", UNTIL]) == 0
    assert "1 in the store may be the same, made by a server whose address was not recorded" in capsys.readouterr().out


def test_accepted_once_they_are_this_server_s_from_then_on(old_store, two_servers):
    a, b = two_servers
    planned = lidr.run(recipe_of(old_store, *ONE), until=UNTIL, accept_unknown_server=True)
    assert set(states(planned).values()) == {"cached"}
    assert len(a.bodies) == 6
    record = json.loads((planned.version_folder / "iter_0/policy/record.json").read_text(encoding="utf-8"))
    assert record["execution"]["accepted_server"] == a.url
    assert set(states(lidr.plan(recipe_of(old_store, *ONE), until=UNTIL)).values()) == {"cached"}
    assert states(lidr.plan(recipe_of(old_store, *ONE, asked_of(b)), until=UNTIL))["iter_0/policy"] == "unknown server"
    later = lidr.run(recipe_of(old_store, *NEXT), until=UNTIL)
    assert set(states(later).values()) == {"cached"}
    assert len(a.bodies) == 6


def test_an_unfinished_try_of_an_unknown_server_goes_on_only_when_accepted(world, two_servers, monkeypatch):
    a, _ = two_servers
    answers = a._reply
    a._reply = lambda body, number: answers(body, number) if number < 3 else Reply(401)
    with monkeypatch.context() as before:
        before.setattr(policy, "outside_model", lambda around, config, where: {})
        with pytest.raises(lidr.LidrError, match="401"):
            lidr.run(recipe_of(world, *ONE, "runtime.engine_batch=1"), until=UNTIL)
    a._reply = answers
    assert states(lidr.plan(recipe_of(world, *ONE), until=UNTIL))["iter_0/policy"] == "unknown server"
    lidr.run(recipe_of(world, *ONE), until=UNTIL, accept_unknown_server=True)
    assert len(a.bodies) == 4 + 3


def test_what_the_server_says_of_its_model_is_recorded_and_a_change_is_said(world, two_servers):
    a, _ = two_servers

    def answer(body, number):
        told = json.loads(completion("Of A.").body) | {"model": "big-2026", "system_fingerprint": f"fp_{number // 4}"}
        return Reply(body=json.dumps(told))

    a._reply = answer
    said: list[str] = []
    planned = lidr.run(recipe_of(world, *ONE, "runtime.engine_batch=1"), until=UNTIL, say=said.append)
    record = json.loads((planned.version_folder / "iter_1/generate/record.json").read_text(encoding="utf-8"))
    assert record["execution"]["served"] == {"big-2026 fp_0": 4, "big-2026 fp_1": 2}
    assert any("the server changed while it answered: big-2026 fp_0, big-2026 fp_1" in line for line in said)
