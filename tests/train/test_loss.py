"""The pure loss, against hand calculation, against formulas in plain floats, and in parts."""

from __future__ import annotations

import math
import random

import pytest
import torch
from torch import Tensor

from lidr.train.loss import OptimiserBatch, dpo, dpo_nll, margin, nll, pair_loss
from tests.train.runs import plain_terms


def tensor(*values: float) -> Tensor:
    return torch.tensor(values, dtype=torch.float64)


HAND = (tensor(-20, -90, -40), tensor(-40, -80, -60), tensor(-30, -90, -40), tensor(-30, -80, -50))
LENGTHS = tensor(10, 90, 50)


def random_batch(seed: int, size: int) -> tuple[list[Tensor], Tensor]:
    """Sums of realistic size: tens to thousands of nats, with length ratios up to 200."""
    source = random.Random(seed)
    lengths = [source.randint(2, 400) for _ in range(size)]
    columns = [[-source.uniform(0.05, 8) * n for n in lengths] for _ in range(4)]
    return [torch.tensor(column, dtype=torch.float64) for column in columns], torch.tensor(lengths)


def test_three_pairs_worked_by_hand() -> None:
    # beta * h = 2, 0, 1; log(1 + e^-2) = 0.126928, log 2 = 0.693147, log(1 + e^-1) = 0.313262
    assert margin(*HAND, beta=0.1).tolist() == [2.0, 0.0, 1.0]
    assert dpo(*HAND, beta=0.1).tolist() == pytest.approx([0.126928011, 0.693147181, 0.313261688], abs=1e-9)
    loss = dpo_nll(*HAND, LENGTHS, beta=0.1, weight=1.0, per="sequence")
    assert loss.nll.item() == pytest.approx((2.0 + 1.0 + 0.8) / 3, abs=1e-12)
    assert loss.total.item() == pytest.approx(0.377778960 + 1.266666667, abs=1e-8)


def test_the_worked_example_of_the_normalisation_trap() -> None:
    # design notes, method 8: n_c = (10, 90), -s_c = (20, 90)
    logps, lengths = tensor(-20, -90), tensor(10, 90)
    assert nll(logps, lengths, per="sequence").item() == 1.5
    assert nll(logps, lengths, per="token").item() == pytest.approx(1.1, abs=1e-15)
    assert nll(logps, lengths, per="batch").item() == pytest.approx(1.1, abs=1e-15)


@pytest.mark.parametrize("per", ["sequence", "token", "batch"])
def test_agrees_with_formulas_in_plain_floats(per: str) -> None:
    for seed in range(50):
        (s_c, s_r, q_c, q_r), lengths = random_batch(seed, size=1 + seed % 9)
        policy = list(zip(s_c.tolist(), s_r.tolist(), lengths.tolist(), strict=True))
        reference = list(zip(q_c.tolist(), q_r.tolist(), lengths.tolist(), strict=True))
        expected_dpo, expected_nll = plain_terms(policy, reference, beta=0.07, per=per)
        loss = dpo_nll(s_c, s_r, q_c, q_r, lengths, beta=0.07, weight=0.3, per=per)
        assert loss.dpo.item() == pytest.approx(expected_dpo, rel=1e-9, abs=1e-9)
        assert loss.nll.item() == pytest.approx(expected_nll, rel=1e-9, abs=1e-9)
        assert loss.total.item() == pytest.approx(expected_dpo + 0.3 * expected_nll, rel=1e-9, abs=1e-9)


def test_sequence_is_llama_factorys_formula() -> None:
    # hiyouga/LLaMA-Factory, src/llamafactory/train/dpo/trainer.py: losses += pref_ftx * -policy_chosen_logps_avg, mean
    (s_c, s_r, q_c, q_r), lengths = random_batch(7, size=6)
    logits = (s_c - s_r) - (q_c - q_r)
    theirs = (
        torch.log1p(torch.exp(-0.1 * logits.abs())) + (-0.1 * logits).clamp(min=0) + 0.5 * -(s_c / lengths)
    ).mean()
    ours = dpo_nll(s_c, s_r, q_c, q_r, lengths, beta=0.1, weight=0.5, per="sequence").total
    assert ours.item() == pytest.approx(theirs.item(), abs=1e-6)


def test_token_equals_sequence_where_all_chosen_lengths_are_equal_and_differs_elsewhere() -> None:
    logps = tensor(-20, -90, -40)
    same = tensor(30, 30, 30)
    assert nll(logps, same, per="token").item() == pytest.approx(nll(logps, same, per="sequence").item(), abs=1e-15)
    assert abs(nll(logps, LENGTHS, per="token") - nll(logps, LENGTHS, per="sequence")) > 0.2


def test_dpo_sums_are_never_divided_by_a_length() -> None:
    short = dpo_nll(*HAND, LENGTHS, beta=0.1, weight=1.0, per="sequence")
    long = dpo_nll(*HAND, LENGTHS * 7, beta=0.1, weight=1.0, per="sequence")
    assert short.dpo.item() == long.dpo.item()
    assert short.nll.item() == pytest.approx(7 * long.nll.item())


