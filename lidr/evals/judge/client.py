"""One question to an OpenAI-compatible server: tried again while the fault may pass, then an error that is counted.

What is wrong with every question alike (key, address, quota) is Hopeless: 805 times the same error help nobody.
"""

from __future__ import annotations

import json
import os
import threading
from collections.abc import Mapping
from typing import Any, NamedTuple

import httpx

from lidr.engines.openai import ADVICE
from lidr.engines.openai import TOO_LONG as SAYS_TOO_LONG
from lidr.evals.judge.base import JudgeSettings
from lidr.retry import TRANSIENT, Retry

NO_ANSWER = "no answer"
TOO_LONG = "too long"
REFUSED = "refused"

_QUOTA = ("insufficient_quota", "billing_hard_limit_reached")


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


class Hopeless(Exception):
    """Whatever is asked, the server will refuse it."""


class _TryAgain(Exception):
    """A fault that may pass; carries the response's headers for Retry-After."""

    def __init__(self, reason: str, headers: httpx.Headers | None = None) -> None:
        super().__init__(reason)
        self.headers = headers or httpx.Headers()


class JudgeClient:
    """Asks one server; used by many threads at once."""

    def __init__(self, settings: JudgeSettings, retry: Retry | None = None) -> None:
        """Prepare the connections; nothing is asked yet."""
        self._settings = settings
        self._retry = retry or Retry(attempts=settings.retries + 1, timeout_s=settings.patience_s)
        self._key = os.environ.get(settings.api_key_env, "")
        self._client = httpx.Client(
            headers={"Authorization": f"Bearer {self._key}"} if self._key else {},
            timeout=httpx.Timeout(self._retry.timeout_s, connect=min(20.0, self._retry.timeout_s)),
            trust_env=not _is_here(settings.base_url),  # a proxy of the user's does not know this machine's ports
            limits=httpx.Limits(max_connections=settings.concurrency, max_keepalive_connections=settings.concurrency),
        )

    def ask(self, body: Mapping[str, Any], left: threading.Event) -> Reply:
        """Ask until there is an answer; `left` ends the waiting.

        Raises:
            Hopeless: the server refuses every question alike.
        """
        last: _TryAgain | None = None
        for attempt in range(1, self._retry.attempts + 1):
            try:
                return self._ask(body)
            except _TryAgain as fault:
                last = fault
                if attempt < self._retry.attempts and left.wait(self._retry.wait_s(attempt, fault.headers)):
                    break
        return Reply(None, f"{NO_ANSWER}: {attempt} tries, the last: {last}")

    def close(self) -> None:
        """Close the connections."""
        self._client.close()

    def _ask(self, body: Mapping[str, Any]) -> Reply:
        try:
            # Escaped, because answers of models may hold half characters, which are no UTF-8.
            response = self._client.post(
                f"{self._settings.base_url}/chat/completions",
                content=json.dumps(body),
                headers={"Content-Type": "application/json"},
            )
        except httpx.InvalidURL as error:
            raise Hopeless(
                f"{self._settings.base_url} is not a server's URL ({error}); write http://HOST:PORT/v1"
            ) from None
        except httpx.RequestError as error:  # time-outs, refused connections, bodies cut short
            raise _TryAgain(f"{type(error).__name__}: {self._without_key(str(error))}") from error
        if response.status_code >= 400:
            return self._refused(response)
        try:
            answer = response.json()
            if not isinstance(answer["choices"][0], dict):
                raise TypeError("choice")
        except (ValueError, LookupError, TypeError) as error:
            raise _TryAgain(f"the answer is no chat completion: {self._quote(response)}") from error
        return Reply(self._without_key(json.dumps(answer)))

    def _refused(self, response: httpx.Response) -> Reply:
        status, said = response.status_code, self._quote(response)
        if status == 429 and any(word in response.text for word in _QUOTA):
            raise Hopeless(
                f"{self._settings.base_url}: HTTP 429: the account has no quota left. The server says: {said}"
            )
        if status >= 500 or status in TRANSIENT:
            raise _TryAgain(f"HTTP {status}: {said}", response.headers)
        if advice := ADVICE.get(status):
            advice = advice.format(key=self._settings.api_key_env, model=self._settings.model)
            raise Hopeless(f"{self._settings.base_url}: HTTP {status}: {advice}. The server says: {said}")
        if status in (400, 413) and SAYS_TOO_LONG.search(response.text):
            return Reply(None, f"{TOO_LONG}: the question does not fit the judge: {said}")
        return Reply(None, f"{REFUSED}: HTTP {status}: {said}{_hint(response.text)}")

    def _quote(self, response: httpx.Response) -> str:
        """What the server said, short."""
        return self._without_key(" ".join(response.text.split()))[:300] or "(nothing)"

    def _without_key(self, text: str) -> str:
        """Some servers repeat the key."""
        return text.replace(self._key, "***") if self._key else text


def _is_here(url: str) -> bool:
    """Whether a URL names this machine.

    >>> _is_here("http://127.0.0.1:8000/v1"), _is_here("https://api.example.org/v1")
    (True, False)
    """
    host = url.split("//", 1)[-1].split("/", 1)[0].rpartition(":")[0]
    return host in ("127.0.0.1", "localhost", "[::1]")


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
