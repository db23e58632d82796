"""measure: how large the gap between languages is, and whether the built pairs point the right way, before training.

    - measure: {sample: 200, judge: {model: "openai:gpt-4.1@https://api.openai.com/v1"}}     # after pair or filter
    - measure: {gold: recipes/prompts/word_problems}                                          # arithmetic, no judge

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
    scorer_gold        of two answers, one right and one wrong, the scorer         each scorer and language
                       values the right one more: 0-1, .5 is chance
    scorer_judge       the same of two answers with different marks                each scorer and language

Reward accuracy is agree / (agree + disagree); ties are counted apart. Where pairs are made from all answers to a
prompt, its own_mark and off_target are means over them. What needs translations is left out where there are none. A
referee of scorers that this step is not given is the scorer `gold` or `judge`, where the step `score` has it.
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from itertools import chain
from typing import Any

from lidr.errors import PlanError
from lidr.recipe import Recipe
from lidr.references import ServerReference, parse_reference
from lidr.rows import Pair, Prompt, Response, RowType, Translation
from lidr.steps.answering import ANSWER_FIELDS, outside_answers
from lidr.steps.evaluate import beside_judge, judge_identity, judged_alone, judging_identity
from lidr.steps.gold_answers import gold_file
from lidr.steps.measure.measure_config import MeasureConfig
from lidr.steps.measure.measurement_summary import Values, summary
from lidr.steps.measure.measurements import Measures, Row, measurement
from lidr.steps.measure.prompt_sample import PromptSample
from lidr.steps.measure.referees import logp_margins, rewarded, round_trips
from lidr.steps.policy_files import refuse_unmerged
from lidr.steps.score import REFEREES, AnswerScores
from lidr.steps.step_kind import (
    TEXTS_ALONE,
    Expected,
    Outcome,
    Policy,
    Scale,
    StepKind,
    StepRun,
    Surroundings,
    by_server,
)
from lidr.store import file_sha256, in_tables


def run_measure(run: StepRun) -> Outcome:
    """Measure, write every value, and summarise."""
    sample = PromptSample(run)
    run.progress.start(sample.size, "prompts")
    rows = chain(
        off_targets(sample),
        length_ratios(sample),
        rewarded(sample),
        round_trips(sample),
        logp_margins(sample),
    )
    values = Values()
    for table in in_tables(map(values.added, rows), Measures.schema):
        run.out.data.write(table)
    run.progress.add(sample.size)
    return Outcome(
        {"prompts": sample.size, **summary(values, run.recipe.languages, judge=run.config.judge)},
        run.progress.rate(),
    )


def off_targets(sample: PromptSample) -> Iterator[Row]:
    """Whether the policy answers in the language that it was asked in; where that cannot be told, null."""
    import polars as pl

    from lidr.transforms import identify

    for part in sample.parts():
        keys = [key for several in part.own.values() for key in several]
        texts = pl.Series([part.every[key] for key in keys], dtype=pl.String)
        asked = pl.Series([key[1] for key in keys], dtype=pl.String)
        found = identify(texts, (sample.dominant, *sample.others), asked=asked)["language"].to_list()
        said = dict(zip(keys, found, strict=True))
        for (prompt_id, language), several in part.own.items():
            known = [float(code != language) for key in several if (code := said[key]) is not None]
            yield measurement("off_target", prompt_id, sum(known) / len(known) if known else None, language)


def length_ratios(sample: PromptSample) -> Iterator[Row]:
    """How much longer a translation is than its source."""
    for part in sample.parts():
        for (prompt_id, source, target), text in part.translations.items():
            ratio = len(text) / len(part.answer(prompt_id, source) or "")
            yield measurement("length_ratio", prompt_id, math.log(ratio), target, source)


def identity_measure(config: MeasureConfig) -> dict[str, Any]:
    """All settings; gold answers count by their content, the judge by who it is and what can change a verdict."""
    kept = config.model_dump(mode="json", exclude={"gold"})
    kept["judge"] = kept["judge"] and judging_identity(kept["judge"])
    return kept


def outside_measure(around: Surroundings, config: MeasureConfig) -> dict[str, Any]:
    """Gold answers, judge, and, where the policy is asked, what it answers from."""
    if config.round_trip and not any(step.name == "translate" for step in around.recipe.chain):
        raise PlanError(
            "measure.round_trip: it goes on from translations, and the chain has no translate; take round_trip out"
        )
    found: dict[str, Any] = outside_answers(around, config) if config.round_trip else {}
    if config.margin and isinstance(parse_reference(around.recipe.policy.model), ServerReference):
        raise PlanError(
            "measure.margin: a policy behind a server (openai:) gives no log-probabilities of given texts; take margin "
            "out, or give a folder"
        )
    if config.margin:
        refuse_unmerged(around, "measure.margin", "reads the policy's own log-probabilities")
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
    compared = scale.languages * orders if scale.are_sampled else 2 * scale.others * (1 + orders)
    calls = prompts * (scale.languages * scale.answers + compared) if config.judge else 0
    note = f"and at most {calls:,} calls of the judge" if calls else ""
    return Expected(requests or prompts, "requests" if requests else "prompts", tokens, note, calls=calls)


def alone_measure(recipe: Recipe, config: MeasureConfig) -> Iterator[tuple[str, str]]:
    """Of the judge and the policy, as of `StepKind`."""
    yield from (("measure.judge", why) for why in judged_alone(config.judge))
    if config.round_trip is not None:
        yield from by_server(recipe, "measure.round_trip")
    if config.margin is not None:
        yield "measure.margin", TEXTS_ALONE


def notes_measure(recipe: Recipe, config: MeasureConfig) -> Iterator[str]:
    """Pairs that are held against what chose them."""
    chosen = next((step.config for step in recipe.chain if step.name == "pair"), None)
    by = getattr(chosen, "by", None)
    if by in REFEREES and getattr(config, by) is not None:
        who = "the same gold answers chose" if by == "gold" else "a judge chose"
        yield (
            f"measure.{by}: {who} the pairs (pair: {{by: {by}}}), so their reward accuracy by {by} is near 1 by "
            f"construction and says nothing of them; measure with {'a judge' if by == 'gold' else 'gold answers'}, or "
            "look at the accuracy of the other scorers"
        )


STEP = StepKind(
    name="measure",
    config=MeasureConfig,
    reads=(Prompt, Response, Pair),
    takes=(Translation, AnswerScores),
    also_reads=also_read_measure,
    writes=Measures,
    run=run_measure,
    expects=expect_measure,
    beside=lambda recipe, config, expected: beside_judge(recipe, "measure", config.judge, expected.calls),
    uses=("languages", "prompts.id_prefix", *ANSWER_FIELDS),
    outside=outside_measure,
    alone=alone_measure,
    identity=identity_measure,
    notes=notes_measure,
    version=2,  # 2: an answer may be in any language; a judge needs mass on its letters; intervals of few items
    resumes_since=1,
)
