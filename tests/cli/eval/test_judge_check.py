"""`lidr eval judge-check` as its users meet it."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from lidr.cli.main import main
from lidr.resources import shared
from tests.engines.server import Reply, Server
from tests.evals.judge.answers import likes, said, user_text

OWN = shared("recipes") / "prompts"
LANGUAGES = ("de", "fr")


@pytest.fixture
def answers(tmp_path: Path, monkeypatch) -> Path:
    """A model's answers to four of our own open instructions in two languages."""
    monkeypatch.setenv("LIDR_STORE", str(tmp_path / "store"))
    for name in ("LIDR_JUDGE_MODEL", "LIDR_JUDGE_BASE_URL"):
        monkeypatch.delenv(name, raising=False)
    folder = tmp_path / "answers"
    folder.mkdir()
    for code in LANGUAGES:
        lines = (OWN / "open_instructions" / f"{code}.jsonl").read_text(encoding="utf-8").splitlines()[:4]
        rows = [
            {"instruction": json.loads(line)["instruction"], "output": f"MODEL {at}" + "!" * at, "generator": "M1"}
            for at, line in enumerate(lines)
        ]
        (folder / f"{code}.json").write_text(json.dumps(rows))
    return folder


def check(answers: Path, server: Server, *more: str) -> int:
    judge = f"openai:judge-1@{server.url}"
    return main(["eval", "judge-check", str(answers), "--data", str(OWN), "--judge", judge, *more])


def test_it_prints_numbers_with_intervals_for_each_language_and_between_them(answers: Path, capsys):
    def reply(body: dict, _: int) -> Reply:
        return likes(0.9 if "MODEL" in user_text(body).split("End of the answer of m")[0] else 0.1)

    with Server(reply) as server:
        assert check(answers, server) == 0
        assert len(server.bodies) == 24
        told = capsys.readouterr()
        assert check(answers, server, "--json") == 0
        assert len(server.bodies) == 24
    assert "judge-1: 24 calls for 8 items" in told.err
    assert "mode logprob_swap, template lidr/judge_v1" in told.out
    line = next(line for line in told.out.splitlines() if line.startswith("de "))
    assert line.split("  ")[0] == "de"
    assert "1.00 [0.40, 1.00], n 4" in line
    assert "de and fr" in told.out
    again = capsys.readouterr()
    found = json.loads(again.out)
    assert found["schema"] == "lidr.eval.judge_check/1"
    assert found["languages"]["fr"]["win"]["value"] == pytest.approx(0.9)
    assert found["languages"]["fr"]["order_agreement"] == {
        "value": 1.0,
        "stderr": 0.0,
        "low": pytest.approx(0.398, abs=1e-3),
        "high": 1.0,
        "n": 4,
        "excludes_zero": True,
    }
    assert found["across"][0]["agreement"]["n"] == 4
    assert "judge-1: 0 calls for 8 items" in again.err


def test_the_cost_can_be_capped(answers: Path, capsys):
    with Server(lambda body, _: likes(0.5)) as server:
        assert check(answers, server, "--limit", "2", "--judge-max-calls", "11") == 2
        assert server.bodies == []
        assert "called 12 times" in capsys.readouterr().err
        assert check(answers, server, "--limit", "2", "--langs", "de", "--judge-max-calls", "11") == 0
        assert len(server.bodies) == 6


def test_too_many_failures_are_exit_code_3_after_the_report(answers: Path, capsys):
    with Server(lambda body, _: said({"The": -0.1})) as server:
        assert check(answers, server, "--limit", "2") == 3
    told = capsys.readouterr()
    assert "length slope" in told.out
    assert "100.0% of the questions were not judged, 5.0% are allowed" in told.err
    assert "12 x neither m nor M" in told.err


def test_bad_options_are_plain_errors(answers: Path, capsys):
    assert main(["eval", "judge-check", str(answers), "--data", str(OWN)]) == 2
    assert "no judge: give --judge REF" in capsys.readouterr().err
    with Server(lambda body, _: likes(0.5)) as server:
        assert check(answers, server, "--limit", "0") == 2
        assert "--limit 0: at least 1" in capsys.readouterr().err
        assert check(answers, server, "--langs", "ru") == 2
        assert "no answers in ru; languages there: de, fr" in capsys.readouterr().err
        assert check(answers.parent / "nowhere", server) == 2
