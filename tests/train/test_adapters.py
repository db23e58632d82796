"""The folders that leave training: loadable as any other, whole or absent, and silent about this machine."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from peft import PeftModel
from safetensors.torch import load_file
from transformers import AutoModelForCausalLM, AutoTokenizer

from lidr.train.adapters import lora_config, save_policy
from lidr.train.training_spec import LoraSpec, TrainSpec
from tests.tiny import tiny_model
from tests.train.runs import make_spec, make_trainer, run_here

MakeSpec = Callable[..., TrainSpec]
IDS = torch.tensor([[1, 40, 300, 7, 99, 250]])


def logits(model: Any) -> torch.Tensor:
    with torch.no_grad():
        return model(IDS).logits


@pytest.fixture(params=[None, LoraSpec(rank=4)], ids=["full", "lora"])
def trained(request: Any, spec: MakeSpec) -> TrainSpec:
    run = spec(lora=request.param, learning_rate=1e-2, policy_name="org/base")
    run_here(run)
    return run


def test_merged_policy_and_base_with_adapter_give_the_same_logits(spec: MakeSpec) -> None:
    run = spec(lora=LoraSpec(rank=4), learning_rate=1e-2)
    run_here(run)
    base = AutoModelForCausalLM.from_pretrained(run.policy, dtype=torch.float32)
    before = logits(base)
    adapted = logits(PeftModel.from_pretrained(base, run.adapter_out))
    merged = logits(AutoModelForCausalLM.from_pretrained(run.model_out))
    assert float((adapted - before).abs().max()) > 0.1
    torch.testing.assert_close(merged, adapted, rtol=1e-5, atol=1e-5)


@pytest.mark.parametrize(
    "more",
    [
        {"use_dora": True},
        {"use_rslora": True, "rank_pattern": {"q_proj": 2}, "exclude_modules": ["down_proj"]},
        {"modules_to_save": ["norm"], "init_lora_weights": "gaussian"},
    ],
    ids=["dora", "rslora", "modules_to_save"],
)
def test_so_they_do_with_other_settings_of_peft(more: dict[str, Any], spec: MakeSpec) -> None:
    run = spec(lora=LoraSpec(rank=4, more=more), learning_rate=1e-2)
    run_here(run)
    kept = json.loads((Path(run.adapter_out) / "adapter_config.json").read_text(encoding="utf-8"))
    assert {name: kept[name] for name in more} == more
    base = AutoModelForCausalLM.from_pretrained(run.policy, dtype=torch.float32)
    before = logits(base)
    adapted = logits(PeftModel.from_pretrained(base, run.adapter_out))
    assert float((adapted - before).abs().max()) > 0.1
    torch.testing.assert_close(
        logits(AutoModelForCausalLM.from_pretrained(run.model_out)), adapted, rtol=1e-5, atol=1e-5
    )


def test_the_saved_policy_is_the_one_that_was_trained(spec: MakeSpec) -> None:
    run = spec(learning_rate=1e-2)
    trainer = make_trainer(run)
    trainer.train()
    expected = logits(trainer.model.eval())
    save_policy(trainer.model, run)
    torch.testing.assert_close(logits(AutoModelForCausalLM.from_pretrained(run.model_out)), expected, rtol=0, atol=1e-5)


def test_only_safetensors_leave_training(trained: TrainSpec) -> None:
    expected = {path.name for path in Path(trained.policy).iterdir()}
    assert {path.name for path in Path(trained.model_out).iterdir()} == expected
    if trained.lora:
        names = {path.name for path in Path(trained.adapter_out).iterdir()}
        assert names == {"adapter_config.json", "adapter_model.safetensors"}  # and no second adapter, "ref"
    else:
        assert not Path(trained.adapter_out).exists()


def test_tokenizer_template_and_generation_config_are_the_policys_own(trained: TrainSpec) -> None:
    for name in ("tokenizer.json", "tokenizer_config.json", "chat_template.jinja", "generation_config.json"):
        assert (Path(trained.model_out) / name).read_bytes() == (Path(trained.policy) / name).read_bytes()
    assert AutoTokenizer.from_pretrained(trained.model_out).chat_template


def test_the_config_is_the_policys_own_but_for_the_dtype(trained: TrainSpec) -> None:
    before, after = (
        json.loads((Path(folder) / "config.json").read_text()) for folder in (trained.policy, trained.model_out)
    )
    assert after == {**before, "dtype": "float32"}


def test_no_file_names_a_folder_of_this_machine(trained: TrainSpec) -> None:
    folders = [trained.model_out, *([trained.adapter_out] if trained.lora else [])]
    for path in (path for folder in folders for path in Path(folder).iterdir()):
        for known in (trained.policy, trained.work, trained.model_out):
            assert str(Path(known).parent).encode() not in path.read_bytes(), path


def test_the_adapter_names_its_base_as_told_or_not_at_all(spec: MakeSpec) -> None:
    for name, expected in (("org/base", "org/base"), ("", None)):
        run = spec(lora=LoraSpec(rank=2), policy_name=name)
        run_here(run)
        config = json.loads((Path(run.adapter_out) / "adapter_config.json").read_text())
        assert config["base_model_name_or_path"] == expected
        assert config["target_modules"] == sorted(config["target_modules"])


def test_half_precision_is_saved_as_such_and_rounded_once(spec: MakeSpec) -> None:
    run = spec(lora=LoraSpec(rank=2), dtype="bfloat16", learning_rate=1e-2)
    run_here(run)
    saved = load_file(Path(run.model_out) / "model.safetensors")
    assert {tensor.dtype for tensor in saved.values()} == {torch.bfloat16}
    assert AutoModelForCausalLM.from_pretrained(run.model_out).dtype == torch.bfloat16
    base = AutoModelForCausalLM.from_pretrained(run.policy, dtype=torch.bfloat16).float()
    exact = PeftModel.from_pretrained(base, run.adapter_out).merge_and_unload().state_dict()
    assert all(torch.equal(tensor, exact[name].bfloat16()) for name, tensor in saved.items())


def test_a_folder_is_whole_or_absent(spec: MakeSpec, monkeypatch: pytest.MonkeyPatch) -> None:
    run = spec()
    trainer = make_trainer(run)

    def break_off(*_: Any) -> None:
        raise OSError("disk full")

    with monkeypatch.context() as patch:
        patch.setattr("lidr.train.adapters.shutil.copyfile", break_off)
        with pytest.raises(OSError, match="disk full"):
            save_policy(trainer.model, run)
    assert not Path(run.model_out).exists()
    save_policy(trainer.model, run)
    assert [path.name for path in Path(run.model_out).parent.iterdir() if "partial" in path.name] == []
    assert logits(AutoModelForCausalLM.from_pretrained(run.model_out)) is not None


def test_files_of_an_earlier_run_do_not_stay(spec: MakeSpec) -> None:
    run = spec()
    Path(run.model_out).mkdir(parents=True)
    (Path(run.model_out) / "old.txt").write_text("old")
    save_policy(make_trainer(run).model, run)
    assert not (Path(run.model_out) / "old.txt").exists()


def test_licence_and_remote_code_are_carried_and_weights_and_cards_are_not(tmp_path: Path, pairs: Path) -> None:
    policy = tiny_model(tmp_path / "policy", "qwen2")
    left = {"README.md", "record.json", "pytorch_model.bin", "model.safetensors.index.json"}
    for name in ("LICENSE", "modeling.py", *left):
        (policy / name).write_text("{}")
    run = make_spec(tmp_path / "run", policy=str(policy), initial=str(policy), pairs=(str(pairs),))
    save_policy(AutoModelForCausalLM.from_pretrained(policy), run)
    names = {path.name for path in Path(run.model_out).iterdir()}
    assert {"LICENSE", "modeling.py"} <= names
    assert not names & left


def test_named_templates_are_carried(tmp_path: Path, pairs: Path) -> None:
    policy = tiny_model(tmp_path / "policy", "qwen2")
    (policy / "additional_chat_templates").mkdir()
    (policy / "additional_chat_templates" / "tool_use.jinja").write_text("{{ messages }}")
    run = make_spec(tmp_path / "run", policy=str(policy), initial=str(policy), pairs=(str(pairs),))
    save_policy(AutoModelForCausalLM.from_pretrained(policy), run)
    tokenizer = AutoTokenizer.from_pretrained(run.model_out)
    assert set(tokenizer.chat_template) == {"default", "tool_use"}


def test_a_trained_policy_can_be_trained_again(spec: MakeSpec) -> None:
    first = spec(lora=LoraSpec(rank=2), learning_rate=1e-2)
    run_here(first)
    second = spec(policy=first.model_out, lora=LoraSpec(rank=2))
    result = run_here(second)
    assert result.reference_folder == first.model_out
    assert result.steps[0].dpo == pytest.approx(0.693147, abs=1e-5)


def test_lora_words_reach_peft(models: dict[str, Path]) -> None:
    model = AutoModelForCausalLM.from_pretrained(models["policy"])
    config = lora_config(LoraSpec(rank=3, alpha=6, dropout=0.1, target_modules=("q_proj", "v_proj")), model)
    assert (config.r, config.lora_alpha, config.lora_dropout) == (3, 6, 0.1)
    assert config.target_modules == {"q_proj", "v_proj"}
    assert lora_config(LoraSpec(), model).target_modules == "all-linear"


def test_parameters_are_counted(spec: MakeSpec) -> None:
    full, lora = run_here(spec()), run_here(spec(lora=LoraSpec(rank=2)))
    assert full.trained_parameters == full.total_parameters
    assert 0 < lora.trained_parameters == lora.total_parameters - full.total_parameters
