"""Where evaluation rows come from: a folder, or a Hub data set at a commit; read whole, checked, hashed.

A folder is shaped like `$LIDR_DATA` (mgsm/de.jsonl, x_alpacaeval/prompts/de.json and reference/de.json) or like
`recipes/prompts` (word_problems/de.jsonl, open_instructions/de.jsonl). On the Hub MGSM is juletxara/mgsm, its commit
resolved when it is read and written into the results; X-AlpacaEval is any data set that has the folder's shape. Where
nothing is given, X-AlpacaEval comes from its authors' repository (`lidr/evals/published_rows.py`).

    mgsm          {"item": "0", "question": "Janets Enten legen ...", "gold": "18"}
    x_alpacaeval  {"item": "1", "instruction": "...", "reference": "...", "generator": "gpt-4-...", "dataset": "..."}

`item` is the same for the same question in every language, so answers can be compared in pairs.
"""

from __future__ import annotations

import csv
import hashlib
import json
import os
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal, TypeVar

from lidr.errors import EvaluationError, HubError, LidrError, NoRowsError
from lidr.evals.hub_rows import commit_of, file_at, files_at
from lidr.evals.published_rows import check_published, fetch_published, published_name
from lidr.evals.results import DataFacts
from lidr.evals.spec import TaskSpec
from lidr.language_tags import unknown_language
from lidr.languages import LANGUAGES
from lidr.references import FolderReference, HubReference, parse_reference
from lidr.resources import near_file

RowBenchmark = Literal["mgsm", "x_alpacaeval"]
T = TypeVar("T")
MGSM_HUB = "juletxara/mgsm"
"""Where MGSM stands on the Hub (Shi et al. 2022, CC BY-SA 4.0); no commit of it was seen by us, so none is written."""

MGSM_ROWS = 250
"""Items of MGSM's test split, the same in each of its 11 languages."""

_PLACES: dict[str, tuple[tuple[str, ...], ...]] = {
    "mgsm": (
        ("mgsm/{}.jsonl",),
        ("word_problems/{}.jsonl",),
        ("mgsm_{}.tsv",),
        ("{}/test-00000-of-00001.parquet",),
        ("data/{}/test-00000-of-00001.parquet",),
    ),
    "x_alpacaeval": (
        ("x_alpacaeval/prompts/{}.json", "x_alpacaeval/reference/{}.json"),
        ("open_instructions/{}.jsonl",),
    ),
}
"""For each benchmark the files that are looked for, the first that are all there being read."""


@dataclass(frozen=True)
class Loaded:
    """Rows of one benchmark in one language, and what a result says of them."""

    rows: tuple[dict[str, Any], ...]
    facts: DataFacts


def load_rows(benchmark: RowBenchmark, language: str, data: str | None = None) -> Loaded:
    """Read the rows of one language.

    Args:
        benchmark: mgsm or x_alpacaeval.
        language: ISO 639-1 code.
        data: a folder, or `org/name[@revision]` on the Hub; None is $LIDR_DATA, else for MGSM the Hub, for X-AlpacaEval
            its authors' repository.

    Raises:
        EvaluationError: no such language or file, or rows that are not what the benchmark has.
        HubError: the Hub does not give the data.
    """
    if language not in LANGUAGES:
        raise EvaluationError(unknown_language(language))
    place = _place(benchmark, data)
    paths = place.files(benchmark, language)
    rows = _READERS[benchmark](paths, language)
    _check_rows(benchmark, rows, paths[0], place.shown)
    names = [place.shown(path) for path in paths]
    facts = DataFacts(
        source=names[0],
        sha256=_sha256(rows),
        rows=len(rows),
        asked=len(rows),
        reference=", ".join(sorted({row["generator"] for row in rows})) if benchmark == "x_alpacaeval" else None,
        reference_sha256=_sha256([row["reference"] for row in rows]) if benchmark == "x_alpacaeval" else None,
    )
    return Loaded(tuple(rows), facts)


def check_rows(benchmark: RowBenchmark, language: str, data: str | None = None) -> None:
    """Refuse what `load_rows` would, as far as that is known without a network.

    Raises:
        EvaluationError: as `load_rows`, of a folder; a language in which a benchmark was never published.
    """
    given = data or os.environ.get("LIDR_DATA")
    if given and Path(given).expanduser().is_dir():
        load_rows(benchmark, language, data)
    elif benchmark != "mgsm" and (not given or given.partition("@")[0] == MGSM_HUB):
        check_published(language)


def read_each(
    tasks: Iterable[TaskSpec],
    read: Callable[[Any, str, str | None], T],
    data: str | None,
    caught: type[LidrError] = EvaluationError,
) -> tuple[dict[TaskSpec, T], list[str]]:
    """The rows of several tasks, and what is wrong with those of the others, each in its words.

    Where a language has rows of one benchmark and none of another, taking the other out is named as a way, too.

    Args:
        tasks: what is asked.
        read: `load_rows` or `check_rows`.
        data: where the rows are, as of `load_rows`.
        caught: errors that are words here; others are raised.
    """
    found: dict[TaskSpec, T] = {}
    wrong: dict[TaskSpec, LidrError] = {}
    for task in tasks:
        try:
            found[task] = read(task.benchmark, task.language, data)
        except caught as error:
            wrong[task] = error
    return found, [f"{error}{_other_way(task, found, error)}" for task, error in wrong.items()]


