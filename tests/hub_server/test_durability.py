"""Writers at the same time, and servers that are killed: nothing is lost, nothing is half there."""

from __future__ import annotations

import os
import random
import signal
import socket
import threading
import time
from concurrent.futures import ThreadPoolExecutor

import httpx
import pytest

from lidr.hub_server import serve_in_background
from tests.hub_server.raw import check_whole, client, commit, create, file

KILLS = 100 if os.environ.get("LIDR_PROVE") else 12


def _append(session: httpx.Client, repo: str, line: str) -> int:
    """Add a line to a file that all writers share: read, change, commit with parent, and again if that was late."""
    for tries in range(200):
        head = session.get(f"/api/{repo}").json()["sha"]
        old = session.get(f"/{repo}/resolve/{head}/shared.txt")
        content = (old.content if old.status_code == 200 else b"") + f"{line}\n".encode()
        answer = commit(session, repo, file("shared.txt", content), file(f"own/{line}", b"1"), parentCommit=head)
        if answer.status_code == 200:
            return tries
        assert answer.status_code == 412, answer.text
        time.sleep(random.uniform(0, 0.05))
    raise AssertionError("never landed")


def test_ten_writers_with_parents_all_land_and_nothing_is_lost(hub):
    with client(hub) as session:
        repo = create(session, "writers/parents")
    lines = [[f"{writer}-{i}" for i in range(5)] for writer in range(10)]

    def write(mine):
        with client(hub) as session:
            return sum(_append(session, repo, line) for line in mine)

    with ThreadPoolExecutor(10) as pool:
        retries = list(pool.map(write, lines))
    with client(hub) as session:
        shared = session.get(f"/{repo}/resolve/main/shared.txt").text.split()
        commits = session.get(f"/api/{repo}/commits/main", params={"limit": "1000"})
        total = len(commits.json()) + (1 if "next" in commits.links else 0)
    assert sorted(shared) == sorted(line for mine in lines for line in mine)
    assert total == 51
    assert sum(retries) > 0, "the writers never met: the test proves nothing"


def test_ten_writers_without_parents_all_land(hub):
    with client(hub) as session:
        repo = create(session, "writers/free")

    def write(writer):
        with client(hub) as session:
            return [commit(session, repo, file(f"{writer}/{i}", b"x")).status_code for i in range(4)]

    with ThreadPoolExecutor(10) as pool:
        assert {status for codes in pool.map(write, range(10)) for status in codes} == {200}
    with client(hub) as session:
        entries = session.get(f"/api/{repo}/tree/main", params={"recursive": "true"}).json()
    assert sum(entry["type"] == "file" for entry in entries) == 41


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


class _Writer(threading.Thread):
    """Commits one file after the other until the server is gone; knows which commits were acknowledged."""

    def __init__(self, hub, repo: str, start: int) -> None:
        super().__init__()
        self.hub, self.repo, self.next = hub, repo, start

    def run(self) -> None:
        with client(self.hub) as session:
            try:
                while True:
                    i = self.next
                    answer = commit(
                        session, self.repo, file(f"{i}.txt", f"{i}".encode() * 5000), file("last", b"%d" % i)
                    )
                    answer.raise_for_status()
                    self.next = i + 1
            except httpx.TransportError:
                return


def test_after_kill_9_the_repository_is_as_before_or_as_after(tmp_path):
    port, done, caught_writing = _free_port(), 0, 0
    for kill in range(5 * KILLS):
        if kill >= KILLS and done > KILLS and caught_writing:  # on a busy machine it takes more of them
            break
        with serve_in_background(tmp_path, port=port, token="t") as hub, client(hub) as session:
            if kill == 0:
                create(session, "lidr/killed")
            repo = "datasets/lidr/killed"
            writer = _Writer(hub, repo, done)
            writer.start()
            time.sleep(random.Random(kill).uniform(0.01, 0.25))
            os.kill(hub.pid, signal.SIGKILL)
            writer.join(30)
        acknowledged = writer.next
        caught_writing += any(tmp_path.rglob(".tmp-*"))
        with serve_in_background(tmp_path, port=port, token="t") as hub, client(hub) as session:
            names = {item["rfilename"] for item in session.get(f"/api/{repo}").json()["siblings"]}
            done = len(names - {"last", ".gitattributes"})
            assert done in (acknowledged, acknowledged + 1)
            assert names == {".gitattributes", *(["last"] if done else []), *(f"{i}.txt" for i in range(done))}
    assert check_whole(tmp_path) == done + 1
    assert not list(tmp_path.rglob(".tmp-*")), "what a killed server left half-written is removed at the next start"
    assert caught_writing, "no kill came in the middle of writing a file: the test proves little"
    assert done > KILLS, "too few commits: the kills hit nothing"


def test_an_upload_that_breaks_off_leaves_nothing(hub):
    sha256 = "ab" * 32
    with client(hub) as session:
        create(session, "lidr/broken")
        body = {"operation": "upload", "objects": [{"oid": sha256, "size": 1_000_000}]}
        batch = session.post("/datasets/lidr/broken.git/info/lfs/objects/batch", json=body).json()
        href = batch["objects"][0]["actions"]["upload"]["href"]

        def half():
            yield bytes(300_000)
            raise ConnectionError("the client dies")

        with pytest.raises(ConnectionError):
            session.put(href, content=half())
        deadline = time.monotonic() + 5
        while list((hub.root / "objects" / "incoming").iterdir()) and time.monotonic() < deadline:
            time.sleep(0.02)
        assert list((hub.root / "objects" / "incoming").iterdir()) == []
        answer = commit(session, "datasets/lidr/broken", {"key": "lfsFile", "value": {"path": "x", "oid": sha256}})
    assert answer.status_code == 400
    assert "does not exist" in answer.json()["error"]
