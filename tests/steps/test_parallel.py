"""Prompts in one language, translated by the policy: what is kept, what is dropped and why, what is published."""

from __future__ import annotations

import json

import polars as pl
import pytest

import lidr
from lidr.cli.main import main
from lidr.errors import PlanError, RowError
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


@pytest.mark.parametrize(
    ("setting", "by"), [("file", "file: nowhere.jsonl"), ("model", "model: ./nowhere, engine: seq2seq")]
)
def test_who_translates_is_named_and_must_be_there(tmp_path, capsys, setting, by):
    translate = f"translate: {{by: {{{by}}}{', max_tokens: 80' if setting == 'model' else ''}}}"
    recipe = one_language(tmp_path / "w")
    overridden = lidr.load_recipe(recipe, overrides=[f"prompts.{translate.replace(': ', '=', 1)}"])
    with pytest.raises(PlanError, match=rf"^prompts\.translate\.by\.{setting}: .*nowhere"):
        lidr.run(overridden)
    recipe.write_text(recipe.read_text().replace(f"{TRANSLATE},", f"{translate},"))
    line = next(n for n, text in enumerate(recipe.read_text().splitlines(), start=1) if text.startswith("prompts:"))
    assert main(["validate", str(recipe)]) == 2
    said = capsys.readouterr().err
    assert f"recipe.yaml:{line}:" in said
    assert f"prompts.translate.by.{setting}: no" in said
    assert "chain[" not in said


def by_file(folder, targets=("es", "de"), ids=lambda i: f"p{i}", numbers=range(8), text=None):
    """The setting that takes translations of the scripted world's prompts from a file, which is written."""
    lines = [
        {
            "prompt_id": ids(i),
            "source": "en",
            "target": code,
            "text": text or f"{NAMES[code]}: tell me about {TOPICS[i]}",
        }
        for i in numbers
        for code in targets
    ]
    (folder / "t.jsonl").write_text("".join(json.dumps(line) + "\n" for line in lines))
    return f"prompts.translate={{check_language: false, by: {{file: {folder}/t.jsonl, license: cc-by-4.0}}}}"


def test_a_file_of_translations_makes_prompts_parallel(tmp_path):
    recipe = one_language(tmp_path / "w")
    by = by_file(tmp_path)
    assert rows_of(recipe, "iter_1/prompts", by).equals(rows_of(write_world(tmp_path / "given"), "iter_1/prompts"))


def test_a_file_of_translations_that_does_not_fit_the_prompts_is_named_before_anything_runs(tmp_path, capsys):
    recipe = one_language(tmp_path / "w")

    def said(by, *overrides):
        assert main(["validate", str(recipe), "--set", by, *overrides]) == 2
        line = next(line for line in capsys.readouterr().err.splitlines() if "t.jsonl" in line)
        with pytest.raises(PlanError, match=r"^prompts\.translate\.by\.file: ") as refused:
            lidr.plan(lidr.load_recipe(recipe, overrides=[by, *overrides[1::2]]))
        assert line.endswith(str(refused.value))
        return line.split("t.jsonl: ")[1]

    assert said(by_file(tmp_path, ["es"])) == "no translation en->de at all; it has en->es (8)"
    assert said(by_file(tmp_path, numbers=range(4))) == (
        "no prompt of 4:8 is translated into every language: en->es 0 of 4, en->de 0 of 4"
    )
    assert said(by_file(tmp_path, numbers=[])) == "no translation en->es, en->de at all; it has none"
    other = said(by_file(tmp_path, ids=lambda i: f"q{i}"))
    assert other == (
        "none of its ids (q0, q1, q2, q3, q4, ...) is an id of the prompts (p0, p1, p2, p3, p4, ...); give its lines "
        "the ids of the prompts as prompt_id"
    )
    mine = tmp_path / "w/mine.csv"
    mine.write_text(mine.read_text().replace("id,prompt", "qid,prompt"))
    keyed = said(by_file(tmp_path))
    assert keyed.startswith("none of its ids (p0, p1, p2, p3, p4, ...) is an id of the prompts (")
    assert keyed.endswith(", ...), which are made from their texts; give prompts.columns: {id: qid}")
    by = by_file(tmp_path)
    assert rows_of(recipe, "iter_1/prompts", by, "prompts.columns={id: qid}")["prompt_id"][0] == "p0"
    none = said(by_file(tmp_path, ids=lambda i: f"q{i}"))
    assert none.endswith(", ...), which are made from their texts; give its lines the ids of the prompts as prompt_id, "
                         "or the prompts a column of ids: prompts.columns: {id: COLUMN}")  # fmt: skip


