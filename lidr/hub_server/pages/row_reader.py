"""The process that reads rows: questions in JSON on standard input, answers on standard output, a line each.

It may use so much memory and so much of the processor, whatever a file says of itself; then the system ends it.
"""

from __future__ import annotations

import json
import math
import resource
import signal
import sys
from typing import Any

FILTERS = ("language", "other_language", "kind", "iteration", "step", "reason", "status")
"""The columns of `lidr.rows` with few values; the page offers those that a table has."""
KEYS = ("pair_id", "prompt_id")
"""Columns that name a row, or the rows of one prompt."""
_SEARCHED = ("prompt_text", "text", "detail")
_MEMORY, _CPU_S = 4 << 30, 15
_MOST_COLUMNS, _LONGEST_TEXT, _MOST_ITEMS, _DEEPEST = 200, 200_000, 500, 20


def main() -> int:
    """Answer questions, a line each, until there are no more."""
    if sys.platform == "linux":  # elsewhere the kernel does not hold a process to it
        resource.setrlimit(resource.RLIMIT_AS, (_MEMORY, _MEMORY))
    for line in sys.stdin.buffer:
        signal.setitimer(signal.ITIMER_PROF, _CPU_S)  # CPU time of this question; the signal ends the process
        try:
            said = read(**json.loads(line))
        except MemoryError:
            said = {"error": "reading them takes too much memory"}
        except Exception as error:  # what pyarrow raises on files that are none of its own is of many kinds
            said = {"error": " ".join(str(error).split())[:500] or type(error).__name__}
        signal.setitimer(signal.ITIMER_PROF, 0)
        sys.stdout.buffer.write(json.dumps(said).encode() + b"\n")
        sys.stdout.buffer.flush()
    return 0


def read(files: list[str], wanted: dict[str, str], search: str, start: int, count: int) -> dict[str, Any]:
    """One page of rows, the number of all that fit, the columns, and what may be chosen in each filter."""
    import pyarrow as pa
    import pyarrow.compute as pc
    import pyarrow.dataset as ds

    pa.set_cpu_count(1)
    pa.set_io_thread_count(1)
    dataset = ds.dataset(files, format="parquet")
    columns = list(dataset.schema.names)[:_MOST_COLUMNS]
    expression = None
    for column, value in wanted.items():
        if column in columns:
            part = pc.field(column).cast("string") == value
            expression = part if expression is None else expression & part
    searched = next((column for column in _SEARCHED if column in columns), None)
    if search and searched:
        part = pc.match_substring(pc.field(searched), search, ignore_case=True)
        expression = part if expression is None else expression & part
    # batch_size small: a page needs few rows, and texts are long
    table = dataset.scanner(columns=columns, filter=expression, batch_size=256).head(start + count).slice(start)
    return {
        "rows": [{name: _plain(value) for name, value in row.items()} for row in table.to_pylist()],
        "total": dataset.count_rows(filter=expression),
        "columns": columns,
        "choices": _choices(dataset, columns),
        "can_search": searched is not None,
    }


def _choices(dataset: Any, columns: list[str]) -> dict[str, list[str]]:
    """The values of each filter column that has few."""
    import pyarrow.compute as pc

    choices = {}
    for column in FILTERS:
        if column in columns:
            found: set[Any] = set()
            for batch in dataset.to_batches(columns=[column]):
                found |= set(pc.unique(batch.column(0)).to_pylist()) - {None}
                if len(found) > 200:
                    break
            texts = sorted(found, key=lambda value: (str(type(value)), value))
            if 1 < len(texts) <= 200:
                choices[column] = [str(_plain(text)) for text in texts]
    return choices


def _plain(value: Any, depth: int = 0) -> Any:
    """A cell as JSON can hold it, in bounds; what is cut off is counted in its place."""
    if depth > _DEEPEST:
        return "..."
    if isinstance(value, dict):
        return {str(key): _plain(child, depth + 1) for key, child in list(value.items())[:_MOST_ITEMS]}
    if isinstance(value, list | tuple):
        kept = [_plain(child, depth + 1) for child in value[:_MOST_ITEMS]]
        return kept if len(value) <= _MOST_ITEMS else [*kept, f"... and {len(value) - _MOST_ITEMS:,} more"]
    if value is None or isinstance(value, bool | int):
        return value
    if isinstance(value, float):
        return value if math.isfinite(value) else str(value)
    text = (value if isinstance(value, str) else str(value)).encode("utf-8", "replace").decode()
    return text if len(text) <= _LONGEST_TEXT else f"{text[:_LONGEST_TEXT]} ... ({len(text):,} characters)"


if __name__ == "__main__":
    sys.exit(main())
