"""The whole chain with a policy that thinks: its thoughts stand in one column, and nowhere else."""

from __future__ import annotations

import json
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import polars as pl
import pyarrow.parquet as pq
import pytest

import lidr
from lidr.engines import EngineSpec
from lidr.engines.remote import openai
from lidr.errors import EngineError, RecipeError
from lidr.recipe import reasoning_fields
from lidr.retry import Retry
from lidr.steps.answering import budget_identity
from lidr.steps.evaluate import EvaluateConfig, evaluate_spec
from lidr.steps.step_kind import Surroundings
from lidr.store import Lock
from lidr.store.artifact import open_artifact
from tests.engines.dialects import answer
from tests.engines.server import Reply, Server
from tests.scripted import NAMES, RECIPE, write_world

MARKS = ("think", "Hmm", "THOUGHT", "reasoning")


@pytest.fixture(autouse=True)
def no_proxy(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("NO_PROXY", "127.0.0.1")


def thinking(way: str) -> Any:
    """A server whose policy thinks before every answer; `way` says where its thoughts stand."""

    def reply(body: dict[str, Any], number: int) -> Reply:
        last = body["messages"][-1]["content"]
        asked = body["messages"][-2]["content"] if body["messages"][-1]["role"] == "assistant" else last
        thought = f"THOUGHT Hmm, what is {abs(hash(asked)) % 1000}?"
        if "<translated>" in asked:
            source = asked.split("\n")[-1] if "\n" in asked else asked
            said = f"Say {source[-20:]} otherwise.\n</translated>"
        else:
            language, _, topic = asked.partition(": tell me about ")
            thought = f"THOUGHT Hmm, {language} {topic}?"
            said = f"All about {topic}, said at length in {language}."
        if way == "field":
            return answer({"content": said, "reasoning_content": thought})
        opens = "<think>\n" if way == "tags" else ""
        return answer({"content": f"{opens}{thought}\n</think>\n\n{said}"})

    return reply


def run(folder: Path, server: Server, *overrides: str, until: str | None = None) -> dict[str, pl.DataFrame]:
    """Make one iteration; the rows of each of its steps."""
    text = RECIPE.replace('"openai:canned@http://127.0.0.1:9"', f'"openai:m@{server.url}"')
    text = text.replace("engine: scripted, answers: {folder}/answers.jsonl", "engine: openai, engine_batch: 4")
    recipe_file = folder / "recipe.yaml" if (folder / "recipe.yaml").exists() else write_world(folder, text)
    recipe = lidr.load_recipe(recipe_file, overrides=["iterations=[{prompts: '0:4'}]", *overrides])
    planned = lidr.run(recipe, until=until)
    places = [path.parent for path in (planned.version_folder / "iter_1").glob("*/record.json")]
    return {place.name: pl.DataFrame(open_artifact(place).read()) for place in places if (place / "data").is_dir()}


def said(frame: pl.DataFrame, but: tuple[str, ...] = ()) -> str:
    return json.dumps(frame.drop(but, strict=False).to_dicts(), ensure_ascii=False)


def schema_of(folder: Path, step: str) -> bytes:
    (file,) = folder.glob(f"runs/scripted/0.1.0/iter_1/{step}/data/*.parquet")
    return pq.read_schema(file).metadata[b"lidr.schema"]


@pytest.mark.parametrize("way", ["tags", "opened", "field"])
def test_thoughts_reach_nothing_but_their_column(tmp_path: Path, way: str) -> None:
    with Server(thinking(way)) as server:
        rows = run(tmp_path, server)
        sent = [body["messages"] for body in server.bodies]
    responses, translations, pairs = rows["generate"], rows["translate"], rows["pair"]
    english = responses.filter(prompt_id="p0", language="en").to_dicts()[0]
    assert english["text"] == "All about bees, said at length in English."
    assert english["reasoning"] == "THOUGHT Hmm, English bees?"
    assert all(text.startswith("THOUGHT") for text in translations["reasoning"])
    assert pairs.height == 4 * 2 * 2
    for name in ("generate", "translate", "pair", "filter"):
        text = said(rows[name], but=("reasoning", "reasoning_tokens"))
        assert [mark for mark in MARKS if mark in text] == [], name
    assert [mark for mark in MARKS if mark in json.dumps(sent)] == []  # what translation was asked with
    assert [schema_of(tmp_path, name) for name in ("generate", "translate", "pair")] == [b"2", b"2", b"1"]
    folder = tmp_path / "runs/scripted/0.1.0/iter_1"
    counts = {name: open_artifact(folder / name).record.counts["thoughts"] for name in ("generate", "translate")}
    assert counts["generate"]["answers"] == 12
    assert counts["translate"]["asked"] == counts["translate"]["answers"] == 16


def test_no_side_of_a_pair_has_thoughts_that_the_other_has_not(tmp_path: Path) -> None:
    """With the thoughts in the text, every dominant pair had them in chosen and none in rejected."""
    with Server(thinking("tags")) as server:
        pairs = run(tmp_path, server)["pair"]
    with_thoughts = pairs.select(
        chosen=pl.col("chosen_text").str.contains("THOUGHT"), rejected=pl.col("rejected_text").str.contains("THOUGHT")
    )
    assert with_thoughts.sum().row(0) == (0, 0)


def test_a_translation_that_was_not_thought_about_is_counted(tmp_path: Path) -> None:
    """A started answer ends thinking in many templates."""
    think = thinking("field")

    def reply(body: dict[str, Any], number: int) -> Reply:
        made = think(body, number)
        return Reply(body=made.body.replace("reasoning_content", "x")) if "</translated>" in made.body else made

    with Server(reply) as server:
        rows = run(tmp_path, server)
    assert set(rows["translate"]["reasoning"]) == {""}
    record = open_artifact(tmp_path / "runs/scripted/0.1.0/iter_1/translate").record
    assert record.counts["thoughts"] == {"asked": 16, "answers": 0, "unclosed": 0, "tokens": 0}


def test_an_unclosed_thought_drops_its_slots_with_a_reason(tmp_path: Path) -> None:
    think = thinking("tags")

    def reply(body: dict[str, Any], number: int) -> Reply:
        if body["messages"][-1]["content"] == "English: tell me about bees":
            return answer({"content": "<think>\nTHOUGHT Hmm, and"}, finish="length")
        return think(body, number)

    with Server(reply) as server:
        rows = run(tmp_path, server)
    row = rows["generate"].filter(prompt_id="p0", language="en").to_dicts()[0]
    assert (row["text"], row["finish_reason"], row["reasoning"]) == ("", "length", "THOUGHT Hmm, and")
    folder = tmp_path / "runs/scripted/0.1.0/iter_1"
    assert open_artifact(folder / "generate").record.counts["thoughts"]["unclosed"] == 1
    dropped = pl.DataFrame(open_artifact(folder / "pair").read("dropped")).filter(prompt_id="p0")
    assert dropped.height == 4
    assert "empty_response" in set(dropped["reason"])
    assert "p0" not in set(rows["pair"]["prompt_id"])


def test_a_policy_that_does_not_think_writes_what_it_always_wrote(tmp_path: Path) -> None:
    with Server(lambda body, number: answer({"content": "Honey, said at some length.\n</translated>"})) as server:
        rows = run(tmp_path, server)
    assert "reasoning" not in rows["generate"].columns
    assert [schema_of(tmp_path, name) for name in ("generate", "translate", "pair")] == [b"1"] * 3


def test_each_side_is_trained_with_the_thoughts_of_its_own_source(tmp_path: Path) -> None:
    with Server(thinking("field")) as server:
        rows = run(tmp_path, server, "policy.reasoning.train=true")
    assert schema_of(tmp_path, "filter") == b"2"
    pairs = {(row["kind"], row["language"]): row for row in rows["filter"].filter(prompt_id="p0").to_dicts()}
    dominant, spanish = pairs["dominant", "en"], pairs["non_dominant", "es"]
    assert dominant["chosen_reasoning"] == "THOUGHT Hmm, English bees?"
    assert dominant["rejected_reasoning"] in ("THOUGHT Hmm, Spanish bees?", "THOUGHT Hmm, German bees?")
    assert spanish["chosen_reasoning"] == "THOUGHT Hmm, English bees?"
    assert spanish["rejected_reasoning"] == "THOUGHT Hmm, Spanish bees?"
    assert [mark for mark in MARKS if mark in said(rows["filter"], ("chosen_reasoning", "rejected_reasoning"))] == []


def test_stored_answers_of_older_rules_are_asked_again_where_they_hold_thoughts(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    think = thinking("tags")

    def failing(body: dict[str, Any], number: int) -> Reply:
        asked = body["messages"][-1]["content"]
        if "bees" in asked:
            return answer({"content": "Honey."})
        return Reply(status=500) if asked == "German: tell me about stars" else think(body, number)

    with Server(failing) as server, monkeypatch.context() as older:
        older.setattr(openai, "_apart", lambda text, parser: (text, "", False))
        older.setattr(openai, "Retry", lambda **_: Retry(attempts=1))
        with pytest.raises(EngineError, match="1 of 12 requests got no answer"):
            run(tmp_path, server, until="generate")
        before = len(server.bodies)
        server._reply = think
        older.undo()
        rows = run(tmp_path, server, until="generate")["generate"]
        asked = [body["messages"][-1]["content"] for body in server.bodies[before:]]
    again = [f"{name}: tell me about {topic}" for name in NAMES.values() for topic in ("rain", "bread", "stars")]
    assert sorted(asked) == sorted(again)
    assert "THOUGHT" not in said(rows, ("reasoning",))
    assert set(rows.filter(prompt_id="p0")["text"]) == {"Honey."}


def test_a_budget_is_refused_where_nothing_can_end_a_thought(tmp_path: Path) -> None:
    recipe = write_world(tmp_path)
    with pytest.raises(RecipeError, match=r"policy\.reasoning\.budget needs runtime\.engine: vllm; scripted cannot"):
        lidr.load_recipe(recipe, overrides=["policy.reasoning.budget=64"])


def test_a_budget_holds_in_evaluations_too(tmp_path: Path) -> None:
    recipe = write_world(tmp_path)
    for more, budget in (((), None), (("policy.reasoning.budget=64",), 64)):
        loaded = lidr.load_recipe(recipe, overrides=["policy.model=org/m", "runtime.engine=vllm", *more])
        around = Surroundings(loaded, tmp_path, Lock({}, {}), tmp_path)
        spec = EngineSpec("vllm", "m", **reasoning_fields(loaded.policy.reasoning))
        how = {"recipe": loaded, "around": around, "work": tmp_path, "engine_spec": lambda spec=spec: spec}
        run = SimpleNamespace(config=EvaluateConfig(tasks=("mgsm",), data=(str(tmp_path),)), **how)
        assert evaluate_spec(run).decoding.thinking_budget == budget
        assert budget_identity(around) == ({"thinking_budget": budget} if budget else {})


def test_what_cannot_change_an_answer_is_no_identity(tmp_path: Path) -> None:
    recipe = write_world(tmp_path)
    plain = lidr.plan(lidr.load_recipe(recipe))
    published = lidr.plan(lidr.load_recipe(recipe, overrides=["policy.reasoning.publish=true"]))
    assert [step.fingerprint for step in published.steps] == [step.fingerprint for step in plain.steps]
    trained = lidr.plan(lidr.load_recipe(recipe, overrides=["policy.reasoning.train=true"]))
    changed = {a.place for a, b in zip(trained.steps, plain.steps, strict=True) if a.fingerprint != b.fingerprint}
    assert {place.split("/")[1] for place in changed if place.startswith("iter_1/")} == {"pair", "filter"}
    named = lidr.plan(lidr.load_recipe(recipe, overrides=["policy.reasoning.parser=none"]))
    assert named.steps[0].fingerprint != plain.steps[0].fingerprint