def test_prompts_that_no_translation_counts_for_are_no_fault_of_their_own_file(tmp_path):
    recipe = one_language(tmp_path / "w")
    by = by_file(tmp_path, text=" ")
    with pytest.raises(RowError) as refused:
        rows_of(recipe, "iter_1/prompts", by)
    assert str(refused.value) == (
        "prompts 0:4: none can be used (untranslated_prompt 4): en->es empty 4, en->de empty 4; see the rows of "
        "iter_1/parallel, and mend prompts.translate.by.file"
    )


def test_a_translation_of_another_prompt_is_refused(tmp_path):
    recipe = one_language(tmp_path / "w")
    by = by_file(tmp_path)
    lines = [json.loads(line) for line in (tmp_path / "t.jsonl").read_text().splitlines()]
    (tmp_path / "t.jsonl").write_text("".join(json.dumps(line | {"source_text": "Another."}) + "\n" for line in lines))
    with pytest.raises(RowError, match=r"t.jsonl:1: p0/en->es translates another text than this prompt's"):
        rows_of(recipe, "iter_1/parallel", by)


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


def test_prompts_that_are_lost_in_translation_are_told_before_there_are_pairs(tmp_path, capsys):
    file = str(one_language(tmp_path / "w", FAILS))
    lost = "iter_1/prompts: 3 of 4 prompts are kept; gone: untranslated_prompt 1 (en->de empty 1)"
    commands = (["run", file, "--until", "prompts", "--quiet"], ["status", file], ["report", file])
    for words in commands:
        assert main(words) == 0
        assert lost in capsys.readouterr().out.splitlines()
    page = next((tmp_path / "w/runs/scripted/0.1.0").glob("report.html")).read_text()
    assert lost.replace(">", "&gt;") in page
    assert main(["run", file, "--quiet"]) == 0
    for words in commands[1:]:
        assert main(words) == 0
        assert lost not in capsys.readouterr().out  # the account of slots has them by now


def test_a_plan_counts_the_prompts_that_a_finished_step_kept(tmp_path, capsys):
    file = one_language(tmp_path / "w", FAILS)

    def work() -> dict[str, int]:
        return {step.place: step.expected.count for step in lidr.plan(lidr.load_recipe(file)).steps}

    before = work()
    lidr.run(lidr.load_recipe(file), until="prompts")
    after = work()
    counted = {place: (before[place], after[place]) for place in before if before[place] != after[place]}
    assert counted == {
        "iter_1/prompts": (4, 3),
        "iter_1/generate": (12, 9),
        "iter_1/translate": (16, 12),
        "iter_1/pair": (16, 12),
        "iter_1/filter": (16, 12),
    }


def test_a_plan_counts_the_pairs_that_a_finished_step_kept(tmp_path):
    file = one_language(tmp_path / "w", FAILS, {"match": "^German: tell me about bees$", "text": ""})
    lidr.run(lidr.load_recipe(file), until="pair")
    kept = sum(row["count"] for row in record_of(file, "iter_1/pair").counts["kept"])
    expected = {step.place: step.expected.count for step in lidr.plan(lidr.load_recipe(file)).steps}
    assert (expected["iter_1/pair"], expected["iter_1/filter"]) == (kept, kept)
    assert kept < 12
