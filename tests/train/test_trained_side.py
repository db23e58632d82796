from __future__ import annotations

import math
from collections.abc import Callable

import pytest

from lidr.train.trained_side import is_swapped, with_sides
from lidr.train.training_spec import TrainSpec
from tests.train.runs import rows

MakeSpec = Callable[..., TrainSpec]


def test_each_pair_keeps_its_prompt_and_its_two_texts() -> None:
    for sides in ("as_built", "swapped", "shuffled"):
        for before, after in zip(rows(), with_sides(rows(), sides, seed=1), strict=True):  # type: ignore[arg-type]
            is_other = is_swapped(before["pair_id"], sides, seed=1)  # type: ignore[arg-type]
            chosen, rejected = ("rejected", "chosen") if is_other else ("chosen", "rejected")
            assert after == {**before, "chosen": before[chosen], "rejected": before[rejected]}


def test_as_built_changes_nothing_and_swapped_changes_all() -> None:
    assert [is_swapped(f"p{i}", "as_built", seed=1) for i in range(9)] == [False] * 9
    assert [is_swapped(f"p{i}", "swapped", seed=1) for i in range(9)] == [True] * 9


def test_the_coin_is_fair_a_pairs_own_and_depends_on_the_seed() -> None:
    ids = [f"1/p{i}/en-es/dominant" for i in range(4000)]
    one = [is_swapped(id, "shuffled", seed=1) for id in ids]
    assert abs(sum(one) - 2000) < 130  # four standard errors
    assert [is_swapped(id, "shuffled", seed=1) for id in reversed(ids)] == one[::-1]
    assert [is_swapped(id, "shuffled", seed=2) for id in ids] != one
    assert is_swapped(ids[0], "shuffled", seed=1) == one[0]


def test_training_on_swapped_sides_is_training_on_a_table_that_was_swapped(spec: MakeSpec, tmp_path) -> None:
    from lidr.train.training_run import token_pairs
    from tests.train.runs import write_pairs

    table = write_pairs(tmp_path / "swapped.parquet", [*with_sides(rows(), "swapped", seed=0)])
    from transformers import AutoTokenizer

    run = spec(sides="swapped")
    tokenizer = AutoTokenizer.from_pretrained(run.policy)
    trained, exchanged, plain = (
        list(token_pairs(one, tokenizer)[0]) for one in (run, spec(pairs=(str(table),)), spec())
    )
    assert trained == exchanged
    assert trained != plain


def test_the_swapped_control_trains_the_other_way(spec: MakeSpec) -> None:
    from tests.train.runs import run_here

    settings = {"batch": 2, "micro_batch": 2, "epochs": 2.0, "nll_weight": 0.0}
    as_built, swapped = (run_here(spec(sides=sides, **settings)) for sides in ("as_built", "swapped"))
    means = [sum(g.margin * g.pairs for g in r.groups) for r in (as_built, swapped)]
    assert means[0] > 0 < means[1]  # each learned the sides that it was given
    for trained in (as_built, swapped):  # both begin where the reference is
        assert trained.steps[0].dpo == pytest.approx(math.log(2), abs=1e-5)
