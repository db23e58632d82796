"""A mixture of sets of pairs: which rows of each are usable, which of them are taken, what becomes of the rest."""

from __future__ import annotations

import zlib
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import polars as pl

from lidr.errors import RowError
from lidr.preferences import PairQuery, PairSource, census, language_tags, readings
from lidr.rows import WEIGHT, Pair
from lidr.steps.ledger import Ledger
from lidr.steps.pairs.pair_weights import mapped_of
from lidr.steps.pairs.pairs_config import PairsConfig, PairSet
from lidr.steps.step_kind import StepRun
from lidr.transforms import mix

ROWS_PER_BATCH = 4_000
_TOLD_BY = ("language", "other_language", "kind")
UNWANTED, OVER_CAP, OVER_WEIGHT = "pairs: not wanted", "pairs: cap", "pairs: weight"


@dataclass
class OpenedSet:
    """A set with its files, its name within the mixture, how many of its usable rows are taken (None: all), what it
    writes for the recipe's languages where that is not their code, and its column of pair weights (None: it has none).
    """

    config: PairSet
    source: PairSource
    name: str
    rows: int = 0
    usable: int = 0
    taken: int | None = None
    why: str = ""
    tags: dict[str, str] = field(default_factory=dict)
    pair_weights: str | None = None


def with_names(sets: Sequence[OpenedSet]) -> Sequence[OpenedSet]:
    """Give each a name that no other has."""
    names = [one.source.name for one in sets]
    for one in sets:
        parts = [p for p in (one.config.config, one.config.split) if p]
        one.name = one.source.name + (f"[{'/'.join(parts)}]" if names.count(one.source.name) > 1 and parts else "")
    for number, one in enumerate(sets):
        if any(other.name == one.name for other in sets[:number]):
            one.name = f"{one.name}#{number + 1}"
    return sets


def share_out(run: StepRun, sets: Sequence[OpenedSet]) -> None:
    """Count what is usable of each set, then how much of it is taken."""
    for one in sets:
        one.usable = sum(len(batch.kept) for batch in _batches(run, one))
        one.taken, one.why = min(one.usable, one.config.cap or one.usable), OVER_CAP
    if any(one.config.weight for one in sets):
        weights = [one.config.weight or 1.0 for one in sets]
        most = min((one.taken or 0) / weight for one, weight in zip(sets, weights, strict=True))
        for one, weight in zip(sets, weights, strict=True):
            wanted = int(most * weight + 1e-9)
            if one.taken is not None and wanted < one.taken:
                one.taken, one.why = wanted, OVER_WEIGHT


def take_rows(run: StepRun, one: OpenedSet, ledger: Ledger, *, is_alone: bool, are_weighted: bool) -> None:
    """Write what is taken of one set, and account for its other rows.

    Args:
        run: of the step.
        one: the set.
        ledger: of all sets.
        is_alone: whether it is the only one, so that its rows keep their ids.
        are_weighted: whether any set has weights; then the pairs of one without them count 1.
    """
    lots = None if one.taken is None else _lots(run, one)
    one.rows = one.usable = 0
    one.tags = language_tags(one.source, mapped_of(run.around, one.config))
    ids = list[pl.Series]()
    for batch in _batches(run, one):
        ids.append(_hashed_ids(batch.kept))
        one.rows += len(batch.kept) + len(batch.dropped) + len(batch.unwanted)
        kept, first = batch.kept, one.usable
        one.usable += len(kept)
        if lots is not None:
            is_taken = pl.Series(lots[first : one.usable])
            ledger.not_requested(kept.filter(~is_taken).with_columns(reason=pl.lit(one.why)))
            kept = kept.filter(is_taken)
        kept = _as_ours(kept, run.iteration, None if is_alone else one.name)
        if are_weighted and one.pair_weights is None:
            kept = kept.with_columns(pl.lit(1.0).alias(WEIGHT))
        run.out.data.write(kept.to_arrow(compat_level=pl.CompatLevel.oldest()))
        ledger.keep(kept)
        ledger.drop(batch.dropped.with_columns(pl.col(_TOLD_BY).fill_null("")), step="pairs")
        ledger.not_requested(batch.unwanted.with_columns(reason=pl.lit(UNWANTED)))
        run.progress.add(len(batch.kept) + len(batch.dropped) + len(batch.unwanted))
    if ids and (twice := pl.concat(ids).is_duplicated()).any():
        _refuse_twice(run, one, twice)
    if lots is None:
        one.taken = one.usable


def _hashed_ids(pairs: pl.DataFrame) -> pl.Series:
    """Eight bytes for each pair's id; the iterations of a run may have the same ids."""
    return pairs.select(pl.struct("iteration", "pair_id").hash()).to_series()


