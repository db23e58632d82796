"""Answers of a model to open instructions, from a results folder or from files in alpaca_eval's form.

    a folder of `lidr eval run`        results.json and samples.parquet, with x_alpacaeval answers
    model_outputs_de.json, de.json     a list of {"instruction", "output", "generator"} and, if known, "id" or "item"
    a folder of such files             one for each language

Two sets are joined by item and instruction, never by position.
"""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NamedTuple

from lidr.errors import EvaluationError
from lidr.evals.reader import results_folder
from lidr.evals.results import Results, read_results, read_samples
from lidr.language_tags import unknown_language
from lidr.languages import LANGUAGES

_LANGUAGE = re.compile(r"(?:^|[_.-])([a-z]{2})$")


class Output(NamedTuple):
    """One answer; `item` is None where a file names no item."""

    item: str | None
    instruction: str
    text: str


@dataclass(frozen=True)
class OutputSet:
    """The answers of one model.

    Args:
        name: of the model, short.
        by_language: language -> answers, in the order of their source.
        source: language -> what a record says of where they come from; never a folder of this machine.
        results: the record they come with, if they do.
    """

    name: str
    by_language: Mapping[str, tuple[Output, ...]]
    source: Mapping[str, str]
    results: Results | None = None

    def sha256(self, language: str) -> str:
        """Identity of the answers in one language, in whatever order they stand."""
        lines = sorted([output.instruction, output.text] for output in self.by_language[language])
        return hashlib.sha256(json.dumps(lines, ensure_ascii=False).encode()).hexdigest()


class Pair(NamedTuple):
    """Two answers to the same instruction."""

    item: str
    instruction: str
    a: str
    b: str


def read_outputs(path: Path, language: str | None = None) -> OutputSet:
    """Read the answers of one model.

    Args:
        path: a results folder, `run:NAME/iter_K/evaluate`, a JSON file, or a folder of JSON files.
        language: of a single file whose name does not end in it.

    Raises:
        EvaluationError: nothing of the kind is there, or a row has no instruction or output.
    """
    if str(path).startswith("run:") or (path / "results" / "results.json").is_file():
        path = results_folder(str(path))
    if (path / "results.json").is_file():
        return _of_results(path)
    if path.is_dir():
        files = {code: file for file in sorted(path.glob("*.json")) if (code := _language_of(file)) is not None}
        if not files:
            raise EvaluationError(
                f"{path}: no results.json and no outputs; give a folder of `lidr eval run`, or one with "
                "model_outputs_LANG.json files"
            )
        return _of_files(files)
    code = language or _language_of(path)
    if code is None:
        raise EvaluationError(f"{path}: which language? Name the file ..._LANG.json, as in model_outputs_de.json")
    if code not in LANGUAGES:
        raise EvaluationError(unknown_language(code))
    return _of_files({code: path})


def pairs_of(a: OutputSet, b: OutputSet, language: str) -> list[Pair]:
    """Join the answers of two models in one language.

    By item where both name items, and then the instructions must be equal; else by instruction.

    Raises:
        EvaluationError: an item that only one has, twice the same, or with another instruction; names the first five.
    """
    mine, others = a.by_language[language], b.by_language[language]
    by_item = all(output.item is not None for output in (*mine, *others))
    left, right = _keyed(mine, by_item, a, language), _keyed(others, by_item, b, language)
    _refuse(f"are not in both {a.name} ({len(left)}) and {b.name} ({len(right)})", set(left) ^ set(right), language)
    differ = [key for key in left if left[key].instruction != right[key].instruction]
    _refuse(f"have another instruction in {a.name} than in {b.name}", differ, language)
    return [
        Pair(left[key].item or right[key].item or _short(key), left[key].instruction, left[key].text, right[key].text)
        for key in left
    ]


def _short(instruction: str) -> str:
    """A name for an item that nobody named: the same for the same instruction."""
    return hashlib.sha256(instruction.encode()).hexdigest()[:16]


def _keyed(outputs: Sequence[Output], by_item: bool, of: OutputSet, language: str) -> dict[str, Output]:
    keys = [str(output.item) if by_item else output.instruction for output in outputs]
    found = dict(zip(keys, outputs, strict=True))
    if len(found) < len(keys):
        seen: set[str] = set()
        twice = [key for key in keys if key in seen or seen.add(key)]  # type: ignore[func-returns-value]
        _refuse(f"stand more than once in {of.name}", twice, language)
    return found


def _refuse(what: str, keys: Iterable[str], language: str) -> None:
    found = sorted(set(keys), key=lambda key: (len(key), key))
    if found:
        shown = "; ".join(repr(key[:60]) for key in found[:5]) + ("; ..." if len(found) > 5 else "")
        raise EvaluationError(
            f"{language}: {len(found)} items {what}: {shown}. Compare answers to the same instructions: evaluate both "
            "models on the same data, with the same limit"
        )


def _of_results(folder: Path) -> OutputSet:
    results = read_results(folder)
    found: dict[str, list[Output]] = {}
    for row in read_samples(folder).to_pylist():
        if row["benchmark"] == "x_alpacaeval":
            found.setdefault(row["language"], []).append(Output(row["item"], row["prompt"], row["response"] or ""))
    if not found:
        raise EvaluationError(
            f"{folder}: holds no x_alpacaeval answers; run `lidr eval run --tasks x_alpacaeval` first"
        )
    by_language = {language: tuple(outputs) for language, outputs in found.items()}
    source = {task.language: task.data.source for task in results.of("x_alpacaeval")}
    return OutputSet(results.name, by_language, source, results)


def _of_files(files: Mapping[str, Path]) -> OutputSet:
    by_language, generators = {}, set()
    for language, path in files.items():
        rows = _rows(path)
        by_language[language] = tuple(_output(row, f"{path}: row {place}") for place, row in enumerate(rows))
        generators |= {str(row["generator"]) for row in rows if row.get("generator")}
    if len(generators) > 1:
        raise EvaluationError(
            f"{next(iter(files.values()))}: outputs of {len(generators)} generators: "
            f"{', '.join(sorted(generators)[:5])}; give the outputs of one model"
        )
    name = next(iter(generators), next(iter(files.values())).stem)
    return OutputSet(name, by_language, {language: path.name for language, path in files.items()})


def _rows(path: Path) -> list[dict[str, Any]]:
    try:
        rows = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError, RecursionError) as error:
        raise EvaluationError(f"{path}: cannot be read as outputs ({error})") from None
    if not isinstance(rows, list) or not rows or not all(isinstance(row, dict) for row in rows):
        raise EvaluationError(f"{path}: must be a list of objects with `instruction` and `output`, and not empty")
    return rows


def _output(row: Mapping[str, Any], where: str) -> Output:
    item = row.get("item", row.get("id"))
    if not isinstance(row.get("instruction"), str) or not isinstance(row.get("output"), str):
        raise EvaluationError(f'{where}: needs `instruction` and `output`, both texts; an empty output is ""')
    return Output(None if item is None else str(item), row["instruction"], row["output"])


def _language_of(path: Path) -> str | None:
    match = _LANGUAGE.search(path.stem)
    return match[1] if match and match[1] in LANGUAGES else None
