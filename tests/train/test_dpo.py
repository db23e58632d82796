"""The loss inside the real DPOTrainer, against independent log-probabilities and formulas in plain floats."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import pytest
import torch
from transformers import AutoTokenizer
from trl import DPOTrainer

from lidr.errors import TrainError
from lidr.train.checkpoints import write_reference
from lidr.train.loss import pair_loss
from lidr.train.tokens import tokenise
from lidr.train.training_spec import LoraSpec, TrainSpec
from tests.tiny import FAMILIES, split_newlines_as_llama3_does, tiny_model
from tests.train.runs import (
    Trained,
    independent_sums,
    load64,
    make_trainer,
    plain_terms,
    rows,
    score_rows,
    train_here,
    write_pairs,
)

MakeSpec = Callable[..., TrainSpec]
PERS = ("sequence", "token", "batch")

# Margins, and the DPO term that follows from them, are small differences of large float32 sums: they have no relative
# precision. Against float64 they were off by up to 9e-7, with kernels of SSE and of AVX2.
CLOSE = 1e-5


def assert_gradients_agree(one: dict[str, torch.Tensor], other: dict[str, torch.Tensor]) -> None:
    """Relative to the largest entry: float32 sums over a batch have no other scale."""
    assert one.keys() == other.keys()
    largest = max(float(gradient.abs().max()) for gradient in one.values())
    for name, gradient in one.items():
        assert float((gradient.double() - other[name].double()).abs().max()) < 1e-5 * largest, name


def independent_gradient(spec: TrainSpec, scores: Sequence[tuple[float, float, int]]) -> dict[str, torch.Tensor]:
    """The gradient of the whole batch's loss in float64, one completion at a time, by the formulas of the paper."""
    model, tokenizer = load64(spec.policy), AutoTokenizer.from_pretrained(spec.policy)
    tokens = sum(n_c for _, _, n_c in scores)
    for pair, (q_c, q_r, n_c) in zip(rows(), scores, strict=True):
        sums = independent_sums(model, tokenizer, pair)
        h = (sums.chosen - q_c) - (sums.rejected - q_r)
        dpo = torch.log1p(torch.exp(-spec.beta * h)) / len(scores)
        share = n_c * len(scores) if spec.nll_per == "sequence" else tokens
        (dpo - spec.nll_weight * sums.chosen / share).backward()
    return {name: parameter.grad for name, parameter in model.named_parameters()}


@pytest.mark.parametrize("micro_batch", [1, 4, 8])
@pytest.mark.parametrize("per", ["sequence", "batch"])
def test_loss_and_gradient_are_the_formulas_at_every_micro_batch(
    per: str, micro_batch: int, spec: MakeSpec, scores: Any
) -> None:
    run = spec(nll_per=per, micro_batch=micro_batch, reference="initial", nll_weight=0.7)
    trained = train_here(run)
    dpo, nll = plain_terms(scores["policy"], scores["initial"], beta=0.1, per=per)
    (step,) = trained.steps
    assert step["dpo"] == pytest.approx(dpo, abs=CLOSE)
    assert step["nll"] == pytest.approx(nll, rel=1e-5)
    assert step["loss"] == pytest.approx(dpo + 0.7 * nll, rel=1e-5)
    assert_gradients_agree(trained.gradient, independent_gradient(run, scores["initial"]))


@pytest.mark.parametrize("family", FAMILIES)
def test_the_loss_is_the_formulas_for_every_family(family: Any, spec: MakeSpec, tmp_path: Path) -> None:
    folders = [tiny_model(tmp_path / name, family, seed=seed) for name, seed in (("policy", 1), ("initial", 2))]
    if family == "llama3":
        tokenizer = AutoTokenizer.from_pretrained(folders[0])
        split_newlines_as_llama3_does(tokenizer)
        for folder in folders:
            tokenizer.save_pretrained(folder)
    policy, initial = (score_rows(folder, rows()) for folder in folders)
    run = spec(policy=str(folders[0]), initial=str(folders[1]), reference="initial", micro_batch=4)
    (step,) = train_here(run).steps
    dpo, nll = plain_terms(policy, initial, beta=0.1, per="sequence")
    assert (step["dpo"], step["nll"]) == pytest.approx((dpo, nll), rel=1e-5, abs=CLOSE)


