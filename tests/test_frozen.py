"""What commit cf61f58 wrote is still read: a store, releases on a Hub, killed runs, a judge's cache, an evaluation.

All of it lies in tests/frozen, whose README says how it was made. Only the command line is used, and `lidr` itself:
modules may move, what was written may not. What needs a Hub is in tests/frozen/hub_checks.py.
"""

from __future__ import annotations

import hashlib
import json
import os
import re
import shutil
import sqlite3
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pyarrow.parquet as pq
import pytest

from lidr.cli.main import main
from tests.engines.server import Reply, Server, completion

FROZEN = Path(__file__).parent / "frozen"
EXPECTED = json.loads((FROZEN / "expected.json").read_text(encoding="utf-8"))
JUDGE = "openai:judge-1@http://127.0.0.1:18765/v1"  # nobody listens there
_TWO = {"made_by": 1, "now": 2}
RULES = {
    **{name: {name: _TWO} for name in ("generate", "translate", "pair", "pairs", "filter", "measure", "train")},
    "prompts": {"prompts": {**_TWO, "now": 3}},
    "evaluate": {"evaluate": {**_TWO, "now": 4}, "mgsm": _TWO, "x_alpacaeval": _TWO},
}
"""Steps whose rules are others today: what those of cf61f58 made is kept, and named."""

PREFS, POLICY = "lidr/frozen-prefs", "lidr/frozen"
PREFS_COMMIT, BASE_COMMIT = (
    json.loads((FROZEN / f"store/{name}/0.1.0/recipe.lock.json").read_text(encoding="utf-8"))["models"][repo]
    for name, repo in (("mix", f"datasets/{PREFS}"), ("frozen", f"{POLICY}-base"))
)


def copied(folder: Path) -> Path:
    """The frozen folder, to be written to."""
    shutil.copytree(FROZEN, folder, ignore=shutil.ignore_patterns("__pycache__"))
    return folder


@pytest.fixture
def frozen(tmp_path, monkeypatch) -> Path:
    """A copy, and in it a user who has no Hub, no data and no key in the environment."""
    monkeypatch.chdir(copied(tmp_path / "frozen"))
    for name in [name for name in os.environ if name.startswith(("LIDR_", "HF_ENDPOINT", "HF_TOKEN", "OPENAI_"))]:
        monkeypatch.delenv(name)
    monkeypatch.setenv("LIDR_STORE", "store")
    return Path.cwd()


@pytest.fixture
def told(capsys) -> Callable[..., Any]:
    """What a command says as JSON."""

    def tell(*words: str, rc: int = 0) -> Any:
        capsys.readouterr()
        code = main([*words, "--json"])
        said = capsys.readouterr()
        assert code == rc, said.err
        return json.loads(said.out)

    return tell


def digests(folder: Path) -> dict[str, str]:
    """Path -> SHA-256 of every file, but for the store's own locks and its memory of digests."""
    return {
        str(path.relative_to(folder)): hashlib.sha256(path.read_bytes()).hexdigest()
        for path in sorted(folder.rglob("*"))
        if path.is_file() and not (path.parent.name == "store" and path.name != ".judge.sqlite")
    }


def records(folder: Path) -> dict[str, dict[str, Any]]:
    """Place -> record of every artifact of a version."""
    return {
        str(path.parent.relative_to(folder)): json.loads(path.read_text(encoding="utf-8"))
        for path in folder.glob("*/*/record.json")
    }


@pytest.mark.parametrize(("name", "steps"), [("frozen", 23), ("mix", 3)])
def test_a_plan_finds_every_step_under_the_fingerprint_that_it_had(frozen, told, name, steps):
    planned = told("plan", f"{name}.yaml")["steps"]
    assert len(planned) == steps
    for step in planned:
        rules = RULES.get(step["place"].split("/")[1], {})
        assert (step["state"], step["rules"]) == ("other rules" if rules else "cached", rules), step["place"]
    was = records(frozen / f"store/{name}/0.1.0")
    assert {step["place"]: step["fingerprint"] for step in planned} == {k: r["fingerprint"] for k, r in was.items()}


