"""latent: how near an answer is, inside the policy, to the policy's answers in the dominant language (LaCoMSA).
similarity   mean cosine of its state, the mean over its tokens, at a middle layer with those of dominant answers
gap          last-layer cosine with the mean of the slot's answers - that with the mean of dominant ones - similarity
value        similarity * sigmoid(alpha * gap) ^ gamma: not to prefer what is near for being in the dominant language
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from pydantic import Field

from lidr import train
from lidr.errors import EngineError
from lidr.recipe import Frozen
from lidr.steps.score.scorer import Answer, Scored, Scorer, World, by_one
from lidr.steps.step_kind import Policy
from lidr.worker import serve


class LatentScorer(Frozen):
    """Nearness to the dominant language's answers, by the policy's own hidden states."""

    layer: int | None = Field(None, ge=1)
    """Layer of the similarity, 1 the first; null: half of the model's layers."""
    alpha: float = 0.5
    """Slope of the language weight; gamma is its exponent, 0 leaves it out."""
    gamma: float = Field(1.0, ge=0)
    """See alpha."""
    most: int = Field(20, ge=1)
    """Dominant answers to a prompt that are compared with, the first by number."""
    max_length: int = Field(2048, ge=8)
    """Prompt plus answer, tokens; longer ones have no value."""


def score_latent(world: World, config: LatentScorer, asked: Sequence[Answer]) -> Iterator[Scored]:
    """One pass over all answers: each value rests on others. Dominant answers are not compared with themselves."""
    named = [[(a.key, world.talk(a)[:-1], a.text) for a in batch] for batch in world.batches(world.answers)]
    facts = {a.key: (a.prompt_id, a.language) for a in world.answers}
    said: dict[str, Any] = {"batches": named, "facts": facts, "dominant": world.dominant, **config.model_dump()}
    yield from world.from_worker(__name__, {**said, "model": str(world.run.inputs[Policy.name].model)})


def handle(message: dict[str, Any]) -> Iterator[Mapping[str, Any]]:
    """The worker's side; values come when every answer's state is known."""
    import torch

    model, encode = train.load_to_look_at(message)
    depth = model.config.get_text_config().num_hidden_layers
    if (layer := message["layer"] or depth // 2) > depth:
        raise EngineError(f"score.latent.layer: {layer}, and the policy has {depth} layers; name one of these")
    groups, encoded = dict[Any, list[Any]](), [one for batch in message["batches"] for one in encode(batch)]
    for key, prompt, answer, _ in (one for one in encoded if not one[3]):
        seen = model(torch.tensor([prompt + answer], device=model.device), output_hidden_states=True, logits_to_keep=1)
        states = (seen.hidden_states[at][0, len(prompt) :].float().mean(0).cpu() for at in (layer, -1))
        groups.setdefault(tuple(message["facts"][key]), []).append((key, *states))
    for (prompt_id, _), own in groups.items():
        compared = groups.get((prompt_id, message["dominant"]), [])[: message["most"]]
        yield {"found": list(latent_values(own, compared, message["alpha"], message["gamma"]))}
    yield {"found": [(key, None, reason) for key, _, _, reason in encoded if reason]}


def latent_values(own: list[Any], dominant: list[Any], alpha: float, gamma: float) -> Iterator[tuple[str, Any, str]]:
    """(key, value, detail) of a prompt's answers in one language; an answer is (key, its middle and last state)."""
    from torch.nn.functional import cosine_similarity as cosine

    centre, other_centre = (sum(last for _, _, last in some) / max(len(some), 1) for some in (own, dominant))
    for key, middle, last in own:
        if near := [cosine(middle, other, 0) for name, other, _ in dominant if name != key]:
            alike = sum(near) / len(near)
            gap = cosine(last, centre, 0) - cosine(last, other_centre, 0) - alike
            yield key, float(alike * (alpha * gap).sigmoid() ** gamma), f"similarity {alike:.4f}, gap {gap:.4f}"
        else:
            yield key, None, "no_dominant_answer"


LATENT = Scorer("latent", LatentScorer, score_latent, reads=(Policy,), alone=by_one)
if __name__ == "__main__":
    serve(handle)
