"""One file of answers for all processes: nothing is paid twice, nothing is lost, nobody waits for the dead."""

from __future__ import annotations

import json
import os
import sqlite3
import subprocess
import sys
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any

import pytest

from lidr.errors import EvaluationError
from lidr.evals.judge import Comparison, calls_needed, judge
from lidr.evals.judge.judge_cache import Cache, answers_in
from lidr.evals.judge.judge_template import comparing_template
from lidr.evals.judge.question import questions
from tests.engines.server import Server
from tests.evals.judge.answers import comparisons, likes, settings

HERE = Path(__file__).resolve().parents[3]


def another(task: dict[str, Any], folder: Path, name: str) -> subprocess.Popen[str]:
    file = folder / f"{name}.json"
    file.write_text(json.dumps(task))
    command = [sys.executable, "-m", "tests.evals.judge.another_process", str(file)]
    return subprocess.Popen(command, stdout=subprocess.PIPE, text=True, cwd=HERE)


def test_two_processes_that_both_believe_to_be_rank_0_judge_once(tmp_path: Path):
    asked = comparisons(24)
    with Server(lambda body, _: replace(likes(0.7), delay_s=0.15)) as server:
        values = settings(server, cache=tmp_path / "judge.sqlite", concurrency=4).model_dump()
        task = {"comparisons": [asdict(one) for one in asked], "settings": values}
        ranks = [another(task, tmp_path, f"rank{i}") for i in range(2)]
        told = [json.loads(rank.communicate(timeout=60)[0]) for rank in ranks]
        assert [rank.returncode for rank in ranks] == [0, 0]
        assert len(server.bodies) == 24
    preferences = [[verdict["preference"] for verdict in verdicts] for verdicts in told]
    assert preferences[0] == preferences[1]
    assert None not in preferences[0]
    cached = [sum(order["cached"] for verdict in verdicts for order in verdict["orders"]) for verdicts in told]
    assert sum(cached) == 24


def test_a_killed_process_is_not_waited_for_longer_than_its_lease(tmp_path: Path):
    asked, cache = comparisons(3), tmp_path / "judge.sqlite"
    with Server(lambda body, _: likes(0.7)) as server:
        wanted = settings(server, cache=cache)
        keys = [questions(one, wanted, comparing_template(wanted))[0].sha256 for one in asked]
        process = another({"cache": str(cache), "lease_s": 1.0, "keys": keys}, tmp_path, "hang")
        assert process.stdout is not None
        assert json.loads(process.stdout.readline()) == ["ours"] * 3
        time.sleep(1.5)  # longer than the lease: the heartbeat has prolonged it
        with Cache(cache) as mine:
            assert [mine.claim(key).state for key in keys] == ["held"] * 3
        process.kill()
        process.communicate()
        began = time.monotonic()
        verdicts = judge(asked, wanted)
        assert time.monotonic() - began < 3
    assert len(server.bodies) == 3
    assert all(verdict.preference is not None for verdict in verdicts)


def test_a_question_is_claimed_once_answered_once_and_given_back_on_failure(tmp_path: Path):
    with Cache(tmp_path / "c") as mine, Cache(tmp_path / "c") as theirs:
        assert mine.claim("a").state == "ours"
        assert theirs.claim("a").state == "held"
        mine.release("a")
        assert theirs.claim("a").state == "ours"
        theirs.put("a", "{}", model="m")
        assert mine.claim("a") == ("answered", "{}")
        assert mine.put_many([("a", "other", "m"), ("b", "new", "m")]) == 1
        assert mine.get_many(["a", "b", "c"]) == {"a": "{}", "b": "new"}


def test_claims_that_are_left_are_given_back_at_the_end(tmp_path: Path):
    with Cache(tmp_path / "c") as mine, Cache(tmp_path / "c") as theirs:
        with mine.keeping_claims():
            mine.claim("a")
        assert theirs.claim("a").state == "ours"


def test_thousands_of_answers_are_found_at_once(tmp_path: Path):
    rows = [(f"k{i}", f"r{i}", "m") for i in range(1234)]
    with Cache(tmp_path / "c") as cache:
        assert cache.put_many(rows) == 1234
        assert cache.get_many(f"k{i}" for i in range(2000)) == {key: value for key, value, _ in rows}


