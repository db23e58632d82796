"""Workers that are forked from a process with torch: what they share with fresh ones, and when they are fresh."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import psutil
import pytest

from lidr.errors import EngineError
from lidr.worker import Worker, fork_server

MODULE = '''
"""A worker that tells about itself."""
import logging, os, sys, threading, time
EARLY = "torch" in sys.modules
from lidr.worker import serve

def handle(message):
    if "end" in message:
        print("last words", flush=True)
        os._exit(message["end"])
    if "warn" in message:
        said = {"silent_since": 7.5} if message["warn"] == "silent" else {}
        threading.Thread(target=logging.getLogger("lidr.servers").warning, args=("%s!", message["warn"]),
                         kwargs={"extra": said}).start()
        logging.getLogger("other").warning("of a library")
        time.sleep(0.2)
    yield {
        "name": __name__, "argv": sys.argv[1:], "cwd": os.getcwd(), "first": sys.path[0], "early": EARLY,
        "group": os.getpgid(0), "session": os.getsid(0), "env": os.environ.get("LIDR_TOLD"),
    }

if __name__ == "__main__":
    serve(handle)
'''
pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="forks are made on Linux alone")


@pytest.fixture
def talk(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    """Start the worker and ask it once."""
    (tmp_path / "talkative_worker.py").write_text(MODULE, encoding="utf-8")
    monkeypatch.chdir(tmp_path)

    def start(**how):
        return Worker("talkative_worker", log=tmp_path / "log", **how)

    return start


def told(worker: Worker) -> dict:
    worker.send({"tell": True})
    (reply,) = list(worker.replies())
    return reply


def test_a_fork_is_what_a_fresh_process_is_but_for_what_it_need_not_import(talk, tmp_path):
    with talk(env={"LIDR_TOLD": "yes"}) as forked, talk(env={"LIDR_TOLD": "yes"}, fresh=True) as fresh:
        one, other = told(forked), told(fresh)
        assert (one.pop("early"), other.pop("early")) == (True, False)
        for reply, worker in ((one, forked), (other, fresh)):
            assert {reply.pop("group"), reply.pop("session")} == {worker.pid}
        assert (
            one == other == {"name": "__main__", "argv": [], "cwd": str(tmp_path), "first": str(tmp_path), "env": "yes"}
        )
    assert not psutil.pid_exists(forked.pid)


@pytest.mark.parametrize("name", ["HF_ENDPOINT", "OMP_NUM_THREADS"])
def test_another_environment_at_import_gets_a_fresh_process(talk, name):
    with talk(env={name: "3"}) as worker:
        assert told(worker)["early"] is False


def test_when_this_process_has_another_environment_the_server_is_replaced_once_nothing_of_it_runs(
    talk, monkeypatch, tmp_path
):
    with talk() as worker:
        (first,) = fork_server._RUNNING
        monkeypatch.setenv("KMP_SETTINGS", str(tmp_path))  # libraries set others like it when they are imported
        with talk() as other:
            assert told(other)["early"] is False
        assert told(worker)["early"]
    with talk() as worker, talk() as other:
        assert told(worker)["early"]
        assert told(other)["early"]
    assert fork_server._RUNNING[0] is not first
    assert first._process.poll() is not None


def test_the_exit_status_and_the_last_words_of_a_fork_are_told(talk, tmp_path):
    with talk() as worker:
        worker.send({"end": 7})
        with pytest.raises(EngineError, match=r"exit status 7(?s:.*)last words"):
            list(worker.replies())


def test_a_server_that_was_killed_is_started_again(talk):
    with talk() as worker:
        (server,) = fork_server._RUNNING
        server._process.kill()
        server._process.wait()
        assert told(worker)["early"]  # what it has forked goes on
    with talk() as worker:
        assert told(worker)["early"]


def test_where_there_is_a_gpu_nothing_is_forked(talk, monkeypatch, tmp_path):
    (tmp_path / "gpu").touch()
    monkeypatch.setattr(fork_server, "_GPUS", (str(tmp_path / "gpu"),))
    with talk() as worker:
        assert told(worker)["early"] is False


def test_the_server_ends_with_its_process_however_that_ends(talk, tmp_path):
    code = (
        "import os; from pathlib import Path; from lidr.worker import fork_server; from lidr.worker import Worker\n"
        "worker = Worker('talkative_worker', log=Path('log')); worker.send({'tell': 1}); list(worker.replies())\n"
        "print(fork_server._RUNNING[0]._process.pid, worker.pid, flush=True); os.kill(os.getpid(), 9)"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, env=os.environ)
    pids = [int(word) for word in done.stdout.split()]
    assert len(pids) == 2
    _, alive = psutil.wait_procs([psutil.Process(pid) for pid in pids if psutil.pid_exists(pid)], timeout=20)
    assert alive == []


@pytest.mark.parametrize("fresh", [True, False])
def test_what_lidr_warns_of_in_a_worker_its_parent_hears_and_libraries_stay_in_the_log(talk, caplog, fresh):
    with talk(fresh=fresh) as worker:
        for word in ("silent", "cache"):
            worker.send({"warn": word})
            assert [reply["name"] for reply in worker.replies()] == ["__main__"]
    heard = [(record.name, record.getMessage(), getattr(record, "silent_since", None)) for record in caplog.records]
    assert heard == [("lidr.servers", "silent!", 7.5), ("lidr.servers", "cache!", None)]
    assert "of a library" in worker.log.read_text()
