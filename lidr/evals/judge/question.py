"""A question to the judge as the body of a request, and its identity.

Identity is everything that can change the answer: where it is asked (or which weights answer) and the full body. It is
the key of the cache, so a change of one letter anywhere is a new question.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from lidr.evals.judge.answer_order import orders_asked, shown
from lidr.evals.judge.answer_reading import READING
from lidr.evals.judge.judge_template import Template, comparing_template
from lidr.evals.judge.settings import JudgeSettings
from lidr.evals.judge.verdicts import Comparison, JudgeMode
from lidr.evals.results import JudgeFacts

if TYPE_CHECKING:
    from lidr.engines import Message

_LONGEST: Mapping[JudgeMode, int] = {"logprob": 1, "logprob_swap": 1, "text": 16, "score": 1024}


@dataclass(frozen=True)
class Question:
    """One request.

    Args:
        sha256: its identity.
        body: what is sent.
        switched: whether output_2 is shown first.
    """

    sha256: str
    body: Mapping[str, Any]
    switched: bool = False


def questions(comparison: Comparison, settings: JudgeSettings, template: Template) -> tuple[Question, ...]:
    """What is asked about one comparison: one order, or both, or nothing."""
    orders = orders_asked(comparison, settings.mode, settings.seed)
    return tuple(question(comparison, settings, template, switched=switched) for switched in orders)


def question(comparison: Comparison, settings: JudgeSettings, template: Template, *, switched: bool) -> Question:
    """The question in one order."""
    first, second = shown(comparison, switched=switched)
    values = {"instruction": comparison.instruction, "output_1": first, "output_2": second}
    return as_question(template.fill(values), settings, settings.mode, switched=switched)


def as_question(
    messages: Sequence[Message], settings: JudgeSettings, mode: JudgeMode, *, switched: bool = False
) -> Question:
    """Messages as a request in the way of a mode."""
    decoding = decoding_of(settings, mode)
    limit = decoding.pop("max_tokens")
    body: dict[str, Any] = {
        "model": settings.model,
        "messages": list(messages),
        settings.token_limit: limit,
        **decoding,
    }
    if settings.repeat:
        body["seed"] = settings.repeat
    return Question(_sha256([settings.identity, body]), body, switched)


def decoding_of(settings: JudgeSettings, mode: JudgeMode | None = None) -> dict[str, Any]:
    """How the judge decodes: temperature, max_tokens, and where probabilities are read, logprobs and top_logprobs."""
    mode = mode or settings.mode
    reads_logprobs = mode in ("logprob", "logprob_swap")
    temperature = settings.temperature
    if temperature is None:
        temperature = 1.0 if reads_logprobs else 0.0
    found: dict[str, Any] = {"max_tokens": settings.max_tokens or _LONGEST[mode], "temperature": temperature}
    return found | ({"logprobs": True, "top_logprobs": settings.top_logprobs} if reads_logprobs else {})


def facts_of(settings: JudgeSettings) -> JudgeFacts:
    """What a result says about the judge.

    Raises:
        EvaluationError: the template cannot be read.
    """
    template = comparing_template(settings)
    return JudgeFacts(
        model=settings.shown or settings.model,
        mode=settings.mode,
        template=template.name,
        template_sha256=template.sha256,
        served="server" if settings.digest is None else "local",
        digest=settings.digest,
        seed=settings.seed,
        host=None if settings.digest is not None else settings.base_url.split("//", 1)[1].split("/", 1)[0],
        decoding=decoding_of(settings),
        reading=READING[settings.mode],
    )


def _sha256(value: Any) -> str:
    text = json.dumps(value, ensure_ascii=False, sort_keys=True, separators=(",", ":"))
    return hashlib.sha256(text.encode("utf-8", "surrogatepass")).hexdigest()
