"""What a new recipe says of prompts that lie here: how many there are, in which columns, in how many languages."""

from __future__ import annotations

import difflib
import shlex
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from lidr.errors import RowError
from lidr.hub import is_published
from lidr.language_tags import read_tag
from lidr.recipe import PromptColumns, PromptsConfig
from lidr.references import HubReference, parse_reference
from lidr.resources import near_file, resolve_source
from lidr.steps.prompts.prompt_rows import IDS, LANGUAGE, TEXTS, code_of, makes_ids
from lidr.steps.prompts.prompt_table import prompt_texts
from lidr.steps.prompts.reading_notes import like_ids, own_id_column
from lidr.tables import TABLE_FILES, columns_place, placed_rows

_LOOKED_AT = 50  # prompts of each language

Column = str | Mapping[str, str]
"""Of the text: one, or code -> the language's own."""


@dataclass(frozen=True)
class PromptDraft:
    """What was seen.

    Args:
        count: prompts; None where nothing was read, as of a data set of the Hub.
        is_one_language: they are in the dominant language alone.
        columns: role -> column, as `prompts.columns` has it; empty where the usual names are found.
        are_ids_made: no column names the prompts: their ids are made from their texts.
        read: of a table in one language, the column of the text; else None.
        unused: beside it, the columns that hold text, and no ids.
        others: code -> the language that most of its first prompts seem to be in instead, of how many that is said, and
            of how many one; without the languages of which this is not so.
    """

    count: int | None = None
    is_one_language: bool = False
    columns: Mapping[str, Column] = field(default_factory=dict)
    are_ids_made: bool = False
    read: str | None = None
    unused: Sequence[str] = ()
    others: Mapping[str, tuple[str, int, int]] = field(default_factory=dict)


def draft_prompts(
    source: str, languages: Sequence[str], *, column: Column | None = None, one_language: bool = False
) -> PromptDraft:
    """Look at prompts, as far as they lie here.

    Args:
        source: as `prompts.source` names it.
        languages: codes, the dominant one first.
        column: of the text, where the user names it; or code -> column, of some of the languages.
        one_language: whether the user says so.

    Raises:
        RowError: they are not there, or cannot be read; which column holds the text cannot be told; or a language has
            none.
    """
    path = resolve_source(source, Path())
    if path is not None and not path.exists() and not _is_of_hub(source):
        raise RowError(
            f"no file or folder {source}{near_file(path)}; give a folder with LANG.jsonl, a .csv, or org/name"
        )
    if path is None or not path.exists() or is_published(path):
        _has_each(source, languages, column, is_alone=one_language)
        return PromptDraft(is_one_language=one_language, columns={"prompt": column} if column else {})
    columns: dict[str, Any] = {}
    if path.is_file():
        columns, is_alone = _of_table(path, languages, column)
    else:
        columns = {"prompt": column} if column else {}
        is_alone = not any(any(path.glob(f"{code}.*")) for code in languages[1:])
    is_alone = is_alone or one_language
    _has_each(source, languages, column, is_alone=is_alone)
    codes = languages[:1] if is_alone else languages
    found = prompt_texts(path, codes, columns=PromptColumns(**columns))
    made = makes_ids(path, codes, PromptColumns(**columns), None)
    read, unused = _left(path, languages[0], columns) if path.is_file() and is_alone else (None, [])
    others = {code: seems for code, texts in found.items() if (seems := _seem(code, list(texts.values())[:_LOOKED_AT]))}
    return PromptDraft(len(found[languages[0]]), is_alone, columns, made is not None, read, unused, others)


def _seem(code: str, texts: Sequence[str]) -> tuple[str, int, int] | None:
    """The language that most of these texts are in, how many, and of how many; None where it is `code` or not known."""
    import polars as pl

    from lidr.transforms import identify

    told = Counter(identify(pl.Series(texts, dtype=pl.String), [code], asked=code)["language"])
    other, count = told.most_common(1)[0] if told else (None, 0)
    return (other, count, len(texts)) if other not in (None, code, "other") and 2 * count > len(texts) else None