def _damage(path: Path, how: str) -> None:
    if how == "no database":
        path.write_bytes(b"this is no database at all, whatever its name says\n" * 40)
    elif how == "torn":
        with Cache(path) as cache:
            cache.put_many([(f"{i:064x}", "x" * 300, "m") for i in range(300)])
        with closing(sqlite3.connect(path)) as db:
            db.execute("PRAGMA wal_checkpoint(TRUNCATE)")
        content = bytearray(path.read_bytes())
        content[8192:40960] = os.urandom(32768)
        path.write_bytes(bytes(content))
    elif how == "foreign":
        with closing(sqlite3.connect(path)) as db, db:
            db.execute("CREATE TABLE notes (text)")
    elif how == "newer":
        with Cache(path):
            pass
        with closing(sqlite3.connect(path)) as db, db:
            db.execute("PRAGMA user_version = 99")
    else:
        path.mkdir()


@pytest.mark.parametrize(
    ("how", "message"),
    [
        ("no database", r"c: damaged cache of judgements \(file is not a database\); move the file away"),
        ("torn", r"c: damaged cache of judgements \(.*\); move the file away: its answers are asked again"),
        ("foreign", "c: a database of another program; give the judge's cache a file of its own"),
        ("newer", r"c: written by a newer lidr \(form 99, this one reads 1\); update"),
        ("folder", r"c: the cache of judgements cannot be used \(unable to open database file\)"),
    ],
)
def test_a_file_that_cannot_be_used_is_an_error_and_stays_as_it_is(how, message, tmp_path: Path):
    path = tmp_path / "c"
    _damage(path, how)
    before = path.read_bytes() if path.is_file() else b""
    with Server(lambda body, _: likes(0.6)) as server:
        with pytest.raises(EvaluationError, match=message):
            judge(comparisons(2), settings(server, cache=path))
        recorded = judge(comparisons(2), settings(server, cache=path), on_fatal="record")
        assert server.bodies == []
    assert all(verdict.error is not None and verdict.error.startswith("not asked: ") for verdict in recorded)
    if path.is_file():
        assert path.read_bytes() == before


def test_many_may_make_the_file_at_once(tmp_path: Path):
    def make(path: Path) -> int:
        start.wait()
        with Cache(path) as cache:
            return cache.put_many([(str(threading.get_ident()), "answer", "m")])

    start = threading.Barrier(4)
    with ThreadPoolExecutor(4) as pool:
        for attempt in range(30):
            assert list(pool.map(make, [tmp_path / str(attempt)] * 4)) == [1] * 4


def test_looking_makes_no_file(tmp_path: Path):
    assert answers_in(str(tmp_path / "none"), ["a"]) == {}
    with Server(lambda body, _: likes(0.6)) as server:
        assert calls_needed(comparisons(2), settings(server, cache=tmp_path / "none")) == 2
    assert list(tmp_path.iterdir()) == []


def test_no_instruction_and_no_output_stands_in_the_file(tmp_path: Path):
    secret = Comparison("k", "an instruction of somebody", "an output of somebody", "another output")
    with Server(lambda body, _: likes(0.6)) as server:
        judge([secret], settings(server, cache=tmp_path / "c"))
    content = b"".join(file.read_bytes() for file in tmp_path.iterdir())
    assert b"judge-1" in content
    assert b"somebody" not in content


def test_an_answer_that_is_not_the_one_that_was_kept_is_an_error(tmp_path: Path):
    with Cache(path := tmp_path / "c.sqlite") as cache:
        cache.put_many([("a" * 64, '{"won": 1}', "j"), ("b" * 64, '{"won": 2}', "j")])
    with closing(sqlite3.connect(path, isolation_level=None)) as db:
        db.execute("UPDATE answers SET response = '{\"won\": 3}' WHERE request_sha256 = ?", ("a" * 64,))
    with Cache(path) as cache:
        assert cache.get_many(["b" * 64]) == {"b" * 64: '{"won": 2}'}
        for ask in (lambda: cache.get_many(["a" * 64]), lambda: cache.claim("a" * 64)):
            with pytest.raises(EvaluationError, match=r"damaged cache of judgements \(the answer to 'aaaa.*away"):
                ask()


def test_an_answer_of_an_earlier_lidr_has_no_checksum_and_is_read(tmp_path: Path):
    with Cache(path := tmp_path / "c.sqlite") as cache:
        cache.put("a" * 64, "x", model="j")
    with closing(sqlite3.connect(path, isolation_level=None)) as db:
        db.execute("DROP TABLE checks")
    with Cache(path) as cache:
        assert cache.put_many([("a" * 64, "other", "j"), ("b" * 64, "y", "j")]) == 1
        assert cache.get_many(["a" * 64, "b" * 64]) == {"a" * 64: "x", "b" * 64: "y"}
