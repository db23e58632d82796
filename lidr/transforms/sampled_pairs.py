"""Preference pairs from several answers to one prompt, chosen by their scores: both sides are answers of the policy.

    pool            which answers are compared: those to a prompt in one `language`, or to it in `all` of them
    select          max_min         the best against the worst (ICR, arXiv 2503.04647)
                    nearest_sigma   the best against that whose score is nearest to mean - 2 sigma of the pool, and
                                    below the best (CroCo, arXiv 2605.26293)
                    random          one of all pairs of answers whose texts and scores differ, drawn by a hash of the
                                    seed and the slot (LaCoMSA, EACL 2026)
    length_control  zero_mean       a per character is subtracted from every score; a is that of 0, .001, ... .999
                                    with which the mean of (characters of chosen - characters of rejected) is nearest
                                    to 0, for each language (ICR)

The unit of account is the slot (prompt, language): each of the P (L + 1) is a pair, a dropped row with its reason, or
was not requested. Of answers with equal scores the first counts: the dominant language's first, then by their number.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import combinations
from typing import TYPE_CHECKING, Any, NamedTuple

import polars as pl

from lidr.errors import RowError
from lidr.rows import SAMPLE, WEIGHT, LengthControl, Pool, Select, Truncated, answer_key
from lidr.tables import trimmed

if TYPE_CHECKING:
    import numpy as np

KIND = "sampled"
STEPS_OF_A = 1000
"""1 itself is not among them, as in ICR's script."""


@dataclass(frozen=True)
class SampledRules:
    """What the recipe says.

    Args:
        dominant, others: codes of the languages, in the recipe's order.
        dominant_pairs: whether slots in the dominant language are asked for.
        sigmas: how far below the mean `nearest_sigma` looks.
        truncated: whether an answer that was cut at max_tokens may stand in a pair.
        seed: for `random`.
    """

    dominant: str
    others: tuple[str, ...]
    select: Select = "max_min"
    pool: Pool = "language"
    length_control: LengthControl = "none"
    sigmas: float = 2.0
    dominant_pairs: bool = True
    truncated: Truncated = "keep"
    seed: int = 0


class SampledResult(NamedTuple):
    """Every slot, once, as of `build_pairs`; and by language what the length control found."""

    pairs: pl.DataFrame
    dropped: pl.DataFrame
    not_requested: pl.DataFrame
    length_control: list[dict[str, Any]]


class _Scored(NamedTuple):
    language: str
    key: str
    text: str
    score: float


_NAMED = {"prompt_id": pl.String, "language": pl.String, "other_language": pl.String, "kind": pl.String}
_TEXTS = dict.fromkeys(("prompt_text", "chosen_text", "rejected_text", "chosen_key", "rejected_key"), pl.String)
_SCORES = dict.fromkeys(("score_chosen", "score_rejected", "margin"), pl.Float64)


def build_sampled_pairs(
    prompts: pl.DataFrame, responses: pl.DataFrame, scores: pl.DataFrame, *, rules: SampledRules
) -> SampledResult:
    """Choose the two sides of each slot.

    Args:
        prompts, responses: as in `lidr.rows`, in any order.
        scores: `prompt_id`, `language`, `sample`, `value`, `detail`, of one scorer.
        rules: see SampledRules.

    Returns:
        Scores in pairs are those that decided: with a length control, after it. `other_language` of a pair is that of
        the rejected answer. Ordered by prompt, then language.

    Raises:
        RowError: an answer has no row of scores, or several.
    """
    texts = {(row[0], row[1]): row[2] for row in prompts.select("prompt_id", "language", "text").iter_rows()}
    pools, lost = _pools(_joined(responses, scores), rules)
    ids = list(dict.fromkeys(prompts["prompt_id"]))
    controls: list[dict[str, Any]] = []
    if rules.length_control == "zero_mean":
        pools, controls = _length_controlled(pools)
    rows: dict[str, list[dict[str, Any]]] = {"pairs": [], "dropped": [], "not_requested": []}
    languages = (rules.dominant, *rules.others)
    for prompt_id in ids:
        for language in languages if rules.pool == "language" else ("",):
            slot = {"prompt_id": prompt_id, "kind": KIND}
            if language == rules.dominant and not rules.dominant_pairs:
                rows["not_requested"].append(_at(slot, language, reason="dominant_pairs: none"))
                continue
            pool = pools.get((prompt_id, language), [])
            found = _choose(pool, f"{prompt_id}/{language}", rules)
            if isinstance(found, str):
                place = language or rules.dominant
                detail = lost.get((prompt_id, language), "") if found == "too_few_scored" else ""
                rows["dropped"].append(_at(slot, place, reason=found, detail=detail))
            else:
                place = found[0].language
                rows["pairs"].append(_at(slot, place, **_sides(*found, texts[prompt_id, place])))
            if not language:
                rows["not_requested"] += [_at(slot, one, reason="pool: all") for one in languages if one != place]
    reasons = {"reason": pl.String}
    return SampledResult(
        pl.DataFrame(rows["pairs"], schema={**_NAMED, **_TEXTS, **_SCORES}),
        pl.DataFrame(rows["dropped"], schema={**_NAMED, **reasons, "detail": pl.String}),
        pl.DataFrame(rows["not_requested"], schema={**_NAMED, **reasons}),
        controls,
    )


