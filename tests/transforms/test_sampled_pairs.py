"""Pairs from scores: against a plain reading of the rules on random answers, and case by case."""

from __future__ import annotations

import random
import statistics

import polars as pl
import pytest

from lidr.errors import RowError
from lidr.transforms import SampledRules, build_sampled_pairs

LANGUAGES = ("en", "es", "de")


def world(seed: int, prompts: int = 12, samples: int = 5):
    """Prompts, answers and scores; some answers are alike, some tie, some are not scored."""
    rng = random.Random(seed)
    asked, answers, scores = [], [], []
    for number in range(prompts):
        for language in LANGUAGES:
            at = {"prompt_id": f"p{number}", "language": language}
            asked.append({**at, "text": f"{language} {number}?"})
            for sample in range(samples):
                text = rng.choice("abc") * rng.randint(1, 40)
                answers.append({**at, "sample": sample, "text": text, "finish_reason": "stop"})
                value = None if rng.random() < 0.15 else rng.choice((0.0, 1.0, rng.gauss(0, 4)))
                scores.append(
                    {**at, "sample": sample, "value": value, "detail": "" if value is not None else "no_number"}
                )
    types = {"sample": pl.Int32}
    return (
        pl.DataFrame(asked),
        pl.DataFrame(answers, schema_overrides=types),
        pl.DataFrame(scores, schema_overrides=types | {"value": pl.Float64}),
    )


def rules(**more) -> SampledRules:
    return SampledRules("en", ("es", "de"), **more)


def pools(answers: pl.DataFrame, scores: pl.DataFrame):
    """(prompt, language) -> [(text, score)] of what is scored, by number."""
    found: dict[tuple[str, str], list[tuple[str, float]]] = {}
    on = ["prompt_id", "language", "sample"]
    for row in answers.join(scores, on=on).sort("sample").iter_rows(named=True):
        pool = found.setdefault((row["prompt_id"], row["language"]), [])
        if row["value"] is not None:
            pool.append((row["text"], row["value"]))
    return found


@pytest.mark.parametrize("seed", range(5))
@pytest.mark.parametrize(
    "more",
    [{}, {"select": "nearest_sigma"}, {"select": "random"}, {"pool": "all"}, {"length_control": "zero_mean"}],
    ids=str,
)
def test_every_slot_ends_once_and_chosen_has_the_higher_score(seed, more):
    prompts, answers, scores = world(seed)
    result = build_sampled_pairs(prompts, answers, scores, rules=rules(**more))
    slots = pl.concat([frame.select("prompt_id", "language", "kind") for frame in result[:3]])
    assert slots.height == 12 * 3 == slots.n_unique()
    assert set(slots["kind"]) == {"sampled"}
    assert (result.pairs["margin"] > 0).all()
    assert (result.pairs["chosen_text"] != result.pairs["rejected_text"]).all()
    spoken = result.pairs.select(
        chosen=pl.col("chosen_key").str.extract(r"/(\w+)#"), rejected=pl.col("rejected_key").str.extract(r"/(\w+)#")
    )
    assert result.pairs["language"].equals(spoken["chosen"])
    assert result.pairs["other_language"].equals(spoken["rejected"])


@pytest.mark.parametrize("seed", range(5))
def test_best_against_worst_is_the_largest_and_the_smallest_score(seed):
    prompts, answers, scores = world(seed)
    pairs = build_sampled_pairs(prompts, answers, scores, rules=rules()).pairs
    found = pools(answers, scores)
    for row in pairs.iter_rows(named=True):
        values = [score for _, score in found[row["prompt_id"], row["language"]]]
        assert (row["score_chosen"], row["score_rejected"]) == (max(values), min(values))


@pytest.mark.parametrize("seed", range(5))
def test_nearest_sigma_is_nearest_to_two_deviations_below_the_mean(seed):
    prompts, answers, scores = world(seed)
    pairs = build_sampled_pairs(prompts, answers, scores, rules=rules(select="nearest_sigma")).pairs
    found = pools(answers, scores)
    for row in pairs.iter_rows(named=True):
        values = [score for _, score in found[row["prompt_id"], row["language"]]]
        target = statistics.fmean(values) - 2 * statistics.pstdev(values)
        below = [value for value in values if value < max(values)]
        assert abs(row["score_rejected"] - target) == pytest.approx(min(abs(value - target) for value in below))


