"""What is said, kept: `log.txt` in a run's folder, and from it why a run ended. Secrets are cleaned."""

from __future__ import annotations

import contextlib
import logging
import re
from collections.abc import Iterator
from pathlib import Path

from lidr.secrecy import without_secrets

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
    return why.strip() or what or None if level == "ERROR" else None


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
