"""The plain version itself, on cases small enough to be worked out by hand."""

from __future__ import annotations

import math
import random
from functools import cache

import pytest

from tests.methods.fixed_inputs import LANGUAGES, SLOTS, fixed_answers
from tests.methods.plain_methods import (
    Pair,
    best_and_worst,
    by_final_answer,
    calm,
    centroid,
    cm_align,
    cosine,
    croco,
    drawn,
    icr,
    lacomsa,
    language_weight,
    latent_scores,
    length_controlled,
    length_penalty,
    mean_minus_2sigma,
    percentile_25,
)


def answer(sample, score=None, text=None, language="es", prompt_id="p", **more):
    scores = {"implicit": score, "reward_model": score}
    text = f"{language} {sample}" if text is None else text
    return {"prompt_id": prompt_id, "language": language, "sample": sample, "text": text, "scores": scores} | more


def scored(*scores, **more):
    return [answer(sample, score, **more) for sample, score in enumerate(scores)]


def sides(selection):
    return [(pair.chosen[1], pair.rejected[1]) for pair in selection.pairs]


ES = [("p", "es")]


# ICR


def test_icr_takes_the_best_against_the_worst():
    found = icr(scored(1.0, 4.0, -2.0, 3.0), ES)
    assert found.pairs == [Pair("p", "es", ("es", 1), ("es", 2), 4.0, -2.0, 6.0)]
    assert found.reasons == {}


def test_icr_takes_the_first_among_equals_on_both_sides():
    assert sides(icr(scored(-1.0, 2.0, 2.0, -1.0), ES)) == [(1, 0)]


def test_icr_finds_the_penalty_that_makes_both_sides_equally_long():
    # Lengths 10, 20, 30; scores 0, 6, 9. Below .3 the third wins over the first (20 longer); from .3 to .45 the first
    # loses to the second (10 longer); between .45 and .6 the third loses to the second (10 shorter); then the first
    # wins.
    here = [answer(i, s, "x" * n) for i, (s, n) in enumerate([(0.0, 10), (6.0, 20), (9.0, 30)])]
    lengths = {a: len(best_and_worst(length_controlled([(h, h["scores"]["implicit"]) for h in here], a))[0][0]["text"])
               for a in (0.1, 0.35, 0.5, 0.7)}  # fmt: skip
    assert lengths == {0.1: 30, 0.35: 20, 0.5: 20, 0.7: 10}
    found = icr(here, ES)
    assert found.found["penalty"] == {"es": pytest.approx(0.3, abs=0.0011)}  # the smallest of those 10 apart
    assert sides(found) == [(1, 0)]
    assert found.pairs[0].score_chosen == 6.0 - found.found["penalty"]["es"] * 20
    assert sides(icr(here, ES, length_control=False)) == [(2, 0)]


def test_icr_searches_one_penalty_for_all_prompts_of_a_language():
    here = []
    for prompt_id, long in (("p", 20), ("q", 40)):
        here += [answer(0, 0.0, "x" * 10, prompt_id=prompt_id), answer(1, 5.0, "x" * long, prompt_id=prompt_id)]
    # p turns at 5 / 10 = .5 (10 longer, then 10 shorter), q at 5 / 30 = .167 (30 longer, then 30 shorter):
    # the sums are 40, then from .167 on -20, then from .5 on -40.
    penalty = icr(here, [("p", "es"), ("q", "es")]).found["penalty"]["es"]
    assert penalty == pytest.approx(0.167, abs=1e-9)


def test_icr_searches_each_language_alone():
    long = [(0.0, 10), (6.0, 20), (9.0, 30)]  # as above
    here = [answer(i, s, "x" * n, language) for language in ("es", "fr") for i, (s, n) in enumerate(long)]
    here += [answer(0, 5.0003, "x" * 11, "de"), answer(1, 0.0, "x", "de")]
    penalties = icr(here, [("p", "es"), ("p", "fr"), ("p", "de")]).found["penalty"]
    # de: 10 longer, or from .50003 on 10 shorter: equally far, so the smallest.
    assert penalties == {"es": penalties["fr"], "fr": pytest.approx(0.3, abs=0.0011), "de": 0.0}


def test_icr_may_find_a_penalty_at_which_all_scores_are_equal():
    """Chosen and rejected are then one answer, so equally long: the authors' search cannot tell this from success."""
    found = icr([answer(0, 0.0, "x"), answer(1, 5.0, "x" * 11)], ES)
    assert found.found["penalty"] == {"es": 0.5}
    assert found.reasons == {("p", "es"): "equal_scores"}


