"""A release whose pairs have weights, from a set on a Hub that has them: it comes out identical, and weights go on."""

from __future__ import annotations

import pyarrow.parquet as pq
import pytest

from lidr.release.make_release import Destinations, release
from tests.publishing import AT_ONCE, finished
from tests.steps.test_weighted_sets import SCRIPTED, WEIGHTS, own_rows, recipe_of, write


@pytest.fixture
def published(hub, new_name, tmp_path):
    """A set with weights from a file, and from that set and one without weights another; their names."""
    first, second = new_name("weighted"), new_name("again")
    recipe_of(tmp_path, f"{{dataset: {write(tmp_path / 'own.parquet', own_rows(), WEIGHTS)}, license: mit}}")
    done = release(finished(tmp_path / "mix.yaml"), Destinations(first, None), target=hub.target, patience=AT_ONCE)
    (tmp_path / "second").mkdir()
    pairs = f"{{sets: [{{dataset: {first}, revision: {done[0].sha}}}]}}"
    recipe_of(tmp_path / "second", pairs, more="", **SCRIPTED)
    return first, second, tmp_path / "second/mix.yaml"


def test_a_release_from_a_weighted_set_has_its_weights_and_comes_out_identical(published, hub, elsewhere):
    _, second, recipe = published
    for words in (("run", str(recipe), "--quiet"), ("publish", str(recipe), "--pairs", second)):
        done = elsewhere.lidr(*words)
        assert done.returncode == 0, done.stderr[-3000:]
    file = recipe.parent / "runs/mix/0.1.0/iter_1/filter/data/00000.parquet"
    assert pq.read_table(file)["weight"].to_pylist() == list(WEIGHTS)
    verdict = elsewhere.reproduce(f"{second}@v0.1.0")
    assert (verdict["verdict"], verdict["findings"]) == ("identical", [])
    assert {one["place"]: one["kind"] for one in verdict["verdicts"]}["iter_1/pairs"] == "identical"
    done = elsewhere.lidr("lineage", f"{second}@v0.1.0")
    assert done.returncode == 0, done.stderr[-3000:]
