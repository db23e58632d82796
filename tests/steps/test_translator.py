"""Somebody else translates: a translation model, a server, another chat model, a file."""

from __future__ import annotations

import json
import re
from pathlib import Path

import pytest

import lidr
from lidr.errors import PlanError, RecipeError, RowError
from tests.engines.server import Server, completion
from tests.scripted import TOPICS, write_world
from tests.steps.helpers import record_of, rows_of
from tests.tiny import tiny_model
from tests.tiny_m2m import teach, tiny_m2m

PROMPTS = range(4)  # rows_of runs the first four


def by(text: str) -> str:
    return f"chain.translate.by={text}"


def given(folder: Path, *, source_text: bool = True, **changes: str) -> list[dict[str, str]]:
    """A translation of every answer of the scripted world; `changes` replace texts by their key."""
    names = {"en": "English", "es": "Spanish", "de": "German"}
    rows = []
    for number in PROMPTS:
        for source, target in (("en", "es"), ("en", "de"), ("es", "en"), ("de", "en")):
            answer = f"{TOPICS[number]} in {names[source]}{' at length' if source == 'en' else ''}."
            row = {"prompt_id": f"p{number}", "source": source, "target": target, "text": f"moved {number} {target}"}
            row["text"] = changes.get(f"p{number}_{source}_{target}", row["text"])
            rows.append(row | ({"source_text": answer} if source_text else {}))
    folder.mkdir(exist_ok=True)
    (folder / "all.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows), encoding="utf-8")
    return rows


def from_file(folder: Path) -> str:
    return f"chain.translate={{check_language: false, by: {{file: {folder}}}}}"


def test_a_file_of_translations_goes_through_the_same_statuses_and_account(tmp_path):
    recipe = write_world(tmp_path)
    given(tmp_path / "t", p1_en_es=" ", p2_en_es="bread in English at length.")
    rows = rows_of(recipe, "iter_1/translate", from_file(tmp_path / "t"))
    assert rows.height == 16
    statuses = rows.filter(source="en", target="es").select("prompt_id", "text", "status", "attempts").rows()
    assert statuses == [
        ("p0", "moved 0 es", "ok", 1),
        ("p1", "", "empty", 1),
        ("p2", "bread in English at length.", "copied_source", 1),
        ("p3", "moved 3 es", "ok", 1),
    ]
    assert re.fullmatch(r"file:t@[0-9a-f]{12}", rows["policy"].unique().item())
    counts = record_of(recipe, "iter_1/translate", from_file(tmp_path / "t")).counts
    assert counts["directions"]["en->es"] | {"ok": 2, "empty": 1, "copied_source": 1} == counts["directions"]["en->es"]
    assert (counts["missing"], counts["unchecked"]) == (0, 0)
    assert str(tmp_path) not in json.dumps([counts, rows.to_dicts()])


def test_what_the_file_lacks_is_empty_and_counted_as_missing(tmp_path):
    recipe = write_world(tmp_path)
    rows = given(tmp_path / "t", source_text=False)
    (tmp_path / "t" / "all.jsonl").write_text(json.dumps(rows[0]) + "\n")
    made = rows_of(recipe, "iter_1/translate", from_file(tmp_path / "t"))
    assert made["status"].value_counts().sort("status").rows() == [("empty", 15), ("ok", 1)]
    counts = record_of(recipe, "iter_1/translate", from_file(tmp_path / "t")).counts
    assert (counts["missing"], counts["unchecked"]) == (15, 1)


def test_a_translation_of_another_answer_is_refused(tmp_path):
    recipe = write_world(tmp_path)
    rows = given(tmp_path / "t")
    rows[0]["source_text"] = "Another answer."
    (tmp_path / "t" / "all.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    with pytest.raises(RowError, match=r"all.jsonl:1: p0/en->es translates another answer than the policy gave"):
        rows_of(recipe, "iter_1/translate", from_file(tmp_path / "t"))


def test_the_files_content_is_identity_and_its_place_is_not(tmp_path):
    recipe = write_world(tmp_path)
    given(tmp_path / "a")
    given(tmp_path / "b")

    def fingerprint(folder: str) -> str | None:
        planned = lidr.plan(lidr.load_recipe(recipe, overrides=[from_file(tmp_path / folder)]))
        return next(step.fingerprint for step in planned.steps if step.name == "translate")

    first = fingerprint("a")
    assert fingerprint("b") == first
    given(tmp_path / "b", p0_en_es="other")
    assert fingerprint("b") != first


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("{}", "name who translates: model with its engine, or file; one of the two"),
        ("{model: ./m}", "model needs its engine: seq2seq, transformers, vllm or openai"),
        ("{model: ./m, engine: openai}", "engine openai and a model openai:NAME@URL go together"),
        ("{file: x, engine: seq2seq}", "engine belongs to a model; a file of translations has none"),
        ("{model: ./m, engine: seq2seq, prefill: false}", "prefill says nothing to the engine seq2seq; take it out"),
        ("{model: ./m, engine: vllm, beams: 4}", "beams says nothing to the engine vllm; take it out"),
        ("{model: ./m, engine: seq2seq, revision: main}", "revision belongs to a Hub model"),
        ("{file: x}", "max_tokens says nothing to a file of translations; take it out"),
    ],
)
def test_a_translator_that_makes_no_sense_is_refused(tmp_path, text, message):
    recipe = write_world(tmp_path)
    with pytest.raises(RecipeError, match=re.escape(message)):
        lidr.load_recipe(recipe, overrides=[by(text)])


