"""The engine of any OpenAI-compatible server. Runs in this process: it holds no model.

A started answer (`prefill`) is sent as a last assistant message with `continue_final_message: true` and
`add_generation_prompt: false`. These two are vLLM's extension of the API: OpenAI's own servers refuse them. A server
whose chat template trims messages (Llama 3, Gemma) also trims a prefill's last newline; our own engines put it back.
"""

from __future__ import annotations

import threading
from collections.abc import Iterable, Iterator
from functools import partial
from queue import SimpleQueue
from typing import Any

import httpx

from lidr.engines.chat import cut_at_stop
from lidr.engines.chat_client import ChatClient, Hopeless, NoAnswer
from lidr.engines.engine import ChatRequest, Completion, Engine, EngineSpec, Failure
from lidr.errors import EngineError
from lidr.retry import Retry
from lidr.rows import FinishReason

_FINISH: dict[str, FinishReason] = {
    "stop": "stop",
    "eos_token": "stop",  # text-generation-inference
    "stop_sequence": "stop",
    "length": "length",
}


class OpenAIEngine(Engine):
    """Asks a server over HTTP, `spec.batch` requests at a time."""

    def __init__(self, spec: EngineSpec, *, retry: Retry | None = None) -> None:
        """Prepare the connection; nothing is asked yet.

        Raises:
            EngineError: there is no URL, or it holds a password.
        """
        self._spec, self._is_closed = spec, False
        self._unreachable = 0  # requests in a row that met no server
        self._client = ChatClient(
            _base_url(spec.url),
            model=spec.model,
            api_key_env=spec.api_key_env,
            at_once=spec.batch,
            retry=retry or Retry(),
        )

    def generate(self, requests: Iterable[ChatRequest]) -> Iterator[Completion | Failure]:
        """Answer the requests; a stream that is left early asks nothing more.

        Raises:
            EngineError: the server refuses every request alike (401, 403, 404, no quota), or is gone.
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
        try:
            found = self._client.ask(_body(request, self._spec.model), partial(_completion, request), left)
        except Hopeless as error:
            raise EngineError(str(error)) from None
        self._unreachable = self._unreachable + 1 if isinstance(found, NoAnswer) and found.is_unreachable else 0
        if not isinstance(found, NoAnswer):
            return found
        if found.why == "too_long":
            return Completion(request.key, "", "prompt_too_long", 0, 0)
        if found.why == "refused":
            return Failure(request.key, found.said)
        if self._unreachable > self._spec.batch:  # with all its tries, each further row would only cost minutes
            raise EngineError(
                f"{self._client.base_url}: no server answers there ({found.said}). Finished rows are kept: run the "
                "same command again when it is back"
            )
        return Failure(request.key, f"no answer after {found.tries} tries: {found.said}")


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
