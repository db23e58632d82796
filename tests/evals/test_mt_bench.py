"""Multilingual MT-Bench: two turns of a scripted engine, marks of a judge on loopback."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import uuid
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from lidr.engines.base import ChatRequest, Completion, Failure
from lidr.engines.scripted import ScriptedEngine
from lidr.errors import EngineError, EvaluationError, NegativeVerdict
from lidr.evals.evaluation import Listener
from lidr.evals.judge import JudgeSettings
from lidr.evals.judging import served
from lidr.evals.mt_bench import check_marks, grade_answers, judge_facts, scored, summarise, tasks_of
from lidr.evals.mt_bench_questions import load_questions
from lidr.evals.mt_bench_run import grade_again, run_mt_bench
from lidr.evals.mt_bench_talks import Conversation, ask, talks_of
from lidr.evals.results import (
    ModelFacts,
    Results,
    read_results,
    read_samples,
    samples_table,
    scores_table,
    write_results,
)
from lidr.evals.spec import Decoding, EvalSpec
from lidr.store.journal import Journal
from tests.engines.server import Server
from tests.evals.judge.answers import refused, words
from tests.parity.judge_server import judge_server

TURNS = {
    "de": ["Schreibe einen kurzen Absatz über Honigbienen.", "Sage nun dasselbe in einem einzigen Satz."],
    "fr": ["Écris un court paragraphe sur les abeilles.", "Dis maintenant la même chose en une seule phrase."],
}
SAID = {
    "de": "Honigbienen leben in großen Völkern und legen Vorräte für den Winter an.",
    "fr": "Les abeilles vivent en grandes colonies et font des provisions pour l'hiver.",
}


@pytest.fixture
def questions(tmp_path) -> Path:
    """Twelve questions in two languages; the first has reference answers."""
    for language, turns in TURNS.items():
        rows = [
            {"question_id": 81 + i, "category": "writing", "turns": [f"{turns[0]} ({i})", turns[1]]} for i in range(12)
        ]
        rows[0]["reference"] = ["Richtig ist: 42", "Richtig ist: 43"]
        text = "\n".join(json.dumps(row, ensure_ascii=False) for row in rows)
        (tmp_path / f"{language}.jsonl").write_text(text, encoding="utf-8")
    return tmp_path


def answering(request: ChatRequest) -> str | Failure:
    """Says how many turns it saw; question 2 fails, in its second turn."""
    language = request.key[:2]
    turn = sum(message["role"] == "user" for message in request.messages)
    if turn == 2 and "(2)" in request.messages[-3]["content"]:
        return Failure(request.key, "the server is on fire")
    return f"{SAID[language]} ({turn})"


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
    scores = summarise([{**row, "off_target": 0.0, "undecided": 0.0} for row in rows])
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
    with pytest.raises(
        NegativeVerdict, match=r"judge gave no mark to 4 of 4 answers \(100\.0%\), and 5\.0% are allowed"
    ):
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


class Run:
    """One evaluation of a scripted model, written to a folder."""

    def __init__(self, folder: Path, source: Path, monkeypatch) -> None:
        self.folder, self.out, self.events = folder, folder / "out", []
        self.asked: list[str] = []
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

        monkeypatch.setattr("lidr.evals.mt_bench_run.open_engine", lambda spec, log: Engine(answer))

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
        return run_mt_bench(spec, model, self.questions, **there, judge=opens, listen=Listener())


@pytest.fixture
def run(questions, tmp_path, monkeypatch) -> Run:
    """Three questions in German; the second turn of the third fails."""
    return Run(tmp_path, questions, monkeypatch)


def test_the_engine_is_closed_before_the_judge_opens_and_the_answers_stand_already(run):
    with Server(lambda *_: words("Fine. Mark: 7")) as judge:
        results = run(judge)
    assert run.events == ["engine closed", "judge opened", "judge closed"]
    assert results == read_results(run.out)
    task = results.tasks[0]
    assert (task.scores["score"].value, task.scores["score"].n) == (7, 2)
    assert (task.judge.mode, task.judge.decoding["temperature"], task.rules) == ("score", 0, 1)
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
        with pytest.raises(NegativeVerdict, match=r"no mark to 1 of 5 answers \(20\.0%\)"):
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
    with pytest.raises(EvaluationError, match="holds no mt_bench answers, so there is nothing to grade"):
        grade_again(
            run.out, judge=served(JudgeSettings(model="j", base_url="http://127.0.0.1:9/v1")), listen=Listener()
        )


def test_an_adapter_is_refused(run, tmp_path):
    spec = EvalSpec("hf", "model", "", (), adapter="adapter")
    there = {"name": "x", "out": tmp_path / "x", "log": tmp_path / "log.txt"}
    with pytest.raises(EvaluationError, match="an adapter is not loaded here; merge it"):
        run_mt_bench(spec, ModelFacts(reference="x"), run.questions, **there, judge=None, listen=Listener())


@pytest.mark.parametrize(
    ("line", "message"),
    [
        ('{"question_id": 1, "turns": ["a"]}', r"de\.jsonl:1: no question"),
        ('{"turns": ["a", "b"]}', "no question: needs"),
        ('{"question_id": 1, "turns": ["a", ""]}', "no question"),
        ('{"question_id": 1, "turns": ["a", "b"], "reference": ["x"]}', "no question"),
        ("[1]", "no question"),
        ("{", "no question"),
        ("", "no questions"),
        ('{"question_id": 1, "turns": ["a", "b"]}\n{"question_id": 1, "turns": ["c", "d"]}', "more than once: 1"),
    ],
)
def test_a_file_that_holds_no_questions_is_refused(tmp_path, line, message):
    (tmp_path / "de.jsonl").write_text(line)
    with pytest.raises(EvaluationError, match=message):
        load_questions(str(tmp_path), ["de"])


@pytest.mark.parametrize(
    ("source", "languages", "message"),
    [
        ("{}", ["fra"], 'did you mean "fr"'),
        ("{}", ["ru"], r"no ru\.jsonl; languages there: de, fr"),
        ("{}/de.jsonl", ["de", "fr"], "one file for 2 languages"),
        ("{}/nowhere", ["de"], "no such folder"),
        ("./nowhere", ["de"], "no such folder"),
    ],
)
def test_a_source_that_has_no_such_questions_is_refused(questions, source, languages, message):
    with pytest.raises(EvaluationError, match=message):
        load_questions(source.format(questions), languages)


def test_questions_come_from_a_data_set_on_the_hub_at_its_commit(questions, tmp_path):
    from lidr.hub.server import serve_in_background

    code = f"""
