"""One question to the judge's server: its answer as text for the cache, or an error that is counted."""

from __future__ import annotations

import json
import threading
from collections.abc import Mapping
from typing import Any, NamedTuple

from lidr.engines import ChatClient, NoAnswer, without_own_defaults
from lidr.evals.judge.settings import JudgeSettings
from lidr.retry import Retry
from lidr.secrecy import clean_answer

NO_ANSWER = "no answer"
TOO_LONG = "too long"
REFUSED = "refused"


class Reply(NamedTuple):
    """An answer, or why there is none.

    Args:
        response: the chat completion as JSON text.
        error: "reason: detail".
        cached: it came from the cache.
    """

    response: str | None
    error: str | None = None
    cached: bool = False


class JudgeClient:
    """Asks one server; used by many threads at once."""

    def __init__(self, settings: JudgeSettings, retry: Retry | None = None) -> None:
        """Prepare the connections; nothing is asked yet."""
        self._meeting = threading.Lock()
        self._told: dict[str, Any] | None = {} if settings.digest is not None else None  # lidr's own server has none
        self._client = ChatClient(
            settings.base_url,
            model=settings.model,
            api_key_env=settings.api_key_env,
            at_once=settings.concurrency,
            retry=retry or settings.patience,
            patience="the judge's timeout_s",
        )

    def ask(self, body: Mapping[str, Any], left: threading.Event) -> Reply:
        """Ask until there is an answer; `left` ends the waiting.

        A server that gives what a request does not name a value of its own is told that there is none. That is no part
        of the question's identity, which says how it is meant to be answered.

        Raises:
            Hopeless: the server refuses every question alike.
        """
        with self._meeting:
            if self._told is None and (listed := self._client.listed()) is not None:
                self._told = without_own_defaults(listed.owner)
        found = self._client.ask({**(self._told or {}), **body}, _as_text, left)
        if isinstance(found, NoAnswer):
            return Reply(None, _error(found))
        return Reply(clean_answer(found))

    def meet(self) -> None:
        """Look whether the server is there.

        Raises:
            Hopeless: no server answers there.
        """
        self._client.meet()

    def close(self) -> None:
        """Close the connections."""
        self._client.close()


def _as_text(answer: Any) -> str:
    if not isinstance(answer["choices"][0], dict):
        raise TypeError("choice")
    return json.dumps(answer)


def _error(found: NoAnswer) -> str:
    if found.why in ("faults", "unreadable"):
        return f"{NO_ANSWER}: {found.tries} tries, the last: {found.said}"
    if found.why == "too_long":
        return f"{TOO_LONG}: the question does not fit the judge: {found.said}"
    return f"{REFUSED}: {found.said}{_hint(found.body)}"


def _hint(text: str) -> str:
    """Which setting helps, where the server names a parameter it does not take."""
    if "max_completion_tokens" in text:
        return " (set the judge's token_limit to max_completion_tokens)"
    if "logprobs" in text:
        return " (this server gives no log-probabilities: use the mode text)"
    if "system role" in text.lower():
        return " (this model takes no system message: give the judge a template without one)"
    if "temperature" in text:
        return " (set the judge's temperature to what it takes)"
    return ""
