"""Adapters of every kind, made by the real peft over a tiny random model, with the logits that they gave when made."""

from __future__ import annotations

import warnings
from pathlib import Path
from typing import Any, NamedTuple

IDS = [1, 40, 300, 7, 99, 250]
"""A prompt that every tiny model knows."""

ADDED = ("<|alpha|>", "<|omega|>")
TEMPLATE = "{%- for m in messages -%}<|alpha|>{{ m['role'] }}: {{ m['content'] }}<|omega|>{%- endfor -%}<|alpha|>"


class Made(NamedTuple):
    """An adapter's folder, and what base and adapter said of IDS together: (1, tokens, vocabulary) logits."""

    folder: Path
    logits: Any


def lora(**more: Any) -> Any:
    """A small LoRA over queries and values, changed as told."""
    from peft import LoraConfig

    return LoraConfig(**{"r": 4, "task_type": "CAUSAL_LM", "target_modules": ["q_proj", "v_proj"], **more})


def make_adapter(
    base: Path,
    folder: Path,
    config: Any,
    *,
    added: tuple[str, ...] = (),
    rows: int | None = None,
    tokenizer: bool = False,
    template: str | None = None,
    is_trained: bool = True,
    **save: Any,
) -> Made:
    """Train (by chance) an adapter over `base` and save it as peft does.

    Args:
        base: a model folder.
        folder: receives the adapter.
        config: peft's.
        added: special tokens that the tokenizer learns first; the embedding gets rows for them.
        rows: of the embedding, where it is resized to another number.
        tokenizer: whether the tokenizer is saved beside the adapter.
        template: its chat template; None keeps the base's.
        is_trained: False leaves the weights as peft starts them.
        **save: of save_pretrained.
    """
    import torch
    from peft import get_peft_model
    from transformers import AutoModelForCausalLM, AutoTokenizer

    model = AutoModelForCausalLM.from_pretrained(base, dtype=torch.float32)
    words = AutoTokenizer.from_pretrained(base)
    generator = torch.Generator().manual_seed(1)
    if added:
        words.add_special_tokens({"additional_special_tokens": list(added)})
    if added or rows:
        had = len(model.get_input_embeddings().weight)
        model.resize_token_embeddings(rows or len(words), mean_resizing=False)
        new = model.get_input_embeddings().weight.data[had:]
        new.copy_(torch.randn(new.shape, generator=generator) * 0.2)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        over = get_peft_model(model, config)
        if is_trained:
            for weight in (w for w in over.parameters() if w.requires_grad):
                weight.data += torch.randn(weight.shape, generator=generator) * 0.1
        over.save_pretrained(folder, **save)
    if tokenizer:
        words.chat_template = template or words.chat_template
        words.save_pretrained(folder)
    with torch.no_grad():
        return Made(folder, over.eval()(input_ids=torch.tensor([IDS])).logits)


def logits_of(folder: Path) -> Any:
    """What a plain model folder says of IDS."""
    import torch
    from transformers import AutoModelForCausalLM

    model = AutoModelForCausalLM.from_pretrained(folder, dtype=torch.float32)
    with torch.no_grad():
        return model.eval()(input_ids=torch.tensor([IDS])).logits
