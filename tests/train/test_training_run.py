"""One run: what moves, what is measured, and what stops it."""

from __future__ import annotations

import math
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch

from lidr.errors import TrainError
from lidr.train.training_spec import LoraSpec, TrainSpec
from tests.train.runs import make_trainer, rows, run_here, score_rows, train_here

MakeSpec = Callable[..., TrainSpec]


def test_every_parameter_moves_in_full_training(spec: MakeSpec) -> None:
    run = spec()
    before = {name: p.clone() for name, p in make_trainer(run).model.named_parameters()}
    after = dict(train_here(run).trainer.model.named_parameters())
    assert all(not torch.equal(before[name], after[name]) for name in before)


def test_only_the_adapter_moves_in_lora_training(spec: MakeSpec) -> None:
    run = spec(lora=LoraSpec(rank=2), learning_rate=1e-2, batch=4, micro_batch=4)
    before = {name: p.clone() for name, p in make_trainer(run).model.named_parameters()}
    after = dict(train_here(run).trainer.model.named_parameters())
    moved = {name for name in before if not torch.equal(before[name], after[name])}
    assert moved == {name for name in before if "lora_" in name}
    assert not any("embed" in name or "lm_head" in name for name in moved)


def test_lora_dropout_is_on_and_the_models_own_is_off(spec: MakeSpec) -> None:
    trainer = make_trainer(spec(lora=LoraSpec(rank=2, dropout=0.25)))
    rates = {n: m.p for n, m in trainer.model.named_modules() if isinstance(m, torch.nn.Dropout)}
    assert rates
    assert all(rate == (0.25 if "lora_dropout" in name else 0) for name, rate in rates.items())


def test_training_lowers_the_loss_and_separates_the_pairs(spec: MakeSpec) -> None:
    result = run_here(spec(epochs=6, batch=4, micro_batch=4, learning_rate=3e-3))
    assert len(result.steps) == 12
    assert result.steps[-1].loss < 0.7 * result.steps[0].loss
    assert result.steps[-1].dpo < 0.2
    assert all(group.margin > 0 and group.accuracy == 1 for group in result.groups)
    assert [step.learning_rate for step in result.steps[:2]] == pytest.approx([3e-3, 3e-3 * 11 / 12])


def test_group_metrics_are_those_of_the_saved_policy(spec: MakeSpec, scores: Any) -> None:
    run = spec(reference="initial", learning_rate=1e-2)
    result = run_here(run)
    assert [(g.language, g.kind, g.pairs) for g in result.groups] == [
        ("de", "non_dominant", 1),
        ("en", "dominant", 3),
        ("es", "non_dominant", 1),
        ("fr", "non_dominant", 1),
        ("ja", "non_dominant", 1),
        ("ru", "non_dominant", 1),
    ]
    trained = score_rows(run.model_out, rows())
    margins = [0.1 * (t[0] - q[0] - t[1] + q[1]) for t, q in zip(trained, scores["initial"], strict=True)]
    english = [margin for margin, pair in zip(margins, rows(), strict=True) if pair["language"] == "en"]
    assert result.groups[1].margin == pytest.approx(sum(english) / 3, rel=1e-4, abs=1e-5)
    assert result.groups[1].accuracy == pytest.approx(sum(margin > 0 for margin in english) / 3)


def test_weights_that_break_stop_the_run_and_are_not_saved(spec: MakeSpec) -> None:
    run = spec(learning_rate=math.inf, batch=4, micro_batch=4)
    with pytest.raises(TrainError, match=r"step 2: the loss is not finite .* Lower learning_rate"):
        run_here(run)
    assert not Path(run.model_out).exists()


def test_weights_that_break_in_the_last_step_are_not_saved(spec: MakeSpec) -> None:
    run = spec(learning_rate=math.inf)
    with pytest.raises(TrainError, match="after training, the margin of pair p0 is nan: the weights are broken"):
        run_here(run)
    assert not Path(run.model_out).exists()


def test_bfloat16_trains_float32_weights_and_saves_bfloat16(spec: MakeSpec) -> None:
    run = spec(dtype="bfloat16")
    trained = train_here(run)
    assert {parameter.dtype for parameter in trained.trainer.model.parameters()} == {torch.float32}
    assert trained.steps[0]["dpo"] == pytest.approx(math.log(2), abs=0.05)


def test_bfloat16_lora_keeps_the_base_in_bfloat16_and_the_adapter_in_float32(spec: MakeSpec) -> None:
    trained = train_here(spec(dtype="bfloat16", lora=LoraSpec(rank=2)))
    dtypes = {("lora_" in name, p.dtype) for name, p in trained.trainer.model.named_parameters()}
    assert dtypes == {(True, torch.float32), (False, torch.bfloat16)}
