"""Which fields a request to a server has: what the recipe says, and what the server's first refusal taught.

Models differ in what they take. OpenAI's reasoning models refuse `max_tokens` and a temperature, most servers but vLLM
and SGLang a started answer. A refusal of that kind names the field, and then every request goes without it: once for a
server, and told with each answer (`Completion.served_by`).
"""

from __future__ import annotations

import json
import re
import threading
from collections.abc import Mapping
from typing import Any

from lidr.engines.engine import ChatRequest, EngineSpec

MAX_TOKENS, MAX_COMPLETION_TOKENS = "max_tokens", "max_completion_tokens"
_STARTED = "continue_final_message"
_CAN_GO = ("temperature", "top_p", "top_k", "min_p", "presence_penalty")
"""Fields without which an answer is still one: the server then samples as it does by itself."""
_WORDS = ("temperature", "top_p")
"""Of these, names that a message may hold without refusing them; only in quotes they are meant."""
_OWN_DEFAULTS = ("vllm", "sglang", "llamacpp")
"""Servers, by `owned_by` in their lists of models, that give what a request does not name a value of their own: vLLM
and SGLang that of the model's generation_config.json, llama.cpp that of its command line. They are told every value."""
_LLAMA_CPP = "llamacpp"
"""It knows `repetition_penalty` as `repeat_penalty`, reads over what it does not know, and by itself looks at the last
64 tokens alone."""
_REFUSES = re.compile(
    r"unsupported|unrecogni[sz]ed|unknown|not (?:supported|permitted|allowed)|extra inputs", re.IGNORECASE
)
_CANNOT_START = re.compile(
    r"prefill|must end with a user message|continue_final_message|(?:final|last) message (?:does not|must|can)",
    re.IGNORECASE,
)
"""What servers say whose model, or whose chat template, takes no started answer."""


def without_own_defaults(owner: str) -> dict[str, Any]:
    """What a server of this kind has to be told so that nothing but `temperature` bears on an answer; empty of others.

    >>> without_own_defaults("openai"), without_own_defaults("vllm")["repetition_penalty"]
    ({}, 1.0)
    """
    if owner not in _OWN_DEFAULTS:
        return {}
    return {"top_p": 1.0, "top_k": -1, "min_p": 0.0, **_penalty(owner, 1.0)}


def _penalty(owner: str, penalty: float) -> dict[str, Any]:
    if owner == _LLAMA_CPP:
        return {"repeat_penalty": penalty, "repeat_last_n": -1}  # -1: all tokens
    return {"repetition_penalty": penalty}


class RequestFields:
    """The fields of requests to one server; used by many threads at once."""

    def __init__(self, spec: EngineSpec) -> None:
        """Begin with what the recipe says."""
        self._model, self._body = spec.model, dict(spec.body)
        self._lock = threading.Lock()
        self._token_limit = spec.token_limit or MAX_TOKENS
        self._may_rename = spec.token_limit is None
        self._learned: list[str] = []
        self._without = {name for name, value in self._body.items() if value is None}
        self._is_started = True
        self._owner = ""

    def meet(self, owner: str) -> None:
        """Take into account what kind of server it is, by what its list of models says."""
        with self._lock:
            self._owner = owner

    @property
    def learned(self) -> str:
        """What the server's refusals changed, as words; empty if nothing."""
        with self._lock:
            return ", ".join(self._learned)

    def of(self, request: ChatRequest) -> dict[str, Any]:
        """The body of a request."""
        sampling = request.sampling
        with self._lock:
            limit, without, is_started = self._token_limit, set(self._without), self._is_started
            owner = self._owner
        tells_all = owner in _OWN_DEFAULTS
        body: dict[str, Any] = {
            "model": self._model,
            "messages": list(request.messages),
            limit: sampling.max_tokens,
            "temperature": sampling.temperature,
        }
        # Else only what differs from OpenAI's defaults: repetition_penalty is not OpenAI's, and some servers refuse it.
        if sampling.repetition_penalty != 1.0 or tells_all:
            body |= _penalty(owner, sampling.repetition_penalty)
        if sampling.presence_penalty:
            body["presence_penalty"] = sampling.presence_penalty
        if sampling.temperature > 0:
            body |= {"seed": sampling.seed, "top_p": sampling.top_p}
            # Not OpenAI's either, but vLLM's, SGLang's and llama.cpp's.
            if sampling.top_k or tells_all:
                body["top_k"] = sampling.top_k or -1  # all of them
            if sampling.min_p or tells_all:
                body["min_p"] = sampling.min_p
        if sampling.stop:
            body["stop"] = list(sampling.stop)
        if request.prefill and is_started:
            body["messages"].append({"role": "assistant", "content": request.prefill})
            body |= {_STARTED: True, "add_generation_prompt": False}
        return {name: value for name, value in (body | self._body).items() if name not in without}

    def learn(self, refused: Mapping[str, Any], said: str) -> bool:
        """Take a refusal into account; whether the same request is now asked otherwise.

        Args:
            refused: the body that was refused.
            said: what the server answered, JSON or not.
        """
        named, words = _field_of(said)
        with self._lock:
            if MAX_TOKENS in refused and self._may_rename and MAX_COMPLETION_TOKENS in words:
                return self._change(MAX_COMPLETION_TOKENS, is_new=self._token_limit != MAX_COMPLETION_TOKENS)
            if _STARTED in refused and (named == _STARTED or _CANNOT_START.search(words)):
                return self._change("no started answer", is_new=self._is_started)
            if not _REFUSES.search(words):
                return False
            if _STARTED in refused and "add_generation_prompt" in words:
                return self._change("no started answer", is_new=self._is_started)
            usual = ("repetition_penalty",) if refused.get("repetition_penalty") == 1.0 else ()
            for name in (*_CAN_GO, *usual):
                quoted = rf"['\"`]{name}['\"`]" if name in _WORDS else rf"\b{name}\b"
                if name in refused and (named == name or re.search(quoted, words)):
                    return self._change(f"no {name}", is_new=name not in self._without)
        return False

    def _change(self, what: str, *, is_new: bool) -> bool:
        if is_new:  # another thread may have learned it from the same refusal
            self._learned.append(what)
            if what == MAX_COMPLETION_TOKENS:
                self._token_limit = what
            elif what == "no started answer":
                self._is_started = False
            else:
                self._without.add(what.removeprefix("no "))
        return True


def _field_of(said: str) -> tuple[str | None, str]:
    """The field that a refusal names (`param` of OpenAI's errors), and all that it says of why."""
    try:
        error = json.loads(said)["error"]
        param, words = error.get("param"), f"{error.get('code')} {error.get('message')}"
    except (ValueError, LookupError, TypeError, AttributeError, RecursionError):
        return None, said
    return param if isinstance(param, str) else None, words
