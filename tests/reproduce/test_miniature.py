"""The miniature recipe in its smallest form, run, published and made again in fresh processes with empty homes.

Its first policy, prompts and problems ship with lidr: a reproduction takes them from there, by every file's SHA-256.
"""

from __future__ import annotations

import importlib.util
import os
from typing import Any

import pytest

from lidr.resources import shared
from tests.reproduce.conftest import Elsewhere

pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(importlib.util.find_spec("torch") is None, reason="trains a model"),
]
RECIPE = str(shared("recipes") / "miniature.yaml")
SMALL = ("--set", 'iterations=[{prompts: "0:12"}]', "--set", "chain.evaluate.limit=12")
NAME = "lidr/small-miniature"
LONG = bool(os.environ.get("LIDR_PROVE"))
CHEAP = ("generate", "translate", "pair", "filter", "measure", "train")
"""All that is made again where time is short: evaluating anew is most of a reproduction."""


def kinds(verdict: dict[str, Any]) -> dict[str, str]:
    """Place -> verdict; nothing was touched, and nothing is different."""
    assert (verdict["verdict"], verdict["findings"]) == ("identical", [])
    return {one["place"]: one["kind"] for one in verdict["verdicts"]}


def test_the_miniature_comes_out_the_same_from_nothing_but_its_hub(running, tmp_path, reproduced):
    maker = Elsewhere(running, tmp_path / "maker")
    for words in (
        ("run", RECIPE, *SMALL, "--quiet"),
        ("publish", RECIPE, *SMALL, "--pairs", f"{NAME}-prefs", "--policy", NAME),
    ):
        done = maker.lidr(*words)
        assert done.returncode == 0, done.stderr[-3000:]
    part = () if LONG else ("--until", "train")
    found = kinds(Elsewhere(running, tmp_path / "other").reproduce(f"{NAME}@v0.1.0", *part))
    steps = (*CHEAP, "evaluate", "gate") if LONG else CHEAP
    scores = [f"iter_{k}/evaluate (scores from stored outputs)" for k in (0, 1)]
    assert {found[place] for place in ("card", "iter_0/policy", *(f"iter_1/{name}" for name in steps))} == {"identical"}
    assert [found[place] for place in scores] == ["identical"] * 2
    again = kinds(reproduced(f"{NAME}-prefs@v0.1.0", "--from", "gate"))  # from the published scores and answers
    assert again["iter_1/gate"] == again[scores[1]] == "identical"
