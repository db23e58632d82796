"""measure: how large the gap between languages is, and whether the built pairs point the right way, before training.

    - measure: {sample: 200, judge: {model: "openai:gpt-4.1@https://api.openai.com/v1"}}     after pair or filter
    - measure: {gold: recipes/prompts/word_problems}                                          arithmetic, no judge

Its rows are one value for each prompt, test and language; its record holds their means with intervals, and the paper's
own figures beside them.

    test               value                                                       of
    own_mark           a judge's mark of the policy's own answer, 0-10             each language: the gap
    translated_mark    the same of the answer translated from `other`              each direction
    mark_difference    mark of the answer that began in the dominant language      each direction: is the ranking kept?
                       minus that of the other one
    preferred          how sure a judge is, 0-1, that the former is better         each direction
    reward_judge       chosen beats rejected: 1, 0, or 0.5 for a tie               each pair that was built
    reward_gold        chosen is right and rejected wrong: 1; the reverse: 0       each pair of a prompt with a gold
                       both right or both wrong: 0.5                               answer
    round_trip_chrf    chrF, 0-100, of the dominant answer after d -> xx -> d      each non-dominant language
    length_ratio       ln(characters of the translation / of its source)           each direction
    off_target         1 where the answer is in another language than its prompt   each language
    logp_margin        the policy's log-probability a token, chosen - rejected     each pair that was built

Reward accuracy is agree / (agree + disagree); ties are counted apart.
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from typing import Any

import pyarrow as pa

from lidr.errors import PlanError
from lidr.references import ServerReference, parse_reference
from lidr.rows import Pair, Prompt, Response, RowType, Translation
from lidr.steps.answering import ANSWER_FIELDS, outside_answers
from lidr.steps.evaluate import judge_identity, judging_identity
from lidr.steps.measure.gold_answers import gold_file
from lidr.steps.measure.measure_config import MeasureConfig
from lidr.steps.measure.measurement_summary import summary
from lidr.steps.measure.measurements import Measures, Row, measurement
from lidr.steps.measure.prompt_sample import PromptSample
from lidr.steps.measure.referees import logp_margins, rewarded, round_trips
from lidr.steps.step_kind import Expected, Outcome, Policy, Scale, StepKind, StepRun, Surroundings
from lidr.store import file_sha256


def run_measure(run: StepRun) -> Outcome:
    """Measure, write every value, and summarise."""
    sample = PromptSample(run)
    run.progress.start(len(sample.prompt_ids), "prompts")
    rows = [
        *off_targets(sample),
        *length_ratios(sample),
        *rewarded(sample),
        *round_trips(sample),
        *logp_margins(sample),
    ]
    run.progress.add(len(sample.prompt_ids))
    table = pa.Table.from_pylist(rows, Measures.schema)
    run.out.data.write(table)
    return Outcome(
        {"prompts": len(sample.prompt_ids), **summary(table, run.recipe.languages, judge=run.config.judge)},
        run.progress.rate(),
    )


def off_targets(sample: PromptSample) -> Iterator[Row]:
    """Whether the policy answers in the language that it was asked in; where that cannot be told, null."""
    import polars as pl

    from lidr.transforms import identify

    keys = list(sample.answers)
    texts = pl.Series([sample.answers[key] for key in keys], dtype=pl.String)
    found = identify(texts, (sample.dominant, *sample.others))["language"].to_list()
    for (prompt_id, language), code in zip(keys, found, strict=True):
        yield measurement("off_target", prompt_id, None if code is None else float(code != language), language)


def length_ratios(sample: PromptSample) -> Iterator[Row]:
    """How much longer a translation is than its source."""
    for (prompt_id, source, target), text in sample.translations.items():
        ratio = len(text) / len(sample.answers[prompt_id, source])
        yield measurement("length_ratio", prompt_id, math.log(ratio), target, source)


def identity_measure(config: MeasureConfig) -> dict[str, Any]:
    """All settings; gold answers count by their content, the judge by who it is and what can change a verdict."""
    kept = config.model_dump(mode="json", exclude={"gold"})
    kept["judge"] = kept["judge"] and judging_identity(kept["judge"])
    return kept


def outside_measure(around: Surroundings, config: MeasureConfig) -> dict[str, Any]:
    """Gold answers, judge, and, where the policy is asked, what it answers from."""
    found: dict[str, Any] = outside_answers(around, config) if config.round_trip else {}
    if config.margin and isinstance(parse_reference(around.recipe.policy.model), ServerReference):
        raise PlanError(
            "measure.margin: a policy behind a server (openai:) gives no log-probabilities of given texts; take margin "
            "out, or give a folder"
        )
    if config.gold is not None:
        found["gold"] = file_sha256(gold_file(config.gold, around))
    if config.judge is not None:
        found["judge"] = judge_identity(around, config.judge, "measure.judge.model")
    return found


def also_read_measure(config: MeasureConfig) -> tuple[RowType, ...]:
    """The policy, where it is asked."""
    return (Policy,) if config.round_trip or config.margin else ()


def expect_measure(config: MeasureConfig, scale: Scale) -> Expected:
    """Round trips, and at most so many calls of the judge."""
    prompts = min(scale.prompts, config.sample or scale.prompts)
    requests = prompts * scale.others if config.round_trip else 0
    tokens = requests * config.round_trip.max_tokens if config.round_trip else 0
    orders = 2 if config.judge and config.judge.mode == "logprob_swap" else 1
    calls = prompts * (scale.languages + 2 * scale.others * (1 + orders)) if config.judge else 0
    note = f"and at most {calls:,} calls of the judge" if calls else ""
    return Expected(requests or prompts, "requests" if requests else "prompts", tokens, note)


STEP = StepKind(
    name="measure",
    config=MeasureConfig,
    reads=(Prompt, Response, Translation, Pair),
    also_reads=also_read_measure,
    writes=Measures,
    run=run_measure,
    expects=expect_measure,
    uses=("languages", "prompts.id_prefix", *ANSWER_FIELDS),
    outside=outside_measure,
    identity=identity_measure,
)
