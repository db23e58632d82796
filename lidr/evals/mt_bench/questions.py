"""The questions of MT-Bench: from the user, one file a language, with the same ids in each.

    FOLDER/de.jsonl   {"question_id": 81, "category": "writing", "turns": ["...", "..."], "reference": ["...", "..."]}

or a data set on the Hub that holds such files, in its root or in data/. `reference` is what a right answer to each turn
is, where there is one.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from lidr.errors import EvaluationError
from lidr.evals.hub_rows import commit_of, file_at, files_at
from lidr.evals.results import DataFacts
from lidr.language_tags import unknown_language
from lidr.languages import LANGUAGES
from lidr.references import FolderReference, HubReference, parse_reference

TURNS = 2


@dataclass(frozen=True)
class Question:
    """Two turns of a user, and what a right answer to each is, where there is one."""

    item: str
    category: str
    turns: tuple[str, str]
    reference: tuple[str | None, str | None] = (None, None)


@dataclass(frozen=True)
class Questions:
    """The questions of one language, and what a record says of them."""

    rows: tuple[Question, ...]
    facts: DataFacts


def load_questions(source: str, languages: Sequence[str]) -> dict[str, Questions]:
    """Read the questions of some languages.

    Args:
        source: a folder with LANG.jsonl files, one such file, or `org/name[@revision]` on the Hub.
        languages: codes; of a single file there can be but one.

    Raises:
        EvaluationError: no such language or file, or rows that are no questions.
        HubError: the Hub does not give them.
    """
    for language in languages:
        if language not in LANGUAGES:
            raise EvaluationError(unknown_language(language))
    if len(languages) > 1 and Path(source).expanduser().is_file():
        raise EvaluationError(f"{source}: one file for {len(languages)} languages; give the folder of LANG.jsonl files")
    return {language: _questions(*_file(source, language)) for language in languages}


def _file(source: str, language: str) -> tuple[Path, str]:
    """The file of a language, and what a record calls it."""
    path = Path(source).expanduser()
    if path.is_file():
        return path, path.name
    if path.is_dir():
        if not (path / f"{language}.jsonl").is_file():
            found = ", ".join(sorted(file.stem for file in path.glob("*.jsonl"))) or "none"
            raise EvaluationError(f"{source}: no {language}.jsonl; languages there: {found}")
        return path / f"{language}.jsonl", f"{language}.jsonl"
    try:
        reference = parse_reference(source)
    except ValueError:
        reference = FolderReference(source)
    if not isinstance(reference, HubReference):
        raise EvaluationError(f"{source}: no such folder; give a folder with LANG.jsonl files, or org/name@COMMIT")
    commit = commit_of(reference.repo, reference.revision)
    there = files_at(reference.repo, commit)
    name = next((name for name in (f"{language}.jsonl", f"data/{language}.jsonl") if name in there), None)
    if name is None:
        raise EvaluationError(f"{reference.repo}@{commit}: no {language}.jsonl in it")
    return file_at(reference.repo, commit, name), f"{reference.repo}@{commit}/{name}"


def _questions(path: Path, shown: str) -> Questions:
    rows = tuple(_parsed(path))
    items = [row.item for row in rows]
    if not rows:
        raise EvaluationError(f"{path}: no questions in it; write one a line")
    if twice := sorted({item for item in items if items.count(item) > 1}):
        raise EvaluationError(f"{path}: question_id that stand more than once: {', '.join(twice[:5])}")
    text = json.dumps([[row.item, row.turns, row.reference] for row in rows], ensure_ascii=False)
    sha256 = hashlib.sha256(text.encode()).hexdigest()
    return Questions(rows, DataFacts(source=shown, sha256=sha256, rows=len(rows), asked=len(rows)))


def _parsed(path: Path) -> Iterator[Question]:
    try:
        lines = path.read_text(encoding="utf-8").split("\n")
    except (OSError, UnicodeDecodeError) as error:
        raise EvaluationError(f"{path}: cannot be read ({error})") from None
    for number, line in enumerate(lines, start=1):
        if not line.strip():
            continue
        try:
            row = json.loads(line)
            turns, reference = row["turns"], row.get("reference") or (None,) * TURNS
            is_good = len(turns) == TURNS == len(reference) and all(isinstance(t, str) and t.strip() for t in turns)
            question = Question(str(row["question_id"]), str(row.get("category", "")), tuple(turns), tuple(reference))
        except (ValueError, KeyError, TypeError, AttributeError, RecursionError):
            is_good = False
        if not is_good:
            raise EvaluationError(
                f'{path}:{number}: no question: needs "question_id", "turns" (two texts) and, where there is one, '
                '"reference" (two texts)'
            )
        yield question
