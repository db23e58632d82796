from __future__ import annotations

from typing import get_args

import polars as pl
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from lidr.errors import RowError
from lidr.rows import TRANSLATION_STATUSES, FinishReason
from lidr.transforms.pairs import PairResult, PairRules, build_pairs, pick, reasons_of
from tests.transforms.plain_pairs import Answer, Moved, slots_of_one_prompt

BEES = {"en": "What do bees make?", "es": "¿Qué hacen las abejas?", "de": "Was stellen Bienen her?"}
ANSWERS = {
    "en": Answer("Bees make honey and wax. They store honey as winter food."),
    "es": Answer("Las abejas hacen miel."),
    "de": Answer("Bees make honey."),
}
MOVED = {
    ("en", "es"): Moved("Las abejas hacen miel y cera. Guardan la miel como alimento para el invierno."),
    ("en", "de"): Moved("Bienen stellen Honig und Wachs her. Sie lagern Honig als Winternahrung."),
    ("es", "en"): Moved("Bees make honey."),
    ("de", "en"): Moved("Bees make honey."),
}
RULES = PairRules("en", ("es", "de"))


def tables(world):
    """world: {prompt_id: (texts, answers, moved)} -> the three tables."""
    prompts, responses, translations = [], [], []
    for prompt_id, (texts, answers, moved) in world.items():
        prompts += [(prompt_id, language, text) for language, text in texts.items()]
        responses += [(prompt_id, language, a.text, a.finish) for language, a in answers.items()]
        translations += [(prompt_id, s, t, m.text, m.status) for (s, t), m in moved.items()]
    return (
        pl.DataFrame(prompts, schema=["prompt_id", "language", "text"], orient="row"),
        frame(responses, ["prompt_id", "language", "text", "finish_reason"]),
        frame(translations, ["prompt_id", "source", "target", "text", "status"]),
    )


def frame(rows, names):
    return pl.DataFrame(rows, schema=dict.fromkeys(names, pl.String), orient="row")


def built(result: PairResult):
    columns = ["language", "other_language", "prompt_text", "chosen_text", "rejected_text"]
    return result.pairs.select(columns).rows()


def reasons(result: PairResult):
    return {(row["language"], row["other_language"]): row["reason"] for row in result.dropped.iter_rows(named=True)}


def test_the_worked_example_gives_the_four_pairs_of_the_method():
    result = build_pairs(*tables({"bees": (BEES, ANSWERS, MOVED)}), rules=RULES)
    assert built(result) == [
        ("en", "es", BEES["en"], ANSWERS["en"].text, "Bees make honey."),
        ("es", "en", BEES["es"], MOVED["en", "es"].text, ANSWERS["es"].text),
        ("en", "de", BEES["en"], ANSWERS["en"].text, "Bees make honey."),
        ("de", "en", BEES["de"], MOVED["en", "de"].text, "Bees make honey."),
    ]
    assert result.dropped.is_empty()
    assert result.pairs["chosen_key"].to_list() == ["bees/en", "bees/en->es", "bees/en", "bees/en->de"]
    assert result.pairs["rejected_key"].to_list() == ["bees/es->en", "bees/es", "bees/de->en", "bees/de"]


def test_joint_drop_takes_both_pairs_of_a_failed_direction_and_independent_drop_one():
    moved = {**MOVED, ("de", "en"): Moved("", "truncated")}
    world = tables({"bees": (BEES, ANSWERS, moved)})
    joint = build_pairs(*world, rules=RULES)
    assert reasons(joint) == {("en", "de"): "translation_truncated", ("de", "en"): "other_direction_failed"}
    assert joint.dropped["detail"].to_list() == [None, "translation_truncated"]
    independent = build_pairs(*world, rules=PairRules("en", ("es", "de"), drop="independent"))
    assert reasons(independent) == {("en", "de"): "translation_truncated"}
    assert independent.pairs.height == 3


def test_equal_chosen_and_rejected_carry_no_signal_and_are_dropped():
    moved = {**MOVED, ("es", "en"): Moved(ANSWERS["en"].text)}
    result = build_pairs(*tables({"bees": (BEES, ANSWERS, moved)}), rules=RULES)
    assert reasons(result) == {("en", "es"): "identical"}


