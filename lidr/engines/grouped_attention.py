"""Attention on a CPU without copies of keys and values.

Where several heads of a query share one head of keys and values, transformers copies these for each of them whenever
there is a mask, since some GPU kernels need that. torch's kernel for CPUs does not; and for each token that is
generated, each layer would copy all that stands before it.
"""

from __future__ import annotations

from typing import Any

from torch import Tensor
from torch.nn.functional import scaled_dot_product_attention
from transformers import AttentionInterface
from transformers.integrations.sdpa_attention import sdpa_attention_forward


def use_grouped_attention() -> None:
    """Let all models of this process that attend by `sdpa` do so without these copies. Safe to call twice."""
    AttentionInterface.register("sdpa", attend)


def attend(
    module: Any, query: Tensor, key: Tensor, value: Tensor, attention_mask: Tensor | None, **how: Any
) -> tuple[Tensor, None]:
    """What transformers' function for `sdpa` gives, bit by bit.

    Args:
        module: the layer.
        query: (batch, heads, tokens, size); one token of each row, on a CPU, is what is done here.
        key: (batch, key heads, tokens so far, size), and so is `value`.
        value: see `key`.
        attention_mask: (batch, 1, tokens, tokens so far), or None.
        how: more of what transformers hands over.

    Returns:
        (batch, tokens, heads, size), and no weights.
    """
    is_plain = not how.get("dropout") and how.get("position_bias") is None and how.get("cache") is None
    if query.device.type != "cpu" or query.shape[2] != 1 or not is_plain:
        found: tuple[Tensor, None] = sdpa_attention_forward(module, query, key, value, attention_mask, **how)
        return found
    attended = scaled_dot_product_attention(
        query, key, value, attn_mask=attention_mask, scale=how.get("scaling"), enable_gqa=True
    )
    return attended.transpose(1, 2).contiguous(), None
