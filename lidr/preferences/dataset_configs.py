"""Which files of a set are of which configuration and split: as its card says, else by their names, as `datasets` does.

configs with data_files   a pattern, a list of them, or {split, path} of each; relative to data_dir where there is one
configs with data_dir     the files below that folder, their splits by their names
no configs                all files, their splits by their names

names                                     split
NAME-00000-of-00001[-HASH].parquet, all   NAME
data/NAME-00000-of-00001[-HASH].parquet   NAME; the files beside them belong to none
train, training, test, eval, dev, ...     train, test, validation: by a word in a folder's name, else in the file's
any others                                train
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from pathlib import PurePosixPath
from typing import Any

import regex  # type: ignore[import-untyped]

from lidr.errors import HubError
from lidr.release import CardConfigs, fault
from lidr.tables import TABLE_FILES, table_files

_SHARD = re.compile(r"(?P<split>.+)-\d{5}-of-\d{5}(?:-[0-9a-zA-Z]+)?")


_LONGEST_PATTERN = 1000
_MATCH_S = 0.5
"""Seconds for one pattern on one name: who wrote them may mean no good."""


def config_of(
    where: str, card: Mapping[str, Any], names: Sequence[str], config: str | None
) -> tuple[str | None, list[tuple[str, str]]]:
    """The configuration, and its files by split.

    Args:
        where: names the set in messages.
        card: the metadata of its card.
        names: all files, relative to its root.
        config: the configuration; None: its default.

    Raises:
        HubError: no such configuration, no rows, or a pattern that is none.
    """
    rows = [name for name in sorted(names) if name.lower().endswith(TABLE_FILES) and _is_seen(name)]
    entries = _configs(where, card)
    if config is not None and config not in entries:
        raise HubError(f"{where}: no configuration {config!r}; it has {', '.join(entries) or 'none: leave it out'}")
    if not entries:
        if not rows:
            raise HubError(f"{where}: no files of pairs in it: {', '.join(TABLE_FILES)}")
        return None, _splits_by_name(where, table_files(rows))
    default = next((name for name, entry in entries.items() if entry.get("default")), None)
    chosen = config or default or ("default" if "default" in entries else next(iter(entries)))
    splits = _files_of(where, entries[chosen], rows)
    if not splits:
        place = {key: entries[chosen][key] for key in ("data_dir", "data_files") if entries[chosen].get(key)}
        raise HubError(f"{where}: no files of pairs in it for configuration {chosen}: {place}")
    return chosen, splits


def _is_seen(name: str) -> bool:
    """Not below lidr/, where records stand, and not hidden."""
    return not name.startswith("lidr/") and not any(part.startswith((".", "__")) for part in PurePosixPath(name).parts)


def _configs(where: str, card: Mapping[str, Any]) -> dict[str, dict[str, Any]]:
    """A card's configurations by their names."""
    configs = card.get("configs") or []
    if wrong := fault(CardConfigs, {"configs": configs}):
        raise HubError(
            f"{where}: README.md: {wrong}. A configuration has a config_name and data_files: a pattern, a list of "
            "them, or a list of split and path; or data_dir, a folder"
        )
    return {str(entry["config_name"]): entry for entry in configs}


def _files_of(where: str, entry: Mapping[str, Any], rows: Sequence[str]) -> list[tuple[str, str]]:
    base = PurePosixPath(entry.get("data_dir") or ".")
    inside = {
        str(PurePosixPath(name).relative_to(base)): name for name in rows if PurePosixPath(name).is_relative_to(base)
    }
    if entry.get("data_files") is None:
        found = _splits_by_name(where, table_files(inside)) if inside else []
    else:
        found = list(_matching(where, entry["data_files"], list(inside)))
    return [(split, inside[name]) for split, name in dict.fromkeys(found)]


def _matching(where: str, data_files: Any, rows: Sequence[str]) -> Iterator[tuple[str, str]]:
    """(split, file) of a card's data_files: a pattern, a list of them, or {split, path} of each."""
    entries = data_files if isinstance(data_files, list) else [data_files]
    for entry in entries:
        split, patterns = (entry["split"], entry["path"]) if isinstance(entry, dict) else ("train", entry)
        for pattern in [patterns] if isinstance(patterns, str) else patterns:
            try:
                matched = _resolved(pattern.removeprefix("./"), rows)
                yield from ((str(split), name) for name in table_files(matched))
            except TimeoutError:
                raise HubError(
                    f"{where}: README.md: data_files {pattern[:200]!r} takes too long on the names there; write fewer *"
                ) from None
            except (ValueError, re.error, regex.error, RecursionError, OverflowError) as error:
                raise HubError(
                    f"{where}: README.md: data_files {pattern!r} is no pattern: {error}. * and ? stand for what is in "
                    "one name, ** alone between slashes for any folders, [ab] and [!ab] for one character"
                ) from None


def _resolved(pattern: str, rows: Sequence[str]) -> list[str]:
    """Names that a pattern means, by the rules of the library that `datasets` resolves it with."""
    from fsspec.utils import glob_translate  # type: ignore[import-untyped]

    if len(pattern) > _LONGEST_PATTERN:
        raise ValueError(f"longer than {_LONGEST_PATTERN} characters")
    wanted = regex.compile(glob_translate(pattern))
    return [name for name in rows if wanted.match(name, timeout=_MATCH_S)]


def _splits_by_name(where: str, rows: Sequence[str]) -> list[tuple[str, str]]:
    """The split of each file, by the names alone."""
    shards = [_SHARD.fullmatch(PurePosixPath(name.removesuffix(".gz")).stem) for name in rows]
    if all(shards):
        return [(match["split"], name) for match, name in zip(shards, rows, strict=True) if match]
    from datasets.data_files import _get_data_files_patterns

    try:
        patterns = _get_data_files_patterns(lambda pattern: _resolved(pattern, rows))
    except ValueError as error:
        raise HubError(
            f"{where}: its files' names give no splits: {error}. Say them in README.md, as configs"
        ) from None
    found = ((str(split), name) for split, ones in patterns.items() for one in ones for name in _resolved(one, rows))
    return list(dict.fromkeys(found))
