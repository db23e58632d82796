"""Prompts as people write them, joined by id: a file for each language, or one table with all of them.

A folder of `LANG.jsonl` (one object a line), or .json (one array), .csv, .tsv, .parquet, the text files also as .gz:

    {"id": "alpagasus-3", "instruction": "Discuss the causes of the Great Depression"}
    {"id": "degsm8k_0", "instruction": "Natalia verkaufte im April Clips an ...", "final_answer": "72"}

One table with the languages side by side (wide), or with a row for each of them (long):

    id,en,de                                     id,language,prompt
    bees,What do bees make?,Was machen Bienen?   bees,de,Was machen Bienen?

An `input` that is not blank is appended after a newline, as the paper's code does. More columns are ignored, but for
those that hold more of the prompt (`system`, `context`, `tools`, ...): a prompt here is one text, so they are refused,
unless the column map says what is done with them.
"""

from __future__ import annotations

import difflib
import hashlib
import unicodedata
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from functools import lru_cache
from itertools import chain
from pathlib import Path
from typing import Any, Literal

from lidr.errors import RowError
from lidr.language_tags import in_recipe, read_tag
from lidr.languages import LANGUAGES
from lidr.recipe import PromptColumns
from lidr.tables import OTHER_PARTS, PROMPT_PARTS, TABLE_FILES, columns_place, holds_anything, is_visible, placed_rows

IDS = ("id", "prompt_id")
TEXTS = ("instruction", "text", "prompt")
LANGUAGE = "language"
_BEGINNING = 40  # characters of a value in a message

Ids = Literal["content", "row"] | None
PlacedPrompt = tuple[str, str, str, str]
"""Place for messages, language, id, text."""


def placed_prompts(
    source: Path | Sequence[Path], languages: Sequence[str], columns: PromptColumns | None, ids: Ids
) -> Iterator[PlacedPrompt]:
    """Every prompt, in the order of the files and rows; a folder's, language by language. Nothing is held.

    Args:
        source: a folder with one file for each language, or a file, or files, of one table.
        languages: codes, the dominant one first.
        columns, ids: see `prompt_table.HowRead`.

    Raises:
        RowError: see `prompt_table.read_prompts`.
    """
    reader = _Reader(tuple(languages), columns or PromptColumns(), ids)
    if isinstance(source, Path) and not source.is_file():
        return chain.from_iterable(reader.of_file(_find(source, code), code) for code in languages)
    return reader.of_table([source] if isinstance(source, Path) else source)


def makes_ids(source: Path | Sequence[Path], languages: Sequence[str], columns: PromptColumns | None, ids: Ids) -> Ids:
    """How the ids of these prompts are made; None: they are given. Sees that a first row can be read.

    Raises:
        RowError: as `read_prompts`, for the first row of each file.
    """
    reader = _Reader(tuple(languages), columns or PromptColumns(), ids)
    if isinstance(source, Path) and not source.is_file():
        for code in languages:
            reader.first_of_file(_find(source, code), code)
        return ids
    return reader.first_of_table([source] if isinstance(source, Path) else source)


def files_of(source: Path, languages: Sequence[str]) -> list[Path]:
    """The file of a table, or of each language in a folder.

    Raises:
        RowError: a language has none.
    """
    return [source] if source.is_file() else [_find(source, code) for code in languages]


@lru_cache(maxsize=4096)
def code_of(written: str, languages: tuple[str, ...]) -> str:
    """The code of what a row says of its language: a code in any case, a tag, a name; as written, if it says none.

    >>> [code_of(written, ("en", "pt")) for written in ("EN", "English", "pt-BR", "fr", "easy")]
    ['en', 'en', 'pt', 'fr', 'easy']
    """
    tag = read_tag(written) if written not in languages else None
    return written if tag is None else in_recipe(tag, languages)


def is_blank_row(row: Mapping[str, Any], columns: PromptColumns | None, ids: Ids) -> bool:
    """Whether a row is left out as a blank line of a spreadsheet: texts alone, all blank, where one should name it.

    Where ids are made, a blank row is a prompt without a text, and dropped as that.
    """
    given = (columns.id if columns else None, *IDS)
    is_named = ids is None and any(name in row for name in given if name is not None)
    return is_named and all(isinstance(value, str) and not is_visible(value) for value in row.values())


