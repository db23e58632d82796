"""The words of judging: what is compared, what one asked order said, and what the verdict is.

Comparison --answer_order--> Orders --question, judge_client, judge_cache--> answers --answer_reading--> Verdict

A preference lies between 1 and 2, as alpaca_eval counts: 1 = output_1 (the reference) is better, 2 = output_2 (the
model) is better, 1.5 = a tie. Not judged is None, with the reason in `error`; it is never a loss.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Any, Literal

from lidr.errors import EvaluationError

JudgeMode = Literal["logprob", "logprob_swap", "text", "score"]

TIE = 1.5


@dataclass(frozen=True)
class Comparison:
    """Two outputs for one instruction.

    Args:
        key: names it among the comparisons of one call; for people and tables, no part of the question.
        instruction: what was asked.
        output_1: the reference's answer.
        output_2: the model's answer.
    """

    key: str
    instruction: str
    output_1: str
    output_2: str


@dataclass(frozen=True)
class Order:
    """One question to the judge: the two outputs in one order, and what came back.

    Args:
        switched: whether output_2 was shown first.
        preference: 1 to 2 after unswitching (2 = output_2 is better), or None with an `error`.
        token: the identifier that the judge preferred, `m` (shown first) or `M` (shown second).
        p: probability of `m`, 0 to 1, before unswitching; None where the mode gives none.
        error: why there is no preference, as "reason: detail".
        cached: whether the answer came from the cache.
        prompt_tokens, completion_tokens: as the server counted; 0 where it did not.
        request_sha256: identity of the question, the key of the cache.
        scores: mode `score`: the two numbers, 0 to 10, of what was shown first and second.
        text: what the judge said, in the modes `text` and `score`.
    """

    switched: bool
    preference: float | None
    token: str | None = None
    p: float | None = None
    error: str | None = None
    cached: bool = False
    prompt_tokens: int = 0
    completion_tokens: int = 0
    request_sha256: str | None = None
    scores: tuple[float, float] | None = None
    text: str | None = None


@dataclass(frozen=True)
class Verdict:
    """What the judge says about one comparison: the mean of its orders, or why there is none.

    With two orders both must have been judged: half of a swap is biased by position, so it is no verdict.
    """

    key: str
    preference: float | None
    error: str | None = None
    identical: bool = False
    """Equal outputs are a tie, and nobody is asked."""
    orders: tuple[Order, ...] = ()

    def as_json(self) -> dict[str, Any]:
        """As stored in the details of a sample; `Verdict.from_json` reads it."""
        return asdict(self)

    @classmethod
    def from_json(cls, data: Mapping[str, Any]) -> Verdict:
        """Read what `as_json` wrote.

        Raises:
            EvaluationError: it is no verdict.
        """
        try:
            orders = tuple(
                Order(**{**order, "scores": tuple(order["scores"]) if order.get("scores") else None})
                for order in data["orders"]
            )
            return cls(**{**data, "orders": orders})
        except (TypeError, KeyError) as error:
            raise EvaluationError(f"no verdict of this lidr ({error}): judge again with `lidr eval judge`") from None
