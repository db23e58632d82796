"""One question to an OpenAI-compatible server: asked again while the fault may pass, then told why there is no answer.

What is wrong with every question alike (key, address, quota) is Hopeless: the same error for each row helps nobody.
What a server sends is bounded and never trusted: a body that is too large, or no chat completion, is a
fault of that one question.
"""

from __future__ import annotations

import itertools
import json
import os
import re
import threading
import time
import zlib
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import PurePath
from typing import Any, Literal, NamedTuple, TypeVar

import httpx

from lidr.engines.remote.server_silence import Silence
from lidr.retry import TRANSIENT, Retry
from lidr.secrecy import keep_secret, without_secrets

T = TypeVar("T")

MOST_BYTES = 64 * 2**20
"""Largest answer that is read, unpacked: 32,000 tokens with 20 log-probabilities each are about that."""
_AT_ONCE = 2**20
_FIRST_CONTACT_S = 4.0
"""How long a server that has never answered may be away; one that has answered gets all tries."""
_CONNECT_S = 20.0
"""How long one that has answered may take to take a connection: it may be busy."""
_IN_VAIN = 8
"""So many requests in a row without an answer, and more than are asked at once, are no fault of theirs."""
_NOBODY_THERE = (httpx.ConnectError, httpx.ConnectTimeout)

# The words of vLLM, SGLang and llama.cpp, and OpenAI's code.
_TOO_LONG = re.compile(r"context[ _](length|size|window)|maximum model length|max_model_len", re.IGNORECASE)
# OpenAI's and Azure's codes, and the sentence of Azure's servers.
_FILTERED = re.compile(r"content_filter|content_policy|content management policy", re.IGNORECASE)
_QUOTA = re.compile(r"insufficient_quota|billing_hard_limit_reached")
_ADVICE = {
    401: "the key is missing or wrong: set the environment variable {key}",
    402: "the account cannot pay for it",
    403: "the key in {key} may not use this model",
    404: "no such model or path: check the server's URL (it usually ends in /v1) and the model's served name {model!r}",
}

Why = Literal["faults", "unreadable", "too_long", "filtered", "refused"]


class Hopeless(Exception):
    """Whatever is asked, the server will refuse it."""


@dataclass(frozen=True)
class NoAnswer:
    """Why one question has no answer.

    Args:
        why: `faults`: each try met a fault that might have passed; `unreadable`: what came was no chat completion, each
            time; `too_long`: the question does not fit the model; `filtered`: a content filter took it; `refused`.
        said: the last fault, or what the server said, short.
        tries: how often it was asked.
        is_unreachable: the last try met no server.
        body: all that the server said.
    """

    why: Why
    said: str
    tries: int = 1
    is_unreachable: bool = False
    body: str = ""


class Listed(NamedTuple):
    """What a server's list of models says of one.

    Args:
        root: what the server has under the model's name (`root` of vLLM's list), of a path the last part; else empty.
        owner: `owned_by`, which names the kind of many servers; else empty.
    """

    root: str = ""
    owner: str = ""


class _TryAgain(Exception):
    """A fault that may pass; carries the response's headers for Retry-After."""

    def __init__(self, reason: str, headers: httpx.Headers | None = None, *, is_unreadable: bool = False) -> None:
        super().__init__(reason)
        self.headers, self.is_unreadable = headers or httpx.Headers(), is_unreadable


