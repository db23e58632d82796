"""Scores from the stored answers of a release: the same on any machine, and whoever touched them is told the item."""

from __future__ import annotations

import io
import json
import os
from dataclasses import replace
from pathlib import Path
from typing import Any

import polars as pl
import pytest

from lidr.errors import EvaluationError
from lidr.evals import mgsm
from lidr.evals.results import Scored, TaskResult
from lidr.evals.scoring import score_again
from lidr.release.cards.score_tables import results_section
from lidr.release.dataset_release import stage_dataset
from lidr.release.evaluation_outputs import OUTPUTS, item_digest
from lidr.reproduce.released_rows import PublishedRows
from lidr.reproduce.rescore import check_scores
from lidr.store.artifact import Artifact
from tests.reproduce.conftest import ITEMS, tamper

FILE = "lidr/outputs/iter_1/evaluate/00000.parquet"
SCORES = "lidr/rows/iter_1/evaluate/00000.parquet"


class Local:
    """A staged release, opened where it lies."""

    def __init__(self, run: Any, folder: Path) -> None:
        self.folder, self.records = folder, {record.place: record for record in run.records}
        self.run = json.loads((folder / "lidr/run.json").read_text())

    def check(self, place: str = "iter_1/evaluate") -> tuple[Any, list[Any]]:
        """The verdict, and what was found to be touched."""
        published = PublishedRows(self, None, self.folder / "published")  # type: ignore[arg-type]
        return check_scores(self, published, self.records[place]), published.touched  # type: ignore[arg-type]

    def change(self, path: str, row: int, **values: Any) -> None:
        """Another value in one row of a file."""
        frame = pl.read_parquet(self.folder / path)
        at = pl.int_range(pl.len()) == row
        os.unlink(self.folder / path)  # it may be a link to the store's own
        frame.with_columns(
            pl.when(at).then(pl.lit(value)).otherwise(name).cast(frame.schema[name]).alias(name)
            for name, value in values.items()
        ).write_parquet(self.folder / path)


@pytest.fixture
def local(scored_world, tmp_path) -> Local:
    stage_dataset(scored_world, tmp_path / "staged", "lidr/p")
    return Local(scored_world, tmp_path / "staged")


def test_a_release_holds_the_answers_of_its_evaluations_and_no_text_of_others(local):
    found = pl.read_parquet(local.folder / FILE)
    assert found.columns == OUTPUTS.schema.names
    assert len(found) == 4 * ITEMS
    assert local.run["rows"]["iter_1/evaluate"]["outputs"]["rows"] == len(found)
    first = found.row(0, named=True)
    assert (first["task"], first["item"], first["gold"]) == ("lidr_mgsm_en", "0", "7")
    assert first["response"].startswith("The hen lays nine eggs")
    judged = found.filter(benchmark="x_alpacaeval").row(1, named=True)
    assert (judged["reference_length"], judged["is_judged"], judged["gold"]) == (40, True, None)
    assert judged["preference"] == 1 + 2 / 3
    said = "".join(map(str, found.rows()))
    assert "How many eggs?" not in said  # the question
    assert "Tell me." not in said
    assert "It is so." not in said  # the reference


def test_the_scores_come_out_identical_without_a_model(local):
    for place in ("iter_0/evaluate", "iter_1/evaluate"):
        verdict, touched = local.check(place)
        assert (verdict.kind, touched) == ("identical", [])
        assert verdict.place == f"{place} (scores from stored outputs)"
        assert verdict.reason.startswith("24 answers scored again: 204 values and ")


def test_a_touched_answer_is_named_although_its_score_stays(local):
    local.change(FILE, 0, response="The hen lays nine eggs every day, and the baker buys them. The answer is 7.")
    verdict, touched = local.check()
    assert verdict.kind == "different"
    assert "lidr_mgsm_en item 0" in verdict.reason
    assert touched[0].path == "lidr/outputs/iter_1/evaluate"


