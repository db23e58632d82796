"""mt_quality: how much of an answer is left, chrF 0-1, after the policy has translated it there and back.

It goes through the dominant language, or from that through the first of the others. Plain answers survive best.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from pydantic import Field

from lidr.engines import ChatRequest, Sampling
from lidr.languages import LANGUAGES
from lidr.recipe import Frozen
from lidr.steps.answering import Answering, outside_answers, request_seed
from lidr.steps.score.scorer import Answer, Scored, Scorer, World
from lidr.steps.step_kind import Policy, by_server
from lidr.transforms import chrf


class MtQualityScorer(Frozen):
    """Round-trip translation by the policy."""

    max_tokens: int = Field(ge=1)
    """Longest translation, tokens."""
    repetition_penalty: float = Field(1.0, gt=0)
    """1 is none."""


def score_mt_quality(world: World, config: MtQualityScorer, asked: Sequence[Answer]) -> Iterator[Scored]:
    """Two translations for each answer, kept one by one; one that fails gives no value."""
    through = {one: world.languages[1] if one.language == world.dominant else world.dominant for one in asked}
    with Answering(world.run) as answering:
        there = {one: _request(world, config, one, "there", one.text, through[one]) for one in asked}
        answering.ask_besides(there.values())
        moved = _parsed(there, answering, {one: one.text for one in asked})
        whole = {one: text for one, (text, status) in moved.items() if status == "ok"}
        back = {one: _request(world, config, one, "back", text, one.language) for one, text in whole.items()}
        answering.ask_besides(back.values())
        returned = _parsed(back, answering, whole)
    for one in asked:
        text, status = returned.get(one, moved[one])
        said = f"through {through[one]}" if status == "ok" else f"{'back' if one in returned else 'there'}: {status}"
        yield Scored(one, chrf(text, one.text) / 100.0 if status == "ok" else None, said)


def _request(world: World, config: MtQualityScorer, one: Answer, way: str, text: str, into: str) -> ChatRequest:
    from lidr.transforms import PREFILL, translation_messages

    key = f"{one.key}/{way}"
    return ChatRequest(
        key=key,
        messages=world.conversation(translation_messages(text, LANGUAGES[into].name)[0]["content"]),
        sampling=Sampling(
            max_tokens=config.max_tokens,
            repetition_penalty=config.repetition_penalty,
            seed=request_seed(world.run.recipe.seed, key),
            stop=("</translated>",),
        ),
        prefill=PREFILL,
    )


def _parsed(
    requests: Mapping[Answer, ChatRequest], answering: Answering, sources: Mapping[Answer, str]
) -> dict[Answer, tuple[str, str]]:
    """Text and status of each translation; one that lacks only its closing tag is whole."""
    from lidr.transforms import parse_translation

    found: dict[Answer, Any] = {}
    for one, request in requests.items():
        answer = answering.answer(request.key)
        read = parse_translation(answer.text, answer.finish_reason, sources[one])
        found[one] = (read.text, "ok" if read.status == "unclosed_at_end" else read.status)
    return found


MT_QUALITY = Scorer("mt_quality", MtQualityScorer, score_mt_quality, reads=(Policy,), outside=outside_answers,
                    alone=lambda recipe, config: (why for _, why in by_server(recipe, "")))  # fmt: skip
