"""Multilingual MT-Bench: two turns of a scripted engine, marks of a judge on loopback."""

from __future__ import annotations

import json
import uuid
from pathlib import Path

import pytest

from lidr.engines.engine import ChatRequest, Completion, Failure
from lidr.engines.scripted import ScriptedEngine
from lidr.errors import EvaluationError, NegativeVerdict
from lidr.evals.judge import JudgeSettings
from lidr.evals.mt_bench.conversations import Conversation, ask, talks_of
from lidr.evals.mt_bench.mt_bench_grading import check_marks, grade_answers, judge_facts, scored, summarise, tasks_of
from lidr.evals.mt_bench.questions import load_questions
from lidr.evals.results import samples_table
from lidr.evals.spec import Decoding
from lidr.store.journal import Journal
from tests.evals.mt_bench.mt_bench_world import SAID, TURNS, answering, write_questions
from tests.parity.judge_server import judge_server


@pytest.fixture
def questions(tmp_path) -> Path:
    return write_questions(tmp_path)


def asking(answer, loaded, folder: Path, *, limit: int | None = None, **more) -> list[Conversation]:
    """Ask a scripted engine, with a journal of its own."""
    with Journal(folder / "asked" / uuid.uuid4().hex) as kept:
        return ask(ScriptedEngine(answer), loaded, kept, limit=limit, **{"decoding": Decoding(), **more})


def scores_of(talks, loaded, settings: JudgeSettings | None = None, limit: int | None = None):
    """What a results folder would hold."""
    return scored(tasks_of(loaded, Decoding(), limit), talks, judge_facts(settings) if settings else None)


def test_both_turns_are_asked_graded_and_read_back_as_they_were(questions, tmp_path):
    asked: list[ChatRequest] = []

    def answer(request: ChatRequest) -> str | Failure:
        asked.append(request)
        return answering(request)

    told: list[int] = []
    decoding = Decoding(max_tokens=80, system_prompt="Du bist hilfreich.")
    loaded = load_questions(str(questions), ["de", "fr"])
    talks = asking(answer, loaded, tmp_path, decoding=decoding, progress=told.append)
    assert sum(told) == 12 * 2 + 12 * 2
    with judge_server() as server:
        settings = JudgeSettings(model="judge", base_url=server.url, retries=0, cache=str(tmp_path / "judge.sqlite"))
        grade_answers(talks, settings, system_prompt=decoding.system_prompt, progress=told.append)
        first = len(server.bodies)
        assert first == 2 * (12 + 11)
        assert sum(told) == 48 + first
    second = next(request for request in asked if request.key == "de/81/2")
    assert [message["role"] for message in second.messages] == ["system", "user", "assistant", "user"]
    assert second.messages[2]["content"] == f"{SAID['de']} (1)"
    assert second.sampling.max_tokens == 80
    graded = [body["messages"][-1]["content"] for body in server.bodies]
    assert sum("Richtig ist: 42" in text for text in graded) == 2
    assert sum("Richtig ist: 43" in text and TURNS["de"][0] in text for text in graded) == 1  # the whole conversation
    found = scores_of(talks, loaded, settings)
    check_scores(found)
    rows = samples_table(found.samples).to_pylist()
    assert talks_of(rows) == talks
    detail = json.loads(rows[0]["detail"])
    assert [turn["response"] for turn in detail["turns"]] == [f"{SAID['de']} (1)", f"{SAID['de']} (2)"]
    assert "Mark" in detail["turns"][0]["grade"]["explanation"] or detail["turns"][0]["grade"]["error"]


def check_scores(found) -> None:
    """The scores of each language follow from the values of its items."""
    for task in found.tasks:
        values = [row for row in found.scores if row["task"] == task.task]

        def of(metric: str, values=values) -> list[float]:
            return [row["value"] for row in values if row["metric"] == metric and row["value"] is not None]

        turns = of("score_turn_1"), of("score_turn_2")
        assert task.scores["score_turn_1"].value == pytest.approx(sum(turns[0]) / len(turns[0]))
        assert task.scores["score"].n == len(of("score")) <= 11
        assert task.scores["judge_errors"].value == sum(of("judge_errors"))
        assert len(turns[0]) + len(turns[1]) + sum(of("judge_errors")) == 23
        assert (task.scores["answer_errors"].value, task.scores["answer_errors"].n) == (1, 12)
        assert task.scores["off_target"].value == 0
        assert (task.judge.mode, task.judge.template) == ("score", "lidr/grade_v1")
        assert (task.data.rows, task.data.asked) == (12, 12)


