"""`lidr eval run` and `lidr eval judge`, as a user types them: a policy and a judge behind loopback servers."""

from __future__ import annotations

import json
import re
import shutil
from pathlib import Path
from typing import Any

import pytest

from lidr.cli.main import main
from lidr.evals.results import read_results
from tests.engines.server import Reply, Server, completion
from tests.evals.asked import ANSWERS, write_rows
from tests.evals.judge.answers import likes, refused
from tests.test_walks import free_port
from tests.tiny import tiny_model


def policy(body: dict[str, Any], number: int) -> Reply:
    text = body["messages"][-1]["content"]
    return completion(next(rule["text"] for rule in ANSWERS if re.search(rule.get("match", ""), text)))


class World:
    """One evaluation by the command line, and everything around it."""

    def __init__(self, folder: Path, policy_server: Server, judge_server: Server) -> None:
        self.folder, self.policy, self.judge = folder, policy_server, judge_server
        self.out = folder / "out"
        self.data = write_rows(folder / "rows")

    def words(self, *more: str) -> list[str]:
        asked = ["--tasks", "mgsm,x_alpacaeval", "--langs", "en,de", "--data", self.data, "--max-tokens", "32"]
        model = ["--model", f"openai:canned@{self.policy.url}"]
        judge = ["--judge", f"openai:judge-1@{self.judge.url}"]
        return ["eval", "run", *model, *asked, *judge, "--out", str(self.out), *more]


@pytest.fixture(scope="module")
def world(tmp_path_factory):
    with pytest.MonkeyPatch.context() as patch, Server(policy) as answers, Server(lambda *_: likes(0.3)) as judge:
        folder = tmp_path_factory.mktemp("eval_run")
        patch.setenv("LIDR_STORE", str(folder / "store"))
        patch.setenv("LIDR_JUDGE_API_KEY", "sk-secret-of-the-judge")
        patch.setenv("OPENAI_API_KEY", "sk-secret-of-the-policy")
        found = World(folder, answers, judge)
        assert main(found.words()) == 0
        yield found


@pytest.fixture(autouse=True)
def _environment(world, monkeypatch):
    monkeypatch.setenv("LIDR_STORE", str(world.folder / "store"))
    monkeypatch.delenv("LIDR_DATA", raising=False)


def test_each_row_is_asked_once_and_each_pair_of_outputs_in_both_orders(world):
    assert len(world.policy.bodies) == 10
    assert len(world.judge.bodies) == 8


def test_the_results_name_model_judge_and_template_and_no_key_is_anywhere(world):
    results = read_results(world.out)
    judged = results.of("x_alpacaeval")[0]
    assert (judged.judge.model, judged.judge.mode, judged.judge.served) == ("judge-1", "logprob_swap", "server")
    assert judged.scores["n_judged"].value == 2
    assert judged.scores["win_rate"].value == pytest.approx(50)  # the judge goes by position alone
    assert results.of("mgsm")[0].judge is None
    assert judged.judge.decoding == {"max_tokens": 1, "temperature": 1.0, "logprobs": True, "top_logprobs": 5}
    assert judged.judge.host == world.judge.url.split("/")[2]
    for path in world.folder.rglob("*"):
        if path.is_file():
            assert b"sk-secret" not in path.read_bytes(), path


def test_a_second_run_asks_nobody_and_prints_the_same(world, capsys):
    before = len(world.policy.bodies), len(world.judge.bodies)
    assert main(world.words()) == 0
    first = capsys.readouterr().out
    assert main(world.words("--json")) == 0
    told = json.loads(capsys.readouterr().out)
    assert (len(world.policy.bodies), len(world.judge.bodies)) == before
    assert "X-AlpacaEval" in first
    assert "en        50.0 ±" in first
    assert told["schema"] == "lidr.eval.run/1"
    assert told["results"]["schema"] == "lidr.results/1"


def test_a_judge_that_is_away_is_told_before_a_single_answer_is_made(world, tmp_path, capsys):
    before = len(world.policy.bodies)
    nobody = f"http://127.0.0.1:{free_port()}/v1"
    words = [*world.words("--judge", f"openai:judge-1@{nobody}"), "--out", str(tmp_path / "new")]
    assert main(words) == 2
    said = capsys.readouterr().err
    assert f"the judge judge-1 at {nobody}: no server answers there" in said
    assert "--judge (else LIDR_JUDGE_BASE_URL)" in said
    assert f"lidr eval judge {tmp_path / 'new'}" in said
    assert len(world.policy.bodies) == before


