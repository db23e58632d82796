"""The settings of `pairs`: one set of pairs, or a mixture of several, and which rows of each."""

from __future__ import annotations

from pydantic import Field, model_validator

from lidr.recipe import Columns, Frozen, LanguageCode, ReferenceText
from lidr.references import FolderReference, HubReference, RunReference, parse_reference
from lidr.rows import Kind


class PairSet(Frozen):
    """One set of pairs, and which of them."""

    dataset: ReferenceText | None = None
    """org/name on the Hub, ./folder or file, or run:NAME[@VERSION][/iter_K/STEP]. Files are .parquet, .jsonl, .json,
    .csv or .tsv; the text files may be packed, .csv.gz."""
    revision: str | None = None
    """Of a Hub data set: a tag, a branch, or a 40-hex commit."""
    config: str | None = None
    """Configuration; null: the data set's default."""
    split: str | None = None
    """One split; null: every iteration of a set that lidr made, or the only split."""
    columns: Columns | None = None
    """For a set that lidr did not make; null: prompt (if there is one), chosen, rejected, and of language, kind,
    iteration, scores and margin what stands under these names and is valid. A map that names
    weight alone changes nothing else, whoever made the set."""
    language: LanguageCode | None = None
    """Language of every row, where no column says it; null: the dominant one."""
    languages: tuple[LanguageCode, ...] = ()
    """Only pairs of these non-dominant languages; empty: all of the recipe's."""
    kinds: tuple[Kind, ...] = ()
    """Only pairs of these kinds, dominant, non_dominant or sampled; empty: all."""
    iterations: tuple[int, ...] = ()
    """Only pairs of these iterations; empty: all."""
    min_margin: float | None = None
    """Only pairs with at least this margin, in the unit of the set."""
    weight: float | None = Field(None, gt=0)
    """Its share of the mixture, relative to the weights of the other sets: with 3 and 1, three pairs of the first for
    one of the second. Where others have one, null is 1. No pair is repeated: the set that is smallest for its weight
    gives all that it has, and each other as many pairs as keep the shares; if no set has one, all give all. How much a
    single pair counts in training is another thing, and stands in its column: columns.weight."""
    cap: int | None = Field(None, ge=1)
    """Most rows that are taken of it."""
    license: str | None = None
    """Where its card says none: a Hub identifier, as cc-by-4.0. It flows into every card."""

    @model_validator(mode="after")
    def _is_of_pairs(self) -> PairSet:
        reference = parse_reference(self.dataset) if self.dataset is not None else None
        if reference is not None and not isinstance(reference, HubReference | FolderReference | RunReference):
            raise ValueError(f"{self.dataset} names a model; pairs are org/name, ./folder, or run:NAME")
        if self.revision and not (isinstance(reference, HubReference) and reference.revision is None):
            raise ValueError("revision belongs to a Hub data set written as org/name; take one of the two out")
        return self

    @property
    def hub(self) -> HubReference | None:
        """The Hub data set, named as the lock names it; None for any other place."""
        reference = parse_reference(self.dataset or ".")
        if not isinstance(reference, HubReference):
            return None
        return HubReference(f"datasets/{reference.repo}", self.revision or reference.revision)


class PairsConfig(PairSet):
    """One set, or a mixture."""

    sets: tuple[PairSet, ...] = ()
    """The sets of a mixture, in place of one set's settings. In it each id has the name of its set before it, so that
    equal ids of two sets stay two."""
    seed: int | None = Field(None, ge=0, lt=2**32)
    """Which rows are taken under weights and caps; null: the recipe's seed."""

    @model_validator(mode="after")
    def _one_way(self) -> PairsConfig:
        alone = self.model_fields_set - {"sets", "seed"}
        if not self.sets and self.dataset is None:
            raise ValueError("name the pairs: dataset, or sets for a mixture")
        if self.sets and alone:
            raise ValueError(
                f"{sorted(alone)[0]} belongs to one set; write it into the entry of `sets` that it is about"
            )
        if any(one.dataset is None for one in self.sets):
            raise ValueError("each entry of sets names its dataset")
        places = [(one.dataset, one.config, one.split) for one in self.all_sets]
        if len(set(places)) < len(places):
            raise ValueError("a set stands twice; merge its entries, or give each another config or split")
        repos = {one.hub.repo: set[str | None]() for one in self.all_sets if one.hub}
        for one in self.all_sets:
            if one.hub:
                repos[one.hub.repo].add(one.hub.revision)
        if twice := [repo for repo, revisions in repos.items() if len(revisions) > 1]:
            raise ValueError(
                f"{twice[0]} stands here at two revisions; a lock holds one: publish them as two data sets"
            )
        return self

    @property
    def all_sets(self) -> tuple[PairSet, ...]:
        """Every set, in order."""
        return self.sets or (PairSet(**{name: getattr(self, name) for name in PairSet.model_fields}),)

    @property
    def datasets(self) -> tuple[HubReference, ...]:
        """The Hub data sets, for the lock."""
        return tuple(dict.fromkeys(one.hub for one in self.all_sets if one.hub))
