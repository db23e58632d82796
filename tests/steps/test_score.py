"""The step `score` and its scorers, on answers of which one can see what each is worth."""

from __future__ import annotations

import ast
import json
from collections import Counter
from dataclasses import replace
from itertools import cycle
from pathlib import Path

import numpy as np
import polars as pl
import pytest

import lidr
from lidr.errors import PlanError, RecipeError, RowError
from lidr.hub.pins import unpinned
from lidr.pipeline import check_recipe
from lidr.pipeline.rates import measured_on
from lidr.preferences import PairQuery, census, open_pairs
from lidr.release.parents.model_parents import scorer_parents
from lidr.steps import Expected
from lidr.steps.score import SCORERS, AnswerScores
from lidr.steps.score.scorer import Scored
from lidr.transforms import chrf
from tests.scripted import NAMES, TOPICS, write_answers, write_world
from tests.steps.helpers import record_of, rows_of

SAMPLED = (
    "chain=[{generate: {n: 6, temperature: 0.9, max_tokens: 64}}, {score: {gold: {answers: FOLDER/gold}, "
    "language: {}, consistency: {}}}, {pair: {from: scores, by: gold}}]"
)
TEXTS = {
    "English": ["That makes 3 in all.", "That makes 5 in all.", "The answer is 3."],
    "Spanish": ["En total son 3 abejas.", "That makes 5 of them in all.", "En total hay 7 abejas en la casa."],
    "German": ["Das sind zusammen 3.", "Das macht insgesamt 5.", ""],
}


def sampled_world(folder, gold: int = 3) -> tuple:
    """A recipe, and what makes of it one that scores: several answers to each prompt, some of them right."""
    recipe = write_world(folder)
    rules = tuple({"match": f"{name}: tell me about", "texts": TEXTS[name]} for name in NAMES.values())
    write_answers(folder / "answers.jsonl", first=rules)
    (folder / "gold").mkdir()
    lines = [json.dumps({"id": f"p{number}", "response": str(gold)}) for number in range(len(TOPICS))]
    (folder / "gold/en.jsonl").write_text("\n".join(lines), encoding="utf-8")
    return recipe, SAMPLED.replace("FOLDER", str(folder))


def test_every_answer_has_a_value_of_every_scorer_or_a_reason(tmp_path):
    recipe, sampled = sampled_world(tmp_path)
    answers = rows_of(recipe, "iter_1/generate", sampled)
    rows = rows_of(recipe, "iter_1/score", sampled)
    assert rows.columns == AnswerScores.schema.names
    assert rows.height == answers.height * 3
    assert rows.select("prompt_id", "language", "sample").unique(maintain_order=True).rows() == (
        answers.select("prompt_id", "language", "sample").rows()
    )
    value = {
        (text, scorer): (value, detail)
        for text, scorer, value, detail in answers.join(rows, on=["prompt_id", "language", "sample"])
        .select("text", "scorer", "value", "detail")
        .iter_rows()
    }
    assert value["The answer is 3.", "gold"][0] == 1.0
    assert value["Das macht insgesamt 5.", "gold"][0] == 0.0
    assert value["That makes 5 of them in all.", "language"] == (0.0, "en")
    assert value["En total hay 7 abejas en la casa.", "language"] == (1.0, "es")
    assert value["", "gold"] == (None, "empty_response")