def test_beams_and_a_temperature_exclude_each_other(tmp_path):
    settings = "{max_tokens: 9, temperature: 0.5, by: {model: ./m, engine: seq2seq, beams: 2}}"
    with pytest.raises(RecipeError, match="a beam search has no temperature and no penalties"):
        lidr.load_recipe(write_world(tmp_path), overrides=[f"chain.translate={settings}"])


def test_max_tokens_may_be_left_out_for_a_file_alone(tmp_path):
    with pytest.raises(RecipeError, match=r"max_tokens: missing; it must be given"):
        lidr.load_recipe(write_world(tmp_path), overrides=["chain.translate={check_language: true}"])


def test_a_missing_file_is_said(tmp_path):
    with pytest.raises(PlanError, match=r"translate.by.file: no translations at .*/none; give a .jsonl file"):
        lidr.plan(lidr.load_recipe(write_world(tmp_path), overrides=[from_file(tmp_path / "none")]))


@pytest.mark.parametrize(
    ("line", "message"),
    [
        ("{", "all.jsonl:1: not JSON"),
        ("[]", "all.jsonl:1: expected an object with prompt_id, source, target, text"),
        ('{"prompt_id": "p0"}', 'all.jsonl:1: field "source" must be text'),
        ('{"prompt_id": "p0", "source": "en", "target": "es", "text": "a"}\n' * 2, "p0 en->es stands already at"),
    ],
)
def test_a_damaged_line_is_named(tmp_path, line, message):
    recipe = write_world(tmp_path)
    (tmp_path / "t").mkdir()
    (tmp_path / "t" / "all.jsonl").write_text(line)
    with pytest.raises(RowError, match=re.escape(message)):
        rows_of(recipe, "iter_1/translate", from_file(tmp_path / "t"))


def test_an_unpinned_translator_is_planned_and_locked_beside_the_policy(tmp_path, monkeypatch):
    from lidr.hub import pins

    text = by("{model: org/translator, revision: unpinned, engine: seq2seq}")
    recipe = lidr.load_recipe(write_world(tmp_path), overrides=[text, "policy={model: org/policy, revision: unpinned}"])
    step = next(step for step in lidr.plan(recipe).steps if step.name == "translate")
    assert step.why == (
        "translate.by.model: org/translator is unpinned: `lidr lock RECIPE` fills its commit, --allow-unpinned takes "
        "the one that the Hub has now",
    )
    monkeypatch.setattr(pins, "resolve", lambda repo, revision=None: ("a" if "policy" in repo else "b") * 40)
    monkeypatch.setattr(pins, "listing", lambda repo, revision, **options: ())
    locked = pins.pin(recipe, tmp_path / "runs" / "scripted" / "0.1.0")
    assert locked == {"org/policy": "a" * 40, "org/translator": "b" * 40}


