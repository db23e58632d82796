"""The whole quickstart, published and made again. Half an hour on two cores, so only where it is asked for."""

from __future__ import annotations

import os

import pytest

from lidr.resources import shared
from tests.reproduce.conftest import Elsewhere

HOURS_2 = 7200  # seconds; it takes about half an hour on two quiet cores
pytestmark = [
    pytest.mark.skipif(not os.environ.get("LIDR_PROVE"), reason="a long proof: make prove"),
    pytest.mark.timeout(HOURS_2),
]


def test_the_quickstart_comes_out_the_same_from_nothing_but_its_hub(running, tmp_path):
    recipe = str(shared("recipes") / "quickstart.yaml")
    maker = Elsewhere(running, tmp_path / "maker")
    words = ("--set", "runtime.hub=environment", "--quiet")
    assert (made := maker.lidr("run", recipe, *words)).returncode == 0, made.stderr[-3000:]
    for release in ("lidr/quickstart-prefs@v0.1.0", "lidr/quickstart@v0.1.0"):
        verdict = Elsewhere(running, tmp_path / release.split("@")[0].split("/")[1]).reproduce(release)
        kinds = {one["place"]: one["kind"] for one in verdict["verdicts"]}
        exact = [one["kind"] for one in verdict["verdicts"] if one["expected"] == "exact"]
        assert verdict["findings"] == []
        assert set(exact) == {"identical"}
        assert set(kinds.values()) <= {"identical", "equal rows", "equal within error"}, kinds
