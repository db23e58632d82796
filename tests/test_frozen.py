"""What commit cf61f58 wrote is still read: a store, releases on a Hub, killed runs, a judge's cache, an evaluation.

All of it lies in tests/frozen, whose README says how it was made. Only the command line is used, and `lidr` itself:
modules may move, what was written may not.
"""

from __future__ import annotations

import hashlib
import io
import json
import os
import re
import shutil
import sqlite3
import subprocess
import sys
import time
import urllib.request
from collections.abc import Callable, Iterator
from contextlib import redirect_stderr, redirect_stdout
from pathlib import Path
from typing import Any

import pyarrow.parquet as pq
import pytest

import lidr
from lidr.cli.main import main
from tests.engines.server import Reply, Server, completion

FROZEN = Path(__file__).parent / "frozen"
EXPECTED = json.loads((FROZEN / "expected.json").read_text(encoding="utf-8"))
JUDGE = "openai:judge-1@http://127.0.0.1:18765/v1"  # nobody listens there
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


@pytest.fixture(scope="module")
def served(tmp_path_factory) -> Iterator[dict[str, str]]:
    """The frozen Hub, served from a copy by the command line: the variables of its clients."""
    root = copied(tmp_path_factory.mktemp("served") / "frozen") / "store/.hub"
    command = [sys.executable, "-m", "lidr.cli.main", "hub", "serve", "--port", "0", "--root", str(root)]
    surroundings = {**os.environ, "PYTHONPATH": str(FROZEN.parents[1])}
    with subprocess.Popen(command, env=surroundings, stderr=subprocess.DEVNULL) as process:
        try:
            deadline = time.monotonic() + 60
            out = io.StringIO()
            while not out.getvalue():
                assert process.poll() is None
                assert time.monotonic() < deadline
                time.sleep(0.05)
                with redirect_stdout(out), redirect_stderr(io.StringIO()):
                    main(["hub", "env", "--root", str(root), "--json"])
            yield json.loads(out.getvalue())["environment"]
        finally:
            process.terminate()
            process.wait(timeout=30)


@pytest.fixture
def hub(frozen, served, tmp_path, monkeypatch) -> dict[str, str]:
    for name in ("HF_ENDPOINT", "HF_TOKEN"):
        monkeypatch.setenv(name, served[name])
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_CACHE", str(tmp_path / "cache"))
    return served


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
    assert {step["place"]: step["state"] for step in planned} == {step["place"]: "cached" for step in planned}
    was = records(frozen / f"store/{name}/0.1.0")
    assert {step["place"]: step["fingerprint"] for step in planned} == {k: r["fingerprint"] for k, r in was.items()}


def test_a_new_version_takes_over_what_it_does_not_change(frozen, told):
    changed = ("version=0.2.0", "chain.weigh.uncertain=skip", f"policy.model={POLICY}-base@{BASE_COMMIT}")
    planned = told("plan", "frozen.yaml", *(word for change in changed for word in ("--set", change)))["steps"]
    states = {step["place"]: step["state"] for step in planned}
    taken = ("prompts", "generate", "translate", "pair", "filter", "measure")
    assert {states[place] for place in ("iter_0/policy", "iter_0/evaluate", "iter_2/prompts")} == {"taken over"}
    assert {states[f"iter_1/{name}"] for name in taken} == {"taken over"}
    assert {states[f"iter_1/{name}"] for name in ("weigh", "train", "evaluate", "gate")} == {"new"}


@pytest.mark.parametrize(("name", "kept"), [("frozen", [6, 2]), ("mix", [4, 8])])
def test_a_run_makes_nothing_and_changes_no_file(frozen, told, name, kept):
    before = digests(frozen)
    account = {row["label"]: row["counts"] for row in told("run", f"{name}.yaml", "--quiet")["account"]}
    assert account["kept"] == kept
    assert digests(frozen) == before


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
        assert states[f"iter_1/{step}"] == "resumes"
        told("run", f"half-{step}.yaml", "--quiet", *words)
    assert len(server.bodies) == len({json.dumps(body["messages"]) for body in server.bodies}) == asked
    assert {place: record["digest"] for place, record in records(folder).items()} == EXPECTED["half"][step]