@pytest.mark.parametrize(
    ("answer", "back"),
    [
        ("Ciao.\n", "Ciao."),
        ("Ciao.", "Ciao.\n"),
        ("\u3000Ciao.", "Ciao. "),
        ("Ciao.\u200b", "\ufeffCiao."),
        ("Ci\u00adao,\xa0tu.\r\n- a", "Ciao, tu.\n- a"),
        ("Perche\u0301?", "Perch\u00e9?"),
    ],
)
def test_texts_that_differ_in_white_space_and_unseen_marks_alone_are_identical(answer, back):
    answers, moved = {**ANSWERS, "en": Answer(answer)}, {**MOVED, ("es", "en"): Moved(back)}
    result = build_pairs(*tables({"bees": (BEES, answers, moved)}), rules=RULES)
    assert reasons(result) == {("en", "es"): "identical"}
    (kept,) = [row for row in built(result) if row[:2] == ("en", "de")]
    assert kept[3] == answer.strip("\n\u3000\u200b"), "the inside of what is kept stays as it was answered"


@pytest.mark.parametrize("end", ["\n", " ", "\u200b", "\r\n\u2028", "\ufeff"])
def test_white_space_at_an_end_tells_no_side_of_a_pair(end):
    answers = {code: Answer(f"{end}{answer.text}{end}") for code, answer in ANSWERS.items()}
    result = build_pairs(*tables({"bees": (BEES, answers, MOVED)}), rules=RULES)
    assert built(result) == built(build_pairs(*tables({"bees": (BEES, ANSWERS, MOVED)}), rules=RULES))


@pytest.mark.parametrize("blank", ["\u200b", "\ufeff \n", "\u00ad\u2060", "\u3164", "\u2800", "\ufe0f", "\x00"])
def test_an_answer_in_which_nothing_is_seen_is_empty(blank):
    result = build_pairs(*tables({"bees": (BEES, {**ANSWERS, "es": Answer(blank)}, MOVED)}), rules=RULES)
    assert reasons(result)["es", "en"] == "empty_response"


def test_answers_and_translations_that_stand_twice_are_refused_and_not_counted_into_more_pairs():
    prompts, responses, translations = tables({"bees": (BEES, ANSWERS, MOVED)})
    with pytest.raises(RowError, match=r"^3 answers stand more than once; the first: bees in de, 2 times\. Give each"):
        build_pairs(prompts, pl.concat([responses, responses]), translations, rules=RULES)
    once_more = pl.concat([translations, translations.head(1)])
    with pytest.raises(
        RowError, match=r"^1 translations stand more than once; the first: bees from en into es, 2 times\. Give each"
    ):
        build_pairs(prompts, responses, once_more, rules=RULES)


TRANSLATE = {"en": "Translate the phrase into French: I am hungry", "es": "Traduce la frase al francés: tengo hambre"}
TRANSLATE_ANSWERS = {"en": Answer("J'ai faim"), "es": Answer("Je mange")}
TRANSLATE_MOVED = {("en", "es"): Moved("Tengo hambre"), ("es", "en"): Moved("I eat")}


@pytest.mark.parametrize(
    ("policy", "chosen"), [("keep_source", ["J'ai faim"]), ("translate", ["Tengo hambre"]), ("skip", [])]
)
def test_a_prompt_that_asks_for_a_translation_follows_the_recipes_policy(policy, chosen):
    rules = PairRules("en", ("es",), bound=frozenset({"t"}), translation_type=policy)
    result = build_pairs(*tables({"t": (TRANSLATE, TRANSLATE_ANSWERS, TRANSLATE_MOVED)}), rules=rules)
    non_dominant = result.pairs.filter(pl.col("kind") == "non_dominant")
    assert non_dominant["chosen_text"].to_list() == chosen
    assert result.pairs.filter(pl.col("kind") == "dominant").height == 1
    expected = ["translation_type: skip"] if policy == "skip" else []
    assert result.not_requested["reason"].to_list() == expected


def test_dominant_pairs_one_keeps_one_language_a_prompt_and_spreads_over_the_languages():
    world = {str(i): (BEES, ANSWERS, MOVED) for i in range(40)}
    result = build_pairs(*tables(world), rules=PairRules("en", ("es", "de"), dominant_pairs="one"))
    dominant = result.pairs.filter(pl.col("kind") == "dominant")
    assert dominant["prompt_id"].n_unique() == dominant.height == 40
    assert set(dominant["other_language"]) == {"es", "de"}
    assert result.not_requested["reason"].to_list() == ["dominant_pairs: one"] * 40