def test_icr_counts_characters_as_they_stand():
    here = [answer(0, 1.0, "éé 🐝 "), answer(1, 0.0, "a")]
    assert length_controlled([(here[0], 1.0)], 0.1)[0][1] == pytest.approx(1.0 - 0.1 * 5)


def test_no_answers_need_no_penalty():
    assert length_penalty([]) == 0.0


# Reasons that all share


@pytest.mark.parametrize(
    ("answers", "reason"),
    [
        ([], "no_response"),
        (scored(1.0, 2.0, text=" \n"), "empty_response"),
        (scored(1.0), "one_answer"),
        ([answer(0, 1.0), answer(1, 2.0, "")], "one_answer"),
        (scored(1.0, None, None), "no_score"),
        (scored(1.5, 1.5, 1.5), "equal_scores"),
        (scored(1.0, 2.0, text="the same"), "identical"),
    ],
)
@pytest.mark.parametrize("method", [icr, croco])
def test_a_slot_without_a_pair_has_its_reason(method, answers, reason):
    found = method(answers, ES)
    assert found.pairs == []
    assert found.reasons == {("p", "es"): reason}


def test_an_empty_answer_is_neither_chosen_nor_counted():
    here = [answer(0, 99.0, ""), answer(1, 1.0), answer(2, 0.0), answer(3, -99.0, " ")]
    assert sides(icr(here, ES)) == [(1, 2)]
    assert sides(croco(here, ES)) == [(1, 2)]


# CroCo


def test_sigma_is_that_of_the_pool_itself():
    # Mean 2, squared distances 4 + 0 + 4, divided by 3: sigma 1.633, with n - 1 it were 2.
    assert mean_minus_2sigma([0.0, 2.0, 4.0]) == pytest.approx(2 - 2 * math.sqrt(8 / 3))


@pytest.mark.parametrize(
    ("values", "expected"), [([1.0, 2.0], 1.25), ([3.0, 1.0, 2.0], 1.5), ([4.0, 1.0, 2.0, 8.0], 1.75), ([5.0], 5.0)]
)
def test_the_25th_percentile_is_linear_between_two_values(values, expected):
    assert percentile_25(values) == expected


def test_croco_rejects_the_one_nearest_to_two_sigma_below_the_mean():
    # Mean -.591, sigma 1.742: the target is -4.076, 1.924 from -6 and 3.076 from -1.
    values = [0.0] * 8 + [0.5, -1.0, -6.0]
    assert mean_minus_2sigma(values) == pytest.approx(-4.076, abs=0.001)
    assert sides(croco(scored(*values), ES)) == [(8, 10)]


def test_croco_may_pass_over_the_minimum():
    # Mean -7.59, sigma 21.59: the target is -50.8.
    here = scored(*[0.0] * 14, -50.0, -80.0, 1.0)
    assert mean_minus_2sigma([a["scores"]["reward_model"] for a in here]) == pytest.approx(-50.8, abs=0.1)
    assert sides(croco(here, ES)) == [(16, 14)]
    assert sides(croco(here, ES, target="min")) == [(16, 15)]
    assert sides(croco(here, ES, target="q1")) == [(16, 0)]


def test_croco_takes_the_first_of_two_equally_near():
    here = scored(3.0, 1.0, 2.0)  # the 25th percentile is 1.5
    assert sides(croco(here, ES, target="q1")) == [(0, 1)]
    assert sides(croco(scored(3.0, 2.0, 1.0), ES, target="q1")) == [(0, 1)]


def test_croco_rejects_only_what_is_strictly_below():
    assert sides(croco(scored(2.0, 2.0, 2.0, 1.0), ES, target="q1")) == [(0, 3)]  # 1.75 is nearer to 2


ALL = [("p", "en"), ("p", "es"), ("p", "de")]


def test_croco_over_all_languages_makes_one_pair_with_the_prompt_of_the_chosen():
    here = [answer(0, 1.0, language="en"), answer(0, 5.0, language="es"), answer(0, -3.0, language="de")]
    found = croco(here, ALL, pool="all", target="min")
    assert found.pairs == [Pair("p", "es", ("es", 0), ("de", 0), 5.0, -3.0, 8.0)]
    assert found.reasons == dict.fromkeys([("p", "en"), ("p", "de")], "pair_in_another_language")
    assert croco(here, ALL, pool="all", target="min", prompt_of="rejected").pairs[0].language == "de"
    assert croco(here, ALL).reasons == dict.fromkeys(ALL, "one_answer")