@pytest.mark.parametrize("lora", [None, LoraSpec(rank=2)], ids=["full", "lora"])
def test_gradient_checkpointing_changes_nothing(lora: Any, spec: MakeSpec) -> None:
    plain, saving = (train_here(spec(gradient_checkpointing=saves, lora=lora)) for saves in (False, True))
    assert saving.steps[0]["loss"] == plain.steps[0]["loss"]
    assert_gradients_agree(plain.gradient, saving.gradient)


def test_nothing_is_told_to_anybody(spec: MakeSpec, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("CI", raising=False)  # TRL keeps quiet there
    monkeypatch.setattr("trl.trainer.base_trainer.send_telemetry", None)  # calling it would fail
    make_trainer(spec())


@pytest.mark.parametrize("per", ["sequence", "batch"])
def test_a_smaller_last_micro_batch_weighs_by_its_pairs(per: str, spec: MakeSpec, scores: Any, tmp_path: Path) -> None:
    five = str(write_pairs(tmp_path / "five.parquet", rows(5)))
    whole, parts = (
        train_here(spec(pairs=(five,), nll_per=per, micro_batch=micro_batch, reference="initial"))
        for micro_batch in (8, 4)  # 5 at once, and 4 + 1
    )
    dpo, nll = plain_terms(scores["policy"][:5], scores["initial"][:5], beta=0.1, per=per)
    for trained in (whole, parts):
        (step,) = trained.steps
        assert step["loss"] == pytest.approx(dpo + nll, rel=1e-5)
    assert_gradients_agree(whole.gradient, parts.gradient)
    for name in ("rewards/margins", "rewards/accuracies"):
        assert parts.steps[0][name] == pytest.approx(whole.steps[0][name], abs=CLOSE)


@pytest.mark.parametrize("per", ["sequence", "batch"])
def test_the_micro_batch_does_not_change_the_weights_after_a_step(per: str, spec: MakeSpec) -> None:
    trained = [train_here(spec(nll_per=per, micro_batch=size, learning_rate=1e-4)) for size in (1, 4, 8)]
    weights = [torch.cat([p.detach().flatten() for p in each.trainer.model.parameters()]) for each in trained]
    for other in weights[1:]:
        # AdamW's first step is learning_rate * sign(gradient): a few entries of gradient zero may go either way
        assert float(((weights[0] - other).abs() > 1e-6).float().mean()) < 1e-3


def test_per_token_depends_on_the_micro_batch(spec: MakeSpec, scores: Any) -> None:
    losses = {size: train_here(spec(nll_per="token", micro_batch=size)).steps[0]["nll"] for size in (1, 4, 8)}
    assert losses[1] == pytest.approx(
        plain_terms(scores["policy"], scores["policy"], beta=0.1, per="sequence")[1], rel=1e-5
    )
    assert losses[8] == pytest.approx(
        plain_terms(scores["policy"], scores["policy"], beta=0.1, per="batch")[1], rel=1e-5
    )
    assert len({round(loss, 3) for loss in losses.values()}) == 3


@torch.no_grad()
def stock_loss(trained: Trained, size: int) -> float:
    """TRL's own loss for `sigmoid` + `sft` on the first `size` pairs."""
    trainer = trained.trainer
    batch = trainer.data_collator([trainer.train_dataset[index] for index in range(size)])
    trainer.loss_types, trainer.loss_weights = ["sigmoid", "sft"], [1.0, 1.0]
    loss = float(DPOTrainer._compute_loss(trainer, trainer.model, batch, False))
    trainer.loss_types, trainer.loss_weights = ["sigmoid"], [1.0]
    return loss


@torch.no_grad()
def our_loss(trained: Trained, size: int) -> float:
    trainer = trained.trainer
    trainer._rounds = None
    batch = trainer.data_collator([trainer.train_dataset[index] for index in range(size)])
    return float(trainer._compute_loss(trainer.model, batch, False))


@pytest.mark.parametrize("per", PERS)
def test_equal_to_trls_sft_at_micro_batch_1_and_above_only_per_token(per: str, spec: MakeSpec) -> None:
    trained = train_here(spec(nll_per=per))
    trained.trainer.model.train()
    assert our_loss(trained, 1) == pytest.approx(stock_loss(trained, 1), rel=1e-5)
    difference = abs(our_loss(trained, 4) / stock_loss(trained, 4) - 1)
    assert difference < 1e-5 if per in ("token", "batch") else difference > 1e-2


@pytest.mark.parametrize(("loss", "smoothing"), [("ipo", 0.0), ("robust", 0.2), ("sigmoid_norm", 0.0), ("hinge", 0.0)])
def test_other_losses_of_trl_are_the_equations_of_ours(
    loss: Any, smoothing: float, spec: MakeSpec, scores: Any
) -> None:
    run = spec(loss=loss, label_smoothing=smoothing, reference="initial", nll_weight=0.0, micro_batch=4)
    tokenizer = AutoTokenizer.from_pretrained(run.policy)
    pairs, _ = tokenise(rows(), tokenizer, max_length=run.max_length, over_long="drop")
    lengths = [torch.tensor([len(getattr(pair, side)) for pair in pairs]) for side in ("chosen_ids", "rejected_ids")]
    sums = [torch.tensor([row[at] for row in scores[name]]) for name in ("policy", "initial") for at in (0, 1)]
    each = pair_loss(loss, *sums, *lengths, beta=0.1, label_smoothing=smoothing)
    (step,) = train_here(run).steps
    assert step["loss"] == pytest.approx(each.mean().item(), rel=1e-5, abs=CLOSE)


@pytest.mark.parametrize("loss", ["ipo", "sigmoid_norm", "hinge"])
def test_step_one_of_other_losses_is_their_value_at_0(loss: Any, spec: MakeSpec, scores: Any) -> None:
    run = spec(loss=loss)
    train_here(run)
    run = spec(loss=loss)
    Path(run.work).mkdir(parents=True)
    wrong = ([s[side] for s in scores["initial"]] for side in (0, 1))
    write_reference(Path(run.work) / "reference.json", *wrong)
    with pytest.raises(TrainError, match="the DPO term must be"):
        train_here(run)


def test_an_nll_weight_of_zero_is_dpo_alone(spec: MakeSpec) -> None:
    (step,) = train_here(spec(nll_weight=0.0)).steps
    assert step["loss"] == pytest.approx(math.log(2), abs=CLOSE)
    assert step["nll"] > 1


def test_step_one_is_ln_2_where_policy_and_reference_are_the_same(spec: MakeSpec) -> None:
    for lora in (None, LoraSpec(rank=2), LoraSpec(rank=2, dropout=0.5)):
        (step,) = train_here(spec(lora=lora, micro_batch=4)).steps
        assert step["dpo"] == pytest.approx(math.log(2), abs=1e-5)
        assert step["rewards/margins"] == pytest.approx(0, abs=1e-4)


def test_a_reference_of_other_weights_is_found_at_step_one(spec: MakeSpec, scores: Any) -> None:
    run = spec()
    Path(run.work).mkdir(parents=True)
    wrong = ([s[side] for s in scores["initial"]] for side in (0, 1))
    write_reference(Path(run.work) / "reference.json", *wrong)
    with pytest.raises(TrainError, match=r"must be ln 2 = 0\.693147, within 0\.0001; it is .* remove the work folder"):
        train_here(run)


def test_a_small_drift_of_the_reference_is_found_too(spec: MakeSpec, scores: Any) -> None:
    run = spec()
    Path(run.work).mkdir(parents=True)
    drifted = [s[0] + 0.05 for s in scores["policy"]], [s[1] for s in scores["policy"]]
    write_reference(Path(run.work) / "reference.json", *drifted)
    with pytest.raises(TrainError, match="must be ln 2"):
        train_here(run)
