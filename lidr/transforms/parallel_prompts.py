"""Parallel prompts: read one file a language, check that they are parallel, take the slice of one iteration.

A folder holds one file for each language, `LANG.jsonl` (one object a line), `LANG.json` (one array) or `LANG.parquet`.
Rows as they are published, the second one cut:

    {"id": "alpagasus-3", "instruction": "Discuss the causes of the Great Depression"}
    {"id": "degsm8k_0", "instruction": "Natalia verkaufte im April Clips an ...", "final_answer": "72"}

An `input` that is not empty is appended after a newline, as the paper's code does. `prompt_id` and `text` are other
names for `id` and `instruction`; more fields are ignored. `read_prompts` is the one function of `transforms` that opens
files.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, Literal, NamedTuple

import polars as pl

from lidr.errors import RowError
from lidr.languages import LANGUAGES
from lidr.rows import Dropped, Prompt, RowType

LANGUAGE_INSTRUCTION = (
    "Below is an instruction that describes a task. "
    "Write a response that appropriately completes the request in {language}. Please answer in {language}.\n\n"
    "### Instruction:\n{question}\n\n### Response:\n"
)
"""ZNLP/Language-Imbalance-Driven-Rewarding at bd9764e, utils/inference.py, used there when with_prefix is true."""

_VISIBLE = r"[^\p{Z}\p{Cc}\p{Cf}]"  # anything but spaces, controls and zero-width marks
_SHOWN = 5  # ids named in a message


DROP_REASONS = ("empty_prompt", "duplicate_prompt")


class PromptResult(NamedTuple):
    """The prompts of one iteration in every language, and the slots of those that cannot be used."""

    prompts: pl.DataFrame
    dropped: pl.DataFrame


def read_prompts(
    source: Path, languages: Sequence[str], *, id_prefix: Literal["language"] | None = None
) -> pl.DataFrame:
    """Read the prompts of each language, in the order of `languages` and of the files.

    Args:
        source: the folder.
        languages: codes; each needs exactly one file.
        id_prefix: "language" takes the code off ids that begin with it (GSM8K: `degsm8k_0` in de, `gsm8k_0` in en), so
            that they join. A file is stripped whole, or not at all where no id begins with the code.

    Returns:
        The columns of rows.Prompt. An id that is a whole number in JSON is taken as its digits.

    Raises:
        RowError: a file is missing or cannot be read, or a row lacks an id or a text; the message says file:line.
    """
    return pl.concat([_empty(Prompt), *(_read_language(source, language, id_prefix) for language in languages)])


def select_prompts(
    prompts: pl.DataFrame, *, dominant: str, others: Sequence[str], start: int, stop: int
) -> PromptResult:
    """Take prompts `start` to `stop` (not included) of the dominant language's order, in every language.

    Positions count the prompts of the file before any is dropped, so the slices of two iterations never overlap and
    neither moves the other. A prompt goes in all languages when its text is empty in one (`empty_prompt`), or when its
    dominant text repeats that of an earlier usable prompt of the whole file (`duplicate_prompt`).

    Returns:
        prompts: NFC-normalised; by position, and for each position the dominant language first, then `others`.
        dropped: two rows for each (prompt, other language), one for each kind of pair; `iteration` is null.

    Raises:
        RowError: ids that differ between languages or stand twice, or a slice that goes beyond the file.

    Example:
        >>> rows = [("1", "en", "Hi"), ("1", "es", "Hola"), ("2", "en", "Bye"), ("2", "es", " ")]
        >>> frame = pl.DataFrame(rows, schema=["prompt_id", "language", "text"], orient="row")
        >>> result = select_prompts(frame, dominant="en", others=["es"], start=0, stop=2)
        >>> result.prompts["text"].to_list(), result.dropped["detail"].to_list()
        (['Hi', 'Hola'], ['empty in es', 'empty in es'])
    """
    languages = [dominant, *others]
    ranks = pl.DataFrame({"language": languages}).with_row_index("rank")
    rows = prompts.select(Prompt.schema.names).with_columns(pl.col("text").str.normalize("NFC"))
    rows = rows.join(ranks, on="language", maintain_order="left")
    _check_parallel(rows, languages)
    order = rows.filter(language=dominant).select("prompt_id").with_row_index("position")
    if not 0 <= start < stop <= len(order):
        raise RowError(
            f"prompts {start}:{stop} go beyond the file: it has {len(order)} prompts, so at most 0:{len(order)}"
        )
    unusable = _unusable(rows.join(order, on="prompt_id"))
    rows = rows.join(order.slice(start, stop - start), on="prompt_id").sort("position", "rank")
    kept = rows.join(unusable, on="prompt_id", how="anti", maintain_order="left")
    dropped = rows.filter(language=dominant).join(unusable, on="prompt_id")
    return PromptResult(kept.select(Prompt.schema.names), _slots(dropped, dominant, others))


def instruct(prompts: pl.DataFrame, names: Mapping[str, str]) -> pl.DataFrame:
    """Wrap each prompt in the paper's instruction to answer in its language.

    Args:
        prompts: columns `language` and `text`.
        names: language code -> English name.

    >>> prompts = pl.DataFrame({"language": ["fr"], "text": ["Que font les abeilles ?"]})
    >>> instruct(prompts, {"fr": "French"})["text"].item().splitlines()[2:4]
    ['### Instruction:', 'Que font les abeilles ?']
    """
    before, after = LANGUAGE_INSTRUCTION.split("{question}")
    opening = pl.col("language").replace_strict({code: before.format(language=name) for code, name in names.items()})
    return prompts.with_columns(text=opening + pl.col("text") + pl.lit(after))


def _check_parallel(rows: pl.DataFrame, languages: Sequence[str]) -> None:
    """Raise unless every language has the ids of the first, each once."""
    dominant, *others = languages
    ids = {language: rows.filter(language=language)["prompt_id"].to_list() for language in languages}
    twice = rows.filter(rows.select("prompt_id", "language").is_duplicated())
    if len(twice):
        named = twice.select(pl.format("{} in {}", "prompt_id", "language")).to_series().unique(maintain_order=True)
        raise RowError(f"{len(named)} prompt ids stand more than once: {_first(named.to_list())}; keep one row of each")
    problems = []
    for language in others:
        there, wanted = set(ids[language]), set(ids[dominant])
        missing = [prompt_id for prompt_id in ids[dominant] if prompt_id not in there]
        extra = [prompt_id for prompt_id in ids[language] if prompt_id not in wanted]
        problems += [f"{language} lacks {len(missing)}: {_first(missing)}"] if missing else []
        problems += [f"{language} has {len(extra)} more: {_first(extra)}"] if extra else []
    if problems:
        raise RowError(
            f"the prompts are not parallel; of the {len(ids[dominant])} ids in {dominant}, {'; '.join(problems)}. Give "
            "each prompt the same id in every language, or take out those that are not in all; ids that begin with the "
            "language's code (degsm8k_0) need id_prefix: language"
        )


def _first(ids: Sequence[str]) -> str:
    return ", ".join(ids[:_SHOWN]) + (", ..." if len(ids) > _SHOWN else "")


def _unusable(rows: pl.DataFrame) -> pl.DataFrame:
    """The prompts of the whole file that no slice may use: `prompt_id`, `reason`, `detail`."""
    is_empty = ~pl.col("text").str.contains(_VISIBLE).fill_null(False)
    empty = rows.filter(is_empty).sort("rank").group_by("prompt_id").agg("language")
    usable = rows.filter(rank=0).join(empty, on="prompt_id", how="anti").sort("position")
    first = pl.col("prompt_id").first().over(pl.col("text").str.strip_chars())
    repeated = usable.with_columns(first=first).filter(pl.col("first") != pl.col("prompt_id"))
    return pl.concat(
        [
            empty.select(
                "prompt_id",
                reason=pl.lit("empty_prompt"),
                detail=pl.format("empty in {}", pl.col("language").list.join(", ")),
            ),
            repeated.select(
                "prompt_id",
                reason=pl.lit("duplicate_prompt"),
                detail=pl.format("the same text in {} as {}", "language", "first"),
            ),
        ]
    )


def _slots(dropped: pl.DataFrame, dominant: str, others: Sequence[str]) -> pl.DataFrame:
    """Two dropped rows for each (prompt, other language): one for each kind of pair that will not be built."""
    of_prompt = [
        slot for other in others for slot in ((dominant, other, "dominant"), (other, dominant, "non_dominant"))
    ]
    columns = ["language", "other_language", "kind"]
    slots = pl.DataFrame(of_prompt, schema=dict.fromkeys(columns, pl.String), orient="row").with_row_index("slot")
    crossed = dropped.drop("language").join(slots, how="cross").sort("position", "slot")
    filled = crossed.with_columns(iteration=pl.lit(None, pl.Int32), step=pl.lit("prompts"))
    return filled.select(_empty(Dropped).columns)


def _empty(row_type: RowType) -> pl.DataFrame:
    return pl.DataFrame(row_type.schema.empty_table())


def _read_language(folder: Path, language: str, id_prefix: str | None) -> pl.DataFrame:
    path = _find(folder, language)
    places: dict[str, str] = {}
    texts: list[str] = []
    for place, row in _READERS[path.suffix](path):
        prompt_id, text = _id_and_text(place, row)
        if prompt_id in places:
            raise RowError(f'{place}: id "{prompt_id}" already stands at {places[prompt_id]}; ids must be unique')
        places[prompt_id] = place
        texts.append(text)
    if not texts:
        raise RowError(f"{path}: no prompts in this file")
    ids = _without_prefix(path, language, list(places)) if id_prefix == "language" else list(places)
    return pl.DataFrame({"prompt_id": ids, "language": language, "text": texts}, schema=_empty(Prompt).schema)


def _find(folder: Path, language: str) -> Path:
    if not folder.is_dir():
        raise RowError(
            f"{folder}: no such folder; prompts are a folder with one file for each language (en.jsonl, ...)"
        )
    names = [f"{language}{suffix}" for suffix in _READERS]
    found = [name for name in names if (folder / name).is_file()]
    if len(found) == 1:
        return folder / found[0]
    if found:
        raise RowError(f"{folder}: {' and '.join(found)} both hold prompts in {language}; keep one of them")
    there = sorted({path.stem for path in folder.iterdir() if path.suffix in _READERS} & LANGUAGES.keys())
    raise RowError(
        f"{folder}: no prompts in {language} (looked for {', '.join(names)}); languages there: "
        f"{', '.join(there) or 'none'}"
    )


def _read_lines(path: Path) -> Iterator[tuple[str, Any]]:
    # split, not splitlines: U+2028 and U+0085 may stand inside a JSON string
    for number, line in enumerate(_text(path).split("\n"), start=1):
        if line.strip():
            yield f"{path}:{number}", _parse(path, line, first_line=number)


def _read_array(path: Path) -> Iterator[tuple[str, Any]]:
    text = _text(path)
    if not isinstance(_parse(path, text), list):
        raise RowError(f"{path}: expected a JSON array of objects ([{{...}}, ...])")
    decoder, line, counted, at = json.JSONDecoder(), 1, 0, text.index("[") + 1
    while True:  # again, item by item, to know the line of each; the text is known to be well-formed
        while text[at] in " \t\r\n,":
            at += 1
        if text[at] == "]":
            return
        line, counted = line + text.count("\n", counted, at), at
        row, at = decoder.raw_decode(text, at)
        yield f"{path}:{line}", row


def _read_parquet(path: Path) -> Iterator[tuple[str, Any]]:
    try:
        frame = pl.read_parquet(path)
    except (pl.exceptions.PolarsError, OSError) as error:
        raise RowError(f"{path}: cannot be read as Parquet: {error}") from error
    for number, row in enumerate(frame.iter_rows(named=True), start=1):
        yield f"{path} row {number}", row


_READERS = {".jsonl": _read_lines, ".json": _read_array, ".parquet": _read_parquet}


def _text(path: Path) -> str:
    data = path.read_bytes()
    try:
        return data.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        line = data.count(b"\n", 0, error.start) + 1
        raise RowError(f"{path}:{line}: byte 0x{data[error.start]:02x} is not UTF-8; save the file as UTF-8") from error


def _parse(path: Path, text: str, first_line: int = 1) -> Any:
    try:
        return json.loads(text)
    except json.JSONDecodeError as error:
        line = first_line + error.lineno - 1
        raise RowError(f"{path}:{line}:{error.colno}: not JSON: {error.msg}") from error
    except (ValueError, RecursionError) as error:  # a number of 5,000 digits, brackets nested without end
        raise RowError(f"{path}:{first_line}: JSON that cannot be read: {error}") from error


def _id_and_text(place: str, row: Any) -> tuple[str, str]:
    if not isinstance(row, dict):
        raise RowError(f'{place}: expected an object with "id" and "instruction", found {type(row).__name__}')
    prompt_id = _field(place, row, "id", "prompt_id")
    if not prompt_id.strip():
        raise RowError(f'{place}: field "id" is empty; each prompt needs an id, the same in every language')
    text = _field(place, row, "instruction", "text")
    has_input = row.get("input") is not None
    more = _field(place, row, "input") if has_input else ""
    return prompt_id, f"{text}\n{more}" if more.strip() else text


def _field(place: str, row: Mapping[str, Any], *names: str) -> str:
    name = next((name for name in names if name in row), None)
    if name is None:
        raise RowError(f'{place}: no field "{names[0]}" (or "{names[1]}"); found: {", ".join(row) or "no fields"}')
    value = row[name]
    if names[0] == "id" and isinstance(value, int) and not isinstance(value, bool):
        return str(value)  # X-AlpacaEval numbers its instructions
    if not isinstance(value, str):
        raise RowError(f'{place}: field "{name}" must be text, found {type(value).__name__}')
    try:
        value.encode()
    except UnicodeEncodeError as error:
        half = f"\\u{ord(value[error.start]):04x}"
        raise RowError(f'{place}: field "{name}" holds half a character, {half}, which UTF-8 cannot store') from error
    return value


def _without_prefix(path: Path, language: str, ids: list[str]) -> list[str]:
    bare = [prompt_id for prompt_id in ids if not prompt_id.startswith(language)]
    if bare and len(bare) < len(ids):
        raise RowError(
            f"{path}: {len(ids) - len(bare)} ids begin with the language's code {language} and {len(bare)} do not: "
            f"{_first(bare)}; with id_prefix: language, all must or none"
        )
    return ids if bare else [prompt_id.removeprefix(language) for prompt_id in ids]
