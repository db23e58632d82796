"""Rules that made something: those of its step, and of its benchmarks."""

from __future__ import annotations

from lidr.store.rules import arrow, by_rules_of, other_rules, rules_of


def test_rules_of_a_benchmark_are_rules_too():
    old = {"step": "evaluate", "version": 1, "config": {"limit": 2, "rules": {"mgsm": 1, "x_alpacaeval": 1}}}
    new = {"step": "evaluate", "version": 1, "config": {"limit": 2, "rules": {"mgsm": 3, "x_alpacaeval": 1}}}
    assert other_rules(old, new) == {"mgsm": (1, 3)}
    assert other_rules(old, {**new, "version": 2}) == {"evaluate": (1, 2), "mgsm": (1, 3)}
    assert other_rules({**old, "config": {}}, new) == {}
    assert by_rules_of(old, {**new, "version": 2}) == old
    assert by_rules_of(old, {**new, "config": {**new["config"], "limit": 3}})["config"]["limit"] == 3
    assert arrow("evaluate", {"evaluate": (1, 2), "mgsm": (1, 3)}) == "rules 1 -> 2, rules of mgsm 1 -> 3"


def test_a_step_without_a_version_was_made_by_the_first_rules():
    assert rules_of({"step": "pair", "config": None}) == {"pair": 1}
    assert rules_of({"version": 3}) == {"": 3}  # a part of an identity
    assert other_rules({"step": "pair"}, {"step": "pair", "version": 2}) == {"pair": (1, 2)}
    assert by_rules_of({"step": "pair"}, {"step": "pair", "version": 2}) == {"step": "pair", "version": 1}
