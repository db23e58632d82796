"""What the items of two policies come to: off-target rates, log-likelihoods, wins; paired by prompt, with intervals.

A prompt is won where the trained policy finds the reference answer likelier than the untrained one does, and its own
answer is in the language asked for: a policy that drifts into another language wins nothing by that. Over several
languages, a prompt counts once, with the mean of its languages.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from math import inf
from statistics import fmean
from typing import Any

from lidr.transforms import Number, mean
from tests.methods.real_policy import LANGUAGES, OTHERS, Item, Items

Value = Callable[[Item, Item, str], float]
"""Of one prompt in one language: before, after, and its language."""

GROUPS: dict[str, tuple[str, ...]] = {**{code: (code,) for code in LANGUAGES}, "others": OTHERS}


def off_target(item: Item, language: str) -> float:
    """1 where the answer is in another language; 0 also where that cannot be told."""
    return float(item.language not in (None, language))


def is_likelier(before: Item, after: Item, language: str) -> float:
    """1 where the reference became likelier."""
    return float(after.logp > before.logp)


def win(before: Item, after: Item, language: str) -> float:
    """The same, and lost where the answer is not in the language asked for."""
    return is_likelier(before, after, language) * float(after.language == language)


_VALUES: dict[str, tuple[Value, tuple[float, float]]] = {
    "off_target_before": (lambda before, after, code: off_target(before, code), (0, 1)),
    "off_target_after": (lambda before, after, code: off_target(after, code), (0, 1)),
    "off_target_change": (lambda before, after, code: off_target(after, code) - off_target(before, code), (-1, 1)),
    "logp_before": (lambda before, after, code: before.logp, (-inf, 0)),
    "logp_after": (lambda before, after, code: after.logp, (-inf, 0)),
    "logp_change": (lambda before, after, code: after.logp - before.logp, (-inf, inf)),
    "likelier": (is_likelier, (0, 1)),
    "win": (win, (0, 1)),
}
"""What is told -> its value of a prompt, and the least and the most that there can be."""


def outcome(before: Items, after: Items) -> dict[str, dict[str, list[float | None]]]:
    """Language, or `others` -> what is told -> value and 95% interval."""
    return {
        group: {name: _number(_by_prompt(before, after, codes, value), span) for name, (value, span) in _VALUES.items()}
        for group, codes in GROUPS.items()
    }


def against(before: Items, control: Items, trained: Items) -> dict[str, dict[str, list[float | None]]]:
    """Language, or `others` -> how much a trained policy is above a control, paired by prompt."""
    told = {"logp_change": (-inf, inf), "win": (-1.0, 1.0), "off_target_after": (-1.0, 1.0)}
    found: dict[str, dict[str, list[float | None]]] = {}
    for group, codes in GROUPS.items():
        found[group] = {}
        for name, span in told.items():
            value = _VALUES[name][0]
            pairs = zip(*(_by_prompt(before, one, codes, value) for one in (trained, control)), strict=True)
            found[group][name] = _number([mine - theirs for mine, theirs in pairs], span)
    return found


def _by_prompt(before: Items, after: Items, codes: Sequence[str], value: Value) -> list[float]:
    of_each = [[value(b, a, code) for b, a in zip(before[code], after[code], strict=True)] for code in codes]
    return [fmean(values) for values in zip(*of_each, strict=True)]


def _number(values: list[float], span: tuple[float, float]) -> list[float | None]:
    """Student's interval; between bounds, of few prompts, the one that allows for what was not seen."""
    few = {"few": 0} if inf in map(abs, span) else {}
    found: Number = mean(values, span, **few)
    return [None if one is None or abs(one) == inf else round(one, 4) for one in found[:3]]


def as_json(items: Items) -> dict[str, Any]:
    """Items as plain data: by language, the languages of the answers and the log-likelihoods."""
    return {
        code: {"language": [one.language for one in table], "logp": [round(one.logp, 5) for one in table]}
        for code, table in items.items()
    }


def from_json(found: dict[str, Any]) -> Items:
    """The same back."""
    return {code: list(map(Item, one["language"], one["logp"])) for code, one in found.items()}
