"""implicit: how much likelier the policy finds an answer than the model it was tuned from does (ICR, arXiv 2503.04647).
value = log policy(answer | prompt) - log reference(answer | prompt), sums over the answer's tokens, in nats. The prompt
is the dominant language's, behind a line that names the answer's: there it knows best what it was tuned towards.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any, Literal

from pydantic import Field

from lidr import train
from lidr.errors import PlanError, RowError
from lidr.languages import LANGUAGES
from lidr.recipe import PolicyConfig, ReferenceText
from lidr.steps.score.score_models import BringsModel, identity_of_model, model_at
from lidr.steps.score.scorer import Answer, Scored, Scorer, World, by_one
from lidr.steps.step_kind import Policy, Surroundings

_WHERE = "score.implicit.reference"


class ImplicitScorer(BringsModel):
    """The policy's own preference: its likelihood against that of the model it was tuned from."""

    reference: ReferenceText
    """The model that the first policy was tuned from: org/name on the Hub, ./folder, run:NAME/iter_K/train."""
    revision: str | None = None
    """For a Hub model: a 40-hex commit, or `unpinned` until `lidr lock` fills it."""
    license: str | None = Field(None, exclude_if=lambda value: value is None)
    """The model's licence, for the cards, as the Hub writes it; no identity."""
    prompt: Literal["dominant", "own"] = "dominant"
    """Which prompt an answer follows: the dominant language's, or its own."""
    prefix: str = "Answer in {language}.\n\n"
    """Stands before a dominant prompt, for an answer in another language."""
    max_length: int = Field(2048, ge=8)
    """Prompt plus answer, tokens; longer ones have no value."""

    @property
    def models(self) -> tuple[PolicyConfig, ...]:
        """The reference."""
        return (PolicyConfig(model=self.reference, revision=self.revision),)


def score_implicit(world: World, config: ImplicitScorer, asked: Sequence[Answer]) -> Iterator[Scored]:
    """One pass of each model over the answers, with one model in memory at a time."""
    batches = [[train.AskedLogp(a.key, world.conversation(_prompt(world, config, a)), a.text) for a in batch]
               for batch in world.batches(asked)]  # fmt: skip
    models = (model_at(world.run, config.models[0], _WHERE), world.run.inputs[Policy.name].model)
    before, after = (list(train.answer_logps(model, batches, config.max_length, world.loading)) for model in models)
    if {was.nats == now.nats for was, now in zip(before, after, strict=True) if now.nats is not None} == {True}:
        said = "it is the policy, as both find every answer equally likely; name the model that it was tuned from"
        raise RowError(f"{_WHERE}: {said}")
    for was, now in zip(before, after, strict=True):
        if was.nats is None or now.nats is None:
            yield Scored(world.by_key[now.key], None, now.reason or was.reason)
        else:
            said = f"{now.nats:.6g} - {was.nats:.6g}, {now.tokens} tokens"
            yield Scored(world.by_key[now.key], now.nats - was.nats, said)


def _prompt(world: World, config: ImplicitScorer, answer: Answer) -> str:
    if config.prompt == "own" or answer.language == world.dominant:
        return world.prompts[answer.prompt_id, answer.language]
    prefix = config.prefix.replace("{language}", LANGUAGES[answer.language].name)
    return prefix + world.prompts[answer.prompt_id, world.dominant]


def outside_implicit(around: Surroundings, config: ImplicitScorer) -> dict[str, Any]:
    """What the reference is; the model below the policy's adapter is another one than the policy."""
    policy, files = around.recipe.policy, "files"
    both = [identity_of_model(around, *one) for one in ((config.models[0], _WHERE), (policy, "policy.model"))]
    weights = [{k: v for k, v in one.get(files, {}).items() if k.endswith(".safetensors")} for one in both]
    if both[0] | {files: weights[0]} == both[1] | {files: weights[1]} and policy.adapter is None:
        raise PlanError(f"{_WHERE}: {config.reference} is the policy itself, so every value would be 0: name the other")
    return both[0]


IMPLICIT = Scorer("implicit", ImplicitScorer, score_implicit, reads=(Policy,), outside=outside_implicit, alone=by_one)