def _refuse_twice(run: StepRun, one: OpenedSet, twice: pl.Series) -> None:
    """Refuse an id that two pairs of a set have: whatever names a pair by its id would take them for one.

    Args:
        run: of the step.
        one: the set.
        twice: for each usable row whether its id, by its hash, is that of another.
    """
    seen: dict[tuple[int, str], int] = {}
    first = 0
    for batch in _batches(run, one):
        marked = batch.kept.with_row_index("at", first).filter(twice[first : first + len(batch.kept)])
        first += len(batch.kept)
        for at, iteration, pair_id in marked.select("at", "iteration", "pair_id").iter_rows():
            before = seen.setdefault((iteration, pair_id), at)
            if before != at:
                raise RowError(
                    f"pairs: {one.source.name}: pair_id {pair_id!r} is that of its pairs {before + 1:,} and {at + 1:,} "
                    "(of those that are usable, in order): each pair needs an id of its own. Where two sets were "
                    "put together in it, name them as two entries of `sets`, or take the column pair_id out"
                )


def _lots(run: StepRun, one: OpenedSet) -> np.ndarray[Any, Any]:
    """For each usable row, whether it is taken: those with the smallest hashes."""
    config: PairsConfig = run.config
    seed = run.recipe.seed if config.seed is None else config.seed
    start = np.uint64((seed << 32) | zlib.crc32(one.name.encode()))
    lots = mix(np.arange(one.usable, dtype=np.uint64) ^ mix(np.array([start]))[0])
    taken = np.zeros(one.usable, bool)
    taken[np.argsort(lots, kind="stable")[: one.taken]] = True
    return taken


def _as_ours(pairs: pl.DataFrame, iteration: int, prefix: str | None) -> pl.DataFrame:
    """Pairs as rows of this run: its iteration, and ids that no other set has."""
    named = pairs.with_columns(iteration=pl.lit(iteration, pl.Int32))
    if prefix is None:
        return named
    return named.with_columns(pl.format("{}/{}", pl.lit(prefix), name).alias(name) for name in ("pair_id", "prompt_id"))


@dataclass(frozen=True)
class _Batch:
    kept: pl.DataFrame
    dropped: pl.DataFrame
    unwanted: pl.DataFrame


def _batches(run: StepRun, one: OpenedSet) -> Iterator[_Batch]:
    """A set's rows in order, sorted into usable pairs, dropped rows, and pairs that the recipe does not ask for."""
    config = one.config
    wanted = PairQuery(config.languages, config.kinds, config.iterations, config.min_margin)
    mapped = mapped_of(run.around, config)
    if wanted.columns:
        census(one.source, wanted, mapped)
    codes = run.recipe.languages.all
    columns = [*Pair.schema.names, *([] if one.pair_weights is None else [WEIGHT])]
    for batch, dropped in readings(one.source, ROWS_PER_BATCH, columns, mapped):
        asked = pl.Series(wanted.mask(batch))
        frame = pl.DataFrame(batch)
        known = (frame["language"].is_in(codes) & frame["other_language"].is_in(codes)).fill_null(False)
        other = frame.filter(asked & ~known).with_columns(reason=pl.lit("other_language"))
        lost = [_slots(other), *([] if dropped is None else [_slots(dropped)])]
        yield _Batch(frame.filter(asked & known), pl.concat(lost), frame.filter(~asked))


def _slots(frame: pl.DataFrame) -> pl.DataFrame:
    """Dropped rows with the columns of the ledger; the detail names the pair by its set."""
    names = ("prompt_id", "language", "other_language", "kind", "reason")
    return frame.select(*(pl.col(c).cast(pl.String) for c in names), detail="pair_id")


def set_facts(one: OpenedSet, *, are_weighted: bool) -> dict[str, Any]:
    """What the record says of a set; of pair weights only where any set of the mixture has them."""
    parent = one.source.parents[0]
    is_set = parent.role == "pairs"
    return {
        "name": one.source.name,
        "revision": one.source.revision or one.source.digest,
        "config": one.source.config,
        "splits": list(one.source.splits),
        "license": parent.licence if is_set else one.source.licence.identifier,
        "link": parent.link if is_set else None,
        **({"license_link": parent.licence_link} if is_set and parent.licence_link else {}),
        "rows": one.rows,
        "usable": one.usable,
        "taken": one.taken,
        "weight": one.config.weight,
        "cap": one.config.cap,
        **({"language_tags": one.tags} if one.tags else {}),
        **({"pair_weights": one.pair_weights} if are_weighted else {}),
    }
