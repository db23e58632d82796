"""The errors that lidr raises on purpose. Each says where, what was found, what is allowed and what to do.

LidrError                 anything a user can cause; the command line prints it without a traceback, exit code 2
├── RecipeError           a recipe file: all its problems at once, each with file:line:column
├── PlanError             a recipe that is well-formed but cannot be carried out
├── RowError              rows that do not fit their table or do not fit each other
├── StoreError            artifacts on disk: drift, damage, a newer schema, a full disk
├── EngineError           the model that answers: no chat template, a server that refuses, a worker that died
├── TrainError            training: nothing to train on, a reference that cannot be had
├── EvaluationError       tasks, judges and results
│   └── NegativeVerdict   everything was done and kept, and the outcome is bad: exit code 3
├── HubError              publishing to and reading from a Hub
└── MissingExtraError     a part of lidr that is not installed; the message holds the pip line
"""

from __future__ import annotations

from collections.abc import Sequence


class LidrError(Exception):
    """Root of every error that lidr raises on purpose."""


class RecipeError(LidrError):
    """A recipe file that cannot be used; `problems` holds every problem found, in file order."""

    def __init__(self, problems: Sequence[str]) -> None:
        self.problems = tuple(problems)
        super().__init__("\n".join(self.problems))


class PlanError(LidrError):
    """A well-formed recipe that cannot be carried out."""


class RowError(LidrError):
    """Rows that do not fit their table, or tables that do not fit each other."""


class StoreError(LidrError):
    """Artifacts on disk: drift, damage, a record from a newer lidr, a full disk."""


class EngineError(LidrError):
    """The engine that answers could not be started or could not answer."""


class TrainError(LidrError):
    """Training cannot start or cannot go on."""


class EvaluationError(LidrError):
    """A task, a judge or a result that cannot be used."""


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
