"""Pairs kept aside: which, what a look at them says, when training ends, and which policy is kept."""

from __future__ import annotations

import json
import math
from collections.abc import Callable
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from lidr.errors import RowError, TrainError
from lidr.rows import WEIGHT
from lidr.train.aside import BEST, prompts_aside
from lidr.train.training_run import run
from lidr.train.training_spec import HeldOutResult, HeldOutSpec, LoraSpec, TrainResult, TrainSpec
from tests.train.runs import ignore, plain_terms, rows, run_here, score_rows, write_pairs
from tests.train.test_checkpoints import CutOffError, assert_equal_weights, cut_off_at

MakeSpec = Callable[..., TrainSpec]

PROMPTS = ("a", "a", "b", "b", "c", "c", "d", "d")
HALF = HeldOutSpec(share=0.5, every=1)
STEEP = {"batch": 1, "micro_batch": 1, "learning_rate": 0.05, "epochs": 4.0}
"""Which soon makes the loss of all other pairs worse."""


def of_prompts(more: dict[str, Any] | None = None) -> list[dict[str, Any]]:
    """The eight pairs, two of each of four prompts."""
    return [{**row, "prompt_id": prompt, **(more or {})} for row, prompt in zip(rows(), PROMPTS, strict=True)]


@pytest.fixture(scope="module")
def table(tmp_path_factory: pytest.TempPathFactory) -> str:
    return str(write_pairs(tmp_path_factory.mktemp("aside") / "pairs.parquet", of_prompts()))


def aside(table: str) -> list[dict[str, Any]]:
    prompts = prompts_aside((table,), HALF, seed=42)
    return [row for row in of_prompts() if row["prompt_id"] in prompts]


def seen(result: TrainResult) -> HeldOutResult:
    assert result.held_out is not None
    return result.held_out


def loss_of(folder: str, run_spec: TrainSpec, pairs: list[dict[str, Any]]) -> float:
    """DPO + NLL of pairs under a saved policy, by transformers alone."""
    reference = run_spec.initial if run_spec.reference == "initial" else run_spec.policy
    scored = (score_rows(path, pairs) for path in (folder, reference))
    dpo, nll = plain_terms(*scored, beta=run_spec.beta, per=run_spec.nll_per)
    return dpo + run_spec.nll_weight * nll


def test_all_pairs_of_a_prompt_go_aside_whatever_the_order_of_the_rows(table: str, tmp_path: Path) -> None:
    turned = str(write_pairs(tmp_path / "turned.parquet", of_prompts()[::-1]))
    found = prompts_aside((table,), HALF, seed=42)
    assert len(found) == 2
    assert prompts_aside((turned,), HALF, seed=42) == found
    assert len({prompts_aside((table,), HALF, seed=seed) for seed in range(9)}) > 1


def test_a_prompt_that_is_gone_moves_one_other_at_most(tmp_path: Path) -> None:
    names = [f"p{number}" for number in range(40)]

    def of(prompts: list[str]) -> frozenset[str]:
        pq.write_table(pa.table({"prompt_id": prompts}), tmp_path / "pairs.parquet")
        return prompts_aside((str(tmp_path / "pairs.parquet"),), HeldOutSpec(0.25), seed=1)

    whole, fewer = of(names), of(names[1:])
    assert (len(whole), len(fewer)) == (10, 10)
    assert len(whole ^ fewer) <= 2


def test_one_prompt_at_least_goes_aside_and_one_is_trained(tmp_path: Path) -> None:
    pq.write_table(pa.table({"prompt_id": ["a", "b", "a"]}), tmp_path / "two.parquet")
    pq.write_table(pa.table({"prompt_id": ["a", "a"]}), tmp_path / "one.parquet")
    assert len(prompts_aside((str(tmp_path / "two.parquet"),), HeldOutSpec(0.01), seed=1)) == 1
    with pytest.raises(TrainError, match=r"train\.held_out: the pairs are of 1 prompt\(s\), and one at least must go"):
        prompts_aside((str(tmp_path / "one.parquet"),), HALF, seed=1)


@pytest.mark.parametrize(
    ("columns", "said"),
    [({"pair_id": ["x"]}, "lacks the column prompt_id"), ({"prompt_id": [None]}, "a row has no prompt_id")],
)
def test_pairs_without_prompts_cannot_be_kept_aside(columns: Any, said: str, tmp_path: Path) -> None:
    pq.write_table(pa.table(columns), tmp_path / "pairs.parquet")
    with pytest.raises(RowError, match=said):
        prompts_aside((str(tmp_path / "pairs.parquet"),), HALF, seed=1)


