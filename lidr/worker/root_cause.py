"""Why the processes died that a library started inside a worker: vLLM's engine raises only that one of them did.

(Worker pid=29420) ERROR 12-01 04:28:57 [multiproc_executor.py:1063] RuntimeError: Unsupported CPU attention ...
(EngineCore pid=26877) ERROR 12-01 04:28:57 [core.py:1512] RuntimeError: Worker failed with error 'Unsupported ...
vllm.v1.engine.exceptions.EngineDeadError: EngineCore encountered an issue. See stack trace (above) for the root cause.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from pathlib import Path

from lidr import secrecy

_LONGEST = 500
"""Characters of what a library says that a message quotes: some name every model that they know."""
_LINE = re.compile(r"^\((?P<process>[\w-]+)[^)\n]*\) ERROR [^\]\n]*\] (?P<said>.*)$", re.MULTILINE)
_ERROR = re.compile(r"[\w.]*(?:Error|Exception)(?P<why>: .*)?$")
_BEFORE_KIND = re.compile(r"(?s).*(?=\b\w+(?:Error|Exception): )")
_OWN = "MainProcess"
"""The worker itself, whose error is what is to be explained."""


def explained(said: str, log: Path, since: int = 0) -> str:
    """What went wrong, for people: what was raised, or, where that only refers to the log, what stands there, after
    what was said of whose fault it is.

    Args:
        said: kind and message of what was raised.
        log: of the worker.
        since: bytes that it had when the worker started.
    """
    if "root cause" not in said:
        return _quoted(said)
    cause = _first_error(log, since)
    killed = "; none of its processes says why in the log, so one was killed, as is done where memory runs out"
    if cause is None:
        return _quoted(said) + killed
    before = _BEFORE_KIND.match(said[: said.index("root cause")])  # as `score.reward_model.model: `
    return _quoted((before[0] if before else "") + cause)


def _first_error(log: Path, since: int) -> str | None:
    """Of a process that the worker has started: first of vLLM's workers, whose failure is all that its core tells."""
    try:
        with log.open("rb") as file:
            file.seek(since)
            text = file.read().decode(errors="replace")
    except OSError:
        return None
    lines = [(one["process"], one["said"].rstrip()) for one in _LINE.finditer(text) if one["process"] != _OWN]
    for is_worker in (True, False):
        said = [line for process, line in lines if ("Worker" in process) is is_worker]
        for at, line in enumerate(said):
            if found := _ERROR.match(line):
                return line if found["why"] else f"{line}: {_code_before(said[:at])}"
    return None


def _code_before(lines: Sequence[str]) -> str:
    """The line of code that raised, of a traceback; below it Python may have marked a part of it."""
    return next((line.strip() for line in reversed(lines) if line.strip(" ^~")), "no more is said")


def _quoted(text: str) -> str:
    """Without its end, where it is long, and without what a log may hold that no message should."""
    text = secrecy.without_secrets(text.strip().rstrip(". "))
    return text if len(text) <= _LONGEST else f"{text[:_LONGEST].rstrip()} ..."
