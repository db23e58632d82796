"""clean: pairs that repeat others, exactly or nearly, and pairs that hold benchmark questions go to the dropped rows.

    - clean: {exact: true, near: {threshold: 0.8}, decontaminate: {against: [mgsm, x_alpacaeval, ./my_test_set]}}

    reason            a pair is dropped when
    contaminated      its prompt, chosen or rejected holds a benchmark question: lidr/transforms/contamination.py
    exact_duplicate   prompt, chosen and rejected are all those of an earlier pair that stays
    near_duplicate    its texts are nearly those of an earlier pair of its language: lidr/transforms/minhash.py

Two passes over the rows: memory holds some 200 bytes a pair, signatures lie in a file.
"""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from pydantic import Field, model_validator

from lidr.recipe import Frozen
from lidr.references import HubReference, parse_reference
from lidr.rows import Pair
from lidr.steps.ledger import Ledger
from lidr.steps.step_kind import Expected, Outcome, Scale, StepKind, StepRun, Surroundings

if TYPE_CHECKING:
    from pathlib import Path

    import numpy as np
    import polars as pl

    from lidr.transforms import Contamination

ROWS_PER_BATCH = 1_000
REASONS = ("contaminated", "exact_duplicate", "near_duplicate")


class Near(Frozen):
    """Nearly the same texts, by MinHash."""

    threshold: float = Field(0.8, gt=0.3, le=1)
    """Smallest Jaccard similarity of the n-grams of prompt, chosen and rejected together."""
    ngram: int = Field(5, ge=1)
    """Tokens in an n-gram: words, or characters where a script has no spaces."""


class Decontaminate(Frozen):
    """Texts that hold questions of a benchmark."""

    against: tuple[str, ...] = Field(min_length=1)
    """mgsm, x_alpacaeval, or any set: a folder or file of JSON lines or Parquet, or org/name[@REVISION] on the Hub."""
    ngram: int = Field(13, ge=3)
    """So many words in a row are the same."""
    characters: int = Field(26, ge=6)
    """So many characters in a row, in scripts without spaces."""

    @model_validator(mode="after")
    def _known(self) -> Decontaminate:
        from lidr.steps.clean.benchmark_questions import BENCHMARKS

        for name in self.against:
            if name in BENCHMARKS:
                continue
            try:
                parse_reference(name)
            except ValueError:
                raise ValueError(
                    f'against "{name}": write {", ".join(BENCHMARKS)}, a folder or file as ./name, or org/name@REVISION'
                ) from None
        return self


class CleanConfig(Frozen):
    """What is taken out; each is off until named."""

    exact: bool = False
    """Drop a pair whose three texts all repeat an earlier pair's."""
    near: Near | None = None
    decontaminate: Decontaminate | None = None

    @model_validator(mode="after")
    def _does_something(self) -> CleanConfig:
        if not (self.exact or self.near or self.decontaminate):
            raise ValueError("name what to take out: exact, near or decontaminate, or take `clean` out")
        return self

    @property
    def datasets(self) -> tuple[HubReference, ...]:
        """The Hub data sets that are looked for in the pairs, for the lock."""
        from lidr.steps.clean.benchmark_questions import hub_of

        against = self.decontaminate.against if self.decontaminate else ()
        return tuple(dict.fromkeys(hub for hub in map(hub_of, against) if hub is not None))


def run_clean(run: StepRun) -> Outcome:
    """Look at every pair, decide, then pass on those that stay."""
    import polars as pl

    from lidr.transforms import report

    pairs = run.inputs[Pair.name]
    run.progress.start(2 * pairs.rows, "pairs")
    looker = _looker(run)
    seen = _Seen(pairs.rows, run.config, run.work)
    for batch in pairs.batches(ROWS_PER_BATCH, _READ):
        seen.look(pl.DataFrame(batch), looker)
        run.progress.add(batch.num_rows)
    repeats, near = seen.repeats()
    ledger, row, names = Ledger(run, REASONS), 0, dict.fromkeys(int(r) for r in repeats if r >= 0)
    run.out.start_tables()
    for batch in pairs.batches(ROWS_PER_BATCH):
        frame = pl.DataFrame(batch)
        reason, detail = [], []
        for number, name in enumerate(frame["pair_id"].to_list(), row):
            names |= {number: name} if number in names else {}
            first = None if repeats[number] < 0 else int(repeats[number])
            held = seen.held.get(number)
            reason.append("contaminated" if held else None if first is None else REASONS[1 + bool(near[number])])
            detail.append(held or (None if first is None else f"as {names[first]}{seen.alike(first, number)}"))
        decided = frame.with_columns(
            reason=pl.Series(reason, dtype=pl.String), detail=pl.Series(detail, dtype=pl.String)
        )
        stays = pl.col("reason").is_null()
        kept = decided.filter(stays).drop("reason", "detail")
        run.out.data.write(kept.to_arrow(compat_level=pl.CompatLevel.oldest()))
        ledger.keep(kept)
        ledger.drop(decided.filter(~stays), step="clean")
        row += frame.height
        run.progress.add(frame.height)
    against = {} if looker is None else {"against": report(seen.hits, looker.questions)}
    return Outcome({**ledger.counts(), **against}, run.progress.rate())


_READ = ("prompt_id", "language", "other_language", "kind", "prompt_text", "chosen_text", "rejected_text")
_SIDES = ("prompt", "chosen", "rejected")