def test_a_question_without_both_marks_has_no_score():
    rows = [
        {"score": 6.0, "score_turn_1": 8.0, "score_turn_2": 4.0, "judge_errors": 0.0, "answer_error": 0.0},
        {"score": None, "score_turn_1": 2.0, "score_turn_2": None, "judge_errors": 1.0, "answer_error": 0.0},
    ]
    scores = summarise([{**row, "off_target": 0.0, "off_target_all": 0.0, "undecided": 0.0} for row in rows])
    assert (scores["score"].value, scores["score"].n) == (6, 1)
    assert (scores["score_turn_1"].value, scores["score_turn_2"].value) == (5, 4)
    assert (scores["judge_errors"].value, scores["judge_errors"].n) == (1, 4)


def test_a_mark_stands_for_the_same_question_to_the_same_judge_and_no_other(questions, tmp_path):
    loaded = load_questions(str(questions), ["de"])
    talks = asking(answering, loaded, tmp_path, limit=2)
    with judge_server() as server:
        settings = JudgeSettings(model="judge", base_url=server.url, retries=0)  # without a cache
        grade_answers(talks, settings)
        missing = sum(grade.score is None for talk in talks for grade in talk.grades)
        before, marks = len(server.bodies), [talk.grades for talk in talks]
        grade_answers(talks, settings)
        assert len(server.bodies) == before + missing
        assert [[mark.score for mark in talk.grades] for talk in talks] == [[m.score for m in its] for its in marks]
        grade_answers(talks, settings.model_copy(update={"model": "another"}))
        assert len(server.bodies) == before + missing + 4


def test_without_a_judge_the_answers_are_kept_without_marks(questions, tmp_path):
    loaded = load_questions(str(questions), ["de"])
    found = scores_of(asking(answering, loaded, tmp_path, limit=2), loaded, limit=2)
    (task,) = found.tasks
    assert task.judge is None
    assert task.scores["score"].value is None
    assert (task.data.rows, task.data.asked) == (12, 2)
    assert len(found.samples) == 2


def test_a_judge_that_is_away_costs_no_answer_and_is_a_negative_verdict(questions, tmp_path):
    settings = JudgeSettings(model="judge", base_url="http://127.0.0.1:9/v1", retries=0, timeout_s=2)
    loaded = load_questions(str(questions), ["de"])
    talks = asking(answering, loaded, tmp_path, limit=2)
    grade_answers(talks, settings)
    found = scores_of(talks, loaded, settings, limit=2)
    assert found.tasks[0].scores["judge_errors"].value == 4
    assert found.samples[0]["response"].count(SAID["de"]) == 2
    with pytest.raises(NegativeVerdict, match=r"failed on 4 of 4 answers \(100\.0%\), and 5\.0% are allowed"):
        check_marks(talks, settings)
    check_marks(talks, settings.model_copy(update={"max_error_share": 1.0}))


def test_an_engine_that_answers_nothing_is_an_error(questions, tmp_path):
    def silent(request: ChatRequest) -> Failure:
        return Failure(request.key, "no GPU")

    with pytest.raises(EvaluationError, match="none of 24 questions was answered, the first because: turn 1: no GPU"):
        asking(silent, load_questions(str(questions), ["de", "fr"]), tmp_path)


def test_a_prompt_that_is_too_long_is_an_answer_error(questions, tmp_path):
    def long(request: ChatRequest) -> Completion | str:
        if "(1)" in request.messages[0]["content"]:
            return Completion(request.key, "", "prompt_too_long", 9000, 0)
        return SAID["de"]

    loaded = load_questions(str(questions), ["de"])
    found = scores_of(asking(long, loaded, tmp_path, limit=3), loaded, limit=3)
    assert found.tasks[0].scores["answer_errors"].value == 1
    assert found.samples[1]["detail"]["error"] == "turn 1: the prompt is too long"


@pytest.mark.parametrize("detail", ["{}", "[", '{"turns": [1, 2], "category": "", "error": null}', "null"])
def test_a_sample_that_holds_no_conversation_is_refused(detail):
    row = {"task": "lidr_mt_bench_de", "language": "de", "item": "81", "detail": detail}
    with pytest.raises(EvaluationError, match="item 81 of lidr_mt_bench_de holds no conversation of two turns"):
        talks_of([row])
