"""A full disk, a disk without locks, an impatient user: said in one way, nothing finished is lost."""

from __future__ import annotations

import errno
import fcntl
import json
import os
import re
import signal
import subprocess
import sys
import time
import tracemalloc

import pytest

import lidr
from lidr.cli.main import main
from lidr.disk_faults import is_full, locked, no_space
from lidr.engines.engine import EngineSpec
from lidr.engines.remote.openai import OpenAIEngine
from lidr.errors import EngineError, StoreError
from lidr.retry import Retry
from tests.engines.helpers import ask
from tests.engines.server import Reply, Server, completion
from tests.scripted import write_answers, write_world

ADVICE = "no space left"
WHAT_TO_DO = "finished rows are kept. Free some space on that disk, or move the store"


@pytest.mark.parametrize(
    "error",
    [
        OSError(errno.ENOSPC, "No space left on device", "x"),
        OSError(errno.EDQUOT, "Disk quota exceeded"),
        OSError(errno.EFBIG, "File too large"),
        RuntimeError("[enforce fail at inline_container.cc] . PytorchStreamWriter failed: No space left on device"),
        Exception("Error while serializing: I/O error: No space left on device (os error 28)"),
        Exception("database or disk is full"),
        EngineError("the worker lidr.train ended early: OSError: [Errno 28] No space left on device"),
    ],
)
def test_a_full_disk_is_known_however_it_is_said(error):
    assert is_full(error)
    assert not is_full(OSError(errno.EACCES, "no space left to the left"))
    assert not is_full(ValueError("the disk is fine"))


def test_of_a_copy_the_file_that_is_written_is_named(tmp_path):
    """As `shutil` says it of a model of the user's that is copied into the store."""
    error = OSError(errno.ENOSPC, "No space left on device", "/models/mine/model.safetensors", None, "/store/model")
    assert no_space(error).startswith("no space left while writing /store/model: ")


SAVING = """
import resource, sys, torch
from lidr.disk_faults import is_full
limit = int(sys.argv[2])
resource.setrlimit(resource.RLIMIT_FSIZE, (limit, limit))
try:
    torch.save({"a": torch.zeros(50_000), "b": torch.zeros(7)}, sys.argv[1])
except Exception as error:
    sys.exit(0 if is_full(error) else f"not known: {error}")
sys.exit("it was written")
"""


@pytest.mark.parametrize("limit", [0, 300, 100_000, 200_900])
def test_a_full_disk_is_known_by_what_torch_says_which_names_no_disk(tmp_path, limit):
    """`unexpected pos 640 vs 598` in the middle of a checkpoint, `iostream error` at its end."""
    words = [sys.executable, "-c", SAVING, tmp_path / "optimizer.pt", str(limit)]
    found = subprocess.run(words, capture_output=True, text=True, check=False)
    assert (found.returncode, found.stderr) == (0, "")


LIMITED = """
import resource, sys
resource.setrlimit(resource.RLIMIT_FSIZE, ({limit}, {limit}))
from lidr.cli.main import main
sys.exit(main(sys.argv[1:]))
"""


def limited(limit, *words):
    """A command that may write no file larger than so many bytes."""
    return subprocess.run(
        [sys.executable, "-c", LIMITED.format(limit=limit), *map(str, words)],
        capture_output=True,
        text=True,
        check=False,
    )


@pytest.mark.parametrize("limit", [0, 100, 1500, 2500, 4500])
def test_whatever_is_being_written_the_advice_is_the_same_and_the_next_try_goes_on(tmp_path, limit):
    recipe = write_world(tmp_path)
    found = limited(limit, "run", recipe, "--quiet")
    assert found.returncode == 2, found.stderr
    assert ADVICE in found.stderr
    assert WHAT_TO_DO in found.stderr
    assert "Traceback" not in found.stderr
    again = limited(limit, "run", recipe, "--quiet")  # said as clearly the second time
    assert WHAT_TO_DO in again.stderr
    assert main(["run", str(recipe), "--quiet"]) == 0


def test_other_commands_say_it_too(tmp_path):
    recipe = write_world(tmp_path)
    assert main(["run", str(recipe), "--quiet"]) == 0
    pairs = str(tmp_path / "runs/scripted/0.1.0/iter_1/filter/data")
    for words in (
        ("report", recipe, "--out", tmp_path / "page.html"),
        ("pairs", "export", pairs, tmp_path / "o", "--to", "trl"),
    ):
        found = limited(300, *words)
        assert (found.returncode, ADVICE in found.stderr) == (2, True), found.stderr
        assert "Traceback" not in found.stderr


@pytest.mark.parametrize("code", [errno.ENOSYS, errno.ENOLCK, errno.EOPNOTSUPP])
def test_a_file_system_without_locks_is_said(tmp_path, monkeypatch, code):
    def refuse(*_):
        raise OSError(code, os.strerror(code))

    monkeypatch.setattr(fcntl, "flock", refuse)
    with pytest.raises(StoreError, match=r"no file locks \(flock\).*--set runtime.store=FOLDER"):
        lidr.run(lidr.load_recipe(write_world(tmp_path)))
    with pytest.raises(StoreError, match="no file locks"), locked(tmp_path / "x", lambda: None):
        pass


@pytest.mark.parametrize("between_s", [0.0, 0.05, 0.3])
def test_the_second_interrupt_ends_at_once_without_a_traceback(tmp_path, between_s):
    recipe = write_world(tmp_path)
    write_answers(tmp_path / "answers.jsonl", delay_s=0.5)
    command = subprocess.Popen(
        [sys.executable, "-c", "from lidr.cli.main import main; import sys; sys.exit(main())", "run", str(recipe)],
        stderr=subprocess.PIPE,
        text=True,
    )
    journal = tmp_path / "runs/scripted/0.1.0/iter_1/generate.partial/work/answers.jsonl"
    until = time.monotonic() + 120
    while not (journal.exists() and journal.stat().st_size) and time.monotonic() < until:
        time.sleep(0.05)
    command.send_signal(signal.SIGINT)
    time.sleep(between_s)
    command.send_signal(signal.SIGINT)
    time.sleep(0.02)
    command.send_signal(signal.SIGINT)
    _, said = command.communicate(timeout=60)
    assert command.returncode in (130, -signal.SIGINT)  # the kernel's own, while Python is already ending
    assert "Traceback" not in said
    assert re.search("the same command goes on from here", said)
    assert json.loads(journal.read_text(encoding="utf-8").splitlines()[0])


def test_memory_stays_flat_under_faults_with_large_bodies(monkeypatch):
    monkeypatch.setenv("NO_PROXY", "127.0.0.1")
    large = Reply(500, "x" * 1_000_000)
    spare = Reply(200, json.dumps({"choices": "x" * 1_000_000}))

    def answer(body, number):
        return (large, completion(), completion(), completion(), spare, completion())[number % 6]

    held = []
    with Server(answer) as server:
        spec = EngineSpec("openai", model="m", url=server.url, batch=1)
        with OpenAIEngine(spec, retry=Retry(attempts=2, base_s=0.001)) as engine:
            tracemalloc.start()
            for _ in engine.generate(ask(str(n)) for n in range(300)):
                server.bodies.clear()
                held.append(tracemalloc.get_traced_memory()[0])
            tracemalloc.stop()
    early, late = min(held[40:60]), min(held[-20:])
    assert late < early + 1_000_000, (early, late)  # one body is a million