def test_a_row_of_a_journal_stands_in_the_result_as_the_journal_has_it(frozen, told):
    folder = frozen / "store/half-translate/0.1.0/iter_1"
    journal = folder / "translate.partial/work/answers.jsonl"
    journal.write_text(journal.read_text(encoding="utf-8").replace("que lleva el número uno", "primera"), "utf-8")
    with Server(answer) as server:
        told("run", "half-translate.yaml", "--quiet", "--set", f"policy.model=openai:canned@{server.url}")
    (table,) = (folder / "translate/data").iterdir()
    assert pq.read_table(table)["text"][0].as_py().startswith("Traducido de English: esta es la tarea primera, y su")


@pytest.mark.parametrize("reference", ["run:frozen", f"{PREFS}@v0.1.0"])
def test_pairs_are_shown_from_the_store_and_from_the_hub(hub, told, reference):
    found = told("pairs", "show", reference, "--rows", "9")
    assert [(row["iteration"], row["language"], row["kind"], row["pairs"]) for row in found["counts"]] == [
        (1, "es", "dominant", 4),
        (1, "es", "non_dominant", 2),
        (2, "es", "dominant", 1),
        (2, "es", "non_dominant", 1),
    ]
    assert found["splits"] == ["iter_1", "iter_2"]
    assert found["license"]["id"] == "cc0-1.0"
    pairs = {pair["pair_id"]: pair for pair in found["pairs"]}
    assert len(pairs) == 8
    first = pairs["1/word-problem-0/es-en/non_dominant"]
    assert first["chosen_text"].startswith("Traducido de English: esta es la tarea que lleva el número uno")
    assert first["rejected_text"].startswith("Esta es la tarea número uno.")
    if reference != "run:frozen":
        assert found["revision"] == PREFS_COMMIT


@pytest.mark.parametrize("form", sorted(EXPECTED["exports"]))
def test_pairs_are_exported_as_they_were(hub, told, form):
    for reference, out in (("run:frozen", Path("of-run")), (f"{PREFS}@v0.1.0", Path("of-hub"))):
        assert told("pairs", "export", reference, "--to", form, "--name", "frozen", str(out))["rows"] == 8
        assert exported(out) == EXPECTED["exports"][form]
        assert "cc0-1.0" in (out / "README.md").read_text(encoding="utf-8")
    assert PREFS_COMMIT in (out / "README.md").read_text(encoding="utf-8")


def exported(folder: Path) -> dict[str, str]:
    """SHA-256 of what an export holds for a trainer: of Parquet the rows, of other files the bytes."""
    found = {}
    for path in sorted(path for path in folder.iterdir() if path.is_file() and path.name != "README.md"):
        content = path.read_bytes()
        if path.suffix == ".parquet":
            content = json.dumps(pq.read_table(path).to_pylist(), ensure_ascii=False).encode()
        found[path.name] = hashlib.sha256(content).hexdigest()
    return found


@pytest.mark.parametrize("reference", ["run:frozen", f"{PREFS}@v0.1.0"])
def test_pairs_are_loaded(hub, reference):
    pairs = lidr.load_pairs(reference)
    assert pairs.num_rows == 8
    assert pairs[0]["pair_id"] == "1/word-problem-0/en-es/dominant"
    assert pairs[0]["chosen"][0]["content"].startswith("This is task number one. We work it out")
    assert lidr.load_pairs(reference, kinds=["non_dominant"], iterations=[1]).num_rows == 2


def test_lineage_of_the_run_leads_from_the_recipe_to_the_last_policy(frozen, told):
    graph = told("lineage", "run:frozen")
    nodes = {node["id"]: node for node in graph["nodes"]}
    steps = records(frozen / "store/frozen/0.1.0")
    assert set(steps) - {"iter_2/publish"} <= set(nodes)
    assert f"digest {steps['iter_2/train']['digest'][:12]}" in nodes["iter_2/train"]["lines"]
    assert nodes[f"{POLICY}-base"]["revision"] == BASE_COMMIT
    assert {("iter_1/train", "iter_2/generate"), ("iter_2/weigh", "iter_2/train")} <= edges(graph)