class _Reader:
    """Reads rows by one column map."""

    def __init__(self, languages: tuple[str, ...], columns: PromptColumns, ids: Ids) -> None:
        self._languages, self._columns, self._ids = languages, columns, ids
        said = columns.leaves_out
        parts = [name for role, names in PROMPT_PARTS.items() if not said(role) for name in names]
        own = {columns.input or "input", *self._text_columns()}
        self._settings = _settings_of(columns)
        self._more = dict.fromkeys(name for name in (*parts, *OTHER_PARTS) if name not in own)

    def of_file(self, path: Path, language: str) -> Iterator[PlacedPrompt]:
        """The prompts of a file of one language."""
        if self._ids == "content":
            raise RowError(
                f"{path}: ids: content would differ between languages, whose texts differ; write ids: row, where row N "
                "is the same prompt in every file, or give each row an id"
            )
        return self._read(self._rows([path]), language)

    def first_of_file(self, path: Path, language: str) -> None:
        """See that the first row can be read."""
        for _ in self._read(self._rows([path], most=1), language):
            pass

    def of_table(self, files: Sequence[Path]) -> Iterator[PlacedPrompt]:
        """The prompts of one table, in all languages."""
        first, rows = self._begun(files)
        if self._layout(first) == "long":
            yield from self._long(files[0], rows, has_ids=not self._made(first))
            return
        made = _made_ids(self._ids or "content") if self._made(first) else None
        wide = self._wide_columns(first)
        for number, (place, row) in enumerate(rows, start=1):
            texts = {code: self._text(place, row, names, blank=len(wide) > 1) for code, names in wide.items()}
            prompt_id = made(number, texts[self._languages[0]]) if made else self._id(place, row)
            for code, text in texts.items():
                yield place, code, prompt_id, text

    def first_of_table(self, files: Sequence[Path]) -> Ids:
        """Read the first row; how ids are made."""
        first, rows = self._begun(files)
        place, row = next(rows)
        if is_long := self._layout(first) == "long":
            self._text(place, row, self._texts(None))
        for names in () if is_long else self._wide_columns(first).values():
            self._text(place, row, names, blank=True)
        if self._made(first) and not (is_long and len(self._languages) > 1):
            return self._ids or "content"
        self._id(place, row)
        return None

    def _begun(self, files: Sequence[Path]) -> tuple[tuple[str, Mapping[str, Any]], Iterator[tuple[str, Any]]]:
        rows = self._rows(files)
        first = next(rows, None)
        if first is None:
            raise RowError(f"{files[0]}: no prompts in this file; write one a line, with id and instruction")
        return first, chain([first], rows)

    def _rows(self, files: Sequence[Path], most: int | None = None) -> Iterator[tuple[str, Any]]:
        texts = (*self._text_columns(), *IDS, *TEXTS, *LANGUAGES, "input", LANGUAGE)
        placed = chain.from_iterable(placed_rows(path, texts) for path in files)
        rows = (row for row in placed if not is_blank_row(row[1], self._columns, self._ids))
        found = False
        for number, row in enumerate(rows, start=1):
            found = True
            yield row
            if number == most:
                return
        if not found:
            raise RowError(f"{files[0]}: no prompts in this file; write one a line, with id and instruction")

    def _text_columns(self) -> list[str]:
        """What the map names."""
        held = self._columns
        texts = list(held.prompt.values()) if isinstance(held.prompt, dict) else [held.prompt]
        return [name for name in (*texts, held.input, held.id, held.language) if name is not None]

    def _layout(self, first: tuple[str, Mapping[str, Any]]) -> Literal["wide", "long"]:
        """Whether a table has a row for each prompt, or one for each prompt and language."""
        place, row = columns_place(first[0]), first[1]
        held = self._columns
        if isinstance(held.prompt, dict):
            if lacking := [code for code in self._languages if code not in held.prompt]:
                raise RowError(
                    f"prompts.columns.prompt: {place}: it names no column for {', '.join(lacking)}; name it, or, where "
                    f"the prompts are in {self._languages[0]} alone, have them translated: "
                    "prompts.translate: {max_tokens: 256}"
                )
            return "wide"
        if held.language is not None:
            return "long"
        if held.prompt is None and all(code in row for code in self._languages):
            return "wide"
        if LANGUAGE in row:
            return "long"
        if len(self._languages) == 1:
            return "wide"
        raise RowError(
            f"{place}: which column holds which language? Its columns: {_shown(row)}. Name the columns by language "
            f"code ({', '.join(self._languages)}), or write columns: {{prompt: {{{self._languages[0]}: COLUMN, ...}}}}"
            ", or columns: {language: COLUMN} where each row has one language; prompts in one language alone are "
            "translated by `translate`"
        )

    def _wide_columns(self, first: tuple[str, Mapping[str, Any]]) -> dict[str, tuple[str, ...]]:
        """Language -> its column in a wide table, under each name that it may have."""
        held, row = self._columns, first[1]
        if isinstance(held.prompt, dict):
            return {code: (held.prompt[code],) for code in self._languages}
        if held.prompt is None and all(code in row for code in self._languages):
            return {code: (code,) for code in self._languages}
        return {self._languages[0]: self._texts(None)}

    def _made(self, first: tuple[str, Mapping[str, Any]]) -> bool:
        if self._ids is not None:
            return True
        return self._columns.id is None and not any(name in first[1] for name in IDS)

    def _long(self, path: Path, rows: Iterator[tuple[str, Any]], *, has_ids: bool) -> Iterator[PlacedPrompt]:
        """A row for each language; where one alone is read, nothing is joined, and ids can be made."""
        if self._ids is not None and len(self._languages) > 1:
            raise RowError(
                f"{path}: ids: {self._ids} cannot join rows that hold one language each; give them a column id, the "
                "same in every language"
            )
        column = self._columns.language or LANGUAGE
        there: Counter[str] = Counter()
        names = self._texts(None)
        made = None if has_ids or len(self._languages) > 1 else _made_ids(self._ids or "content")
        for number, (place, row) in enumerate(rows, start=1):
            written = self._field(place, row, column)
            there[written] += 1
            if (code := code_of(written, self._languages)) in self._languages:
                text = self._text(place, row, names)
                yield place, code, made(number, text) if made else self._id(place, row), text
        found = {code_of(written, self._languages) for written in there}
        if lacking := [code for code in self._languages if code not in found]:
            shown = ", ".join(f"{code!r} ({n})" for code, n in sorted(there.items()))
            raise RowError(f"{path}: no rows in {', '.join(lacking)}; its column {column} has {shown}")

    def _read(self, rows: Iterator[tuple[str, Any]], language: str) -> Iterator[PlacedPrompt]:
        names = self._texts(language)
        for number, (place, row) in enumerate(rows, start=1):
            prompt_id = str(number) if self._ids == "row" else self._id(place, row)
            yield place, language, prompt_id, self._text(place, row, names)

    def _field(self, place: str, row: Mapping[str, Any], *names: str, is_id: bool = False) -> str:
        name = next((name for name in names if name in row), None)
        if name is None:
            raise self._no_column(place, row, *names)
        value = row[name]
        if is_id and isinstance(value, int) and not isinstance(value, bool):
            return str(value)  # X-AlpacaEval numbers its instructions
        if not isinstance(value, str):
            raise RowError(f'{place}: field "{name}" must be text, found {type(value).__name__}')
        return value

    def _no_column(self, place: str, row: Mapping[str, Any], *names: str) -> RowError:
        """A message that opens with the setting that names the column, where one does."""
        said = f'{columns_place(place)}: no field "{names[0]}"'
        if (setting := self._settings.get(names[0])) is not None:
            near = next(iter(difflib.get_close_matches(names[0], list(row), n=1)), None)
            hint = f'; did you mean "{near}"?' if near else ""
            return RowError(f"{setting}: {said}; found: {_shown(row)}{hint or '. Name one of these'}")
        others = f" (or {', '.join(f'{chr(34)}{name}{chr(34)}' for name in names[1:])})" if len(names) > 1 else ""
        made = ""
        if names == IDS:
            is_long = LANGUAGE in row or self._columns.language is not None
            made = ", the same in every row of a prompt" if is_long else "; or have ids made: ids: row"
        return RowError(f"{said}{others}; found: {_shown(row)}. `columns` in the recipe names another{made}")

    def _texts(self, language: str | None) -> tuple[str, ...]:
        """Names under which the text may stand."""
        prompt = self._columns.prompt
        if isinstance(prompt, dict):
            if language not in prompt:
                raise RowError(f"prompts.columns.prompt: it names no column for {language}")
            return (prompt[language],)
        return TEXTS if prompt is None else (prompt,)

    def _id(self, place: str, row: Mapping[str, Any]) -> str:
        prompt_id = self._field(place, row, *((self._columns.id,) if self._columns.id else IDS), is_id=True)
        if not is_visible(prompt_id):
            raise RowError(f'{place}: field "id" is empty; each prompt needs an id, the same in every language')
        return prompt_id

    def _text(self, place: str, row: Mapping[str, Any], names: Sequence[str], *, blank: bool = False) -> str:
        """The text of a row; `blank`: of several in it, one may be missing."""
        is_missing = blank and next((row[name] for name in names if name in row), "") is None
        text = "" if is_missing else self._field(place, row, *names)
        parts = () if self._more.keys().isdisjoint(row) else self._more
        if left := next((n for n in parts if n not in names and holds_anything(row.get(n))), None):
            begun = str(row[left])[:_BEGINNING]
            raise RowError(
                f'{place}: field "{left}" looks like part of the prompt ({begun!r}), and a prompt here is one text. '
                'Write it into "instruction" or "input", or name it in columns.input; a system message belongs into '
                "system_prompt of the recipe; or take the field out, or give it a name that does not say so"
            )
        name = self._columns.input or ("" if self._columns.leaves_out("input") else "input")
        if self._columns.input is not None and self._columns.input not in row:
            raise self._no_column(place, row, self._columns.input)
        more = self._field(place, row, name) if row.get(name) is not None else ""
        return f"{text}\n{more}" if is_visible(more) else text


