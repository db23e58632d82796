"""Every answer of a judge, kept once: one SQLite file that processes and threads share.

answers   request_sha256 -> raw response            written once, never changed
checks    request_sha256 -> sha256                  of question and answer; answers of an earlier lidr have none
claims    request_sha256 -> owner, expires          who is asking right now

Who wants an answer claims its question first; another process that wants the same waits for the answer instead of
paying for it again. A claim is a lease: a heartbeat prolongs it, so that of a killed owner soon ends. Questions
themselves are not kept: they hold other people's texts.
"""

from __future__ import annotations

import hashlib
import os
import secrets
import sqlite3
import threading
import time
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Literal, NamedTuple

from lidr.errors import EvaluationError

LEASE_S = 15.0
_MARK = 0x6C696472  # "lidr", SQLite's application_id
_VERSION = 1
_PATIENCE_S = 30.0
_AT_ONCE = 500  # SQLite allows 999 parameters

_TABLES = """
CREATE TABLE IF NOT EXISTS answers (
  request_sha256 TEXT PRIMARY KEY, response TEXT NOT NULL, model TEXT NOT NULL, stored_s REAL NOT NULL
) WITHOUT ROWID;
CREATE TABLE IF NOT EXISTS checks (request_sha256 TEXT PRIMARY KEY, sha256 TEXT NOT NULL) WITHOUT ROWID;
CREATE TABLE IF NOT EXISTS claims (
  request_sha256 TEXT PRIMARY KEY, owner TEXT NOT NULL, expires_s REAL NOT NULL
) WITHOUT ROWID;
"""


_ANSWERS = "SELECT request_sha256, response, sha256 FROM answers LEFT JOIN checks USING (request_sha256)"


def _check(key: str, response: str) -> str:
    return hashlib.sha256(f"{key}\n{response}".encode()).hexdigest()


class Claim(NamedTuple):
    """What became of a claim: the answer is there, the question is ours to ask, or another one is asking it."""

    state: Literal["answered", "ours", "held"]
    response: str | None = None


