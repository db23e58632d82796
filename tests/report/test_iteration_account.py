"""The account of an iteration: pairs that teach the language alone, and slots of one language."""

from __future__ import annotations

import pytest

import lidr
from lidr.errors import RowError
from lidr.report import account_lines
from tests.scripted import RECIPE, write_answers, write_world
from tests.steps.helpers import rows_of
from tests.steps.test_score import sampled_world

FILTER = "filter: {{length_ratio: {{min: 0.2, max: 5.0}}}}"
ENGLISH = {"match": "^German: ", "text": "This is an answer in English, though the question was asked in German."}
BACK = {"match": "into English|^English: ", "text": "This is the answer that was given in English.</translated>"}
GERMAN = {"match": "into German", "text": "Das ist die Antwort, die der Frage auf Deutsch gegeben wird.</translated>"}
SPANISH = {
    "match": "into Spanish|^Spanish: ",
    "text": "Esta es la respuesta que se da en lengua española.</translated>",
}


@pytest.mark.parametrize(
    ("of", "is_told"), [("{{language: {{of: chosen}}}}", True), ("{{lost_question: true}}", False)]
)
def test_rejected_answers_in_another_language_than_their_prompt_are_told(tmp_path, of, is_told):
    """Where the filter asks for the language of the chosen answer; without it nothing is identified."""
    file = write_world(tmp_path / "w", RECIPE.replace(FILTER, f"filter: {of}").replace("joint", "independent"))
    write_answers(tmp_path / "w/answers.jsonl", first=(ENGLISH, BACK, GERMAN, SPANISH))
    planned = lidr.run(lidr.load_recipe(file))
    told = [line.strip() for line in account_lines(planned, 1) if "warning" in line]
    said = "warning: of the first 4 pairs in de, 4 reject one in another language: training may learn the language "
    assert told == ([f"{said}alone; filter.language.of: both drops such pairs"] if is_told else [])


def test_a_slot_of_two_answers_in_one_language_names_it_once(tmp_path):
    recipe, sampled = sampled_world(tmp_path, gold=9)  # every answer is wrong, so all are tied
    with pytest.raises(RowError, match="0 of 12 slots are kept"):
        rows_of(recipe, "iter_1/pair", sampled)
    lines = account_lines(lidr.plan(lidr.load_recipe(recipe, overrides=[sampled])), 1)
    (example,) = [line for line in lines if "e.g." in line]
    assert " against " not in example


def test_a_run_that_keeps_no_pair_names_the_step_that_took_the_last_ones_too(tmp_path):
    chain = RECIPE.replace("{{min: 0.2, max: 5.0}}", "{{min: 0.99, max: 1.01}}").replace("joint", "independent")
    file = write_world(tmp_path / "w", chain)
    untagged = {"match": r"Please translate(?s:.*)(German|bees)", "text": "no tag"}
    write_answers(tmp_path / "w/answers.jsonl", first=(untagged,))
    with pytest.raises(RowError) as caught:
        lidr.run(lidr.load_recipe(file))
    said = str(caught.value)
    assert "iteration 1: 0 of 16 slots are kept (0%). Most go to pair: translation_unclosed_at_end (10); " in said
    assert "look at pair.accept. The last 6 go to filter: length_ratio; look at filter.length_ratio. All" in said