def test_croco_over_all_languages_takes_the_first_language_among_equals():
    here = [answer(1, 5.0, language="de"), answer(2, 5.0, language="es"), answer(0, 1.0, language="en")]
    assert croco(here, ALL, pool="all").pairs[0].chosen == ("es", 2)


def test_croco_over_all_languages_gives_each_slot_the_reason():
    found = croco(scored(1.0, 1.0), ALL, pool="all")
    assert found.reasons == dict.fromkeys(ALL, "equal_scores")


# LaCoMSA


def vectors(sample, middle, last, language="es", text=None):
    return answer(sample, text=text, language=language, middle=middle, last=last)


ENGLISH = [vectors(0, [1.0, 0.0], [1.0, 0.0], "en"), vectors(1, [0.0, 1.0], [1.0, 0.0], "en")]


def test_the_language_weight():
    assert language_weight(0.0) == 0.5
    assert language_weight(2.0) == pytest.approx(1 / (1 + math.exp(-1)))
    assert language_weight(2.0, alpha=1.0, gamma=2.0) == pytest.approx((1 / (1 + math.exp(-2))) ** 2)


def test_latent_scores_by_hand():
    own = [vectors(0, [1.0, 0.0], [0.0, 1.0]), vectors(1, [1.0, 1.0], [0.0, 1.0])]
    first, second = latent_scores(own, ENGLISH)
    assert first.reward == 0.5  # cosines 1 and 0
    assert second.reward == pytest.approx(math.sqrt(0.5))  # twice the cosine of 45 degrees
    assert first.gap == 1 - 0 - 0.5  # on its own languages' mean, at right angles to the English one
    assert first.weight == pytest.approx(1 / (1 + math.exp(-0.25)))
    assert first.score == pytest.approx(0.5 / (1 + math.exp(-0.25)))
    assert second.gap == pytest.approx(1 - math.sqrt(0.5))


def test_an_answer_in_the_wrong_language_weighs_less():
    own = [vectors(0, [1.0, 1.0], [0.0, 1.0]), vectors(1, [1.0, 1.0], [0.0, 1.0]), vectors(2, [1.0, 1.0], [1.0, 0.1])]
    spanish, _, english = latent_scores(own, ENGLISH)
    assert english.reward == spanish.reward
    assert english.weight < spanish.weight


def test_lacomsa_draws_one_of_all_two_that_differ():
    own = [
        vectors(0, [1.0, 0.0], [0.0, 1.0]),
        vectors(1, [1.0, 1.0], [0.0, 1.0]),
        vectors(2, [1.0, 1.0], [0.0, 1.0]),  # as good as the one before
        vectors(3, [1.0, 0.5], [0.0, 1.0], text="es 0"),  # says the same as the first
    ]
    found = lacomsa(ENGLISH + own, [("p", "en"), ("p", "es")])
    assert found.reasons == {("p", "en"): "reference_language"}
    assert found.found["candidates"]["p", "es"] == [(1, 3), (1, 0), (2, 3), (2, 0)]
    assert sides(found) == [found.found["candidates"]["p", "es"][drawn(42, "p", "es", 4)]]
    assert {sides(lacomsa(ENGLISH + own, ES, seed=seed))[0] for seed in range(40)} == {(1, 3), (1, 0), (2, 3), (2, 0)}


def test_lacomsa_as_published_prefers_by_the_reward_alone():
    # The second answer is nearer to the English ones in the middle, and English in the last layer too.
    own = [vectors(0, [1.0, 0.8], [0.0, 1.0]), vectors(1, [1.0, 1.0], [1.0, -0.2])]
    assert sides(lacomsa(ENGLISH + own, ES)) == [(0, 1)]
    published = lacomsa(ENGLISH + own, ES, order="published")
    assert sides(published) == [(1, 0)]
    assert published.pairs[0].margin < 0


def test_lacomsa_says_why_there_is_no_pair():
    same = [vectors(i, [1.0, 0.0], [0.0, 1.0]) for i in range(2)]
    assert lacomsa(ENGLISH + same, ES).reasons == {("p", "es"): "equal_scores"}
    assert lacomsa(same, ES).reasons == {("p", "es"): "no_reference"}
    one_text = [vectors(0, [1.0, 0.0], [0.0, 1.0], text="a"), vectors(1, [1.0, 1.0], [0.0, 1.0], text="a ")]
    assert lacomsa(ENGLISH + one_text, ES).reasons == {("p", "es"): "identical"}
    assert lacomsa(ENGLISH, ES).reasons == {("p", "es"): "no_response"}


