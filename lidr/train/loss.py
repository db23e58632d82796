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

What the NLL is a mean over changes what a token weighs, and differs between libraries under one name:

    per        nll                                       the choice of                    depends on the micro-batch
    sequence   mean_B( -s_c / n_c )                      LLaMA-Factory's `pref_ftx`       no
    token      sum_B( -s_c ) / sum_B( n_c )              TRL's loss type `sft`            yes
    batch      the same over the whole optimiser batch   lidr                             no

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

from lidr.train.training_spec import NllPer


class OptimiserBatch(NamedTuple):
    """Size of the optimiser batch that a micro-batch is part of, over all its micro-batches and processes."""

    pairs: int
    chosen_tokens: int
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


def nll(chosen_logps: Tensor, chosen_lengths: Tensor, *, per: NllPer, part_of: OptimiserBatch | None = None) -> Tensor:
    """Negative log-likelihood of the chosen completions.

    Args:
        chosen_logps: (batch,)  s_c, nats, summed over completion tokens.
        chosen_lengths: (batch,)  n_c, tokens; above zero.
        per: what the mean is over; see the table above.
        part_of: the optimiser batch, when this micro-batch is not all of it.

    Returns:
        ()  nats per token.
    """
    whole = part_of or _alone(chosen_lengths)
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
) -> Loss:
    """DPO + weight * NLL of a micro-batch: the loss of the recipe. All tensors (batch,); see the top of this page."""
    whole = part_of or _alone(chosen_lengths)
    each = dpo(policy_chosen, policy_rejected, reference_chosen, reference_rejected, beta=beta)
    dpo_term = each.sum() * (whole.parts / whole.pairs)
    nll_term = nll(policy_chosen, chosen_lengths, per=per, part_of=part_of)
    return Loss(dpo_term + weight * nll_term, dpo_term, nll_term)


def _alone(chosen_lengths: Tensor) -> OptimiserBatch:
    return OptimiserBatch(pairs=len(chosen_lengths), chosen_tokens=int(chosen_lengths.sum()), parts=1)
