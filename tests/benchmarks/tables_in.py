"""A folder of tables as the artifact of a step that nobody ran."""

from __future__ import annotations

from pathlib import Path
from typing import Any


def artifact_in(folder: Path) -> Any:
    """What stands in `data/` of a folder; its files are hashed now."""
    from types import SimpleNamespace

    import pyarrow.parquet as pq

    from lidr.store.artifact import Artifact
    from lidr.store.digests import hashed
    from lidr.store.record import FileEntry

    files = tuple(
        FileEntry(f"data/{path.name}", path.stat().st_size, hashed(path), pq.read_metadata(path).num_rows)
        for path in sorted((folder / "data").glob("*.parquet"))
    )
    return Artifact(folder, SimpleNamespace(place="bench", fingerprint="0" * 64, files=files))  # type: ignore[arg-type]