def test_cosine_and_centroid():
    assert cosine([3.0, 4.0], [4.0, 3.0]) == 24 / 25
    assert centroid([[1.0, 2.0], [3.0, 6.0]]) == [2.0, 4.0]


# CM-Align


def embedded(sample, embedding, language="es"):
    return answer(sample, language=language, embedding=embedding)


def test_cm_align_measures_against_the_most_consistent_english_answer():
    english = [embedded(0, [0.0, 1.0], "en"), embedded(1, [1.0, 1.0], "en"), embedded(2, [1.0, 0.0], "en")]
    # Means of cosines: (.707 + 0) / 2, (.707 + .707) / 2, (.707 + 0) / 2: the second.
    own = [embedded(0, [1.0, 0.0]), embedded(1, [1.0, 2.0]), embedded(2, [-1.0, 0.5])]
    found = cm_align(english + own, [("p", "en"), ("p", "es")])
    assert found.found["reference"] == {"p": 1}
    assert found.reasons == {("p", "en"): "reference_language"}
    (pair,) = found.pairs
    assert (pair.chosen, pair.rejected) == (("es", 1), ("es", 2))
    assert pair.score_chosen == pytest.approx(3 / math.sqrt(10))
    assert pair.score_rejected == pytest.approx(-0.5 / math.sqrt(2.5))


def test_cm_align_by_final_answers():
    english = [answer(i, language="en", answer=a) for i, a in enumerate(["7", "12", None, "12"])]
    own = [answer(i, answer=a) for i, a in enumerate([None, "7", "12", "12"])]
    found = cm_align(english + own, ES, by_final_answer)
    assert found.found["reference"] == {"p": 1}
    assert sides(found) == [(2, 0)]
    alone = cm_align(english[:1] + own, ES, by_final_answer)
    assert sides(alone) == [(1, 0)]  # the only English answer is the reference


def test_cm_align_takes_no_unread_answer_for_reference():
    own = [answer(i, answer=a) for i, a in enumerate(["12", "7"])]
    english = [answer(i, language="en", answer=a) for i, a in enumerate([None, "7"])]
    assert sides(cm_align(english + own, ES, by_final_answer)) == [(1, 0)]
    assert cm_align(english[:1] + own, ES, by_final_answer).reasons == {("p", "es"): "no_reference"}


def test_cm_align_says_why_there_is_no_pair():
    own = [embedded(0, [1.0, 0.0]), embedded(1, [1.0, 0.0])]
    assert cm_align(own, ES).reasons == {("p", "es"): "no_reference"}
    assert cm_align([*own, embedded(0, [1.0, 1.0], "en")], ES).reasons == {("p", "es"): "equal_scores"}


# CALM


def voting(language, *final):
    return [answer(i, language=language, answer=a, text=f"{language} {i}") for i, a in enumerate(final)]


TWO = [("p", "en"), ("p", "es")]


def test_calm_prefers_the_majority_over_languages_and_samples():
    here = voting("en", "12", "12", "12") + voting("es", "7", "30", "12", "7")  # 12: 4 of 7, 7: 2, 30: 1
    found = calm(here, TWO)
    assert found.found["majority"] == {"p": "12"}
    assert found.pairs == [Pair("p", "es", ("es", 2), ("es", 1), 4 / 7, 1 / 7, 4 / 7 - 1 / 7)]
    assert found.reasons == {("p", "en"): "unanimous"}
    assert sides(calm(here, TWO, rejected="first")) == [(2, 0)]
    assert sides(calm(here, TWO, rejected="each")) == [(2, 0), (2, 1), (2, 3)]


def test_calm_as_published_takes_the_last_consistent_answer_of_any_language():
    here = voting("en", "12", "12", "7") + voting("es", "7", "12", "12")
    found = calm(here, TWO, chosen_from="all", rejected="each", ties="first")
    assert [(p.language, p.chosen, p.rejected) for p in found.pairs] == [
        ("en", ("es", 2), ("en", 2)),
        ("es", ("es", 2), ("es", 0)),
    ]


def test_calm_when_votes_tie():
    here = voting("en", "7", "12") + voting("es", "12", "7")
    assert calm(here, TWO).reasons == dict.fromkeys(TWO, "tied_vote")
    found = calm(here, TWO, ties="first")
    assert found.found["majority"] == {"p": "7"}  # English comes first
    assert sides(found) == [(0, 1), (1, 0)]


