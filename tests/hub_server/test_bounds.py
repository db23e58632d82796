"""Whatever is sent to the embedded Hub or lies in its repositories: no 500, in bounds, and nobody else is held up."""

# ruff: noqa: E501  # tables of traps
from __future__ import annotations

import contextlib
import gc
import hashlib
import http.client
import json
import os
import socket
import subprocess
import threading
import time
from itertools import count
from urllib.parse import urlsplit

import polars as pl
import psutil
import pytest

from lidr.hub import split_front_matter
from lidr.hub.card_yaml import CardYamlError, load_card_yaml
from lidr.hub_server import serve_in_background
from lidr.hub_server.api.commit_draft import apply
from lidr.hub_server.card_rules import metadata, validate
from lidr.hub_server.pages import markdown, row_query
from lidr.hub_server.storage import Commit
from tests.hub_server.hostile import DIGITS, LAUGHS, YAML, attack
from tests.hub_server.raw import client, commit, create, file

_NUMBER = count()
IS_PROOF = bool(os.environ.get("LIDR_PROVE"))
REQUESTS, SCALE = (2000, 10) if IS_PROOF else (300, 2)
"""Hostile requests, and the size of what is measured: `make prove hub` sends more, and larger ones."""


@pytest.fixture(scope="module")
def session(hub):
    with client(hub) as session:
        yield session


def test_no_hostile_request_of_many_meets_a_bug(tmp_path):
    with serve_in_background(tmp_path) as running:
        seen, wrong, longest = attack(running, REQUESTS, seed=5)
        said = (tmp_path / "server.log").read_text(encoding="utf-8")
    assert wrong == [], f"{len(wrong)} of {seen}"
    assert said == ""
    assert longest < 10
    assert sum(seen[status] for status in (200, 206, 303)) > 0.15 * REQUESTS, (
        "the requests must get past the first check"
    )


def commit_of(files: dict) -> Commit:
    return Commit("0" * 40, None, "", "", "", 0, files)


def plain(path: str) -> dict:
    oid = hashlib.sha1(path.encode()).hexdigest()
    return {"oid": oid, "size": 1, "sha256": "0" * 64, "lfs": False, "commit": "0" * 40}


def growth(work, small, large) -> float:
    """CPU time of the larger input over that of the smaller one, ten times as long."""

    def seconds(given):
        gc.disable()  # what else this process holds would be looked through again and again
        began = time.process_time()
        try:
            work(given)
        finally:
            gc.enable()
        return time.process_time() - began

    return min(seconds(large) for _ in range(2)) / max(min(seconds(small) for _ in range(3)), 0.01)


@pytest.mark.parametrize("kind", ["deletedFile", "deletedFolder", "both"])
def test_deleting_many_paths_is_linear(kind):
    def prepared(number):
        paths = [f"folder-{n // 10}/in/file-{n}" for n in range(number)]
        files = {path: plain(path) for path in paths} | {"kept": plain("kept")}
        folders = dict.fromkeys(f"{path.split('/')[0]}/" for path in paths)
        changes = [(path, None) for path in (paths if kind == "deletedFile" else folders)]
        if kind == "both":
            changes += [(path, plain(path)) for path in paths] + [(path, None) for path in paths]
        return commit_of(files), changes

    def work(given):
        assert set(apply(*given)) == {"kept"}

    # A scan for each path would be 100 times; what no longer fits the processor's caches is up to twice the ten.
    assert growth(work, prepared(1_000 * SCALE), prepared(10_000 * SCALE)) < 40


