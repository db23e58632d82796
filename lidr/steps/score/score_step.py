"""score: every answer gets a value of each scorer that the recipe names; the scorers are in `scorers/`.

    - generate: {n: 4, max_tokens: 256, temperature: 0.9}
    - score: {gold: {answers: recipes/prompts/word_problems}, language: {}}
    - pair: {from: scores, by: gold}

responses      bees-1  es  2  Las abejas hacen miel.
answer_scores  bees-1  es  2  language  1.0  es
"""

from __future__ import annotations

import math
import reprlib
from collections import Counter
from collections.abc import Iterator, Mapping
from dataclasses import replace
from numbers import Real
from typing import TYPE_CHECKING, Any

from pydantic import Field, create_model, model_validator

from lidr.errors import PlanError, RowError
from lidr.recipe import Frozen, PolicyConfig, Recipe
from lidr.references import ServerReference, parse_reference
from lidr.rows import SAMPLE, Prompt, Response, RowType
from lidr.steps.evaluate import JudgeConfig, beside_judge
from lidr.steps.local_policy import outside_form
from lidr.steps.policy_files import refuse_unmerged
from lidr.steps.score.classifier import Classifier
from lidr.steps.score.score_rows import REFEREES, AnswerScores
from lidr.steps.score.scorer import Scored, World
from lidr.steps.score.scorers import SCORERS
from lidr.steps.step_kind import (
    ITS_SERVER,
    TEXTS_ALONE,
    Beside,
    Expected,
    Outcome,
    Policy,
    Reading,
    Scale,
    StepKind,
    StepRun,
    Surroundings,
)
from lidr.store import Journal


class _ScorersGiven(Frozen):
    """The scorers, each by its name with its settings; at least one."""

    @model_validator(mode="after")
    def _names_some(self) -> _ScorersGiven:
        if not self.given:
            if self.model_fields_set:
                name = min(self.model_fields_set, key=list(SCORERS).index)
                raise ValueError(f"{name} is named without its settings; write {name}: {{}}")
            raise ValueError(f"name at least one scorer: {', '.join(SCORERS)}; as score: {{language: {{}}}}")
        return self

    @property
    def given(self) -> dict[str, Any]:
        """Scorer -> its settings, of those that the recipe names, in the order of the table."""
        return {name: found for name in SCORERS if (found := getattr(self, name, None)) is not None}

    @property
    def models(self) -> tuple[PolicyConfig, ...]:
        """The models that scorers bring along, for `lidr lock`."""
        return tuple(model for _, model, _ in self.brought)

    @property
    def brought(self) -> tuple[tuple[str, PolicyConfig, str | None], ...]:
        """Of each such model the scorer, which names it in its settings or in one of them, and the licence."""
        parts = ((name, part) for name, config in self.given.items() for part in (config, *dict(config).values()))
        found = ((name, part, model) for name, part in parts for model in getattr(part, "models", ()))
        return tuple((name, model, getattr(part, "license", None)) for name, part, model in found)

    @property
    def engine(self) -> str | None:
        """Who runs them where it is another than usual: no rate of the one holds for the other."""
        named = (getattr(config, "engine", "transformers") for config in self.given.values())
        return next((engine for engine in named if engine != "transformers"), None)


def _first_line(text: str | None) -> str:
    return (text or "").strip().splitlines()[0]


_FIELDS: dict[str, Any] = {
    scorer.name: (
        scorer.config | None,
        Field(None, description=_first_line(scorer.config.__doc__), exclude_if=lambda value: value is None),
    )
    for scorer in SCORERS.values()
}
if TYPE_CHECKING:
    import pyarrow as pa

    ScoreConfig = _ScorersGiven
else:
    ScoreConfig = create_model("ScoreConfig", __base__=_ScorersGiven, __module__=__name__, **_FIELDS)
    ScoreConfig.__doc__ = _ScorersGiven.__doc__