def column_form(languages: Sequence[str], names: Mapping[str, str] | None = None) -> str:
    """How one names a column for each language.

    >>> column_form(["en", "de"], {"en": "question"})
    '--column en=question,de=NAME'
    """
    return "--column " + shlex.quote(",".join(f"{code}={(names or {}).get(code, 'NAME')}" for code in languages))


def _has_each(source: str, languages: Sequence[str], column: Column | None, *, is_alone: bool) -> None:
    """See that a map names what is read: a column for each language, or for the dominant one alone."""
    if column is None or isinstance(column, str):
        return
    lacking = [code for code in languages if code not in column]
    if languages[0] in lacking:
        form = column_form(languages, column)
        raise RowError(f"{source}: --column names no column for {languages[0]}, which has to have one: {form}")
    if is_alone and len(column) > 1:
        others = ", ".join(code for code in languages[1:] if code in column)
        raise RowError(
            f"{source}: --column names one for {others}, and --one-language has the model translate the prompts; "
            "leave out one of the two"
        )
    if lacking and not is_alone:
        raise RowError(
            f"{source}: --column names no column for {', '.join(lacking)}: add "
            f"{','.join(f'{code}=NAME' for code in lacking)}, or have it translated: --column "
            f"{shlex.quote(column[languages[0]])} --one-language"
        )


def _of_table(path: Path, languages: Sequence[str], column: Column | None) -> tuple[dict[str, Any], bool]:
    """The columns to write down, and whether the table holds one language alone."""
    place, row = next(placed_rows(path), (str(path), {}))
    if not row:
        raise RowError(f"{path}: no prompts in this file; write one a line, below a header")
    place = columns_place(place)
    columns = dict[str, Any]()
    named = () if column is None else (column,) if isinstance(column, str) else tuple(column.values())
    is_wide = isinstance(column, Mapping) or (column is None and all(code in row for code in languages))
    spoken = None if is_wide or LANGUAGE in row else _language_column(path, row, languages)
    said = PromptColumns(language=spoken) if spoken else None
    own = own_id_column(path, languages, PromptsConfig(source=str(path), license="unknown", columns=said))
    if own is not None and own not in named:
        columns["id"] = own
    if spoken is not None:
        columns["language"] = spoken
        row = {name: value for name, value in row.items() if name != spoken}
    for name in named:
        if name not in row:
            near = difflib.get_close_matches(name, list(row), n=1)
            hint = f"did you mean {near[0]}? " if near else ""
            raise RowError(f"{place}: no column {name}; {hint}Its columns: {', '.join(row)}{_or_each(row, languages)}")
    if column is not None and not isinstance(column, str):
        return columns | {"prompt": column}, False
    if column is None and all(code in row for code in languages):
        return columns, False
    if column is None and LANGUAGE in row:
        joined = _joined(path, row, columns, LANGUAGE, languages)
        return columns | joined, not _has_others(path, languages)
    if column is None and (some := [code for code in languages[1:] if code in row]):
        there = [code for code in languages if code in row]
        lacking = [code for code in languages if code not in row]
        raise RowError(
            f"{place}: no column for {', '.join(lacking)}, and one for {', '.join(some)}; give the languages that it "
            f"has: --languages {','.join(there)}"
        )
    text = column or _text_column(place, row, languages)
    is_long = spoken is not None or _has_others(path, languages)
    columns |= {} if text in TEXTS else {"prompt": text}
    if is_long:
        columns |= _joined(
            path, {name: row[name] for name in row if name != text}, columns, spoken or LANGUAGE, languages
        )
    return columns, not is_long


