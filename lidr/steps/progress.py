"""Progress of one step: a bar on standard error, and a small file that `lidr status` reads from another terminal."""

from __future__ import annotations

import contextlib
import logging
import sys
import threading
import time
from pathlib import Path
from types import TracebackType
from typing import Any, TextIO

from lidr.store import Rate, write_json
from lidr.warned import showing
from lidr.worker import this_process

_EVERY_S = 0.5
_FULL = "{l_bar}{bar}{r_bar}"
_WITHOUT_TIME = "{l_bar}{bar}| {n_fmt}/{total_fmt} [{elapsed}{postfix}]"


class Progress:
    """Counts finished units; shows count, rate and remaining time, and what lidr warns of meanwhile."""

    def __init__(self, file: Path, label: str, *, stream: TextIO | None = None, quiet: bool = False) -> None:
        """Prepare; nothing is shown before `start`."""
        self._file, self._label = file, label
        self._stream, self._quiet = stream or sys.stderr, quiet
        self._bar: Any = None
        self._written = 0.0
        self._began = time.monotonic()
        self._done = self._resumed = self._total = 0
        self._unit = "rows"
        self.engine: Any = None  # of several replicas: how many are ready is written, too
        self._silent_since: float | None = None  # of a server that is asked; seconds since the epoch
        self._lock, self._later = threading.RLock(), threading.Timer(_EVERY_S, lambda: None)
        self._stack, self._is_over = contextlib.ExitStack(), False

    def start(self, total: int, unit: str, done: int = 0) -> None:
        """Say how much there is to do, and how much of it an earlier try finished."""
        self._total, self._unit, self._done, self._resumed = total, unit, done, done
        self._began = time.monotonic()
        self._close_bar()
        from tqdm import tqdm

        self._bar = tqdm(
            total=total,
            initial=done,
            desc=self._label,
            unit=f" {unit}",
            file=self._stream,
            disable=self._quiet,
            mininterval=0.2 if self._stream.isatty() else 15.0,
            dynamic_ncols=True,
            smoothing=0.1,
            bar_format=_WITHOUT_TIME,
        )
        self._write(force=True)

    def more(self, total: int, done: int = 0) -> None:
        """Say that there is more to do than `start` could know."""
        self._total += total
        self._done += done
        self._resumed += done
        if self._bar is not None and not self._bar.disable:
            self._bar.total = self._total
            self._bar.initial += done  # what an earlier try did is no speed of this one
            self._bar.n += done
            self._bar.last_print_n += done
            self._bar.refresh()

    def add(self, count: int = 1) -> None:
        """Count finished units."""
        self._done += count
        self._silent_since = None
        if self._bar is not None:
            if self._tells_time:
                self._bar.bar_format = _FULL
            self._bar.update(count)
        self._write()

    def note(self, text: str, *, at_once: bool = False) -> None:
        """Show a few words at the end of the bar; without `at_once` when it is drawn again."""
        if self._bar is not None:
            self._bar.set_postfix_str(text, refresh=at_once)

    def say(self, text: str) -> None:
        """Print a line, above the bar where there is one."""
        from tqdm import tqdm

        tqdm.write(f"{self._label}: {text}", file=self._stream)

    @property
    def replicas(self) -> tuple[int, int] | None:
        """Of an engine of several replicas, how many answer now, and how many are wanted."""
        return getattr(self.engine, "replicas", None)

    def rate(self) -> Rate:
        """What this try did, and how long it took."""
        return Rate(self._unit, self._done - self._resumed, round(time.monotonic() - self._began, 3))

    @property
    def _tells_time(self) -> bool:
        """Whether enough is done to guess how long the rest takes: the first units wait for an engine that starts."""
        return self._done - self._resumed >= min(100, max(2, self._total / 20)) or self._done == self._total

    def _warned(self, record: logging.LogRecord) -> None:
        self.say(record.getMessage())
        if (since := getattr(record, "silent_since", None)) is not None:
            self._silent_since = since
            if self._bar is not None:
                self._bar.bar_format = _WITHOUT_TIME
                self._bar.refresh()
            self._write(force=True)

    def _write(self, force: bool = False) -> None:
        """Write the state, at most every half second; what comes in between is written at the end of it."""
        with self._lock:
            if force or time.monotonic() - self._written >= _EVERY_S:
                self._write_now()
            elif not self._later.is_alive():
                self._later = threading.Timer(_EVERY_S, self._write_later)
                self._later.daemon = True
                self._later.start()

    def _write_later(self) -> None:
        with contextlib.suppress(OSError):  # what it is, who counts the next unit will meet
            self._write_now()

    def _write_now(self) -> None:
        with self._lock:
            if self._is_over:
                return
            self._written = now = time.monotonic()
            elapsed = now - self._began
            state = {**this_process(), "unit": self._unit, "done": self._done, "total": self._total}
            new = self._done - self._resumed
            state |= {"replicas": self.replicas} if self.replicas else {}
            is_known = bool(new and elapsed) and self._tells_time
            rest = elapsed / new * (self._total - self._done) if is_known else None
            speed = {"per_s": float(f"{new / elapsed:.3g}")} if is_known else {}
            times = {"elapsed_s": round(elapsed, 1), "remaining_s": rest and round(rest, 1)}
            if self._silent_since is not None:
                speed, times = {"silent_since": round(self._silent_since, 1)}, {**times, "remaining_s": None}
            write_json(self._file, {**state, **speed, **times})

    def _close_bar(self) -> None:
        if self._bar is not None:
            self._bar.close()
            self._bar = None

    def __enter__(self) -> Progress:
        self._stack.enter_context(showing(self._warned))
        return self

    def __exit__(
        self, kind: type[BaseException] | None, value: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._stack.close()
        if kind is not None and self._total:  # so far it came, for `lidr status`
            with contextlib.suppress(OSError):  # a full disk may be what ended it
                self._write(force=True)
        with self._lock:
            self._is_over = True  # the file's folder is renamed now
        self._later.cancel()
        self._close_bar()
