"""What is said, kept: `log.txt` in a run's folder; and why a run ended, by its log or by what a process that was killed
leaves behind. Secrets are cleaned.
"""

from __future__ import annotations

import contextlib
import json
import logging
import re
from collections.abc import Iterator, Mapping
from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any

from lidr import store
from lidr.secrecy import without_secrets
from lidr.worker import is_alive

if TYPE_CHECKING:
    from lidr.pipeline.planned import Plan

LOG_FILE = "log.txt"
SAID = logging.getLogger("lidr.said")
"""What `say` tells; on the terminal it stands already."""

_TAIL = 65_536
_SAID = re.compile(rf"^\d{{4}}-\S+ \S+ (\w+) {re.escape(SAID.name)}: (.*)$", re.MULTILINE)


class _Clean(logging.Formatter):
    def format(self, record: logging.LogRecord) -> str:
        return without_secrets(super().format(record))


LOG_FORM = _Clean("%(asctime)s %(levelname)s %(name)s: %(message)s")


@contextlib.contextmanager
def kept_in(folder: Path, *, command: str) -> Iterator[None]:
    """Append what is said and what libraries warn of to the log of a run; a disk that refuses takes nothing down.

    Nothing is written before something is said, so a run that finds all made leaves no trace; but for one whose last
    try had failed: that it went well then is said.
    """
    handler = _Quiet(folder / LOG_FILE)
    handler.setFormatter(LOG_FORM)
    root, level = logging.getLogger(), SAID.level
    root.addHandler(handler)
    SAID.setLevel(logging.INFO)
    handler.hold(command)
    try:
        yield
        if last_error(folder) is not None:
            SAID.info("finished")
    except BaseException as error:
        SAID.error("%s: %s", type(error).__name__, error, exc_info=not hasattr(error, "problems"))
        raise
    finally:
        SAID.setLevel(level)
        root.removeHandler(handler)
        handler.close()


def last_error(folder: Path) -> str | None:
    """Why the last command that wrote the log of a run ended, in a line; None where it did not fail, or is at work."""
    try:
        with (folder / LOG_FILE).open("rb") as opened:
            opened.seek(max(0, (folder / LOG_FILE).stat().st_size - _TAIL))
            text = opened.read().decode("utf-8", "replace")
    except OSError:
        return None
    said = _SAID.findall(text)
    level, line = said[-1] if said else ("", "")
    what, _, why = line.partition(": ")
    if level != "ERROR":
        return None
    return why.strip() or ("interrupted" if what == KeyboardInterrupt.__name__ else what) or None


def how_it_ended(planned: Plan) -> str | None:
    """Why the last try of a run ended, or what is known of that; None where nothing tells, or it is at work.

    Who holds the store, and the progress of a step, are written while a run is at work; a process that is killed leaves
    them. Nothing is called gone that another machine may do.
    """
    folder, work = planned.version_folder, f"run {planned.recipe.name}@{planned.recipe.version}"
    begun = [store.partial_folder(planned.folder(step)) for step in planned.steps]
    left = {path: found for one in begun if (found := _json_of(path := one / "progress.json")) is not None}
    held = planned.store.holder
    holder = held if held is not None and held.get("work") == work and "host" in held else None  # earlier lidr kept it
    last = max(left, key=_written, default=None)
    process = holder or left.get(last or Path())
    said, log = last_error(folder), folder / LOG_FILE
    if process is None or (holder is None and said is not None and last and _written(log) >= _written(last)):
        return said and f"The last try ended: {said}"
    wrote = max((_written(path) for one in [*begun, folder] for path in one.glob("*") if path.is_file()), default=0.0)
    when = f"; last it wrote at {datetime.fromtimestamp(wrote).astimezone().isoformat(' ', 'seconds')}" if wrote else ""
    number = f"process {process.get('pid')}"
    if (alive := is_alive(process)) is None:
        host = f"{process['host']}, which cannot be seen from here" if "host" in process else "a machine not named"
        return (
            f"The last try was made by {number} on {host}{when}. Where it is at work no more, the same `lidr run` goes "
            "on where it stopped"
        )
    if alive:
        return None
    return (
        f"The last try ended without a word: {number} is gone{when}. Something killed it: the system when memory ran "
        "out (`dmesg` says so), a scheduler at a limit, or somebody. The same `lidr run` goes on where it stopped"
    )


def _json_of(path: Path) -> Mapping[str, Any] | None:
    try:
        found = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError, RecursionError):
        return None
    return found if isinstance(found, dict) else None


def _written(path: Path) -> float:
    """When a file was written last; 0 where it is gone."""
    try:
        return path.stat().st_mtime
    except OSError:
        return 0.0


class _Quiet(logging.Handler):
    """Opens its file at the first line that comes when the folder is there; keeps what came before."""

    def __init__(self, path: Path) -> None:
        super().__init__()
        self._path, self._waiting = path, list[str]()

    def hold(self, text: str) -> None:
        """What comes before the first line, if there is one."""
        record = logging.LogRecord(SAID.name, logging.INFO, "", 0, "%s", (text,), None)
        self._waiting.append(self.format(record) + "\n")

    def emit(self, record: logging.LogRecord) -> None:
        self._waiting.append(self.format(record) + "\n")
        if self._path.parent.is_dir():
            with contextlib.suppress(OSError, UnicodeError), self._path.open("a", encoding="utf-8") as opened:
                opened.write("".join(self._waiting))
                self._waiting.clear()
