"""Adapters of every kind become plain folders that say what the adapter said over its base, or are refused by name."""

from __future__ import annotations

import json
import shutil
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import load_file, save_file
from transformers import AutoModelForCausalLM, AutoTokenizer

from lidr.engines import ModelFolder
from lidr.engines.merging import merge_adapter, read_merged
from lidr.engines.merging.merge_worker import merge_here
from lidr.errors import EngineError
from lidr.weights import quantised_by
from lidr.weights.saving import tensors_in
from tests.adapters import ADDED, TEMPLATE, logits_of, lora, make_adapter
from tests.odd_models import odd_model, pack_mxfp4
from tests.tiny import tiny_model


@pytest.fixture(scope="module")
def bases(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    """With tied weights and without."""
    folder = tmp_path_factory.mktemp("bases")
    return {name: tiny_model(folder / name, name, seed=3) for name in ("smollm2", "llama3", "gemma")}  # type: ignore[arg-type]


def _ia3() -> Any:
    from peft import IA3Config

    parts = ["k_proj", "v_proj", "down_proj"]
    return IA3Config(task_type="CAUSAL_LM", target_modules=parts, feedforward_modules=["down_proj"])


KINDS: dict[str, tuple[Any, dict[str, Any]]] = {
    "plain": (lora, {}),
    "head": (lambda: lora(modules_to_save=["lm_head"]), {}),
    "embedding": (lambda: lora(modules_to_save=["embed_tokens"]), {}),
    "both": (lambda: lora(modules_to_save=["lm_head", "embed_tokens"]), {}),
    "both tied": (lambda: lora(modules_to_save=["lm_head", "embed_tokens"], ensure_weight_tying=True), {}),
    "norm": (lambda: lora(modules_to_save=["norm"]), {}),
    "lora on the embedding": (lambda: lora(target_modules=["q_proj", "embed_tokens"]), {}),
    "lora on the head": (lambda: lora(target_modules=["q_proj", "lm_head"]), {}),
    "lora on both": (lambda: lora(target_modules=["embed_tokens", "lm_head"]), {}),
    "tokens": (lambda: lora(trainable_token_indices=[40, 7]), {}),
    "added tokens": (lora, {"added": ADDED, "tokenizer": True}),
    "added tokens, whole rows": (
        lambda: lora(modules_to_save=["lm_head", "embed_tokens"]),
        {"added": ADDED, "tokenizer": True},
    ),
    "added tokens, their rows": (
        lambda: lora(trainable_token_indices={"embed_tokens": [448, 449]}),
        {"added": ADDED, "tokenizer": True},
    ),
    "added tokens, their rows alone": (
        lambda: lora(trainable_token_indices={"embed_tokens": [448, 449]}),
        {"added": ADDED, "tokenizer": True, "save_embedding_layers": False, "only": "smollm2"},
    ),
    "more rows than tokens": (lora, {"rows": 512, "save_embedding_layers": True}),
    "ranks by pattern": (lambda: lora(rank_pattern={"q_proj": 8}, alpha_pattern={"v_proj": 32}), {}),
    "dora": (lambda: lora(use_dora=True), {}),
    "rslora": (lambda: lora(use_rslora=True), {}),
    "biases": (lambda: lora(bias="all"), {}),
    "parameters": (lambda: lora(target_modules=[], target_parameters=["mlp.down_proj.weight"]), {}),
    "no task": (lambda: lora(task_type=None), {}),
    "ia3": (_ia3, {}),
}


@pytest.mark.parametrize("kind", ["qwen3_5", "gemma3", "gpt_oss"])
def test_bases_that_are_wrapped_or_packed_are_merged_under_their_own_names(kind, tmp_path):
    base = odd_model(tmp_path / "base", kind, dtype="bfloat16" if kind == "gpt_oss" else "float32")
    names = set(tensors_in(base))
    if kind == "gpt_oss":
        pack_mxfp4(base)
    towers = {"exclude_modules": r".*vision.*"} if kind == "gemma3" else {}
    made = make_adapter(base, tmp_path / "adapter", lora(**towers))
    merge_here(base, made.folder, tmp_path / "merged")
    assert set(tensors_in(tmp_path / "merged")) == names
    assert quantised_by(tmp_path / "merged") is None
    close = {"rtol": 0, "atol": 0.5} if kind == "gpt_oss" else {"rtol": 1e-4, "atol": 1e-4}  # rounded to bfloat16
    torch.testing.assert_close(logits_of(tmp_path / "merged"), made.logits, **close)


def test_what_is_not_saved_as_it_was_merged_is_not_called_done(tmp_path, bases, monkeypatch):
    def lose_one(model: Any, base: Path, folder: Path) -> tuple[str, ...]:
        kept = {name: tensor for name, tensor in model.state_dict().items() if "layers.1.mlp" not in name}
        model.save_pretrained(folder, state_dict=kept)
        return ()

    made = make_adapter(bases["llama3"], tmp_path / "adapter", lora())
    monkeypatch.setattr("lidr.engines.merging.merge_worker.save_weights", lose_one)
    with pytest.raises(
        EngineError, match=r"is not what was merged: 3 tensors are in none of its files, the first model"
    ):
        merge_here(bases["llama3"], made.folder, tmp_path / "merged")
    assert not (tmp_path / "merged").exists()


@pytest.mark.parametrize("family", ["smollm2", "llama3"])
@pytest.mark.parametrize("kind", KINDS)
def test_what_is_merged_says_what_the_adapter_said_over_its_base(kind, family, bases, tmp_path):
    config, how = KINDS[kind][0], dict(KINDS[kind][1])
    if how.pop("only", family) != family:
        pytest.skip("refused there: see the test of what cannot be merged")
    made = make_adapter(bases[family], tmp_path / "adapter", config(), **how)
    merge_here(bases[family], made.folder, tmp_path / "merged")
    torch.testing.assert_close(logits_of(tmp_path / "merged"), made.logits, rtol=1e-4, atol=1e-4)
    ModelFolder(tmp_path / "merged").check()
    merged = read_merged(tmp_path / "merged")
    assert merged is not None
    assert merged.shift is None or merged.shift > 0.01


def test_tied_weights_are_said_to_be_two_where_they_became_two_and_stay_one_elsewhere(bases, tmp_path):
    for name, config, is_tied in (
        ("head", lora(modules_to_save=["lm_head"]), False),
        ("plain", lora(), True),
        ("tied", lora(modules_to_save=["lm_head", "embed_tokens"], ensure_weight_tying=True), True),
    ):
        adapter = make_adapter(bases["gemma"], tmp_path / name, config).folder
        merge_here(bases["gemma"], adapter, tmp_path / f"{name}-merged")
        notes = read_merged(tmp_path / f"{name}-merged").notes  # type: ignore[union-attr]
        assert ("lm_head.weight" not in load_file(tmp_path / f"{name}-merged" / "model.safetensors")) is is_tied
        assert any("two tied tensors" in note for note in notes) is not is_tied
        now, was = (
            json.loads((folder / "config.json").read_text()) for folder in (tmp_path / f"{name}-merged", bases["gemma"])
        )
        assert now == {**was, "dtype": "float32", "tie_word_embeddings": is_tied}


def test_the_tokenizer_and_the_template_beside_the_adapter_are_used(bases, tmp_path):
    made = make_adapter(bases["smollm2"], tmp_path / "adapter", lora(), added=ADDED, tokenizer=True, template=TEMPLATE)
    merged = merge_adapter(bases["smollm2"], made.folder, tmp_path / "merged", log=tmp_path / "log")
    words = AutoTokenizer.from_pretrained(tmp_path / "merged")
    assert words.apply_chat_template([{"role": "user", "content": "Hi"}], tokenize=False) == (
        "<|alpha|>user: Hi<|omega|><|alpha|>"
    )
    assert words.convert_tokens_to_ids(list(ADDED)) == [448, 449]
    assert {449, words.eos_token_id} <= ModelFolder(tmp_path / "merged").end_ids()  # the turn's own end, too
    assert merged.notes == (
        "the tokenizer that stands beside the adapter adapter is used, with its chat template",
        "the embedding was resized from 448 to 450 rows, as the adapter and its tokens need",
    )


def test_a_template_alone_is_used_and_a_tokenizer_without_one_takes_the_bases(bases, tmp_path):
    base = bases["smollm2"]
    adapter = make_adapter(base, tmp_path / "adapter", lora()).folder
    (adapter / "chat_template.jinja").write_text("{{ messages[0]['content'] }}!", encoding="utf-8")
    notes = merge_adapter(base, adapter, tmp_path / "one", log=tmp_path / "log").notes
    talk = [{"role": "user", "content": "Hi"}]
    assert AutoTokenizer.from_pretrained(tmp_path / "one").apply_chat_template(talk, tokenize=False) == "Hi!"
    assert notes == ("the chat template that stands beside the adapter adapter is used, with the base's tokenizer",)
    (adapter / "chat_template.jinja").unlink()
    for name in ("tokenizer.json", "tokenizer_config.json"):
        shutil.copyfile(base / name, adapter / name)
    (adapter / "code.py").write_text("raise SystemExit('ran')", encoding="utf-8")
    notes = merge_adapter(base, adapter, tmp_path / "two", log=tmp_path / "log").notes
    assert "with the base's chat template, for it has none" in notes[0]
    two, plain = (AutoTokenizer.from_pretrained(folder).chat_template for folder in (tmp_path / "two", base))
    assert two == plain
    assert not (tmp_path / "two" / "code.py").exists()
    (adapter / "tokenizer.json").unlink()
    notes = merge_adapter(base, adapter, tmp_path / "three", log=tmp_path / "log").notes
    assert notes == ("tokenizer_config.json beside the adapter adapter: ignored, because the vocabulary is not there",)


def test_a_padding_token_needs_no_row_and_any_other_does(bases, tmp_path):
    base = bases["llama3"]
    adapter = make_adapter(base, tmp_path / "adapter", lora()).folder
    words = AutoTokenizer.from_pretrained(base)
    words.add_special_tokens({"pad_token": "[PAD]"})
    words.save_pretrained(adapter)
    merge_here(base, adapter, tmp_path / "merged")
    assert len(AutoModelForCausalLM.from_pretrained(tmp_path / "merged").get_input_embeddings().weight) == 449
    words.add_special_tokens({"additional_special_tokens": ["<|alpha|>"]})
    words.save_pretrained(adapter)
    with pytest.raises(EngineError, match=r"2 tokens \(\[PAD\], <\|alpha\|>\) for which neither the base \(448 rows\)"):
        merge_here(base, adapter, tmp_path / "again")


def test_half_precision_stays_and_is_rounded_once(bases, tmp_path):
    half = tmp_path / "half"
    AutoModelForCausalLM.from_pretrained(bases["llama3"], dtype=torch.bfloat16).save_pretrained(half)
    for name in ("tokenizer.json", "tokenizer_config.json", "chat_template.jinja"):
        shutil.copyfile(bases["llama3"] / name, half / name)
    made = make_adapter(half, tmp_path / "adapter", lora())
    merge_here(half, made.folder, tmp_path / "merged")
    saved = load_file(tmp_path / "merged" / "model.safetensors")
    assert {tensor.dtype for tensor in saved.values()} == {torch.bfloat16}
    assert json.loads((tmp_path / "merged" / "config.json").read_text())["dtype"] == "bfloat16"


def _prompt() -> Any:
    from peft import PromptTuningConfig

    return PromptTuningConfig(task_type="CAUSAL_LM", num_virtual_tokens=4)


@pytest.mark.parametrize(
    ("config", "how", "message"),
    [
        (_prompt, {}, "peft_type PROMPT_TUNING adds virtual tokens before the prompt, which no "),
        (
            lora,
            {"safe_serialization": False},
            r"adapter_model\.bin and no adapter_model\.safetensors; lidr loads",
        ),
        (lora, {"is_trained": False}, "changes no logit of .*: it was not trained"),
        (
            lambda: lora(target_modules=["q_proj", "embed_tokens"]),
            {"added": ADDED, "save_embedding_layers": False},
            "trained over 450 rows of embedding and head; the base has 448, and the adapter does not hold the other 2",
        ),
        (
            lora,
            {"added": ADDED, "tokenizer": True, "save_embedding_layers": False},
            r"2 tokens \(<\|alpha\|>, <\|omega\|>\) for which neither the base \(448 rows\) nor the adapter has a row",
        ),
    ],
)
def test_what_cannot_be_merged_is_refused_by_name(config, how, message, bases, tmp_path):
    adapter = make_adapter(bases["smollm2"], tmp_path / "adapter", config(), **how).folder
    with pytest.raises(EngineError, match=message):
        merge_here(bases["smollm2"], adapter, tmp_path / "merged")
    assert sorted(path.name for path in tmp_path.iterdir() if path.name != "log") == ["adapter"]


def test_rows_of_new_tokens_must_be_held_of_the_head_too_where_it_is_its_own(bases, tmp_path):
    config = lora(trainable_token_indices={"embed_tokens": [448, 449]})
    adapter = make_adapter(
        bases["llama3"], tmp_path / "adapter", config, added=ADDED, tokenizer=True, save_embedding_layers=False
    ).folder
    with pytest.raises(EngineError, match="does not hold the other 2 of both"):
        merge_here(bases["llama3"], adapter, tmp_path / "merged")
    saved = lora(modules_to_save=["lm_head"])
    adapter = make_adapter(bases["smollm2"], tmp_path / "head", saved, added=ADDED, save_embedding_layers=False).folder
    with pytest.raises(EngineError, match="does not hold the other 2 of both"):  # of the embedding, which was its own
        merge_here(bases["smollm2"], adapter, tmp_path / "merged")


def test_an_adapter_of_another_base_is_refused_with_both_shapes_or_names(bases, tmp_path):
    base = bases["smollm2"]
    adapter = make_adapter(base, tmp_path / "adapter", lora()).folder
    weights = load_file(adapter / "adapter_model.safetensors")
    file = adapter / "adapter_model.safetensors"
    save_file({name: torch.cat([one, one], dim=-1) for name, one in weights.items()}, file)
    said = r"q_proj\.lora_A\.default\.weight is \[4, 64\] in the adapter and \[4, 32\] in the base; it says"
    with pytest.raises(EngineError, match=said):
        merge_here(base, adapter, tmp_path / "merged")
    save_file({name.replace("model.layers", "model.language_model.layers"): x for name, x in weights.items()}, file)
    with pytest.raises(EngineError, match=r"8 tensors of the adapter have no place in the base, the first base_model"):
        merge_here(base, adapter, tmp_path / "merged")
    save_file(dict(list(weights.items())[:-1]), file)
    with pytest.raises(EngineError, match="1 places of the base that the adapter's configuration names got no tensor"):
        merge_here(base, adapter, tmp_path / "merged")


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"task_type": "SEQ_CLS"}, "task_type SEQ_CLS; lidr takes adapters of causal language models"),
        (
            {"modules_to_save": ["lm_head"]},
            "modules_to_save names lm_head, and adapter_model.safetensors holds",
        ),
        ({"alora_invocation_tokens": [1]}, "an activated LoRA works only after"),
        ({"peft_type": "XLORA"}, "peft_type XLORA mixes several adapters"),
        ({"peft_type": "NEWER"}, "does not fit over .*NEWER"),
        ({"megatron_config": {"x": 1}}, "megatron_config names code to import"),
        ({"target_modules": ["nothing"]}, "does not fit over .*Target modules .*nothing.* not found"),
    ],
)
def test_configurations_that_cannot_be_used_are_refused(change, message, bases, tmp_path):
    adapter = make_adapter(bases["smollm2"], tmp_path / "adapter", lora()).folder
    file = adapter / "adapter_config.json"
    file.write_text(json.dumps({**json.loads(file.read_text()), **change}))
    with pytest.raises(EngineError, match=message):
        merge_here(bases["smollm2"], adapter, tmp_path / "merged")


