"""The failure signatures that a gate looks for, each read off recorded numbers with their intervals.

A finding fires only where the whole interval lies beyond the limit, so noise does not trip it. The intervals of all
findings of one signature hold together (95%, Bonferroni): however many languages are looked at, a signature that is not
there fires in about one run of forty.

    dominant_worse   paired difference of the dominant scores, to the first policy and to the one before
    no_gain          paired difference of each other language's scores to the policy before
    reward_signal    reward accuracy of the built pairs, by language and kind
    artefacts        failed, wrong-language, copied and odd-length translations by direction; mark-up left in chosen
    collapse         repetition, length and language of the answers to the first policy's; NLL of chosen in training
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Any, NamedTuple

from lidr.rows import Pair, Response, Translation
from lidr.steps.evaluate import Scores
from lidr.steps.kind import Policy
from lidr.steps.measure import Measures
from lidr.transforms.imbalance import Number, family, mean, rise, share

if TYPE_CHECKING:
    import polars as pl
    import pyarrow as pa

    from lidr.steps.gate import Artefacts, Collapse, DominantWorse, NoGain, RewardSignal
    from lidr.store.artifact import Artifact

RATIOS = (0.2, 5.0)
"""Characters of a translation over those of its source that are not odd."""
LINES, NGRAM, COVERED = 5, 8, 0.5
"""An answer repeats itself: a line so often, or repeated n-grams over so much of it."""
_MARKUP = r"(?i)<\s*/?\s*(?:translated|sentence)\s*>"
_FAILED = ("truncated", "refused", "empty")


@dataclass(frozen=True)
class Finding:
    """One number beside its limit.

    Args:
        sign: what was measured, in words.
        language: of the texts.
        against: what it is compared with, or the other language of a direction; empty where nothing is.
        is_over: fires above the limit; else below it.
    """

    signature: str
    sign: str
    language: str
    against: str
    number: Number
    limit: float
    is_over: bool

    @property
    def fires(self) -> bool:
        """Whether the whole interval lies beyond the limit."""
        if self.number.low is None or self.number.high is None:
            return False
        return self.number.low > self.limit if self.is_over else self.number.high < self.limit

    def row(self, act: str) -> dict[str, Any]:
        """As stored."""
        data = asdict(self) | self.number.as_json() | {"act": act, "fires": self.fires}
        del data["number"]
        return data

    def text(self) -> str:
        """In words.

        >>> Finding("no_gain", "accuracy of MGSM", "de", "iter_0", Number(-0.1, -0.15, -0.05, 250), 0.02, False).text()
        'accuracy of MGSM, de, to iter_0: -0.100 [-0.150, -0.050] of 250 lies below 0.02'
        """
        value, low, high, n = self.number
        against = f", to {self.against}" if self.against else ""
        where = f", {self.language}" if self.language else ""
        shown = "not measured" if value is None else f"{value:.3f} [{low:.3f}, {high:.3f}] of {n:,}"
        return f"{self.sign}{where}{against}: {shown} lies {'above' if self.is_over else 'below'} {self.limit:g}"


class Change(NamedTuple):
    """A paired difference of a benchmark's first score, in shares of its span (0-1), at 95%."""

    benchmark: str
    metric: str
    number: Number


class Evidence:
    """What a gate has before it: artifacts of its own iteration and of earlier ones, and which languages there are."""

    def __init__(self, inputs: Mapping[str, Artifact], dominant: str, others: Sequence[str], parent: int) -> None:
        """Look at the inputs of a gate; `parent` is the iteration whose policy entered this one."""
        self.inputs, self.dominant, self.others, self.parent = inputs, dominant, tuple(others), parent

    def of(self, rows: str, iteration: int | None = None) -> Artifact:
        """The artifact with these rows, of this iteration or of an earlier one."""
        return self.inputs[rows if iteration is None else f"{rows}_{iteration}"]

    @property
    def evaluated(self) -> tuple[int, ...]:
        """Earlier iterations that this one's scores can be compared with: the one before, and the first policy."""
        return tuple(k for k in dict.fromkeys((self.parent, 0)) if f"{Scores.name}_{k}" in self.inputs)

    def changes(self, iteration: int, languages: Sequence[str]) -> list[Change]:
        """How the mean over languages changed since an earlier iteration, for each benchmark."""
        before, after = self.of(Scores.name, iteration).read(), self.of(Scores.name).read()
        return changes(before, after, languages)