@dataclass
class _Seen:
    """What is remembered of every pair: a few numbers, its signature in a file, and the question that it holds."""

    rows: int
    config: CleanConfig
    work: Path
    held: dict[int, str] = field(default_factory=dict)
    hits: Counter[str] = field(default_factory=Counter)
    at: int = 0

    def __post_init__(self) -> None:
        """Make room."""
        import numpy as np

        from lidr.transforms import PERMUTATIONS

        self.work.mkdir(parents=True, exist_ok=True)
        self.facts = {name: np.zeros(self.rows, np.uint64) for name in ("text", "group", "prompt", "slot")}
        self.signed: np.ndarray[Any, Any] | None = None
        if self.config.near and self.rows:
            shape = (self.rows, PERMUTATIONS)
            self.signed = np.memmap(self.work / "signatures", np.uint32, "w+", shape=shape)

    def look(self, frame: pl.DataFrame, looker: Contamination | None) -> None:
        """Take in the next pairs."""
        import polars as pl

        from lidr.transforms import normal, shingles, signatures, whole

        here = slice(self.at, self.at + frame.height)
        texts = [frame[f"{side}_text"] for side in _SIDES]
        if self.config.near or looker:
            texts_as_words = [normal(text) for text in texts]
        if looker:
            self._hold(texts_as_words, looker)
        if self.signed is not None and self.config.near:
            together = pl.select(pl.concat_str(texts_as_words, separator=" ")).to_series()
            self.signed[here] = signatures(shingles(together, self.config.near.ngram))
        one = whole(pl.select(pl.concat_str([text.fill_null("") for text in texts], separator="\0")).to_series())
        self.facts["text"][here] = one
        self.facts["group"][here] = whole(frame["language"])
        self.facts["prompt"][here] = whole(frame["prompt_id"])
        self.facts["slot"][here] = whole(frame.select(pl.format("{} {}", "other_language", "kind")).to_series())
        self.at += frame.height

    def _hold(self, texts: list[pl.Series], looker: Contamination) -> None:
        for side, text in zip(_SIDES, texts, strict=True):
            for row, label in enumerate(looker(text, is_normal=True), self.at):
                if label is not None and row not in self.held:
                    self.held[row] = f"{side} holds {label}"
                    self.hits[label] += 1

    def repeats(self) -> tuple[np.ndarray[Any, Any], np.ndarray[Any, Any]]:
        """For each pair the earlier one that it repeats, else -1; and whether only nearly.

        What is contaminated is no pair that another could repeat.
        """
        import numpy as np

        from lidr.transforms import near_duplicates

        stays = np.ones(self.rows, bool)
        stays[list(self.held)] = False
        repeats = np.full(self.rows, -1, np.int64)
        rows = np.flatnonzero(stays)
        if self.config.exact:
            _, first, which = np.unique(self.facts["text"][rows], return_index=True, return_inverse=True)
            is_again = first[which] != np.arange(len(rows))
            repeats[rows[is_again]] = rows[first[which]][is_again]
            rows = rows[~is_again]
        near = np.zeros(self.rows, bool)
        if self.signed is not None and self.config.near:
            signed = self._signed_of(rows)
            facts = {name: values[rows] for name, values in self.facts.items()}
            found = near_duplicates(signed, groups=facts["group"], prompts=facts["prompt"], slots=facts["slot"],
                                    threshold=self.config.near.threshold)  # fmt: skip
            repeats[rows[found >= 0]] = rows[found[found >= 0]]
            near[rows[found >= 0]] = True
        return repeats, near

    def _signed_of(self, rows: np.ndarray[Any, Any]) -> np.ndarray[Any, Any]:
        """The signatures of some rows, in a file of their own: a copy in memory would be half a kilobyte a pair."""
        import numpy as np

        assert self.signed is not None
        if len(rows) in (0, self.rows):
            return self.signed[: len(rows)]
        kept = np.memmap(self.work / "kept", np.uint32, "w+", shape=(len(rows), self.signed.shape[1]))
        for start in range(0, len(rows), ROWS_PER_BATCH):
            kept[start : start + ROWS_PER_BATCH] = self.signed[rows[start : start + ROWS_PER_BATCH]]
        return kept

    def alike(self, first: int, row: int) -> str:
        """How alike two rows are, in words; nothing where only what is exactly the same is looked for."""
        from lidr.transforms import similarity

        return "" if self.signed is None else f", similarity {similarity(self.signed, first, row):.2f}"


def _looker(run: StepRun) -> Contamination | None:
    from lidr.steps.clean.benchmark_questions import keep_questions, questions_of
    from lidr.transforms import Contamination

    wanted = run.config.decontaminate
    if wanted is None:
        return None
    questions = questions_of(run.around, wanted.against)
    keep_questions(run.around, run.config.datasets)
    return Contamination(questions, wanted.ngram, wanted.characters)


def outside_clean(around: Surroundings, config: CleanConfig) -> dict[str, Any]:
    """The benchmarks and sets are identity by the content of their questions."""
    from lidr.steps.clean.benchmark_questions import identity_of_questions

    if config.decontaminate is None:
        return {}
    return {"against": identity_of_questions(around, config.decontaminate.against)}


def expect_clean(config: CleanConfig, scale: Scale) -> Expected:
    """At most every pair."""
    return Expected(scale.pairs, "pairs")


STEP = StepKind(
    name="clean",
    config=CleanConfig,
    reads=(Pair,),
    writes=Pair,
    run=run_clean,
    expects=expect_clean,
    uses=("languages",),
    outside=outside_clean,
)