def test_consistency_is_the_share_of_the_other_answers_that_state_the_same_number(tmp_path):
    recipe, sampled = sampled_world(tmp_path)
    answers = rows_of(recipe, "iter_1/generate", sampled)
    rows = rows_of(recipe, "iter_1/score", sampled).filter(scorer="consistency")
    joined = answers.join(rows, on=["prompt_id", "language", "sample"]).filter(prompt_id="p0")
    said = [next(iter(digit for digit in text if digit.isdigit()), None) for text in joined["text"]]
    usable = [number for number in said if number is not None]
    for number, value in zip(said, joined["value"], strict=True):
        if number is not None:
            assert value == pytest.approx((usable.count(number) - 1) / (len(usable) - 1))
    own = rows_of(
        recipe, "iter_1/score", sampled.replace("consistency: {}", "consistency: {over: language}"), "version=0.2.0"
    )
    assert not own.filter(scorer="consistency")["value"].equals(rows["value"])
    words = rows_of(
        recipe, "iter_1/score", sampled.replace("consistency: {}", "consistency: {by: chrf}"), "version=0.3.0"
    )
    said = answers.join(words.filter(scorer="consistency"), on=["prompt_id", "language", "sample"])
    counts = set()
    for row in said.filter(said["text"] != "").iter_rows(named=True):
        group = said.filter(prompt_id=row["prompt_id"], language=row["language"])
        others = group.filter(group["sample"] != row["sample"], group["text"] != "")["text"].to_list()
        counts.add(len(others))
        wanted = sum(chrf(row["text"], other) for other in others) / len(others) / 100 if others else None
        assert row["value"] == (pytest.approx(wanted) if others else None)
        assert row["detail"] == (f"chrF with {len(others)}" if others else "no_other_answer")
    assert {1, 5} <= counts


def test_what_a_scorer_cannot_say_has_no_value_and_the_reason(tmp_path):
    recipe, sampled = sampled_world(tmp_path)
    answers = {
        "bees": {"English": "The answer is 3.", "Spanish": "Las abejas hacen miel.", "German": "Das sind zusammen 3."},
        "rain": {"English": "The answer is 3."},
        "bread": dict.fromkeys(NAMES.values(), "3 + 4 = 7"),
    }
    rules = [
        {"match": f"{name}: tell me about {topic}", "text": answers.get(topic, {}).get(name, "")}
        for topic in TOPICS
        for name in NAMES.values()
    ]
    (tmp_path / "answers.jsonl").write_text("".join(json.dumps(rule) + "\n" for rule in rules), encoding="utf-8")
    (tmp_path / "gold/en.jsonl").write_text('{"id": "p0", "response": "3"}\n', encoding="utf-8")
    once = sampled.replace("n: 6, temperature: 0.9, ", "").replace(
        "from: scores", "from: scores, pool: all, min_kept: 0"
    )
    rows = rows_of(recipe, "iter_1/score", once)
    said = {(p, lang, scorer): (value, detail) for p, lang, _, scorer, value, detail in rows.iter_rows()}
    assert said["p0", "en", "consistency"] == (0.5, "1 of 2")
    assert said["p0", "es", "consistency"] == (0.0, "no_number")
    assert said["p1", "en", "consistency"] == (None, "no_other_answer")
    assert said["p0", "es", "gold"] == (0.0, "")
    assert said["p1", "en", "gold"] == (None, "no_gold_answer")
    assert said["p2", "es", "language"] == (None, "language_not_known")
    assert said["p3", "en", "language"] == (None, "empty_response")


def test_majority_is_whether_an_answer_states_what_most_answers_state(tmp_path):
    recipe, _ = sampled_world(tmp_path)

    def values(majority: str, *more: str) -> dict[tuple[str, str], set[tuple[float | None, str]]]:
        chain = f"chain=[{{generate: {{n: 6, temperature: 0.9, max_tokens: 64}}}}, {{score: {{majority: {majority}}}}}]"
        rows = rows_of(recipe, "iter_1/score", chain, *more)
        joined = rows_of(recipe, "iter_1/generate", chain, *more).join(rows, on=["prompt_id", "language", "sample"])
        found: dict[tuple[str, str], set[tuple[float | None, str]]] = {}
        for row in joined.filter(prompt_id="p0").iter_rows(named=True):
            number = next((letter for letter in row["text"] if letter.isdigit()), "")
            found.setdefault((row["language"], number), set()).add((row["value"], row["detail"]))
        return found

    of_all = values("{}")
    numbers = {number for _, number in of_all} - {""}
    assert len(numbers) > 2
    (best,) = {number for (_, number), said in of_all.items() if {value for value, _ in said} == {1.0}}
    assert {number for (_, number), said in of_all.items() if {value for value, _ in said} == {0.0}} == numbers - {best}
    assert all(detail.endswith(" votes") for (_, number), said in of_all.items() if number for _, detail in said)
    assert of_all["de", ""] == {(None, "empty_response")}
    of_dominant = values("{voters: dominant, ties: first}", "version=0.2.0")
    by_english = {n for (code, n), said in of_dominant.items() if code == "en" and {v for v, _ in said} == {1.0}}
    assert {n for (_, n), said in of_dominant.items() if {v for v, _ in said} == {1.0}} == by_english
    assert len(by_english) == 1


