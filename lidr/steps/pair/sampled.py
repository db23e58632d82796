"""pair, from scores: the two sides of each slot are chosen among several answers. The rules themselves are in
`lidr/transforms/sampled_pairs.py`.

    - pair: {from: scores, by: implicit, select: max_min, length_control: zero_mean}
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from lidr.rows import Prompt, Response
from lidr.steps.ledger import Ledger
from lidr.steps.score import AnswerScores, scorer_of
from lidr.steps.step_kind import StepRun

if TYPE_CHECKING:
    import polars as pl


def sampled_pairs(run: StepRun, ledger: Ledger) -> tuple[pl.DataFrame, dict[str, Any]]:
    """The pairs of all slots, the others accounted for; and what is counted besides.

    The length control looks at all answers of a language, so they are in memory together.
    """
    import polars as pl

    from lidr.transforms import (
        SampledRules,
        build_sampled_pairs,
        margin_weights,
        prompt_kind,
        selection_bias,
        units_of_sampled,
    )

    config, languages = run.config, run.recipe.languages
    scorer = scorer_of(run.around, config.by)
    prompts, responses, scores = (
        pl.DataFrame(run.inputs[rows.name].read()) for rows in (Prompt, Response, AnswerScores)
    )
    rules = SampledRules(
        dominant=languages.dominant,
        others=languages.others,
        select=config.select,
        pool=config.pool,
        length_control=config.length_control,
        sigmas=config.sigmas,
        dominant_pairs=config.dominant_pairs == "all",
        truncated=config.truncated,
        seed=run.recipe.seed,
    )
    result = build_sampled_pairs(prompts, responses, scores.filter(scorer=scorer), rules=rules)
    ledger.drop(result.dropped, step="pair")
    ledger.keep(result.pairs)
    ledger.not_requested(result.not_requested)
    of_dominant = prompts.filter(language=languages.dominant)
    kinds = of_dominant.select("prompt_id", prompt_kind=prompt_kind(pl.col("text"), pl.lit(False)))
    units = units_of_sampled(result.pairs, result.dropped, kinds, responses)
    counts: dict[str, Any] = {"selection": selection_bias(units)} if units.height else {}
    if result.length_control:
        counts["length_control"] = result.length_control
    counts["characters"] = _characters(result.pairs)
    pairs = result.pairs.with_columns(judge=pl.lit(scorer))
    return (margin_weights(pairs) if config.weight == "margin" else pairs), counts


def _characters(pairs: pl.DataFrame) -> list[dict[str, Any]]:
    """By language: mean characters of either side. A scorer that likes length shows here."""
    import polars as pl

    means = {side: pl.col(f"{side}_text").str.len_chars().mean().round(2) for side in ("chosen", "rejected")}
    return pairs.group_by("language").agg(pairs=pl.len(), **means).sort("language").to_dicts()