def test_a_new_version_takes_over_what_it_does_not_change(frozen, told):
    changed = ("version=0.2.0", "chain.weigh.uncertain=skip", f"policy.model={POLICY}-base@{BASE_COMMIT}")
    planned = told("plan", "frozen.yaml", *(word for change in changed for word in ("--set", change)))["steps"]
    states = {step["place"]: step["state"] for step in planned}
    assert states["iter_0/policy"] == "taken over"
    by_other_rules = ("prompts", "pair")  # a new version is made by the rules of today, and all that follows from it
    follow = ("generate", "translate", "filter", "measure", "weigh", "train", "evaluate", "gate")
    assert states["iter_0/evaluate"] == "new"
    assert {states[f"iter_1/{name}"] for name in (*by_other_rules, *follow)} == {"new"}


@pytest.mark.parametrize(("name", "kept"), [("frozen", [6, 2]), ("mix", [4, 8])])
def test_a_run_makes_nothing_and_changes_no_file(frozen, told, name, kept):
    before = digests(frozen)
    account = {row["label"]: row["counts"] for row in told("run", f"{name}.yaml", "--quiet")["account"]}
    assert account["kept"] == kept
    now = digests(frozen)
    for new in ("report.html", "log.txt"):  # the page and the log of every run; runs of cf61f58 had neither
        del now[f"store/{name}/0.1.0/{new}"]
    assert now == before


def test_a_record_that_was_altered_is_noticed(frozen, capsys):
    path = frozen / "store/frozen/0.1.0/iter_1/pair/record.json"
    path.write_text(path.read_text(encoding="utf-8").replace('"independent"', '"joint"'), encoding="utf-8")
    assert main(["run", "frozen.yaml", "--quiet"]) == 2
    assert "iter_1/pair was made by other settings" in capsys.readouterr().err


def answer(body: dict[str, Any], number: int) -> Reply:
    """The canned answers, behind a server."""
    message = next(said["content"] for said in reversed(body["messages"]) if said["role"] == "user")
    for line in (FROZEN / "answers.jsonl").read_text(encoding="utf-8").splitlines():
        rule = json.loads(line)
        if rule.get("match") in (None, message) or re.search(rule["match"], message, re.DOTALL):
            return completion(rule["text"], rule.get("finish_reason", "stop"))
    raise AssertionError(message)


@pytest.mark.parametrize(("step", "whole", "asked"), [("generate", 4, 4 + 8), ("translate", 2, 6)])
def test_a_killed_run_goes_on_and_asks_no_row_of_its_journal_again(frozen, told, step, whole, asked):
    folder = frozen / f"store/half-{step}/0.1.0"
    lines = (folder / f"iter_1/{step}.partial/work/answers.jsonl").read_bytes().splitlines(keepends=True)
    assert [line.endswith(b"\n") for line in lines] == [True] * whole + [False]  # the last one is torn
    with Server(answer) as server:
        words = ("--set", f"policy.model=openai:canned@{server.url}")
        states = {one["place"]: one["state"] for one in told("plan", f"half-{step}.yaml", *words)["steps"]}
        assert states["iter_0/policy"] == "unknown server"  # its address was not recorded then
        words += ("--accept-unknown-server",)
        states = {one["place"]: one["state"] for one in told("plan", f"half-{step}.yaml", *words)["steps"]}
        assert states[f"iter_1/{step}"] == "resumes"
        told("run", f"half-{step}.yaml", "--quiet", *words)
    assert len(server.bodies) == len({json.dumps(body["messages"]) for body in server.bodies}) == asked
    assert {place: record["digest"] for place, record in records(folder).items()} == EXPECTED["half"][step]


def test_a_row_of_a_journal_stands_in_the_result_as_the_journal_has_it(frozen, told):
    folder = frozen / "store/half-translate/0.1.0/iter_1"
    journal = folder / "translate.partial/work/answers.jsonl"
    journal.write_text(journal.read_text(encoding="utf-8").replace("que lleva el número uno", "primera"), "utf-8")
    with Server(answer) as server:
        asked = ("--set", f"policy.model=openai:canned@{server.url}", "--accept-unknown-server")
        told("run", "half-translate.yaml", "--quiet", *asked)
    (table,) = (folder / "translate/data").iterdir()
    assert pq.read_table(table)["text"][0].as_py().startswith("Traducido de English: esta es la tarea primera, y su")