@pytest.mark.parametrize(
    ("numbers", "config", "expected"),
    [
        ("3 3 5 3", {}, [1, 1, 0, 1]),
        ("3 5 - -", {}, ["tied_vote"] * 4),
        ("3 5 - -", {"ties": "first"}, [1, 0, "no_number", "no_number"]),
        ("- 3 5 -", {"ties": "first"}, ["no_number", 1, 0, "no_number"]),
        ("- - - -", {}, ["no_vote"] * 4),
        ("3 - 5 5", {"voters": "language"}, [1, "no_number", 1, 1]),
        ("3 - 5 5", {"voters": "dominant"}, [1, "no_number", 0, 0]),
        ("- - 5 5", {"voters": "dominant"}, ["no_vote"] * 4),
    ],
)
def test_who_votes_and_what_a_tie_says(numbers, config, expected):
    from lidr.steps.score.scorer import Answer
    from lidr.steps.score.scorers.majority_scorer import MajorityScorer, by_vote

    words = {"en": "The answer is {}.", "es": "La respuesta es {}."}
    answers = [
        Answer("p", language, place % 2, words[language].format(number) if number != "-" else "Honey.")
        for place, (number, language) in enumerate(zip(numbers.split(), ("en", "en", "es", "es"), strict=True))
    ]
    found = {one.answer: one for one in by_vote(answers[::-1], MajorityScorer(**config), ("en", "es"))}
    assert [found[a].detail if found[a].value is None else found[a].value for a in answers] == expected


def test_pairs_are_right_against_wrong_and_carry_their_scores(tmp_path):
    recipe, sampled = sampled_world(tmp_path)
    rows = rows_of(recipe, "iter_1/pair", sampled)
    answers = rows_of(recipe, "iter_1/generate", sampled)
    text = {
        f"{p}/{lang}#{n}": t.strip()
        for p, lang, n, t in answers.select("prompt_id", "language", "sample", "text").rows()
    }
    assert rows.height > 4
    for row in rows.iter_rows(named=True):
        assert ("3" in row["chosen_text"], "3" in row["rejected_text"]) == (True, False)
        assert (row["score_chosen"], row["score_rejected"], row["margin"], row["judge"]) == (1.0, 0.0, 1.0, "gold")
        assert (text[row["chosen_key"]], text[row["rejected_key"]]) == (row["chosen_text"], row["rejected_text"])
        assert row["pair_id"] == f"1/{row['prompt_id']}/{row['language']}-{row['language']}/sampled"
    counts = record_of(recipe, "iter_1/pair", sampled).counts
    account = [row["count"] for what in ("kept", "dropped", "not_requested") for row in counts[what]]
    assert sum(account) == 4 * 3
    assert {row["kind"] for what in ("kept", "dropped") for row in counts[what]} == {"sampled"}
    assert counts["selection"]["slots"] == 12


def test_a_killed_step_asks_for_what_it_has_not_kept(tmp_path, monkeypatch):
    recipe, sampled = sampled_world(tmp_path)
    whole = rows_of(recipe, "iter_1/score", sampled)
    from lidr.steps.score.scorers import language_scorer

    asked = []

    def dies(world, config, answers):
        asked.append(len(answers))
        for number, scored in enumerate(score(world, config, answers)):
            if len(asked) == 1 and number == 5:
                raise KeyboardInterrupt
            yield scored

    score = language_scorer.score_language

    monkeypatch.setitem(
        SCORERS, "language", type(SCORERS["language"])("language", language_scorer.LanguageScorer, dies)
    )
    with pytest.raises(KeyboardInterrupt):
        rows_of(recipe, "iter_1/score", sampled, "version=0.2.0", "seed=43")
    again = rows_of(recipe, "iter_1/score", sampled, "version=0.2.0", "seed=43")
    assert asked[1] == asked[0] - 5
    assert again.height == whole.height