class ChatClient:
    """Asks one server; used by many threads at once. What it tells never holds the key, which some servers repeat."""

    def __init__(
        self, base_url: str, *, model: str, api_key_env: str, at_once: int, retry: Retry, patience: str
    ) -> None:
        """Prepare the connections; nothing is asked yet.

        Args:
            base_url: as in http://localhost:8000/v1.
            model: its served name, for messages.
            api_key_env: the environment variable that holds the server's key.
            at_once: most connections.
            retry: patience.
            patience: the user's setting for its `timeout_s`, for messages.
        """
        self.base_url = base_url.rstrip("/")
        self._model, self._api_key_env, self._retry = model, api_key_env, retry
        self._key = os.environ.get(api_key_env, "")
        keep_secret(self._key)
        self._has_met = False
        self._in_vain, self._at_once = 0, at_once  # requests in a row that met faults alone
        self._patience = patience
        self._silence = Silence(self.base_url, retry, patience)
        self._client = httpx.Client(
            headers={"Authorization": f"Bearer {self._key}"} if self._key else {},
            trust_env=not _is_here(base_url),  # a proxy of the user's does not know this machine's ports
            limits=httpx.Limits(max_connections=at_once, max_keepalive_connections=at_once),
        )

    def ask(
        self, body: Mapping[str, Any], read: Callable[[Any], T], left: threading.Event, *, tries: int | None = None
    ) -> T | NoAnswer:
        """Ask until there is an answer; `left` ends the waiting.

        Args:
            body: what is sent.
            read: takes what the answer says out of its JSON; fails with a ValueError, LookupError, TypeError,
                AttributeError or ArithmeticError on what is no chat completion, which is then asked again.
            left: set when nobody wants the answer any more.
            tries: in all, where that is not what `retry` says.

        Raises:
            Hopeless: the server refuses every question alike.
        """
        with self._silence.waiting() as heard:
            found = self._ask_patiently(body, read, left, tries or self._retry.attempts)
            is_in_vain = isinstance(found, NoAnswer) and found.why in ("faults", "unreadable")
            self._in_vain = self._in_vain + 1 if is_in_vain else 0
            if not is_in_vain:
                heard()
        return found

    def is_in_vain(self, found: NoAnswer) -> bool:
        """Whether so many requests in a row met faults alone, this one the last, that each further one would only cost
        minutes.
        """
        return self._in_vain > (self._at_once if found.is_unreachable else max(self._at_once, _IN_VAIN))

    def given_up(self, found: NoAnswer) -> str:
        """What is said of a server that is asked in vain."""
        if found.is_unreachable:
            return (
                f"{self.base_url}: no server answers there ({found.said}). Finished rows are kept: run the same "
                "command again when it is back"
            )
        return (
            f"{self.base_url}: {self._in_vain:,} requests in a row got no answer, each asked {found.tries} times; the "
            f"last: {found.said}. Finished rows are kept: run the same command again when the server is well; one that "
            f"is only slow needs more time for an answer ({self._patience})"
        )

    def _ask_patiently(
        self, body: Mapping[str, Any], read: Callable[[Any], T], left: threading.Event, tries: int
    ) -> T | NoAnswer:
        is_unreadable, began = True, time.monotonic()
        for attempt in range(1, tries + 1):
            try:
                return self._ask(body, read)
            except _TryAgain as fault:
                # Its words alone: an error keeps its frames, and with them the body that it is about.
                said, is_unreachable = str(fault), isinstance(fault.__cause__, _NOBODY_THERE)
                self._silence.met(said)
                if is_unreachable and not self._has_met and time.monotonic() - began >= _FIRST_CONTACT_S:
                    raise Hopeless(
                        f"{self.base_url}: no server answers there ({said}). Start it, or mend the address; what is "
                        "finished is kept: then run the same command again"
                    ) from None
                is_unreadable &= fault.is_unreadable
                wait_s = self._retry.wait_s(attempt, fault.headers)
                if is_unreachable and not self._has_met:
                    wait_s = min(wait_s, max(_FIRST_CONTACT_S - (time.monotonic() - began), 0.1))
                if attempt < tries and left.wait(wait_s):
                    is_unreadable = False  # nobody waited for all tries
                    break
        return NoAnswer("unreadable" if is_unreadable else "faults", said, attempt, is_unreachable)

    def meet(self) -> None:
        """Wait until the server says anything at all, whatever it says; nothing is asked of the model.

        Raises:
            Hopeless: no server answers there.
        """
        began = time.monotonic()
        for attempt in itertools.count(1):
            try:
                self._exchange("GET", "models")
                return
            except _TryAgain as fault:
                if not isinstance(fault.__cause__, _NOBODY_THERE):
                    return
                if (left := _FIRST_CONTACT_S - (time.monotonic() - began)) <= 0:
                    raise Hopeless(f"{self.base_url}: no server answers there ({fault})") from None
                time.sleep(min(left, self._retry.wait_s(attempt, fault.headers)))

    def listed(self) -> Listed | None:
        """What the server's list of models says of this one and of itself; None where no server is there."""
        try:
            with self._silence.waiting() as heard:
                _, _, content = self._exchange("GET", "models")
                heard()
            models = json.loads(content)["data"]
            owner = models[0].get("owned_by")  # one server, also where it takes any name, as llama.cpp's does
            root = next((one.get("root") for one in models if one["id"] == self._model), None)
        except _TryAgain as fault:
            return None if isinstance(fault.__cause__, _NOBODY_THERE) else Listed()
        except (Hopeless, ValueError, LookupError, TypeError, AttributeError, RecursionError):
            return Listed()
        owner = owner if isinstance(owner, str) else ""
        if not isinstance(root, str) or root == self._model:
            return Listed("", owner)
        return Listed(PurePath(root).name if PurePath(root).is_absolute() else root[:100], owner)

    def close(self) -> None:
        """Close the connections."""
        self._client.close()

    def _without_key(self, text: str) -> str:
        """Take the key, and whatever else is known as secret, out of what a server said that is no answer."""
        return without_secrets(text, self._key)

    def _ask(self, body: Mapping[str, Any], read: Callable[[Any], T]) -> T | NoAnswer:
        # Escaped, because answers of models may hold half characters, which are no UTF-8.
        status, headers, content = self._exchange("POST", "chat/completions", json.dumps(body))
        if status >= 400:
            return self._refused(status, headers, content)
        try:
            return read(json.loads(content))
        except (ValueError, LookupError, TypeError, AttributeError, ArithmeticError, RecursionError) as error:
            said = f"the answer is no chat completion: {self._quote(content)}"
            raise _TryAgain(said, is_unreadable=True) from error

    def _exchange(self, method: str, path: str, body: str | None = None) -> tuple[int, httpx.Headers, str]:
        """Status, headers and text of an answer, of which no more is read than is wanted."""
        until = time.monotonic() + self._retry.timeout_s
        headers = {"Content-Type": "application/json", "Accept-Encoding": "identity"}
        connect_s = min(_CONNECT_S if self._has_met else _FIRST_CONTACT_S, self._retry.timeout_s)
        how: dict[str, Any] = {"headers": headers, "timeout": httpx.Timeout(self._retry.timeout_s, connect=connect_s)}
        try:
            with self._client.stream(method, f"{self.base_url}/{path}", content=body, **how) as response:
                self._has_met = True
                content = bytearray()
                for chunk in _unpacked(response):
                    content += chunk
                    if len(content) > MOST_BYTES:
                        content.clear()  # the error outlives it
                        raise _TryAgain(f"the answer has more than {MOST_BYTES:,} bytes", is_unreadable=True)
                    if time.monotonic() > until:
                        raise _TryAgain(f"the answer was not complete after {self._retry.timeout_s:g} s")
                return response.status_code, response.headers, content.decode("utf-8", "replace")
        except httpx.InvalidURL as error:
            raise Hopeless(f"{self.base_url} is not a server's URL ({error}); write http://HOST:PORT/v1") from None
        except zlib.error as error:
            raise _TryAgain(f"the answer is not packed as its header says: {error}", is_unreadable=True) from error
        except httpx.RequestError as error:  # time-outs, refused connections, bodies cut short
            raise _TryAgain(f"{type(error).__name__}: {self._without_key(str(error))}") from error

    def _refused(self, status: int, headers: httpx.Headers, content: str) -> NoAnswer:
        said = f"HTTP {status}: {self._quote(content)}"
        advice = _ADVICE.get(status, "").format(key=self._api_key_env, model=self._model)
        if status in (400, 403, 451) and _FILTERED.search(content):
            return NoAnswer("filtered", said, body=self._without_key(content))
        if _QUOTA.search(content):
            advice = "the account has no quota left"
        if advice:
            raise Hopeless(f"{self.base_url}: HTTP {status}: {advice}. The server says: {self._quote(content)}")
        if status >= 500 or status in TRANSIENT:
            raise _TryAgain(said, headers)
        is_too_long = status in (400, 413) and _TOO_LONG.search(content) is not None
        return NoAnswer("too_long" if is_too_long else "refused", said, body=self._without_key(content))

    def _quote(self, content: str) -> str:
        """What the server said, short."""
        return self._without_key(" ".join(content[:5000].split()))[:300] or "(nothing)"


def _unpacked(response: httpx.Response) -> Iterator[bytes]:
    """The body in parts; of one that is packed unasked, no more is unpacked than is read."""
    packing = response.headers.get("content-encoding", "identity").strip().lower()
    if packing in ("gzip", "x-gzip", "deflate"):
        unpack = zlib.decompressobj(wbits=47)  # either of both
        for packed in response.iter_raw():
            while packed:
                yield unpack.decompress(packed, _AT_ONCE)
                packed = unpack.unconsumed_tail
    elif packing == "identity":
        yield from response.iter_raw()
    else:
        raise _TryAgain(f"the answer is packed, though nobody asked for that ({packing[:40]})", is_unreadable=True)


def _is_here(url: str) -> bool:
    """Whether a URL names this machine.

    >>> _is_here("http://127.0.0.1:8000/v1"), _is_here("https://api.example.org/v1")
    (True, False)
    """
    host = url.split("//", 1)[-1].split("/", 1)[0].rpartition(":")[0]
    return host in ("127.0.0.1", "localhost", "[::1]")
