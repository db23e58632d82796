"""reward_model: what a sequence classifier that was trained on preferences says of a prompt and an answer: its logit.
Any model of AutoModelForSequenceClassification with a chat template, from safetensors, without code of its own (CroCo,
arXiv 2605.26293, takes one that was trained on English preferences over a multilingual base).
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from pydantic import Field

from lidr.errors import EngineError
from lidr.recipe import Frozen, PolicyConfig, ReferenceText
from lidr.steps.score.score_models import identity_of_model, model_at
from lidr.steps.score.scorer import Answer, Scored, Scorer, World, by_one
from lidr.worker import serve

_WHERE = "score.reward_model.model"


class RewardModelScorer(Frozen):
    """A sequence classifier that was trained on preferences."""

    model: ReferenceText
    """org/name on the Hub or ./folder: a sequence classifier with a chat template."""
    revision: str | None = None
    """For a Hub model: a 40-hex commit, or `unpinned` until `lidr lock` fills it."""
    license: str | None = Field(None, exclude_if=lambda value: value is None)
    """The model's licence, for the cards, as the Hub writes it; no identity."""
    label: int = Field(0, ge=0)
    """Which of its logits is the reward."""
    max_length: int = Field(4096, ge=8)
    """Prompt plus answer, tokens; longer ones have no value."""

    @property
    def models(self) -> tuple[PolicyConfig, ...]:
        """The classifier."""
        return (PolicyConfig(model=self.model, revision=self.revision),)


def score_reward_model(world: World, config: RewardModelScorer, asked: Sequence[Answer]) -> Iterator[Scored]:
    """One forward pass; each answer follows its own prompt."""
    batches = [[(one.key, world.talk(one)) for one in batch] for batch in world.batches(asked)]
    message = {"model": str(model_at(world.run, config.models[0], _WHERE)), "batches": batches, "label": config.label}
    yield from world.from_worker(__name__, {**message, "max_length": config.max_length})


def handle(message: dict[str, Any]) -> Iterator[Mapping[str, Any]]:
    """The worker's side: load once, then one reply for each batch. Raises EngineError: no chat template or label."""
    import torch
    from transformers import AutoModelForSequenceClassification, AutoTokenizer

    torch.set_num_threads(message["threads"] or torch.get_num_threads())
    trusted = {"local_files_only": True, "trust_remote_code": False}
    tokenizer = AutoTokenizer.from_pretrained(message["model"], **trusted)
    model, loaded = AutoModelForSequenceClassification.from_pretrained(message["model"], use_safetensors=True,
        dtype=getattr(torch, message["dtype"]), output_loading_info=True, **trusted)  # fmt: skip
    model = model.eval().to("cuda" if torch.cuda.is_available() else "cpu")
    if missing := sorted(loaded["missing_keys"]):
        raise EngineError(f"{_WHERE}: {missing[0]} is not among its weights, so it is no trained classifier; name one")
    if not tokenizer.chat_template or message["label"] >= model.config.num_labels:
        raise EngineError(f"{_WHERE}: it has no chat template, or only {model.config.num_labels} labels; name another")
    for batch in message["batches"]:
        found: list[tuple[str, float | None, str]] = []
        for key, talk in batch:  # alone: many classifiers take the wrong token for the last one beside padding
            ids = tokenizer.apply_chat_template(talk, tokenize=True, return_dict=True)["input_ids"]
            if len(ids) > message["max_length"]:
                found.append((key, None, f"over_long: {len(ids):,} tokens of at most {message['max_length']:,}"))
                continue
            with torch.inference_mode():
                logits = model(input_ids=torch.tensor([ids], device=model.device)).logits
            found.append((key, float(logits[0, message["label"]]), f"{len(ids)} tokens"))
        yield {"found": found}


REWARD_MODEL = Scorer("reward_model", RewardModelScorer, score_reward_model, outside=lambda around, config:
                      identity_of_model(around, config.models[0], _WHERE), alone=by_one)  # fmt: skip
if __name__ == "__main__":
    serve(handle)