def test_a_server_gets_the_papers_prompt_and_its_tags_are_read(tmp_path):
    def answer(body, number):
        name = re.search(r"sentences into (\w+)\.", body["messages"][0]["content"])[1]
        return completion(f"<translated>\nmoved into {name}\n</translated>")

    recipe = write_world(tmp_path)
    with Server(answer) as server:
        settings = f"{{model: 'openai:big@{server.url}', engine: openai, prefill: false}}"
        rows = rows_of(recipe, "iter_1/translate", by(settings))
    assert set(rows["text"]) == {"moved into English", "moved into Spanish", "moved into German"}
    assert set(rows["status"]) == {"ok"}
    assert set(rows["policy"]) == {"openai:big"}
    assert len(server.bodies) == 16
    assert {body["messages"][-1]["role"] for body in server.bodies} == {"user"}


def test_with_a_prefill_the_server_is_asked_to_go_on_from_the_opening_tag(tmp_path):
    recipe = write_world(tmp_path)
    with Server(lambda body, number: completion("moved\n</translated>")) as server:
        rows_of(recipe, "iter_1/translate", by(f"{{model: 'openai:big@{server.url}'}}"))
    assert {body["messages"][-1]["content"] for body in server.bodies} == {"<translated>\n"}


@pytest.fixture(scope="module")
def taught(tmp_path_factory) -> Path:
    """A translation model that knows the translations of two answers."""
    folder = tiny_m2m(tmp_path_factory.mktemp("m2m") / "model")
    teach(
        folder,
        [
            ("en", "es", "The bees make honey.", "Las abejas hacen miel."),
            ("en", "es", "The winter", "el invierno"),
            ("en", "de", "The bees make honey.", "Bienen stellen Honig her."),
            ("en", "de", "The winter", "Den Winter"),
            ("es", "en", "Las abejas", "The bees"),
            ("de", "en", "Honig", "honey"),
        ],
    )
    return folder


def seq2seq_world(folder: Path, model: Path) -> tuple[Path, str]:
    from tests.scripted import write_answers

    recipe = write_world(folder)
    write_answers(
        folder / "answers.jsonl",
        first=(
            {"match": "English: tell me about", "text": "The bees make honey.\n\n---\nThe winter\n"},
            {"match": "Spanish: tell me about", "text": "Las abejas"},
            {"match": "German: tell me about", "text": "42"},
        ),
    )
    settings = f"{{max_tokens: 24, check_language: false, by: {{model: {model}, engine: seq2seq}}}}"
    return recipe, f"chain.translate={settings}"


def test_a_translation_model_translates_line_by_line_in_a_worker(tmp_path, taught):
    recipe, settings = seq2seq_world(tmp_path, taught)
    rows = rows_of(recipe, "iter_1/translate", settings)
    first = rows.filter(prompt_id="p0").select("source", "target", "text", "status", "attempts").rows()
    assert first == [
        ("en", "es", "Las abejas hacen miel.\n\n---\nel invierno", "ok", 1),
        ("en", "de", "Bienen stellen Honig her.\n\n---\nDen Winter", "ok", 1),
        ("es", "en", "The bees", "ok", 1),
        ("de", "en", "42", "ok", 1),  # nothing in it is to translate
    ]
    assert re.fullmatch(r"folder:model@[0-9a-f]{12}", rows["policy"].unique().item())
    counts = record_of(recipe, "iter_1/translate", settings).counts
    assert counts["directions"]["en->es"]["ok"] == 4


def test_another_chat_model_translates_in_the_policys_place(tmp_path):
    recipe = write_world(tmp_path)
    tiny_model(tmp_path / "other", "qwen2", seed=9)
    settings = f"{{max_tokens: 4, by: {{model: {tmp_path}/other, engine: transformers}}}}"
    rows = rows_of(recipe, "iter_1/translate", f"chain.translate={settings}")
    assert set(rows["status"]) <= {"truncated", "unclosed_at_end", "empty"}
    assert not rows["raw"].str.contains("from English").any()  # as the policy's script would have it
    assert re.fullmatch(r"folder:other@[0-9a-f]{12}", rows["policy"].unique().item())