def test_a_judge_that_is_not_needed_is_not_missed(world, tmp_path):
    nobody = f"openai:judge-1@http://127.0.0.1:{free_port()}/v1"
    words = world.words("--judge", nobody, "--tasks", "mgsm", "--limit", "1")
    assert main([*words, "--out", str(tmp_path / "new")]) == 0


def test_the_cost_is_told_first_and_a_cap_refuses_before_the_first_call(world, tmp_path, capsys):
    before = len(world.policy.bodies)
    words = [*world.words("--judge-max-calls", "7"), "--out", str(tmp_path / "new")]
    assert main(words) == 2
    said = capsys.readouterr().err
    assert "10 answers, at most 320 tokens" in said
    assert "4 comparisons: at most 8 calls of the judge" in said
    assert "judging may need 8 calls, --judge-max-calls allows 7: raise it, use --limit" in said
    assert len(world.policy.bodies) == before


def test_the_command_line_goes_before_the_environment(world, tmp_path, monkeypatch, capsys):
    monkeypatch.setenv("LIDR_JUDGE_MODE", "text")
    monkeypatch.setenv("LIDR_JUDGE_MAX_CALLS", "3")
    words = [*world.words(), "--out", str(tmp_path / "new")]
    assert main(words) == 2
    assert "judging may need 4 calls, --judge-max-calls allows 3" in capsys.readouterr().err
    assert main([*words, "--judge-mode", "logprob_swap", "--judge-max-calls", "7"]) == 2
    assert "judging may need 8 calls, --judge-max-calls allows 7" in capsys.readouterr().err


def test_another_evaluation_does_not_overwrite_the_first(world, capsys):
    assert main(world.words("--limit", "1")) == 2
    assert "holds the results of another evaluation" in capsys.readouterr().err


def test_judging_again_generates_nothing_and_replaces_the_verdicts(world, tmp_path, capsys):
    shutil.copytree(world.out, tmp_path / "copy")
    before = len(world.policy.bodies)
    with Server(lambda body, _: likes(0.9)) as other:
        words = ["--judge", f"openai:judge-2@{other.url}", "--judge-mode", "logprob", "--data", world.data]
        assert main(["eval", "judge", str(tmp_path / "copy"), *words]) == 0
        assert len(other.bodies) == 4
    judged = read_results(tmp_path / "copy").of("x_alpacaeval")[0]
    assert (judged.judge.model, judged.judge.mode) == ("judge-2", "logprob")
    assert len(world.policy.bodies) == before


def test_published_verdicts_are_reused_without_a_call(world, tmp_path, monkeypatch, capsys):
    judge = ["--judge", f"openai:judge-1@{world.judge.url}", "--data", world.data]
    table = tmp_path / "verdicts.parquet"
    assert main(["eval", "judge", str(world.out), *judge, "--export-verdicts", str(table)]) == 0
    before = read_results(world.out).of("x_alpacaeval")[0].scores
    monkeypatch.setenv("LIDR_STORE", str(tmp_path / "another store"))  # another machine, without our cache
    calls = len(world.judge.bodies)
    assert main(["eval", "judge", str(world.out), *judge, "--import-verdicts", str(table)]) == 0
    assert len(world.judge.bodies) == calls
    assert "8 answers of a judge taken over" in capsys.readouterr().err
    assert read_results(world.out).of("x_alpacaeval")[0].scores == before


def test_judging_needs_a_judge_and_the_rows_that_were_answered(world, tmp_path, capsys):
    assert main(["eval", "judge", str(world.out)]) == 2
    assert "no judge: give --judge REF, or set LIDR_JUDGE_BASE_URL" in capsys.readouterr().err
    rows = Path(write_rows(tmp_path / "rows")) / "open_instructions/de.jsonl"
    rows.write_text(rows.read_text(encoding="utf-8").replace("Himmel", "Ozean"), encoding="utf-8")
    judge = ["--judge", f"openai:judge-1@{world.judge.url}", "--data", str(tmp_path / "rows")]
    assert main(["eval", "judge", str(world.out), *judge]) == 2
    assert "are not those that were answered" in capsys.readouterr().err


def test_a_judge_that_fails_loses_nothing_and_too_many_failures_are_exit_code_3(world, tmp_path, capsys):
    shutil.copytree(world.out, tmp_path / "copy")
    with Server(lambda *_: refused(400, "no")) as broken:
        words = ["--judge", f"openai:judge-3@{broken.url}", "--judge-retries", "0", "--data", world.data]
        assert main(["eval", "judge", str(tmp_path / "copy"), *words]) == 3
    shown = capsys.readouterr()
    assert "errors" in shown.out
    task = read_results(tmp_path / "copy").of("x_alpacaeval")[0]
    assert (task.scores["judge_errors"].value, task.scores["n_judged"].value) == (2, 0)
    assert task.scores["win_rate"].value is None


