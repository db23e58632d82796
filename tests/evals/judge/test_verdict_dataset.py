"""Verdicts as a data set that others reuse."""

from __future__ import annotations

from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from lidr.errors import EvaluationError
from lidr.evals.judge import Comparison, calls_needed, judge
from lidr.evals.judge.question import facts_of
from lidr.evals.judge.verdict_dataset import VERDICTS, import_verdicts, verdict_table, write_verdicts
from lidr.evals.results import ModelFacts, Results, samples_table, scores_table, write_results
from tests.engines.server import Server
from tests.evals.judge.answers import by_week, comparisons, likes, said, settings
from tests.seeded import task_result


def judged(folder: Path, server: Server, cache: Path | None) -> list[Comparison]:
    """A results folder with the verdicts of a scripted judge."""
    asked_of = settings(server, cache=cache, mode="logprob_swap")
    asked = [*comparisons(3), Comparison("k3", "Why?", "a", "a")]
    verdicts = judge(asked, asked_of)
    task = task_result("x_alpacaeval", "de", {"k0": {"win": 1.0}}, judge=facts_of(asked_of))
    place = {"task": task.task, "benchmark": "x_alpacaeval", "language": "de"}
    samples = [
        {**place, "item": v.key, "prompt": c.instruction, "response": c.output_2, "detail": {"verdict": v.as_json()}}
        for c, v in zip(asked, verdicts, strict=True)
    ]
    results = Results(
        name="M1",
        model=ModelFacts(reference="./M1"),
        engine={"kind": "hf"},
        versions={},
        seeds={},
        created="2026-11-24T00:00:00Z",
        tasks=(task,),
    )
    write_results(folder, results, samples_table(samples), scores_table([]))
    return asked


@pytest.fixture
def server():
    with Server(by_week({1: [said({"The": -0.1})]}, otherwise=likes(0.7))) as server:
        yield server


def test_published_verdicts_are_reused_without_a_call(server: Server, tmp_path: Path):
    asked = judged(tmp_path / "results", server, tmp_path / "mine.sqlite")
    write_verdicts(verdict_table(tmp_path / "results", cache=tmp_path / "mine.sqlite"), tmp_path / "v.parquet")
    assert import_verdicts(tmp_path / "v.parquet", tmp_path / "theirs.sqlite") == 6
    assert import_verdicts(tmp_path / "v.parquet", tmp_path / "theirs.sqlite") == 0
    server.bodies.clear()
    theirs = settings(server, cache=tmp_path / "theirs.sqlite", mode="logprob_swap")
    assert calls_needed(asked, theirs) == 0
    again = judge(asked, theirs)
    assert server.bodies == []
    mine = judge(asked, settings(server, cache=tmp_path / "mine.sqlite", mode="logprob_swap"))
    assert [verdict.preference for verdict in again] == [verdict.preference for verdict in mine]


def test_a_row_says_everything_about_an_order_and_holds_no_text(server: Server, tmp_path: Path):
    asked = judged(tmp_path / "results", server, tmp_path / "c")
    write_verdicts(verdict_table(tmp_path / "results", cache=tmp_path / "c"), tmp_path / "v.parquet")
    table = pq.read_table(tmp_path / "v.parquet")
    assert table.schema.names == VERDICTS.names
    rows = table.to_pylist()
    assert [(row["item"], row["order"]) for row in rows] == [
        *((f"k{i}", order) for i in range(3) for order in ("given", "switched")),
        ("k3", "none"),
    ]
    assert rows[1]["preference"] == pytest.approx(1.7)
    assert (rows[1]["p"], rows[1]["token"], rows[1]["error"]) == (pytest.approx(0.7), "m", None)
    assert (rows[2]["preference"], rows[2]["error"]) == (None, "neither m nor M: among the likeliest tokens ['The']")
    assert rows[6]["preference"] == 1.5
    assert {row["template"] for row in rows} == {"lidr/judge_v1"}
    written = (str(rows) + str(table.schema)).lower()
    assert not any(
        part.lower() in written for one in asked for part in (one.instruction, one.output_2) if len(part) > 2
    )


def test_without_the_cache_verdicts_can_be_read_but_not_reused(server: Server, tmp_path: Path):
    judged(tmp_path / "results", server, None)
    table = verdict_table(tmp_path / "results", cache=None)
    assert table["response"].null_count == len(table) == 7
    write_verdicts(table, tmp_path / "v.parquet")
    with pytest.raises(EvaluationError, match=r"v\.parquet: holds no answers of the judge, only verdicts"):
        import_verdicts(tmp_path / "v.parquet", tmp_path / "c")


def test_a_folder_without_verdicts_is_an_error(tmp_path: Path, server: Server):
    judged(tmp_path / "results", server, None)
    from lidr.evals.results import read_results

    results = read_results(tmp_path / "results")
    bare = results.tasks[0].model_copy(update={"judge": None})
    nothing = (samples_table([]), scores_table([]))
    write_results(tmp_path / "results", results.model_copy(update={"tasks": (bare,)}), *nothing)
    with pytest.raises(EvaluationError, match="nothing was judged here; `lidr eval judge` does that"):
        verdict_table(tmp_path / "results", cache=None)


def test_a_file_that_holds_no_verdicts_is_an_error(tmp_path: Path):
    with pytest.raises(EvaluationError, match="cannot be read as verdicts"):
        import_verdicts(tmp_path / "nowhere.parquet", tmp_path / "c")
    pq.write_table(pa.table({"a": [1]}), tmp_path / "other.parquet")
    with pytest.raises(EvaluationError, match=r"holds no verdicts of this form \(lidr.verdicts/1\)"):
        import_verdicts(tmp_path / "other.parquet", tmp_path / "c")
    row = dict.fromkeys(VERDICTS.names) | {"task": "t", "item": "3", "request_sha256": "ab", "response": "rubbish"}
    write_verdicts(pa.Table.from_pylist([row], VERDICTS), tmp_path / "bad.parquet")
    with pytest.raises(EvaluationError, match=r"the answer of item 3 \(t\) is no chat completion"):
        import_verdicts(tmp_path / "bad.parquet", tmp_path / "c")
