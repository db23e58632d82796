"""Sizes of models that are no dense decoders: headers of weights in the shapes of published ones, without numbers."""

from __future__ import annotations

import json
import struct
from pathlib import Path

import pytest

from lidr.cli.main import main
from lidr.costs import (
    CARDS,
    Training,
    cache_bytes,
    generation_seconds,
    shape_in,
    shape_named,
    trained_parameters,
    training_seconds,
)
from lidr.costs.memory import frozen_bytes
from lidr.train.adapters import lora_config
from lidr.train.training_spec import LoraSpec
from lidr.weights import load_policy
from tests.odd_models import odd_model
from tests.scripted import TINY, write_world

Shapes = dict[str, tuple[int, ...]]


def folder_with(folder: Path, config: dict[str, object], tensors: Shapes) -> Path:
    folder.mkdir(parents=True)
    (folder / "config.json").write_text(json.dumps(config))
    if tensors:
        header = {name: {"dtype": "BF16", "shape": shape, "data_offsets": [0, 0]} for name, shape in tensors.items()}
        text = json.dumps(header).encode()
        (folder / "model.safetensors").write_bytes(struct.pack("<Q", len(text)) + text)
    return folder


def attention(at: str, hidden: int, queries: int, kv: int) -> Shapes:
    sides = {"q": (queries, hidden), "k": (kv, hidden), "v": (kv, hidden), "o": (hidden, queries)}
    return {f"{at}.self_attn.{side}_proj.weight": shape for side, shape in sides.items()}


def feed_forward(at: str, hidden: int, inner: int) -> Shapes:
    sides = {"gate": (inner, hidden), "up": (inner, hidden), "down": (hidden, inner)}
    return {f"{at}.{side}_proj.weight": shape for side, shape in sides.items()}


def qwen3_moe() -> tuple[dict[str, object], Shapes]:
    """Qwen3-30B-A3B, as its config.json says it."""
    config = {
        **{"model_type": "qwen3_moe", "num_hidden_layers": 48, "hidden_size": 2048, "intermediate_size": 6144},
        **{"num_attention_heads": 32, "num_key_value_heads": 4, "head_dim": 128, "vocab_size": 151_936},
        **{"num_experts": 128, "num_experts_per_tok": 8, "moe_intermediate_size": 768, "tie_word_embeddings": False},
    }
    tensors: Shapes = {"model.embed_tokens.weight": (151_936, 2048), "lm_head.weight": (151_936, 2048)}
    for layer in range(48):
        at = f"model.layers.{layer}"
        tensors |= attention(at, 2048, 4096, 512) | {f"{at}.mlp.gate.weight": (128, 2048)}
        for expert in range(128):
            tensors |= feed_forward(f"{at}.mlp.experts.{expert}", 2048, 768)
    return config, tensors


def gemma3() -> tuple[dict[str, object], Shapes]:
    """Gemma 3 4B: its config.json leaves out heads and vocabulary."""
    text = {"hidden_size": 2560, "intermediate_size": 10_240, "num_hidden_layers": 34, "model_type": "gemma3_text"}
    tensors: Shapes = {
        "language_model.model.embed_tokens.weight": (262_208, 2560),
        "vision_tower.vision_model.encoder.layers.0.self_attn.k_proj.weight": (1152, 1152),
    }
    for layer in range(34):
        at = f"language_model.model.layers.{layer}"
        tensors |= attention(at, 2560, 2048, 1024) | feed_forward(f"{at}.mlp", 2560, 10_240)
    return {"model_type": "gemma3", "text_config": text, "vision_config": {"hidden_size": 1152}}, tensors


def qwen35() -> tuple[dict[str, object], Shapes]:
    """A Qwen3.5: one layer of four keeps keys and values."""
    kinds = ["linear_attention", "linear_attention", "linear_attention", "full_attention"] * 8
    text = {
        **{"hidden_size": 4096, "intermediate_size": 12_288, "num_hidden_layers": 32, "layer_types": kinds},
        **{"num_attention_heads": 16, "num_key_value_heads": 4, "head_dim": 256, "vocab_size": 248_320},
    }
    tensors: Shapes = {"model.language_model.embed_tokens.weight": (248_320, 4096)}
    for layer, kind in enumerate(kinds):
        at = f"model.language_model.layers.{layer}"
        tensors |= feed_forward(f"{at}.mlp", 4096, 12_288)
        if kind == "full_attention":
            tensors |= attention(at, 4096, 8192, 1024)
        else:
            tensors |= {f"{at}.linear_attn.in_proj_qkv.weight": (8192, 4096)}
    return {"model_type": "qwen3_5", "text_config": text}, tensors


def test_a_mixture_has_all_its_parameters_and_a_token_goes_through_few(tmp_path):
    shape = shape_in(folder_with(tmp_path / "m", *qwen3_moe()))
    assert shape.parameters == pytest.approx(30.5e9, rel=0.005)  # its model card: 30.5B in total, 3.3B activated
    assert shape.active == pytest.approx(3.3e9, rel=0.02)
    assert (shape.kv, shape.inner, shape.source) == (512, 8 * 768, "counted in its files")
    card = next(card for card in CARDS if card.name == "H100")
    dense = shape_named("org/m-30B")
    how = Training(16, 1, 1024, True, True, False)
    taken = [training_seconds(one, card, "bfloat16", how, tokens=10**6) for one in (shape, dense)]
    assert taken[0] == pytest.approx(taken[1] * shape.active / 30e9)
    writing = [
        generation_seconds(one, card, "bfloat16", tokens=10**6, at_once=64, length=512) for one in (shape, dense)
    ]
    assert writing[0] <= writing[1]


