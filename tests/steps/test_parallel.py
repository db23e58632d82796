"""Prompts in one language, translated by the policy: what is kept, what is dropped and why, what is published."""

from __future__ import annotations

import json

import polars as pl
import pytest

import lidr
from lidr.cli.main import main
from lidr.errors import PlanError
from lidr.store import Journal
from tests.publishing import finished
from tests.scripted import NAMES, TOPICS, write_answers, write_world
from tests.steps.helpers import record_of, rows_of

TRANSLATE = "translate: {max_tokens: 80, check_language: false}"


def one_language(folder, *first):
    """The scripted world with English prompts alone, in one CSV; the policy translates them."""
    recipe = write_world(folder)
    said = "{}: tell me about {}\n"
    rules = [
        {
            "match": f"into {name}\\..*{said.format('English', topic)}",
            "text": said.format(name, topic) + "</translated>",
        }
        for name in (NAMES["es"], NAMES["de"])
        for topic in TOPICS
    ]
    write_answers(folder / "answers.jsonl", first=(*first, *rules))
    rows = [json.loads(line) for line in (folder / "prompts/en.jsonl").read_text().splitlines()]
    pl.DataFrame(rows).rename({"instruction": "prompt"}).write_csv(folder / "mine.csv")
    text = recipe.read_text().replace(f"source: {folder}/prompts,", f"source: {folder}/mine.csv, {TRANSLATE},")
    recipe.write_text(text)
    return recipe


FAILS = {"match": "into German\\..*English: tell me about rain\n", "text": "</translated>"}


def test_prompts_in_one_language_become_those_of_all(tmp_path):
    given = rows_of(write_world(tmp_path / "given"), "iter_1/prompts")
    assert rows_of(one_language(tmp_path / "one"), "iter_1/prompts").equals(given)


def test_a_prompt_that_is_not_translated_is_dropped_with_a_reason_for_each_language(tmp_path):
    recipe = one_language(tmp_path / "w", FAILS)
    assert "p1" not in rows_of(recipe, "iter_1/prompts")["prompt_id"].to_list()
    dropped = rows_of(recipe, "iter_1/prompts", part="dropped")
    assert dropped.select("prompt_id", "language", "other_language", "kind", "reason", "detail").rows() == [
        ("p1", "en", "es", "dominant", "untranslated_prompt", "es ok; the prompt is dropped for de empty"),
        ("p1", "es", "en", "non_dominant", "untranslated_prompt", "es ok; the prompt is dropped for de empty"),
        ("p1", "en", "de", "dominant", "untranslated_prompt", "de empty"),
        ("p1", "de", "en", "non_dominant", "untranslated_prompt", "de empty"),
    ]
    counts = record_of(recipe, "iter_1/parallel").counts
    assert counts["directions"]["en->de"] | {"ok": 3, "empty": 1} == counts["directions"]["en->de"]


def test_what_is_empty_or_repeated_is_not_translated_and_dropped_as_ever(tmp_path):
    recipe = one_language(tmp_path / "w")
    (tmp_path / "w/mine.csv").write_text("id,prompt\np0,English: tell me about bees\np1, \np2,English: tell me about "
                                         "bees\np3,English: tell me about maps\n")  # fmt: skip
    asked = rows_of(recipe, "iter_1/parallel")
    assert asked["prompt_id"].unique().sort().to_list() == ["p0", "p3"]
    dropped = rows_of(recipe, "iter_1/prompts", part="dropped")
    assert dropped.select("prompt_id", "detail").unique(maintain_order=True).rows() == [
        ("p1", "empty in en"),
        ("p2", "the same text in en as p0"),
    ]


def test_a_killed_step_goes_on_with_the_answers_that_it_has(tmp_path, monkeypatch):
    recipe = lidr.load_recipe(one_language(tmp_path / "w"))
    folder = lidr.plan(recipe).version_folder / "iter_1/parallel"
    kept, add = [], Journal.add

    def ended(journal, key, row):
        if len(kept) == 3:
            raise KeyboardInterrupt
        kept.append(key)
        add(journal, key, row)

    monkeypatch.setattr(Journal, "add", ended)
    with pytest.raises(KeyboardInterrupt):
        lidr.run(recipe, until="parallel")
    assert next(step.state for step in lidr.plan(recipe).steps if step.name == "parallel") == "resumes"
    asked = []
    monkeypatch.setattr(Journal, "add", lambda journal, key, row: (asked.append(key), add(journal, key, row)))
    lidr.run(
        lidr.load_recipe(tmp_path / "w/recipe.yaml", overrides=["iterations=[{prompts: '0:4'}]"]), until="parallel"
    )
    assert (len(asked), set(asked) & set(kept)) == (5, set())
    assert pl.read_parquet(folder / "data/*.parquet").height == 8


