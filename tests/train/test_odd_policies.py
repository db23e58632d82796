"""Policies that are packed, wrapped, or mixtures: trained, merged, and used by others under the same names."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from peft import PeftModel
from transformers import AutoModelForCausalLM, AutoModelForImageTextToText

from lidr.errors import TrainError
from lidr.train.training_spec import LoraSpec, TrainSpec
from lidr.weights import load_policy, quantised_by
from lidr.weights.saving import tensors_in
from tests.odd_models import odd_model, pack_fp8, pack_mxfp4
from tests.train.runs import run_here

MakeSpec = Callable[..., TrainSpec]
IDS = torch.tensor([[1, 40, 300, 7, 99, 250]])
LORA = LoraSpec(rank=4)


def logits(model: Any) -> torch.Tensor:
    with torch.no_grad():
        return model.eval()(input_ids=IDS).logits.float()


def trained(spec: MakeSpec, folder: Path, **changes: Any) -> tuple[TrainSpec, Any]:
    """A run from a folder, and what it reported."""
    run = spec(**{"policy": str(folder), "initial": str(folder), "learning_rate": 1e-2, "lora": LORA, **changes})
    return run, run_here(run)


@pytest.mark.parametrize("kind", ["qwen3_5", "gemma3", "mistral3", "gpt_oss", "qwen3_moe", "granite_hybrid"])
def test_the_adapter_does_over_the_base_what_merging_does(tmp_path: Path, spec: MakeSpec, kind: str) -> None:
    """Loaded as users load it: an adapter whose names the base does not know changes nothing, without an error."""
    run, result = trained(spec, odd_model(tmp_path / "policy", kind))
    loader = AutoModelForImageTextToText if kind == "mistral3" else AutoModelForCausalLM
    before = logits(loader.from_pretrained(run.policy))
    adapted = logits(PeftModel.from_pretrained(loader.from_pretrained(run.policy), run.adapter_out))
    merged = logits(loader.from_pretrained(run.model_out))
    assert float((adapted - before).abs().max()) > 0.1
    torch.testing.assert_close(merged, adapted, rtol=1e-4, atol=1e-4)
    assert set(tensors_in(Path(run.model_out))) == set(tensors_in(Path(run.policy)))
    assert result.saved.tensors > 0
    assert result.saved.difference is not None


@pytest.mark.parametrize("lora", [LORA, None], ids=["lora", "full"])
@pytest.mark.parametrize("dtype", ["float32", "bfloat16"])
def test_gpt_oss_in_mxfp4_is_trained_and_keeps_its_experts(
    tmp_path: Path, spec: MakeSpec, lora: LoraSpec | None, dtype: str
) -> None:
    policy = odd_model(tmp_path / "policy", "gpt_oss", dtype="bfloat16")
    names = set(tensors_in(policy))
    pack_mxfp4(policy)
    before = load_policy(policy, dtype=dtype).state_dict()
    run, _ = trained(spec, policy, lora=lora, dtype=dtype)
    assert quantised_by(Path(run.model_out)) is None
    assert set(tensors_in(Path(run.model_out))) == names
    after = AutoModelForCausalLM.from_pretrained(run.model_out)
    assert after.dtype == getattr(torch, dtype)
    for name, tensor in after.state_dict().items():
        if lora and ".experts." in name:
            torch.testing.assert_close(tensor, before[name], rtol=0, atol=0)
    again, _ = trained(spec, Path(run.model_out), lora=LORA, dtype=dtype)  # the next iteration
    assert set(tensors_in(Path(again.model_out))) == names


@pytest.mark.parametrize("lora", [LORA, None], ids=["lora", "full"])
def test_fp8_is_trained_as_plain_numbers_and_does_not_drift(
    tmp_path: Path, spec: MakeSpec, lora: LoraSpec | None
) -> None:
    policy = odd_model(tmp_path / "policy", "qwen3")
    names = set(tensors_in(policy))
    pack_fp8(policy)
    before = logits(load_policy(policy, dtype="float32"))
    run, _ = trained(spec, policy, lora=lora, learning_rate=1e-9)
    assert set(tensors_in(Path(run.model_out))) == names
    torch.testing.assert_close(logits(AutoModelForCausalLM.from_pretrained(run.model_out)), before, rtol=0, atol=1e-4)


def test_a_policy_that_was_not_saved_as_it_was_trained_is_not_called_done(
    tmp_path: Path, spec: MakeSpec, monkeypatch: pytest.MonkeyPatch
) -> None:
    def lose_one(model: Any, base: Path, folder: Path) -> tuple[str, ...]:
        tensors = {name: t for name, t in model.state_dict().items() if "layers.1.mlp" not in name}
        model.save_pretrained(folder, state_dict=tensors)
        return ()

    run = spec(lora=LORA)
    with monkeypatch.context() as patch:
        patch.setattr("lidr.train.adapters.save_weights", lose_one)
        with pytest.raises(TrainError, match=r"is not the one that was trained: \d+ tensors are in none of its files"):
            run_here(run)
    assert not Path(run.model_out).exists()


@pytest.mark.parametrize(
    ("kind", "adapted", "left"),
    [
        ("qwen3", {"attention": 8, "mlp": 6}, {}),
        ("qwen3_moe", {"attention": 8}, {"experts": 4, "router": 2}),
        ("qwen2_moe", {"attention": 8, "mlp": 6}, {"experts": 4, "router": 4}),
        ("deepseek_v3", {"attention": 10}, {"experts": 2, "mlp": 6, "router": 1}),
        ("gpt_oss", {"attention": 8}, {"experts": 4, "router": 2}),
    ],
)
def test_layers_are_counted_by_kind_and_experts_are_left_alone(
    tmp_path: Path, spec: MakeSpec, kind: str, adapted: dict[str, int], left: dict[str, int]
) -> None:
    _, result = trained(spec, odd_model(tmp_path / "policy", kind))
    assert result.parts is not None
    assert (result.parts.adapted, result.parts.left) == (adapted, left)


@pytest.mark.parametrize("kind", ["gemma3", "mistral3"])
def test_vision_towers_get_no_adapter(tmp_path: Path, spec: MakeSpec, kind: str) -> None:
    run, result = trained(spec, odd_model(tmp_path / "policy", kind))
    assert result.parts is not None
    assert result.parts.adapted == {"attention": 8, "mlp": 6}
    assert result.parts.left["vision"] > 0
    assert not any("vision" in name for name in tensors_in(Path(run.adapter_out)))


@pytest.mark.parametrize("kind", ["qwen3_moe", "gpt_oss"])
def test_experts_are_adapted_on_request(tmp_path: Path, spec: MakeSpec, kind: str) -> None:
    more = {"target_parameters": ["mlp.experts.gate_up_proj", "mlp.experts.down_proj"]}
    run, result = trained(spec, odd_model(tmp_path / "policy", kind), lora=LoraSpec(rank=4, more=more))
    assert result.parts is not None
    assert result.parts.adapted == {"attention": 8, "experts": 4}
    assert result.parts.left == {"router": 2}
    adapted = logits(PeftModel.from_pretrained(AutoModelForCausalLM.from_pretrained(run.policy), run.adapter_out))
    merged = logits(AutoModelForCausalLM.from_pretrained(run.model_out))
    torch.testing.assert_close(merged, adapted, rtol=1e-4, atol=1e-4)


def test_a_full_training_counts_no_parts(spec: MakeSpec) -> None:
    assert run_here(spec()).parts is None


def test_nested_number_formats_follow(tmp_path: Path, spec: MakeSpec) -> None:
    policy = odd_model(tmp_path / "policy", "gemma3", dtype="bfloat16")
    run, _ = trained(spec, policy, dtype="float32")
    config = json.loads((Path(run.model_out) / "config.json").read_text(encoding="utf-8"))
    assert config["dtype"] == "float32"
    assert {part.get("dtype", "float32") for part in config.values() if isinstance(part, dict)} == {"float32"}
