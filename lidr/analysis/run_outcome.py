"""How far a run came, by its own records: the iterations that were made, and whose policy is the result.

Steps that decide (gates) say so in their records' counts, under "decision": {policy, ends, is_negative, changes}.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from lidr.store import Record, read_record


@dataclass(frozen=True)
class Outcome:
    """Where a run ended.

    Args:
        iterations: how many were made, the last one whole or in part.
        result: the iteration whose policy is the run's; 0 is the first policy.
        last_step: the step that ended the run before its last iteration was whole; None where none did.
        why: why it ended early; None where it did not.
    """

    iterations: int
    result: int
    last_step: str | None = None
    why: str | None = None


def outcome_of(folder: Path, planned: int) -> Outcome:
    """Read the decisions of a run.

    Args:
        folder: the run's version folder.
        planned: iterations of the recipe.
    """
    result = planned
    for iteration in range(1, planned + 1):
        for record in _deciding(folder, iteration):
            decision = record.counts["decision"]
            result = int(decision["policy"]) if iteration == planned or decision["ends"] else planned
            if decision["ends"]:
                return Outcome(iteration, result, record.step, decision["ends"])
    return Outcome(planned, result)


def _deciding(folder: Path, iteration: int) -> list[Record]:
    paths = sorted((folder / f"iter_{iteration}").glob("*/record.json"))
    records = [read_record(path.parent) for path in paths if not path.parent.name.endswith(".partial")]
    return [record for record in records if record is not None and "decision" in record.counts]
