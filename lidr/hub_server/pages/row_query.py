"""Which rows a repository has, and one page of them: read and filtered by a process of its own (`row_reader`).

Parquet files are anybody's. A small one may unpack to gigabytes or keep its reader busy for hours, so the reader has a
limit of memory and of time, and the server itself never opens one.
"""

from __future__ import annotations

import contextlib
import fnmatch
import json
import os
import re
import select
import subprocess
import sys
import time
from collections.abc import Mapping
from functools import lru_cache
from queue import Empty, Full, Queue
from typing import Any, NamedTuple

from lidr.hub_server.budget import Budget
from lidr.hub_server.storage import Commit, Objects

READ_S = 20.0
"""How long reading one page of rows may take."""
_MOST_CONFIGS, _LONGEST_PATTERN, _PATTERNS_S = 2000, 512, 2.0

Configs = dict[str, dict[str, list[str]]]
"""Config -> split -> paths of Parquet files."""


class Rows(NamedTuple):
    """One page of rows, the number of all that fit the filters, and what may be chosen in each filter."""

    rows: list[dict[str, Any]]
    total: int
    columns: list[str]
    choices: dict[str, list[str]]
    can_search: bool


def configs(commit: Commit, metadata: Mapping[str, Any]) -> Configs:
    """The configs that the card declares; without any, those that the paths `config/split-*.parquet` suggest."""
    paths = [path for path in commit.files if path.endswith(".parquet")]
    declared: Configs = {}
    said = metadata.get("configs")
    budget = Budget(_PATTERNS_S, "matching the files against the card's data_files")
    for config in (said if isinstance(said, list) else [])[:_MOST_CONFIGS]:
        if isinstance(config, dict):
            splits = _declared(config.get("data_files"), paths, budget)
            if splits:
                declared[str(config.get("config_name"))] = splits
    return declared or _suggested(paths)


def _declared(data_files: Any, paths: list[str], budget: Budget) -> dict[str, list[str]]:
    if not isinstance(data_files, list):
        data_files = [{"split": "train", "path": data_files}]
    splits: dict[str, list[str]] = {}
    for entry in data_files:
        if not isinstance(entry, dict):
            entry = {"split": "train", "path": entry}
        patterns = entry.get("path")
        for pattern in patterns if isinstance(patterns, list) else [patterns]:
            budget.check()
            found = _matching(str(pattern), paths)
            if found:
                splits.setdefault(str(entry.get("split", "train")), []).extend(found)
    return splits


def _matching(pattern: str, paths: list[str]) -> list[str]:
    return [] if len(pattern) > _LONGEST_PATTERN else fnmatch.filter(paths, pattern)


def _suggested(paths: list[str]) -> Configs:
    found: Configs = {}
    for path in paths:
        folder, _, name = path.rpartition("/")
        split = re.sub(r"(-\d{5}-of-\d{5})?\.parquet$", "", name)
        found.setdefault(folder or "default", {}).setdefault(split, []).append(path)
    return found


def read(
    objects: Objects,
    commit: Commit,
    paths: list[str],
    *,
    wanted: Mapping[str, str],
    search: str,
    start: int,
    count: int,
) -> Rows:
    """One page of the rows of some Parquet files.

    Args:
        wanted: column -> value that a row must have, as text.
        search: a text that must occur in the prompt or the text, whatever its case.
        start, count: which of the rows that fit.

    Raises:
        ValueError: a file is no Parquet, the files do not fit each other, or they need too much memory or time.
    """
    files = [str(objects.path(commit.files[path]["sha256"])) for path in paths]
    asked = {"files": files, "wanted": dict(wanted), "search": search, "start": start, "count": count}
    return _asked(json.dumps(asked, sort_keys=True))


@lru_cache(maxsize=16)
def _asked(question: str) -> Rows:
    """Ask a reader; files are named by their content, so the answer never changes."""
    try:
        reader = _IDLE.get_nowait()
    except Empty:
        reader = _Reader()
    try:
        said = reader.ask(question)
    except BaseException:
        reader.end()
        raise
    try:
        _IDLE.put_nowait(reader)
    except Full:
        reader.end()
    if "error" in said:
        raise ValueError(said["error"])
    return Rows(**said)


class _Reader:
    """A process that reads rows, one question after the other; it ends itself when this process does."""

    def __init__(self) -> None:
        self._process = subprocess.Popen(
            [sys.executable, "-m", "lidr.hub_server.pages.row_reader"],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            env=_surroundings(),
        )

    def ask(self, question: str) -> dict[str, Any]:
        """Ask, and wait for the answer so long."""
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        answer = b""
        end = time.monotonic() + READ_S
        try:
            self._process.stdin.write(question.encode() + b"\n")
            self._process.stdin.flush()
            while not answer.endswith(b"\n"):
                if not select.select([self._process.stdout], [], [], max(0.0, end - time.monotonic()))[0]:
                    raise ValueError(f"reading them takes more than {READ_S:.0f} s")
                if not (chunk := os.read(self._process.stdout.fileno(), 1 << 20)):
                    break
                answer += chunk
            said: dict[str, Any] = json.loads(answer)
        except (BrokenPipeError, json.JSONDecodeError, RecursionError):
            raise ValueError("they need too much memory or time, or are none that can be read") from None
        return said

    def end(self) -> None:
        """End the process, whatever it does."""
        self._process.kill()
        self._process.wait()
        for pipe in (self._process.stdin, self._process.stdout):
            if pipe is not None:
                with contextlib.suppress(OSError):
                    pipe.close()


_IDLE: Queue[_Reader] = Queue(maxsize=1)
"""A reader that has loaded pyarrow, and waits."""


def _surroundings() -> dict[str, str]:
    """What the reader needs of our environment: no token, no proxy."""
    kept = ("PATH", "HOME", "PYTHONPATH", "VIRTUAL_ENV", "LANG", "LC_ALL", "LD_LIBRARY_PATH", "TMPDIR")
    return {**{name: os.environ[name] for name in kept if name in os.environ}, "ARROW_DEFAULT_MEMORY_POOL": "system"}
