"""The loss: DPO on a pair, plus NLL on its chosen completion. This page is the whole of it.

For the B pairs of a micro-batch, under the policy that is trained and under a frozen reference model:

    s_c, s_r  (B,)  log-probability of the chosen and of the rejected completion under the policy, nats: the SUM over
                    its tokens, end-of-turn token included, prompt tokens excluded
    q_c, q_r  (B,)  the same sums under the reference
    n_c       (B,)  length of the chosen completion, tokens

    h     = (s_c - q_c) - (s_r - q_r)              nats; never divided by a length
    dpo   = mean_B( -log sigmoid(beta * h) )       Rafailov et al. 2023, arXiv 2305.18290, equation 7
    nll   = mean( -s_c ), over what `per` says     keeps the chosen text likely; arXiv 2404.19733 section 2
    total = dpo + weight * nll

The DPO term may be replaced by another one of the same four sums (`loss` of a recipe; `sigmoid` is the paper's), with
n_r the length of the rejected completion, h_n = (s_c - q_c) / n_c - (s_r - q_r) / n_r, and e the label smoothing:

    loss           each pair
    sigmoid        -log sigmoid(beta h)                          2305.18290
    ipo            (h_n - 1 / (2 beta))^2                        2310.12036
    robust         ((e - 1) log sigmoid(beta h) + e log sigmoid(-beta h)) / (1 - 2 e): a share e is flipped; 2403.00409
    sigmoid_norm   -log sigmoid(beta h_n)                        2411.15124
    hinge          max(0, 1 - beta h)                            2305.10425

`ipo` is a mean over tokens inside, as its authors compute it and TRL does.

What the NLL is a mean over changes what a token weighs, and differs between libraries under one name:

    per        nll                                       the choice of                    depends on the micro-batch
    sequence   mean_B( -s_c / n_c )                      LLaMA-Factory's `pref_ftx`       no
    token      sum_B( -s_c ) / sum_B( n_c )              TRL's loss type `sft`            yes
    batch      the same over the whole optimiser batch   lidr                             no

Where pairs have weights w (the column `weight`), every mean is a weighted one: mean_B(x) is sum_B(w x) / sum_B(w) over
the optimiser batch, and the sums of `token` and `batch` are sum_B(-w s_c) / sum_B(w n_c). So a pair of weight 2 is the
same as that pair twice, and only the ratios of weights in a batch matter.

`token` and `batch` shift weight from short completions to long ones. Chosen completions differ in length by language
and by kind of pair, so `per` is a setting of the recipe and not a detail. A trainer sees an optimiser batch in parts
(gradient accumulation, several processes) and takes the plain mean of the parts' losses; `part_of` makes that mean the
mean over the whole, also where the last part is a smaller one.

Three pairs by hand, beta = 0.1: beta * h = (2, 0, 1), hence -log sigmoid = (0.1269, 0.6931, 0.3133), mean 0.3778. The
chosen completions cost (20, 90, 40) nats on (10, 90, 50) tokens: per sequence (2.0 + 1.0 + 0.8) / 3 = 1.2667, per
token 150 / 150 = 1.

    >>> import torch
    >>> tensor = lambda *row: torch.tensor(row, dtype=torch.float64)
    >>> policy_chosen, policy_rejected = tensor(-20, -90, -40), tensor(-40, -80, -60)
    >>> reference_chosen, reference_rejected = tensor(-30, -90, -40), tensor(-30, -80, -50)
    >>> logps = policy_chosen, policy_rejected, reference_chosen, reference_rejected
    >>> margin(*logps, beta=0.1).tolist()
    [2.0, 0.0, 1.0]
    >>> [round(value, 4) for value in dpo(*logps, beta=0.1).tolist()]
    [0.1269, 0.6931, 0.3133]
    >>> loss = dpo_nll(*logps, tensor(10, 90, 50), beta=0.1, weight=1.0, per="sequence")
    >>> [round(value.item(), 4) for value in loss]
    [1.6444, 0.3778, 1.2667]
    >>> loss = dpo_nll(*logps, tensor(10, 90, 50), beta=0.1, weight=1.0, per="token")
    >>> [round(value.item(), 4) for value in loss]
    [1.3778, 0.3778, 1.0]
"""

from __future__ import annotations

from typing import NamedTuple

import torch.nn.functional as F  # noqa: N812, the name that the field uses
from torch import Tensor

from lidr.train.training_spec import NllPer, PairLoss


class OptimiserBatch(NamedTuple):
    """Size of the optimiser batch that a micro-batch is part of, over all its micro-batches and processes.

    Where pairs have weights, each pair, and each of its tokens, counts as often as its weight says.
    """

    pairs: float
    chosen_tokens: float
    parts: int  # micro-batches


class Loss(NamedTuple):
    """The loss of a micro-batch and its two terms, scalars in nats; `nll` is not yet weighted."""

    total: Tensor
    dpo: Tensor
    nll: Tensor


