"""measure on sampled answers: how often each scorer values the better of two answers more, before training."""

from __future__ import annotations

from itertools import combinations

import polars as pl
import pytest

import lidr
from lidr.cli.main import main
from lidr.errors import NegativeVerdict, PlanError
from lidr.report.finding_lines import measurement_tables
from lidr.store.artifact import open_artifact
from tests.scripted import write_answers
from tests.steps.test_measure import judge_server
from tests.steps.test_score import sampled_world

CHAIN = (
    "chain=[{{generate: {{n: 6, temperature: 0.9, max_tokens: 64}}}}, {{score: {{{scorers}}}}}, "
    "{{pair: {{from: scores, by: {by}}}}}, {{measure: {{{measure}}}}}{more}]"
)
SCORERS = "gold: {answers: FOLDER/gold}, language: {}, consistency: {}"


def chain(folder, measure="gold: FOLDER/gold", scorers=SCORERS, by="consistency", more="") -> str:
    text = CHAIN.format(scorers=scorers, by=by, measure=measure, more=f", {more}" if more else "")
    return text.replace("FOLDER", str(folder))


def run(recipe, *overrides):
    return lidr.run(lidr.load_recipe(recipe, overrides=["iterations=[{prompts: '0:4'}]", *overrides]))


def plain_accuracy(planned, scorer: str, referee: str, language: str) -> list[float]:
    """One prompt at a time: the share of pairs, one answer better than the other, that the scorer ranks rightly."""
    rows = pl.DataFrame(open_artifact(planned.version_folder / "iter_1/score").read()).filter(language=language)
    found = []
    for _, group in rows.group_by("prompt_id", maintain_order=True):
        value = {(one["sample"], one["scorer"]): one["value"] for one in group.iter_rows(named=True)}
        samples = sorted({sample for sample, _ in value})
        known = [s for s in samples if value[s, scorer] is not None and value[s, referee] is not None]
        said = []
        for a, b in combinations(known, 2):
            truth, guess = value[a, referee] - value[b, referee], value[a, scorer] - value[b, scorer]
            if truth:
                said.append(0.5 if not guess else float((truth > 0) == (guess > 0)))
        if said:
            found.append(sum(said) / len(said))
    return found


def accuracies(planned):
    counts = open_artifact(planned.version_folder / "iter_1/measure").record.counts
    return {(one["scorer"], one["referee"], one["language"]): one for one in counts["scorer_accuracy"]}


@pytest.mark.parametrize("measure", ["gold: FOLDER/gold", ""])
def test_each_scorer_is_held_against_gold_prompt_by_prompt_without_translations(tmp_path, measure):
    """The gold answers of `measure`; without them the values of the scorer `gold`."""
    recipe, _ = sampled_world(tmp_path)
    planned = run(recipe, chain(tmp_path, measure))
    found = accuracies(planned)
    assert {key[:2] for key in found} == {("language", "gold"), ("consistency", "gold")}  # gold is the referee itself
    for (scorer, referee, language), one in found.items():
        plain = plain_accuracy(planned, scorer, referee, language)
        assert one["n"] == len(plain)
        assert one["n"] + one["not_scored"] == 4
        assert one["value"] == (pytest.approx(sum(plain) / len(plain)) if plain else None)
        assert not plain or 0 <= one["low"] <= one["value"] <= one["high"] <= 1
    assert any(one["value"] not in (None, 0.5) for one in found.values())


def test_the_pairs_that_were_chosen_and_the_languages_are_measured_too(tmp_path):
    recipe, _ = sampled_world(tmp_path)
    counts = open_artifact(run(recipe, chain(tmp_path)).version_folder / "iter_1/measure").record.counts
    assert {one["kind"] for one in counts["reward_accuracy"]} == {"sampled"}
    off = {one["language"]: one for one in counts["numbers"] if one["test"] == "off_target"}
    assert set(off) == {"en", "es", "de"}
    assert off["es"]["value"] > 0  # some Spanish prompts are answered in English


def test_a_judge_marks_every_answer_once_and_is_a_referee(tmp_path):
    recipe, _ = sampled_world(tmp_path)
    sides = (
        "The bees in English. They make a lot of honey in the hive.",
        "Las bees in Spanish. Las abejas hacen mucha miel en la casa.",
    )
    rules = tuple({"match": f"{name}: tell me about", "texts": sides} for name in ("English", "Spanish", "German"))
    write_answers(tmp_path / "answers.jsonl", first=rules)
    with judge_server() as server:
        url = f'judge: {{model: "openai:j@http://127.0.0.1:{server.server_address[1]}/v1"}}'
        planned = run(recipe, chain(tmp_path, url, scorers="language: {}", by="language"))
    found = accuracies(planned)
    assert {key[:2] for key in found} == {("language", "judge")}
    marks = pl.DataFrame(open_artifact(planned.version_folder / "iter_1/measure").read()).filter(test="own_mark")
    assert set(marks["language"]) == {"en", "es", "de"}
    assert marks["value"].is_between(3, 9).all()  # of several answers the mean
    assert marks["value"].n_unique() > 2
    assert found["language", "judge", "en"]["value"] is not None