from huggingface_hub import HfApi
from lidr.evals.mt_bench_questions import load_questions
HfApi().create_repo("lidr/mt", repo_type="dataset")
HfApi().upload_file(path_or_fileobj={str(questions / "de.jsonl")!r}, path_in_repo="data/de.jsonl", repo_id="lidr/mt",
                    repo_type="dataset")
found = load_questions("lidr/mt", ["de"])["de"]
print(len(found.rows), found.facts.source, HfApi().dataset_info("lidr/mt").sha)
try:
    load_questions("lidr/mt", ["fr"])
except Exception as error:
    print(error)
"""
    with serve_in_background(tmp_path / "hub", token="tok-questions") as hub:
        environment = {**os.environ, **hub.environment}
        done = subprocess.run([sys.executable, "-c", code], env=environment, text=True, capture_output=True)
    assert done.returncode == 0, done.stderr[-2000:]
    first, refusal = done.stdout.strip().splitlines()
    rows, source, sha = first.split()
    assert (rows, source) == ("12", f"lidr/mt@{sha}/data/de.jsonl")
    assert refusal == f"lidr/mt@{sha}: no fr.jsonl in it"


def test_one_file_is_enough_for_one_language(questions):
    assert len(load_questions(str(questions / "fr.jsonl"), ["fr"])["fr"].rows) == 12
