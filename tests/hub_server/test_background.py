"""Starting, sharing and stopping; the command line; collection; git's own opinion of the ids."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import psutil
import pytest

from lidr.disk_faults import locked_now, locked_together
from lidr.errors import HubError
from lidr.hub_server import find_running, serve_in_background
from lidr.hub_server.serving import serve
from lidr.hub_server.storage import git_ids
from lidr.hub_server.storage.garbage import collect
from lidr.hub_server.storage.storage import Storage
from tests.hub_server.raw import check_whole, client, commit, create, file

ROOT = Path(__file__).parents[2]


def test_it_starts_in_about_a_second(tmp_path):
    start = time.monotonic()
    with serve_in_background(tmp_path):
        assert time.monotonic() - start < 3


def test_two_users_share_one_server_and_the_last_one_stops_it(tmp_path):
    first = serve_in_background(tmp_path)
    second = serve_in_background(tmp_path)
    assert (first.pid, first.url, first.token) == (second.pid, second.url, second.token)
    first.close()
    with client(second) as session:
        assert session.get("/lidr/health").json()["pid"] == second.pid
    second.close()
    assert not psutil.pid_exists(second.pid), "it has ended, and its exit status was taken"
    assert find_running(tmp_path) is None
    assert not (tmp_path / "hub.json").exists()


def _wait_for_end(pid: int) -> None:
    process = psutil.Process(pid) if psutil.pid_exists(pid) else None
    deadline = time.monotonic() + 10
    while process and process.is_running() and process.status() != psutil.STATUS_ZOMBIE:
        assert time.monotonic() < deadline, "the server did not end"
        time.sleep(0.05)


def test_it_ends_when_its_user_is_killed(tmp_path):
    code = (
        "import sys, time; from pathlib import Path; from lidr.hub_server import serve_in_background\n"
        "print(serve_in_background(Path(sys.argv[1])).pid, flush=True); time.sleep(60)"
    )
    command = [sys.executable, "-c", code, str(tmp_path)]
    with subprocess.Popen(command, stdout=subprocess.PIPE, cwd=ROOT) as user:
        assert user.stdout
        pid = int(user.stdout.readline())
        user.kill()
    _wait_for_end(pid)


def test_closing_waits_for_a_server_that_noticed_first_that_nobody_uses_it(tmp_path):
    hub = serve_in_background(tmp_path)
    hub._held.close()
    while True:
        with locked_now(tmp_path / "users.lock", shared=True) as is_free:
            if not is_free:
                break
        time.sleep(0.05)
    hub.close()
    assert not psutil.pid_exists(hub.pid)


def test_a_server_left_to_others_is_waited_for_at_the_next_close(tmp_path):
    hub = serve_in_background(tmp_path / "shared")
    with locked_together(tmp_path / "shared" / "users.lock"):  # as another process would
        hub.close()
        assert psutil.Process(hub.pid).status() != psutil.STATUS_ZOMBIE
    _wait_for_end(hub.pid)
    with serve_in_background(tmp_path / "other"):
        pass
    assert not psutil.pid_exists(hub.pid)


def test_a_killed_server_leaves_no_claim(tmp_path):
    hub = serve_in_background(tmp_path)
    os.kill(hub.pid, signal.SIGKILL)
    _wait_for_end(hub.pid)
    assert find_running(tmp_path) is None
    with serve_in_background(tmp_path) as again:
        assert again.pid != hub.pid
    hub.close()
    assert not any(map(psutil.pid_exists, (hub.pid, again.pid))), "the last to let go waits for both"


def test_one_folder_has_one_server(hub):
    with pytest.raises(HubError, match="another process serves"):
        serve(hub.root)


def test_a_port_that_is_taken_is_told(hub, tmp_path):
    port = int(hub.url.rpartition(":")[2])
    with pytest.raises(HubError, match="cannot listen"):
        serve_in_background(tmp_path, port=port)


def test_a_given_token_is_the_token(tmp_path):
    with serve_in_background(tmp_path, token="its-own-token") as hub, client(hub, token="its-own-token") as session:
        assert hub.token == "its-own-token"
        assert session.get("/api/whoami-v2").json()["name"] == "lidr"


_COMMAND = """
import argparse, sys
from lidr.cli import hub
parser = argparse.ArgumentParser()
hub.arguments(parser)
sys.exit(hub.main(parser.parse_args()))
"""


def _lidr(*arguments: str, **surroundings: str):
    command = [sys.executable, "-c", _COMMAND, *arguments]
    return subprocess.run(command, capture_output=True, text=True, cwd=ROOT, env={**os.environ, **surroundings})


def test_env_prints_what_a_shell_can_take(hub):
    done = _lidr("env", "--root", str(hub.root))
    shell = subprocess.run(
        ["sh", "-c", f"{done.stdout}\nenv"], capture_output=True, text=True, env={"PATH": os.environ["PATH"]}
    )
    for name, value in hub.environment.items():
        assert f"{name}={value}" in shell.stdout.splitlines()
    assert f"HF_HOME is then {hub.environment['HF_HOME']}" in done.stderr
    assert "models of your usual cache are not found" in done.stderr
    assert json.loads(_lidr("env", "--root", str(hub.root), "--json").stdout)["environment"] == hub.environment


def test_env_says_when_there_is_no_server(tmp_path):
    done = _lidr("env", "--root", str(tmp_path))
    assert done.returncode != 0
    assert "lidr hub serve" in done.stderr


def test_ls_lists_repositories_with_their_tags(hub):
    with client(hub) as session:
        repo = create(session, "lidr/listed")
        session.post(f"/api/{repo}/tag/main", json={"tag": "v0.1.0"})
    line = next(line for line in _lidr("ls", "--root", str(hub.root)).stdout.splitlines() if "lidr/listed" in line)
    assert line.split()[0] == "dataset"
    assert line.split()[-1] == "v0.1.0"
    found = json.loads(_lidr("ls", "--root", str(hub.root), "--json").stdout)["repositories"]
    assert any(entry["id"] == "lidr/listed" and list(entry["tags"]) == ["v0.1.0"] for entry in found)


def test_serve_prints_a_random_token_once_and_a_given_one_never(tmp_path):
    for token in (None, "mine-and-secret"):
        surroundings = {"LIDR_HUB_TOKEN": token} if token else {}
        command = [sys.executable, "-c", _COMMAND, "serve", "--port", "0", "--root", str(tmp_path)]
        surroundings = {name: value for name, value in os.environ.items() if name != "LIDR_HUB_TOKEN"} | surroundings
        with subprocess.Popen(command, cwd=ROOT, env=surroundings, stderr=subprocess.PIPE, text=True) as process:
            while (hub := find_running(tmp_path)) is None:
                time.sleep(0.02)
            process.send_signal(signal.SIGINT)
            _, said = process.communicate(timeout=20)
        assert process.returncode == 0
        assert said.count(hub.token) == (0 if token else 1)


def test_what_nothing_refers_to_is_collected(tmp_path):
    with serve_in_background(tmp_path) as hub, client(hub) as session:
        repo = create(session, "lidr/collected")
        for i in range(3):
            commit(session, repo, file("a.txt", b"%d" % i))
        old = session.get(f"/api/{repo}").json()["sha"]
        session.post(f"/api/{repo}/super-squash/main", json={"message": "one"})
        kept = session.post("/lidr/collect", json={}).json()
        assert kept == {"commits": 0, "objects": 0, "bytes": 0}, "within the grace nothing is removed"
        removed = session.post("/lidr/collect", json={"grace_s": -1}).json()
        assert removed == {"commits": 4, "objects": 2, "bytes": 2}
        assert session.get(f"/{repo}/resolve/main/a.txt").text == "2"
        assert session.get(f"/{repo}/resolve/{old}/a.txt").headers["x-error-code"] == "RevisionNotFound"
    assert check_whole(tmp_path) == 1


def test_tags_keep_their_history_from_collection(tmp_path):
    storage = Storage(tmp_path)
    made = storage.create("model", "lidr/kept", private=False, author="lidr")
    refs = made.refs()
    refs["tags"]["v1"] = {"target": made.resolve("main").sha, "message": ""}
    made.write_refs(refs)
    assert collect(storage, grace_s=-1) == (0, 0, 0)
    assert made.resolve("v1").files


def test_git_gives_the_same_ids(tmp_path):
    files = {"b.txt": b"two\n", "a/x.txt": b"one\n", "a/deep/y.bin": bytes(300), "a.txt": b"beside a folder a\n"}
    for path, content in files.items():
        (tmp_path / path).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / path).write_bytes(content)
    who = {
        f"GIT_{kind}_{what}": value
        for kind in ("AUTHOR", "COMMITTER")
        for what, value in (("NAME", "lidr"), ("EMAIL", "lidr@localhost"), ("DATE", "1700000000 +0000"))
    }

    def git(*words):
        done = subprocess.run(
            ["git", *words], cwd=tmp_path, capture_output=True, text=True, check=True, env={**os.environ, **who}
        )
        return done.stdout.strip()

    git("init", "-q", "--object-format=sha1")
    git("add", ".")
    git("commit", "-q", "-m", "a title\n\nand a text")
    trees = git_ids.tree_ids({path: git_ids.blob_id(content) for path, content in files.items()})
    assert trees[""] == git("rev-parse", "HEAD^{tree}")
    assert trees["a/deep"] == git("rev-parse", "HEAD:a/deep")
    message = "a title\n\nand a text"
    assert git_ids.commit_id(trees[""], [], author="lidr", time=1700000000, message=message) == git("rev-parse", "HEAD")


def test_a_tree_of_more_than_a_thousand_entries_comes_in_pages(hub):
    with client(hub) as session:
        repo = create(session, "lidr/many")
        answer = commit(session, repo, *(file(f"f/{i:04}", b"%d" % i) for i in range(1100)))
        assert answer.status_code == 200
        first = session.get(f"/api/{repo}/tree/main", params={"recursive": "true"})
        rest = session.get(first.links["next"]["url"])
    assert (len(first.json()), len(rest.json())) == (1000, 102)
    assert "next" not in rest.links