def test_the_pick_of_one_language_is_the_same_on_every_machine():
    assert [pick(f"bees-{i}", ("es", "de", "fr"), 42) for i in range(4)] == ["de", "es", "de", "fr"]


def test_a_truncated_answer_may_stand_or_go_by_the_recipe():
    answers = {**ANSWERS, "es": Answer("Las abejas", "length")}
    world = tables({"bees": (BEES, answers, MOVED)})
    assert build_pairs(*world, rules=RULES).dropped.is_empty()
    dropped = build_pairs(*world, rules=PairRules("en", ("es", "de"), truncated="drop"))
    assert reasons(dropped) == {("es", "en"): "truncated_response"}


def test_a_prompt_missing_in_a_language_is_an_error_that_names_it():
    texts = {"en": "What do bees make?", "es": "¿Qué hacen las abejas?"}
    with pytest.raises(RowError, match=r"1 prompts do not stand exactly once in each of en, es, de; the first: bees\."):
        build_pairs(*tables({"bees": (texts, ANSWERS, MOVED)}), rules=RULES)


@pytest.mark.parametrize("missing", [None, "de"])
def test_a_prompt_twice_in_one_language_is_refused_also_where_it_makes_up_for_another(missing):
    prompts, answers, moved = tables({"bees": (BEES, ANSWERS, MOVED)})
    rows = pl.DataFrame(prompts)
    twice = pl.concat([rows.filter(pl.col("language") != (missing or "")), rows.filter(pl.col("language") == "es")])
    with pytest.raises(RowError, match=r"1 prompts do not stand exactly once in each of en, es, de; the first: bees\."):
        build_pairs(twice, answers, moved, rules=RULES)


@pytest.mark.parametrize("languages", [["en", "es", "de", "es"], ["en", "es", "es"], ["en", "en", "es"]])
def test_a_prompt_that_stands_twice_in_a_language_is_refused_complete_or_not(languages):
    _, responses, translations = tables({"bees": ({}, ANSWERS, MOVED)})
    prompts = pl.DataFrame({"prompt_id": ["bees"] * len(languages), "language": languages, "text": languages})
    with pytest.raises(RowError, match=r"^1 prompts do not stand exactly once in each of .*; the first: bees\."):
        build_pairs(prompts, responses, translations, rules=RULES)


def test_a_prompt_that_is_bound_goes_where_the_recipe_says_whatever_was_detected():
    rules = PairRules("en", ("es",), bound=frozenset({"b"}), detected={"c": "skip", "b": "skip", "a": "skip"})
    assert (rules.are_sent_to("skip"), rules.are_sent_to("keep_source")) == (["a", "c"], ["b"])


def test_the_reasons_of_the_rules_are_those_for_which_they_can_drop():
    refused = [f"translation_{status}" for status in TRANSLATION_STATUSES if status not in ("ok", "truncated")]
    rules = PairRules("en", ("es",), drop="independent", truncated="drop", accept=("ok", "truncated"))
    own = set(reasons_of(rules))
    assert {"truncated_response", "empty_response", "prompt_too_long", "identical", *refused} <= own
    assert not own & {"other_direction_failed", "translation_truncated", "translation_ok"}
    assert set(reasons_of(PairRules("en", ("es",)))) - own == {"other_direction_failed", "translation_truncated"}
    assert own - set(reasons_of(PairRules("en", ("es",)))) == {"truncated_response"}


def test_of_many_prompts_that_are_missing_the_first_five_are_named():
    texts = {"en": "What do bees make?", "es": "¿Qué hacen las abejas?"}
    incomplete = {f"p{number}": (texts, ANSWERS, MOVED) for number in (6, 5, 4, 3, 2, 1)}
    with pytest.raises(RowError, match=r"^6 prompts do not .*; the first: p1, p2, p3, p4, p5\. Give every prompt"):
        build_pairs(*tables(incomplete), rules=RULES)


@pytest.mark.parametrize(
    "text", ["مرحبا بالعالم", "こんにちは。", "สวัสดี", "e\u0301te\u0301", "𝄞 clef", "a" * 1_000_000]
)
def test_any_script_and_length_passes_unchanged(text):
    texts, answers = {"en": text, "ar": text}, {"en": Answer(text + "1"), "ar": Answer(text + "2")}
    moved = {("en", "ar"): Moved(text + "3"), ("ar", "en"): Moved(text + "4")}
    result = build_pairs(*tables({"x": (texts, answers, moved)}), rules=PairRules("en", ("ar",)))
    assert built(result) == [("en", "ar", text, text + "1", text + "4"), ("ar", "en", text, text + "3", text + "2")]