def test_lineage_of_the_run_leads_from_the_recipe_to_the_last_policy(frozen, told):
    graph = told("lineage", "run:frozen")
    nodes = {node["id"]: node for node in graph["nodes"]}
    steps = records(frozen / "store/frozen/0.1.0")
    assert set(steps) - {"iter_2/publish"} <= set(nodes)
    assert f"artifact digest {steps['iter_2/train']['digest'][:12]}" in nodes["iter_2/train"]["lines"]
    assert nodes[f"{POLICY}-base"]["revision"] == BASE_COMMIT
    assert {("iter_1/train", "iter_2/generate"), ("iter_2/weigh", "iter_2/train")} <= edges(graph)


def edges(graph: dict[str, Any]) -> set[tuple[str, str]]:
    return {(edge["source"], edge["target"]) for edge in graph["edges"]}


def test_the_report_accounts_for_every_slot_and_shows_the_scores(frozen, told):
    found = told("report", "frozen.yaml", "--out", "page.html")
    account = {row["label"]: row["counts"] for row in found["account"] if any(row["counts"])}
    assert account == {
        "slots (2 x prompts)": [8, 8],
        "pair: translation_empty": [1, 0],
        "pair: translation_truncated": [1, 0],
        "pair: translation_wrong_language": [0, 1],
        "weigh: uncertain_reward": [0, 5],
        "kept": [6, 2],
    }
    assert (found["state"], found["result"], found["best"]) == ("finished", 2, 0)
    was = records(frozen / "store/frozen/0.1.0")
    assert [policy["digest"] for policy in found["policies"]] == [
        was[place]["digest"] for place in ("iter_0/policy", "iter_1/train", "iter_2/train")
    ]
    assert [
        round(task["scores"]["acc" if task["benchmark"] == "mgsm" else "win_rate"]["value"], 3)
        for task in found["scores"]["iter_2/evaluate"]["tasks"]
    ] == [1.0, 0.333, 67.959, 55.491]
    page = Path("page.html").read_text(encoding="utf-8")
    assert "uncertain_reward" in page
    assert "This is task number" in page


def judged() -> dict[str, Any]:
    tasks = json.loads(Path("store/evals/canned/results.json").read_text(encoding="utf-8"))["tasks"]
    return {task["task"]: task["scores"] for task in tasks}


def judge_again() -> int:
    words = ["--judge", JUDGE, "--data", "rows", "--judge-retries", "0"]
    return main(["eval", "judge", "store/evals/canned", *words])


def test_every_verdict_is_in_the_cache_so_a_judge_that_is_away_is_not_missed(frozen, capsys):
    before = judged()
    assert round(before["lidr_x_alpacaeval_en"]["win_rate"]["value"], 1) == 68.0
    assert judge_again() == 0
    now = judged()
    other = ("lc_win_rate", "off_target")  # by the rules of today; all others are the same
    for name, scores in before.items():
        kept = {score: value for score, value in scores.items() if score not in other}
        assert {score: now[name].get(score) for score in kept} == kept


def test_a_verdict_that_is_not_in_the_cache_is_asked(frozen, capsys):
    with sqlite3.connect("store/.judge.sqlite") as cache:
        cache.execute("UPDATE answers SET request_sha256 = 'x' || request_sha256 WHERE model = 'judge-1'")
    cache.close()
    assert judge_again() == 3
    assert "failed on 6 of 6 comparisons" in capsys.readouterr().err


def test_what_the_frozen_hub_holds_is_read_by_a_process_that_starts_with_its_address():
    """The client reads HF_ENDPOINT when it is imported, so these checks have a process of their own."""
    command = [
        sys.executable,
        "-m",
        "pytest",
        "-q",
        "-p",
        "no:cacheprovider",
        "-p",
        "no:xdist",
        str(FROZEN / "hub_checks.py"),
    ]
    surroundings = {name: value for name, value in os.environ.items() if not name.startswith("PYTEST_")}
    done = subprocess.run(command, cwd=FROZEN.parents[1], env=surroundings, text=True, capture_output=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    assert " passed" in done.stdout
