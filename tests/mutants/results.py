"""Results of mutants, one JSON line each, and what is said of those that no test can notice.

A result holds for the module's text that it names. A mutant that a test noticed is not tried again while that text
stays; one that survived is, as soon as its tests have changed. Of several results of a mutant the last one counts.
"""

from __future__ import annotations

import hashlib
import json
from collections import Counter, defaultdict
from collections.abc import Iterable
from pathlib import Path
from typing import Any, NamedTuple

from tests.mutants.operators import Mutant
from tests.mutants.trial import ROOT

RESULTS = ROOT / "tests" / "proofs" / "mutants.jsonl"
EXPLAINED = ROOT / "tests" / "proofs" / "mutants.explained.json"
"""[{"file": ..., "code": the line, "before": ..., "after": ..., "why": ...}]"""

MOST_EXPLAINED = 0.05  # of all mutants
SURVIVED = "survived"

Key = tuple[str, int, int, str, str]


class Counts(NamedTuple):
    """Of one file: mutants tried, noticed by a failing test or by time, explained, and survivors that are not."""

    tried: int
    failed: int
    time: int
    explained: int
    survived: int


def digest(texts: Iterable[str]) -> str:
    return hashlib.sha256("\0".join(texts).encode()).hexdigest()[:12]


def digest_of_tests(tests: Iterable[str], root: Path) -> str:
    """Of the text of test files, and of all below a folder of tests; and of the options of pytest among them."""
    paths = [root / test.partition("::")[0] for test in tests if not test.startswith("-")]
    files = [file for path in paths for file in (sorted(path.rglob("*.py")) if path.is_dir() else [path])]
    options = [test for test in tests if test.startswith("-")]
    return digest([*options, *(file.read_text(encoding="utf-8") for file in files)])


def key_of(result: dict[str, Any]) -> Key:
    return result["file"], result["line"], result["column"], result["operator"], result["after"]


def key(file: str, mutant: Mutant) -> Key:
    return file, mutant.line, mutant.column, mutant.operator, mutant.after


class Results:
    """What is written, and what is appended."""

    def __init__(self, path: Path = RESULTS) -> None:
        self.path = path
        lines = path.read_text(encoding="utf-8").splitlines() if path.exists() else []
        if lines and not path.read_text(encoding="utf-8").endswith("\n"):  # torn by a kill
            path.write_text("".join(f"{line}\n" for line in lines[:-1]), encoding="utf-8")
            lines = lines[:-1]
        self._all = [json.loads(line) for line in lines]

    def append(self, result: dict[str, Any]) -> None:
        with self.path.open("a", encoding="utf-8") as file:
            file.write(json.dumps(result, ensure_ascii=False) + "\n")
        self._all.append(result)

    def of(self, file: str, source: str) -> dict[Key, dict[str, Any]]:
        """The last result of each mutant of this text of a module."""
        return {key_of(one): one for one in self._all if (one["file"], one["source"]) == (file, source)}

    def is_known(self, file: str, mutant: Mutant, source: str, tests: str) -> bool:
        found = self.of(file, source).get(key(file, mutant))
        return found is not None and (found["outcome"] != SURVIVED or found["tests"] == tests)

    def newest(self) -> dict[str, list[dict[str, Any]]]:
        """File -> results of the text that was tried last."""
        last = {one["file"]: one["source"] for one in self._all}
        return {file: list(self.of(file, source).values()) for file, source in sorted(last.items())}


def explanations(path: Path = EXPLAINED) -> dict[tuple[str, str, str, str], str]:
    """(file, line of code, before, after) -> why no test can notice it."""
    entries = json.loads(path.read_text(encoding="utf-8")) if path.exists() else []
    return {(one["file"], one["code"], one["before"], one["after"]): one["why"] for one in entries}


def counted(results: Results, explained: dict[tuple[str, str, str, str], str]) -> dict[str, Counts]:
    return {file: _counts(found, explained) for file, found in results.newest().items()}


def survivors(results: Results, explained: dict[tuple[str, str, str, str], str]) -> list[dict[str, Any]]:
    """Mutants that survived and that nobody explained."""
    of_all = [one for found in results.newest().values() for one in found]
    return [one for one in of_all if one["outcome"] == SURVIVED and _name(one) not in explained]


def unused(results: Results, explained: dict[tuple[str, str, str, str], str]) -> list[tuple[str, str, str, str]]:
    """Explanations of mutants that do not survive, or that there are none of."""
    surviving = {_name(one) for found in results.newest().values() for one in found if one["outcome"] == SURVIVED}
    return sorted(set(explained) - surviving)


def by_operator(results: Results) -> dict[str, int]:
    """Operator -> mutants tried."""
    of_all = defaultdict(int, Counter(one["operator"] for found in results.newest().values() for one in found))
    return dict(sorted(of_all.items()))


def _counts(found: list[dict[str, Any]], explained: dict[tuple[str, str, str, str], str]) -> Counts:
    outcomes = Counter(one["outcome"] for one in found)
    said = sum(one["outcome"] == SURVIVED and _name(one) in explained for one in found)
    return Counts(len(found), outcomes["failed"], outcomes["time"], said, outcomes[SURVIVED] - said)


def _name(one: dict[str, Any]) -> tuple[str, str, str, str]:
    return one["file"], one["code"], one["before"], one["after"]