def run_score(run: StepRun) -> Outcome:
    """Ask each scorer for what an earlier try has not kept, and write all values in the order of the answers.

    Raises:
        RowError: a scorer says nothing of an answer, or what is no value, or what it reads does not fit the answers.
    """
    import pyarrow as pa

    world, given = World(run), run.config.given
    found: dict[str, dict[str, Scored]] = {}
    run.progress.start(len(world.answers) * len(given), "values")
    with Journal(run.work / "scores.jsonl") as journal:
        kept = len(journal.rows)
        for name, config in given.items():
            found[name] = _values(world, name, config, journal)
        made = len(journal.rows) - kept
    answers = [*world.answers, *(scored.answer for scored in world.unusable)]
    order = {key: number for number, key in enumerate(_keys(run))}
    for scored in world.unusable:
        for values in found.values():
            values[scored.answer.key] = scored
    rows = [
        {
            "prompt_id": answer.prompt_id,
            "language": answer.language,
            SAMPLE: answer.sample,
            "scorer": name,
            "value": values[answer.key].value,
            "detail": values[answer.key].detail,
        }
        for answer in sorted(answers, key=lambda answer: order[answer.prompt_id, answer.language, answer.sample])
        for name, values in found.items()
    ]
    table = pa.Table.from_pylist(rows, AnswerScores.schema)
    run.out.data.write(table)
    return Outcome({"scorers": list(_summary(table))}, replace(run.progress.rate(), count=made))


def _keys(run: StepRun) -> Iterator[tuple[str, str, int | None]]:
    for row in run.inputs[Response.name].read().to_pylist():
        yield row["prompt_id"], row["language"], row.get(SAMPLE)


def _values(world: World, name: str, config: Any, journal: Journal) -> dict[str, Scored]:
    """Answer's key -> its value, kept ones and new ones."""
    kept = {answer.key: journal.rows.get(f"{name}/{answer.key}") for answer in world.answers}
    found = {
        answer.key: _finite(Scored(answer, row["value"], row["detail"]))
        for answer in world.answers
        if (row := kept[answer.key]) is not None
    }
    world.run.progress.more(0, len(found))
    asked = [answer for answer in world.answers if answer.key not in found]
    for one in SCORERS[name].score(world, config, asked) if asked else ():
        scored = _finite(_checked(name, one))
        if (key := scored.answer.key) not in found:
            journal.add(f"{name}/{key}", {"value": scored.value, "detail": scored.detail})
            found[key] = scored
            world.run.progress.add()
    if missing := [answer.key for answer in asked if answer.key not in found]:
        said = f"it said nothing of {len(missing)} of {len(asked)} answers; the first: {missing[0]}"
        raise RowError(f"score.{name}: {said}. {_YIELDS}")
    return found


_YIELDS = "A scorer yields a Scored for each that is asked for: a number, or None and in detail the reason"


def _checked(name: str, said: Any) -> Scored:
    """What a scorer has said.

    Raises:
        RowError: names the scorer, the answer and what is wrong.
    """
    if not isinstance(said, Scored):
        raise RowError(f"score.{name}: it yields {_shown(said)}, no Scored. {_YIELDS}")
    if fault := _fault(said.value, said.detail):
        raise RowError(f"score.{name}: {said.answer.key}: {fault}. {_YIELDS}")
    return said


def _fault(value: Any, detail: Any) -> str:
    """What is wrong with what was said of an answer; empty where nothing is."""
    if value is not None and not isinstance(value, Real):
        return f"its value is {_shown(value)}, no number"
    if not isinstance(detail, str):
        return f"its detail is {_shown(detail)}, no text"
    return "" if value is not None or detail.strip() else "it has no value, and detail does not say why"


def _shown(value: Any) -> str:
    return f"{reprlib.repr(value)} ({type(value).__name__})"


def _finite(scored: Scored) -> Scored:
    """NaN and infinity, of numbers that overflowed, are no values: they cannot be ranked, or have no margin."""
    if scored.value is None:
        return scored
    try:
        value = float(scored.value)
    except OverflowError:  # a whole number without a float
        value = math.inf
    return scored._replace(value=value) if math.isfinite(value) else Scored(scored.answer, None, "not_finite")


def _summary(table: pa.Table) -> Iterator[dict[str, Any]]:
    """By scorer and language: answers, those without a value and why, mean and standard deviation of the others."""
    import polars as pl

    frame = pl.DataFrame(table)
    for (scorer, language), group in frame.group_by("scorer", "language", maintain_order=True):
        values, missing = group["value"].drop_nulls(), group.filter(pl.col("value").is_null())
        reasons = missing.group_by("detail").len().sort("detail").rows()
        yield {
            "scorer": scorer,
            "language": language,
            "answers": group.height,
            "scored": len(values),
            "mean": values.mean(),
            "deviation": values.std(ddof=0),
            "unscored": [{"reason": reason, "count": count} for reason, count in reasons],
        }