def test_lineage_of_the_releases_leads_across_repositories_and_into_a_pair(hub, told):
    model = told("lineage", f"{POLICY}@v0.1.0")
    prefs = f"datasets/{PREFS}"
    assert {(prefs, POLICY), ("iter_2/train", POLICY), ("iter_2/weigh", prefs)} <= edges(model)
    pair = told("lineage", f"{PREFS}@v0.1.0/1/word-problem-0/es-en/non_dominant")
    assert pair["focus"] == "row:1/word-problem-0/es-en/non_dominant"
    assert ("text:word-problem-0/en->es", pair["focus"]) in edges(pair)
    assert ("text:word-problem-0/en", "text:word-problem-0/en->es") in edges(pair)


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


def test_the_card_of_the_pairs_is_the_one_that_was_published(hub, capsys):
    assert main(["card", "frozen.yaml", "--of", "pairs"]) == 0
    assert capsys.readouterr().out == read(hub, f"datasets/{PREFS}/raw/v0.1.0/README.md")


def test_the_card_of_the_policy_is_the_one_that_was_published_but_for_the_commit_of_its_pairs(hub, capsys):
    assert main(["card", "frozen.yaml", "--of", "policy"]) == 0
    published = read(hub, f"{POLICY}/raw/v0.1.0/README.md")
    said, lines = capsys.readouterr().out.splitlines(), published.splitlines()
    less = [
        "datasets:",
        f"- {PREFS}",
        "",
        "| data | commit |",
        "| :-- | :-- |",
        f"| pairs `{PREFS}` | `{PREFS_COMMIT}` |",
    ]
    assert sorted(lines) == sorted([*said, *less])
    rest = iter(lines)
    assert all(line in rest for line in said)  # in the same order


def read(hub: dict[str, str], path: str) -> str:
    request = urllib.request.Request(
        f"{hub['HF_ENDPOINT']}/{path}", headers={"Authorization": f"Bearer {hub['HF_TOKEN']}"}
    )
    with urllib.request.urlopen(request) as got:
        return str(got.read().decode())


def test_the_lock_still_names_what_the_hub_has(hub, capsys):
    for name, commits in (("frozen", 1), ("mix", 1)):
        assert main(["lock", f"{name}.yaml", "--check"]) == 0
        said = capsys.readouterr()
        assert f"{commits} commits, every tag and branch as it was" in said.out + said.err


def test_publishing_again_finds_every_release_there(hub, told):
    found = told("publish", "frozen.yaml")["published"]
    releases = [(PREFS, "v0.1.0"), (POLICY, "v0.1.0-iter_1"), (POLICY, "v0.1.0")]
    assert [(one["repo"], one["tag"]) for one in found] == releases
    assert {one["state"] for one in found} == {"already there"}
    was = json.loads(Path("store/frozen/0.1.0/iter_2/publish/release.json").read_text(encoding="utf-8"))["published"]
    assert [(one["sha"], one["digest"]) for one in found] == [(one["sha"], one["digest"]) for one in was]


def test_the_pairs_are_made_again_from_their_release_and_are_identical(hub, told):
    found = told("reproduce", f"{PREFS}@v0.1.0", "--from", "pair", "--until", "weigh", "--quiet", "--out", "again")
    assert (found["verdict"], found["findings"]) == ("identical", [])
    made = {verdict["place"]: verdict["kind"] for verdict in found["verdicts"] if verdict["kind"] != "not asked for"}
    again = [f"iter_{k}/{step}" for k in (1, 2) for step in ("pair", "filter", "measure", "weigh")]
    rescored = [f"iter_{k}/evaluate (scores from stored outputs)" for k in (0, 1, 2)]
    assert made == dict.fromkeys([*again, *rescored, "card"], "identical")


def test_a_policys_release_finds_its_rows_in_the_other_repository(hub, told):
    words = ("--from", "pair", "--until", "pair", "--quiet", "--out", "again")
    found = told("reproduce", f"{POLICY}@v0.1.0", *words)
    kinds = {verdict["place"]: verdict["kind"] for verdict in found["verdicts"]}
    assert (found["verdict"], found["findings"]) == ("identical", [])
    assert {kinds[place] for place in ("iter_1/pair", "iter_2/pair", "card")} == {"identical"}


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
    assert judged() == before


def test_a_verdict_that_is_not_in_the_cache_is_asked(frozen, capsys):
    with sqlite3.connect("store/.judge.sqlite") as cache:
        cache.execute("UPDATE answers SET request_sha256 = 'x' || request_sha256 WHERE model = 'judge-1'")
    cache.close()
    assert judge_again() == 3
    assert "failed on 6 of 6 comparisons" in capsys.readouterr().err