def test_plan_names_the_step_and_only_such_a_recipe_has_it(tmp_path, capsys):
    recipe = one_language(tmp_path / "w")
    assert main(["plan", str(recipe)]) == 0
    assert "parallel" in capsys.readouterr().out
    given = lidr.plan(lidr.load_recipe(write_world(tmp_path / "given")))
    assert "parallel" not in {step.name for step in given.steps}


def test_the_end_of_a_run_says_where_translated_prompts_lie(tmp_path, capsys):
    assert main(["run", str(one_language(tmp_path / "w")), "--until", "prompts", "--quiet"]) == 0
    (line,) = [line for line in capsys.readouterr().out.splitlines() if line.startswith("translated prompts ")]
    assert pl.read_parquet(line.split()[2]).height == 16


def test_what_counts_as_translated_is_chosen_without_asking_again(tmp_path):
    recipe = one_language(tmp_path / "w", FAILS)
    lidr.run(lidr.load_recipe(recipe), until="prompts")
    planned = lidr.plan(lidr.load_recipe(recipe, overrides=["prompts.translate.accept=[ok]"]))
    states = {step.name: step.state for step in planned.steps if step.iteration == 1}
    assert (states["parallel"], states["prompts"]) == ("cached", "drifted")


def test_who_translates_is_named_and_must_be_there(tmp_path):
    recipe = one_language(tmp_path / "w")
    with pytest.raises(PlanError, match="nowhere"):
        lidr.run(lidr.load_recipe(recipe, overrides=["prompts.translate={by: {file: nowhere.jsonl}}"]))


def test_a_file_of_translations_makes_prompts_parallel(tmp_path):
    recipe = one_language(tmp_path / "w")
    lines = [
        {"prompt_id": f"p{i}", "source": "en", "target": code, "text": f"{NAMES[code]}: tell me about {topic}"}
        for i, topic in enumerate(TOPICS)
        for code in ("es", "de")
    ]
    (tmp_path / "t.jsonl").write_text("".join(json.dumps(line) + "\n" for line in lines))
    by = f"prompts.translate={{check_language: false, by: {{file: {tmp_path}/t.jsonl, license: cc-by-4.0}}}}"
    assert rows_of(recipe, "iter_1/prompts", by).equals(rows_of(write_world(tmp_path / "given"), "iter_1/prompts"))


def test_the_translations_are_published_with_the_candidates(tmp_path):
    from lidr.release.candidates import candidates

    run = finished(one_language(tmp_path / "w", FAILS))
    rows = pl.concat([pl.DataFrame(table) for table in candidates(run, 1)]).filter(kind="prompt_translation")
    assert rows.group_by("language", "status").len().sort("language", "status").rows() == [
        ("de", "empty", 1), ("de", "ok", 3), ("es", "ok", 4)]  # fmt: skip
    assert rows["source"].unique().to_list() == ["en"]


def test_who_reads_the_pairs_is_told_that_the_policy_translated_their_prompts(tmp_path):
    from lidr.release import Destinations, staged
    from lidr.report.html.html_page import page
    from lidr.report.run_state import run_state_of

    def card(run):
        with staged(run, Destinations("me/pairs", None), what="pairs") as files:
            return files.card(None)

    run = finished(one_language(tmp_path / "w"))
    said = "The prompts were given in en alone: those in es, de are translations by the first policy itself"
    assert said in card(run)
    html = page(run_state_of(run.recipe))
    shown = [article for article in html.split("<article")[1:] if "own answer" in article]
    assert shown
    for article in shown:
        is_given = 'data-language="en"' in article
        assert ("prompt translated by the policy" in article) is not is_given
        assert "English: tell me about" in article
    given = finished(write_world(tmp_path / "given"))
    assert "translations by" not in card(given)
    assert "prompt translated" not in page(run_state_of(given.recipe))
