"""Multilingual MT-Bench: two turns of a scripted engine, marks of a judge on loopback."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from lidr.engines.base import ChatRequest, Completion, Failure
from lidr.engines.scripted import ScriptedEngine
from lidr.errors import EvaluationError
from lidr.evals.judge import JudgeSettings
from lidr.evals.mt_bench import evaluate_mt_bench, summarise
from lidr.evals.mt_bench_questions import load_questions
from lidr.evals.results import (
    ModelFacts,
    Results,
    read_results,
    read_samples,
    samples_table,
    scores_table,
    write_results,
)
from lidr.evals.spec import Decoding
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


def test_both_turns_are_asked_graded_and_written(questions, tmp_path):
    asked: list[ChatRequest] = []

    def answer(request: ChatRequest) -> str | Failure:
        asked.append(request)
        return answering(request)

    told: list[int] = []
    decoding = Decoding(max_tokens=80, system_prompt="Du bist hilfreich.")
    with judge_server() as server:
        settings = JudgeSettings(model="judge", base_url=server.url, retries=0, cache=str(tmp_path / "judge.sqlite"))
        loaded = load_questions(str(questions), ["de", "fr"])
        found = evaluate_mt_bench(ScriptedEngine(answer), loaded, settings, decoding=decoding, progress=told.append)
        first = len(server.bodies)
        again = evaluate_mt_bench(ScriptedEngine(answering), loaded, settings, decoding=decoding)
        assert len(server.bodies) == first == 2 * (12 + 11)  # the second time every mark comes from the cache
    assert sum(told) == 2 * 24 + first
    assert [task.scores for task in again.tasks] == [task.scores for task in found.tasks]
    second = next(request for request in asked if request.key == "de/81" and len(request.messages) > 2)
    roles = [message["role"] for message in second.messages]
    assert roles == ["system", "user", "assistant", "user"]
    assert second.messages[2]["content"] == f"{SAID['de']} (1)"
    assert second.sampling.max_tokens == 80
    graded = [body["messages"][-1]["content"] for body in server.bodies]
    assert sum("Richtig ist: 42" in text for text in graded) == 2
    assert sum("Richtig ist: 43" in text and TURNS["de"][0] in text for text in graded) == 1  # the whole conversation
    check_scores(found)
    shell = Results(
        name="scripted",
        model=ModelFacts(reference="scripted"),
        engine={"kind": "scripted"},
        versions={},
        seeds={},
        created="2026-11-24T00:00:00+00:00",
        tasks=found.tasks,
    )
    write_results(tmp_path / "out", shell, samples_table(found.samples), scores_table(found.scores))
    assert read_results(tmp_path / "out").of("mt_bench") == found.tasks
    detail = json.loads(read_samples(tmp_path / "out").to_pylist()[0]["detail"])
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


def test_without_a_judge_the_answers_are_kept_without_marks(questions):
    found = evaluate_mt_bench(ScriptedEngine(answering), load_questions(str(questions), ["de"]), None, limit=2)
    (task,) = found.tasks
    assert task.judge is None
    assert task.scores["score"].value is None
    assert (task.data.rows, task.data.asked) == (12, 2)
    assert len(found.samples) == 2


def test_a_judge_that_is_away_costs_no_answer(questions):
    settings = JudgeSettings(model="judge", base_url="http://127.0.0.1:9/v1", retries=0, timeout_s=2)
    found = evaluate_mt_bench(ScriptedEngine(answering), load_questions(str(questions), ["de"]), settings, limit=2)
    assert found.tasks[0].scores["judge_errors"].value == 4
    assert found.samples[0]["response"].count(SAID["de"]) == 2


def test_an_engine_that_answers_nothing_is_an_error(questions):
    def silent(request: ChatRequest) -> Failure:
        return Failure(request.key, "no GPU")

    with pytest.raises(EvaluationError, match="none of 24 questions was answered, the first because: turn 1: no GPU"):
        evaluate_mt_bench(ScriptedEngine(silent), load_questions(str(questions), ["de", "fr"]), None)


def test_a_prompt_that_is_too_long_is_an_answer_error(questions):
    def long(request: ChatRequest) -> Completion | str:
        if "(1)" in request.messages[0]["content"]:
            return Completion(request.key, "", "prompt_too_long", 9000, 0)
        return SAID["de"]

    found = evaluate_mt_bench(ScriptedEngine(long), load_questions(str(questions), ["de"]), None, limit=3)
    assert found.tasks[0].scores["answer_errors"].value == 1
    assert found.samples[1]["detail"]["error"] == "turn 1: the prompt is too long"


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
