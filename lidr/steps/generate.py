"""generate: the current policy answers every prompt in every language.

prompts      bees-1  es  ¿Qué hacen las abejas?
responses    bees-1  es  Las abejas hacen miel.   stop  31  7
"""

from __future__ import annotations

import pyarrow as pa
from pydantic import Field

from lidr.engines import ChatRequest, Message, Sampling
from lidr.recipe import Frozen
from lidr.rows import Prompt, Response
from lidr.steps.answering import ANSWER_FIELDS, Answering, outside_answers, request_seed
from lidr.steps.step_kind import Expected, Outcome, Policy, Scale, StepKind, StepRun


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


def run_generate(run: StepRun) -> Outcome:
    """Ask every prompt in every language, with one engine start."""
    prompts = run.inputs[Prompt.name].read().to_pylist()
    requests = [_request(run, row["prompt_id"], row["language"], row["text"]) for row in prompts]
    with Answering(run) as answering:
        run.progress.start(len(requests), "requests", done=answering.known(requests))
        answers = answering.ask(requests)
    policy = run.inputs[Policy.name].name
    rows = [
        {
            "prompt_id": row["prompt_id"],
            "language": row["language"],
            "text": (answer := answers[request.key]).text,
            "finish_reason": answer.finish_reason,
            "prompt_tokens": answer.prompt_tokens,
            "completion_tokens": answer.completion_tokens,
            "policy": policy,
        }
        for row, request in zip(prompts, requests, strict=True)
    ]
    table = pa.Table.from_pylist(rows, Response.schema)
    run.out.data.write(table)
    return Outcome(_counts(table), run.progress.rate())


def conversation(system_prompt: str | None, text: str) -> tuple[Message, ...]:
    """The messages of one prompt: the recipe's system prompt, if it has one, and the user's turn."""
    user: Message = {"role": "user", "content": text}
    return (user,) if system_prompt is None else ({"role": "system", "content": system_prompt}, user)


def _request(run: StepRun, prompt_id: str, language: str, text: str) -> ChatRequest:
    config: GenerateConfig = run.config
    key = f"{prompt_id}/{language}"
    return ChatRequest(
        key=key,
        messages=conversation(run.recipe.system_prompt, text),
        sampling=Sampling(
            max_tokens=config.max_tokens,
            temperature=config.temperature,
            top_p=config.top_p,
            repetition_penalty=config.repetition_penalty,
            seed=request_seed(run.recipe.seed, key),
        ),
    )


def _counts(table: pa.Table) -> dict[str, object]:
    import polars as pl

    frame = pl.DataFrame(table)
    by_language = frame.group_by("language", maintain_order=True).agg(
        responses=pl.len(),
        truncated=(pl.col("finish_reason") == "length").sum(),
        prompt_too_long=(pl.col("finish_reason") == "prompt_too_long").sum(),
        empty=(pl.col("text").str.strip_chars() == "").sum(),
        completion_tokens=pl.col("completion_tokens").sum(),
    )
    return {"languages": {row.pop("language"): row for row in by_language.to_dicts()}}


def expect_generate(config: GenerateConfig, scale: Scale) -> Expected:
    """N (L + 1) requests."""
    requests = scale.prompts * scale.languages
    return Expected(requests, "requests", requests * config.max_tokens)


STEP = StepKind(
    name="generate",
    config=GenerateConfig,
    reads=(Prompt, Policy),
    writes=Response,
    run=run_generate,
    expects=expect_generate,
    uses=ANSWER_FIELDS,
    outside=outside_answers,
)
