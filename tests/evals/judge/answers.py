"""Comparisons, and what a scripted judge says to them."""

from __future__ import annotations

import json
import math
from collections.abc import Callable, Mapping
from typing import Any

from lidr.evals.judge import Comparison, JudgeSettings
from lidr.retry import Retry
from tests.engines.server import Reply, Server

QUICK = Retry(attempts=3, base_s=0.01, cap_s=0.3, timeout_s=1.0)


def comparisons(count: int) -> list[Comparison]:
    """Different instructions, each with two different outputs."""
    return [
        Comparison(f"k{i}", f"What do bees make in week {i}?", f"Honey, {i} jars.", f"Wax, {i} combs.")
        for i in range(count)
    ]


def settings(server: Server, **values: Any) -> JudgeSettings:
    """Of a scripted server; one order and log-probabilities unless told otherwise."""
    return JudgeSettings(**{"model": "judge-1", "base_url": server.url, "mode": "logprob", **values})


def choice(content: str | None, finish_reason: str = "stop", **more: Any) -> dict[str, Any]:
    """A chat completion."""
    message = {"role": "assistant", "content": content}
    return {
        "choices": [{"index": 0, "message": message, "finish_reason": finish_reason, **more}],
        "usage": {"prompt_tokens": 300, "completion_tokens": 1},
    }


def said(logprobs: Mapping[str, float], **reply: Any) -> Reply:
    """An answer of one token with these log-probabilities."""
    top = [{"token": token, "logprob": value, "bytes": None} for token, value in logprobs.items()]
    token = max(logprobs, key=lambda name: logprobs[name])
    content = [{"token": token, "logprob": logprobs[token], "top_logprobs": top}]
    return Reply(body=json.dumps(choice(token, "length", logprobs={"content": content})), **reply)


def likes(share: float) -> Reply:
    """The judge gives `m` this probability."""
    return said({"m": math.log(share), "M": math.log(1 - share), "The": -9.0})


def words(text: str | None, finish_reason: str = "stop") -> Reply:
    """An answer in words, without log-probabilities."""
    return Reply(body=json.dumps(choice(text, finish_reason)))


def refused(status: int, message: str, **reply: Any) -> Reply:
    """An error as OpenAI's servers write it."""
    return Reply(status, json.dumps({"error": {"message": message}}), **reply)


def user_text(body: Mapping[str, Any]) -> str:
    """What the user message of a request says."""
    text: str = body["messages"][-1]["content"]
    return text


def by_week(replies: Mapping[int, list[Reply]], otherwise: Reply) -> Callable[[dict[str, Any], int], Reply]:
    """For each item, by the number in its instruction, its replies in turn, the last one again and again."""
    left = {week: list(queue) for week, queue in replies.items()}

    def reply(body: dict[str, Any], _: int) -> Reply:
        week = int(user_text(body).split("in week ")[1].split("?")[0])
        queue = left.get(week)
        if not queue:
            return otherwise
        return queue.pop(0) if len(queue) > 1 else queue[0]

    return reply