def test_a_scorer_of_which_nothing_is_changed_gives_the_same_fingerprint(tmp_path):
    recipe, sampled = sampled_world(tmp_path)
    rows_of(recipe, "iter_1/score", sampled)
    moved = tmp_path / "moved"
    (tmp_path / "gold").rename(moved)
    planned = lidr.plan(
        lidr.load_recipe(recipe, overrides=["iterations=[{prompts: '0:4'}]", sampled.replace("/gold}", "/moved}")])
    )
    assert next(step.state for step in planned.steps if step.name == "score") == "cached"


@pytest.mark.parametrize(
    ("was", "now", "message"),
    [
        ("gold: {answers: FOLDER/gold}", "gold: {answers: FOLDER/none}", "score.gold.answers: no file .*none/en.jsonl"),
        (
            ", by: gold",
            "",
            "pair.by: missing; name the scorer that is meant: gold or language or consistency",
        ),
        (
            "by: gold",
            "by: latent",
            "pair.by: latent: the step score has no such scorer; it has gold, language, consist",
        ),
    ],
)
def test_what_a_plan_refuses(tmp_path, was, now, message):
    recipe, sampled = sampled_world(tmp_path)
    wrong = sampled.replace(was.replace("FOLDER", str(tmp_path)), now.replace("FOLDER", str(tmp_path)))
    with pytest.raises(PlanError, match=message):
        lidr.run(lidr.load_recipe(recipe, overrides=[wrong]))


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ("{score: {}}", "name at least one scorer: gold, language"),
        ("{score: {golden: {}}}", 'unknown key "golden"'),
        ("{pair: {by: gold}}", "by says nothing to pairs from translations; take it out"),
        (
            "{pair: {from: scores, drop: independent}}",
            "drop says nothing to pairs from scores; take it out, or where a base says it write drop: joint",
        ),
        ("{pair: {from: scores, dominant_pairs: one}}", "dominant_pairs: one is of pairs from translations"),
        ("{pair: {from: scores, select: random, length_control: zero_mean}}", "is of select: max_min, not random"),
        ("{pair: {weight: margin}}", "weight says nothing to pairs from translations; take it out"),
        ("{pair: {from: scores, sigmas: 1}}", "sigmas is of select: nearest_sigma, not max_min; take it out"),
        ("{pair: {from: scores, pool: all, dominant_pairs: none}}", "dominant_pairs: none contradicts pool: all"),
    ],
)
def test_what_a_recipe_refuses(tmp_path, settings, message):
    with pytest.raises(RecipeError, match=message):
        lidr.load_recipe(write_world(tmp_path), overrides=[f"chain=[{settings}]"])


def test_gold_answers_of_other_prompts_are_refused(tmp_path):
    recipe, sampled = sampled_world(tmp_path)
    (tmp_path / "gold/en.jsonl").write_text('{"id": "q1", "response": "3"}')
    with pytest.raises(RowError, match=r"score.gold.answers: .*en.jsonl answers none of the prompts; its ids are q1"):
        rows_of(recipe, "iter_1/score", sampled)


def test_gold_answers_in_another_encoding_are_named(tmp_path):
    recipe, sampled = sampled_world(tmp_path)
    (tmp_path / "gold/en.jsonl").write_bytes(b'{"id": "p0", "response": "3", "note": "\xe9"}\n')
    with pytest.raises(RowError, match=r"en\.jsonl: not UTF-8 at byte 39; save the file as UTF-8"):
        rows_of(recipe, "iter_1/score", sampled)


def with_values(monkeypatch, *values: float | None) -> None:
    """The scorer `language` says these one after the other, over and over; None: nothing at all."""
    row = SCORERS["language"]

    def score(world, config, asked):
        for answer, value in zip(asked, cycle(values)):
            if value is not None:
                yield Scored(answer, value)

    monkeypatch.setitem(SCORERS, "language", replace(row, score=score))


OF_LANGUAGE = (
    "chain=[{generate: {n: 6, temperature: 0.9, max_tokens: 64}}, {score: {language: {}}}, {pair: {from: scores}}]"
)


