"""QLoRA on a CPU: packed while the adapter is trained, merged into the plain weights."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import bitsandbytes
import pytest
import torch
from peft import PeftModel
from safetensors.torch import load_file
from transformers import AutoModelForCausalLM

from lidr.train.training_spec import LoraSpec, TrainSpec
from lidr.weights import load_policy, quantised_by
from tests.odd_models import odd_model
from tests.train.runs import make_trainer, run_here, train_here

MakeSpec = Callable[..., TrainSpec]
IDS = torch.tensor([[1, 40, 300, 7, 99, 250]])
PACKINGS = {"nf4": bitsandbytes.nn.Linear4bit, "int8": bitsandbytes.nn.Linear8bitLt}
LN_2 = 0.6931472


@pytest.fixture(params=sorted(PACKINGS))
def packed(request: Any, spec: MakeSpec, tmp_path: Path) -> Callable[..., TrainSpec]:
    """Make specs of QLoRA runs."""

    def make(**changes: Any) -> TrainSpec:
        return spec(**{"lora": LoraSpec(rank=4), "learning_rate": 1e-2, "quantization": request.param, **changes})

    return make


def logits(model: Any) -> torch.Tensor:
    with torch.no_grad():
        return model.eval()(input_ids=IDS).logits.float()


def test_the_base_is_packed_and_the_adapter_is_not(packed: MakeSpec) -> None:
    run = packed()
    trainer = make_trainer(run)
    kinds = {type(module.base_layer) for name, module in trainer.model.named_modules() if name.endswith("q_proj")}
    assert kinds == {PACKINGS[run.quantization]}
    formats = {weight.dtype for weight in trainer.model.parameters() if weight.requires_grad}
    assert formats == {torch.float32}


@pytest.mark.parametrize("dtype", ["float32", "bfloat16"])
def test_the_adapter_is_merged_into_the_plain_base(packed: MakeSpec, dtype: str) -> None:
    run = packed(dtype=dtype)
    result = run_here(run)
    base = AutoModelForCausalLM.from_pretrained(run.policy, dtype=getattr(torch, dtype)).float()
    before = logits(base)
    over = PeftModel.from_pretrained(base, run.adapter_out)
    adapted = logits(over)
    assert float((adapted - before).abs().max()) > 0.1
    exact = over.merge_and_unload().state_dict()
    saved = load_file(Path(run.model_out) / "model.safetensors")
    assert all(torch.equal(tensor, exact[name].to(getattr(torch, dtype))) for name, tensor in saved.items())
    if dtype == "float32":
        merged = logits(AutoModelForCausalLM.from_pretrained(run.model_out))
        torch.testing.assert_close(merged, adapted, rtol=1e-4, atol=1e-4)
    assert quantised_by(Path(run.model_out)) is None
    assert result.parts is not None
    assert result.parts.adapted == {"attention": 8, "mlp": 6}
    assert result.saved.packed_difference is not None
    assert result.saved.packed_difference > 0  # what packing loses
    assert result.saved.difference == 0


def test_the_adapter_can_be_used_without_bitsandbytes(packed: MakeSpec) -> None:
    run = packed()
    run_here(run)
    config = json.loads((Path(run.adapter_out) / "adapter_config.json").read_text(encoding="utf-8"))
    assert "bitsandbytes" not in json.dumps(config)
    names = load_file(Path(run.adapter_out) / "adapter_model.safetensors")
    assert {tensor.dtype for tensor in names.values()} == {torch.float32}


@pytest.mark.parametrize("reference", ["previous", "adapter_off"])
def test_the_first_step_starts_at_the_packed_policy(packed: MakeSpec, reference: str) -> None:
    """Policy and reference are the same packed weights, so the term is ln 2; those of the plain ones would differ."""
    steps = train_here(packed(reference=reference)).steps
    assert steps[0]["dpo"] == pytest.approx(LN_2, abs=1e-4)


def test_the_first_policy_is_the_reference_packed_as_the_trained_one_is(
    packed: MakeSpec, models: dict[str, Path]
) -> None:
    run = packed(reference="initial", initial=str(models["initial"]))
    trainer = make_trainer(run)
    model = load_policy(run.initial, dtype="float32", quantization=run.quantization).eval()
    row = trainer.train_dataset[0]
    ids = torch.tensor([row["prompt_ids"] + row["chosen_ids"]])
    with torch.no_grad():
        scores = torch.log_softmax(model(input_ids=ids).logits[0].float(), dim=-1)
    start = len(row["prompt_ids"])
    wanted = sum(float(scores[at - 1, ids[0, at]]) for at in range(start, ids.shape[1]))
    assert row["ref_chosen_logps"] == pytest.approx(wanted, rel=2e-2)
    others = make_trainer(packed(reference="previous")).train_dataset[0]["ref_chosen_logps"]
    assert abs(others - wanted) > 1


def test_a_next_iteration_goes_on_from_the_plain_policy(packed: MakeSpec) -> None:
    first = packed()
    run_here(first)
    second = packed(policy=first.model_out, initial=first.policy, reference="initial")
    assert run_here(second).reference_folder == first.policy
    assert quantised_by(Path(second.model_out)) is None


def test_a_wrapper_is_packed_and_merged_under_its_own_names(tmp_path: Path, packed: MakeSpec) -> None:
    from lidr.weights.saving import tensors_in

    policy = odd_model(tmp_path / "policy", "qwen3_5")
    run = packed(policy=str(policy), initial=str(policy))
    run_here(run)
    assert set(tensors_in(Path(run.model_out))) == set(tensors_in(policy))


@pytest.mark.parametrize("attention", ["eager", "sdpa"])
def test_attention_is_computed_as_told(spec: MakeSpec, attention: str) -> None:
    trainer = make_trainer(spec(lora=LoraSpec(rank=2), attn_implementation=attention))
    assert trainer.model.config._attn_implementation == attention
