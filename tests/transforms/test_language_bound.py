from __future__ import annotations

import json

import polars as pl
import pytest

from lidr.errors import RowError
from lidr.steps.pair.language_bound_prompts import read_rules
from lidr.transforms.language_bound import BOUND_CLASSES, Rule, count_hits, detect, policy_of
from tests.transforms.language_bound import LANGUAGES, LISTS, RESULT, measure, verdicts

RULES = [
    Rule("translate", "translation", 1.0, r"\btranslat(e|es|ing)\b"),
    Rule("rhyme", "verse", 0.9, r"\brhym(e|es|ed|ing)\b"),
    Rule("poem", "verse", 0.4, r"\bpoems?\b"),
]


def test_each_hit_is_named_the_surest_is_the_score_and_only_sure_classes_are_found():
    texts = ["TRANSLATE this rhymed poem.", "Write a poem.", "Translations of a poet.", "", None]
    assert detect(pl.Series(texts), RULES, threshold=0.8).rows() == [
        (["translate", "rhyme", "poem"], 1.0, ["translation", "verse"]),
        (["poem"], 0.4, []),
        ([], 0.0, []),
        ([], 0.0, []),
        ([], 0.0, []),
    ]


def test_the_threshold_decides_which_rules_count():
    texts = pl.Series(["Write a poem.", "Write a rhyme."])
    classes = {t: detect(texts, RULES, threshold=t)["classes"].to_list() for t in (0.3, 0.8, 1.0)}
    assert classes == {0.3: [["verse"], ["verse"]], 0.8: [[], ["verse"]], 1.0: [[], []]}


def test_hits_are_counted_by_rule():
    assert count_hits(detect(pl.Series(["a poem", "poems that rhyme", "?"]), RULES, threshold=0.8)) == {
        "poem": 2,
        "rhyme": 1,
    }


def test_a_prompt_of_several_classes_is_sent_to_the_strictest_policy():
    policies = {"verse": "skip", "grammar": "translate"}
    assert policy_of(["translation"], policies, "keep_source") == "keep_source"
    assert policy_of(["grammar", "translation"], policies, "keep_source") == "keep_source"
    assert policy_of(["grammar", "verse", "translation"], policies, "keep_source") == "skip"
    assert policy_of(["grammar"], policies, "keep_source") == "translate"
    assert policy_of([], policies, "skip") == "translate"


def test_a_pattern_that_is_none_is_named():
    with pytest.raises(RowError, match=r"rule bad: '\(\?=x\)' is no regular expression .*no look-ahead"):
        detect(pl.Series(["x"]), [Rule("bad", "verse", 1.0, "(?=x)")], threshold=0.5)


@pytest.mark.parametrize("language", LANGUAGES)
def test_every_shipped_list_can_be_read_has_all_classes_and_patterns_that_work(language):
    rules = read_rules(LISTS / f"{language}.yaml")
    assert {rule.bound_class for rule in rules} == set(BOUND_CLASSES)
    assert detect(pl.Series(["x"]), rules, threshold=0.8)["rules"].to_list() == [[]]


def test_the_shipped_lists_are_those_that_are_measured():
    assert {path.stem for path in LISTS.glob("*.yaml")} == set(LANGUAGES)
    assert set(verdicts().values()) == {"bound", "partly", "free"}


@pytest.mark.parametrize(
    ("language", "text"),
    [
        ("en", "Translate the following phrase into French.\nI miss you"),
        ("de", "Übersetzen Sie den folgenden Satz ins Französische."),
        ("es", "¿Cómo se dice «honey» en español?"),
        ("fr", "Traduisez cette phrase en espagnol."),
        ("ru", "Переведите следующую фразу на французский язык."),
    ],
)
def test_a_request_to_translate_is_found_in_each_language(language, text):
    rules = read_rules(LISTS / f"{language}.yaml")
    assert detect(pl.Series([text]), rules, threshold=0.8)["classes"].to_list() == [["translation"]]


def test_what_is_committed_is_what_the_real_prompts_give(data_folder):
    measured = measure(data_folder)
    assert measured == json.loads(RESULT.read_text(encoding="utf-8"))
    assert measured["recall_of_the_authors_88"]["part"] == 88
    assert (
        measured["recall_of_those_among_the_2000"]["en"] | {"part": 17, "n": 17}
        == (measured["recall_of_those_among_the_2000"]["en"])
    )
    assert measured["precision_en"]["0.8"]["bound"]["low"] > 0.8
