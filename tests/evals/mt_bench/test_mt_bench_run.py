"""One evaluation on MT-Bench: what stands when, what is not asked twice, and what survives which fault."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from lidr.engines.engine import ChatRequest, Failure
from lidr.engines.scripted import ScriptedEngine
from lidr.errors import EngineError, EvaluationError, NegativeVerdict
from lidr.evals.evaluation import Listener
from lidr.evals.judge import JudgeSettings
from lidr.evals.judge.judge_choice import served
from lidr.evals.mt_bench.conversations import talks_of
from lidr.evals.mt_bench.mt_bench_run import grade_again, run_mt_bench
from lidr.evals.mt_bench.questions import load_questions
from lidr.evals.results import (
    ModelFacts,
    Results,
    read_results,
    read_samples,
    samples_table,
    scores_table,
    write_results,
)
from lidr.evals.spec import EvalSpec
from tests.engines.server import Server
from tests.evals.judge.answers import refused, words
from tests.evals.mt_bench.mt_bench_world import SAID, answering, write_questions


class Run:
    """One evaluation of a scripted model, written to a folder."""

    def __init__(self, folder: Path, source: Path, monkeypatch) -> None:
        self.folder, self.out, self.events = folder, folder / "out", []
        self.asked: list[str] = []
        self.counted: list[int] = []
        self.kept: list[int] = []
        self.dies_after = 10**9
        self.questions = load_questions(str(source), ["de"])
        run = self

        class Engine(ScriptedEngine):
            def close(self) -> None:
                run.events.append("engine closed")

        def answer(request: ChatRequest) -> str | Failure:
            if len(self.asked) == self.dies_after:
                raise EngineError("the power is gone")
            self.asked.append(request.key)
            return answering(request)

        monkeypatch.setattr("lidr.evals.mt_bench.mt_bench_run.open_engine", lambda spec, log: Engine(answer))

    def __call__(self, judge: Server | None, *, limit: int = 3, **settings) -> Results:
        @contextmanager
        def opened() -> Iterator[JudgeSettings]:
            self.events.append("judge opened")
            assert read_results(self.out).tasks[0].scores["answer_errors"].n == limit  # they stand already
            yield JudgeSettings(**{"model": "judge", "base_url": judge.url, "retries": 0, **settings})
            self.events.append("judge closed")

        spec = EvalSpec("scripted", "canned", "", (), limit=limit)
        model = ModelFacts(reference="canned")
        there = {"name": "canned", "out": self.out, "log": self.folder / "log.txt"}
        opens = opened if judge else None
        listen = Listener(asked=self.counted.append, kept=self.kept.append)
        return run_mt_bench(spec, model, self.questions, **there, judge=opens, listen=listen)


@pytest.fixture
def run(tmp_path, monkeypatch) -> Run:
    """Three questions in German; the second turn of the third fails."""
    return Run(tmp_path, write_questions(tmp_path), monkeypatch)


def test_the_engine_is_closed_before_the_judge_opens_and_the_answers_stand_already(run):
    with Server(lambda *_: words("Fine. Mark: 7")) as judge:
        results = run(judge)
    assert run.events == ["engine closed", "judge opened", "judge closed"]
    assert results == read_results(run.out)
    task = results.tasks[0]
    assert (task.scores["score"].value, task.scores["score"].n) == (7, 2)
    assert (task.judge.mode, task.judge.decoding["temperature"], task.rules) == ("score", 0, 2)
    assert not (run.out / "work").exists()


def test_a_judge_that_refuses_everything_costs_no_answer_and_the_next_run_grades_only(run):
    with (
        Server(lambda body, number: words("Mark: 7") if number < 2 else refused(401, "bad key")) as judge,
        pytest.raises(EvaluationError, match="HTTP 401"),
    ):
        run(judge, concurrency=1)
    kept = read_results(run.out)
    assert kept.tasks[0].judge is None
    assert kept.tasks[0].scores["score"].value is None
    assert [talk.answers[0] for talk in talks_of(read_samples(run.out).to_pylist())] == [f"{SAID['de']} (1)"] * 3
    before = len(run.asked)
    with Server(lambda *_: words("Mark: 5")) as judge:
        assert run(judge).tasks[0].scores["score"].value == 5
        assert len(judge.bodies) == 5
        assert run(judge).created == kept.created
        assert len(judge.bodies) == 5  # a mark that stands is not asked for again
    assert len(run.asked) == before


def test_too_many_answers_without_a_mark_are_a_negative_verdict_after_everything_is_written(run):
    with Server(lambda body, number: words("Mark: 7" if number else "I would rather not say.")) as judge:
        with pytest.raises(NegativeVerdict, match=r"failed on 1 of 5 answers \(20\.0%\)"):
            run(judge, concurrency=1)
        task = read_results(run.out).tasks[0]
        assert (task.scores["judge_errors"].value, task.scores["score_turn_1"].n) == (1, 2)
        assert run(judge, concurrency=1).tasks[0].scores["judge_errors"].value == 0
        assert len(judge.bodies) == 6  # only what had no mark


def test_an_interrupted_evaluation_goes_on_where_it_was(run):
    run.dies_after = 4
    with pytest.raises(EngineError, match="the power is gone"):
        run(None)
    assert not (run.out / "results.json").exists()
    run.dies_after = 10**9
    assert run(None).tasks[0].scores["answer_errors"].value == 1
    assert sorted(run.asked) == [f"de/{item}/{turn}" for item in (81, 82, 83) for turn in (1, 2)]
    assert (sum(run.counted), run.kept) == (6, [4])  # told before the first new answer
    assert run.events == ["engine closed", "engine closed"]


def test_what_another_evaluation_left_is_not_taken_for_an_answer(run):
    run.dies_after = 4
    with pytest.raises(EngineError):
        run(None)
    run.dies_after = 10**9
    run(None, limit=2)
    assert run.asked[4:] == ["de/81/1", "de/82/1", "de/81/2", "de/82/2"]


def test_the_folder_of_another_evaluation_is_refused(run):
    run(None)
    before = len(run.asked)
    with pytest.raises(EvaluationError, match="holds the results of another evaluation"):
        run(None, limit=2)
    assert len(run.asked) == before


def test_a_damaged_journal_is_named_with_its_line(run):
    run.dies_after = 2
    with pytest.raises(EngineError):
        run(None)
    (journal,) = (run.out / "work").iterdir()
    journal.write_text("no JSON\n" + journal.read_text(encoding="utf-8"), encoding="utf-8")
    with pytest.raises(EvaluationError, match=r"jsonl:1: damaged line\. Take it out by hand .* or remove the file"):
        run(None)


def test_a_folder_without_mt_bench_has_nothing_to_grade(run):
    run(None)
    results = read_results(run.out).model_copy(update={"tasks": ()})
    write_results(run.out, results, samples_table([]), scores_table([]))
    nobody = JudgeSettings(model="judge", base_url="http://127.0.0.1:9/v1")
    with pytest.raises(EvaluationError, match="holds no mt_bench answers, so there is nothing to grade"):
        grade_again(run.out, judge=served(nobody), listen=Listener())
