"""LoRA, and the folders that leave training: the policy, merged and plain, and the adapter beside it.

The policy folder holds safetensors, the input policy's config with the new dtype, and byte for byte the input policy's
tokenizer, chat template and generation config: `AutoModelForCausalLM.from_pretrained` and vLLM load it as any other.
"""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import torch
from peft import LoraConfig, PeftModel

from lidr.train.training_spec import LoraSpec, TrainSpec

_WEIGHTS = {".safetensors", ".bin", ".pt", ".pth", ".gguf", ".h5", ".msgpack", ".onnx"}
_NOT_CARRIED = {"config.json", "README.md", "record.json"}  # rewritten; about another model; the store's own

_SHARD = "5GB"  # what the Hub recommends, and what huggingface_hub splits by


def lora_config(lora: LoraSpec) -> LoraConfig:
    """Turn our words into peft's; the head is never adapted, since TRL reads its weight directly."""
    return LoraConfig(
        r=lora.rank,
        lora_alpha=lora.alpha,
        lora_dropout=lora.dropout,
        target_modules=list(lora.target_modules) or "all-linear",
        bias="none",
        task_type="CAUSAL_LM",
    )


def save_adapter(model: PeftModel, folder: Path, *, policy_name: str) -> None:
    """Write the LoRA adapter, atomically; its config names the base model by `policy_name` or not at all."""

    def write(partial: Path) -> None:
        # False: the embeddings are not trained, and "auto" asks the Hub whether the vocabulary grew.
        model.save_pretrained(partial, selected_adapters=["default"], save_embedding_layers=False)
        # peft writes this machine's path into both; the path means nothing elsewhere.
        (partial / "README.md").unlink(missing_ok=True)
        config = json.loads((partial / "adapter_config.json").read_text(encoding="utf-8"))
        config["base_model_name_or_path"] = policy_name or None
        config["target_modules"] = sorted(config["target_modules"])  # peft keeps a set: another order in each process
        _write_json(partial / "adapter_config.json", config)

    _write_folder(folder, write)


def save_policy(model: torch.nn.Module, spec: TrainSpec) -> None:
    """Write the trained policy into spec.model_out, atomically; a LoRA model is merged, and so changed, by this.

    Merging is done in float32 and rounded once. It happens on the CPU: the float32 copy may not fit beside the
    optimiser's state on the device.
    """
    model.to("cpu", torch.float32)
    plain: Any = model.merge_and_unload() if isinstance(model, PeftModel) else model
    plain.to(getattr(torch, spec.dtype))

    def write(partial: Path) -> None:
        plain.save_pretrained(partial, max_shard_size=_SHARD)
        # Trainers write a padding token and the like into both configs: the input policy's own are kept instead.
        (partial / "generation_config.json").unlink(missing_ok=True)
        config = json.loads((Path(spec.policy) / "config.json").read_text(encoding="utf-8"))
        config.pop("torch_dtype", None)
        _write_json(partial / "config.json", {**config, "dtype": spec.dtype})
        _carry_over(Path(spec.policy), partial)

    _write_folder(Path(spec.model_out), write)


def _carry_over(policy: Path, folder: Path) -> None:
    """Copy the policy's files that are neither weights nor rewritten: tokenizer, template, licence, remote code."""
    for path in sorted(policy.iterdir()):
        is_index = path.name.endswith(".index.json")
        if path.is_file() and path.suffix not in _WEIGHTS and path.name not in _NOT_CARRIED and not is_index:
            shutil.copyfile(path, folder / path.name)


def _write_folder(folder: Path, write: Callable[[Path], None]) -> None:
    """Let `write` fill a sibling of `folder`, then rename it: a folder of that name is whole or absent."""
    partial = folder.with_name(f".partial-{folder.name}")
    shutil.rmtree(partial, ignore_errors=True)
    partial.mkdir(parents=True)
    write(partial)
    shutil.rmtree(folder, ignore_errors=True)  # of an earlier run that ended between here and its record
    partial.rename(folder)


def _write_json(path: Path, value: Any) -> None:
    path.write_text(json.dumps(value, indent=2, sort_keys=True, ensure_ascii=False) + "\n", encoding="utf-8")