def test_experts_are_not_counted_as_packed(tmp_path):
    shape = shape_in(folder_with(tmp_path / "m", *qwen3_moe()))
    assert frozen_bytes(shape, "bfloat16", "nf4") > 2 * shape.experts
    assert frozen_bytes(shape, "bfloat16", "nf4") < 2 * shape.parameters


EXPERTS = ("mlp.experts.gate_up_proj", "mlp.experts.down_proj")


@pytest.mark.parametrize(
    ("kind", "lora"),
    [
        ("qwen3", {}),
        ("qwen3", {"target_modules": ("q_proj", "v_proj")}),
        ("qwen3_5", {}),  # a hybrid, with a vision tower beside it
        ("gemma3", {}),
        ("qwen2_moe", {}),  # shared experts are layers as any other
        ("qwen3_moe", {}),
        ("qwen3_moe", {"more": {"target_parameters": [*EXPERTS]}}),
        ("qwen3_moe", {"target_modules": ("o_proj",), "more": {"target_parameters": [EXPERTS[1], "mlp.gate.weight"]}}),
        ("gpt_oss", {}),
        ("gpt_oss", {"more": {"target_parameters": [*EXPERTS]}}),
    ],
)
def test_an_adapter_is_as_large_as_peft_makes_it(tmp_path, kind, lora):
    from peft import get_peft_model

    folder = odd_model(tmp_path / "m", kind)
    spec = LoraSpec(rank=4, **lora)
    model = load_policy(str(folder), dtype="float32")
    adapted, _ = get_peft_model(model, lora_config(spec, model)).get_nb_trainable_parameters()
    parameters = tuple(spec.more.get("target_parameters", ()))
    how = Training(4, 1, 64, True, True, False, layers=spec.target_modules, parameters=parameters)
    assert trained_parameters(shape_in(folder), how) == adapted


def test_a_plan_counts_adapters_of_experts(tmp_path, capsys):
    folder = odd_model(tmp_path / "m", "qwen3_moe")
    recipe = write_world(tmp_path / "w", TINY)
    words = ["--set", f"policy.model={folder}", "--set", "runtime.engine=transformers"]
    more = f"chain.train.lora={{rank: 4, peft: {{target_parameters: [{', '.join(EXPERTS)}]}}}}"
    state = []
    for lora in ("chain.train.lora={rank: 4}", more):
        assert main(["plan", str(recipe), *words, "--set", lora, "--json"]) == 0
        (told,) = [one for one in json.loads(capsys.readouterr().out)["memory"] if "AdamW" in one["parts"]]
        state.append(told["size"])
    assert state[1] - state[0] == 16 * 2 * 4 * 4 * (32 + 2 * 32 + 32 + 32)  # bytes, layers, rank, experts, both sides


def test_a_wrapper_is_known_by_its_language_model(tmp_path):
    config, tensors = gemma3()
    shape = shape_in(folder_with(tmp_path / "m", config, tensors))
    assert (shape.layers, shape.hidden, shape.kv, shape.vocabulary) == (34, 2560, 1024, 262_208)
    assert shape.parameters == 262_208 * 2560 + 1152 * 1152 + 34 * 2560 * (2 * 2048 + 2 * 1024 + 3 * 10_240)
    assert shape.active == shape.parameters


def test_of_a_hybrid_only_some_layers_keep_keys_and_values(tmp_path):
    shape = shape_in(folder_with(tmp_path / "m", *qwen35()))
    assert (shape.layers, shape.caching) == (32, 8)
    assert cache_bytes(shape, "bfloat16", 1) == 2 * 8 * 1024 * 2


@pytest.mark.parametrize("made", [qwen3_moe, gemma3, qwen35])
def test_without_its_files_its_size_is_not_claimed(tmp_path, made):
    config, _ = made()
    assert shape_in(folder_with(tmp_path / "m", config, {})) is None
    inside = config.get("text_config")
    if isinstance(inside, dict) and "layer_types" in inside:  # nor of a hybrid that is no wrapper
        assert shape_in(folder_with(tmp_path / "t", inside, {})) is None


@pytest.mark.parametrize(
    "more",
    [
        {"quantization_config": {"quant_method": "awq"}},  # eight numbers in one
        {"kv_lora_rank": 512},  # keys and values are kept in another form
        {"num_experts": 0},  # experts that no config.json speaks of
        {"num_experts_per_tok": 0},
    ],
)
def test_what_its_config_leaves_open_is_not_claimed(tmp_path, more):
    config, tensors = qwen3_moe()
    assert shape_in(folder_with(tmp_path / "m", {**config, **more}, tensors)) is None


@pytest.mark.parametrize(
    "name",
    ["Qwen/Qwen3-30B-A3B", "meta-llama/Llama-4-Scout-17B-16E", "openai/gpt-oss-20b", "org/Mixtral-8x22B", "o/OLMoE-7B"],
)
def test_a_name_of_a_mixture_tells_no_size(name):
    assert shape_named(name) is None


def test_a_plan_says_that_a_size_is_not_known(tmp_path, capsys):
    config, _ = qwen3_moe()
    folder = folder_with(tmp_path / "org-30B", config, {"x": (1, 1)})
    (folder / "chat_template.jinja").write_text("{% for m in messages %}{{ m.content }}{% endfor %}")
    recipe = write_world(tmp_path / "w")
    words = ["--set", f"policy.model={folder}", "--set", "runtime.engine=vllm", "--set", "runtime.gpu=H100"]
    assert main(["plan", str(recipe), *words]) == 0
    told = capsys.readouterr().out
    assert f"Memory and disk of {folder}: unknown; neither its files here nor its name tell how large it is" in told
    assert "shaped like" not in told
