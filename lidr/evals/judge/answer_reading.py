"""Read what a judge answered: from log-probabilities, from a text, from two marks.

Every reading speaks of what was shown: preference 1 = first (`m`), 2 = second (`M`). What cannot be read is an error
"reason: detail", with the reasons of this file's constants: they are what errors are counted by.
"""

from __future__ import annotations

import math
import re
from collections.abc import Callable, Mapping
from typing import Any, NamedTuple

from lidr.evals.judge.verdicts import TIE, JudgeMode
from lidr.reasoning import without_thoughts

NO_LOGPROBS = "no log-probabilities"
NEITHER = "neither m nor M"
LITTLE_MASS = "next to no probability on m and M"
NO_VERDICT = "no verdict in the text"
NO_MARKS = "no marks in the text"
WITHHELD = "answer withheld"

FIRST, SECOND = "m", "M"

LEAST_MASS = 0.01
"""Least probability of `m` and `M` together, 0-1, for a verdict. Below it the judge would say something else in more
than 99 of 100 answers, and the ratio of what is left comes from the tail of a distribution over other words. It does
not tell a good judge from a poor one (`lidr eval judge-check` does): the weakest judge tried, of 135M parameters, has
3% or more on its letters (docs/measured.md) and still follows the form of the question."""

READING: Mapping[JudgeMode, int] = {"logprob": 2, "logprob_swap": 2, "text": 2, "score": 2}
"""Version of how an answer is read, by mode; 2: LEAST_MASS, or thoughts of every kind cut off. Raised where the same
answer gives another verdict."""

POINT = 0.3
"""Log-odds of one point of difference, as in JudgeArena's score mode: 3 points are 71 to 29."""

_IDENTIFIER = re.compile(r"(?<![\w'’])[mM](?![\w'’])")
_AT_THE_END = re.compile(r"(?<![\w'’])([mM])[\"'`*_)\]}”’».。\s]*$")
_NUMBER = r"[*\s]*[=:：][*\s]*(\d+(?:[.,]\d+)?)"
_MARK_OF = {name: re.compile(rf"(?<!\w){name}{_NUMBER}") for name in (FIRST, SECOND)}
_MARK = re.compile(rf"(?:mark|score|rating){_NUMBER}|\[\[(\d+(?:[.,]\d+)?)\]\]", re.IGNORECASE)


class Reading(NamedTuple):
    """What an answer says about the two outputs as shown."""

    preference: float | None
    token: str | None = None
    p: float | None = None
    scores: tuple[float, float] | None = None
    text: str | None = None
    error: str | None = None


def read(response: Mapping[str, Any], mode: JudgeMode) -> Reading:
    """Read a chat completion in the way of the mode; never raises."""
    finish = response["choices"][0].get("finish_reason")
    if finish == "content_filter":
        return Reading(None, error=f"{WITHHELD}: the server's content filter ended it")
    return _READERS[mode](response)


def read_logprobs(response: Mapping[str, Any]) -> Reading:
    """Probability of `m` against `M` as first token: exact, case-sensitive tokens, as alpaca_eval reads them.

    A token outside the reported ones has probability 0. If both are, or together they have less than LEAST_MASS, there
    is no verdict.
    """
    top = _first_top_logprobs(response)
    if top is None:
        said = _content(response)
        return Reading(None, error=f"{NO_LOGPROBS}: the server gives none; use the mode text (answered {said[:40]!r})")
    first, second = top.get(FIRST, -math.inf), top.get(SECOND, -math.inf)
    if first == second == -math.inf:
        return Reading(None, error=f"{NEITHER}: among the likeliest tokens {sorted(top, key=lambda t: -top[t])[:5]}")
    if (mass := _mass(first, second)) < LEAST_MASS:
        others = sorted((token for token in top if token not in (FIRST, SECOND)), key=lambda t: -top[t])[:3]
        return Reading(
            None,
            error=f"{LITTLE_MASS}: {100 * mass:.2g}% together, and {100 * LEAST_MASS:g}% are needed; likelier: "
            f"{others}; take another judge, or one that answers in words with the mode text",
        )
    p = _sigmoid(first - second)
    return Reading(2.0 - p, token=FIRST if p >= 0.5 else SECOND, p=p)


