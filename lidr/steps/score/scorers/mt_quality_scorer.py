"""mt_quality: how much is left of an answer, chrF 0-1, after the policy has translated it there and back; or what an
estimator says of it there. It goes through the dominant language, or from that through the first of the others.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping, Sequence

from pydantic import Field

from lidr.engines import ChatRequest, Sampling
from lidr.languages import LANGUAGES
from lidr.recipe import Frozen
from lidr.steps.answering import Answering, outside_answers, request_seed
from lidr.steps.score.classifier import Classifier, logits_of
from lidr.steps.score.score_models import identity_of_model
from lidr.steps.score.scorer import Answer, Scored, Scorer, World
from lidr.steps.step_kind import Policy, by_server
from lidr.transforms import chrf

_WHERE = "score.mt_quality.estimator"
_ONE = "its estimator reads texts, and replicas write them"
Texts = Mapping[Answer, tuple[str, str]]  # each with the language that it is wanted in, or how it was translated


class MtQualityScorer(Frozen):
    """Translation by the policy, there and back, or there for an estimator."""

    max_tokens: int = Field(ge=1)
    """Longest translation, tokens."""
    repetition_penalty: float = Field(1.0, gt=0)
    """1 is none."""
    estimator: Classifier | None = Field(None, exclude_if=lambda value: value is None)
    """A model that reads answer and translation as a pair; its logit is the value, and nothing is translated back."""


def score_mt_quality(world: World, config: MtQualityScorer, asked: Sequence[Answer]) -> Iterator[Scored]:
    """One translation for each answer, and one back without an estimator, kept one by one; a failed one is no value."""
    through = {one: world.languages[1] if one.language == world.dominant else world.dominant for one in asked}
    with Answering(world.run) as answering:
        there = _translated(world, config, answering, "there", {one: (one.text, through[one]) for one in asked})
        whole = {one: text for one, (text, status) in there.items() if status == "ok"}
        home = {} if config.estimator else {one: (text, one.language) for one, text in whole.items()}
        back = _translated(world, config, answering, "back", home)
    for one in asked:
        text, status = back.get(one, there[one])
        if status != "ok":
            yield Scored(one, None, f"{'back' if one in back else 'there'}: {status}")
        elif not config.estimator:
            yield Scored(one, chrf(text, one.text) / 100.0, f"through {through[one]}")
    if config.estimator:
        pairs = [(one.key, (one.text, text)) for one, text in whole.items()]
        for said in logits_of(world, config.estimator, pairs, _WHERE):
            yield said if said.value is None else said._replace(detail=f"through {through[said.answer]}")


def _translated(world: World, config: MtQualityScorer, answering: Answering, way: str, texts: Texts) -> Texts:
    """Each text with how it was translated; one that lacks only its closing tag is whole."""
    from lidr.transforms import PREFILL, parse_translation, translation_messages

    found, requests, settings = {}, {}, config.model_dump(exclude={"estimator"})
    for one, (text, into) in texts.items():
        key, asked = f"{one.key}/{way}", translation_messages(text, LANGUAGES[into].name)[0]["content"]
        sampling = Sampling(**settings, seed=request_seed(world.run.recipe.seed, key), stop=("</translated>",))
        requests[one] = ChatRequest(key, world.conversation(asked), sampling, PREFILL)
    answering.ask_besides(requests.values())
    for one, request in requests.items():
        answer = answering.answer(request.key)
        read = parse_translation(answer.text, answer.finish_reason, texts[one][0])
        found[one] = (read.text, "ok" if read.status == "unclosed_at_end" else read.status)
    return found


MT_QUALITY = Scorer("mt_quality", MtQualityScorer, score_mt_quality, reads=(Policy,),
                    outside=lambda around, config: {**outside_answers(around, config), **(identity_of_model(
                        around, config.estimator.models[0], _WHERE) if config.estimator else {})},
                    alone=lambda recipe, config: [*(why for _, why in by_server(recipe, "")),
                                                  *((_ONE,) if config.estimator else ())],
                    of_policy=lambda config: Counter(translations=1 if config.estimator else 2))  # fmt: skip