def test_a_touched_preference_is_named_with_the_value_that_it_changes(local):
    row = 2 * ITEMS + 1  # lidr_x_alpacaeval_en, item 1
    local.change(FILE, row, preference=1.0)
    verdict, touched = local.check()
    assert "lidr_x_alpacaeval_en item 1" in touched[0].text
    assert (verdict.kind, verdict.rows[0].key) == ("different", "lidr_x_alpacaeval_en 1 preference")
    local.change(FILE, row, preference=7.0)
    assert "cannot be scored: a preference is 1 (reference better)" in local.check()[0].reason


def test_an_answer_that_is_touched_with_its_own_digest_is_not_what_run_json_says(local):
    frame = pl.read_parquet(local.folder / FILE)
    row = {**frame.row(1, named=True), "response": "99"}
    local.change(FILE, 1, response="99", digest=item_digest(row))
    verdict, touched = local.check()
    assert "are other rows, or in another order, than lidr/run.json says" in touched[0].text
    assert (verdict.kind, verdict.rows[0].key) == ("different", "lidr_mgsm_en 1 acc")


def test_a_touched_score_is_named_and_the_answers_give_the_recorded_one(local):
    local.change(SCORES, 0, value=0.0)
    verdict, touched = local.check()
    assert touched[0].path == SCORES
    assert verdict.kind == "different"
    assert str(verdict.rows[0]) == "lidr_mgsm_en 0 acc value: '0.0' -> '1.0'"
    assert verdict.reason.endswith("scored again they have the digest of their record")


def test_a_number_of_the_record_that_its_answers_do_not_give_is_named(local):
    record = local.records["iter_1/evaluate"]
    tasks = json.loads(json.dumps(record.counts["tasks"]))
    tasks[0]["scores"]["acc"]["value"] = 0.9
    changes = [{**one, "low": 0.5} if one["metric"] == "acc" else one for one in record.counts["differences"]]
    local.records["iter_1/evaluate"] = replace(record, counts={"tasks": tasks, "differences": changes})
    verdict, _ = local.check()
    assert verdict.kind == "different"
    assert verdict.rows[0].key == "lidr_mgsm_en acc"
    assert any(row.key == "lidr_mgsm all acc - iter_0" for row in verdict.rows)


@pytest.mark.parametrize(("rules", "kind"), [(2, "identical"), (3, "different")])
def test_an_interval_of_the_length_controlled_rate_by_older_rules_is_not_held_against_todays(local, rules, kind):
    record = local.records["iter_1/evaluate"]
    fitted = [one for one in record.counts["differences"] if one["metric"] == "lc_win_rate"]
    changes = [{**one, "low": one["low"] + 1} if one in fitted else one for one in record.counts["differences"]]
    other = {**record.identity, "version": rules}
    local.records["iter_1/evaluate"] = replace(record, identity=other, counts={**record.counts, "differences": changes})
    assert (len(fitted) > 0, local.check()[0].kind) == (True, kind)


def test_what_is_no_score_at_all_is_different_and_no_crash(local):
    record = local.records["iter_1/evaluate"]
    local.records["iter_1/evaluate"] = replace(record, counts={"tasks": [{"task": "x"}]})
    assert local.check()[0].reason.startswith("cannot be scored: ")
    (local.folder / FILE).write_bytes(b"bees")
    verdict, _ = local.check()
    assert (verdict.kind, "does not hold the outputs" in verdict.reason) == ("different", True)


def test_a_release_of_an_older_form_says_so(local):
    del local.run["rows"]["iter_1/evaluate"]["outputs"]
    verdict, _ = local.check()
    assert verdict.kind == "cannot run here"
    assert verdict.reason == "the release holds no outputs: it was published by an older lidr"


