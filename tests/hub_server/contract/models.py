"""`transformers` and `peft`: push, and load by commit."""

from __future__ import annotations

import torch
from peft import LoraConfig, PeftModel, get_peft_model
from transformers import AutoConfig, AutoModelForCausalLM, AutoTokenizer

from tests.hub_server.contract.world import World, raises
from tests.tiny import tiny_model

_QUESTION = [{"role": "user", "content": "¿Qué hacen las abejas?"}]


def a_model_is_pushed(w: World) -> None:
    w.memo.repo = w.remember("policy")
    folder = tiny_model(w.folder / "policy", "llama3", seed=1)
    w.memo.model = AutoModelForCausalLM.from_pretrained(folder)
    w.memo.tokenizer = AutoTokenizer.from_pretrained(folder)
    w.memo.model.push_to_hub(w.memo.repo, private=True)
    assert "model.safetensors" in w.api.list_repo_files(w.memo.repo)


def its_tokenizer_is_pushed(w: World) -> None:
    w.memo.tokenizer.push_to_hub(w.memo.repo)
    w.memo.sha = w.api.model_info(w.memo.repo).sha
    assert "tokenizer.json" in w.api.list_repo_files(w.memo.repo)


def its_config_loads_by_commit(w: World) -> None:
    config = AutoConfig.from_pretrained(w.memo.repo, revision=w.memo.sha)
    assert config.num_hidden_layers == 2


def it_loads_by_commit_with_equal_weights(w: World) -> None:
    w.memo.loaded = AutoModelForCausalLM.from_pretrained(w.memo.repo, revision=w.memo.sha)
    theirs = w.memo.loaded.state_dict()
    assert all(torch.equal(weight, theirs[name]) for name, weight in w.memo.model.state_dict().items())


def its_tokenizer_loads_with_its_template(w: World) -> None:
    tokenizer = AutoTokenizer.from_pretrained(w.memo.repo, revision=w.memo.sha)
    ours = w.memo.tokenizer.apply_chat_template(_QUESTION, add_generation_prompt=True, return_dict=False)
    assert tokenizer.apply_chat_template(_QUESTION, add_generation_prompt=True, return_dict=False) == ours


def it_loads_by_tag(w: World) -> None:
    w.api.create_tag(w.memo.repo, tag="v0.1.0")
    assert AutoConfig.from_pretrained(w.memo.repo, revision="v0.1.0").vocab_size == w.memo.model.config.vocab_size


def a_missing_revision_does_not_load(w: World) -> None:
    with raises(OSError):
        AutoConfig.from_pretrained(w.memo.repo, revision="v9")


def a_missing_model_does_not_load(w: World) -> None:
    with raises(OSError):
        AutoConfig.from_pretrained(w.id("nowhere"))


def its_tensors_are_listed_by_range_reads(w: World) -> None:
    metadata = w.api.get_safetensors_metadata(w.memo.repo)
    assert metadata.sharded is False
    assert sum(metadata.parameter_count.values()) == sum(p.numel() for p in w.memo.model.parameters())


def an_adapter_is_pushed(w: World) -> None:
    w.memo.adapter_repo = w.remember("adapter")
    base = AutoModelForCausalLM.from_pretrained(w.memo.repo, revision=w.memo.sha)
    config = LoraConfig(r=4, target_modules=["q_proj"], task_type="CAUSAL_LM", revision=w.memo.sha)
    w.memo.adapted = get_peft_model(base, config)
    torch.manual_seed(0)
    for name, weight in w.memo.adapted.named_parameters():
        if "lora_B" in name:
            torch.nn.init.normal_(weight)
    w.memo.adapted.push_to_hub(w.memo.adapter_repo, private=True)
    assert "adapter_model.safetensors" in w.api.list_repo_files(w.memo.adapter_repo)


def the_adapter_loads_by_commit_and_answers_alike(w: World) -> None:
    sha = w.api.model_info(w.memo.adapter_repo).sha
    loaded = PeftModel.from_pretrained(w.memo.loaded, w.memo.adapter_repo, revision=sha)
    ids = torch.tensor([[1, 2, 3, 4]])
    with torch.no_grad():
        assert torch.equal(loaded(ids).logits, w.memo.adapted(ids).logits)