def changes(before: pa.Table, after: pa.Table, languages: Sequence[str], **options: Any) -> list[Change]:
    """Paired differences of each benchmark's first score, of the mean over some languages.

    Args:
        before, after: scores of two policies on the same items.
        languages: at least one.
        options: of `differences`: resamples, seed.
    """
    import pyarrow as pa
    import pyarrow.compute as pc

    from lidr.evals.differences import differences
    from lidr.evals.measures import MEASURES
    from lidr.evals.statistics import ALL

    chosen = pa.array(list(languages))
    tables = [table.filter(pc.is_in(table["language"], value_set=chosen)) for table in (before, after)]
    known = set(tables[1]["language"].to_pylist())
    found = []
    for one in differences(*tables, baseline="", **options):
        first = MEASURES[one.benchmark][0]
        wanted = ALL if len(known) > 1 else next(iter(known))
        if one.metric == first.name and one.language == wanted and first.scaled_span is not None:
            width = first.scaled_span[1] - first.scaled_span[0]
            low, high = (None if end is None else end / width for end in (one.low, one.high))
            found.append(Change(one.benchmark, first.label, Number(one.value / width, low, high, one.n)))
    return found


def widened(number: Number, level: float) -> Number:
    """A 95% interval at another level, each side so much longer as a normal one would be."""
    from lidr.intervals import quantile

    value, low, high, n = number
    if value is None or low is None or high is None:
        return number
    factor = quantile(level) / quantile()
    return Number(value, value - (value - low) * factor, value + (high - value) * factor, n)


def dominant_worse(evidence: Evidence, config: DominantWorse) -> list[Finding]:
    """The dominant language lost more than the tolerance, since the start or since the policy before."""
    found = [(k, change) for k in evidence.evaluated for change in evidence.changes(k, [evidence.dominant])]
    level = family(len(found))
    return [
        _score("dominant_worse", change, evidence.dominant, k, level, -config.tolerance, is_over=False)
        for k, change in found
    ]


def no_gain(evidence: Evidence, config: NoGain) -> list[Finding]:
    """A non-dominant language gained less than the least gain."""
    before = [evidence.parent] if evidence.parent in evidence.evaluated else []
    found = [(k, code, c) for k in before for code in evidence.others for c in evidence.changes(k, [code])]
    level = family(len(found))
    return [_score("no_gain", change, code, k, level, config.least, is_over=False) for k, code, change in found]


def _score(
    signature: str, change: Change, code: str, baseline: int, level: float, limit: float, *, is_over: bool
) -> Finding:
    sign = f"{change.metric} of {change.benchmark}"
    return Finding(signature, sign, code, f"iter_{baseline}", widened(change.number, level), limit, is_over)


def reward_signal(evidence: Evidence, config: RewardSignal) -> list[Finding]:
    """Chosen does not beat rejected as often as it must."""
    found = evidence.of(Measures.name).record.counts["reward_accuracy"]
    level = family(len(found))
    return [
        Finding(
            "reward_signal",
            f"reward accuracy by {one['referee']}, {one['kind'].replace('_', '-')} pairs",
            one["language"],
            "",
            share(one["agree"], one["agree"] + one["disagree"], level),
            config.below,
            is_over=False,
        )
        for one in found
    ]


def artefacts(evidence: Evidence, config: Artefacts) -> list[Finding]:
    """Too many translations are none, and too many chosen answers show that they are one."""
    directions = directions_of(evidence)
    shares: list[tuple[str, float, str, str, int, int]] = []
    for row in directions.iter_rows(named=True):
        for sign in ("failed", "wrong_language", "copied_source", "length_ratio"):
            limit = getattr(config, sign)
            n = row["texts"] if sign == "length_ratio" else row["n"]
            shares.append((f"{sign} translations", limit, row["target"], row["source"], row[sign], n))
    for language, hits, n in _markup(evidence.of(Pair.name)):
        shares.append(("mark-up left in chosen", config.markup, language, "", hits, n))
    level = family(len(shares))
    return [
        Finding("artefacts", sign, language, source, share(hits, n, level), limit, is_over=True)
        for sign, limit, language, source, hits, n in shares
    ]