def test_calm_says_why_there_is_no_pair():
    here = voting("en", "12", "12", "12") + voting("es", "7", "30", None)
    assert calm(here, TWO).reasons == {("p", "en"): "unanimous", ("p", "es"): "no_consistent_answer"}
    assert calm(voting("es", None, None), ES).reasons == {("p", "es"): "no_vote"}
    assert calm(voting("en", "1", "2") + voting("es", None, None), TWO).reasons == {
        ("p", "en"): "tied_vote",
        ("p", "es"): "no_vote",
    }
    assert calm(voting("es", "7"), ES).reasons == {("p", "es"): "one_answer"}


def test_calm_an_answer_without_text_or_final_answer_has_no_vote():
    here = [*voting("es", "12", "7", "7", None), answer(4, text=" ", answer="12")]
    assert calm(here, ES).found["majority"] == {"p": "7"}


# All of them on the fixed inputs


METHODS = {
    "icr": lambda answers: icr(answers, SLOTS),
    "icr, no length control": lambda answers: icr(answers, SLOTS, length_control=False),
    "croco": lambda answers: croco(answers, SLOTS),
    "croco, q1": lambda answers: croco(answers, SLOTS, target="q1"),
    "croco, min": lambda answers: croco(answers, SLOTS, target="min"),
    "croco, all": lambda answers: croco(answers, SLOTS, pool="all"),
    "lacomsa": lambda answers: lacomsa(answers, SLOTS),
    "cm_align": lambda answers: cm_align(answers, SLOTS),
    "cm_align, final answers": lambda answers: cm_align(answers, SLOTS, by_final_answer),
    "calm": lambda answers: calm(answers, SLOTS),
}


@cache
def run(name):
    return METHODS[name](fixed_answers())


@pytest.mark.parametrize("name", METHODS)
def test_each_slot_has_one_pair_or_one_reason(name):
    found = run(name)
    paired = [(pair.prompt_id, pair.language) for pair in found.pairs]
    assert sorted([*paired, *found.reasons]) == sorted(SLOTS)
    assert all(pair.margin > 0 for pair in found.pairs)
    assert len(found.pairs) >= 25


@pytest.mark.parametrize("name", METHODS)
def test_the_order_of_the_rows_does_not_matter(name):
    rows = fixed_answers()
    shuffled = random.Random(5).sample(rows, len(rows))
    assert METHODS[name](shuffled) == run(name)


def test_the_fixed_inputs_are_fixed_and_hold_every_reason():
    assert fixed_answers() == fixed_answers()
    reasons = {reason for name in METHODS for reason in run(name).reasons.values()}
    assert reasons == {
        "no_response", "empty_response", "one_answer", "no_score", "equal_scores", "identical",
        "pair_in_another_language", "reference_language", "no_reference",
        "no_vote", "tied_vote", "unanimous", "no_consistent_answer",
    }  # fmt: skip


def test_length_control_has_something_to_do_on_the_fixed_inputs():
    rows = fixed_answers()
    length = {(a["prompt_id"], a["language"], a["sample"]): len(a["text"]) for a in rows}

    def longer(found, language):
        pairs = [p for p in found.pairs if p.language == language]
        return sum(length[p.prompt_id, *p.chosen] - length[p.prompt_id, *p.rejected] for p in pairs) / len(pairs)

    with_it, without = run("icr"), run("icr, no length control")
    penalties = with_it.found["penalty"]
    assert len(set(penalties.values())) == len(LANGUAGES)
    for language in LANGUAGES:
        assert abs(longer(with_it, language)) <= abs(longer(without, language))
    assert longer(without, "de") > 60 > 10 > abs(longer(with_it, "de"))


def test_how_the_grid_is_written_does_not_change_the_pairs():
    """0.001 * 207 is not 207 / 1000: on the fixed inputs the pairs are the same."""
    rows = fixed_answers()
    for language, penalty in run("icr").found["penalty"].items():
        divided = round(penalty * 1000) / 1000
        own = [a for a in rows if a["language"] == language and a["scores"].get("implicit") is not None]
        for prompt_id in {a["prompt_id"] for a in own}:
            pool = [(a, a["scores"]["implicit"]) for a in own if a["prompt_id"] == prompt_id]
            one, other = (best_and_worst(length_controlled(pool, p)) for p in (penalty, divided))
            assert [side[0]["sample"] for side in one] == [side[0]["sample"] for side in other]