def _joined(
    path: Path, row: Mapping[str, Any], columns: Mapping[str, Any], language: str, languages: Sequence[str]
) -> dict[str, str]:
    """The column that says which rows of several languages are one prompt, where no name tells it.

    Raises:
        RowError: there is none, or more than one.
    """
    if "id" in columns or any(name in row for name in IDS):
        return {}
    there = set[str]()
    held: dict[str, dict[str, list[str]]] = {name: {} for name in row if name not in (language, *TEXTS)}
    for _, values in placed_rows(path):
        there.add(code := code_of(str(values.get(language)), (*languages,)))
        for name, by_language in held.items():
            by_language.setdefault(code, []).append(str(values.get(name)))
    if not there & {*languages[1:]}:
        return {}
    found = [name for name, values in held.items() if _joins(values, languages)]
    if len(found) == 1:
        return {"id": found[0]}
    which = f"it may be {' or '.join(found)}" if found else "none of its columns does"
    raise RowError(
        f"{path}: a row for each language, and no column called id that says which rows are one prompt; {which}. "
        f"Its columns: {', '.join(dict.fromkeys([*row, language]))}. Call the right one id: each value once in every "
        "language"
    )


def _joins(values: Mapping[str, list[str]], languages: Sequence[str]) -> bool:
    """Whether no language has a value twice, and each has most of those of the dominant one."""
    mine = {code: values[code] for code in languages if code in values}
    first = set(mine.get(languages[0], ()))
    is_once = all(len(set(of_one)) == len(of_one) for of_one in mine.values())
    return is_once and all(2 * len(first & set(of_one)) > len(first) for of_one in mine.values())


def _has_others(path: Path, languages: Sequence[str]) -> bool:
    """Whether any row says that it is in another language than the dominant one."""
    said = (str(row.get(LANGUAGE)) for _, row in placed_rows(path))
    return any(code_of(one, (*languages,)) in languages[1:] for one in said)


def _language_column(path: Path, row: Mapping[str, Any], languages: Sequence[str]) -> str | None:
    """A column of another name than `language` that holds codes or names of languages alone, those of the dominant
    language and of another one among them; None where there is none.
    """
    held: dict[str, set[str]] = {name: set() for name in row}
    for _, values in placed_rows(path):
        for name in [*held]:
            if isinstance(written := values.get(name), str) and read_tag(written) is not None:
                held[name].add(code_of(written, (*languages,)))
            else:
                del held[name]
        if not held:
            return None
    others = set(languages[1:])
    return next((name for name, codes in held.items() if languages[0] in codes and codes & others), None)


def _text_column(place: str, row: Mapping[str, Any], languages: Sequence[str]) -> str:
    usual = next((name for name in (*TEXTS, languages[0]) if name in row), None)
    others = _not_ids(row)
    if usual is None and len(others) != 1:
        raise RowError(
            f"{place}: which column holds the prompts? Its columns: {', '.join(row)}. Name it: --column NAME"
            f"{_or_each(row, languages)}"
        )
    return usual or others[0]


def _not_ids(row: Mapping[str, Any]) -> list[str]:
    return [name for name in row if name not in (*IDS, *like_ids(list(row)))]


def _or_each(row: Mapping[str, Any], languages: Sequence[str]) -> str:
    """The end of a message, where more columns than one could hold prompts."""
    form = f"; or, where each language has its own column: {column_form(languages)}"
    return form if len(_not_ids(row)) > 1 else ""


def _left(path: Path, dominant: str, columns: Mapping[str, Any]) -> tuple[str | None, list[str]]:
    """The column that is read of a table in one language, and the others with a letter in some row, but for ids."""
    row = next((row for _, row in placed_rows(path)), {})
    prompt = columns.get("prompt")
    named = prompt.get(dominant) if isinstance(prompt, Mapping) else prompt
    read = named or next((name for name in (dominant, *TEXTS) if name in row), None)
    others = [name for name in _not_ids(row) if name not in (read, columns.get("id"), "input", LANGUAGE)]
    held = set[str]()
    for _, row in placed_rows(path):
        held |= {name for name in others if isinstance(text := row.get(name), str) and any(map(str.isalpha, text))}
        if len(held) == len(others):
            break
    return read, [name for name in others if name in held]


def _is_of_hub(source: str) -> bool:
    if source.startswith((".", "/", "~")) or source.lower().endswith(TABLE_FILES):
        return False
    try:
        return isinstance(parse_reference(source), HubReference)
    except ValueError:
        return False
