"""The weigh step: uncertain groups go, by reason, and the account of slots still adds up."""

from __future__ import annotations

import json

import polars as pl
import pytest

import lidr
from lidr.errors import PlanError
from lidr.report.summary import summarise
from lidr.store.artifact import open_artifact
from tests.scripted import RECIPE, TOPICS, write_answers, write_world


def world(folder, settings, measure="{{gold: {folder}/gold}}"):
    """Translated Spanish is always right, Spanish never; German is as right as what is translated into it."""
    head, tail = RECIPE.split("iterations:")
    tail = tail.replace('  - prompts: "0:4"\n  - prompts: "4:8"\n', '  - prompts: "0:8"\n')
    path = write_world(folder, f"{head}  - measure: {measure}\n  - weigh: {settings}\niterations:{tail}")
    first = [
        {"match": "into English.*own: 2", "text": "mine, so: 2\n</translated>"},
        {"match": "into English.*own, wrong", "text": "mine is wrong: 2\n</translated>"},
        {"match": "into English.*own, right", "text": "mine is right: 1\n</translated>"},
        {"match": "translate.*into Spanish", "text": "translated: 1\n</translated>"},
        {"match": "Spanish: tell me", "text": "own: 2"},
        {"match": "German: tell me about (bees|rain|tea|maps|wool)", "text": "own, wrong: 2"},
        {"match": "German: tell me about", "text": "own, right: 1"},
        {"match": "translate.*into German.*(bees|rain|tea|maps|wool)", "text": "translated: 1\n</translated>"},
        {"match": "translate.*into German", "text": "translated: 2\n</translated>"},
    ]
    write_answers(folder / "answers.jsonl", first=tuple(first))
    (folder / "gold").mkdir()
    gold = "".join(json.dumps({"id": f"p{i}", "answer": "#### 1"}) + "\n" for i in range(len(TOPICS)))
    (folder / "gold/en.jsonl").write_text(gold, encoding="utf-8")
    return path


def weighed(path):
    planned = lidr.run(lidr.load_recipe(path))
    return planned, open_artifact(planned.version_folder / "iter_1/weigh")


def test_skip_drops_the_pairs_of_uncertain_groups_with_a_reason_and_keeps_the_others(tmp_path):
    planned, artifact = weighed(world(tmp_path / "w", "{{uncertain: skip}}"))
    kept, dropped = pl.DataFrame(artifact.read()), pl.DataFrame(artifact.read("dropped"))
    assert kept.filter(language="es").height == 8
    assert kept.filter(language="de").height == 0
    german = dropped.filter(language="de")
    assert german.height == 8
    assert german["reason"].unique().to_list() == ["uncertain_reward"]
    assert german["detail"][0].startswith("reward accuracy by gold 0.625 [")
    assert german["detail"][0].endswith("of 8 is not above 0.5; 0% are kept")
    rows = {row.label: row.counts for row in summarise(planned).account}
    requested = rows.pop("slots (2 x prompts)")
    assert tuple(map(sum, zip(*rows.values(), strict=True))) == requested
    assert rows["weigh: uncertain_reward"][1] >= 8


def test_thin_keeps_the_excess_of_right_pairs_by_lot_and_the_same_ones_each_time(tmp_path):
    kept = []
    for name in ("a", "b"):
        _, artifact = weighed(world(tmp_path / name, "{{uncertain: thin}}"))
        kept.append(set(pl.DataFrame(artifact.read()).filter(language="de")["pair_id"]))
    assert kept[0] == kept[1]
    assert len(kept[0]) == 2  # 2 x .625 - 1 of 8


def test_training_reads_what_is_left_and_a_measurement_alone_changes_nothing_before_it(tmp_path):
    path = world(tmp_path / "w", "{{uncertain: skip}}")
    steps = {step.place: step for step in lidr.plan(lidr.load_recipe(path)).steps}
    assert steps["iter_1/weigh"].inputs == {"pairs": "iter_1/filter", "measures": "iter_1/measure"}


def test_weigh_without_a_referee_is_found_by_the_plan(tmp_path):
    path = world(tmp_path / "w", "{{uncertain: skip}}", measure="{{}}")
    with pytest.raises(PlanError, match="weigh needs reward accuracy: give measure a judge, or gold answers"):
        lidr.plan(lidr.load_recipe(path))


def test_weigh_before_measure_has_nothing_to_weigh_by(tmp_path):
    path = world(tmp_path / "w", "{{uncertain: skip}}")
    lines = path.read_text(encoding="utf-8").splitlines(keepends=True)
    path.write_text("".join(line for line in lines if "- measure" not in line), encoding="utf-8")
    with pytest.raises(
        PlanError, match='"weigh" needs measures, and no step before it makes them; put measure before it'
    ):
        lidr.plan(lidr.load_recipe(path))
