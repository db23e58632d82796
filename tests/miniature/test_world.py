"""The miniature world: parallel problems, right answers, splits that never meet, languages taught wrong."""

from __future__ import annotations

import json
import random
import re
from itertools import islice

import pytest

from lidr.evals.mgsm.number_reading import read_number
from lidr.miniature.data import main, write_rows
from lidr.miniature.make import training_problems
from lidr.miniature.words import LANGUAGES, TEMPLATES, THINGS
from lidr.miniature.world import ERROR, WORLDS, World, draw, problems
from lidr.resources import shared
from lidr.transforms.language_id import language_of

SOME = [draw(random.Random(number)) for number in range(300)]


def test_every_kind_of_problem_is_asked_and_answered_in_every_language():
    for template in TEMPLATES:
        assert set(template.question) == set(template.answer) == set(LANGUAGES)
    assert all({*LANGUAGES, "how_many"} == set(thing) for thing in THINGS)


@pytest.mark.parametrize("language", LANGUAGES)
def test_a_problem_names_the_same_numbers_in_every_language(language):
    for problem in SOME:
        assert sorted(re.findall(r"\d+", problem.question(language))) == sorted((str(problem.a), str(problem.b)))


@pytest.mark.parametrize("language", LANGUAGES)
def test_an_answer_is_read_as_the_gold_number_and_says_it_in_its_sentence(language):
    for problem in SOME:
        answer = problem.answer(language)
        assert read_number(answer, language).number == problem.result
        assert str(problem.result) in re.findall(r"\d+", answer.split("\n")[0])


def test_the_gold_number_is_what_the_words_of_the_problem_ask_for():
    for problem in SOME:
        question, (a, b) = problem.question("en"), (problem.a, problem.b)
        expected = a * b if "each" in question or "every" in question else a + b
        if "gives" in question or "takes out" in question or "still need" in question:
            expected = a - b
        assert problem.result == expected >= 2


@pytest.mark.parametrize("language", LANGUAGES)
def test_no_text_is_taken_for_another_language(language):
    for problem in SOME[:60]:
        assert language_of(problem.question(language), LANGUAGES) in (language, None)
        assert language_of(problem.answer(language), LANGUAGES) in (language, None)


def test_problems_to_train_on_prompts_and_held_out_problems_never_meet():
    taught = set(islice(training_problems(random.Random(1)), 20_000))
    asked, held = (set(islice(problems(split, 1), 2_000)) for split in ("prompts", "held_out"))
    assert _disjoint(taught, asked, held)
    texts = [{one.question("de") for one in group} for group in (taught, asked, held)]
    assert _disjoint(*texts)


def test_equal_seeds_give_equal_problems_and_other_seeds_others():
    first, again, other = (list(islice(problems("prompts", seed), 50)) for seed in (1, 1, 2))
    assert first == again != other


@pytest.mark.parametrize("world", WORLDS.values(), ids=WORLDS)
def test_the_share_of_things_taught_wrong_is_that_of_the_world(world):
    for language in LANGUAGES:
        wrong = sum(world.taught_wrong(language, thing) for thing in range(len(THINGS)))
        assert wrong == round(world.wrong[language] * len(THINGS))


def test_a_wrong_training_answer_is_off_by_the_fixed_error():
    world, numbers = World("all", dict.fromkeys(LANGUAGES, 1.0), often=1.0), random.Random(0)
    for problem in SOME:
        assert world.taught(problem, "de", numbers) == problem.answer("de", problem.result + ERROR)


def test_a_language_without_things_taught_wrong_has_right_answers_alone():
    numbers = random.Random(0)
    assert all(WORLDS["skewed"].taught(one, "en", numbers) == one.answer("en") for one in SOME)


def test_the_shipped_rows_are_those_that_the_world_writes(tmp_path):
    folder = shared("recipes") / "miniature"
    write_rows(tmp_path, prompts=800, held_out=400)
    written = sorted(path.relative_to(tmp_path) for path in tmp_path.rglob("*.jsonl"))
    assert len(written) == 7
    assert all((folder / name).read_bytes() == (tmp_path / name).read_bytes() for name in written)


def test_fewer_rows_are_the_first_of_more(tmp_path):
    assert main([str(tmp_path), "--prompts", "3", "--held-out", "2", "--seed", "1"]) == 0
    rows = (shared("recipes") / "miniature/prompts/es.jsonl").read_text(encoding="utf-8").splitlines()[:3]
    assert (tmp_path / "prompts/es.jsonl").read_text(encoding="utf-8").splitlines() == rows
    assert json.loads(rows[0])["instruction"]


def _disjoint(*groups):
    return len(set().union(*groups)) == sum(map(len, groups))
