"""LoRA, and the folders that leave training: the policy, merged and plain, and the adapter beside it.

The policy folder holds safetensors, the input policy's config with the new dtype, and byte for byte the input policy's
tokenizer, chat template and generation config: `AutoModelForCausalLM.from_pretrained` and vLLM load it as any other.
It is read back before it gets its name: a folder of that name is whole, and is the policy that was trained.
"""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import torch
from peft import LoraConfig, PeftModel

from lidr.errors import TrainError
from lidr.train.adapted_parts import all_linear
from lidr.train.training_spec import LoraSpec, SavedPolicy, TrainSpec
from lidr.weights import (
    is_mixture,
    load_policy,
    logits,
    logits_differ,
    read_back,
    round_to,
    save_weights,
    without_quantization,
)

_WEIGHTS = {".safetensors", ".bin", ".pt", ".pth", ".gguf", ".h5", ".msgpack", ".onnx"}
_NOT_CARRIED = {"config.json", "README.md", "record.json"}  # rewritten; about another model; the store's own
_TEMPLATES = "additional_chat_templates"  # a folder of named templates


def lora_config(lora: LoraSpec, model: Any) -> LoraConfig:
    """Turn our words into peft's; the head is never adapted, since TRL reads its weight directly."""
    return LoraConfig(
        r=lora.rank,
        lora_alpha=lora.alpha,
        lora_dropout=lora.dropout,
        target_modules=list(lora.target_modules) or all_linear(model),
        bias="none",
        task_type="CAUSAL_LM",
        **lora.more,
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


def save_policy(model: torch.nn.Module, spec: TrainSpec, prompts: Sequence[Sequence[int]] = ()) -> SavedPolicy:
    """Write the trained policy into spec.model_out, atomically; a LoRA model is merged, and so changed, by this.

    Merging is done in float32 and rounded once. It happens on the CPU: the float32 copy may not fit beside the
    optimiser's state on the device. An adapter that was trained over packed weights is merged into the plain ones.

    Args:
        model: as it was trained; of one over packed weights the adapter is in spec.adapter_out already.
        spec: the run.
        prompts: token ids, whose logits must be the same before merging, after it and when read back.

    Raises:
        TrainError: they are not, or a tensor is not; nothing was saved under spec.model_out.
    """
    packed = [logits(model, ids) for ids in prompts] if spec.quantization else []
    whole: Any = _over_plain_weights(spec) if spec.quantization else model.to("cpu", torch.float32)
    trained = [logits(whole, ids) for ids in prompts]
    plain: Any = whole.merge_and_unload() if isinstance(whole, PeftModel) else whole
    _check_merged(plain, prompts, trained, spec)
    round_to(plain, getattr(torch, spec.dtype))
    found = None

    def write(partial: Path) -> None:
        nonlocal found
        carried = save_weights(plain, Path(spec.policy), partial)
        config = json.loads((Path(spec.policy) / "config.json").read_text(encoding="utf-8"))
        _write_json(partial / "config.json", with_dtype(without_quantization(config), spec.dtype))
        _carry_over(Path(spec.policy), partial)
        trusted = spec.trust_remote_code
        found = read_back(partial, plain, prompts, dtype=spec.dtype, carried=carried, trust_remote_code=trusted)
        if found.wrong:
            raise TrainError(
                f"the policy was saved and read back, and is not the one that was trained: {found.wrong}. It stays "
                f"under {partial}; its kind of model ({config.get('model_type')}) cannot be saved by this transformers"
            )

    _write_folder(Path(spec.model_out), write)
    assert found is not None
    gaps = [float((before - now).abs().max()) for before, now in zip(packed, trained, strict=False)]
    return SavedPolicy(found.tensors, found.difference, max(gaps, default=None))


def _check_merged(plain: Any, prompts: Sequence[Sequence[int]], trained: Sequence[Any], spec: TrainSpec) -> None:
    if not prompts:
        return
    merged = [logits(plain, ids) for ids in prompts]
    is_other, found = logits_differ(merged, trained, is_mixture=is_mixture(plain))
    if is_other:
        raise TrainError(
            f"the adapter cannot be merged with these settings: the merged policy's logits differ by up to {found:.3g} "
            f"from those that were trained; the adapter itself is in {spec.adapter_out}"
        )


def _over_plain_weights(spec: TrainSpec) -> PeftModel:
    """The adapter that was saved over the policy's own weights, in float32."""
    base = load_policy(spec.policy, dtype=spec.dtype, trust_remote_code=spec.trust_remote_code).float()
    return PeftModel.from_pretrained(base, spec.adapter_out)


def with_dtype(config: dict[str, Any], dtype: str) -> dict[str, Any]:
    """A config.json that names a number format, in its nested parts too where they name one."""
    parts = {
        name: with_dtype(value, dtype) if isinstance(value, dict) and {"dtype", "torch_dtype"} & {*value} else value
        for name, value in config.items()
        if name != "torch_dtype"
    }
    return {**parts, "dtype": dtype}


def _carry_over(policy: Path, folder: Path) -> None:
    """Copy the policy's files that are neither weights nor rewritten: tokenizer, templates, licence, remote code."""
    if (policy / _TEMPLATES).is_dir():
        shutil.copytree(policy / _TEMPLATES, folder / _TEMPLATES)
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
