"""The engine of tests and rehearsals: canned answers, no model.

A script is a file of JSON lines. The first rule that fits answers; a rule without `match` fits everything:

    {"match": "What do bees make?", "text": "Honey and wax."}
    {"match": "into Spanish:.*honey", "text": "Miel y cera.\\n</translated>"}
    {"match": "Tell me everything", "text": "Well, first of", "finish_reason": "length", "delay_s": 0.2}
    {"match": "^Fail", "error": "the server is on fire"}
    {"text": "I do not know."}
"""

from __future__ import annotations

import json
import re
import time
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, get_args

from lidr.engines.chat import cut_at_stop
from lidr.engines.engine import ChatRequest, Completion, Engine, EngineSpec, Failure
from lidr.errors import EngineError
from lidr.rows import FinishReason

Answer = Callable[[ChatRequest], "str | Completion | Failure"]


@dataclass(frozen=True)
class Rule:
    """One line of a script.

    Args:
        match: the last user message in full, or a regular expression that is found in it (`.` matches newlines); None
            fits every message.
        text: the answer, without the request's prefill.
        finish_reason: as in a completion.
        error: if given, the request fails with it.
        delay_s: seconds that the answer takes.
    """

    match: str | None = None
    text: str = ""
    finish_reason: FinishReason = "stop"
    error: str | None = None
    delay_s: float = 0.0

    def fits(self, message: str) -> bool:
        """Say whether this rule answers the message."""
        if self.match is None or self.match == message:
            return True
        try:
            return re.search(self.match, message, re.DOTALL) is not None
        except re.error:  # a text such as "What is (a" is no pattern; it is compared as text, above
            return False

    def answer(self, request: ChatRequest) -> Completion | Failure:
        """Answer as this rule says."""
        time.sleep(self.delay_s)
        if self.error is not None:
            return Failure(request.key, self.error)
        return _completion(request, self.text, self.finish_reason)


class ScriptedEngine(Engine):
    """Answers from a function; tokens are words between white space."""

    def __init__(self, answer: Answer, *, delay_s: float = 0.0) -> None:
        """Answer each request, in order, by calling `answer`, `delay_s` seconds apart."""
        self._answer, self._delay_s = answer, delay_s

    @classmethod
    def of(cls, spec: EngineSpec) -> ScriptedEngine:
        """Answer by the rules of the file that is the specification's model."""
        return cls.from_file(Path(spec.model))

    @classmethod
    def from_file(cls, path: Path, *, delay_s: float = 0.0) -> ScriptedEngine:
        """Answer by the rules of a file.

        Raises:
            EngineError: the file cannot be read, or a line of it is no rule; the message has file and line.
        """
        rules = _read_rules(path)

        def answer(request: ChatRequest) -> Completion | Failure:
            message = _last_user_message(request)
            rule = next((rule for rule in rules if rule.fits(message)), None)
            return rule.answer(request) if rule else Failure(request.key, f"{path}: no rule fits {message[:80]!r}")

        return cls(answer, delay_s=delay_s)

    def generate(self, requests: Iterable[ChatRequest]) -> Iterator[Completion | Failure]:
        """Answer the requests in order."""
        for request in requests:
            time.sleep(self._delay_s)
            answer = self._answer(request)
            yield _completion(request, answer, "stop") if isinstance(answer, str) else answer

    def close(self) -> None:
        """Nothing to free."""


def _completion(request: ChatRequest, text: str, finish_reason: FinishReason) -> Completion:
    prompt_tokens = sum(len(message["content"].split()) for message in request.messages)
    text, _ = cut_at_stop(text, request.sampling.stop)
    return Completion(request.key, text, finish_reason, prompt_tokens, len(text.split()))


def _last_user_message(request: ChatRequest) -> str:
    return next((message["content"] for message in reversed(request.messages) if message["role"] == "user"), "")


def _read_rules(path: Path) -> list[Rule]:
    try:
        lines = path.read_text(encoding="utf-8").split("\n")
    except (OSError, UnicodeDecodeError) as error:
        reason = "it is not UTF-8" if isinstance(error, UnicodeDecodeError) else error.strerror
        raise EngineError(f"{path}: the script of answers cannot be read: {reason}") from error
    return [_rule(line, where=f"{path}:{number}") for number, line in enumerate(lines, start=1) if line.strip()]


def _rule(line: str, *, where: str) -> Rule:
    try:
        fields: Any = json.loads(line)
        rule = Rule(**fields)
    except (ValueError, TypeError) as error:
        allowed = ", ".join(Rule.__dataclass_fields__)
        raise EngineError(f"{where}: not a rule: {error} (a JSON object with some of: {allowed})") from error
    if not (isinstance(rule.text, str) and isinstance(rule.match, str | None)):
        raise EngineError(f"{where}: text and match must be strings")
    if not isinstance(rule.delay_s, int | float):
        raise EngineError(f"{where}: delay_s must be a number of seconds, found {rule.delay_s!r}")
    if rule.finish_reason not in get_args(FinishReason):
        allowed = ", ".join(get_args(FinishReason))
        raise EngineError(f"{where}: finish_reason: unknown value {rule.finish_reason!r} ({allowed})")
    return rule