def margin(
    policy_chosen: Tensor, policy_rejected: Tensor, reference_chosen: Tensor, reference_rejected: Tensor, *, beta: float
) -> Tensor:
    """Implicit reward of the chosen completion minus that of the rejected one: beta * h, nats; all tensors (batch,)."""
    return beta * ((policy_chosen - reference_chosen) - (policy_rejected - reference_rejected))


def dpo(
    policy_chosen: Tensor, policy_rejected: Tensor, reference_chosen: Tensor, reference_rejected: Tensor, *, beta: float
) -> Tensor:
    """DPO of each pair: -log sigmoid(beta * h), nats; all tensors (batch,). ln 2 where the policy is the reference."""
    return -F.logsigmoid(margin(policy_chosen, policy_rejected, reference_chosen, reference_rejected, beta=beta))


def pair_loss(
    loss: PairLoss,
    policy_chosen: Tensor,
    policy_rejected: Tensor,
    reference_chosen: Tensor,
    reference_rejected: Tensor,
    chosen_lengths: Tensor,
    rejected_lengths: Tensor,
    *,
    beta: float,
    label_smoothing: float = 0.0,
) -> Tensor:
    """The term of each pair that compares its two sides; all tensors (batch,). See the second table above.

    >>> import torch
    >>> same = [torch.zeros(1)] * 4 + [torch.ones(1)] * 2
    >>> [round(pair_loss(loss, *same, beta=0.1).item(), 4) for loss in ("sigmoid", "ipo", "sigmoid_norm", "hinge")]
    [0.6931, 25.0, 0.6931, 1.0]
    """
    logps = policy_chosen, policy_rejected, reference_chosen, reference_rejected
    if loss in ("ipo", "sigmoid_norm"):
        chosen = (policy_chosen - reference_chosen) / chosen_lengths
        rejected = (policy_rejected - reference_rejected) / rejected_lengths
        if loss == "ipo":
            return (chosen - rejected - 1 / (2 * beta)) ** 2
        return -F.logsigmoid(beta * (chosen - rejected))
    scaled = margin(*logps, beta=beta)
    if loss == "hinge":
        return F.relu(1 - scaled)
    if loss == "robust":
        flipped = label_smoothing * F.logsigmoid(-scaled)
        return (flipped - (1 - label_smoothing) * F.logsigmoid(scaled)) / (1 - 2 * label_smoothing)
    return dpo(*logps, beta=beta)


def nll(
    chosen_logps: Tensor,
    chosen_lengths: Tensor,
    *,
    per: NllPer,
    part_of: OptimiserBatch | None = None,
    pair_weights: Tensor | None = None,
) -> Tensor:
    """Negative log-likelihood of the chosen completions.

    Args:
        chosen_logps: (batch,)  s_c, nats, summed over completion tokens.
        chosen_lengths: (batch,)  n_c, tokens; above zero.
        per: what the mean is over; see the table above.
        part_of: the optimiser batch, when this micro-batch is not all of it.
        pair_weights: (batch,)  above zero; None: all count alike.

    Returns:
        ()  nats per token.
    """
    whole = part_of or _alone(chosen_lengths, pair_weights)
    if pair_weights is not None:
        if per == "sequence":
            chosen_logps = pair_weights * chosen_logps
        else:
            chosen_logps, chosen_lengths = pair_weights * chosen_logps, pair_weights * chosen_lengths
    if per == "sequence":
        return (-chosen_logps / chosen_lengths).sum() * (whole.parts / whole.pairs)
    if per == "batch":
        return -chosen_logps.sum() * (whole.parts / whole.chosen_tokens)
    return -chosen_logps.sum() / chosen_lengths.sum()


def dpo_nll(
    policy_chosen: Tensor,
    policy_rejected: Tensor,
    reference_chosen: Tensor,
    reference_rejected: Tensor,
    chosen_lengths: Tensor,
    *,
    beta: float,
    weight: float,
    per: NllPer,
    part_of: OptimiserBatch | None = None,
    pair_weights: Tensor | None = None,
) -> Loss:
    """DPO + weight * NLL of a micro-batch: the loss of the recipe. All tensors (batch,); see the top of this page."""
    whole = part_of or _alone(chosen_lengths, pair_weights)
    each = dpo(policy_chosen, policy_rejected, reference_chosen, reference_rejected, beta=beta)
    dpo_term = mean_over(each, whole, pair_weights)
    nll_term = nll(policy_chosen, chosen_lengths, per=per, part_of=part_of, pair_weights=pair_weights)
    return Loss(dpo_term + weight * nll_term, dpo_term, nll_term)


def mean_over(each: Tensor, whole: OptimiserBatch, pair_weights: Tensor | None = None) -> Tensor:
    """This micro-batch's part of the mean of `each` (batch,) over the optimiser batch."""
    return (each if pair_weights is None else pair_weights * each).sum() * (whole.parts / whole.pairs)


def _alone(chosen_lengths: Tensor, pair_weights: Tensor | None) -> OptimiserBatch:
    if pair_weights is None:
        return OptimiserBatch(pairs=len(chosen_lengths), chosen_tokens=int(chosen_lengths.sum()), parts=1)
    return OptimiserBatch(float(pair_weights.sum()), float((pair_weights * chosen_lengths).sum()), parts=1)