@pytest.mark.parametrize("seed", range(3))
def test_the_length_control_is_the_best_of_all_its_steps(seed):
    prompts, answers, scores = world(seed)
    result = build_sampled_pairs(prompts, answers, scores, rules=rules(length_control="zero_mean"))
    found = pools(answers, scores)
    for control in result.length_control:
        group = [pool for (_, language), pool in found.items() if language == control["language"] and len(pool) > 1]

        def difference(a, group=group):
            total = 0
            for pool in group:
                values = [score - a * len(text) for text, score in pool]
                total += len(pool[values.index(max(values))][0]) - len(pool[values.index(min(values))][0])
            return total

        best = min(range(1000), key=lambda k: (abs(difference(k / 1000)), k))
        assert control["a"] == best / 1000
        assert control["difference"] == pytest.approx(difference(best / 1000) / len(group), abs=1e-4)
        assert control["difference_before"] == pytest.approx(difference(0) / len(group), abs=1e-4)
    assert len(result.length_control) == 3


def one_prompt(*answers: tuple[str, str, float | None], cut: tuple[int, ...] = ()):
    """Answers to one prompt: (language, text, score)."""
    prompts = pl.DataFrame({"prompt_id": ["p"] * 3, "language": LANGUAGES, "text": ["en?", "es?", "de?"]})
    numbers: dict[str, int] = {}
    rows = []
    for place, (language, text, value) in enumerate(answers):
        numbers[language] = numbers.get(language, -1) + 1
        reason = "length" if place in cut else "stop"
        rows.append(("p", language, numbers[language], text, value, reason))
    names = ["prompt_id", "language", "sample", "text", "value", "finish_reason"]
    frame = pl.DataFrame(rows, schema=names, orient="row", schema_overrides={"sample": pl.Int32, "value": pl.Float64})
    return prompts, frame.drop("value"), frame.drop("text", "finish_reason").with_columns(detail=pl.lit("no_number"))


def test_why_a_slot_has_no_pair():
    found = build_sampled_pairs(
        *one_prompt(("en", "a", 1.0), ("en", "b", 1.0), ("es", "c", 1.0), ("es", "d", None), ("de", "e", 1.0),
                    ("de", "e", 0.0)), rules=rules(),
    )  # fmt: skip
    assert found.dropped.select("language", "reason", "detail").rows() == [
        ("en", "tied", ""),
        ("es", "too_few_scored", "1 no_number"),
        ("de", "identical", ""),
    ]


def test_over_all_languages_the_best_answer_says_the_prompt():
    found = build_sampled_pairs(
        *one_prompt(("en", "a", 1.0), ("es", "b", 3.0), ("de", "c", 0.5), ("de", "d", 2.0)), rules=rules(pool="all")
    )
    (row,) = found.pairs.iter_rows(named=True)
    assert (row["language"], row["prompt_text"], row["chosen_key"], row["rejected_key"]) == (
        "es",
        "es?",
        "p/es#0",
        "p/de#0",
    )
    assert row["other_language"] == "de"  # of the rejected answer
    assert set(found.not_requested["reason"]) == {"pool: all"}
    assert sorted(found.not_requested["language"]) == ["de", "en"]


def test_of_equal_scores_the_first_answer_counts():
    found = build_sampled_pairs(
        *one_prompt(("en", "a", 1.0), ("en", "b", 1.0), ("en", "c", 0.0), ("en", "d", 0.0)), rules=rules()
    )
    assert found.pairs.select("chosen_key", "rejected_key").rows() == [("p/en#0", "p/en#2")]


def test_a_cut_answer_may_be_left_out():
    table = one_prompt(("en", "a", 2.0), ("en", "b", 1.0), ("en", "c", 0.0), cut=(0,))
    assert build_sampled_pairs(*table, rules=rules()).pairs["chosen_key"].to_list() == ["p/en#0"]
    assert build_sampled_pairs(*table, rules=rules(truncated="drop")).pairs["chosen_key"].to_list() == ["p/en#1"]


def test_slots_of_the_dominant_language_may_not_be_asked_for():
    table = one_prompt(("en", "a", 2.0), ("en", "b", 1.0), ("es", "c", 2.0), ("es", "d", 1.0))
    found = build_sampled_pairs(*table, rules=rules(dominant_pairs=False))
    assert found.pairs["language"].to_list() == ["es"]
    assert found.not_requested.select("language", "reason").rows() == [("en", "dominant_pairs: none")]


def test_the_same_pair_is_drawn_whatever_the_order_of_the_rows():
    prompts, answers, scores = world(3)
    one = build_sampled_pairs(prompts, answers, scores, rules=rules(select="random")).pairs
    mixed = answers.sample(fraction=1.0, shuffle=True, seed=1), scores.sample(fraction=1.0, shuffle=True, seed=2)
    assert build_sampled_pairs(prompts, *mixed, rules=rules(select="random")).pairs.equals(one)
    other = build_sampled_pairs(prompts, answers, scores, rules=rules(select="random", seed=1)).pairs
    assert not other["chosen_key"].equals(one["chosen_key"])


def test_an_answer_without_a_row_of_scores_is_refused():
    prompts, answers, scores = one_prompt(("en", "a", 2.0), ("en", "b", 1.0))
    with pytest.raises(RowError, match=r"1 answers have no score, or several; the first: p/en#1\. Score them again"):
        build_sampled_pairs(prompts, answers, scores.head(1), rules=rules())


