"""Rows that a release holds a second time: by language, and what was dropped. They must be those of what is compared.

`all` and the candidates are compared with what is made again; whoever loads `en-de` or `dropped` reads other files.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING

from lidr.errors import HubError
from lidr.recipe import Recipe
from lidr.release import RUN, OpenedRelease, language_configs, of_language, read_bounded
from lidr.reproduce.row_limits import most_dropped
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
        yield from _languages(release, recipe, f"iter_{number}", most_dropped(recipe, number))
        yield from _dropped(release, number, most_dropped(recipe, number))


def _languages(release: OpenedRelease, recipe: Recipe, split: str, most: int) -> Iterator[Finding]:
    """The pairs of each language against the same pairs in `all`."""
    try:
        pairs = _read(release.rows("all", split), Pair, most)
    except _Unreadable:
        return  # said where its step is compared
    for config, other in language_configs(recipe).items():
        files = release.rows(config, split)
        try:
            digest = row_digest([_read(files, Pair, most)])
        except _Unreadable as error:
            yield Finding(_names(release, files), f"cannot be read: {error}")
            continue
        if digest != row_digest([of_language(pairs, other)]):
            text = f"holds other rows than all/{split} has of {config}"
            yield Finding(_names(release, files) or f"{config}/{split}", text)


def _dropped(release: OpenedRelease, iteration: int, most: int) -> Iterator[Finding]:
    """The dropped rows of each step against their digest in run.json."""
    if release.found.repo_type != "dataset":
        return
    files = release.rows("dropped", split := f"iter_{iteration}")
    where = _names(release, files) or f"dropped/{split}"
    try:
        table = _read(files, Dropped, most)
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


def _read(files: list[Path], rows: RowType, most: int) -> pa.Table:
    import pyarrow as pa

    try:
        found = read_bounded(files, most=most)
        return rows.schema.empty_table() if found is None else found.select(rows.schema.names).cast(rows.schema)
    except (HubError, pa.ArrowException, LookupError, ValueError, TypeError) as error:
        raise _Unreadable((str(error).splitlines() or [type(error).__name__])[0]) from None


def _of_step(table: pa.Table, step: str | None) -> pa.Table:
    import pyarrow.compute as pc

    return table.filter(pc.equal(table["step"], step) if step is not None else pc.is_null(table["step"]))


def _names(release: OpenedRelease, files: list[Path]) -> str:
    return ", ".join(file.relative_to(release.folder).as_posix() for file in files)
