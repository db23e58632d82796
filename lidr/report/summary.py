"""The account of a run, from its records alone: where each of the 2 N L slots went, and what each policy became."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Iterable

    from lidr.pipeline import Plan
    from lidr.recipe.schema import Recipe
    from lidr.store.record import Record


@dataclass(frozen=True)
class Column:
    """One iteration and non-dominant language."""

    iteration: int
    language: str


@dataclass(frozen=True)
class AccountRow:
    """One line of the account: its label, and the count of each column."""

    label: str
    counts: tuple[int, ...]


@dataclass(frozen=True)
class PolicyRow:
    """One policy: the numbers of the last optimiser step that made it; None for the first policy."""

    place: str
    digest: str
    pairs: int | None = None
    loss: float | None = None
    dpo: float | None = None
    nll: float | None = None
    margin: float | None = None
    accuracy: float | None = None

    def cells(self) -> tuple[str, ...]:
        """As printed."""
        numbers = (self.loss, self.dpo, self.nll, self.margin, self.accuracy)
        shown = ("-" if number is None else f"{number:.4f}" for number in numbers)
        return self.place, self.digest[:12], "-" if self.pairs is None else f"{self.pairs:,}", *shown


@dataclass(frozen=True)
class Summary:
    """All of it. The rows of `account`, without `requested`, add up to the row `requested` in every column."""

    columns: tuple[Column, ...]
    account: tuple[AccountRow, ...]
    policies: tuple[PolicyRow, ...]
    groups: tuple[tuple[str, ...], ...]

    def as_json(self) -> dict[str, Any]:
        """As plain data."""
        return asdict(self)


def summarise(planned: Plan) -> Summary:
    """Read the records of a finished plan."""
    from lidr.store.artifact import open_artifact

    made = [step for step in planned.steps if step.state != "skipped"]
    return summary_of(planned.recipe, [open_artifact(planned.folder(step)).record for step in made])


def summary_of(recipe: Recipe, records: Iterable[Record]) -> Summary:
    """The account of the records that there are.

    Args:
        recipe: whose run it is.
        records: in the order in which the steps run; of a run that is not finished, those that it has.
    """
    records = list(records)
    policies = [record for record in records if record.writes in ("policy", "initial_policy")]
    columns, account = _account(recipe, records)
    return Summary(columns, account, tuple(_policy(r) for r in policies), tuple(_groups(policies)))


def _account(recipe: Recipe, records: list[Record]) -> tuple[tuple[Column, ...], tuple[AccountRow, ...]]:
    with_pairs = sorted({record.iteration for record in records if record.writes == "pairs"})
    columns = tuple(Column(number, language) for number in with_pairs for language in recipe.languages.others)
    if not columns:
        return (), ()
    requested = tuple(_requested(recipe, records, column) for column in columns)
    lost: dict[str, dict[Column, int]] = {}
    kept: dict[Column, int] = {}
    for record in records:
        if record.writes == "pairs":
            kept |= {c: sum(_count(record, "kept", c)) for c in columns if c.iteration == record.iteration}
        elif record.writes == "policy":
            for c in columns:
                kept[c] = kept.get(c, 0) - sum(_count(record, "dropped", c))
        for what in ("not_requested", "dropped"):
            for row in record.counts.get(what, ()):
                label = f"{what.replace('_', ' ')} ({row['reason']})" if what != "dropped" else row["reason"]
                at = lost.setdefault(f"{record.step}: {label}", {})
                column = Column(record.iteration, row["language"])
                at[column] = at.get(column, 0) + row["count"]
    gone = [AccountRow(label, tuple(at.get(column, 0) for column in columns)) for label, at in lost.items()]
    rest = AccountRow("kept", tuple(kept.get(column, 0) for column in columns))
    label = "slots (2 x prompts)" if recipe.prompts is not None else "rows of the sets"
    return columns, (AccountRow(label, requested), *gone, rest)


def _requested(recipe: Recipe, records: list[Record], column: Column) -> int:
    """How many pairs there could be: two slots a prompt, or what the sets hold that a run starts from."""
    if recipe.prompts is not None:
        sliced = recipe.iterations[column.iteration - 1]
        return 2 * (sliced.stop - sliced.start)
    first = [record for record in records if (record.step, record.iteration) == ("pairs", column.iteration)]
    return sum(sum(_count(r, what, column)) for r in first for what in ("kept", "dropped", "not_requested"))


def _count(record: Record, what: str, column: Column) -> list[int]:
    rows = record.counts.get(what, ()) if record.iteration == column.iteration else ()
    return [row["count"] for row in rows if row["language"] == column.language]


def _policy(record: Record) -> PolicyRow:
    counts = record.counts
    if record.writes == "initial_policy":
        return PolicyRow(record.place, record.digest)
    names = ("pairs", "loss", "dpo", "nll", "margin", "accuracy")
    return PolicyRow(record.place, record.digest, **{name: counts[name] for name in names})


def _groups(policies: list[Record]) -> list[tuple[str, ...]]:
    return [
        (
            record.place,
            group["language"],
            group["kind"],
            f"{group['pairs']:,}",
            f"{group['margin']:+.4f}",
            f"{group['accuracy']:.3f}",
        )
        for record in policies
        for group in record.counts.get("groups", ())
    ]
