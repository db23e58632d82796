"""A tiny random reward model: the family's tokenizer and template, and a head of one label."""

from __future__ import annotations

from pathlib import Path

from tests.tiny import Family, tiny_model


def tiny_reward_model(folder: Path, family: Family, *, seed: int = 3, labels: int = 1) -> Path:
    """Write it as a plain folder of float32 safetensors; equal arguments give equal files."""
    import torch
    from transformers import AutoConfig, AutoModelForSequenceClassification

    if (folder / "config.json").exists():
        return folder
    tiny_model(folder, family, seed=seed, max_positions=640)
    config = AutoConfig.from_pretrained(folder)
    config.num_labels, config.architectures = labels, None
    torch.manual_seed(seed)
    model = AutoModelForSequenceClassification.from_config(config)
    (folder / "model.safetensors").unlink()
    model.save_pretrained(folder)
    return folder