@pytest.mark.parametrize(
    "changes",
    [
        {"nll_per": "sequence"},
        {"nll_per": "batch", "reference": "initial", "nll_weight": 0.3},
        {"lora": LoraSpec(rank=2), "learning_rate": 1e-2},
    ],
    ids=["sequence", "batch and another reference", "lora"],
)
def test_the_last_look_is_that_of_the_saved_policy_by_transformers_alone(
    changes: Any, spec: MakeSpec, table: str
) -> None:
    one = spec(pairs=(table,), held_out=HALF, batch=2, micro_batch=1, **changes)
    result = run_here(one)
    found = seen(result)
    assert result.pairs_trained == 4
    assert (found.prompts, found.pairs, found.ended, found.kept) == (2, 4, 2, 2)
    assert [look.step for look in found.looks] == [1, 2]
    assert found.looks[-1].loss == pytest.approx(loss_of(one.model_out, one, aside(table)), rel=1e-4)
    reference = score_rows(one.initial if one.reference == "initial" else one.policy, aside(table))
    policy = score_rows(one.model_out, aside(table))
    margins = [0.1 * (s[0] - q[0] - s[1] + q[1]) for s, q in zip(policy, reference, strict=True)]
    assert found.looks[-1].margin == pytest.approx(sum(margins) / 4, rel=1e-3, abs=1e-5)
    assert found.looks[-1].accuracy == sum(margin > 0 for margin in margins) / 4


@pytest.mark.parametrize("is_aside", [True, False], ids=["one that is aside counts more", "one that is trained does"])
def test_weights_of_pairs_count_in_a_look(is_aside: bool, spec: MakeSpec, table: str, tmp_path: Path) -> None:
    """Where all pairs of one part count 1, its file has no weights."""
    held = aside(table)
    trained = next(row for row in of_prompts() if row not in held)
    heavy = held[0] if is_aside else trained
    weighed = [{**row, WEIGHT: 3.0 if row["pair_id"] == heavy["pair_id"] else 1.0} for row in of_prompts()]
    one = spec(pairs=(str(write_pairs(tmp_path / "weighed.parquet", weighed)),), held_out=HALF, batch=4, micro_batch=4)
    found = seen(run_here(one))
    several = [held[0], held[0], *held] if is_aside else held
    assert found.looks[-1].loss == pytest.approx(loss_of(one.model_out, one, several), rel=1e-4)


def test_under_sft_a_look_is_the_nll_alone(spec: MakeSpec, table: str) -> None:
    one = spec(pairs=(table,), held_out=HALF, method="sft", batch=2, micro_batch=2)
    look = seen(run_here(one)).looks[-1]
    scores = score_rows(one.model_out, aside(table))
    assert look.loss == pytest.approx(sum(-chosen / tokens for chosen, _, tokens in scores) / 4, rel=1e-4)
    assert (look.margin, look.accuracy) == (None, None)


def test_looks_do_not_change_what_is_trained(spec: MakeSpec, table: str, tmp_path: Path) -> None:
    held = {row["pair_id"] for row in aside(table)}
    trained = write_pairs(tmp_path / "trained.parquet", [row for row in of_prompts() if row["pair_id"] not in held])
    how = {"batch": 1, "micro_batch": 1, "lora": LoraSpec(rank=2, dropout=0.2)}
    plain, looking = spec(pairs=(str(trained),), **how), spec(pairs=(table,), held_out=HALF, **how)
    assert run_here(plain).steps == run_here(looking).steps
    assert_equal_weights(plain, looking)


def test_a_quarter_of_an_epoch_lies_between_looks_and_the_last_is_at_the_end(spec: MakeSpec, table: str) -> None:
    pairs = {"pairs": (table,), "batch": 1, "micro_batch": 1}
    found = seen(run_here(spec(held_out=HeldOutSpec(0.25), epochs=1.2, **pairs)))
    assert found.every == 2  # 6 pairs are trained
    assert [look.step for look in found.looks] == [2, 4, 6, 8]


@pytest.mark.parametrize("more", [{}, {"method": "sft"}, {"lora": LoraSpec(rank=4)}], ids=["all", "sft", "lora"])
def test_training_ends_early_and_the_policy_is_that_of_the_best_look(more: Any, spec: MakeSpec, table: str) -> None:
    one = spec(pairs=(table,), held_out=replace(HALF, patience=2), **STEEP, **more)
    result = run_here(one)
    found = seen(result)
    losses = [look.loss for look in found.looks]
    assert found.ended == len(result.steps) == found.best + 2 < 16
    assert found.kept == found.best == 1 + losses.index(min(losses))
    if "method" in more:
        scores = score_rows(one.model_out, aside(table))
        saved = sum(-chosen / tokens for chosen, _, tokens in scores) / 4
    else:
        saved = loss_of(one.model_out, one, aside(table))
    assert saved == pytest.approx(min(losses), rel=1e-4)
    assert not math.isclose(losses[-1], min(losses), rel_tol=1e-3)


def test_without_patience_all_steps_are_done_and_the_last_policy_is_kept(spec: MakeSpec, table: str) -> None:
    one = spec(pairs=(table,), held_out=HALF, **STEEP)
    found = seen(run_here(one))
    assert (found.ended, found.kept) == (16, 16)
    assert found.best < 16
    assert found.looks[-1].loss == pytest.approx(loss_of(one.model_out, one, aside(table)), rel=1e-3)
    assert not list(Path(one.work).rglob(BEST))


