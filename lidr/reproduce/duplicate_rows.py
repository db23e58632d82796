"""Rows that a release holds a second time: by language, and what was dropped. They must be those of what is compared.

`all` and the candidates are compared with what is made again; whoever loads `en-de` or `dropped` reads other files.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING

from lidr.recipe import Recipe
from lidr.release import RUN, OpenedRelease, of_language
from lidr.reproduce.verdict import Finding
from lidr.rows import Dropped, Pair, RowType
from lidr.store import row_digest

if TYPE_CHECKING:
    import pyarrow as pa


def repeated(release: OpenedRelease, recipe: Recipe) -> Iterator[Finding]:
    """Files whose rows are not those of `all`, or have another digest than run.json says of the step that dropped them.

    Args:
        release: of a data set; of any other nothing is found.
    """
    for number in range(1, len(recipe.iterations) + 1):
        yield from _languages(release, recipe, f"iter_{number}")
        yield from _dropped(release, number)


def _languages(release: OpenedRelease, recipe: Recipe, split: str) -> Iterator[Finding]:
    """The pairs of each language against the same pairs in `all`."""
    try:
        pairs = _read(release.rows("all", split), Pair)
    except _Unreadable:
        return  # said where its step is compared
    dominant = recipe.languages.dominant
    for other in recipe.languages.others:
        files = release.rows(config := f"{dominant}-{other}", split)
        try:
            digest = row_digest([_read(files, Pair)])
        except _Unreadable as error:
            yield Finding(_names(release, files), f"cannot be read: {error}")
            continue
        if digest != row_digest([of_language(pairs, other)]):
            text = f"holds other rows than all/{split} has of {dominant} and {other}"
            yield Finding(_names(release, files) or f"{config}/{split}", text)


def _dropped(release: OpenedRelease, iteration: int) -> Iterator[Finding]:
    """The dropped rows of each step against their digest in run.json."""
    if release.found.repo_type != "dataset":
        return
    files = release.rows("dropped", split := f"iter_{iteration}")
    where = _names(release, files) or f"dropped/{split}"
    try:
        table = _read(files, Dropped)
    except _Unreadable as error:
        yield Finding(where, f"cannot be read: {error}")
        return
    steps = [record.step for record in release.records.values() if record.iteration == iteration]
    for step in dict.fromkeys((*steps, *table["step"].to_pylist())):
        said = release.run.get("rows", {}).get(f"{split}/{step}", {}).get("dropped", {}).get("digest")
        rows = _of_step(table, step)
        if (said is not None or rows.num_rows) and row_digest([rows]) != said:
            yield Finding(where, f"holds other dropped rows of {step} than {RUN} says ({str(said)[:12]})")


class _Unreadable(Exception):
    """Files that are no table of these rows."""


def _read(files: list[Path], rows: RowType) -> pa.Table:
    import pyarrow as pa
    import pyarrow.parquet as pq

    try:
        tables = [pq.read_table(file).select(rows.schema.names).cast(rows.schema) for file in files]
    except (pa.ArrowException, KeyError, OSError) as error:
        raise _Unreadable((str(error).splitlines() or [type(error).__name__])[0]) from None
    return pa.concat_tables([rows.schema.empty_table(), *tables])


def _of_step(table: pa.Table, step: str | None) -> pa.Table:
    import pyarrow.compute as pc

    return table.filter(pc.equal(table["step"], step) if step is not None else pc.is_null(table["step"]))


def _names(release: OpenedRelease, files: list[Path]) -> str:
    return ", ".join(file.relative_to(release.folder).as_posix() for file in files)
