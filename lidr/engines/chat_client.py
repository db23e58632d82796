"""One question to an OpenAI-compatible server: asked again while the fault may pass, then told why there is no answer.

What is wrong with every question alike (key, address, quota) is Hopeless: the same error for each row helps nobody.
"""

from __future__ import annotations

import json
import os
import re
import threading
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, Literal, TypeVar

import httpx

from lidr.retry import TRANSIENT, Retry

T = TypeVar("T")

# The words of vLLM, SGLang and llama.cpp, and OpenAI's code.
_TOO_LONG = re.compile(r"context[ _](length|size|window)|maximum model length|max_model_len", re.IGNORECASE)
_QUOTA = ("insufficient_quota", "billing_hard_limit_reached")
_ADVICE = {
    401: "the key is missing or wrong: set the environment variable {key}",
    403: "the key in {key} may not use this model",
    404: "no such model or path: check the server's URL (it usually ends in /v1) and the model's served name {model!r}",
}


class Hopeless(Exception):
    """Whatever is asked, the server will refuse it."""


@dataclass(frozen=True)
class NoAnswer:
    """Why one question has no answer.

    Args:
        why: `faults`: each try met a fault that might have passed; `too_long`: it does not fit the model; `refused`.
        said: the last fault, or what the server said, short.
        tries: how often it was asked.
        is_unreachable: the last try met no server.
        body: all that the server said.
    """

    why: Literal["faults", "too_long", "refused"]
    said: str
    tries: int = 1
    is_unreachable: bool = False
    body: str = ""


class _TryAgain(Exception):
    """A fault that may pass; carries the response's headers for Retry-After."""

    def __init__(self, reason: str, headers: httpx.Headers | None = None) -> None:
        super().__init__(reason)
        self.headers = headers or httpx.Headers()


class ChatClient:
    """Asks one server; used by many threads at once. What it tells never holds the key, which some servers repeat."""

    def __init__(self, base_url: str, *, model: str, api_key_env: str, at_once: int, retry: Retry) -> None:
        """Prepare the connections; nothing is asked yet.

        Args:
            base_url: as in http://localhost:8000/v1.
            model: its served name, for messages.
            api_key_env: the environment variable that holds the server's key.
            at_once: most connections.
            retry: patience.
        """
        self.base_url = base_url.rstrip("/")
        self._model, self._api_key_env, self._retry = model, api_key_env, retry
        self._key = os.environ.get(api_key_env, "")
        self._client = httpx.Client(
            headers={"Authorization": f"Bearer {self._key}"} if self._key else {},
            timeout=httpx.Timeout(retry.timeout_s, connect=min(20.0, retry.timeout_s)),
            trust_env=not _is_here(base_url),  # a proxy of the user's does not know this machine's ports
            limits=httpx.Limits(max_connections=at_once, max_keepalive_connections=at_once),
        )

    def ask(self, body: Mapping[str, Any], read: Callable[[Any], T], left: threading.Event) -> T | NoAnswer:
        """Ask until there is an answer; `left` ends the waiting.

        Args:
            body: what is sent.
            read: takes what the answer says out of its JSON; fails with a ValueError, LookupError, TypeError or
                AttributeError on what is no chat completion, which is then asked again.
            left: set when nobody wants the answer any more.

        Raises:
            Hopeless: the server refuses every question alike.
        """
        for attempt in range(1, self._retry.attempts + 1):
            try:
                return self._ask(body, read)
            except _TryAgain as fault:
                last = fault
                if attempt < self._retry.attempts and left.wait(self._retry.wait_s(attempt, fault.headers)):
                    break
        return NoAnswer("faults", str(last), attempt, is_unreachable=isinstance(last.__cause__, httpx.ConnectError))

    def close(self) -> None:
        """Close the connections."""
        self._client.close()

    def without_key(self, text: str) -> str:
        """Take the key out of what a server said."""
        return text.replace(self._key, "***") if self._key else text

    def _ask(self, body: Mapping[str, Any], read: Callable[[Any], T]) -> T | NoAnswer:
        try:
            # Escaped, because answers of models may hold half characters, which are no UTF-8.
            response = self._client.post(
                f"{self.base_url}/chat/completions",
                content=json.dumps(body),
                headers={"Content-Type": "application/json"},
            )
        except httpx.InvalidURL as error:
            raise Hopeless(f"{self.base_url} is not a server's URL ({error}); write http://HOST:PORT/v1") from None
        except httpx.RequestError as error:  # time-outs, refused connections, bodies cut short
            raise _TryAgain(f"{type(error).__name__}: {self.without_key(str(error))}") from error
        if response.status_code >= 400:
            return self._refused(response)
        try:
            return read(response.json())
        except (ValueError, LookupError, TypeError, AttributeError) as error:
            raise _TryAgain(f"the answer is no chat completion: {self._quote(response)}") from error

    def _refused(self, response: httpx.Response) -> NoAnswer:
        status, said = response.status_code, f"HTTP {response.status_code}: {self._quote(response)}"
        advice = _ADVICE.get(status, "").format(key=self._api_key_env, model=self._model)
        if status == 429 and any(word in response.text for word in _QUOTA):
            advice = "the account has no quota left"
        if advice:
            raise Hopeless(f"{self.base_url}: HTTP {status}: {advice}. The server says: {self._quote(response)}")
        if status >= 500 or status in TRANSIENT:
            raise _TryAgain(said, response.headers)
        is_too_long = status in (400, 413) and _TOO_LONG.search(response.text) is not None
        return NoAnswer("too_long" if is_too_long else "refused", said, body=self.without_key(response.text))

    def _quote(self, response: httpx.Response) -> str:
        """What the server said, short."""
        return self.without_key(" ".join(response.text.split()))[:300] or "(nothing)"


def _is_here(url: str) -> bool:
    """Whether a URL names this machine.

    >>> _is_here("http://127.0.0.1:8000/v1"), _is_here("https://api.example.org/v1")
    (True, False)
    """
    host = url.split("//", 1)[-1].split("/", 1)[0].rpartition(":")[0]
    return host in ("127.0.0.1", "localhost", "[::1]")
