"""The models that lm-eval asks: what template, length or adapter can do wrong is found before the first answer."""

from __future__ import annotations

import dataclasses
import json
import shutil
from pathlib import Path

import pytest

from lidr.errors import EvaluationError
from lidr.evals.harness.answer_process import answer
from lidr.evals.harness.backends import adapter_shift, open_lm, watch
from lidr.evals.spec import Decoding
from tests.evals.asked import scripted_spec
from tests.tiny import tiny_model


@pytest.fixture(scope="module")
def model(tmp_path_factory) -> Path:
    return tiny_model(tmp_path_factory.mktemp("models") / "policy", "llama3", seed=3)


@pytest.fixture(scope="module")
def spec(tmp_path_factory, model):
    folder = tmp_path_factory.mktemp("asked")
    return scripted_spec(folder, backend="hf", model=str(model), decoding=Decoding(max_tokens=6), threads=1)


def adapter_over(model: Path, folder: Path, *, is_trained: bool) -> Path:
    """A LoRA adapter as peft writes it; before training it changes nothing."""
    import torch
    from peft import LoraConfig, get_peft_model
    from transformers import AutoModelForCausalLM

    base = AutoModelForCausalLM.from_pretrained(model)
    torch.manual_seed(0)  # of lora_A
    peft = get_peft_model(base, LoraConfig(r=2, target_modules="all-linear", task_type="CAUSAL_LM"))
    if is_trained:
        generator = torch.Generator().manual_seed(0)
        for name, weight in peft.named_parameters():
            if "lora_B" in name:
                weight.data = torch.randn(weight.shape, generator=generator)
    peft.save_pretrained(folder, save_embedding_layers=False)
    return folder


def test_a_model_with_an_adapter_answers_everything_and_the_adapter_is_proved_to_be_in_use(spec, model, tmp_path):
    adapter = adapter_over(model, tmp_path / "adapter", is_trained=True)
    over = dataclasses.replace(spec, adapter=str(adapter), work=str(tmp_path / "work"))
    counted: list[int] = []
    with_it = answer(over, log=tmp_path / "log", on_answers=counted.append)
    assert with_it.adapter_shift is not None
    assert with_it.adapter_shift > 0.01
    assert len(with_it.responses) == sum(counted) == 10
    assert with_it.metrics["lidr_mgsm_de"]["acc"] in (0, 1 / 3, 2 / 3, 1)


def test_an_adapter_that_changes_nothing_is_refused(spec, model, tmp_path):
    adapter = adapter_over(model, tmp_path / "adapter", is_trained=False)
    over = dataclasses.replace(spec, adapter=str(adapter))
    with open_lm(over) as lm, pytest.raises(EvaluationError, match="the adapter adapter changes no logit of policy"):
        adapter_shift(lm, over)


def test_a_model_without_a_chat_template_is_refused(spec, model, tmp_path):
    bare = tmp_path / "bare"
    shutil.copytree(model, bare)
    (bare / "chat_template.jinja").unlink(missing_ok=True)
    config = json.loads((bare / "tokenizer_config.json").read_text(encoding="utf-8"))
    config.pop("chat_template", None)
    (bare / "tokenizer_config.json").write_text(json.dumps(config), encoding="utf-8")
    with pytest.raises(EvaluationError, match="has no chat template"), open_lm(_asking(spec, bare)):
        pass


def test_a_template_that_refuses_a_system_prompt_is_found_before_lm_eval_drops_it(spec, tmp_path):
    gemma = tiny_model(tmp_path / "gemma", "gemma")
    asked = _asking(spec, gemma, decoding=Decoding(max_tokens=6, system_prompt="Be kind."))
    with pytest.raises(EvaluationError, match="the chat template refuses a system prompt"), open_lm(asked):
        pass


def test_a_prompt_that_would_be_cut_is_refused_and_says_how_long_answers_may_be(spec):
    from lm_eval.api.instance import Instance

    long = dataclasses.replace(spec, decoding=Decoding(max_tokens=100_000))
    with open_lm(long) as lm:
        watch(lm, long, lambda count: None)
        request = Instance("generate_until", {}, ("Hello there", {"max_gen_toks": 100_000}), 0)
        with pytest.raises(
            EvaluationError, match=r"the longest prompt has \d+ tokens.*give --max-tokens [\d,]+ or less"
        ):
            lm.generate_until([request])


def test_prompts_are_the_ids_that_the_chat_template_makes_with_one_bos(spec):
    with open_lm(spec) as lm:
        text = lm.apply_chat_template([{"role": "user", "content": "Hallo"}])
        ids = lm.tok_batch_encode([text])[0][0].tolist()
        made = lm.tokenizer.apply_chat_template(
            [{"role": "user", "content": "Hallo"}], add_generation_prompt=True, return_dict=False
        )
    assert ids == made
    assert ids.count(lm.tokenizer.bos_token_id) == 1


def _asking(spec, model: Path, **more):
    return dataclasses.replace(spec, model=str(model), **more)
