"""A recipe's run as its records have it: what was made, what is missing, where it ended and why.

Nothing but records is needed, so a store that was copied to another machine, without models and data, can be read.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

from lidr.analysis import Outcome, outcome_of
from lidr.errors import LidrError, StoreError
from lidr.hub import without_paths
from lidr.pipeline import order, plan
from lidr.report.record_reading import of_records
from lidr.steps import STEPS
from lidr.store import Record, Store, partial_folder, read_record, store_root

if TYPE_CHECKING:
    from lidr.recipe import Recipe

State = Literal["finished", "ended", "not finished"]


@dataclass(frozen=True)
class RunState:
    """The records of a run.

    Args:
        folder: the run's version folder.
        records: of the steps that are made, in the order in which they run.
        missing: places of the steps that are still to be made.
        begun: those of them that are at work, or were interrupted.
        outcome: where the run ended, by what its gates decided.
        differs: what of it was made otherwise than the recipe now says, one sentence each.
    """

    recipe: Recipe
    folder: Path
    records: tuple[Record, ...]
    missing: tuple[str, ...]
    begun: tuple[str, ...]
    outcome: Outcome
    differs: tuple[str, ...] = ()

    @property
    def state(self) -> State:
        """finished: every step is made; ended: a gate ended it before its last iteration was whole."""
        if self.missing:
            return "not finished"
        return "ended" if self.outcome.why else "finished"

    @property
    def decisions(self) -> tuple[dict[str, Any], ...]:
        """What the gates decided, in order."""
        return tuple(record.counts["decision"] for record in self.records if "decision" in record.counts)

    @property
    def is_negative(self) -> bool:
        """Whether the outcome must not pass unseen: a gate stopped the run, or no policy is better than the first."""
        return any(d["is_negative"] for d in self.decisions) or (bool(self.decisions) and self.result == 0)

    @property
    def result(self) -> int | None:
        """The iteration whose policy is the run's result; None while it is not finished, or nothing is trained."""
        trains = any(record.writes == "policy" for record in self.records)
        return self.outcome.result if trains and not self.missing else None

    @property
    def best(self) -> int | None:
        """The iteration with the best policy, by the last gate; None without one."""
        return self.decisions[-1]["best"] if self.decisions else None

    @property
    def given_up(self) -> frozenset[int]:
        """Iterations whose policy a gate gave up."""
        return frozenset(record.iteration for record in self.records if record.counts.get("is_given_up"))

    @property
    def iterations(self) -> int:
        """How many iterations were begun, of those that the recipe has."""
        return max((record.iteration for record in self.records), default=0)

    def of(self, rows: str) -> list[Record]:
        """Records of the steps that write these rows."""
        return [record for record in self.records if record.writes == rows]

    def where(self, record: Record) -> Path:
        """The folder of a step."""
        return self.folder / record.place


@of_records
def run_state_of(recipe: Recipe, store: Store | None = None, *, is_compared: bool = True) -> RunState:
    """Read the records of a recipe's run.

    Args:
        recipe: whose run it is.
        store: where; by default the recipe's.
        is_compared: whether to say what was made otherwise than the recipe now says.

    Raises:
        StoreError: the store holds nothing of this recipe's version, or a record is damaged.
    """
    store = store or Store(store_root(recipe.runtime.store, recipe.folder))
    folder = store.version_folder(recipe.name, recipe.version)
    found = {place: read_record(folder / place) for place in dict.fromkeys(f"iter_{k}/{n}" for k, n in order(recipe))}
    outcome = outcome_of(folder, len(recipe.iterations))
    last = outcome.iterations  # later ones, of an earlier try, are no part of this run
    records = {place: record for place, record in found.items() if record is not None and record.iteration <= last}
    records |= {record.place: record for record in _moved(recipe, folder, outcome)}
    if not records:
        raise StoreError(_nothing(recipe, store))
    whole = RunState(recipe, folder, tuple(records.values()), (), (), outcome)
    missing = tuple(place for place in _expected(recipe, outcome, whole.is_negative) if place not in records)
    begun = tuple(place for place in missing if partial_folder(folder / place).is_dir())
    return RunState(recipe, folder, whole.records, missing, begun, outcome, _differs(recipe) if is_compared else ())


def _moved(recipe: Recipe, folder: Path, outcome: Outcome) -> Iterator[Record]:
    """Records of steps that come last, where the run ended before the last iteration of the recipe."""
    for step in recipe.chain:
        if STEPS[step.name].last_only and outcome.iterations < len(recipe.iterations):
            record = read_record(folder / f"iter_{outcome.iterations}" / step.name)
            if record is not None:
                yield record


def _expected(recipe: Recipe, outcome: Outcome, is_negative: bool) -> Iterator[str]:
    """Where the steps of a whole run stand, as far as it went."""
    last, ended = outcome.iterations, False
    for iteration, name in order(recipe):
        kind = STEPS[name]
        if kind.skipped(recipe) is not None or (kind.last_only and is_negative):
            continue
        is_cut = ended and not kind.last_only and kind.place == "chain"
        if kind.last_only:
            yield f"iter_{last}/{name}"
        elif not is_cut and iteration <= last:
            yield f"iter_{iteration}/{name}"
        ended = ended or (iteration == last and name == outcome.last_step)


def _nothing(recipe: Recipe, store: Store) -> str:
    folder = store.version_folder(recipe.name, recipe.version)
    other = [version for version in store.versions(recipe.name) if version != recipe.version]
    there = f"; the store has version {', '.join(other)} of it (--set version=...)" if other else ""
    return (
        f"{recipe.name} {recipe.version}: no step of a run in {folder}{there}. Run it first: lidr run RECIPE; or name "
        "another store with LIDR_STORE, or --set runtime.store=FOLDER"
    )


def _differs(recipe: Recipe) -> tuple[str, ...]:
    """What `lidr plan` would call drifted; where a plan cannot be made here, nothing is claimed."""
    try:
        drifted = plan(recipe).in_state("drifted")
    except (LidrError, OSError):
        return ("Whether the recipe has changed since cannot be checked here: what it names is not on this machine.",)
    places = {step.place for step in drifted}
    roots = [step for step in drifted if not places & set(step.inputs.values())]
    return tuple(
        f"{step.place} was made by other settings than the recipe has now: {without_paths('; '.join(step.why))}"
        for step in roots
    )
