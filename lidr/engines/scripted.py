"""The engine of tests and rehearsals: canned answers, no model.

A script is a file of JSON lines. The first rule that fits answers; a rule without `match` fits everything:

    {"match": "What do bees make?", "text": "Honey and wax."}
    {"match": "into Spanish:.*honey", "text": "Miel y cera.\\n</translated>"}
    {"match": "Tell me everything", "text": "Well, first of", "finish_reason": "length", "delay_s": 0.2}
    {"match": "^Count", "texts": ["1, 2, 3", "1, 2", "three"]}
    {"match": "^Fail", "error": "the server is on fire"}
    {"text": "I do not know."}
"""

from __future__ import annotations

import json
import time
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, get_args

import regex  # type: ignore[import-untyped]

from lidr.engines.arrivals import Arrivals
from lidr.engines.chat import cut_at_stop
from lidr.engines.engine import ChatRequest, Completion, Engine, EngineSpec, Failure
from lidr.errors import EngineError
from lidr.rows import FinishReason

Answer = Callable[[ChatRequest], "str | Completion | Failure"]


_MATCH_S = 2.0
_LONGEST_DELAY_S = 600.0


@dataclass(frozen=True)
class Rule:
    """One line of a script.

    Args:
        match: the last user message in full, or a regular expression that is found in it (`.` matches newlines); None
            fits every message.
        text: the answer, without the request's prefill.
        texts: several answers, of which the request's seed picks one; above temperature 0 samples differ by it.
        finish_reason: as in a completion.
        error: if given, the request fails with it.
        reasoning: what is thought before the answer, and no part of it.
        delay_s: seconds that the answer takes.
    """

    match: str | None = None
    text: str = ""
    finish_reason: FinishReason = "stop"
    error: str | None = None
    delay_s: float = 0.0
    reasoning: str = ""
    texts: tuple[str, ...] = ()

    def fits(self, message: str) -> bool:
        """Say whether this rule answers the message."""
        if self.match is None or self.match == message:
            return True
        try:
            return regex.search(self.match, message, regex.DOTALL, timeout=_MATCH_S) is not None
        except TimeoutError:
            raise EngineError(
                f"the script of answers has a pattern that takes more than {_MATCH_S:g} s on one message: "
                f"{self.match[:100]!r}; write it so that its parts cannot fit in many ways"
            ) from None
        except regex.error:  # a text such as "What is (a" is no pattern; it is compared as text, above
            return False

    def answer(self, request: ChatRequest) -> Completion | Failure:
        """Answer as this rule says."""
        time.sleep(self.delay_s)
        if self.error is not None:
            return Failure(request.key, self.error)
        text = self.texts[request.sampling.seed % len(self.texts)] if self.texts else self.text
        return replace(_completion(request, text, self.finish_reason), reasoning=self.reasoning)


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

    def generate(self, requests: Iterable[ChatRequest | None]) -> Iterator[Completion | Failure]:
        """Answer the requests in order."""
        pending = Arrivals(requests)
        while some := pending.take(1):
            time.sleep(self._delay_s)
            answer = self._answer(some[0])
            yield _completion(some[0], answer, "stop") if isinstance(answer, str) else answer

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
        rule = Rule(**{**fields, "texts": tuple(fields.get("texts", ()))})
    except (ValueError, TypeError, RecursionError) as error:
        allowed = ", ".join(Rule.__dataclass_fields__)
        raise EngineError(f"{where}: not a rule: {error} (a JSON object with some of: {allowed})") from error
    texts = (rule.text, *rule.texts, rule.reasoning)
    if not (isinstance(rule.match, str | None) and all(isinstance(text, str) for text in texts)):
        raise EngineError(f"{where}: text, match and reasoning must be strings")
    if not isinstance(rule.delay_s, int | float) or not 0 <= rule.delay_s <= _LONGEST_DELAY_S:
        raise EngineError(f"{where}: delay_s must be 0 to {_LONGEST_DELAY_S:g} seconds, found {rule.delay_s!r}")
    if rule.finish_reason not in get_args(FinishReason):
        allowed = ", ".join(get_args(FinishReason))
        raise EngineError(f"{where}: finish_reason: unknown value {rule.finish_reason!r} ({allowed})")
    return rule