def directions_of(evidence: Evidence) -> pl.DataFrame:
    """For each direction: translations asked for (n), with a text, and how many are artefacts of each kind."""
    import polars as pl

    translations = pl.DataFrame(evidence.of(Translation.name).read())
    responses = pl.DataFrame(evidence.of(Response.name).read().select(["prompt_id", "language", "text"]))
    asked = translations.filter(pl.col("status") != "failed_upstream").join(
        responses.rename({"language": "source", "text": "of"}), on=["prompt_id", "source"], how="left"
    )
    has_text = pl.col("status").is_in(["ok", "unclosed_at_end"]) & (pl.col("of").str.len_chars() > 0)
    ratio = pl.col("text").str.len_chars() / pl.col("of").str.len_chars()
    return asked.group_by("source", "target", maintain_order=True).agg(
        n=pl.len(),
        texts=has_text.sum(),
        failed=pl.col("status").is_in(_FAILED).sum(),
        wrong_language=(pl.col("status") == "wrong_language").sum(),
        copied_source=(pl.col("status") == "copied_source").sum(),
        length_ratio=(has_text & ~ratio.is_between(*RATIOS)).sum(),
    )


def _markup(pairs: Artifact) -> Iterator[tuple[str, int, int]]:
    import polars as pl

    frame = pl.DataFrame(pairs.read().select(["language", "chosen_text", "prompt_text"]))
    has = pl.col("chosen_text").str.contains(_MARKUP) & ~pl.col("prompt_text").str.contains(_MARKUP)
    yield from frame.group_by("language", maintain_order=True).agg(has.sum(), pl.len()).iter_rows()


def collapse(evidence: Evidence, config: Collapse) -> list[Finding]:
    """Answers loop, swell or leave their language, or the chosen answers become unlikely in training."""
    series = list(_answers_changed(evidence)) if 0 in evidence.evaluated else []
    history = evidence.of(Policy.name).record.counts.get("history") or []
    level = family(len(series) + bool(history))
    limits = {
        "repetition": ("share of answers that repeat themselves", config.repetition, (-1.0, 1.0)),
        "length": ("logarithm of the answers' length", config.length, (-20.0, 20.0)),
        "off_target": ("off-target rate", config.off_target, (-1.0, 1.0)),
    }
    found = []
    for name, language, values in series:
        sign, limit, span = limits[name]
        found.append(Finding("collapse", sign, language, "iter_0", mean(values, span, level), limit, is_over=True))
    if history:
        nll = rise([step["nll"] for step in history], level)
        found.append(Finding("collapse", "NLL of chosen, last third of the steps", "", "first third", nll,
                             config.chosen_nll, is_over=True))  # fmt: skip
    return found


def _answers_changed(evidence: Evidence) -> Iterator[tuple[str, str, list[float | None]]]:
    """(sign, language, difference of each item to the first policy)."""
    import polars as pl

    sides = [
        answers_of(evidence.of(Scores.name, number)).rename({"value": f"value_{at}"})
        for at, number in (("before", 0), ("after", None))
    ]
    both = sides[0].join(sides[1], on=["sign", "language", "task", "item"], maintain_order="left")
    both = both.with_columns(change=pl.col("value_after") - pl.col("value_before"))
    for (sign, language), group in both.group_by("sign", "language", maintain_order=True):
        yield str(sign), str(language), group["change"].to_list()


def answers_of(scores: Artifact) -> pl.DataFrame:
    """What an evaluation's answers look like: rows {sign, language, task, item, value}."""
    import polars as pl

    from lidr.evals.results import read_samples
    from lidr.transforms.filters import ngram_share, repeated_line

    columns = ["language", "task", "item", "response"]
    frame = pl.DataFrame(read_samples(scores.folder / "results").select(columns))
    loops = repeated_line(frame["response"], LINES)["line"].is_not_null() | (
        ngram_share(frame["response"], NGRAM) > COVERED
    )
    length = (frame["response"].str.len_chars() + 1).log()
    keys = frame.drop("response")
    rows = [
        keys.with_columns(sign=pl.lit("repetition"), value=loops.cast(pl.Float64)),
        keys.with_columns(sign=pl.lit("length"), value=length),
    ]
    off = pl.DataFrame(scores.read()).filter(pl.col("metric") == "off_target")
    rows.append(off.select("language", "task", "item", sign=pl.lit("off_target"), value="value"))
    return pl.concat([row.select("sign", "language", "task", "item", "value") for row in rows])