def _other_way(task: TaskSpec, found: Iterable[TaskSpec], error: LidrError) -> str:
    kept = dict.fromkeys(one.benchmark for one in found if one.language == task.language)
    if not isinstance(error, NoRowsError) or not kept:
        return ""
    others = ", ".join(kept)
    return f"; or take {task.benchmark} out (--tasks, or evaluate.tasks), which keeps {others} in {task.language}"


def place_of(data: str | None, loaded: Iterable[Loaded]) -> str | None:
    """Where the rows came from, so that another process reads the same: a folder as it is, a Hub data set by commit."""
    given = data or os.environ.get("LIDR_DATA")
    if given and Path(given).expanduser().is_dir():
        return str(Path(given).expanduser().resolve())
    sources = sorted(s for found in loaded if not (s := found.facts.source).startswith(published_name()))
    return "/".join(sources[0].split("/")[:2]) if sources else data


def check_parallel(loaded: dict[str, Loaded]) -> None:
    """Refuse languages whose items differ: nothing could be compared in pairs.

    Raises:
        EvaluationError: names the first items that are not in all.
    """
    items = {language: [row["item"] for row in found.rows] for language, found in loaded.items()}
    first = next(iter(items), "")
    for language, mine in items.items():
        odd = sorted(set(mine) ^ set(items[first]), key=lambda item: (len(item), item))
        if odd:
            shown = ", ".join(odd[:5]) + (", ..." if len(odd) > 5 else "")
            raise EvaluationError(
                f"{loaded[language].facts.source} has {len(mine)} rows and {loaded[first].facts.source} "
                f"{len(items[first])}; items that are not in both: {shown}. Give the same items in every language"
            )


class _Place:
    """A folder of files, or a Hub data set at one commit."""

    def __init__(self, folder: Path | None, repo: str = "", commit: str = "") -> None:
        self._folder, self._repo, self._commit = folder, repo, commit
        self._names = frozenset(files_at(repo, commit)) if folder is None else frozenset[str]()

    def files(self, benchmark: str, language: str) -> list[Path]:
        """The files of a language.

        Raises:
            NoRowsError: they are not there; says which languages are.
        """
        for patterns in _PLACES[benchmark]:
            names = [pattern.format(language) for pattern in patterns]
            if all(self._has(name) for name in names):
                return [self._path(name) for name in names]
        there = [code for code in LANGUAGES if any(self._has(p[0].format(code)) for p in _PLACES[benchmark])]
        wanted = " or ".join(" and ".join(p).format(*[language] * len(p)) for p in _PLACES[benchmark][:2])
        raise NoRowsError(
            f'{self.name}: no {benchmark} rows for "{language}" (looked for {wanted}); '
            f"languages there: {', '.join(there) or 'none'}. Leave {language} out (--langs, or evaluate.languages), or "
            "put its rows into such a file and name the folder (--data, or evaluate.data)"
        )

    @property
    def name(self) -> str:
        """As a message names it."""
        return str(self._folder) if self._folder is not None else f"{self._repo}@{self._commit}"

    def shown(self, path: Path) -> str:
        """As a result names it: relative to the folder, or with the commit."""
        if self._folder is not None:
            return path.relative_to(self._folder).as_posix()
        found = next(name for name in sorted(self._names) if path.as_posix().endswith(name))
        return f"{self._repo}@{self._commit}/{found}"

    def _has(self, name: str) -> bool:
        return (self._folder / name).is_file() if self._folder is not None else name in self._names

    def _path(self, name: str) -> Path:
        return self._folder / name if self._folder is not None else file_at(self._repo, self._commit, name)


class _Published(_Place):
    """X-AlpacaEval in its authors' repository."""

    def __init__(self) -> None:
        self._what: dict[Path, str] = {}

    def files(self, benchmark: str, language: str) -> list[Path]:
        """The files of a language, fetched where they are not here."""
        paths = fetch_published(language)
        self._what = {
            path: f"{name}/{language}.json" for path, name in zip(paths, ("prompts", "reference"), strict=True)
        }
        return paths

    def shown(self, path: Path) -> str:
        """As a result names it: with the repository and its commit."""
        return f"{published_name()}/{self._what[path]}"


