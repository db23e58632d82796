"""The engine of any OpenAI-compatible server. Runs in this process: it holds no model.

A started answer (`prefill`) is sent as a last assistant message with `continue_final_message: true` and
`add_generation_prompt: false`. These two are vLLM's extension of the API: OpenAI's own servers refuse them. A server
whose chat template trims messages (Llama 3, Gemma) also trims a prefill's last newline; our own engines put it back.
"""

from __future__ import annotations

import os
import re
import threading
from collections.abc import Iterable, Iterator
from queue import SimpleQueue
from typing import Any

import httpx

from lidr.engines.base import ChatRequest, Completion, Engine, EngineSpec, Failure
from lidr.engines.chat import cut_at_stop
from lidr.errors import EngineError
from lidr.retry import TRANSIENT, Retry
from lidr.rows import FinishReason

# The words of vLLM, SGLang and llama.cpp, and OpenAI's code.
TOO_LONG = re.compile(r"context[ _](length|size|window)|maximum model length|max_model_len", re.IGNORECASE)

_FINISH: dict[str, FinishReason] = {
    "stop": "stop",
    "eos_token": "stop",  # text-generation-inference
    "stop_sequence": "stop",
    "length": "length",
}

ADVICE = {
    401: "the key is missing or wrong: set the environment variable {key}",
    403: "the key in {key} may not use this model",
    404: "no such model or path: check the server's URL (it usually ends in /v1) and the model's served name {model!r}",
}


class _TryAgain(Exception):
    """A fault that may pass; carries the response's headers for Retry-After."""

    def __init__(self, reason: str, headers: httpx.Headers | None = None) -> None:
        super().__init__(reason)
        self.headers = headers or httpx.Headers()


class OpenAIEngine(Engine):
    """Asks a server over HTTP, `spec.batch` requests at a time."""

    def __init__(self, spec: EngineSpec, *, retry: Retry | None = None) -> None:
        """Prepare the connection; nothing is asked yet.

        Raises:
            EngineError: there is no URL, or it holds a password.
        """
        self._spec, self._retry = spec, retry or Retry()
        self._key = os.environ.get(spec.api_key_env, "")
        self._is_closed = False
        self._unreachable = 0  # requests in a row that met no server
        self._client = httpx.Client(
            base_url=_base_url(spec.url),
            headers={"Authorization": f"Bearer {self._key}"} if self._key else {},
            timeout=httpx.Timeout(self._retry.timeout_s, connect=min(20.0, self._retry.timeout_s)),
            limits=httpx.Limits(max_connections=spec.batch),
        )

    def generate(self, requests: Iterable[ChatRequest]) -> Iterator[Completion | Failure]:
        """Answer the requests; a stream that is left early asks nothing more.

        Raises:
            EngineError: the server refuses every request alike (401, 403, 404), or is gone.
        """
        if self._is_closed:
            raise EngineError("this engine is closed")
        results: SimpleQueue[Completion | Failure | Exception | None] = SimpleQueue()
        pending, lock, left = iter(requests), threading.Lock(), threading.Event()

        def work() -> None:
            try:
                while not left.is_set():
                    with lock:
                        request = next(pending, None)
                    if request is None:
                        break
                    results.put(self._answer(request, left))
            except Exception as error:  # also of the iterable; raised where the results are read
                results.put(error)
            results.put(None)

        # Daemons, because a thread that waits for a slow server cannot be ended, and must not delay the exit.
        for _ in range(self._spec.batch):
            threading.Thread(target=work, daemon=True).start()
        try:
            yield from _until_all_ended(results, self._spec.batch)
        finally:
            left.set()

    def close(self) -> None:
        """Ask nothing more and close the connections."""
        self._is_closed = True
        self._client.close()

    def _answer(self, request: ChatRequest, left: threading.Event) -> Completion | Failure:
        for attempt in range(1, self._retry.attempts + 1):
            try:
                return self._ask(request)
            except _TryAgain as fault:
                last = fault
                if attempt < self._retry.attempts and left.wait(self._retry.wait_s(attempt, fault.headers)):
                    break
        self._count_unreachable(last)
        return Failure(request.key, f"no answer after {attempt} tries: {last}")

    def _count_unreachable(self, fault: _TryAgain) -> None:
        """Give up on a server that is gone: with all its tries, each further row would only cost minutes."""
        self._unreachable = self._unreachable + 1 if isinstance(fault.__cause__, httpx.ConnectError) else 0
        if self._unreachable > self._spec.batch:
            raise EngineError(
                f"{self._client.base_url}: no server answers there ({fault}). Finished rows are kept: run the same "
                "command again when it is back"
            )

    def _ask(self, request: ChatRequest) -> Completion | Failure:
        try:
            response = self._client.post("chat/completions", json=_body(request, self._spec.model))
        except httpx.RequestError as error:  # timeouts, refused connections, bodies cut short
            raise _TryAgain(f"{type(error).__name__}: {error}") from error
        self._unreachable = 0
        if response.status_code >= 400:
            return self._refused(request, response)
        try:
            return _completion(request, response.json())
        except (ValueError, LookupError, TypeError, AttributeError) as error:
            raise _TryAgain(f"the answer is no chat completion: {self._quote(response)}") from error

    def _refused(self, request: ChatRequest, response: httpx.Response) -> Completion | Failure:
        status, said = response.status_code, self._quote(response)
        if status >= 500 or status in TRANSIENT:
            raise _TryAgain(f"HTTP {status}: {said}", response.headers)
        if advice := ADVICE.get(status):
            advice = advice.format(key=self._spec.api_key_env, model=self._spec.model)
            raise EngineError(f"{self._client.base_url}: HTTP {status}: {advice}. The server says: {said}")
        if status in (400, 413) and TOO_LONG.search(response.text):
            return Completion(request.key, "", "prompt_too_long", 0, 0)
        return Failure(request.key, f"HTTP {status}: {said}")

    def _quote(self, response: httpx.Response) -> str:
        """What the server said, short, and without the key, which some servers repeat."""
        text = " ".join(response.text.split())
        return (text.replace(self._key, "***") if self._key else text)[:300] or "(nothing)"