def test_two_checkpoints_are_judged_against_each_other(world, tmp_path, capsys):
    other = tmp_path / "other"
    shutil.copytree(world.out, other)
    words = ["--against", str(other), "--judge", f"openai:judge-1@{world.judge.url}", "--out", str(tmp_path / "both")]
    before = len(world.judge.bodies)
    assert main(["eval", "judge", str(world.out), *words]) == 0
    assert len(world.judge.bodies) == before  # equal outputs tie, nobody is asked
    assert re.search(r"en +0\.0 ± 0\.0 +100\.0 ± 0\.0 +0\.0 ± 0\.0", capsys.readouterr().out)


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["--tasks", "MGSM"], 'unknown task "MGSM"; did you mean "mgsm"?'),
        (["--tasks", "gsm8k"], 'unknown task "gsm8k"; did you mean "mgsm"? (allowed: mgsm, x_alpacaeval, tax; mt_'),
        (["--langs", "german"], 'unknown language code "german"; did you mean "de"'),
        (["--langs", ","], "--langs: nothing named; write them with commas"),
        (["--limit", "0"], "--limit 0: at least 1 (rows of each task); leave it out for all of them"),
        (["--max-tokens", "-5"], "--max-tokens -5: at least 1"),
        (["--max-model-len", "0"], "--max-model-len 0: at least 1"),
        (["--no-merge"], "--no-merge says how --adapter is used, and none is given"),
        (
            ["--thinking-budget", "8"],
            "--thinking-budget: a server cannot end a thought; give a folder",
        ),
        (["--thinking-budget", "0"], "--thinking-budget 0: at least 1"),
        (["--vllm", "seed=1"], "--vllm.seed is set by seed of the recipe"),
        (["--model", "openai:m@http://127.0.0.1:9/v1?key=secret"], "must hold no user name, password or query"),
        (["--langs", "en,ja"], 'no mgsm rows for "ja"'),
        (["--judge", "openai:x@http://127.0.0.1:9/v1", "--judge-max-error-share", "2"], "max_error_share"),
        (["--judge", "./nowhere"], "the judge: no folder nowhere; give a folder"),
        (["--tasks", "tax", "--langs", "ja"], 'the alignment tax cannot be measured in "ja"'),
    ],
)
def test_mistakes_are_found_before_anything_is_asked(world, tmp_path, capsys, words, message):
    before = len(world.policy.bodies)
    assert main(world.words(*words, "--out", str(tmp_path / "new"))) == 2
    assert message in capsys.readouterr().err
    assert len(world.policy.bodies) == before


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["--tasks", "tax"], "tax asks for log-likelihoods, and replicas give texts alone; leave --replicas out"),
        (["--chat-template-kwargs", '{"x": 1}'], "--chat-template-kwargs goes to lm-eval's own back end alone; leave"),
    ],
)
def test_what_replicas_cannot_answer_is_refused(world, tmp_path, capsys, words, message):
    model = tiny_model(tmp_path / "model", "qwen2")
    assert main(world.words("--model", str(model), *words, "--replicas", "all", "--out", str(tmp_path / "new"))) == 2
    assert f"--replicas all: {message}" in capsys.readouterr().err


@pytest.mark.parametrize("number", ["0", "-1", "many"])
def test_replicas_are_a_number_or_all(world, capsys, number):
    with pytest.raises(SystemExit, match="2"):
        main(world.words("--replicas", number))
    assert f"--replicas: {number}: a number of at least 1, or all" in capsys.readouterr().err


def test_a_missing_option_is_said_in_two_lines(capsys):
    with pytest.raises(SystemExit, match="2"):
        main(["eval", "run", "--model", "./policy"])
    usage, error = capsys.readouterr().err.splitlines()
    assert usage == "usage: lidr eval run --model REF --langs L,L [more: lidr eval run --help]"
    assert error.endswith("the following arguments are required: --langs")


def test_without_a_judge_answers_are_kept_for_later(world, tmp_path, capsys):
    words = [*world.words("--judge", "none", "--tasks", "x_alpacaeval"), "--out", str(tmp_path / "new"), "--limit", "1"]
    assert main(words) == 0
    assert "judge them later with `lidr eval judge`" in capsys.readouterr().err
    assert read_results(tmp_path / "new").tasks[0].judge is None
