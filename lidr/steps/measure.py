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

from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

import pyarrow as pa
from pydantic import Field

from lidr.errors import PlanError
from lidr.recipe.schema import Frozen
from lidr.references import ServerReference, parse_reference
from lidr.rows import METADATA, Pair, Prompt, Response, RowType, Translation
from lidr.steps.answering import outside_answers
from lidr.steps.evaluate import JudgeConfig, judge_identity, judging_identity
from lidr.steps.gold import gold_file
from lidr.steps.kind import Expected, Outcome, Policy, Scale, StepRun, Surroundings
from lidr.steps.summary import summary
from lidr.store.fingerprint import file_sha256
from lidr.transforms.imbalance import by_lot

if TYPE_CHECKING:
    import polars as pl

Measures = RowType(
    "measures",
    pa.schema(
        {
            "test": pa.string(),
            "language": pa.string(),  # of the text that is looked at
            "other": pa.string(),  # the other language of a direction or pair; empty where there is none
            "kind": pa.string(),  # of a pair; empty where there is none
            "prompt_id": pa.string(),
            "value": pa.float64(),  # null: not scored
        },
        metadata=METADATA,
    ),
    key=("test", "language", "other", "kind", "prompt_id"),
)
"""What answers, translations and pairs are worth."""


class RoundTrip(Frozen):
    """The dominant answer, translated by the policy and back again."""

    max_tokens: int = Field(ge=1)
    """Longest translation, tokens."""
    repetition_penalty: float = Field(1.0, gt=0)


class Margin(Frozen):
    """The policy's own log-probabilities; one forward pass over the pairs, in the policy's dtype."""

    max_length: int = Field(1024, ge=8)
    """Prompt plus completion, tokens; longer pairs are left out."""


class MeasureConfig(Frozen):
    """What is measured, of how many prompts."""

    sample: int | None = Field(None, ge=1)
    """Prompts that are looked at, drawn by a hash of their ids; null: all."""
    judge: JudgeConfig | None = None
    """Marks answers and compares them; null leaves that out."""
    gold: str | None = None
    """Folder with LANG.jsonl of lines {id, response}: the number that is right."""
    round_trip: RoundTrip | None = None
    margin: Margin | None = None


def run_measure(run: StepRun) -> Outcome:
    """Measure, write every value, and summarise."""
    from lidr.steps.referees import logp_margins, rewarded, round_trips

    scene = Scene(run)
    run.progress.start(len(scene.prompt_ids), "prompts")
    rows = [*off_targets(scene), *length_ratios(scene), *rewarded(scene), *round_trips(scene), *logp_margins(scene)]
    run.progress.add(len(scene.prompt_ids))
    table = pa.Table.from_pylist(rows, Measures.schema)
    run.out.data.write(table)
    return Outcome(
        {"prompts": len(scene.prompt_ids), **summary(table, run.recipe.languages, judge=run.config.judge)},
        run.progress.rate(),
    )


class Scene:
    """The sampled prompts with their answers, translations and pairs."""

    def __init__(self, run: StepRun) -> None:
        """Read the inputs and draw the sample."""
        import polars as pl

        self.run = run
        config: MeasureConfig = run.config
        languages = run.recipe.languages
        self.dominant, self.others = languages.dominant, languages.others
        prompts = pl.DataFrame(run.inputs[Prompt.name].read())
        ids = prompts.filter(language=self.dominant)["prompt_id"].to_list()
        drawn = by_lot(ids, config.sample or len(ids), run.recipe.seed)
        self.prompt_ids = [name for name in ids if name in drawn]
        self.prompts = self._text_of(prompts, "language")
        self.answers = self._text_of(pl.DataFrame(run.inputs[Response.name].read()), "language")
        translations = pl.DataFrame(run.inputs[Translation.name].read())
        usable = translations.filter(pl.col("status").is_in(["ok", "unclosed_at_end"]))
        self.translations = self._text_of(usable, "source", "target")
        self.pairs = self._sampled(pl.DataFrame(run.inputs[Pair.name].read()))

    def _sampled(self, frame: pl.DataFrame) -> pl.DataFrame:
        import polars as pl

        return frame.filter(pl.col("prompt_id").is_in(self.prompt_ids))

    def _text_of(self, frame: pl.DataFrame, *languages: str) -> dict[tuple[str, ...], str]:
        """(prompt id, language, ...) -> text, where there is one."""
        rows = self._sampled(frame).select("prompt_id", *languages, "text").iter_rows()
        return {tuple(row[:-1]): row[-1] for row in rows if row[-1] and row[-1].strip()}

    @property
    def directions(self) -> list[tuple[str, str]]:
        """(source, target) of every self-translation."""
        return [d for code in self.others for d in ((self.dominant, code), (code, self.dominant))]


def row(
    test: str, prompt_id: str, value: float | None, language: str, other: str = "", kind: str = ""
) -> dict[str, Any]:
    """One value."""
    return {"test": test, "language": language, "other": other, "kind": kind, "prompt_id": prompt_id, "value": value}


def off_targets(scene: Scene) -> Iterator[dict[str, Any]]:
    """Whether the policy answers in the language that it was asked in; where that cannot be told, null."""
    import polars as pl

    from lidr.transforms.identify import identify

    keys = list(scene.answers)
    texts = pl.Series([scene.answers[key] for key in keys], dtype=pl.String)
    found = identify(texts, (scene.dominant, *scene.others))["language"].to_list()
    for (prompt_id, language), code in zip(keys, found, strict=True):
        yield row("off_target", prompt_id, None if code is None else float(code != language), language)


def length_ratios(scene: Scene) -> Iterator[dict[str, Any]]:
    """How much longer a translation is than its source."""
    import math

    for (prompt_id, source, target), text in scene.translations.items():
        ratio = len(text) / len(scene.answers[prompt_id, source])
        yield row("length_ratio", prompt_id, math.log(ratio), target, source)


def can_referee(config: MeasureConfig) -> bool:
    """Whether reward accuracy is measured."""
    return config.judge is not None or config.gold is not None


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
