from __future__ import annotations

import pytest

from lidr.errors import PlanError
from lidr.steps.answering import request_seed
from lidr.steps.generate import conversation
from tests.scripted import write_answers, write_world
from tests.steps.helpers import record_of, rows_of


def test_every_prompt_is_answered_in_every_language_in_prompt_order(tmp_path):
    rows = rows_of(write_world(tmp_path), "iter_1/generate")
    assert rows.select("prompt_id", "language").rows() == [
        (f"p{i}", language) for i in range(4) for language in ("en", "es", "de")
    ]
    assert rows["text"][1] == "bees in Spanish."
    assert set(rows["finish_reason"]) == {"stop"}
    assert rows["policy"].n_unique() == 1


def test_truncated_and_empty_answers_are_marked_and_counted(tmp_path):
    recipe = write_world(tmp_path)
    write_answers(
        tmp_path / "answers.jsonl",
        first=(
            {"match": "Spanish: tell me about bees", "text": "bees in", "finish_reason": "length"},
            {"match": "German: tell me about rain", "text": " \n"},
        ),
    )
    rows = rows_of(recipe, "iter_1/generate")
    assert rows.filter(prompt_id="p0", language="es")["finish_reason"].item() == "length"
    counts = record_of(recipe, "iter_1/generate").counts["languages"]
    assert (counts["es"]["truncated"], counts["de"]["empty"], counts["en"]["truncated"]) == (1, 1, 0)


def test_a_system_prompt_comes_first_and_only_when_the_recipe_has_one():
    assert conversation(None, "Hi") == ({"role": "user", "content": "Hi"},)
    assert [turn["role"] for turn in conversation("Be brief.", "Hi")] == ["system", "user"]


def test_each_request_has_a_seed_of_its_own_that_is_the_same_on_every_machine():
    assert request_seed(42, "p0/en") == 4141031561
    assert len({request_seed(42, f"p{i}/en") for i in range(1000)}) == 1000


@pytest.mark.parametrize(
    ("answers", "message"),
    [
        ("null", "runtime.engine is scripted: name the file of canned answers in runtime.answers"),
        ("/nowhere.jsonl", "runtime.answers: no file /nowhere.jsonl; give a JSON-lines file of canned answers"),
    ],
)
def test_a_scripted_recipe_without_its_answers_is_refused(tmp_path, answers, message):
    with pytest.raises(PlanError, match=message):
        rows_of(write_world(tmp_path), "iter_1/generate", f"runtime.answers={answers}")


def test_half_a_surrogate_pair_of_a_server_is_stored_as_the_replacement_character(tmp_path):
    recipe = write_world(tmp_path)
    bad = {"match": "English: tell me about bees", "text": "wax \ud83d bees in English at length."}
    write_answers(tmp_path / "answers.jsonl", first=(bad,))
    assert rows_of(recipe, "iter_1/generate")["text"][0] == "wax \ufffd bees in English at length."
