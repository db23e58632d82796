"""The account of a run, from its records alone: where each of the 2 N L slots went, and what each policy became."""

from __future__ import annotations

from collections import Counter
from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Any

from lidr.report.record_reading import of_records

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from lidr.pipeline import Plan
    from lidr.recipe import Recipe
    from lidr.store import Record

TRAINED = "loss, dpo, nll, margin and accuracy are measured during training, on its last batch alone"
"""What the numbers of a policy are."""

OUTSIDE = "others"
"""The language of a column of rows in languages that the recipe does not have."""

_LOST = ("not_requested", "dropped")
"""Where a record counts what is no pair."""


@dataclass(frozen=True)
class Column:
    """One iteration and non-dominant language; the dominant one for rows of others that have no other."""

    iteration: int
    language: str


@dataclass(frozen=True)
class AccountRow:
    """One line of the account: its label, and the count of each column."""

    label: str
    counts: tuple[int, ...]

    @property
    def is_left_out(self) -> bool:
        """Whether the recipe does not ask for these slots."""
        return ": not requested" in self.label


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

    @property
    def gone(self) -> tuple[AccountRow, ...]:
        """Where slots went that the recipe asks for, and that are no pairs."""
        return tuple(row for row in self.account[1:-1] if any(row.counts) and not row.is_left_out)

    @property
    def kept_said(self) -> str:
        """How many pairs are kept, of the slots that the recipe asks for."""
        left_out = sum(sum(row.counts) for row in self.account if row.is_left_out)
        kept, slots = sum(self.account[-1].counts), sum(self.account[0].counts) - left_out
        share = f" ({kept / slots:.0%})" if slots else ""
        return f"{kept:,} of {slots:,} {self.account[0].label.partition(' (')[0]} asked for{share}"


@of_records
def summarise(planned: Plan) -> Summary:
    """Read the records of a finished plan."""
    from lidr.store import open_artifact

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


def prompts_lost(recipe: Recipe, records: Iterable[Record]) -> tuple[str, ...]:
    """A sentence for each iteration that lost prompts and has no pairs yet, of which an account would tell them."""
    records = list(records)
    has_pairs = {record.iteration for record in records if record.writes == "pairs"}
    found = []
    for record in records:
        if record.writes != "prompts" or record.iteration in has_pairs:
            continue
        sliced, slots = recipe.iterations[record.iteration - 1], 2 * len(recipe.languages.others)
        slots = len(recipe.languages.all) if recipe.are_pairs_sampled else slots
        gone: Counter[str] = Counter()
        for row in record.counts["dropped"]:
            gone[row["reason"]] += row["count"]
        if +gone:
            total, shown = sliced.stop - sliced.start, (f"{why} {n // slots:,}" for why, n in (+gone).most_common())
            ways = _failed(recipe, [one for one in records if one.iteration == record.iteration])
            kept = f"{record.place}: {record.counts['prompts']:,} of {total:,} prompts are kept"
            found.append(f"{kept}; gone: {', '.join(shown)}{ways}")
    return tuple(found)


def _failed(recipe: Recipe, records: Iterable[Record]) -> str:
    """Which translations of prompts do not count, in brackets."""
    accept = recipe.parallel.accept if recipe.parallel is not None else ()
    ways = (record.counts["directions"] for record in records if record.writes == "prompt_translations")
    shown = [
        f"{way} {status} {count:,}"
        for found in ways
        for way, statuses in found.items()
        for status, count in statuses.items()
        if count and status not in accept
    ]
    return f" ({', '.join(shown)})" if shown else ""


def shown_groups(recipe: Recipe, summary: Summary) -> tuple[tuple[str, ...], ...]:
    """The rows of `groups` as they are shown: a set of others has no kinds, and what one says of its rows is their
    language.
    """
    if recipe.prompts is not None:
        return summary.groups
    said = {"dominant": "in the dominant language", "non_dominant": "in another language"}
    return tuple((place, language, said.get(kind, kind), *rest) for place, language, kind, *rest in summary.groups)


def _account(recipe: Recipe, records: list[Record]) -> tuple[tuple[Column, ...], tuple[AccountRow, ...]]:
    columns = _columns(recipe, records)
    if not columns:
        return (), ()
    kept: Counter[Column] = Counter()
    lost: dict[str, Counter[Column]] = {}
    for record in records:
        if record.writes == "pairs":
            for column in [column for column in kept if column.iteration == record.iteration]:
                del kept[column]
            kept.update(_counted(recipe, record, "kept"))
        elif record.writes == "policy":
            kept.subtract(_counted(recipe, record, "dropped"))
        for what in _LOST:
            for row in record.counts.get(what, ()):
                label = f"{what.replace('_', ' ')} ({row['reason']})" if what != "dropped" else row["reason"]
                lost.setdefault(f"{record.step}: {label}", Counter())[_column(recipe, record, row)] += row["count"]
    requested = tuple(_requested(recipe, records, column) for column in columns)
    gone = [AccountRow(label, tuple(at[column] for column in columns)) for label, at in lost.items()]
    rest = AccountRow("kept", tuple(kept[column] for column in columns))
    slots = "slots (prompts)" if recipe.are_pairs_sampled else "slots (2 x prompts)"
    label = slots if recipe.prompts is not None else "rows of the sets"
    return columns, (AccountRow(label, requested), *gone, rest)


def _columns(recipe: Recipe, records: list[Record]) -> tuple[Column, ...]:
    """The recipe's languages in its order, the dominant one where rows have no other; then what is outside it."""
    seen: dict[int, set[str]] = {record.iteration: set() for record in records if record.writes == "pairs"}
    for record in (record for record in records if record.iteration in seen):
        for what in ("kept", *_LOST):
            counted = _counted(recipe, record, what)
            seen[record.iteration] |= {column.language for column, count in counted.items() if count}
    always = recipe.languages.all if recipe.are_pairs_sampled else recipe.languages.others
    return tuple(
        Column(number, language)
        for number, there in sorted(seen.items())
        for language in (*recipe.languages.all, OUTSIDE)
        if language in always or language in there
    )


def _column(recipe: Recipe, record: Record, row: Mapping[str, Any]) -> Column:
    """Where a row of a record's counts is counted; languages outside the recipe, of which a set may have any number,
    share a column.
    """
    is_ours = row["language"] in recipe.languages.all
    return Column(record.iteration, row["language"] if is_ours else OUTSIDE)


def _counted(recipe: Recipe, record: Record, what: str) -> Counter[Column]:
    found: Counter[Column] = Counter()
    for row in record.counts.get(what, ()):
        found[_column(recipe, record, row)] += row["count"]
    return found


def _requested(recipe: Recipe, records: list[Record], column: Column) -> int:
    """How many pairs there could be: two slots a prompt, or one of pairs of two answers, or what the sets hold that a
    run starts from.
    """
    if recipe.prompts is not None:
        sliced = recipe.iterations[column.iteration - 1]
        return (1 if recipe.are_pairs_sampled else 2) * (sliced.stop - sliced.start)
    first = [record for record in records if (record.step, record.iteration) == ("pairs", column.iteration)]
    return sum(_counted(recipe, record, what)[column] for record in first for what in ("kept", *_LOST))


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
