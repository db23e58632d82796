"""authors_compat.mgsm_string_match: gold answers are compared as they are written."""

from __future__ import annotations

import dataclasses

import pytest

from lidr.evals.evaluation import identity_of, load_all
from lidr.evals.mgsm.mgsm_task import as_text, load, score
from lidr.evals.results import ModelFacts
from lidr.evals.spec import EvalSpec, TaskSpec


def spec(data: str, gold: str) -> EvalSpec:
    task = TaskSpec("lidr_mgsm_en", "mgsm", "plain", "en")
    return EvalSpec("scripted", "answers.jsonl", "work", (task,), data=data, gold=gold)  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("gold", "answer", "as_number", "text"),
    [
        ("18", "The answer is 18.", 1.0, 1.0),
        ("18", "The answer is 18.00.", 1.0, 1.0),
        ("2,125", "The answer is 2125.", 1.0, 0.0),
        ("2,125", "The answer is 2,125.", 1.0, 0.0),
        ("18", "I do not know.", 0.0, 0.0),
    ],
)
def test_a_gold_answer_with_a_thousands_comma_is_never_matched_as_text(gold, answer, as_number, text):
    row = {"item": "0", "question": "?", "gold": gold}
    assert score(row, answer, language="en").values["acc"] == as_number
    assert score(as_text([row])[0], answer, language="en").values["acc"] == text


@pytest.mark.parametrize("language", ["en", "de", "es", "fr", "ja", "ru", "th", "zh"])
def test_it_costs_a_perfect_model_four_of_the_250_answers(data_folder, language):
    from lidr.evals.benchmark_rows import load_rows

    rows = as_text(load_rows("mgsm", language, str(data_folder)).rows)
    right = [score(row, row["gold"].replace(",", ""), language="en").values["acc"] for row in rows]
    assert (len(right), sum(right)) == (250, 246)


def test_lm_eval_and_our_own_scoring_see_the_same_rows(data_folder):
    ours = load_all(spec(str(data_folder), "text"))["lidr_mgsm_en"].rows
    theirs = load(lidr_language="en", lidr_data=str(data_folder), lidr_gold="text")["test"]
    assert {row["gold_as"] for row in ours} == set(theirs["gold_as"]) == {"text"}
    assert "gold_as" not in load(lidr_language="en", lidr_data=str(data_folder))["test"].column_names


def test_it_is_another_evaluation_and_the_usual_one_keeps_its_identity(data_folder):
    number, text = (spec(str(data_folder), gold) for gold in ("number", "text"))
    model = ModelFacts(reference="m", digest="d")
    loaded = load_all(number)
    assert identity_of(number, model, loaded) != identity_of(text, model, loaded)
    assert EvalSpec.from_json(dataclasses.asdict(text)).gold == "text"