def read_text(response: Mapping[str, Any]) -> Reading:
    """The identifier that the last line ends with, if it names only one."""
    text = _spoken(response)
    last = next((line for line in reversed(text.splitlines()) if line.strip()), "")
    match = _AT_THE_END.search(last)
    if match is None or set(_IDENTIFIER.findall(last)) != {match[1]}:
        return Reading(None, text=text, error=_unread(NO_VERDICT, text, response))
    return Reading(1.0 if match[1] == FIRST else 2.0, token=match[1], text=text)


def read_scores(response: Mapping[str, Any]) -> Reading:
    """Two marks, 0 to 10; the preference is a sigmoid of POINT times their difference."""
    text = _spoken(response)
    found = [_MARK_OF[name].findall(text) for name in (FIRST, SECOND)]
    marks = [_number(values[-1]) for values in found if values]
    if len(marks) != 2 or not all(0 <= mark <= 10 for mark in marks):
        return Reading(None, text=text, error=_unread(NO_MARKS, text, response))
    first, second = marks
    preference = TIE if first == second else 1.0 + _sigmoid(POINT * (second - first))
    token = None if first == second else (FIRST if first > second else SECOND)
    return Reading(preference, token=token, scores=(first, second), text=text)


def read_mark(response: Mapping[str, Any]) -> tuple[float | None, str, str | None]:
    """One mark, 0 to 10: the mark, the text, and why there is none."""
    text = _spoken(response)
    if response["choices"][0].get("finish_reason") == "content_filter":
        return None, text, f"{WITHHELD}: the server's content filter ended it"
    found = [_number(plain or boxed) for plain, boxed in _MARK.findall(text)]
    if not found or not 0 <= found[-1] <= 10:
        return None, text, _unread(NO_MARKS, text, response)
    return found[-1], text, None


_READERS: Mapping[JudgeMode, Callable[[Mapping[str, Any]], Reading]] = {
    "logprob": read_logprobs,
    "logprob_swap": read_logprobs,
    "text": read_text,
    "score": read_scores,
}


def tokens_of(response: Mapping[str, Any]) -> tuple[int, int]:
    """Tokens of question and answer, as the server counted; 0 where it did not."""
    usage = response.get("usage")
    counts = [usage.get(name) if isinstance(usage, dict) else 0 for name in ("prompt_tokens", "completion_tokens")]
    prompt, completion = (count if isinstance(count, int) else 0 for count in counts)
    return prompt, completion


def _first_top_logprobs(response: Mapping[str, Any]) -> dict[str, float] | None:
    try:
        entries = response["choices"][0]["logprobs"]["content"][0]["top_logprobs"]
        top = {entry["token"]: float(entry["logprob"]) for entry in entries}
    except (KeyError, IndexError, TypeError, ValueError):
        return None
    return {token: logprob for token, logprob in top.items() if not math.isnan(logprob)} or None


def _mass(*logprobs: float) -> float:
    """Probability of tokens together; a server's rounding may bring it above 1."""
    return math.fsum(math.exp(min(0.0, logprob)) for logprob in logprobs)


def _content(response: Mapping[str, Any]) -> str:
    message = response["choices"][0].get("message")
    content = message.get("content") if isinstance(message, dict) else None
    return content if isinstance(content, str) else ""


def _spoken(response: Mapping[str, Any]) -> str:
    """The answer without the thoughts that some servers leave in it."""
    return without_thoughts(_content(response)).strip()


def _unread(reason: str, text: str, response: Mapping[str, Any]) -> str:
    cut = response["choices"][0].get("finish_reason") == "length"
    advice = "; it was cut at the longest answer: raise the judge's max_tokens" if cut else ""
    return f"{reason}: {' '.join(text.split())[-80:]!r}{advice}"


def _number(text: str) -> float:
    return float(text.replace(",", "."))


def _sigmoid(x: float) -> float:
    if x == math.inf:
        return 1.0
    return 1.0 / (1.0 + math.exp(-x)) if x >= 0 else math.exp(x) / (1.0 + math.exp(x))