def also_read_score(config: Any) -> tuple[RowType, ...]:
    """What its scorers need."""
    return tuple(dict.fromkeys(rows for name in config.given for rows in SCORERS[name].reads))


def identity_score(config: Any) -> dict[str, Any]:
    """Each scorer's settings, without those that say only where something lies."""
    return {name: SCORERS[name].identity(one) for name, one in config.given.items()}


def outside_score(around: Surroundings, config: Any) -> Mapping[str, Any]:
    """What each scorer reads from outside the store.

    Raises:
        PlanError: a scorer looks into the policy, and that gives texts alone.
    """
    found: dict[str, Any] = {name: dict(SCORERS[name].outside(around, one)) for name, one in config.given.items()}
    for name in config.given:
        if Policy in SCORERS[name].reads and TEXTS_ALONE in SCORERS[name].alone(around.recipe, config.given[name]):
            refuse_unmerged(around, f"score.{name}", "looks into the policy")
            if isinstance(parse_reference(around.recipe.policy.model), ServerReference):
                said = "it looks into the policy, and one behind a server (openai:) gives texts alone; give a folder"
                raise PlanError(f"score.{name}: {said}, or take {name} out")
    if Policy in also_read_score(config):
        found["form"] = outside_form(around)
    return {name: one for name, one in found.items() if one}


def notes_score(recipe: Recipe, config: Any) -> Iterator[str]:
    """Where no later step reads what it writes: which settings would."""
    names = [step.name for step in recipe.chain]
    later = recipe.chain[names.index("score") + 1 :]
    if any(_reads_scores(step.name, step.config, set(config.given)) for step in later):
        return
    scorer = next(iter(config.given))
    yield (
        f"nothing reads its scores. pair: {{from: scores, by: {scorer}}} chooses pairs by them, "
        f"translate: {{best_by: {scorer}}} the answer that is translated, and measure with gold or a judge says how "
        "often each scorer is right; else take score out"
    )


def _reads_scores(name: str, config: Any, scorers: set[str]) -> bool:
    if name != "measure":
        return getattr(config, "from_", "") == "scores" or getattr(config, "best_by", None) is not None
    given = [referee for referee in REFEREES if getattr(config, referee) is not None]
    return bool(given) or any(scorers - {referee} for referee in scorers.intersection(REFEREES))


def expect_score(config: Any, scale: Scale) -> Expected:
    """A value for each answer and scorer."""
    return Expected(scale.prompts * scale.languages * scale.answers * len(config.given), "values")


def beside_score(recipe: Recipe, config: Any, expected: Expected) -> Iterator[Beside]:
    """What models of this machine do for the answers, with the engine where it is another than usual."""
    answers = expected.count // len(config.given)
    for name, one in config.given.items():
        scorer, engine = SCORERS[name], getattr(one, "engine", "transformers")
        units = Counter(passes=sum(by == name for by, _, _ in config.brought))
        yield from beside_judge(recipe, "score", one if isinstance(one, JudgeConfig) else None, answers)
        if ITS_SERVER not in scorer.alone(recipe, one):
            units += scorer.of_policy(one) if scorer.of_policy else Counter(passes=int(Policy in scorer.reads))
        what = f"score: {name}" if engine == "transformers" else f"score: {name} by {engine}"
        reads = _reading(recipe, one) if isinstance(one, Classifier) else None
        yield from (Beside(what, each * answers, unit, reads) for unit, each in units.items() if each)


def _reading(recipe: Recipe, config: Classifier) -> Reading:
    """A prompt and its answer, the prompt taken to be as long as the answer may be."""
    written = (2 * step.config.max_tokens for step in recipe.chain if step.name == "generate")
    longest = min(config.max_length, recipe.runtime.longest or next(written, config.max_length))
    by_vllm = getattr(config, "engine", "transformers") == "vllm"
    return Reading(config.models[0], recipe.policy.dtype, longest, by_vllm)


STEP = StepKind(
    name="score",
    config=ScoreConfig,
    reads=(Prompt, Response),
    also_reads=also_read_score,
    writes=AnswerScores,
    run=run_score,
    expects=expect_score,
    beside=beside_score,
    uses=("languages", "system_prompt", "seed", "policy.dtype", "prompts.id_prefix"),
    outside=outside_score,
    notes=notes_score,
    alone=lambda recipe, config: (
        (f"score.{name}", why) for name, one in config.given.items() for why in SCORERS[name].alone(recipe, one)
    ),
    identity=identity_score,
)
