"""The errors that lidr raises on purpose. Each says where, what was found, what is allowed and what to do.

LidrError                 anything a user can cause; the command line prints it without a traceback, exit code 2
├── RecipeError           a recipe file: all its problems at once, each with file:line:column
├── PlanError             a recipe that is well-formed but cannot be carried out
├── RowError              rows that do not fit their table or do not fit each other
├── StoreError            artifacts on disk: drift, damage, a full disk
│   └── OtherLidrError    a record that another lidr wrote and this one does not read
├── EngineError           the model that answers: no chat template, a server that refuses
│   └── WorkerDied        the process that held it ended without a word
├── TrainError            training: nothing to train on, a reference that cannot be had
├── EvaluationError       tasks, judges and results
│   ├── NoRowsError       a benchmark has no rows in a language
│   └── NegativeVerdict   everything was done and kept, and the outcome is bad: exit code 3
├── HubError              publishing to and reading from a Hub
└── MissingExtraError     a part of lidr that is not installed; the message holds the pip line
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from lidr.secrecy import without_secrets


class LidrError(Exception):
    """Root of every error that lidr raises on purpose. What it says holds no token and no password."""

    def __str__(self) -> str:
        return without_secrets(super().__str__())


@dataclass(frozen=True)
class Problem:
    """One thing that is wrong in a recipe.

    Args:
        text: what was found, what is allowed, what to do.
        path: the value, as people write it: `chain[2].pair.drop`; empty where it is none.
        file, line, column: where it stands; line and column count from 1. A value that the command line gives stands in
            `--set "key=value"`, which has neither.
        found: the value that is wrong, where one is.
        allowed: what may stand there, where that is a list.
        hint: which of these may have been meant; without `allowed`, what to write.
    """

    text: str
    path: str = ""
    file: str | None = None
    line: int | None = None
    column: int | None = None
    found: str | None = None
    allowed: tuple[str, ...] = ()
    hint: str | None = None

    def __str__(self) -> str:
        where = ":".join(str(part) for part in (self.file, self.line, self.column) if part is not None)
        opening = " ".join(part for part in (where, f"{self.path}:" if self.path else "") if part)
        return without_secrets(f"{opening} {self.text}".strip())


class RecipeError(LidrError):
    """A recipe that cannot be used.

    Args:
        problems: every problem found, in file order; a text alone is one without a place.
    """

    def __init__(self, problems: Sequence[str | Problem]) -> None:
        self.found = tuple(Problem(one) if isinstance(one, str) else one for one in problems)
        self.problems = tuple(map(str, self.found))
        super().__init__("\n".join(self.problems))


class SeveralErrors(ValueError):
    """What is wrong of several values that are checked together; each is a problem of its own."""

    def __init__(self, said: Sequence[str]) -> None:
        self.said = tuple(said)
        super().__init__("\n".join(self.said))


class PlanError(LidrError):
    """A well-formed recipe that cannot be carried out."""


class RowError(LidrError):
    """Rows that do not fit their table, or tables that do not fit each other."""


class StoreError(LidrError):
    """Artifacts on disk: drift, damage, a record from a newer lidr, a full disk."""


class OtherLidrError(StoreError):
    """A record as another lidr wrote it, with what this one does not know: nothing is damaged."""


class EngineError(LidrError):
    """The engine that answers could not be started or could not answer."""


class WorkerDied(EngineError):
    """A worker process ended without a word: it was killed, or memory ran out."""


class TrainError(LidrError):
    """Training cannot start or cannot go on."""


class EvaluationError(LidrError):
    """A task, a judge or a result that cannot be used."""


class NoRowsError(EvaluationError):
    """A benchmark has no rows in a language."""


class NegativeVerdict(EvaluationError):
    """Finished, everything kept, and the outcome is one that must not pass unseen; exit code 3."""


class HubError(LidrError):
    """Publishing to or reading from a Hub failed."""


class MissingExtraError(LidrError):
    """A part of lidr needs packages that are not installed."""

    def __init__(self, extra: str, *, needed_for: str, missing: str) -> None:
        super().__init__(
            f"{needed_for} needs the package {missing!r}, which is not installed: pip install 'lidr[{extra}]'"
        )
