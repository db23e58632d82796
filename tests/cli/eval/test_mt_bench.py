"""`lidr eval run --tasks mt_bench`, then `lidr eval judge`: a model and a judge behind loopback servers."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path

import pytest

from lidr.cli.main import main
from lidr.evals.results import read_results
from tests.engines.server import Server, completion
from tests.evals.judge.answers import refused
from tests.evals.judge.answers import words as says


class World:
    """Two questions, and a model that answers them."""

    def __init__(self, folder: Path, policy: Server) -> None:
        self.folder, self.policy, self.out = folder, policy, folder / "mt"
        (folder / "questions").mkdir()
        same = {"category": "writing"}
        rows = [{"question_id": item, "turns": [f"Name fruit {item}.", "And why?"], **same} for item in (1, 2)]
        text = "\n".join(json.dumps(row) for row in rows)
        (folder / "questions" / "en.jsonl").write_text(text, encoding="utf-8")

    def run(self, judge: str, *more: str, out: Path | None = None) -> int:
        asked = ["--tasks", "mt_bench", "--langs", "en", "--questions", str(self.folder / "questions")]
        how = ["--model", f"openai:canned@{self.policy.url}", "--max-tokens", "32", "--judge", judge]
        return main(["eval", "run", *how, *asked, "--out", str(out or self.out), "--judge-retries", "0", *more])

    def judge(self, judge: str, *more: str) -> int:
        return main(["eval", "judge", str(self.out), "--judge", judge, "--judge-retries", "0", *more])


@pytest.fixture
def world(tmp_path, monkeypatch) -> Iterator[World]:
    monkeypatch.setenv("LIDR_STORE", str(tmp_path / "store"))
    with Server(lambda *_: completion("An apple, because it keeps.")) as policy:
        yield World(tmp_path, policy)


def test_two_turns_are_asked_and_graded_and_a_second_run_asks_nobody(world, capsys):
    with Server(lambda *_: says("Good. Rating: [[7]]")) as judge:
        ref = f"openai:judge-1@{judge.url}"
        assert world.run(ref) == 0
        shown = capsys.readouterr()
        assert world.run(ref) == 0
        assert len(judge.bodies) == 4
    assert len(world.policy.bodies) == 4
    assert [m["role"] for m in world.policy.bodies[-1]["messages"]] == ["user", "assistant", "user"]
    assert read_results(world.out).tasks[0].scores["score"].value == 7
    assert "Multilingual MT-Bench" in shown.out
    assert "4 answers, and at most 4 calls of the judge" in shown.err


def test_a_judge_that_refuses_costs_no_answer_and_judging_later_generates_nothing(world, capsys):
    with Server(lambda *_: refused(401, "bad key")) as judge:
        assert world.run(f"openai:judge-1@{judge.url}") == 2
    assert "HTTP 401" in capsys.readouterr().err
    assert read_results(world.out).tasks[0].judge is None
    with Server(lambda *_: says("Mark: 6")) as judge:
        assert world.judge(f"openai:judge-2@{judge.url}", "--json") == 0
        conversations = [body["messages"][-1]["content"] for body in judge.bodies]
    told = json.loads(capsys.readouterr().out)
    (task,) = told["results"]["tasks"]
    assert (task["judge"]["model"], task["scores"]["score"]["value"]) == ("judge-2", 6)
    assert all("Name fruit" in text for text in conversations)
    assert sum("And why?" in text for text in conversations) == 2
    assert len(world.policy.bodies) == 4


def test_too_many_answers_without_a_mark_are_exit_code_3_and_the_scores_are_shown(world, capsys):
    with Server(lambda *_: refused(400, "no")) as judge:
        ref = f"openai:judge-1@{judge.url}"
        assert world.run(ref) == 3
        shown = capsys.readouterr()
        assert world.judge(ref) == 3
        assert world.judge(ref, "--judge-max-error-share", "1") == 0
    assert "Multilingual MT-Bench" in shown.out
    assert "failed on 4 of 4 answers (100.0%), and 5.0% are allowed (max_error_share): 4 x refused" in shown.err
    assert read_results(world.out).tasks[0].scores["judge_errors"].value == 4


def test_another_evaluation_is_refused_and_by_default_has_another_folder(world, capsys, monkeypatch):
    assert world.run("none") == 0
    assert world.run("none", "--seed", "7") == 2
    assert "holds the results of another evaluation" in capsys.readouterr().err
    words = ["--tasks", "mt_bench", "--langs", "en", "--questions", str(world.folder / "questions"), "--judge", "none"]
    for seed in ("7", "8"):
        assert main(["eval", "run", "--model", f"openai:canned@{world.policy.url}", *words, "--seed", seed]) == 0
    names = [folder.name for folder in (world.folder / "store" / "evals").iterdir()]
    assert len(names) == 2
    for name in names:
        identity = read_results(world.folder / "store" / "evals" / name).identity
        assert name == f"canned-mt_bench-{identity[:8]}"


def test_marks_are_no_verdicts_to_publish(world, tmp_path, capsys):
    assert world.run("none") == 0
    assert world.judge("openai:judge@http://127.0.0.1:9/v1", "--export-verdicts", str(tmp_path / "v.parquet")) == 2
    assert "mt_bench has marks, which no file of verdicts holds" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["--tasks", "mt_bench,mgsm", "--questions", "."], "give --tasks mt_bench alone"),
        (["--tasks", "mt_bench"], "lidr ships no questions; give --questions"),
    ],
)
def test_it_says_what_it_needs(world, capsys, words, message):
    assert main(["eval", "run", "--model", f"openai:canned@{world.policy.url}", "--langs", "en", *words]) == 2
    assert message in capsys.readouterr().err
    assert not world.policy.bodies
