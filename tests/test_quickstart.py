"""`lidr quickstart` as a new user runs it, on fewer prompts: its story, and a world where there is nothing to gain."""

from __future__ import annotations

import json
import os
import pty
import re
import signal
import subprocess
import sys
import urllib.request
from pathlib import Path

import pytest

from lidr.cli.quickstart import _opening
from lidr.hub_server import serve_in_background

pytest.importorskip("torch")
FEWER = ("--set", 'iterations=[{prompts: "0:200"}]', "--set", "chain.evaluate.limit=150")
ALIKE = ("--set", "policy.model=./recipes/miniature/equal-1")
COMMAND = [sys.executable, "-m", "lidr.cli.main", "quickstart", *FEWER]


def quickstart(folder: Path, *words: str) -> subprocess.CompletedProcess[str]:
    folder.mkdir(exist_ok=True)
    return subprocess.run([*COMMAND, *words], cwd=folder, capture_output=True, text=True, check=True)


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """An empty folder, in which it ran."""
    return tmp_path_factory.mktemp("quickstart") / "empty"


@pytest.fixture(scope="module")
def done(folder: Path) -> subprocess.CompletedProcess[str]:
    return quickstart(folder)


def differences(folder: Path, *words: str) -> dict[str, tuple[float, float, float]]:
    """Language -> gain with its interval, of the run that stands there."""
    said = json.loads(quickstart(folder, "--json", *words).stdout)
    (section,) = said["comparison"]["sections"]
    (found,) = section["differences"].values()
    return {code: (one["value"], one["low"], one["high"]) for code, one in found.items()}


def test_the_warning_of_its_second_iteration_is_announced():
    assert "the second iteration warns that few slots are kept, and here that is success." in _opening(2)
    assert "warns" not in _opening(1)


@pytest.mark.slow
def test_it_says_what_it_will_do_shows_each_step_and_ends_with_the_whole_story(done, folder):
    said, told = done.stderr, done.stdout
    assert re.search(r"(?s)\AA policy .* 1 iteration, .*\nIt took \d+ min", said)
    assert [step in said for step in ("iter_1/generate: running", "iter_1/train: done in")] == [True, True]
    assert "\x1b" not in told  # plain text where no terminal is
    assert told.count("| chosen ") == 3
    assert [len(re.findall(rf"(?m)^{code}  before  #", told)) for code in ("en", "de", "es")] == [1, 1, 1]
    assert len(re.findall(r"(?m)^ +after   #.* \d\.\d{3} \[\d\.\d{3}, \d\.\d{3}\]$", told)) == 3
    assert re.search(r"(?m)^mean: 0\.\d+ behind en before, 0\.\d+ after: \d+% \[\d+, \d+\] of the gap is closed$", told)
    (page,) = re.findall(r"(?m)^report +file://(\S+)$", told)
    assert Path(page).is_relative_to(folder)
    (share,) = re.findall(r"(?m)^mean: .* after: (\d+% \[\d+, \d+\]) of the gap is closed$", told)
    assert f'<p class="big good">{share}</p>' in Path(page).read_text(encoding="utf-8")
    next_lines = told.partition("\nNext\n")[2].splitlines()
    assert [line.split()[:2] for line in next_lines[:2]] == [["lidr", "cp"], ["lidr", "plan"]]


def test_the_hub_that_it_names_has_its_pairs_and_its_policy(done, folder):
    (root,) = re.findall(r"lidr hub serve --root (\S+)", done.stdout)
    pages = re.findall(r"http://127\.0\.0\.1:8080(/\S+)", done.stdout)
    assert pages == ["/datasets/lidr/first-prefs", "/lidr/first"]
    with serve_in_background(folder / root) as hub:
        for page in pages:
            assert urllib.request.urlopen(hub.url + page).status == 200


def test_the_scores_are_of_this_run_and_the_poor_languages_gain(done, folder):
    gains = differences(folder)
    assert all(gains[code][1] > 0 for code in ("de", "es"))
    for model in ("iter_0", "iter_1"):
        assert (folder / "runs" / "first" / "0.1.0" / model / "evaluate" / "record.json").exists()


@pytest.mark.slow
def test_a_policy_that_is_as_poor_everywhere_gains_nothing(tmp_path):
    told = quickstart(tmp_path / "alike", *ALIKE).stdout
    assert "of the gap is closed" not in told.partition("mean: ")[2].splitlines()[0]
    gains = differences(tmp_path / "alike", *ALIKE)
    assert all(low < 0 < high for _, low, high in gains.values())


def test_in_a_terminal_the_hubs_pages_stay_until_ctrl_c(done, folder):
    ours, theirs = pty.openpty()
    process = subprocess.Popen(
        [*COMMAND, "--quiet"], cwd=folder, stdin=theirs, stdout=theirs, stderr=subprocess.DEVNULL
    )
    os.close(theirs)
    text = ""
    while not (found := re.search(r"(http://127\.0\.0\.1:\d+/datasets/\S+)\s", text)):
        text += os.read(ours, 4096).decode(errors="replace")
    assert urllib.request.urlopen(found[1]).status == 200
    process.send_signal(signal.SIGINT)
    assert process.wait(30) == 0
    os.close(ours)
