"""What commit cf61f58 published is still shown, exported, loaded, traced, published again and reproduced.

Run by tests/test_frozen.py in a process that imports the Hub's client after its address is known.
"""

from __future__ import annotations

import hashlib
import io
import json
import os
import subprocess
import sys
import time
import urllib.request
from collections.abc import Iterator
from contextlib import redirect_stderr, redirect_stdout
from pathlib import Path

import pyarrow.parquet as pq
import pytest

import lidr
from lidr.cli.main import main
from tests.test_frozen import (
    BASE_COMMIT,
    EXPECTED,
    FROZEN,
    POLICY,
    PREFS,
    PREFS_COMMIT,
    RULES,
    copied,
    digests,
    edges,
    frozen,
    records,
    told,
)


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


def test_lineage_of_the_releases_leads_across_repositories_and_into_a_pair(hub, told):
    model = told("lineage", f"{POLICY}@v0.1.0")
    prefs = f"datasets/{PREFS}"
    assert {(prefs, POLICY), ("iter_2/train", POLICY), ("iter_2/weigh", prefs)} <= edges(model)
    pair = told("lineage", f"{PREFS}@v0.1.0/1/word-problem-0/es-en/non_dominant")
    assert pair["focus"] == "row:1/word-problem-0/es-en/non_dominant"
    assert ("text:word-problem-0/en->es", pair["focus"]) in edges(pair)
    assert ("text:word-problem-0/en", "text:word-problem-0/en->es") in edges(pair)


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
    words = ("--from", "pair", "--until", "weigh", "--quiet", "--out", "again")
    found = told("reproduce", f"{PREFS}@v0.1.0", *words, rc=3)
    assert (found["verdict"], found["findings"]) == ("other rules", [])  # of the scores alone
    rescored = [f"iter_{k}/evaluate (scores from stored outputs)" for k in (0, 1, 2)]
    by_rules = {v["place"]: v["rules"] for v in found["verdicts"] if v["rules"] and v["place"] not in rescored}
    made_again = ("pair", "filter", "weigh")
    assert by_rules == {f"iter_{k}/{step}": RULES[step] for k in (1, 2) for step in made_again if step in RULES}
    made = {verdict["place"]: verdict["kind"] for verdict in found["verdicts"] if verdict["kind"] != "not asked for"}
    again = [f"iter_{k}/{step}" for k in (1, 2) for step in made_again]
    # Its gold answers were a folder of the publisher's machine: what a release names is not read from the user's.
    local = dict.fromkeys(("iter_1/measure", "iter_2/measure"), "cannot run here")
    assert made == dict.fromkeys([*again, "card"], "identical") | dict.fromkeys(rescored, "other rules") | local


def test_a_policys_release_finds_its_rows_in_the_other_repository(hub, told):
    words = ("--from", "pair", "--until", "pair", "--quiet", "--out", "again")
    found = told("reproduce", f"{POLICY}@v0.1.0", *words, rc=3)
    kinds = {verdict["place"]: verdict["kind"] for verdict in found["verdicts"]}
    assert (found["verdict"], found["findings"]) == ("other rules", [])  # of the scores alone
    assert {kinds[place] for place in ("iter_1/pair", "iter_2/pair", "card")} == {"identical"}