@pytest.mark.parametrize("last", [2, 5])
@pytest.mark.parametrize("more", [{}, {"lora": LoraSpec(rank=4, dropout=0.1)}], ids=["all", "lora"])
def test_a_run_that_was_cut_off_looks_ends_and_keeps_as_one_that_was_not(
    more: Any, last: int, spec: MakeSpec, table: str
) -> None:
    settings = {**STEEP, "pairs": (table,), "held_out": replace(HALF, patience=3), "save_steps": 2, **more}
    whole, cut = spec(**settings), spec(**settings)
    expected = run_here(whole)
    assert seen(expected).ended < 16
    with pytest.raises(CutOffError):
        run(cut, cut_off_at(min(last, seen(expected).ended)))
    result = run_here(cut)
    assert seen(result) == seen(expected)
    assert (result.steps, result.groups) == (expected.steps, expected.groups)
    assert_equal_weights(whole, cut)


def test_the_best_weights_are_those_of_the_checkpoint_that_is_gone_on_from(
    spec: MakeSpec, table: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    settings = {**STEEP, "pairs": (table,), "held_out": replace(HALF, patience=1), "save_steps": 1}
    whole, cut = spec(**settings), spec(**settings)
    best = seen(run_here(whole)).best
    monkeypatch.setattr("lidr.train.training_run.save_policy", break_off)
    with pytest.raises(CutOffError):
        run(cut, ignore)
    monkeypatch.undo()
    (newest,) = Path(cut.work).glob(f"*/checkpoint-{best}")
    assert not (newest.parent / f"checkpoint-{best + 1}").exists()  # one that ended would go on by a step
    (newest.parent / BEST).unlink()
    (newest.parent / BEST).write_bytes(b"of a later look")
    steps: list[int] = []
    run(cut, lambda step, total: steps.append(step.step))
    assert steps == [best + 1]
    assert_equal_weights(whole, cut)


def break_off(*_: Any) -> None:
    raise CutOffError


def test_a_checkpoint_whose_best_weights_changed_is_not_gone_on_from(spec: MakeSpec, table: str) -> None:
    settings = {**STEEP, "pairs": (table,), "held_out": replace(HALF, patience=3), "save_steps": 1}
    whole, cut = spec(**settings), spec(**settings)
    run_here(whole)
    with pytest.raises(CutOffError):
        run(cut, cut_off_at(3))
    (newest,) = Path(cut.work).glob("*/checkpoint-2")
    (newest / BEST).unlink()
    (newest / BEST).write_bytes(b"")
    said: list[str] = []
    run(cut, ignore, said.append)
    assert said[0] == f"checkpoint-2 is not gone on from: {BEST} has changed since it was written"
    assert_equal_weights(whole, cut)


def test_a_look_that_finds_broken_weights_ends_the_run(spec: MakeSpec, table: str) -> None:
    one = spec(pairs=(table,), held_out=HALF, learning_rate=math.inf, batch=4, micro_batch=4)
    with pytest.raises(TrainError, match=r"step 1: the loss of the pairs that are kept aside is nan"):
        run_here(one)
    assert not Path(one.model_out).exists()


def test_pairs_aside_of_which_none_can_be_used_are_an_error(spec: MakeSpec, table: str, tmp_path: Path) -> None:
    held = {row["pair_id"] for row in aside(table)}
    long = [{**row, "chosen": row["rejected"]} if row["pair_id"] in held else row for row in of_prompts()]
    one = spec(pairs=(str(write_pairs(tmp_path / "same.parquet", long)),), held_out=HALF)
    with pytest.raises(TrainError, match=r"no pair left to keep aside \(train\.held_out\): all 4 were dropped"):
        run_here(one)


def test_each_pair_is_trained_aside_or_dropped(spec: MakeSpec, table: str, tmp_path: Path) -> None:
    first = aside(table)[0]["pair_id"]
    trained = next(row["pair_id"] for row in of_prompts() if row not in aside(table))
    same = [{**row, "chosen": row["rejected"]} if row["pair_id"] in (first, trained) else row for row in of_prompts()]
    result = run_here(spec(pairs=(str(write_pairs(tmp_path / "same.parquet", same)),), held_out=HALF))
    assert (result.pairs_trained, seen(result).pairs) == (3, 3)
    assert sorted(pair.pair_id for pair in result.dropped) == sorted([first, trained])


def test_a_look_is_told_of(spec: MakeSpec, table: str) -> None:
    said: list[str] = []
    run(spec(pairs=(table,), held_out=HALF), ignore, said.append)
    assert len(said) == 1
    assert said[0].startswith("step 1: held-out loss ")
    assert said[0].endswith("(the best so far)")


def test_a_spec_and_a_result_with_pairs_aside_survive_json(spec: MakeSpec, table: str) -> None:
    one = spec(pairs=(table,), held_out=replace(HALF, patience=2))
    assert TrainSpec.from_json(json.loads(json.dumps(asdict(one)))) == one
    result = run_here(one)
    assert TrainResult.from_json(json.loads(json.dumps(asdict(result)))) == result


def test_several_processes_keep_no_pairs_aside(spec: MakeSpec, table: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("WORLD_SIZE", "2")
    with pytest.raises(TrainError, match="held_out: several processes keep no pairs aside"):
        run_here(spec(pairs=(table,), held_out=HALF, micro_batch=4))