def test_a_value_that_is_no_finite_number_is_none_and_stands_in_no_pair(tmp_path, monkeypatch):
    """An overflow in half precision: NaN is neither more nor less than another, and infinity has no margin."""
    recipe, _ = sampled_world(tmp_path)
    with_values(monkeypatch, float("nan"), 1.0, float("inf"), 0.5, float("-inf"))
    rows = rows_of(recipe, "iter_1/score", OF_LANGUAGE)
    said = {(value, detail) for value, detail in rows.select("value", "detail").rows()}
    assert said == {(1.0, ""), (0.5, ""), (None, "not_finite"), (None, "empty_response")}
    pairs = rows_of(recipe, "iter_1/pair", OF_LANGUAGE)
    assert set(pairs["margin"]) == {0.5}


def test_a_scorer_that_says_nothing_of_an_answer_is_named(tmp_path, monkeypatch):
    recipe, _ = sampled_world(tmp_path)
    with_values(monkeypatch, 1.0, None)
    with pytest.raises(RowError, match=r"score\.language: it said nothing of \d+ of \d+ answers; the first: p0/en#1"):
        rows_of(recipe, "iter_1/score", OF_LANGUAGE)


@pytest.mark.parametrize(
    ("said", "message"),
    [
        (lambda answer: Scored(answer, "0.5"), r"p0/en#0: its value is '0\.5' \(str\), no number"),
        (lambda answer: Scored(answer, (1.0, 2.0)), r"p0/en#0: its value is \(1\.0, 2\.0\) \(tuple\), no number"),
        (lambda answer: Scored(answer, 1j), r"p0/en#0: its value is 1j \(complex\), no number"),
        (lambda answer: Scored(answer, None), r"p0/en#0: it has no value, and detail does not say why"),
        (lambda answer: Scored(answer, None, "  "), r"p0/en#0: it has no value, and detail does not say why"),
        (lambda answer: Scored(answer, 1.0, 7), r"p0/en#0: its detail is 7 \(int\), no text"),
        (lambda answer: (answer, 1.0), r"it yields \(.*, 1\.0\) \(tuple\), no Scored"),
    ],
)
def test_what_a_scorer_may_not_say_is_refused_by_scorer_and_answer(tmp_path, monkeypatch, said, message):
    recipe, _ = sampled_world(tmp_path)
    monkeypatch.setitem(
        SCORERS, "language", replace(SCORERS["language"], score=lambda world, config, asked: map(said, asked))
    )
    for _ in range(2):  # it is not kept, so the second try says the same
        with pytest.raises(RowError, match=rf"score\.language: {message}.*A scorer yields a Scored for each"):
            rows_of(recipe, "iter_1/score", OF_LANGUAGE)


@pytest.mark.parametrize(
    "value", [True, 1, np.float32(1), np.int64(1), 10**400], ids=lambda value: f"{type(value).__name__} {value == 1}"
)
def test_numbers_of_every_kind_are_values(tmp_path, monkeypatch, value):
    recipe, _ = sampled_world(tmp_path)
    with_values(monkeypatch, value)
    said = set(rows_of(recipe, "iter_1/score", OF_LANGUAGE).filter(pl.col("detail") != "empty_response")["value"])
    assert said == ({1.0} if value == 1 else {None})  # one that no float can hold is not finite


def test_a_chain_from_scores_needs_a_step_that_scores(tmp_path):
    recipe, _ = sampled_world(tmp_path)
    chain = "chain=[{generate: {n: 2, temperature: 1.0, max_tokens: 8}}, {pair: {from: scores}}]"
    with pytest.raises(
        PlanError, match='"pair" needs answer_scores, and no step before it makes them; put score before'
    ):
        lidr.run(lidr.load_recipe(recipe, overrides=[chain]))


ONE_ANSWER = (
    "chain=[{generate: {temperature: 0.9, max_tokens: 64}}, {score: {gold: {answers: FOLDER/gold}}}, "
    "{pair: {from: scores}}]"
)