@pytest.mark.parametrize("many", ["<!--", "-->", "<!-- x -->", "---\n", "--- \n", " ", "\n", "-", "<!--\n---\n"])
def test_cards_are_split_and_freed_of_comments_in_linear_time(many):
    def work(length):
        text = "---\n" + many * (length // len(many))
        split_front_matter(text)
        markdown.without_comments(text)

    assert growth(work, 10_000 * SCALE, 100_000 * SCALE) < 15


def card_seconds(session, repo, text: str) -> float:
    commit(session, repo, file("README.md", text.encode())).raise_for_status()
    began = time.monotonic()
    answer = session.get(f"/{repo}")
    assert answer.status_code == 200, answer.text[:300]
    return time.monotonic() - began


@pytest.mark.parametrize(
    "many",
    [
        "<!--",
        "[",
        "![",
        "[a](",
        "> ",
        "- ",
        "`a``",
        "*a **b ",
        "|a",
        "a|b\n-|-\n",
        "[a]: <b\n",
        "<a ",
        "&",
        "\\",
        "[[a]: ",
    ],
)
def test_no_card_holds_up_its_page_or_others(hub, session, many):
    repo = create(session, f"lidr/card-{next(_NUMBER)}")
    waits: list[float] = []
    done = threading.Event()

    def look() -> None:
        with client(hub) as other:
            while not (waits and done.is_set()):
                began = time.monotonic()
                other.get("/api/models").raise_for_status()
                waits.append(time.monotonic() - began)

    watcher = threading.Thread(target=look)
    watcher.start()
    try:
        taken = card_seconds(session, repo, many * (30_000 * SCALE // len(many)))
    finally:
        done.set()
        watcher.join()
    assert taken < 10
    assert max(waits) < 3


def test_no_metadata_ends_in_a_traceback():
    for front in YAML:
        _check_metadata(front)


def _check_metadata(front):
    card = f"---\n{front}---\n"
    assert isinstance(json.dumps(metadata(card), allow_nan=False), str)
    assert len(json.dumps(metadata(card))) < 3 * len(front) + 6000
    for type_ in ("dataset", "model"):
        assert all(len(error) < 1000 for error in validate(card, type_).errors)


def test_aliases_stand_for_little_more_than_the_text(session):
    with pytest.raises(CardYamlError, match="aliases"):
        load_card_yaml(LAUGHS)
    assert load_card_yaml("a: &a [x, y]\nb: *a\n") == {"a": ["x", "y"], "b": ["x", "y"]}, "as PyYAML itself writes them"
    answer = session.post("/api/validate-yaml", json={"content": f"---\n{LAUGHS}---\n", "repoType": "dataset"})
    assert answer.status_code == 400
    assert "aliases" in answer.text


@pytest.mark.parametrize(
    ("wanted", "status"),
    [
        (f"bytes={DIGITS}-", 416),
        (f"bytes=-{DIGITS}", 206),
        (f"bytes=0-{DIGITS}", 206),
        ("bytes=" + "0" * 4000 + "-0", 206),
    ],
)
def test_ranges_of_thousands_of_digits_are_read_as_what_they_say(session, wanted, status):
    repo = create(session, f"lidr/range-{next(_NUMBER)}")
    answer = session.get(f"/{repo}/resolve/main/.gitattributes", headers={"Range": wanted})
    assert answer.status_code == status


@pytest.mark.parametrize("size", ["inf", "nan", "1e999", "-1", DIGITS, "²"])
def test_sizes_that_are_none_are_refused(session, size):
    for path in (f"/lidr/lfs/{'0' * 64}?size={size}&signature=x",):
        assert session.put(path, content=b"x").status_code in (400, 403)
    answer = session.post("/lidr/collect", content=b'{"grace_s": %s}' % (b"1e999" if size == "1e999" else b"NaN"))
    assert answer.status_code == 400


def test_bodies_and_operations_have_limits(session, monkeypatch):
    assert session.post("/api/validate-yaml", content=b" " * (17 << 20)).status_code == 413
    repo = create(session, f"lidr/limits-{next(_NUMBER)}")
    files = [{"path": f"f{i}", "size": 1, "sample": ""} for i in range(10_001)]
    assert session.post(f"/api/{repo}/preupload/main", json={"files": files}).status_code == 413
    if not IS_PROOF:  # a quarter of a million lines are much to write
        return
    lines = [{"key": "deletedFile", "value": {"path": f"f{i}"}} for i in range(250_001)]
    began = time.monotonic()
    answer = commit(session, repo, *lines)
    assert answer.status_code == 413
    assert "250000" in answer.json()["error"]
    assert time.monotonic() - began < 60


def test_patterns_for_many_names_are_given_up(session):
    repo = create(session, f"lidr/patterns-{next(_NUMBER)}")
    rules = "\n".join(f"*a{i}*b*c*d" for i in range(20_000))
    files = [{"path": "a" * 900 + str(i), "size": 1, "sample": ""} for i in range(2000)]
    began = time.monotonic()
    answer = session.post(f"/api/{repo}/preupload/main", json={"files": files, "gitIgnore": rules})
    assert answer.status_code == 422
    assert time.monotonic() - began < 20


def test_the_pattern_of_a_fault_has_a_time_limit(session):
    session.post("/lidr/faults", json={"match": "(a|a)+$", "status": 503, "times": None}).raise_for_status()
    began = time.monotonic()
    try:
        assert session.get("/api/models?x=" + "a" * 40).status_code == 200
        assert session.get("/api/" + "a" * 200 + "b").status_code == 404
    finally:
        session.delete("/lidr/faults").raise_for_status()
    assert time.monotonic() - began < 3


def put_rows(session, repo, name: str, content: bytes) -> None:
    commit(session, repo, file(name, content)).raise_for_status()


def test_a_parquet_file_that_unpacks_to_gigabytes_is_told(session, tmp_path):
    repo = create(session, f"lidr/bomb-{next(_NUMBER)}")
    text = pl.Series("text", ["x" * 10_000_000] * 40, dtype=pl.String)
    pl.DataFrame({"text": text}).write_parquet(tmp_path / "bomb.parquet", compression="zstd", row_group_size=40)
    content = (tmp_path / "bomb.parquet").read_bytes()
    assert len(content) < 10_000_000
    put_rows(session, repo, "data/train.parquet", content)
    began = time.monotonic()
    answer = session.get(f"/{repo}/rows/main")
    assert answer.status_code in (200, 422)
    assert len(answer.content) < 20_000_000
    assert time.monotonic() - began < 60


def test_damaged_parquet_files_are_told(session, tmp_path):
    pl.DataFrame({"text": [f"row {i}" for i in range(500)]}).write_parquet(tmp_path / "t.parquet")
    whole = (tmp_path / "t.parquet").read_bytes()
    for name, content in (
        ("empty", b""), ("short", whole[:50]), ("zeros", b"PAR1" + bytes(500) + b"PAR1"),
        ("flipped", whole[:-40] + bytes(byte ^ 255 for byte in whole[-40:-8]) + whole[-8:]),
    ):  # fmt: skip
        repo = create(session, f"lidr/damaged-{name}-{next(_NUMBER)}")
        put_rows(session, repo, "data/train.parquet", content)
        assert session.get(f"/{repo}/rows/main").status_code == 422, name
    repo = create(session, f"lidr/damaged-not-{next(_NUMBER)}")
    put_rows(session, repo, "data/train.parquet", whole)
    assert "row 0" in session.get(f"/{repo}/rows/main").text, "the reader goes on after all that"


def test_a_reader_that_takes_too_long_is_ended(monkeypatch):
    monkeypatch.setattr(row_query, "READ_S", 0.5)
    monkeypatch.setattr(row_query.sys, "executable", "/bin/sleep")
    monkeypatch.setattr(row_query, "_IDLE", row_query.Queue(maxsize=1))

    class Sleeper(row_query._Reader):
        def __init__(self):
            self._process = subprocess.Popen(["/bin/sleep", "60"], stdin=subprocess.PIPE, stdout=subprocess.PIPE)

    monkeypatch.setattr(row_query, "_Reader", Sleeper)
    began = time.monotonic()
    with pytest.raises(ValueError, match="takes more than"):
        row_query._asked("{}")
    assert time.monotonic() - began < 5


@pytest.mark.parametrize(
    "run",
    [
        {"recipe": 1, "version": [], "license": 5, "parents": {}, "steps": 7},
        {"recipe": "x", "version": "1", "license": {"id": "\ud800"}, "parents": [{"name": "a", "role": "b"}] * 900, "steps": []},
        {"recipe": "x", "version": "1", "license": {"id": "a"}, "parents": [], "steps": [{"place": "x"}] * 2000},
        {"recipe": "x", "version": "1", "license": {"id": "a"}, "parents": [], "steps": [], "release": {"datasets": [{"repo": 1, "sha": 2}]}},
        {"recipe": "x", "version": "1", "license": {"id": "a"}, "parents": [], "steps": [], "release": {"siblings": {"pairs": [1]}}},
    ],
)  # fmt: skip
def test_no_run_breaks_the_picture_of_its_lineage(session, run):
    repo = create(session, f"lidr/lineage-{next(_NUMBER)}")
    commit(session, repo, file("lidr/run.json", json.dumps(run).encode())).raise_for_status()
    began = time.monotonic()
    assert session.get(f"/{repo}/lineage/main").status_code in (200, 404, 422)
    assert time.monotonic() - began < 10


def test_a_long_chain_of_steps_is_drawn(session):
    repo = create(session, f"lidr/chain-{next(_NUMBER)}")
    places = [f"iter_{i}/generate" for i in range(300)]
    run = {
        "recipe": "x",
        "version": "1",
        "license": {"id": "a"},
        "parents": [],
        "steps": [{"place": p} for p in places],
    }
    files = [file("lidr/run.json", json.dumps(run).encode())]
    for number, place in enumerate(places):
        record = {
            "iteration": number, "step": "generate", "writes": "answers", "files": [], "counts": {}, "digest": "0" * 64,
            "inputs": {"x": {"place": places[number - 1]}} if number else {},
        }  # fmt: skip
        files.append(file(f"lidr/records/{place}.json", json.dumps(record).encode()))
    commit(session, repo, *files).raise_for_status()
    began = time.monotonic()
    assert session.get(f"/{repo}/lineage/main").status_code == 200
    assert time.monotonic() - began < 10


# Slow clients: the Hub of these tests has a patience of a second.


@pytest.fixture(scope="module")
def hasty(tmp_path_factory):
    with serve_in_background(tmp_path_factory.mktemp("hasty"), patience_s=1.0) as running:
        with client(running) as session:
            create(session, "lidr/slow")
            sha256 = hashlib.sha256(bytes(64 << 20)).hexdigest()
            body = {"operation": "upload", "objects": [{"oid": sha256, "size": 64 << 20}]}
            batch = session.post("/datasets/lidr/slow.git/info/lfs/objects/batch", json=body).json()["objects"][0]
            session.put(batch["actions"]["upload"]["href"], content=bytes(64 << 20)).raise_for_status()
            line = {"key": "lfsFile", "value": {"path": "large.bin", "oid": sha256}}
            commit(session, "datasets/lidr/slow", line).raise_for_status()
        yield running


def connect(hub) -> socket.socket:
    host, _, port = urlsplit(hub.url).netloc.partition(":")
    return socket.create_connection((host, int(port)), timeout=20)


def drip(line: socket.socket, content: bytes, pause_s: float = 0.2) -> tuple[float, bytes]:
    """Send byte by byte until the other side has had enough; how long that took, and what it said."""
    began, said = time.monotonic(), b""
    line.settimeout(pause_s)
    with contextlib.suppress(BrokenPipeError, ConnectionResetError):
        for at in range(len(content)):
            line.sendall(content[at : at + 1])
            with contextlib.suppress(TimeoutError):
                chunk = line.recv(4096)
                said += chunk
                if not chunk:
                    break
    return time.monotonic() - began, said


def test_a_client_that_says_nothing_is_cut_off(hasty):
    with connect(hasty) as line:
        began = time.monotonic()
        with contextlib.suppress(ConnectionResetError):
            assert line.recv(1) == b""
        assert time.monotonic() - began < 10


def test_a_head_that_comes_byte_by_byte_is_cut_off(hasty):
    with connect(hasty) as line:
        seconds, _ = drip(line, b"GET /api/models HTTP/1.1\r\nHost: localhost\r\n" + b"X-A: b\r\n" * 100)
    assert seconds < 10


@pytest.mark.parametrize("path", ["/api/validate-yaml", "/api/datasets/lidr/slow/commit/main"])
def test_a_body_that_comes_byte_by_byte_is_refused_with_408(hasty, path):
    head = f"POST {path} HTTP/1.1\r\nHost: localhost\r\nAuthorization: Bearer {hasty.token}\r\nContent-Length: 9999\r\n\r\n"
    with connect(hasty) as line:
        line.sendall(head.encode())
        seconds, said = drip(line, b"x" * 500)
    assert seconds < 10
    assert b" 408 " in said


def test_whoever_goes_on_sending_after_the_answer_is_cut_off(hasty):
    head = "POST /api/nothing HTTP/1.1\r\nHost: localhost\r\nContent-Length: 9999999\r\n\r\n"
    with connect(hasty) as line:
        line.sendall(head.encode())
        seconds, said = drip(line, b"x" * 500)
    assert b" 404 " in said
    assert seconds < 10


def test_a_client_that_does_not_read_its_answer_is_cut_off(hasty):
    with connect(hasty) as line:
        line.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
        line.sendall(b"GET /datasets/lidr/slow/resolve/main/large.bin HTTP/1.1\r\nHost: localhost\r\n\r\n")
        time.sleep(5)
        with client(hasty) as session:  # a connection that the server has ended takes no more of the file
            session.get("/api/models").raise_for_status()
        end = time.monotonic() + 10
        while any(one.status == "ESTABLISHED" and one.raddr and one.raddr.port == line.getsockname()[1]
                  for one in psutil.Process(hasty.pid).net_connections()):  # fmt: skip
            assert time.monotonic() < end, "the server still holds the connection"
            time.sleep(0.2)


def test_a_client_that_is_only_unhurried_is_served(hasty):
    """It rests between requests, and takes its answer in pieces, longer than the patience altogether."""
    connection = http.client.HTTPConnection(urlsplit(hasty.url).netloc, timeout=20)
    with contextlib.closing(connection):
        for _ in range(8):
            connection.request("GET", "/api/models")
            assert connection.getresponse().read() == b"[]"
            time.sleep(0.4)
        connection.request("GET", "/datasets/lidr/slow/resolve/main/large.bin")
        answer, taken = connection.getresponse(), 0
        while chunk := answer.read(8 << 20):
            taken += len(chunk)
            time.sleep(0.3)
        assert taken == 64 << 20
        time.sleep(2.5)
        connection.request("GET", "/api/models")
        assert connection.getresponse().status == 200


def test_many_slow_clients_hold_nobody_up(hasty):
    lines = [connect(hasty) for _ in range(100)]
    head = b"POST /api/validate-yaml HTTP/1.1\r\nHost: localhost\r\nContent-Length: 99\r\n\r\n"
    try:
        for line in lines:
            line.sendall(head)
        with client(hasty) as session:
            began = time.monotonic()
            session.get("/api/models").raise_for_status()
            assert time.monotonic() - began < 3
    finally:
        for line in lines:
            line.close()
