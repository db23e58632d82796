"""The README of an export: how to train on it, what it is made of, whose it is."""

from __future__ import annotations

from typing import Any

from lidr.hub import compose
from lidr.language_tags import base_code
from lidr.preferences.pair_source import PairSource
from lidr.preferences.query import PairQuery
from lidr.preferences.read_pairs import Census, unread_said
from lidr.release.cards import markdown_table, parents_table
from lidr.rows import language_heading


def readme(source: PairSource, wanted: PairQuery, to: str, how: str, file: str, rows: int, counted: Census) -> str:
    """README.md, with the metadata by which `datasets` loads the folder.

    Args:
        how: how to train on it.
        file: the file of rows.
        rows: how many there are.
        counted: what they were counted from.
    """
    licence = source.licence
    metadata: dict[str, Any] = {"license": licence.identifier}
    if licence.identifier == "other":
        metadata |= {"license_name": licence.name, "license_link": licence.link}
    languages = sorted({base_code(row["texts"]) for row in counted.wanted if row["texts"]})
    metadata |= {"language": languages, "tags": ["preference", "dpo"]}
    metadata["configs"] = [{"config_name": "default", "data_files": [{"split": "train", "path": file}]}]
    return compose(metadata, "\n\n".join(_parts(source, wanted, to, how, rows, counted)), None)


def _parts(source: PairSource, wanted: PairQuery, to: str, how: str, rows: int, counted: Census) -> list[str]:
    at = f", commit `{source.revision}`" if source.revision and len(source.revision) == 40 else ""
    heads = ("iteration", language_heading(counted.kinds_said), "kind", "pairs")
    cells = [
        (str(row["iteration"]), str(row["language"]), kind, str(row["pairs"]))
        for row, kind in zip(counted.wanted, counted.kinds_said, strict=True)
    ]
    return [
        f"# {rows:,} preference pairs of {source.name}",
        f"Exported by `lidr pairs export` for {to} from `{source.name}`{at}. {_asked(wanted, counted)}",
        how,
        markdown_table(heads, cells),
        "## Licence and attribution",
        f"`{source.licence.identifier}`: {source.licence.reason}. Keep this section with every copy.",
        parents_table(source.parents),
    ]


def _asked(wanted: PairQuery, counted: Census) -> str:
    said = {
        f"{language_heading(counted.kinds_said)}s": wanted.languages,
        "kinds": wanted.kinds,
        "iterations": wanted.iterations,
        "margins of at least": () if wanted.min_margin is None else (wanted.min_margin,),
    }
    parts = [f"{what} {', '.join(map(str, values))}" for what, values in said.items() if values]
    whole = "All of its rows that can be read as pairs." if counted.unread else "All of its pairs."
    asked = f"Only {'; '.join(parts)}." if parts else whole
    return f"{asked} {unread_said(counted.unread)}." if counted.unread else asked
