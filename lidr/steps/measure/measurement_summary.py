"""What a measurement comes to: every number with its interval, reward accuracy, and the paper's figures beside them."""

from __future__ import annotations

from array import array
from collections import Counter
from collections.abc import Iterator, Sequence
from typing import Any, NamedTuple

from lidr import evals
from lidr.intervals import FEW
from lidr.recipe import Languages
from lidr.steps.evaluate import JudgeConfig
from lidr.steps.measure.measurements import Row
from lidr.steps.score import REFEREES
from lidr.transforms import Number, agreement, mean, share

SPANS: dict[str, tuple[float, float]] = {
    "own_mark": (0.0, 10.0),
    "translated_mark": (0.0, 10.0),
    "mark_difference": (-10.0, 10.0),
    "preferred": (0.0, 1.0),
    "round_trip_chrf": (0.0, 100.0),
    "length_ratio": (-20.0, 20.0),
    "off_target": (0.0, 1.0),
    "logp_margin": (-20.0, 20.0),
}
"""Smallest and largest value of each test but those of pairs."""

_FAR_BOUNDS = ("length_ratio", "logp_margin")
"""Logarithms, which come nowhere near their bounds."""


class Key(NamedTuple):
    """What a value is of; as in a row of measurements."""

    test: str
    language: str
    other: str
    kind: str


class Values:
    """The values of each test by (test, language, other, kind), in the order in which these come; eight bytes each."""

    def __init__(self) -> None:
        self.known: dict[Key, array[float]] = {}
        self.unknown: Counter[Key] = Counter()

    def added(self, row: Row) -> Row:
        """The row, whose value has been taken."""
        key = Key(row["test"], row["language"], row["other"], row["kind"])
        known = self.known.setdefault(key, array("d"))
        if row["value"] is None:
            self.unknown[key] += 1
        else:
            known.append(row["value"])
        return row


def summary(values: Values, languages: Languages, *, judge: JudgeConfig | None) -> dict[str, Any]:
    """Every number with its interval, reward accuracy, and the paper's figures, as plain data."""
    numbers = [
        one
        for key, known in values.known.items()
        if key.test in SPANS
        for one in _numbers(key, known, values.unknown[key])
    ]
    accuracy = list(reward_accuracy(values, languages.dominant))
    scorers = list(scorer_accuracy(values))
    return {
        "numbers": numbers,
        "reward_accuracy": accuracy,
        **({"scorer_accuracy": scorers} if scorers else {}),
        "uncertain": [
            {"language": one["language"], "kind": one["kind"]}
            for one in deciding_accuracy(accuracy)
            if not one["is_certain"]
        ],
        "judge": _judge_facts(judge),
        "paper": _paper(languages.all),
    }


def _numbers(key: Key, known: array[float], unknown: int) -> Iterator[dict[str, Any]]:
    """One number; of off_target three: of the answers whose language is known, of all, and what is unknown."""
    said = key._asdict()
    yield {**said, **_number(key.test, known).as_json(), "not_scored": unknown}
    if key.test == "off_target":
        of_all = _number("off_target", known + array("d", [0.0]) * unknown)
        for test, number in (("off_target_all", of_all), ("undecided", share(unknown, len(known) + unknown))):
            yield {**said, "test": test, **number.as_json(), "not_scored": 0}


def _number(test: str, known: Sequence[float]) -> Number:
    if test == "off_target" and all(value in (0.0, 1.0) for value in known):  # else of several answers to a prompt
        return share(int(sum(known)), len(known))
    return mean(known, SPANS[test], few=0 if test in _FAR_BOUNDS else FEW)


def reward_accuracy(values: Values, dominant: str) -> Iterator[dict[str, Any]]:
    """Agreement of each referee with the pairs, by non-dominant language and kind."""
    groups: dict[tuple[str, str, str], Counter[str]] = {}
    for key, known in values.known.items():
        if key.test in [f"reward_{name}" for name in REFEREES]:
            at = key.other if key.language == dominant else key.language
            found = groups.setdefault((key.test, at, key.kind), Counter())
            found.update("agree" if value > 0.5 else "disagree" if value < 0.5 else "ties" for value in known)
            found["not_scored"] += values.unknown[key]
    for (test, language, kind), found in groups.items():
        yield {
            "language": language,
            "kind": kind,
            "referee": test.removeprefix("reward_"),
            **agreement(found["agree"], found["disagree"], found["ties"]).as_json(),
            "not_scored": found["not_scored"],
        }


def scorer_accuracy(values: Values) -> Iterator[dict[str, Any]]:
    """Of each scorer, by referee and language: the mean over prompts, and how many say nothing."""
    for key, known in values.known.items():
        if key.test in [f"scorer_{name}" for name in REFEREES]:
            yield {
                "scorer": key.kind,
                "referee": key.test.removeprefix("scorer_"),
                "language": key.language,
                **mean(known, (0.0, 1.0)).as_json(),
                "not_scored": values.unknown[key],
            }


def deciding_accuracy(accuracy: Sequence[dict[str, Any]], of: str = "kind") -> list[dict[str, Any]]:
    """The reward accuracy that counts for each language and kind, or `of` scorer: by gold where there is any, else by
    the judge.
    """
    found: dict[tuple[str, str], dict[str, Any]] = {}
    for referee in reversed(REFEREES):
        found |= {(one["language"], one[of]): one for one in accuracy if one["referee"] == referee}
    return list(found.values())


def _judge_facts(judge: JudgeConfig | None) -> dict[str, Any] | None:
    return None if judge is None else {"model": judge.model, "mode": judge.mode, "template": judge.template}


def _paper(languages: Sequence[str]) -> dict[str, Any]:
    """What was published of the same tests, in the recipe's languages."""
    table = evals.read_paper().tables["premise"]
    published = table.rows["M0"]
    at = [code for code in table.columns if code in languages]
    return {
        "model": published.label,
        "source": table.source,
        "values": {
            name: {code: values[table.columns.index(code)] for code in at} for name, values in published.values.items()
        },
    }