def test_one_answer_a_language_is_refused_where_pairs_are_made_within_a_language(tmp_path):
    recipe, _ = sampled_world(tmp_path)
    one = ONE_ANSWER.replace("FOLDER", str(tmp_path))
    message = r"pair\.pool: language compares answers to a prompt .* and generate\.n is 1: .*generate\.n.*or.*pool: all"
    with pytest.raises(PlanError, match=message):
        lidr.plan(lidr.load_recipe(recipe, overrides=[one]))
    (problem,) = check_recipe(lidr.load_recipe(recipe, overrides=[one])).problems
    assert "generate.n is 1" in str(problem)
    rows = rows_of(recipe, "iter_1/pair", one.replace("from: scores", "from: scores, pool: all"))
    assert rows.height == 4  # right in English or in Spanish, wrong in another


def test_over_all_languages_the_other_language_is_that_of_the_rejected_answer(tmp_path):
    recipe, sampled = sampled_world(tmp_path)
    rows = rows_of(recipe, "iter_1/pair", sampled.replace("by: gold", "by: gold, pool: all, select: random"))
    for row in rows.iter_rows(named=True):
        codes = tuple(row[f"{side}_key"].partition("/")[2].partition("#")[0] for side in ("chosen", "rejected"))
        assert codes == (row["language"], row["other_language"])
        assert row["pair_id"] == f"1/{row['prompt_id']}/{codes[0]}-{codes[1]}/sampled"
    assert rows.height == 4
    assert set(rows["language"] == rows["other_language"]) == {True, False}
    same = rows.with_columns(other_language="language", pair_id=pl.col("pair_id") + "/same")
    both = pl.concat([rows, same])  # of each language pairs of either kind
    both.write_parquet(tmp_path / "both.parquet")
    counted = census(open_pairs(str(tmp_path / "both.parquet")), PairQuery()).wanted
    assert {row["language"]: row["pairs"] for row in counted} == Counter(both["language"])
    assert len(counted) == both["language"].n_unique()


BEST = (
    "chain=[{generate: {n: 6, temperature: 0.9, max_tokens: 64}}, {score: {gold: {answers: FOLDER/gold}}}, "
    "{translate: {max_tokens: 80, check_language: false, best_by: gold}}, {pair: {drop: independent}}]"
)


def test_of_several_answers_the_best_of_the_dominant_language_is_translated_and_paired(tmp_path):
    recipe, _ = sampled_world(tmp_path)
    rules = [{"match": f"{name}: tell me about", "texts": TEXTS[name]} for name in NAMES.values()]
    rules += [{"match": f"into {name}\\.", "text": f"In {name}: 3.\n</translated>"} for name in NAMES.values()]
    (tmp_path / "answers.jsonl").write_text("".join(json.dumps(rule) + "\n" for rule in rules), encoding="utf-8")
    best = BEST.replace("FOLDER", str(tmp_path))
    rows = rows_of(recipe, "iter_1/pair", best)
    scores = rows_of(recipe, "iter_1/score", best)
    moved = rows_of(recipe, "iter_1/translate", best)
    assert moved.height == 4 * 2 * 2
    value = {(p, lang, n): v for p, lang, n, v in scores.select("prompt_id", "language", "sample", "value").rows()}
    for prompt_id, source, sample in moved.select("prompt_id", "source", "sample").rows():
        if source == "en":
            right = [n for n in range(6) if value[prompt_id, "en", n] == 1.0]
            assert sample == (right[0] if right else 0)
        else:
            assert sample == 0
    kept = rows.filter(kind="non_dominant")
    assert kept.height > 4
    for row in kept.iter_rows(named=True):
        key, _, into = row["chosen_key"].partition("->")
        assert (key.split("#")[0], into) == (f"{row['prompt_id']}/en", row["language"])
        assert row["rejected_key"] == f"{row['prompt_id']}/{row['language']}#0"


def test_translating_every_answer_leaves_more_than_one_for_a_slot(tmp_path):
    recipe, _ = sampled_world(tmp_path)
    every = BEST.replace("FOLDER", str(tmp_path)).replace(", best_by: gold", "")
    with pytest.raises(
        PlanError, match=r"generate\.n gives 6 answers to a prompt, and a pair from translations takes one"
    ):
        lidr.plan(lidr.load_recipe(recipe, overrides=[every]))


def test_one_scorer_is_one_short_file_that_knows_no_other():
    folder = Path(lidr.__file__).parent / "steps/score/scorers"
    files = [path for path in folder.glob("*.py") if path.name != "__init__.py"]
    assert {path.stem.removesuffix("_scorer") for path in files} == set(SCORERS)
    for path in files:
        text = path.read_text(encoding="utf-8")
        assert len(text.splitlines()) <= 80, path.name
        assert "steps.score.scorers" not in text, path.name


