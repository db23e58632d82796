"""Tiny random classifiers: a reward model with its family's tokenizer and template, and an estimator of pairs."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from tests.tiny import STYLES, Family, make_tokenizer, tiny_model


def tiny_reward_model(
    folder: Path, family: Family, *, seed: int = 3, labels: int = 1, changes: Mapping[str, Any] | None = None
) -> Path:
    """Write it as a plain folder of float32 safetensors; equal arguments give equal files.

    Args:
        folder: is created.
        family: whose tokenizer and template it has.
        seed: of the weights.
        labels: of its head.
        changes: of its config.
    """
    import torch
    from transformers import AutoConfig, AutoModelForSequenceClassification

    if (folder / "config.json").exists():
        return folder
    tiny_model(folder, family, seed=seed, max_positions=640)
    config = AutoConfig.from_pretrained(folder)
    config.num_labels, config.architectures = labels, None
    for name, value in (changes or {}).items():
        setattr(config, name, value)
    torch.manual_seed(seed)
    model = AutoModelForSequenceClassification.from_config(config)
    (folder / "model.safetensors").unlink()
    model.save_pretrained(folder)
    return folder


def tiny_estimator(folder: Path, *, seed: int = 5, positions: int = 64) -> Path:
    """Write an encoder with one label that tells the two texts of a pair apart by their token types.

    Args:
        folder: is created.
        seed: of the weights.
        positions: most tokens of a pair.
    """
    import torch
    from tokenizers.processors import TemplateProcessing
    from transformers import BertConfig, BertForSequenceClassification, PreTrainedTokenizerFast

    tokens = make_tokenizer(STYLES["qwen2"]).backend_tokenizer
    tokens.post_processor = TemplateProcessing(
        single="<|im_start|> $A <|im_end|>",
        pair="<|im_start|> $A <|im_end|> $B:1 <|im_end|>:1",
        special_tokens=[(name, tokens.token_to_id(name)) for name in ("<|im_start|>", "<|im_end|>")],
    )
    names = ["input_ids", "token_type_ids", "attention_mask"]
    tokenizer = PreTrainedTokenizerFast(tokenizer_object=tokens, pad_token="<|endoftext|>", model_input_names=names)
    tokenizer.save_pretrained(folder)
    config = BertConfig(
        vocab_size=len(tokenizer), hidden_size=32, num_hidden_layers=2, num_attention_heads=2, intermediate_size=64,
        max_position_embeddings=positions, initializer_range=0.2, num_labels=1, pad_token_id=tokenizer.pad_token_id,
    )  # fmt: skip
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        BertForSequenceClassification(config).save_pretrained(folder)
    return folder