def _until_all_ended(
    results: SimpleQueue[Completion | Failure | Exception | None], workers: int
) -> Iterator[Completion | Failure]:
    while workers:
        result = results.get()
        if isinstance(result, Exception):
            raise result
        if result is None:
            workers -= 1
        else:
            yield result


def _base_url(url: str | None) -> str:
    if url is None:
        raise EngineError("the engine 'openai' needs the server's URL, as in openai:MODEL@http://localhost:8000/v1")
    parsed = httpx.URL(url)
    if parsed.scheme not in ("http", "https") or not parsed.host:
        raise EngineError(f"{url!r} is not a server's URL; write http://HOST:PORT/v1")
    if parsed.userinfo:
        raise EngineError(
            f"the URL of {parsed.host} holds a user or password, which would end up in records: remove it"
        )
    return str(parsed.copy_with(path="/v1")) if parsed.path == "/" else url


def _body(request: ChatRequest, model: str) -> dict[str, Any]:
    sampling = request.sampling
    body: dict[str, Any] = {
        "model": model,
        "messages": list(request.messages),
        "max_tokens": sampling.max_tokens,
        "temperature": sampling.temperature,
    }
    # Only what differs from the servers' defaults: repetition_penalty is not OpenAI's, and some servers refuse it.
    if sampling.repetition_penalty != 1.0:
        body["repetition_penalty"] = sampling.repetition_penalty
    if sampling.temperature > 0:
        body |= {"seed": sampling.seed, "top_p": sampling.top_p}
    if sampling.stop:
        body["stop"] = list(sampling.stop)
    if request.prefill:
        body["messages"].append({"role": "assistant", "content": request.prefill})
        body |= {"continue_final_message": True, "add_generation_prompt": False}
    return body


def _completion(request: ChatRequest, answer: Any) -> Completion | Failure:
    choice, usage = answer["choices"][0], answer.get("usage") or {}
    finish = choice.get("finish_reason")
    if finish not in _FINISH:
        return Failure(request.key, f"the server ended the answer with finish_reason {finish!r}")
    text = _without_prefill(choice["message"]["content"] or "", request.prefill or "")
    text, _ = cut_at_stop(text, request.sampling.stop)
    return Completion(
        key=request.key,
        text=text,
        finish_reason=_FINISH[finish],
        prompt_tokens=int(usage.get("prompt_tokens") or 0),
        completion_tokens=int(usage.get("completion_tokens") or 0),
    )


def _without_prefill(text: str, prefill: str) -> str:
    """Cut the start of the answer off where a server repeats it.

    >>> _without_prefill("<t>\\nHallo", prefill="<t>\\n")
    'Hallo'
    """
    core = prefill.rstrip()
    if not core or not text.lstrip().startswith(core):
        return text
    return text.lstrip()[len(core) :].removeprefix(prefill[len(core) :])