def test_damaged_files_and_quantised_bases_are_refused(bases, tmp_path):
    base = shutil.copytree(bases["smollm2"], tmp_path / "base")
    adapter = make_adapter(base, tmp_path / "adapter", lora()).folder
    config = json.loads((base / "config.json").read_text())
    (base / "config.json").write_text(json.dumps({**config, "quantization_config": {"quant_method": "awq"}}))
    with pytest.raises(EngineError, match=r"base is quantised \(awq\); .* give the same model in bfloat16"):
        merge_here(base, adapter, tmp_path / "merged")
    for text, message in (("{", "not valid JSON"), ("[]", "holds a list, and such a file holds an object")):
        (adapter / "adapter_config.json").write_text(text)
        with pytest.raises(EngineError, match=message):
            merge_here(base, adapter, tmp_path / "merged")
    (adapter / "adapter_config.json").write_text("{}")
    for content in (b"", b"\xff" * 40, (2).to_bytes(8, "little") + b"[]"):
        (adapter / "adapter_model.safetensors").write_bytes(content)
        with pytest.raises(EngineError, match=r"adapter_model\.safetensors is damaged"):
            merge_here(base, adapter, tmp_path / "merged")


def test_a_model_folder_that_holds_an_adapter_is_refused_by_name(bases, tmp_path):
    mixed = shutil.copytree(bases["smollm2"], tmp_path / "mixed")
    (mixed / "adapter_config.json").write_text("{}")
    with pytest.raises(EngineError, match="holds a model and, beside it, an adapter"):
        ModelFolder(mixed).check()
    (mixed / "config.json").unlink()
    with pytest.raises(EngineError, match=r"mixed is an adapter and no model: .*`lidr merge --model BASE --adapter"):
        ModelFolder(mixed).check()
