"""The child of `load_check`: it loads by `datasets`, whose Hub and cache were set before the process began.

Rows come as a stream, so of each split only the first rows are fetched, whatever its size.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from lidr.worker import serve


def load(message: Mapping[str, Any]) -> Iterator[dict[str, Any]]:
    """For each configuration its splits, each with whether it has a row; or what `datasets` said."""
    from datasets import load_dataset

    for config in message["configs"]:
        try:
            found = load_dataset(message["repo"], config, revision=message["revision"], streaming=True)
            splits = {str(name): next(iter(rows), None) is not None for name, rows in found.items()}
        except Exception as error:  # told to the parent, which decides
            cause = error.__cause__ or error
            yield {"config": config, "fault": f"{type(cause).__name__}: {' '.join(str(cause).split())[:400]}"}
        else:
            yield {"config": config, "splits": splits}


if __name__ == "__main__":
    serve(load)