LANGUAGES = ("en", "es", "de", "fr")
texts = st.sampled_from(["honey", "honey\n", " honey", "wax", "miel", " ", ""])
answer = st.none() | st.builds(Answer, texts, st.sampled_from(get_args(FinishReason)))
moved_text = st.none() | st.builds(Moved, texts, st.sampled_from(TRANSLATION_STATUSES))


POLICIES = ["keep_source", "skip", "translate"]


@st.composite
def worlds(draw):
    others = LANGUAGES[1 : 1 + draw(st.integers(1, 3))]
    languages = ("en", *others)
    directions = [("en", xx) for xx in others] + [(xx, "en") for xx in others]
    world = {}
    for number in range(draw(st.integers(1, 4))):
        answers = {language: a for language in languages if (a := draw(answer)) is not None}
        moved = {direction: m for direction in directions if (m := draw(moved_text)) is not None}
        world[f"p{number}"] = ({language: f"{language} {number}" for language in languages}, answers, moved)
    rules = PairRules(
        "en",
        others,
        dominant_pairs=draw(st.sampled_from(["all", "one", "none"])),
        drop=draw(st.sampled_from(["joint", "independent"])),
        bound=frozenset(draw(st.sets(st.sampled_from(sorted(world))))),
        translation_type=draw(st.sampled_from(POLICIES)),
        accept=tuple(draw(st.sets(st.sampled_from(TRANSLATION_STATUSES), min_size=1))),
        truncated=draw(st.sampled_from(["keep", "drop"])),
        seed=draw(st.integers(0, 5)),
        one=draw(st.sampled_from(["hash", "last"])),
        detected=draw(st.dictionaries(st.sampled_from(sorted(world)), st.sampled_from(POLICIES))),
    )
    return world, rules


def as_slots(result: PairResult, dominant: str):
    slots = {}
    for row in result.pairs.iter_rows(named=True):
        slots[slot(row, dominant)] = ("pair", row["prompt_text"], row["chosen_text"], row["rejected_text"])
    for row in result.dropped.iter_rows(named=True):
        assert slot(row, dominant) not in slots
        slots[slot(row, dominant)] = ("dropped", row["reason"])
    for row in result.not_requested.iter_rows(named=True):
        assert slot(row, dominant) not in slots
        slots[slot(row, dominant)] = ("not requested", row["reason"])
    return slots


def slot(row, dominant):
    other = row["other_language"] if row["kind"] == "dominant" else row["language"]
    assert {row["language"], row["other_language"]} == {dominant, other}
    return row["prompt_id"], other, row["kind"]


@settings(max_examples=150, deadline=None)
@given(worlds(), st.randoms(use_true_random=False))
def test_the_columnar_algebra_equals_the_plain_one_on_random_tables_in_any_order(world_and_rules, random):
    world, rules = world_and_rules
    expected = {
        (prompt_id, *place): outcome
        for prompt_id, (prompt_texts, answers, moved) in world.items()
        for place, outcome in slots_of_one_prompt(
            prompt_id,
            prompt_texts,
            answers,
            moved,
            d="en",
            others=rules.others,
            dominant_pairs=rules.dominant_pairs,
            drop=rules.drop,
            is_bound=prompt_id in rules.bound or prompt_id in rules.detected,
            translation_type=(
                rules.translation_type
                if prompt_id in rules.bound
                else rules.detected.get(prompt_id, rules.translation_type)
            ),
            one=rules.one,
            accept=rules.accept,
            truncated=rules.truncated,
            seed=rules.seed,
        ).items()
    }
    plain_tables = tables(world)
    result = build_pairs(*plain_tables, rules=rules)
    assert as_slots(result, "en") == expected
    assert len(expected) == 2 * len(world) * len(rules.others)  # built + dropped + not requested = 2 N L
    seed = random.randrange(1000)
    shuffled = (table.sample(fraction=1.0, shuffle=True, seed=seed) for table in plain_tables)
    assert as_slots(build_pairs(*shuffled, rules=rules), "en") == expected
    reordered = PairRules(**{**vars(rules), "others": rules.others[::-1]})
    if rules.dominant_pairs != "one":  # the pick of one language depends on their order
        assert as_slots(build_pairs(*plain_tables, rules=reordered), "en") == expected
