"""weigh: pairs of a language and kind whose reward accuracy cannot be told from chance count less, or not at all.

    - measure: {gold: recipes/prompts/word_problems}
    - weigh: {uncertain: skip}

A group (non-dominant language, kind) is certain where the interval of its reward accuracy lies above one half; all its
pairs stay. Of any other group `skip` drops all pairs, and `thin` keeps a share of them, drawn by lot: the same pairs on
every machine. What is dropped stands in the dropped rows, so the account of slots still adds up. It is a step of its
own so that a measurement alone changes nothing that training reads.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, Literal

from lidr.errors import PlanError
from lidr.recipe import Frozen
from lidr.rows import Pair
from lidr.steps.ledger import Ledger
from lidr.steps.measure import Measures, can_referee, deciding_accuracy
from lidr.steps.step_kind import Expected, Outcome, Scale, StepKind, StepRun, Surroundings
from lidr.transforms import by_lot, kept_share

if TYPE_CHECKING:
    import polars as pl

ROWS_PER_BATCH = 10_000
REASON = "uncertain_reward"


class WeighConfig(Frozen):
    """What becomes of groups whose reward accuracy is not certain."""

    uncertain: Literal["skip", "thin"]
    """skip: none of their pairs is trained on; thin: of reward accuracy a, the share 2a - 1 of them, drawn by a hash of
    their ids: as much as their right pairs outnumber the wrong ones."""


def run_weigh(run: StepRun) -> Outcome:
    """Pass on the pairs that count, and account for the others."""
    import polars as pl

    pairs = run.inputs[Pair.name]
    run.progress.start(pairs.rows, "pairs")
    shares = shares_of(run)
    keys = pl.DataFrame(pairs.read().select(["pair_id", "language", "other_language", "kind"]))
    kept_ids = _kept(keys.with_columns(at=_at()), shares, run.recipe.seed)
    ledger = Ledger(run, (REASON,))
    run.out.start_tables()
    for batch in pairs.batches(ROWS_PER_BATCH):
        frame = pl.DataFrame(batch)
        is_kept = pl.col("pair_id").is_in(list(kept_ids))
        kept = frame.filter(is_kept)
        run.out.data.write(kept.to_arrow(compat_level=pl.CompatLevel.oldest()))
        dropped = frame.filter(~is_kept).with_columns(reason=pl.lit(REASON), at=_at())
        details = {key: _detail(one) for key, one in shares.items()}
        ledger.drop(_with_details(dropped, details), step="weigh")
        ledger.keep(kept)
        run.progress.add(frame.height)
    groups = [{"language": language, "kind": kind, **one} for (language, kind), one in shares.items()]
    return Outcome({**ledger.counts(), "groups": groups}, run.progress.rate())


def shares_of(run: StepRun) -> dict[tuple[str, str], dict[str, Any]]:
    """(non-dominant language, kind) -> the share of its pairs that is kept, and why."""
    config: WeighConfig = run.config
    found = {}
    for one in deciding_accuracy(run.inputs[Measures.name].record.counts["reward_accuracy"]):
        accuracy = one["accuracy"]
        weight = 1.0 if one["is_certain"] else 0.0 if config.uncertain == "skip" else kept_share(accuracy["value"])
        found[one["language"], one["kind"]] = {"share": weight, "referee": one["referee"], "ties": one["ties"],
                                               **accuracy}  # fmt: skip
    return found


def _at() -> pl.Expr:
    """The pair's non-dominant language."""
    import polars as pl

    return pl.when(pl.col("kind") == "dominant").then("other_language").otherwise("language")


def _kept(keys: pl.DataFrame, shares: Mapping[tuple[str, str], dict[str, Any]], seed: int) -> set[str]:
    """Ids of the pairs that stay; a group that was not measured is not certain."""
    kept: set[str] = set()
    for (language, kind), group in keys.group_by("at", "kind"):
        weight = shares.get((str(language), str(kind)), {"share": 0.0})["share"]
        kept |= by_lot(group["pair_id"].to_list(), round(weight * group.height), seed)
    return kept


def _detail(one: Mapping[str, Any]) -> str:
    if one["value"] is None:
        return f"by {one['referee']} every pair is a tie; none is kept"
    return (
        f"reward accuracy by {one['referee']} {one['value']:.3f} [{one['low']:.3f}, {one['high']:.3f}] of {one['n']:,} "
        f"is not above 0.5; {one['share']:.0%} are kept"
    )


def _with_details(dropped: pl.DataFrame, details: Mapping[tuple[str, str], str]) -> pl.DataFrame:
    import polars as pl

    known = pl.DataFrame(
        [{"at": language, "kind": kind, "detail": text} for (language, kind), text in details.items()],
        schema={"at": pl.String, "kind": pl.String, "detail": pl.String},
    )
    joined = dropped.join(known, on=["at", "kind"], how="left", maintain_order="left")
    return joined.with_columns(pl.col("detail").fill_null("its reward accuracy was not measured"))


def outside_weigh(around: Surroundings, config: WeighConfig) -> dict[str, Any]:
    """Nothing; but without a referee every group would be uncertain, so that is refused here.

    Raises:
        PlanError: `measure` has neither a judge nor gold answers.
    """
    measures = [step.config for step in around.recipe.chain if step.name == "measure"]
    if measures and not can_referee(measures[0]):
        raise PlanError("weigh needs reward accuracy: give measure a judge, or gold answers")
    return {}


def expect_weigh(config: WeighConfig, scale: Scale) -> Expected:
    """At most every pair."""
    return Expected(scale.pairs, "pairs")


STEP = StepKind(
    name="weigh",
    config=WeighConfig,
    reads=(Pair, Measures),
    writes=Pair,
    run=run_weigh,
    expects=expect_weigh,
    uses=("languages", "seed"),
    outside=outside_weigh,
)