class Cache:
    """One open file; safe for many threads, and for many processes with a Cache of their own."""

    def __init__(self, path: Path, *, lease_s: float = LEASE_S) -> None:
        """Open the file, or make it.

        Raises:
            EvaluationError: it is damaged, another program's, a newer lidr's, or cannot be written.
        """
        self.path = path
        self._lease_s, self._lock = lease_s, threading.Lock()
        self._owner = f"{os.getpid()}-{secrets.token_hex(8)}"
        with self._as_designed():
            path.parent.mkdir(parents=True, exist_ok=True)
            self._db = sqlite3.connect(path, timeout=_PATIENCE_S, isolation_level=None, check_same_thread=False)
            try:
                self._prepare()
            except BaseException:
                self._db.close()
                raise

    def get_many(self, keys: Iterable[str]) -> dict[str, str]:
        """The answers that are there, by request_sha256."""
        asked = set(keys)
        wanted = sorted(asked)
        found: dict[str, str] = {}
        for start in range(0, len(wanted), _AT_ONCE):
            some = wanted[start : start + _AT_ONCE]
            marks = ",".join("?" * len(some))
            for key, response, check in self._read(f"{_ANSWERS} WHERE request_sha256 IN ({marks})", some):
                if key not in asked:
                    raise self._altered(key)  # SQLite searches a damaged page as if it were in order
                found[key] = self._sound(key, response, check)
        return found

    def claim(self, key: str) -> Claim:
        """Take the right to ask one question, unless it is answered or taken."""
        seen = self._look(key, time.time())
        if seen.state != "ours":
            return seen
        with self._as_designed(), self._lock, self._transaction():
            now = time.time()
            seen = self._look_now(key, now)
            if seen.state == "ours":
                row = (key, self._owner, now + self._lease_s)
                self._db.execute("INSERT OR REPLACE INTO claims VALUES (?, ?, ?)", row)
        return seen

    def put(self, key: str, response: str, *, model: str) -> None:
        """Keep an answer and give the claim back."""
        self.put_many([(key, response, model)])

    def put_many(self, rows: Sequence[tuple[str, str, str]]) -> int:
        """Keep answers, as request_sha256, response, model; the number of those that were new."""
        with self._as_designed(), self._lock, self._transaction():
            new, now = 0, time.time()
            for row in rows:
                if self._db.execute("INSERT OR IGNORE INTO answers VALUES (?, ?, ?, ?)", (*row, now)).rowcount:
                    self._db.execute("INSERT OR REPLACE INTO checks VALUES (?, ?)", (row[0], _check(row[0], row[1])))
                    new += 1
            self._db.executemany("DELETE FROM claims WHERE request_sha256 = ?", [(row[0],) for row in rows])
        return new

    def release(self, key: str) -> None:
        """Give a claim back without an answer: another one may try."""
        with self._as_designed(), self._lock:
            self._db.execute("DELETE FROM claims WHERE request_sha256 = ? AND owner = ?", (key, self._owner))

    @contextmanager
    def keeping_claims(self) -> Iterator[None]:
        """Prolong our claims until the block ends, then give back what is left of them."""
        over = threading.Event()

        def beat() -> None:
            while not over.wait(self._lease_s / 4):
                try:
                    self._prolong()
                except EvaluationError:  # a busy disk: the next beat may do, and a lost claim costs one call
                    continue

        thread = threading.Thread(target=beat, daemon=True)
        thread.start()
        try:
            yield
        finally:
            over.set()
            thread.join()
            with self._lock, self._as_designed():
                self._db.execute("DELETE FROM claims WHERE owner = ?", (self._owner,))

    def close(self) -> None:
        """Close the file. Safe to call twice."""
        self._db.close()

    def __enter__(self) -> Cache:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def _prolong(self) -> None:
        with self._as_designed(), self._lock:
            self._db.execute(
                "UPDATE claims SET expires_s = ? WHERE owner = ?", (time.time() + self._lease_s, self._owner)
            )

    def _look(self, key: str, now: float) -> Claim:
        with self._as_designed(), self._lock:
            return self._look_now(key, now)

    def _look_now(self, key: str, now: float) -> Claim:
        row = self._db.execute(f"{_ANSWERS} WHERE request_sha256 = ?", (key,)).fetchone()
        if row is not None:
            return Claim("answered", self._sound(key, *row[1:]))
        row = self._db.execute("SELECT owner, expires_s FROM claims WHERE request_sha256 = ?", (key,)).fetchone()
        is_held = row is not None and row[0] != self._owner and row[1] > now
        return Claim("held" if is_held else "ours")

    def _sound(self, key: str, response: str, check: str | None) -> str:
        """An answer that is as it was stored; what is checked lies in no page of SQLite's own checks."""
        if not isinstance(response, str) or (check is not None and check != _check(key, response)):
            raise self._altered(key)
        return response

    def _altered(self, key: str) -> EvaluationError:
        return EvaluationError(
            f"{self.path}: damaged cache of judgements (the answer to {key[:16]!r} is not the one that was kept); put "
            "the file back as it was, or move it away: its answers are asked again"
        )

    def _read(self, query: str, values: Sequence[Any]) -> list[tuple[Any, ...]]:
        with self._as_designed(), self._lock:
            return self._db.execute(query, values).fetchall()

    def _prepare(self) -> None:
        # One statement, so that a file that another process is making is seen before or after, never half made.
        mark, version, tables = self._db.execute(
            "SELECT application_id, user_version, (SELECT count(*) FROM sqlite_master) "
            "FROM pragma_application_id, pragma_user_version"
        ).fetchone()
        is_new = tables == 0
        if not is_new and mark != _MARK:
            raise EvaluationError(
                f"{self.path}: a database of another program; give the judge's cache a file of its own"
            )
        if version > _VERSION:
            raise EvaluationError(
                f"{self.path}: written by a newer lidr (form {version}, this one reads {_VERSION}); update"
            )
        (verdict,) = self._db.execute("PRAGMA quick_check(1)").fetchone()
        if verdict != "ok":
            raise sqlite3.DatabaseError(verdict)
        self._write_ahead()
        self._db.execute("PRAGMA synchronous = NORMAL")
        with self._transaction():
            for statement in _TABLES.split(";"):
                self._db.execute(statement)
            self._db.execute(f"PRAGMA application_id = {_MARK}")
            self._db.execute(f"PRAGMA user_version = {_VERSION}")

    def _write_ahead(self) -> None:
        """Several processes may make the file at once, and SQLite's own time-out does not cover this one change."""
        until = time.monotonic() + _PATIENCE_S
        while True:
            try:
                self._db.execute("PRAGMA journal_mode = WAL")
                return
            except sqlite3.OperationalError as error:
                if error.sqlite_errorcode != sqlite3.SQLITE_BUSY or time.monotonic() > until:
                    raise
                time.sleep(0.02)

    @contextmanager
    def _transaction(self) -> Iterator[None]:
        self._db.execute("BEGIN IMMEDIATE")
        try:
            yield
        except BaseException:
            self._db.execute("ROLLBACK")
            raise
        self._db.execute("COMMIT")

    @contextmanager
    def _as_designed(self) -> Iterator[None]:
        try:
            yield
        except sqlite3.OperationalError as error:  # locked, read-only, full, not to be opened
            raise EvaluationError(
                f"{self.path}: the cache of judgements cannot be used ({error}); it needs a writable folder on a "
                "disk of this machine"
            ) from error
        except sqlite3.DatabaseError as error:
            raise EvaluationError(
                f"{self.path}: damaged cache of judgements ({' '.join(str(error).split())}); move the file away: its "
                "answers are asked again"
            ) from error


def answers_in(path: str | None, keys: Iterable[str]) -> Mapping[str, str]:
    """The answers that a cache file holds; none where there is no file.

    Raises:
        EvaluationError: the file cannot be used.
    """
    if path is None or not Path(path).is_file():
        return {}
    with Cache(Path(path)) as cache:
        return cache.get_many(keys)
