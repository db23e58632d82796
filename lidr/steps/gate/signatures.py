"""The failure signatures that a gate looks for, each read off recorded numbers with their intervals.

A finding fires only where the whole interval lies beyond the limit, so noise does not trip it. The intervals of all
findings of one signature hold together (95%, Bonferroni): however many languages are looked at, a signature that is not
there fires at about one gate in forty; over ten iterations that is one run of four or five.

    dominant_worse   paired difference of the dominant scores, to the first policy and to the one before
    no_gain          paired difference of each other language's scores to the policy before
    reward_signal    reward accuracy of the built pairs, by language and kind
    scorer_signal    reward accuracy of a scorer of answers, by language
    artefacts        failed, wrong-language, copied and odd-length translations by direction; mark-up left in chosen
    collapse         repetition, length and language of the answers to the first policy's; NLL of chosen in training
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING, Literal

from pydantic import Field

from lidr.evals import read_samples
from lidr.recipe import Frozen
from lidr.rows import Pair, Response, Translation
from lidr.steps.evaluate import Scores
from lidr.steps.gate.evidence import Evidence, Finding, ScoreChange, widened
from lidr.steps.measure import Measures, deciding_accuracy
from lidr.steps.step_kind import Policy
from lidr.store import Artifact
from lidr.transforms import Number, family, mean, rise, share

if TYPE_CHECKING:
    import polars as pl


Act = Literal["warn", "reweight", "roll_back", "stop"]

RATIOS = (0.2, 5.0)
"""Characters of a translation over those of its source that are not odd."""
LINES, NGRAM, COVERED = 5, 8, 0.5
"""An answer repeats itself: a line so often, or repeated n-grams over so much of it."""
_MARKUP = r"(?i)<\s*/?\s*(?:translated|sentence)\s*>"
_ARTEFACTS = {
    "failed": "failed translations",
    "wrong_language": "translations in the wrong language",
    "copied_source": "translations that copy their source",
    "length_ratio": "translations of odd length",
}
_FAILED = ("truncated", "refused", "empty")


class Signature(Frozen):
    """What is done where it shows."""

    act: Act = "warn"
    """warn, reweight, roll_back or stop."""


class DominantWorse(Signature):
    """The dominant language got worse."""

    tolerance: float = Field(0.0, ge=0, le=1)
    """Loss that is allowed, as a share of the score's span: 0.03 is 3 points of an accuracy or of a win rate."""


def dominant_worse(evidence: Evidence, config: DominantWorse) -> list[Finding]:
    """The dominant language lost more than the tolerance, since the start or since the policy before."""
    found = [(k, change) for k in evidence.evaluated for change in evidence.score_changes(k, [evidence.dominant])]
    level = family(len(found))
    return [
        _score("dominant_worse", change, evidence.dominant, k, level, -config.tolerance, is_over=False)
        for k, change in found
    ]


class NoGain(Signature):
    """A non-dominant language did not improve."""

    least: float = Field(0.02, ge=-1, le=1)
    """The gain that is wanted, as a share of the score's span (0.02: two points of an accuracy). It fires where the
    whole interval of the gain lies below; with 0 only where the language confidently lost."""


def no_gain(evidence: Evidence, config: NoGain) -> list[Finding]:
    """A non-dominant language gained less than the least gain."""
    before = [evidence.parent] if evidence.parent in evidence.evaluated else []
    found = [(k, code, c) for k in before for code in evidence.others for c in evidence.score_changes(k, [code])]
    level = family(len(found))
    return [_score("no_gain", change, code, k, level, config.least, is_over=False) for k, code, change in found]


def _score(
    signature: str, change: ScoreChange, code: str, baseline: int, level: float, limit: float, *, is_over: bool
) -> Finding:
    sign = f"{change.metric} of {change.benchmark}"
    return Finding(signature, sign, code, f"iter_{baseline}", widened(change.number, level), limit, is_over)


class RewardSignal(Signature):
    """The built pairs do not point the right way; needs `measure` with a judge or gold answers."""

    below: float = Field(0.5, ge=0, le=1)
    """Fires where the reward accuracy is confidently smaller."""


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


class ScorerSignal(Signature):
    """A scorer does not tell the better answer; needs `measure`, and a referee in it or in `score`."""

    scorer: str | None = None
    """Which one, as `score` names it; null: each of them."""
    below: float = Field(0.5, ge=0, le=1)
    """Fires where its reward accuracy is confidently smaller."""


def scorer_signal(evidence: Evidence, config: ScorerSignal) -> list[Finding]:
    """A scorer does not value the better of two answers more as often as it must."""
    measured = evidence.of(Measures.name).record.counts.get("scorer_accuracy", ())
    found = [one for one in deciding_accuracy(measured, "scorer") if config.scorer in (None, one["scorer"])]
    level = family(len(found))
    return [
        Finding(
            "scorer_signal",
            f"reward accuracy of the scorer {one['scorer']} by {one['referee']}",
            one["language"],
            "",
            widened(Number(one["value"], one["low"], one["high"], one["n"]), level),
            config.below,
            is_over=False,
        )
        for one in found
    ]


class Artefacts(Signature):
    """Translation leaves traces: the largest shares that are allowed, 0-1."""

    failed: float = Field(0.25, ge=0, le=1)
    """Truncated, refused or empty translations, by direction."""
    wrong_language: float = Field(0.15, ge=0, le=1)
    """Translations in another language than asked for."""
    copied_source: float = Field(0.15, ge=0, le=1)
    """Translations that say their source again."""
    length_ratio: float = Field(0.15, ge=0, le=1)
    """Translations with less than a fifth or more than five times the characters of their source."""
    markup: float = Field(0.02, ge=0, le=1)
    """Chosen answers with a tag of the translation prompt left in them."""


def artefacts(evidence: Evidence, config: Artefacts) -> list[Finding]:
    """Too many translations are none, and too many chosen answers show that they are one."""
    directions = directions_of(evidence)
    shares: list[tuple[str, float, str, str, int, int]] = []
    for row in directions.iter_rows(named=True):
        for sign in _ARTEFACTS:
            limit = getattr(config, sign)
            n = row["texts"] if sign == "length_ratio" else row["n"]
            shares.append((_ARTEFACTS[sign], limit, row["target"], row["source"], row[sign], n))
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


class Collapse(Signature):
    """The policy breaks: rises over the first policy that are allowed, on the evaluation's answers."""

    repetition: float = Field(0.1, ge=0, le=1)
    """Of the share of answers that repeat a line five times, or 8-grams over half of the text."""
    length: float = Field(0.7, ge=0)
    """Of the mean logarithm of their characters: 0.7 is twice as long."""
    off_target: float = Field(0.1, ge=0, le=1)
    """Of the share of answers in another language than asked."""
    chosen_nll: float = Field(0.1, ge=0)
    """Of the chosen answers' NLL from the first to the last third of the training steps, nats a token."""


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
        number = mean(values, span, level, few=0)
        found.append(Finding("collapse", sign, language, "iter_0", number, limit, is_over=True))
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

    from lidr.transforms import ngram_share, repeated_line

    columns = ["language", "task", "item", "response"]
    frame = pl.DataFrame(read_samples(scores.part("results")).select(columns))
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
