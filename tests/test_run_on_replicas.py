"""A whole run on replicas, by the command: killed without a word, it leaves nobody behind, and goes on by row."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import psutil
import pytest

from lidr.cli.main import main
from tests.scripted import RECIPE, write_answers, write_world

pytestmark = pytest.mark.slow

REPLICAS = ("--set", "runtime.replicas=2")


def lidr(lean: Path, *words: str) -> subprocess.Popen[bytes]:
    """Ray's own processes have 15 s to come up; `lean` keeps chardet out of them, which takes a second of each."""
    lean.mkdir(exist_ok=True)
    (lean / "chardet.py").write_text("raise ImportError")
    path = os.pathsep.join(filter(None, (str(lean), os.environ.get("PYTHONPATH"))))
    command = [sys.executable, "-m", "lidr.cli.main", *words]
    return subprocess.Popen(command, env={**os.environ, "PYTHONPATH": path}, start_new_session=True)


def journal(recipe: Path) -> list[dict[str, Any]]:
    found = [*recipe.parent.glob("runs/scripted/0.1.0/iter_1/*generate*/work/answers.jsonl")]
    return [json.loads(line) for line in found[0].read_text().splitlines()] if found else []


def records(recipe: Path) -> dict[str, dict[str, Any]]:
    found = recipe.parent.glob("runs/scripted/0.1.0/iter_*/*/record.json")
    return {f"{path.parts[-3]}/{path.parts[-2]}": json.loads(path.read_text()) for path in found}


def assert_strangers_are_turned_away(started: list[psutil.Process]) -> None:
    """Ray's servers listen on all addresses of this machine: who has no token gets no word from them."""
    words = [word for child in started if child.name().startswith("raylet") for word in child.cmdline()]
    (address,) = {word.partition("=")[2] for word in words if word.startswith("--gcs-address=")}
    code = f"from ray._raylet import GcsClient; print(GcsClient(address='{address}').internal_kv_keys(b''))"
    stranger = {name: value for name, value in os.environ.items() if not name.startswith("RAY_AUTH")}
    asked = subprocess.run([sys.executable, "-c", code], env=stranger, capture_output=True, text=True, timeout=120)
    assert asked.returncode != 0
    assert "Authentication token is missing or incorrect" in asked.stderr


def test_a_killed_run_leaves_no_process_and_the_same_command_finishes_it(tmp_path: Path) -> None:
    once = RECIPE.replace('  - prompts: "4:8"\n', "")
    plain, shared = write_world(tmp_path / "plain", once), write_world(tmp_path / "shared", once)
    assert main(["run", str(plain), "--quiet"]) == 0
    write_answers(shared.parent / "answers.jsonl", delay_s=0.6)
    first = lidr(tmp_path / "lean", "run", str(shared), *REPLICAS)
    until = time.monotonic() + 400
    while len(journal(shared)) < 4:
        assert first.poll() is None
        if time.monotonic() > until:
            first.terminate()
            first.wait()
            raise AssertionError("Ray did not start")
        time.sleep(0.05)
    os.kill(first.pid, signal.SIGSTOP)  # on a busy machine all would be answered while we look
    started = psutil.Process(first.pid).children(recursive=True)
    assert any("raylet" in child.name() for child in started)
    assert sum("Replica" in " ".join(child.cmdline()) for child in started) == 2
    assert_strangers_are_turned_away(started)
    os.kill(first.pid, signal.SIGKILL)
    first.wait()
    _, alive = psutil.wait_procs(started, timeout=10)
    assert [child for child in alive if child.is_running() and child.status() != psutil.STATUS_ZOMBIE] == []
    kept = {row["key"] for row in journal(shared)}
    assert 4 <= len(kept) < 12
    assert lidr(tmp_path / "lean", "run", str(shared), *REPLICAS).wait(400) == 0
    ours, theirs = records(shared), records(plain)
    answers = {name: record["digest"] for name, record in ours.items() if record["writes"] != "policy"}
    assert answers == {name: record["digest"] for name, record in theirs.items() if record["writes"] != "policy"}
    said = ours["iter_1/generate"]["execution"]
    assert (said["replicas"], said["nodes"], said["replicas_died"]) == (2, 1, 0)
    assert ours["iter_1/generate"]["rate"]["count"] <= 12 - len(kept)
    assert "replicas" not in theirs["iter_1/generate"]["execution"]