def margin_weights(pairs: pl.DataFrame) -> pl.DataFrame:
    """Pairs with the column `weight`: the margin over the mean margin of the language's pairs.

    >>> margin_weights(pl.DataFrame({"language": ["es", "es", "de"], "margin": [1.0, 3.0, 0.2]}))["weight"].to_list()
    [0.5, 1.5, 1.0]
    """
    return pairs.with_columns((pl.col("margin") / pl.col("margin").mean().over("language")).alias(WEIGHT))


def sampled_reasons() -> tuple[str, ...]:
    """Every reason for which a slot may be dropped."""
    return ("too_few_scored", "tied", "identical")


def _at(slot: Mapping[str, Any], language: str, **more: Any) -> dict[str, Any]:
    return {**slot, "language": language, "other_language": language, **more}


def _sides(chosen: _Scored, rejected: _Scored, prompt: str) -> dict[str, Any]:
    return {
        "other_language": rejected.language,
        "prompt_text": prompt,
        "chosen_text": chosen.text,
        "rejected_text": rejected.text,
        "chosen_key": chosen.key,
        "rejected_key": rejected.key,
        "score_chosen": chosen.score,
        "score_rejected": rejected.score,
        "margin": chosen.score - rejected.score,
    }


def _joined(responses: pl.DataFrame, scores: pl.DataFrame) -> pl.DataFrame:
    """Answers with their value; where each prompt has one answer, they have no number."""
    on = ["prompt_id", "language", SAMPLE]
    if SAMPLE not in responses.columns:
        responses = responses.with_columns(pl.lit(None, pl.Int32).alias(SAMPLE))
    joined = responses.select(*on, "finish_reason", text=trimmed(pl.col("text"))).join(
        scores.select(*on, "value", "detail", is_there=True), on=on, how="left", nulls_equal=True, maintain_order="left"
    )
    wrong = joined.filter(pl.col("is_there").is_null() | pl.struct(on).is_duplicated())
    if wrong.height:
        first = answer_key(*wrong.select(on).row(0))
        raise RowError(f"{wrong.height} answers have no score, or several; the first: {first}. Score them again")
    return joined


Pools = dict[tuple[str, str], list[_Scored]]
"""(prompt, language), or (prompt, "") where all languages are compared -> the answers that can stand in a pair."""


def _pools(joined: pl.DataFrame, rules: SampledRules) -> tuple[Pools, dict[tuple[str, str], str]]:
    """The answers that can stand in a pair, and why others cannot."""
    order = {code: number for number, code in enumerate((rules.dominant, *rules.others))}
    rows = [row for row in joined.iter_rows(named=True) if row["language"] in order]
    rows.sort(key=lambda row: (order[row["language"]], -1 if row[SAMPLE] is None else row[SAMPLE]))
    pools: Pools = {}
    lost: dict[tuple[str, str], dict[str, int]] = {}
    for row in rows:
        place = (row["prompt_id"], row["language"] if rules.pool == "language" else "")
        cut = "truncated_response" if row["finish_reason"] == "length" and rules.truncated == "drop" else None
        reason = cut or (row["detail"] or "not_scored" if row["value"] is None else None)
        if reason is not None:
            counts = lost.setdefault(place, {})
            counts[reason] = counts.get(reason, 0) + 1
            continue
        key = answer_key(row["prompt_id"], row["language"], row[SAMPLE])
        pools.setdefault(place, []).append(_Scored(row["language"], key, row["text"], row["value"]))
    said = {at: ", ".join(f"{count} {reason}" for reason, count in found.items()) for at, found in lost.items()}
    return pools, said


