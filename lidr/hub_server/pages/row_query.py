"""Which rows a repository has, read from its Parquet files and filtered.

pyarrow is imported when the first rows are looked at, and not before: it would more than double the server's memory.
"""

from __future__ import annotations

import fnmatch
import re
from collections.abc import Mapping
from functools import lru_cache
from pathlib import Path
from typing import Any, NamedTuple

from lidr.hub_server.storage import Commit, Objects

FILTERS = ("language", "other_language", "kind", "iteration", "step", "reason", "status")
"""The columns of `lidr.rows` with few values; the page offers those that a table has."""
_SEARCHED = ("prompt_text", "text", "detail")

Configs = dict[str, dict[str, list[str]]]
"""Config -> split -> paths of Parquet files."""


class Rows(NamedTuple):
    """One page of rows, the number of all that fit the filters, and what may be chosen in each filter."""

    rows: list[dict[str, Any]]
    total: int
    columns: list[str]
    choices: dict[str, list[str]]
    can_search: bool


def configs(commit: Commit, metadata: Mapping[str, Any]) -> Configs:
    """The configs that the card declares; without any, those that the paths `config/split-*.parquet` suggest."""
    paths = [path for path in commit.files if path.endswith(".parquet")]
    declared: Configs = {}
    for config in metadata.get("configs") or []:
        if isinstance(config, dict):
            splits = _declared(config.get("data_files"), paths)
            if splits:
                declared[str(config.get("config_name"))] = splits
    return declared or _suggested(paths)


def _declared(data_files: Any, paths: list[str]) -> dict[str, list[str]]:
    if not isinstance(data_files, list):
        data_files = [{"split": "train", "path": data_files}]
    splits: dict[str, list[str]] = {}
    for entry in data_files:
        if not isinstance(entry, dict):
            entry = {"split": "train", "path": entry}
        patterns = entry.get("path")
        for pattern in patterns if isinstance(patterns, list) else [patterns]:
            found = [path for path in paths if fnmatch.fnmatchcase(path, str(pattern))]
            if found:
                splits.setdefault(str(entry.get("split", "train")), []).extend(found)
    return splits


def _suggested(paths: list[str]) -> Configs:
    found: Configs = {}
    for path in paths:
        folder, _, name = path.rpartition("/")
        split = re.sub(r"(-\d{5}-of-\d{5})?\.parquet$", "", name)
        found.setdefault(folder or "default", {}).setdefault(split, []).append(path)
    return found


def read(
    objects: Objects,
    commit: Commit,
    paths: list[str],
    *,
    wanted: Mapping[str, str],
    search: str,
    start: int,
    count: int,
) -> Rows:
    """One page of the rows of some Parquet files.

    Args:
        wanted: column -> value that a row must have, as text.
        search: a text that must occur in the prompt or the text, whatever its case.
        start, count: which of the rows that fit.

    Raises:
        OSError, ValueError: a file is no Parquet, or the files do not fit each other.
    """
    import pyarrow.compute as pc
    import pyarrow.dataset as ds

    files = tuple(str(objects.path(commit.files[path]["sha256"])) for path in paths)
    dataset = ds.dataset(list(files), format="parquet")
    columns = list(dataset.schema.names)
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
    table = dataset.scanner(filter=expression, batch_size=256).head(start + count).slice(start)
    total = dataset.count_rows(filter=expression)
    return Rows(table.to_pylist(), total, columns, _choices(files), searched is not None)


@lru_cache(maxsize=64)
def _choices(files: tuple[str, ...]) -> dict[str, list[str]]:
    """The values of each filter column; files are named by their content, so this never changes."""
    import pyarrow.compute as pc
    import pyarrow.dataset as ds

    dataset = ds.dataset([str(Path(file)) for file in files], format="parquet")
    choices = {}
    for column in FILTERS:
        if column in dataset.schema.names:
            values = pc.unique(dataset.to_table(columns=[column])[column]).to_pylist()
            texts = sorted(
                {value for value in values if value is not None}, key=lambda value: (str(type(value)), value)
            )
            if 1 < len(texts) <= 200:
                choices[column] = [str(text) for text in texts]
    return choices
