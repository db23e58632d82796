"""The engine of any OpenAI-compatible server. Runs in this process: it holds no model.

A started answer (`prefill`) is sent as a last assistant message with `continue_final_message: true` and
`add_generation_prompt: false`. These two are vLLM's extension of the API, SGLang has the first; a server that refuses
them is asked without. One whose chat template trims messages (Llama 3, Gemma) also trims a prefill's last newline; our
own engines put it back.
"""

from __future__ import annotations

import threading
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import replace
from functools import partial
from queue import SimpleQueue
from typing import Any

import httpx

from lidr.engines.arrivals import LOOK_S, Arrivals
from lidr.engines.chat import cut_at_stop
from lidr.engines.engine import ChatRequest, Completion, Engine, EngineSpec, Failure
from lidr.engines.remote.chat_client import ChatClient, Hopeless, Listed, NoAnswer
from lidr.engines.remote.openai_fields import RequestFields
from lidr.errors import EngineError
from lidr.reasoning import FAMILIES, told_apart
from lidr.retry import Retry
from lidr.rows import FinishReason
from lidr.secrecy import clean_answer
from lidr.tables import THOUGHTS

_FINISH: dict[str, FinishReason] = {
    "stop": "stop",
    "eos_token": "stop",  # text-generation-inference
    "stop_sequence": "stop",
    "length": "length",
    "content_filter": "content_filter",
}
_PATIENCE = "runtime.server_timeout_s; of `lidr eval run` --server-timeout-s"
_HARMLESS = "Hello!"
_TRIES_OF_HARMLESS = 2
_MOST_TOKENS = 2**31 - 1
"""What a row can hold."""


class OpenAIEngine(Engine):
    """Asks a server over HTTP, `spec.batch` requests at a time."""

    def __init__(self, spec: EngineSpec, *, retry: Retry | None = None) -> None:
        """Prepare the connection; nothing is asked yet.

        Raises:
            EngineError: there is no URL, or it holds a password.
        """
        self._spec, self._is_closed = spec, False
        self._fields = RequestFields(spec)
        self._has_answered = False
        self._probing = threading.RLock()
        self._listed: Listed | None = None  # what the server says that the model is; asked once
        self._client = ChatClient(
            _base_url(spec.url),
            model=spec.model,
            api_key_env=spec.api_key_env,
            at_once=spec.batch,
            retry=retry or Retry(timeout_s=spec.timeout_s),
            patience=_PATIENCE,
        )

    def generate(self, requests: Iterable[ChatRequest | None]) -> Iterator[Completion | Failure]:
        """Answer the requests; a stream that is left early asks nothing more.

        Raises:
            EngineError: the server refuses every request alike (401, 403, 404, no quota), or is gone.
        """
        if self._is_closed:
            raise EngineError("this engine is closed")
        results: SimpleQueue[Completion | Failure | Exception | None] = SimpleQueue()
        pending, lock, left = Arrivals(requests), threading.Lock(), threading.Event()

        def work() -> None:
            try:
                while not left.is_set():
                    with lock:
                        some, is_over = pending.take(1, waits=False), pending.is_over
                    if some:
                        results.put(self._answer(some[0], left))
                    elif is_over:
                        break
                    else:
                        left.wait(LOOK_S)
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
            found = self._ask(request, left)
            if isinstance(found, NoAnswer):
                return self._unanswered(request, found, left)
        except Hopeless as error:
            raise EngineError(str(error)) from None
        self._has_answered |= found.finish_reason in ("stop", "length")
        learned = self._fields.learned
        asked = f"(asked with {learned})" if learned else ""
        root = self._listed.root if self._listed else ""
        served_by = " ".join(filter(None, (root, found.served_by, asked)))
        # Some servers repeat the key, and answers are kept and published.
        return replace(
            found,
            text=clean_answer(found.text),
            reasoning=clean_answer(found.reasoning),
            served_by=clean_answer(served_by),
        )

    def _ask(self, request: ChatRequest, left: threading.Event, tries: int | None = None) -> Completion | NoAnswer:
        """Ask, and again where the server's refusal says how it wants to be asked."""
        if self._listed is None:
            self._meet()
        while True:
            body = self._fields.of(request)
            read = partial(_completion, request, parser=self._spec.reasoning_parser)
            found = self._client.ask(body, read, left, tries=tries)
            if not isinstance(found, NoAnswer) or found.why != "refused":
                return found
            if not self._fields.learn(body, found.body) or self._fields.of(request) == body:
                return found

    def _meet(self) -> None:
        """Ask what kind of server it is, and which model it has under this name, which alone tells nothing of that."""
        with self._probing:
            if self._listed is None and (found := self._client.listed()) is not None:
                self._listed = found
                self._fields.meet(found.owner)

    def _unanswered(self, request: ChatRequest, found: NoAnswer, left: threading.Event) -> Completion | Failure:
        """A row with its reason where the prompt is at fault; a failure, to be asked again, where the server is.

        Raises:
            EngineError: it has answered nothing for so long that no further row is asked.
        """
        if found.why == "too_long":
            return Completion(request.key, "", "prompt_too_long", 0, 0)
        if found.why == "filtered":
            return Completion(request.key, "", "content_filter", 0, 0, said=found.said)
        if found.why == "refused":
            with self._probing:
                takes_others = self._has_answered or self._answers_others(request, left)
            if takes_others:
                return Completion(request.key, "", "refused", 0, 0, said=found.said)
        # What could be read before tells nothing here: a gateway in front of the server may have come in between.
        if found.why == "unreadable" and self._answers_others(request, left):
            return Completion(request.key, "", "unreadable", 0, 0, said=found.said)
        if self._client.is_in_vain(found) and (found.is_unreachable or not self._answers_others(request, left)):
            raise EngineError(self._client.given_up(found))
        return Failure(request.key, f"no answer after {found.tries} tries: {found.said}")

    def _answers_others(self, request: ChatRequest, left: threading.Event) -> bool:
        """Whether the server answers the same request with a harmless text in it.

        Raises:
            EngineError: it answers that just as badly, so it is not the prompt that it does not take.
        """
        with self._probing:
            probe = replace(request, messages=(*request.messages[:-1], {"role": "user", "content": _HARMLESS}))
            answer = self._ask(probe, left, _TRIES_OF_HARMLESS)
            if isinstance(answer, Completion):
                self._has_answered = True
                return True
            if answer.why == "refused":
                raise EngineError(
                    f"{self._client.base_url} refuses every request alike, {_HARMLESS!r} too, so nothing was asked "
                    f"further. It says: {answer.said}. Change the setting that it names, or use another server"
                )
            if answer.why == "unreadable" and not left.is_set():
                raise EngineError(
                    f"{self._client.base_url} gives nothing that can be read, not even to {_HARMLESS!r}: "
                    f"{answer.said}. Check the server's URL (it usually ends in /v1); what is finished is kept: then "
                    "run the same command again"
                )
            return False


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