def test_what_one_scorer_alone_uses_stands_in_its_file():
    """Of what scorers import from the files beside their folder, everything is used by two of them or more, or by one
    and what two share.
    """
    folder = Path(lidr.__file__).parent / "steps/score"
    shared = Counter(
        name.name
        for path in (*(folder / "scorers").glob("*_scorer.py"), folder / "classifier.py")
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8")))
        if isinstance(node, ast.ImportFrom) and str(node.module).startswith("lidr.steps.score.")
        for name in node.names
    )
    assert {"World", "Scored", "model_at"} <= set(shared)
    assert [name for name, count in shared.items() if count < 2] == []


def test_the_models_of_scorers_are_pinned_and_are_parents_with_their_licences(tmp_path):
    scorers = (
        "{reward_model: {model: org/reward, revision: unpinned, license: mit}, mt_quality: {max_tokens: 40, "
        "estimator: {model: org/estimator, revision: unpinned, license: cc-by-nc-4.0}}}"
    )
    recipe = lidr.load_recipe(
        write_world(tmp_path), overrides=[f"chain=[{{generate: {{max_tokens: 8}}}}, {{score: {scorers}}}]"]
    )
    assert [one.repo for one in unpinned(recipe)] == ["org/reward", "org/estimator"]
    parents = [(one.role, one.name, one.licence) for one in scorer_parents(recipe, ())]
    assert parents == [("scorer", "org/reward", "mit"), ("scorer", "org/estimator", "cc-by-nc-4.0")]


@pytest.mark.parametrize(
    ("scorer", "given", "identity"),
    [
        ("mt_quality", {"max_tokens": 40}, {"max_tokens": 40, "repetition_penalty": 1.0}),
        (
            "mt_quality",
            {"max_tokens": 40, "estimator": {"model": "org/e", "license": "mit"}},
            {
                "max_tokens": 40,
                "repetition_penalty": 1.0,
                "estimator": {"model": "org/e", "revision": None, "label": 0, "max_length": 4096},
            },
        ),
        (
            "reward_model",
            {"model": "org/r", "license": "mit"},
            {"model": "org/r", "revision": None, "label": 0, "max_length": 4096},
        ),
        (
            "reward_model",
            {"model": "org/r", "engine": "vllm"},
            {"model": "org/r", "revision": None, "label": 0, "max_length": 4096, "engine": "vllm"},
        ),
    ],
)
def test_what_is_identity_of_a_scorer_that_brings_a_model(scorer, given, identity):
    row = SCORERS[scorer]
    assert list(row.identity(row.config(**given)).items()) == list(identity.items())


def test_a_rate_of_one_engine_is_none_of_the_other(tmp_path):
    engines = []
    for more in ("", ", engine: vllm"):
        chain = f"chain=[{{generate: {{max_tokens: 8}}}}, {{score: {{reward_model: {{model: ./reward{more}}}}}}}]"
        recipe = lidr.load_recipe(write_world(tmp_path / f"w{len(engines)}"), overrides=[chain])
        engines.append(measured_on(recipe, recipe.chain[1].config, Expected(3, "values"))["engine"])
    assert engines == ["scripted", "vllm"]  # without it that of the recipe, as before


def test_a_pair_may_weigh_as_much_as_its_margin(tmp_path):
    recipe, sampled = sampled_world(tmp_path)
    by = sampled.replace("by: gold", "by: consistency")
    plain = rows_of(recipe, "iter_1/pair", by)
    weighted = rows_of(recipe, "iter_1/pair", by.replace("by: consistency", "by: consistency, weight: margin"),
                       "version=0.2.0")  # fmt: skip
    assert "weight" not in plain.columns
    assert weighted.drop("weight").equals(plain)
    for _, group in weighted.group_by("language"):
        assert group["weight"].mean() == pytest.approx(1.0)
        assert (group["weight"] / group["margin"]).to_list() == pytest.approx(
            [1 / group["margin"].mean()] * group.height
        )
