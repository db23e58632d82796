"""generate: the current policy answers every prompt in every language.

prompts      bees-1  es  ¿Qué hacen las abejas?
responses    bees-1  es  Las abejas hacen miel.   stop  31  7

With `n` above 1 each prompt has so many answers, told apart by a column `sample`.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING, Any, NamedTuple

from pydantic import Field, model_validator

from lidr.engines import ChatRequest, Message, Sampling
from lidr.recipe import Frozen
from lidr.rows import SAMPLE, Prompt, Response, answer_key
from lidr.steps.answering import ANSWER_FIELDS, Answering, Tally, outside_answers, request_seed
from lidr.steps.local_policy import check_temperature, check_window
from lidr.steps.step_kind import (
    Expected,
    Outcome,
    Policy,
    Scale,
    StepKind,
    StepRun,
    Surroundings,
    by_server,
    identity_of,
)
from lidr.store import ROWS_AT_ONCE, in_tables

if TYPE_CHECKING:
    import pyarrow as pa


class GenerateConfig(Frozen):
    """How the policy answers."""

    max_tokens: int = Field(ge=1)
    """Longest answer, tokens; an answer cut there has finish_reason `length`."""
    temperature: float = Field(0.0, ge=0)
    """0 is greedy."""
    top_p: float = Field(1.0, gt=0, le=1)
    """Nucleus sampling, above temperature 0."""
    repetition_penalty: float = Field(1.0, gt=0)
    """As Hugging Face defines it; 1 is none. The authors used 1.1 here."""
    top_k: int = Field(0, ge=0, exclude_if=lambda value: not value)
    """Above temperature 0: draw from so many of the likeliest tokens; 0 is all."""
    min_p: float = Field(0.0, ge=0, le=1, exclude_if=lambda value: not value)
    """Above temperature 0: draw from tokens at least so many times as likely as the likeliest; 0 is all."""
    presence_penalty: float = Field(0.0, ge=-2, le=2, exclude_if=lambda value: not value)
    """Subtracted from the logits of tokens that the answer holds already; 0 is none."""
    n: int = Field(1, ge=1, le=1024, exclude_if=lambda n: n == 1)
    """Answers to each prompt, each drawn with a seed of its own; more than one needs a temperature above 0."""

    @model_validator(mode="after")
    def _draws_differ(self) -> GenerateConfig:
        if self.n > 1 and self.temperature == 0:
            raise ValueError(f"n: {self.n} answers at temperature 0 are {self.n} times the same; raise temperature")
        return self


def run_generate(run: StepRun) -> Outcome:
    """Ask every prompt in every language, as often as the recipe says, with one engine start. What was thought stands
    beside the answers.
    """
    samples = [None] if run.config.n == 1 else list(range(run.config.n))
    policy = run.inputs[Policy.name].name
    tally, languages = Tally(), LanguageCounts()
    with Answering(run) as answering:
        known = sum(answering.is_known(asked.key) for asked in _asked(run, samples))
        run.progress.start(run.inputs[Prompt.name].rows * len(samples), "requests", done=known)
        answering.ask(_request(run, asked) for asked in _asked(run, samples))
        thinks = answering.have_thoughts(asked.key for asked in _asked(run, samples))
        more = (*(() if samples == [None] else (SAMPLE,)), *(("reasoning", "reasoning_tokens") if thinks else ()))

        def rows() -> Iterator[dict[str, Any]]:
            for asked in _asked(run, samples):
                tally.add(answer := answering.answer(asked.key))
                yield {
                    "prompt_id": asked.prompt_id,
                    "language": asked.language,
                    SAMPLE: asked.sample,
                    "policy": policy,
                    **vars(answer),
                }

        for table in in_tables(rows(), Response.schema_with(more)):
            run.out.data.write(table)
            languages.add(table)
    counts: dict[str, Any] = {"languages": languages.counts}
    counts |= {"unanswered": tally.unanswered} if tally.unanswered else {}
    counts |= {"thoughts": tally.thoughts} if tally.thoughts else {}
    return Outcome(counts, run.progress.rate(), tally.served)


class _Asked(NamedTuple):
    """One prompt in one language, and which of several answers to it."""

    prompt_id: str
    language: str
    text: str
    sample: int | None

    @property
    def key(self) -> str:
        """Of its request and its answer."""
        return answer_key(self.prompt_id, self.language, self.sample)


def _asked(run: StepRun, samples: Sequence[int | None]) -> Iterator[_Asked]:
    """Everything that is asked, in the order of the prompts."""
    for batch in run.inputs[Prompt.name].batches(ROWS_AT_ONCE):
        for row in batch.to_pylist():
            for sample in samples:
                yield _Asked(row["prompt_id"], row["language"], row["text"], sample)


def conversation(system_prompt: str | None, text: str) -> tuple[Message, ...]:
    """The messages of one prompt: the recipe's system prompt, if it has one, and the user's turn."""
    user: Message = {"role": "user", "content": text}
    return (user,) if system_prompt is None else ({"role": "system", "content": system_prompt}, user)


def _request(run: StepRun, asked: _Asked) -> ChatRequest:
    config: GenerateConfig = run.config
    return ChatRequest(
        key=asked.key,
        messages=conversation(run.recipe.system_prompt, asked.text),
        sampling=Sampling(
            max_tokens=config.max_tokens,
            temperature=config.temperature,
            top_p=config.top_p,
            repetition_penalty=config.repetition_penalty,
            top_k=config.top_k,
            min_p=config.min_p,
            presence_penalty=config.presence_penalty,
            seed=request_seed(run.recipe.seed, asked.key),
        ),
    )


class LanguageCounts:
    """Responses by language, table by table, in the order in which the languages come."""

    def __init__(self) -> None:
        self._counts: dict[str, Counter[str]] = {}

    def add(self, table: pa.Table) -> None:
        """Count the rows of one table."""
        import polars as pl

        by_language = (
            pl.DataFrame(table)
            .group_by("language", maintain_order=True)
            .agg(
                responses=pl.len(),
                truncated=(pl.col("finish_reason") == "length").sum(),
                prompt_too_long=(pl.col("finish_reason") == "prompt_too_long").sum(),
                empty=(pl.col("text").str.strip_chars() == "").sum(),
                completion_tokens=pl.col("completion_tokens").sum(),
            )
        )
        for row in by_language.to_dicts():
            self._counts.setdefault(row.pop("language"), Counter()).update(row)

    @property
    def counts(self) -> dict[str, dict[str, int]]:
        """As they stand in a record."""
        return {language: dict(counted) for language, counted in self._counts.items()}


def outside_generate(around: Surroundings, config: GenerateConfig) -> dict[str, Any]:
    """As of every step that asks the policy; an answer must leave room for a prompt."""
    check_window(around, "generate.max_tokens", config.max_tokens)
    check_temperature(around.recipe.runtime.engine, "generate.temperature", config.temperature)
    return outside_answers(around, config)


def expect_generate(config: GenerateConfig, scale: Scale) -> Expected:
    """N (L + 1) requests, each as often as the recipe says."""
    requests = scale.prompts * scale.languages * scale.answers
    return Expected(requests, "requests", requests * config.max_tokens)


STEP = StepKind(
    name="generate",
    config=GenerateConfig,
    reads=(Prompt, Policy),
    writes=Response,
    run=run_generate,
    expects=expect_generate,
    uses=ANSWER_FIELDS,
    outside=outside_generate,
    alone=lambda recipe, config: by_server(recipe, "generate"),
    identity=lambda config: identity_of(config, later=("top_k", "min_p", "presence_penalty", "n")),
    version=2,  # 2: what was thought is no part of an answer
    resumes_since=1,  # stored answers with thoughts in them are asked again
)