@pytest.mark.parametrize("per", ["sequence", "token", "batch"])
def test_the_nll_weight_reaches_chosen_completions_only(per: str) -> None:
    # TRL once had it on the wrong term: huggingface/trl#1868
    gradients = []
    for weight in (0.0, 5.0):
        chosen, rejected, *reference = (column.clone().requires_grad_() for column in HAND)
        dpo_nll(chosen, rejected, *reference, LENGTHS, beta=0.1, weight=weight, per=per).total.backward()
        gradients.append((chosen.grad, rejected.grad))
    (chosen_without, rejected_without), (chosen_with, rejected_with) = gradients
    assert torch.equal(rejected_without, rejected_with)
    expected = {"sequence": 1 / (3 * LENGTHS), "token": torch.full((3,), 1 / 150), "batch": torch.full((3,), 1 / 150)}
    torch.testing.assert_close(chosen_without - chosen_with, 5 * expected[per].double(), rtol=0, atol=1e-7)


def test_the_gradient_of_dpo_is_that_of_the_paper() -> None:
    chosen = HAND[0].clone().requires_grad_()
    dpo(chosen, *HAND[1:], beta=0.1).sum().backward()
    by_hand = [-0.1 / (1 + math.exp(x)) for x in (2, 0, 1)]  # -beta * sigmoid(-beta * h)
    assert chosen.grad.tolist() == pytest.approx(by_hand, abs=1e-12)


def test_dpo_is_ln_2_where_the_policy_is_the_reference() -> None:
    loss = dpo_nll(HAND[0], HAND[1], HAND[0], HAND[1], LENGTHS, beta=0.1, weight=1.0, per="sequence")
    assert loss.dpo.item() == pytest.approx(math.log(2), abs=1e-15)


@pytest.mark.parametrize("sizes", [(8,), (4, 4), (1,) * 8, (3, 3, 2)])
@pytest.mark.parametrize("per", ["sequence", "batch"])
def test_the_mean_of_the_parts_is_the_whole(per: str, sizes: tuple[int, ...]) -> None:
    columns, lengths = random_batch(3, size=8)
    whole = dpo_nll(*columns, lengths, beta=0.1, weight=1.0, per=per)
    batch = OptimiserBatch(pairs=8, chosen_tokens=int(lengths.sum()), parts=len(sizes))
    parts = [
        dpo_nll(*part, part_lengths, beta=0.1, weight=1.0, per=per, part_of=batch)
        for *part, part_lengths in zip(*(column.split(sizes) for column in (*columns, lengths)), strict=True)
    ]
    for name in ("total", "dpo", "nll"):
        mean = sum(getattr(part, name).item() for part in parts) / len(parts)
        assert mean == pytest.approx(getattr(whole, name).item(), rel=1e-12)


def test_per_token_depends_on_the_micro_batch() -> None:
    logps, lengths = tensor(-20, -90), tensor(10, 90)
    parts = [nll(logps[i : i + 1], lengths[i : i + 1], per="token").item() for i in range(2)]
    assert sum(parts) / 2 == 1.5
    assert nll(logps, lengths, per="token").item() == pytest.approx(1.1, abs=1e-15)


def test_every_loss_is_least_where_the_chosen_side_gains_and_is_dpo_where_it_should_be() -> None:
    (s_c, s_r, q_c, q_r), n_c = random_batch(7, size=6)
    n_r = n_c.flip(0)
    logps = (s_c, s_r, q_c, q_r)
    plain = dpo(*logps, beta=0.1)
    assert torch.equal(pair_loss("sigmoid", *logps, n_c, n_r, beta=0.1), plain)
    assert torch.allclose(pair_loss("robust", *logps, n_c, n_r, beta=0.1, label_smoothing=0.0), plain)
    assert torch.allclose(pair_loss("robust", *logps, n_c, n_r, beta=0.1), plain)  # no pair is taken for flipped
    ones = torch.ones(6)
    assert torch.allclose(pair_loss("sigmoid_norm", *logps, ones, ones, beta=0.1), plain)
    # robust is unbiased: flipping a share e of the labels gives the plain loss on average
    e = 0.3
    kept = pair_loss("robust", *logps, n_c, n_r, beta=0.1, label_smoothing=e)
    flipped = pair_loss("robust", s_r, s_c, q_r, q_c, n_r, n_c, beta=0.1, label_smoothing=e)
    assert torch.allclose((1 - e) * kept + e * flipped, plain)


def test_ipo_and_hinge_by_hand() -> None:
    # s - q of chosen / rejected: 10 / -10 nats on 10 / 20 tokens, so h_n = 1.5; 1 / (2 beta) = 5; beta h = 2
    logps = (tensor(-20), tensor(-40), tensor(-30), tensor(-30))
    assert pair_loss("ipo", *logps, tensor(10), tensor(20), beta=0.1).tolist() == pytest.approx([(1.5 - 5) ** 2])
    assert pair_loss("hinge", *logps, tensor(10), tensor(20), beta=0.1).tolist() == [0.0]
    assert pair_loss("hinge", *logps, tensor(10), tensor(20), beta=0.02).tolist() == pytest.approx([0.6])