def _settings_of(columns: PromptColumns) -> dict[str, str]:
    """Column that the map names -> the setting that names it."""
    texts = columns.prompt if isinstance(columns.prompt, dict) else {}
    named = {f"prompt.{code}": name for code, name in texts.items()}
    named |= {
        role: name for role in ("prompt", "input", "id", "language") if isinstance(name := getattr(columns, role), str)
    }
    return {name: f"prompts.columns.{role}" for role, name in named.items()}


def _made_ids(way: str) -> Callable[[int, str], str]:
    """(number of the row, text) -> id."""
    if way == "row":
        return lambda number, text: str(number)
    times: Counter[str] = Counter()

    def made(number: int, text: str) -> str:
        digest = hashlib.sha256(unicodedata.normalize("NFC", text).encode()).hexdigest()[:12]
        times[digest] += 1
        return digest if times[digest] == 1 else f"{digest}-{times[digest]}"

    return made


def _shown(names: Iterable[str]) -> str:
    """Names of columns; of those with space around them one sees it."""
    return ", ".join(name if name == name.strip() else repr(name) for name in names) or "no fields"


def _find(folder: Path, language: str) -> Path:
    if not folder.is_dir():
        raise RowError(
            f"{folder}: no such folder; prompts are a folder with one file for each language (en.jsonl, ...), or one "
            "file with all of them"
        )
    names = [f"{language}{ending}" for ending in TABLE_FILES]
    found = [name for name in names if (folder / name).is_file()]
    if len(found) == 1:
        return folder / found[0]
    if found:
        raise RowError(f'{folder}: {" and ".join(found)} both hold prompts in "{language}"; keep one of them')
    there = sorted({path.name.partition(".")[0] for path in folder.iterdir() if path.name.endswith(TABLE_FILES)})
    raise RowError(
        f'{folder}: no prompts in "{language}" (looked for {", ".join(names)}); languages there: '
        f"{', '.join(code for code in there if code in LANGUAGES) or 'none'}"
    )
