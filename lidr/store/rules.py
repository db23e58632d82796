"""By which rules something was made: the version of its step, and of each benchmark that scored it.

They are part of the identity, and no setting of a user: what older rules made is neither another's nor drifted.

>>> old, new = ({"step": "pair", "version": n, "config": {}} for n in (1, 2))
>>> other_rules(old, new)
{'pair': (1, 2)}
>>> by_rules_of(old, new) == old
True
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

Rules = Mapping[str, tuple[int, int]]
"""Name of a step or benchmark -> the version that made it, and the version here."""


def rules_of(identity: Mapping[str, Any]) -> dict[str, int]:
    """The versions in an identity: that of the step, by its name, and those of its benchmarks."""
    return {identity.get("step", ""): identity.get("version", 1), **_of_benchmarks(identity)}


def other_rules(old: Mapping[str, Any], new: Mapping[str, Any]) -> dict[str, tuple[int, int]]:
    """Which rules differ between what was made and what would be; a benchmark that one of both lacks is a setting."""
    was, now = rules_of(old), rules_of(new)
    return {name: (was[name], now[name]) for name in now if name in was and was[name] != now[name]}


def by_rules_of(old: Mapping[str, Any], new: Mapping[str, Any]) -> dict[str, Any]:
    """The new identity, or a part of it, as it would be by the rules of the old one."""
    kept = {**new, **({"version": old.get("version", 1)} if "version" in new else {})}
    was = _of_benchmarks(old)
    if rules := _of_benchmarks(new):
        kept["config"] = {**new["config"], "rules": {name: was.get(name, now) for name, now in rules.items()}}
    return kept


def arrow(step: str, rules: Rules) -> str:
    """For a table.

    >>> arrow("pair", {"pair": (1, 2)}), arrow("evaluate", {"mgsm": (1, 3)})
    ('rules 1 -> 2', 'rules of mgsm 1 -> 3')
    """
    return ", ".join(f"{_rules(step, name)} {was} -> {now}" for name, (was, now) in rules.items())


def made_by(step: str, rules: Rules) -> str:
    """For a sentence.

    >>> made_by("pair", {"pair": (1, 2)})
    'rules 1, this lidr has 2'
    """
    return ", and ".join(f"{_rules(step, name)} {was}, this lidr has {now}" for name, (was, now) in rules.items())


def rules_json(rules: Rules) -> dict[str, dict[str, int]]:
    """As plans and verdicts hold it in JSON: {"pair": {"made_by": 1, "now": 2}}."""
    return {name: {"made_by": was, "now": now} for name, (was, now) in rules.items()}


def _rules(step: str, name: str) -> str:
    return "rules" if name == step else f"rules of {name}"


def _of_benchmarks(identity: Mapping[str, Any]) -> Mapping[str, int]:
    config = identity.get("config")
    rules = config.get("rules") if isinstance(config, Mapping) else None
    return rules if isinstance(rules, Mapping) else {}
