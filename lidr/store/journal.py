"""Resume by row: one JSON line for each finished row, appended as it is finished.

After kill -9 the last line may be torn; it is cut off when the journal is opened again, and that row is made again.
"""

from __future__ import annotations

import json
import os
from collections.abc import Mapping
from pathlib import Path
from types import TracebackType
from typing import Any

from lidr.errors import StoreError


class Journal:
    """The finished rows of an unfinished step, by key."""

    def __init__(self, path: Path) -> None:
        """Open or make the journal, and read what it holds into `rows`."""
        path.parent.mkdir(parents=True, exist_ok=True)
        self.rows: dict[str, dict[str, Any]] = {}
        whole = 0
        if path.exists():
            for line in path.read_bytes().splitlines(keepends=True):
                if not line.endswith(b"\n"):
                    break
                try:
                    row = json.loads(line)
                    self.rows[row.pop("key")] = row
                except (ValueError, KeyError, AttributeError, TypeError):
                    raise StoreError(
                        f"{path}:{len(self.rows) + 1}: damaged line. Take it out by hand to keep the others, or make "
                        f"the step again with --rebuild {path.parents[2].name}/{path.parents[1].name.split('.')[0]}"
                    ) from None
                whole += len(line)
            os.truncate(path, whole)
        self._file = path.open("a", encoding="utf-8")

    def add(self, key: str, row: Mapping[str, Any]) -> None:
        """Append one finished row; when this returns, a killed process no longer loses it."""
        self._file.write(json.dumps({"key": key, **row}, ensure_ascii=False) + "\n")
        self._file.flush()
        self.rows[key] = dict(row)

    def close(self) -> None:
        """Flush to disk and close."""
        if not self._file.closed:
            os.fsync(self._file.fileno())
            self._file.close()

    def __enter__(self) -> Journal:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, value: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()