def chosen_and_rejected(*answers: tuple[str, str, float | None], **more) -> list[tuple[str, str]]:
    found = build_sampled_pairs(*one_prompt(*answers), rules=rules(**more)).pairs
    return found.select("chosen_text", "rejected_text").rows()


def test_best_against_worst_is_what_is_done_where_nothing_is_said():
    answers = ("en", "a", 3.0), ("en", "b", 1.0), ("en", "c", 0.0)
    assert chosen_and_rejected(*answers, sigmas=0.0) == [("a", "c")]
    assert chosen_and_rejected(*answers, sigmas=0.0, select="nearest_sigma") == [("a", "b")]


def test_the_deviation_is_that_of_the_whole_pool():
    answers = ("en", "a", 9.0), ("en", "b", 4.0), ("en", "c", 0.0)
    values = [value for _, _, value in answers]
    whole, sample = (statistics.fmean(values) - 0.6 * of(values) for of in (statistics.pstdev, statistics.stdev))
    assert sample < 2 < whole  # half way between b and c
    assert chosen_and_rejected(*answers, select="nearest_sigma", sigmas=0.6) == [("a", "b")]


@pytest.mark.parametrize("seed", range(3))
def test_with_a_length_control_the_scores_of_pairs_are_those_less_a_for_each_character(seed):
    prompts, answers, scores = world(seed)
    result = build_sampled_pairs(prompts, answers, scores, rules=rules(length_control="zero_mean"))
    a = {control["language"]: control["a"] for control in result.length_control}
    assert max(a.values()) > 0
    for row in result.pairs.iter_rows(named=True):
        pool = pools(answers, scores)[row["prompt_id"], row["language"]]
        values = [score - a[row["language"]] * len(text) for text, score in pool]
        assert (row["score_chosen"], row["score_rejected"]) == pytest.approx((max(values), min(values)))


def test_the_length_control_looks_at_prompts_of_which_two_answers_can_be_compared():
    table = one_prompt(("en", "aaaa", 2.0), ("en", "b", 1.0), ("de", "c", 1.0), ("de", "d", None))
    found = build_sampled_pairs(*table, rules=rules(length_control="zero_mean")).length_control
    assert [(one["language"], one["prompts"]) for one in found] == [("en", 1)]


def test_what_is_drawn_differs_in_text_and_score_and_any_such_pair_can_be():
    answers = ("en", "a", 1.0), ("en", "a", 0.0), ("en", "b", 0.5), ("en", "c", 0.5)
    drawn = {pair for seed in range(60) for pair in chosen_and_rejected(*answers, select="random", seed=seed)}
    assert drawn == {("a", "b"), ("a", "c"), ("b", "a"), ("c", "a")}


@pytest.mark.parametrize("select", ["max_min", "nearest_sigma", "random"])
def test_why_nothing_is_chosen_is_the_same_whatever_chooses(select):
    table = one_prompt(("en", "a", 1.0), ("en", "b", 1.0), ("en", "c", None), ("es", "d", 1.0), ("es", " d\n", 0.0),
                       ("de", "e", None), ("de", "f", None))  # fmt: skip
    prompts, answers, scores = table
    found = build_sampled_pairs(prompts, answers, scores, rules=rules(select=select))
    assert found.dropped.select("language", "reason", "detail").rows() == [
        ("en", "tied", ""),
        ("es", "identical", ""),
        ("de", "too_few_scored", "2 no_number"),
    ]
    unsaid = build_sampled_pairs(prompts, answers, scores.with_columns(detail=pl.lit("")), rules=rules(select=select))
    assert unsaid.dropped["detail"].to_list() == ["", "", "2 not_scored"]


def test_over_all_languages_the_dominant_answer_is_the_first_of_equals_and_its_slot_is_the_dropped_one():
    answers = ("de", "d", 3.0), ("es", "b", 3.0), ("en", "a", 3.0), ("es", "c", 1.0), ("en", "e", 1.0)
    assert chosen_and_rejected(*answers, pool="all") == [("a", "e")]
    found = build_sampled_pairs(*one_prompt(*answers[:3]), rules=rules(pool="all"))
    assert found.dropped.select("language", "reason").rows() == [("en", "tied")]
    assert found.not_requested["language"].to_list() == ["es", "de"]


def test_an_answer_that_was_scored_twice_is_refused():
    prompts, answers, scores = one_prompt(("en", "a", 2.0), ("en", "b", 1.0))
    with pytest.raises(RowError, match=r"2 answers have no score, or several; the first: p/en#0"):
        build_sampled_pairs(prompts, answers, pl.concat([scores, scores.head(1)]), rules=rules())
