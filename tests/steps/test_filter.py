from __future__ import annotations

import lidr
from lidr.rows import Pair
from tests.scripted import write_answers, write_world
from tests.steps.helpers import rows_of


def test_a_pair_goes_to_the_dropped_rows_with_the_measured_value(tmp_path):
    recipe = write_world(tmp_path)
    write_answers(
        tmp_path / "answers.jsonl",
        first=({"match": "into Spanish.*bees in English", "text": "bees " * 60 + "\n</translated>"},),
    )
    kept = rows_of(recipe, "iter_1/filter")
    dropped = rows_of(recipe, "iter_1/filter", part="dropped")
    assert kept.height == 15
    assert kept.columns == Pair.schema.names
    (row,) = dropped.rows(named=True)
    assert (row["prompt_id"], row["language"], row["kind"], row["step"]) == ("p0", "es", "non_dominant", "filter")
    assert row["reason"] == "length_ratio"
    assert "times as long as rejected" in row["detail"]


def test_without_settings_every_pair_passes(tmp_path):
    recipe = write_world(tmp_path)
    text = recipe.read_text().replace("  - filter: {length_ratio: {min: 0.2, max: 5.0}}", "  - filter")
    recipe.write_text(text)
    assert rows_of(recipe, "iter_1/filter").height == 16


def test_a_ratio_whose_bounds_are_swapped_is_refused(tmp_path):
    import pytest

    from lidr.errors import RecipeError

    recipe = write_world(tmp_path)
    with pytest.raises(RecipeError, match=r"filter.length_ratio.min: min 5.0 must be below max 0.2"):
        lidr.load_recipe(recipe, overrides=["chain.filter.length_ratio={min: 5.0, max: 0.2}"])


def test_translations_are_held_against_the_answers_that_they_translate(tmp_path):
    recipe = write_world(tmp_path)
    write_answers(
        tmp_path / "answers.jsonl",
        first=({"match": "into Spanish.*bees in English", "text": "Las abejas " * 60 + "\n</translated>"},),
    )
    text = recipe.read_text().replace(
        "  - filter: {length_ratio: {min: 0.2, max: 5.0}}", "  - filter: {translation_length: {}, lost_question: true}"
    )
    recipe.write_text(text)
    dropped = rows_of(recipe, "iter_1/filter", part="dropped")
    found = {(row["prompt_id"], row["language"], row["reason"]) for row in dropped.rows(named=True)}
    assert ("p0", "es", "translation_length") in found
    assert "times as long as translations en -> es are" in dropped.filter(reason="translation_length")["detail"][0]


def test_settings_that_are_not_used_leave_the_fingerprint_and_unmeasured_languages_are_refused(tmp_path):
    import pytest

    from lidr.errors import PlanError
    from lidr.steps.filter import FilterConfig, TranslationLength, identity_filter

    assert not {"translation_length", "lost_question"} & set(identity_filter(FilterConfig()))
    used = identity_filter(FilterConfig(translation_length=TranslationLength(), lost_question=True))
    assert {"translation_length", "lost_question"} <= set(used)
    recipe = write_world(tmp_path)
    (tmp_path / "prompts" / "es.jsonl").rename(tmp_path / "prompts" / "sw.jsonl")
    text = recipe.read_text().replace("others: [es, de]", "others: [sw, de]")
    recipe.write_text(text.replace("{length_ratio: {min: 0.2, max: 5.0}}", "{translation_length: {}}"))
    with pytest.raises(PlanError, match=r"no length for sw; measured: en, de, .*characters: \{sw: 1\.1\}"):
        lidr.plan(lidr.load_recipe(recipe))