def _completion(request: ChatRequest, answer: Any, *, parser: str = "auto") -> Completion:
    """What a chat completion says. Thoughts that the server has not told from the answer are cut here, by their marks.

    Raises:
        ValueError, LookupError, TypeError, AttributeError: it is none.
    """
    choice, usage = answer["choices"][0], answer.get("usage") or {}
    finish, message = choice.get("finish_reason"), choice["message"]
    prompt_tokens, tokens = (_tokens(usage.get(name)) for name in ("prompt_tokens", "completion_tokens"))
    text = _text(message.get("content"))
    if declined := _text(message.get("refusal")):
        return Completion(request.key, text, "refused", prompt_tokens, tokens, said=f"refusal: {declined[:300]}")
    if finish not in _FINISH:
        said = f"the server ended the answer with finish_reason {repr(finish)[:40]}"
        return Completion(request.key, text, "unreadable", prompt_tokens, tokens, said=said)
    text, found, is_open = _apart(text, parser)
    thoughts = _thoughts(message) or found
    is_open |= bool(thoughts) and not text.strip()  # a server that tells them apart has cut the thought itself
    text, _ = cut_at_stop(_without_prefill(text, request.prefill or ""), request.sampling.stop)
    return Completion(
        key=request.key,
        text=text,
        finish_reason="length" if is_open else _FINISH[finish],
        prompt_tokens=prompt_tokens,
        completion_tokens=tokens,
        said="finish_reason: content_filter" if finish == "content_filter" else "",
        served_by=_stated(answer),
        reasoning=thoughts,
        reasoning_tokens=_tokens((usage.get("completion_tokens_details") or {}).get("reasoning_tokens")),
    )


def _stated(answer: Mapping[str, Any]) -> str:
    """Which model an answer says that it is of: `gpt-4o-2024-08-06 fp_44709d6fcb`."""
    parts = (answer.get("model"), answer.get("system_fingerprint"))
    return " ".join(part[:100] for part in parts if isinstance(part, str) and part)


def _text(content: Any) -> str:
    """The text of a message: plain, nothing, or in parts."""
    if isinstance(content, list):
        return "".join(_text(part["text"]) for part in content if part.get("type", "text") == "text")
    if content is not None and not isinstance(content, str):
        raise TypeError(type(content).__name__)
    return content or ""


def _apart(text: str, parser: str) -> tuple[str, str, bool]:
    """The answer, the thoughts in it, and whether it ended in one."""
    if parser == "none":
        return text, "", False
    return told_apart(text) if parser == "auto" else told_apart(text, (FAMILIES[parser],))


def _thoughts(message: Mapping[str, Any]) -> str:
    """What the server says that the model thought, in a field of its own or in parts of the content."""
    for name in THOUGHTS:
        if isinstance(given := message.get(name), str) and given:
            return given
    content = message.get("content")
    parts = content if isinstance(content, list) else []
    return "".join(_thought(part) for part in parts if part.get("type") in THOUGHTS)


def _thought(part: Mapping[str, Any]) -> str:
    """A part of a content that is a thought: {type: thinking, thinking: [{type: text, text}]} is Mistral's."""
    given = next((part[name] for name in ("text", *THOUGHTS) if part.get(name)), "")
    return given if isinstance(given, str) else _text(given) if isinstance(given, list) else ""


def _tokens(count: Any) -> int:
    """A number of tokens; 0 where the server says none."""
    if count is None:
        return 0
    if not isinstance(count, int) or not 0 <= count <= _MOST_TOKENS:
        raise ValueError(f"{str(count)[:20]} tokens")
    return count


def _without_prefill(text: str, prefill: str) -> str:
    """Cut the start of the answer off where a server repeats it.

    >>> _without_prefill("<t>\\nHallo", prefill="<t>\\n")
    'Hallo'
    """
    core = prefill.rstrip()
    if not core or not text.lstrip().startswith(core):
        return text
    return text.lstrip()[len(core) :].removeprefix(prefill[len(core) :])
