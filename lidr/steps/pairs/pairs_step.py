"""pairs: a run that starts from pushed pairs instead of making them: one set, or a mixture of several.

    - pairs: {dataset: org/x-prefs, revision: v1.0.0}
    - pairs:
        sets:
          - {dataset: org/x-prefs, revision: v1.0.0, languages: [de], weight: 3}
          - {dataset: org/others, revision: main, split: train_prefs, language: en, weight: 1, cap: 5000,
             columns: {prompt: question, chosen: good, rejected: bad}}

A tag is resolved to a commit once, by `lidr lock`. The mixture is the sets one after the other, each in its order. With
weights, sets stand in these proportions, the largest such mixture that needs no row twice; a cap is the most rows of a
set. Which rows are taken is drawn by a hash of seed, set and row number: the same on every machine.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from lidr import preferences
from lidr.errors import RowError
from lidr.rows import Pair
from lidr.steps.ledger import Ledger
from lidr.steps.pairs.pairs_config import PairsConfig, PairSet
from lidr.steps.step_kind import Expected, Outcome, Scale, StepKind, StepRun, Surroundings

if TYPE_CHECKING:
    from lidr.preferences import PairSource


def run_pairs(run: StepRun) -> Outcome:
    """Read the sets one after the other, take what the recipe wants, account for every row."""
    from lidr.steps.pairs.mixture import OpenedSet, set_facts, share_out, take_rows, with_names

    config: PairsConfig = run.config
    sets = with_names([OpenedSet(one, open_set(run.around, one), "") for one in config.all_sets])
    for hub in config.datasets:
        run.around.keep_content(hub.repo, run.around.commit_of(hub))
    if any(one.weight or one.cap for one in config.all_sets):
        share_out(run, sets)
    run.progress.start(0, "pairs")
    ledger = Ledger(run, preferences.REASONS)
    run.out.start_tables()
    for one in sets:
        take_rows(run, one, ledger, is_alone=len(sets) == 1)
    if not run.out.data.rows:
        reasons = (
            ", ".join(sorted({row["reason"] for row in ledger.counts()["dropped"] if row["count"]})) or "none wanted"
        )
        raise RowError(f"pairs: no row of {', '.join(one.name for one in sets)} can be used ({reasons})")
    return Outcome({**ledger.counts(), "sets": [set_facts(one) for one in sets]}, run.progress.rate())


def open_set(around: Surroundings, one: PairSet) -> PairSource:
    """Find a set at the commit of the lock.

    Raises:
        Unresolved: a Hub data set that is not locked.
        HubError: it is not there, or holds another content than was locked.
    """
    commit, digest = None, None
    if (hub := one.hub) is not None:
        commit = around.commit_of(hub)
        digest = around.digest_of(hub.repo, commit)
    return preferences.open_pairs(
        one.dataset or "",
        config=one.config,
        split=one.split,
        store=around.store_root,
        base=around.recipe_folder,
        commit=commit,
        digest=digest,
        licence=one.license,
    )


def identity_pairs(config: PairsConfig) -> dict[str, Any]:
    """What is taken of which set; the sets count by content (see outside_pairs), and where they stand does not."""
    content = {"dataset", "revision"}
    return {"sets": [one.model_dump(mode="json", exclude=content) for one in config.all_sets], "seed": config.seed}


def outside_pairs(around: Surroundings, config: PairsConfig) -> dict[str, Any]:
    """The sets are identity by commit, by their run's digest, or by the content of their files."""
    return {"sets": [_identity(around, one) for one in config.all_sets]}


def _identity(around: Surroundings, one: PairSet) -> dict[str, Any]:
    if (hub := one.hub) is not None:
        return {"dataset": hub.repo, "commit": around.commit_of(hub)}
    source = open_set(around, one)
    return {"dataset": source.name, "digest": source.revision or source.digest}


def expect_pairs(config: PairsConfig, scale: Scale) -> Expected:
    """As many as there are."""
    capped: Sequence[int | None] = [one.cap for one in config.all_sets]
    known = sum(cap for cap in capped if cap)
    return Expected(known if all(capped) else 0, "pairs", note="all that the sets hold" if not all(capped) else "")


STEP = StepKind(
    name="pairs",
    config=PairsConfig,
    reads=(),
    writes=Pair,
    run=run_pairs,
    expects=expect_pairs,
    uses=("languages", "seed", "iteration.number"),
    outside=outside_pairs,
    identity=identity_pairs,
    version=2,  # 2: languages in any case, as names and as tags are read; what says none is refused
)