def _place(benchmark: str, data: str | None) -> _Place:
    given = data or os.environ.get("LIDR_DATA")
    if not given:
        return _mgsm_on_the_hub() if benchmark == "mgsm" else _Published()
    if (folder := Path(given).expanduser()).is_dir():
        return _Place(folder.resolve())
    try:
        reference = parse_reference(given)
    except ValueError:
        reference = FolderReference(given)
    if not isinstance(reference, HubReference):
        raise EvaluationError(
            f"--data {given}: no such folder; give a folder shaped like LIDR_DATA, or org/name@COMMIT"
        )
    if benchmark != "mgsm" and reference.repo == MGSM_HUB:
        return _Published()  # that set holds no instructions: where nothing was given, each benchmark has its own place
    try:
        return _Place(None, reference.repo, commit_of(reference.repo, reference.revision))
    except HubError as error:  # a folder that is not there reads like a name on the Hub
        meant = near_file(Path(given))
        raise HubError(f"--data {given}: there is no such folder here{meant}, and {error}") from None


def _mgsm_on_the_hub() -> _Place:
    try:
        return _Place(None, MGSM_HUB, commit_of(MGSM_HUB, None))
    except HubError as error:
        raise HubError(f"no rows of mgsm named, and {error}. Or give --data DIR with mgsm/LANG.jsonl") from None


def _read_mgsm(paths: Sequence[Path], language: str) -> list[dict[str, Any]]:
    (path,) = paths
    rows = []
    for position, raw in enumerate(_read(path)):
        question = raw.get("query", raw.get("question"))
        gold = raw.get("response", raw.get("answer_number", raw.get("answer")))
        if not isinstance(question, str) or not question.strip() or gold is None or not str(gold).strip():
            raise EvaluationError(f"{path}: row {position}: needs a question (query) and a number (response)")
        rows.append({"item": str(raw.get("id", position)), "question": question, "gold": str(gold)})
    return rows


def _read_x_alpacaeval(paths: Sequence[Path], language: str) -> list[dict[str, Any]]:
    prompts = list(_read(paths[0]))
    references = list(_read(paths[1])) if len(paths) > 1 else prompts
    if len(prompts) != len(references):
        raise EvaluationError(
            f"{paths[0]} has {len(prompts)} rows, {paths[-1]} {len(references)}: one reference for each instruction"
        )
    rows = []
    for position, (prompt, reference) in enumerate(zip(prompts, references, strict=True)):
        instruction, output = prompt.get("instruction"), reference.get("output")
        if not isinstance(instruction, str) or not isinstance(output, str):
            raise EvaluationError(f"{paths[-1]}: row {position}: needs `instruction` and `output`")
        if reference.get("instruction") != instruction:
            raise EvaluationError(
                f"{paths[-1]}: row {position} answers another instruction than {paths[0]} asks: "
                f"{str(reference.get('instruction'))[:60]!r}, not {instruction[:60]!r}"
            )
        rows.append(
            {
                "item": str(prompt.get("id", position + 1)),
                "instruction": instruction,
                "reference": output,
                "generator": str(reference.get("generator", "unknown")),
                "dataset": str(prompt.get("dataset", "")),
            }
        )
    return rows


_READERS: dict[str, Callable[[Sequence[Path], str], list[dict[str, Any]]]] = {
    "mgsm": _read_mgsm,
    "x_alpacaeval": _read_x_alpacaeval,
}


def _read(path: Path) -> list[dict[str, Any]]:
    """Rows of a JSON, JSON-lines, TSV (question, number; no header) or Parquet file."""
    try:
        if path.suffix == ".parquet":
            import pyarrow.parquet as pq

            found: Any = pq.read_table(path).to_pylist()
        else:
            text = path.read_text(encoding="utf-8")
            if path.suffix == ".tsv":
                lines = csv.reader(text.splitlines(), delimiter="\t", quoting=csv.QUOTE_NONE)
                found = [{"question": line[0], "answer": line[1]} for line in lines if len(line) > 1]
            elif path.suffix == ".jsonl":
                found = [json.loads(line) for line in text.splitlines() if line.strip()]
            else:
                found = json.loads(text)
    except (ValueError, OSError, RecursionError) as error:
        raise EvaluationError(f"{path}: cannot be read ({error})") from None
    if not isinstance(found, list) or not all(isinstance(row, dict) for row in found):
        raise EvaluationError(f"{path}: must be a list of objects, one a row")
    return found


def _check_rows(benchmark: str, rows: Sequence[dict[str, Any]], path: Path, shown: Callable[[Path], str]) -> None:
    items = [row["item"] for row in rows]
    if not rows:
        raise EvaluationError(f"{path}: no rows in it; fetch the file again")
    if len(set(items)) < len(items):
        twice = sorted({item for item in items if items.count(item) > 1})
        raise EvaluationError(f"{path}: ids that stand more than once: {', '.join(twice[:5])}; keep one row of each")
    if benchmark == "mgsm" and "word_problems/" not in shown(path) and len(rows) != MGSM_ROWS:
        raise EvaluationError(
            f"{path}: {len(rows)} rows; MGSM has {MGSM_ROWS} in every language. Fetch the file again; your own "
            "problems go to word_problems/LANG.jsonl"
        )


def _sha256(rows: Sequence[Any]) -> str:
    return hashlib.sha256(json.dumps(rows, ensure_ascii=False, sort_keys=True).encode()).hexdigest()