def _choose(pool: Sequence[_Scored], slot: str, rules: SampledRules) -> tuple[_Scored, _Scored] | str:
    """Chosen and rejected, or why there are none."""
    if len(pool) < 2:
        return "too_few_scored"
    if rules.select == "random":
        return _drawn(pool, f"{rules.seed}/{slot}")
    chosen = max(pool, key=lambda one: one.score)
    below = [one for one in pool if one.score < chosen.score]
    if not below:
        return "tied"
    if rules.select == "max_min":
        rejected = min(below, key=lambda one: one.score)
    else:
        target = _below_mean([one.score for one in pool], rules.sigmas)
        rejected = min(below, key=lambda one: abs(one.score - target))
    return "identical" if rejected.text == chosen.text else (chosen, rejected)


def _below_mean(scores: Sequence[float], sigmas: float) -> float:
    """So many standard deviations of the pool, taken as the whole population, below its mean."""
    import numpy as np

    return float(np.mean(scores) - sigmas * np.std(scores))


def _drawn(pool: Sequence[_Scored], name: str) -> tuple[_Scored, _Scored] | str:
    differ = [(a, b) for a, b in combinations(pool, 2) if a.score != b.score]
    pairs = [(a, b) for a, b in differ if a.text != b.text]
    if not pairs:
        return "identical" if differ else "tied"
    place = int.from_bytes(hashlib.sha256(name.encode()).digest()[:8], "big") % len(pairs)
    return max(pairs[place], key=lambda one: one.score), min(pairs[place], key=lambda one: one.score)


def _length_controlled(pools: Pools) -> tuple[Pools, list[dict[str, Any]]]:
    """Scores less `a` for each character, by language."""
    controlled: Pools = {}
    found = []
    for language in dict.fromkeys(language for _, language in pools):
        group = {place: pool for place, pool in pools.items() if place[1] == language}
        whole = [pool for pool in group.values() if len(pool) > 1]
        differences = list(_length_differences(whole))
        a = min(range(STEPS_OF_A), key=lambda k: (abs(differences[k]), k)) / STEPS_OF_A if whole else 0.0
        for place, pool in group.items():
            controlled[place] = [one._replace(score=one.score - a * len(one.text)) for one in pool]
        if whole:
            before, after = (differences[round(at * STEPS_OF_A)] / len(whole) for at in (0.0, a))
            found.append({"language": language or "all", "a": a, "prompts": len(whole),
                          "difference_before": round(before, 4), "difference": round(after, 4)})  # fmt: skip
    return controlled, found


def _length_differences(pools: Sequence[Sequence[_Scored]]) -> Iterator[int]:
    """Characters of the best answers minus those of the worst, summed over the prompts, for each a."""
    import numpy as np

    if not pools:
        return
    widest = max(map(len, pools))
    scores, lengths = _padded(pools, widest, lambda one: one.score), _padded(pools, widest, lambda one: len(one.text))
    is_there, rows = ~np.isnan(scores), np.arange(len(pools))
    for k in range(STEPS_OF_A):
        value = scores - k / STEPS_OF_A * lengths
        best = np.where(is_there, value, -np.inf).argmax(1)
        worst = np.where(is_there, value, np.inf).argmin(1)
        yield int((lengths[rows, best] - lengths[rows, worst]).sum())


def _padded(pools: Sequence[Sequence[_Scored]], width: int, of: Any) -> np.ndarray[Any, Any]:
    """(prompts, width), nan where a prompt has fewer answers."""
    import numpy as np

    return np.array([[of(one) for one in pool] + [np.nan] * (width - len(pool)) for pool in pools], dtype=np.float64)