@pytest.mark.parametrize(
    ("measure", "says"),
    [
        ("round_trip: {max_tokens: 8}, gold: FOLDER/gold", r"measure\.round_trip: .* the chain has no translate"),
    ],
)
def test_what_needs_translations_says_so(tmp_path, measure, says):
    recipe, _ = sampled_world(tmp_path)
    with pytest.raises(PlanError, match=says):
        lidr.plan(lidr.load_recipe(recipe, overrides=[chain(tmp_path, measure)]))


def test_a_gate_stops_where_a_scorer_is_confidently_worse_than_it_must_be(tmp_path):
    """Spanish prompts: the right number stands in an English answer, and the scorer `language` likes the other."""
    recipe, _ = sampled_world(tmp_path)
    texts = ["That makes 3 of them in all.", "En total hay 7 abejas en la casa."]
    write_answers(tmp_path / "answers.jsonl", first=({"match": "Spanish: tell me about", "texts": texts},))
    eight, stop = "iterations=[{prompts: '0:8'}]", "gate: {scorer_signal: {act: stop, scorer: language}}"
    says = r"scorer_signal: reward accuracy of the scorer language by gold, es: 0\.000 \[0\.000, 0\.\d+\] of \d"
    with pytest.raises(NegativeVerdict, match=says):
        run(recipe, chain(tmp_path, more=stop), eight)
    quiet = run(recipe, chain(tmp_path, more=stop.replace("}}", ", below: 0.0}}")), eight, "version=0.2.0")
    record = open_artifact(quiet.version_folder / "iter_1/gate").record
    assert record.counts["quiet"] == ["scorer_signal"]
    assert record.counts["findings"] == 3


@pytest.mark.parametrize(
    ("more", "changes", "says"),
    [
        ("scorer: implicit", {}, r"gate\.scorer_signal\.scorer: implicit: .* it has gold, language, consistency"),
        ("scorer: gold", {}, r"gate\.scorer_signal\.scorer: gold is the referee"),
        ("", {"measure": "", "scorers": "language: {}", "by": "language"}, r"gate\.scorer_signal needs a referee"),
        (
            "",
            {"measure": "", "scorers": "gold: {answers: FOLDER/gold}", "by": "gold"},
            r"gate\.scorer_signal: gold is the referee, and is not held against itself; name another in score",
        ),
    ],
)
def test_a_gate_that_could_not_see_its_scorer_is_refused(tmp_path, more, changes, says):
    recipe, _ = sampled_world(tmp_path)
    gate = f"gate: {{scorer_signal: {{{more}}}}}"
    with pytest.raises(PlanError, match=says):
        lidr.plan(lidr.load_recipe(recipe, overrides=[chain(tmp_path, more=gate, **changes)]))


def test_a_gate_that_has_one_answer_to_look_at_is_refused(tmp_path):
    """Of two answers to a prompt in a language one is better: with one answer each the gate is silent for ever."""
    recipe, _ = sampled_world(tmp_path)
    one = (
        chain(tmp_path, more="gate: {scorer_signal: {}}")
        .replace("n: 6, ", "")
        .replace("scores, by", "scores, pool: all, by")
    )
    with pytest.raises(PlanError, match=r"gate\.scorer_signal compares answers to a prompt .* and generate\.n is 1"):
        lidr.plan(lidr.load_recipe(recipe, overrides=[one]))


def test_the_end_of_a_run_and_its_report_say_it(tmp_path, capsys):
    recipe, _ = sampled_world(tmp_path)
    words = ["--set", "iterations=[{prompts: '0:4'}]", "--set", chain(tmp_path)]
    assert main(["run", str(recipe), *words]) == 0
    said = capsys.readouterr().out
    assert "reward accuracy of the scorer consistency by gold" in said
    assert main(["report", str(recipe), "--out", str(tmp_path / "report.html"), *words]) == 0
    page = (tmp_path / "report.html").read_text(encoding="utf-8")
    assert "reward accuracy of the scorer language by gold" in page


@pytest.mark.parametrize(("by", "is_noted"), [("gold", True), ("consistency", False)])
def test_pairs_that_are_held_against_what_chose_them_are_noted_and_stand_beside_no_figure_of_the_paper(
    tmp_path, capsys, by, is_noted
):
    recipe, _ = sampled_world(tmp_path)
    over = chain(tmp_path, by=by)
    assert main(["plan", str(recipe), "--set", over, "--set", "iterations=[{prompts: '0:4'}]"]) == 0
    said = " ".join(capsys.readouterr().out.split())
    note = "measure.gold: the same gold answers chose the pairs (pair: {by: gold}), so their reward accuracy by gold is"
    assert (note in said) == is_noted
    (table,) = measurement_tables([open_artifact(run(recipe, over).version_folder / "iter_1/measure").record])
    papers = {row[0]: row[-1] for row in table.rows if row[0].startswith("reward accuracy")}
    assert papers["reward accuracy by gold, sampled pairs"] == "-"