def test_answers_that_older_rules_scored_are_scored_by_those_of_today_and_compared(local, monkeypatch):
    record = local.records["iter_1/evaluate"]
    monkeypatch.setattr(mgsm, "VERSION", mgsm.VERSION + 1)
    rules = {"mgsm": {"made_by": mgsm.VERSION - 1, "now": mgsm.VERSION}}
    verdict, _ = local.check()
    assert (verdict.kind, verdict.rules) == ("identical", rules)
    assert verdict.reason.endswith(f"; made by rules of mgsm {mgsm.VERSION - 1}, this lidr has {mgsm.VERSION}")

    score = mgsm.score

    def stricter(*args: Any, **named: Any) -> Scored:
        scored = score(*args, **named)
        return scored._replace(values={**scored.values, "acc": 0.0})

    monkeypatch.setattr(mgsm, "score", stricter)
    verdict, touched = local.check()
    assert (verdict.kind, verdict.rules, touched) == ("other rules", rules, [])
    assert verdict.said == f"made by rules {mgsm.VERSION - 1}"
    assert verdict.reason.startswith(f"made by rules of mgsm {mgsm.VERSION - 1}, this lidr has {mgsm.VERSION}: ")
    assert "rows differ" in verdict.reason

    def cannot(*args, **named):
        raise ValueError("no number")

    monkeypatch.setattr(mgsm, "score", cannot)
    assert local.check()[0].kind == "other rules"
    assert local.records["iter_1/evaluate"] == record
    local.change(FILE, 0, response="The hen lays nine eggs every day, and the baker buys them. The answer is 7.")
    assert local.check()[0].kind == "different", "what was touched is no matter of rules"


def test_the_results_of_a_card_say_where_the_answers_stand_in_the_run_and_read_back(scored_world, local):
    said = "The answers that were scored are in `lidr/outputs`"
    assert said in results_section(scored_world)
    back = tuple(Artifact(local.folder, record) for record in scored_world.records)
    assert results_section(replace(scored_world, artifacts=back)) == results_section(scored_world)
    elsewhere = tuple(Artifact(local.folder / "lidr", record) for record in scored_world.records)
    assert said not in results_section(replace(scored_world, artifacts=elsewhere))


def test_an_evaluation_that_kept_no_gold_answers_says_so(local):
    tasks = [TaskResult.model_validate(task) for task in local.records["iter_1/evaluate"].counts["tasks"]]
    rows = [{**row, "gold": None} for row in pl.read_parquet(local.folder / FILE).rows(named=True)]
    with pytest.raises(EvaluationError, match="lidr_mgsm_en: item 0 has no gold: evaluated by a lidr that kept none"):
        score_again(tasks, rows)
    passed = tasks[0].model_copy(update={"benchmark": "tax"})
    with pytest.raises(EvaluationError, match="tax is scored by lm-eval and cannot be scored again"):
        score_again([passed], rows)


def test_reproduce_scores_stored_answers_again_and_names_the_file_and_the_item(scored, hub, reproduced):
    words = ("--from", "pair", "--until", "filter")
    verdict = reproduced(f"{scored}@v0.1.0", *words)
    assert (verdict["verdict"], verdict["findings"]) == ("identical", [])
    kinds = {one["place"]: one["kind"] for one in verdict["verdicts"]}
    assert kinds["iter_1/evaluate (scores from stored outputs)"] == "identical"

    def change(content: bytes) -> bytes:
        rows = pl.read_parquet(io.BytesIO(content))
        rows = rows.with_columns(response=pl.when(pl.int_range(pl.len()) == 3).then(pl.lit("9")).otherwise("response"))
        rows.write_parquet(out := io.BytesIO())
        return out.getvalue()

    tamper(hub, scored, "dataset", FILE, change)
    verdict = reproduced(f"{scored}@v0.1.0", *words, rc=3)
    assert FILE in [finding["path"] for finding in verdict["findings"]]
    one = next(v for v in verdict["verdicts"] if v["place"].startswith("iter_1/evaluate (scores"))
    assert (one["kind"], "lidr_mgsm_en item 3" in one["reason"]) == ("different", True)


def test_a_record_that_compares_with_a_step_that_is_not_there_is_different(local):
    one = local.records["iter_1/evaluate"]
    local.records["iter_1/evaluate"] = replace(one, inputs={**one.inputs, "scores_0": {"place": "iter_0/gone"}})
    verdict, _ = local.check()
    assert verdict.kind == "different"
    assert verdict.reason == "it compares with iter_0/gone, which has no record in the release"
