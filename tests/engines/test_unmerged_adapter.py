"""An adapter over its base, not merged, in our own engine: real peft, a tiny model, an adapter that changes answers."""

from __future__ import annotations

import json
import shutil
from pathlib import Path
from typing import Any

import pytest

from lidr.engines import AdapterFolder, EngineSpec, open_engine
from lidr.engines.merging.merge_worker import merge_here
from lidr.engines.transformers import TransformersEngine
from lidr.errors import EngineError
from tests.adapters import lora, make_adapter
from tests.engines.helpers import ask, by_key
from tests.families.shapes import FAMILIES, make_model
from tests.tiny import tiny_model

# Enough to share a beginning, to pad, and to be asked twice.
BEGINNING = "The bees make honey and wax, and they store the honey as food for the winter. "
ASKED = [
    *(ask(f"{number}", BEGINNING + text) for number, text in enumerate(("¿Qué?", "What do bees make?", "И всё? " * 4))),
    ask("again", BEGINNING + "¿Qué?"),
    ask("penalty", "Hi", repetition_penalty=1.2),
    ask("drawn", "Hi", temperature=1.0, seed=3),
]


@pytest.fixture(scope="module")
def base(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tiny_model(tmp_path_factory.mktemp("models") / "base", "llama3", seed=1)


@pytest.fixture(scope="module")
def adapter(base: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    return make_adapter(base, tmp_path_factory.mktemp("adapters") / "plain", lora()).folder


def answers(model: Path, adapter: Path | None = None, **more: Any) -> dict[str, str]:
    over = None if adapter is None else str(adapter)
    spec = EngineSpec("transformers", str(model), adapter=over, **{"batch": 4, "threads": 1, **more})
    with TransformersEngine(spec) as engine:
        return {key: answer.text for key, answer in by_key(engine.generate(ASKED)).items()}


@pytest.mark.parametrize(("family", "kind"), [("llama3", "plain"), ("gemma", "dora"), ("qwen2", "ranks")])
def test_answers_are_those_of_the_merged_model_and_not_the_base_s(tmp_path: Path, family: Any, kind: str) -> None:
    how: dict[str, Any] = {
        "plain": {"target_modules": "all-linear"},
        "dora": {"use_dora": True},
        "ranks": {"rank_pattern": {"v_proj": 2}, "alpha_pattern": {"q_proj": 3}, "use_rslora": True},
    }[kind]
    base = tiny_model(tmp_path / "base", family, seed=1)
    adapter = make_adapter(base, tmp_path / "adapter", lora(**how)).folder
    merge_here(base, adapter, tmp_path / "merged")
    over, merged, without = answers(base, adapter), answers(tmp_path / "merged"), answers(base)
    assert over == merged
    assert over != without


def test_it_goes_over_packed_weights(tmp_path: Path) -> None:
    """QLoRA's way: merging would need plain weights. Wider than the others: bitsandbytes' kernels want blocks of 64."""
    pytest.importorskip("bitsandbytes")
    from transformers import AutoModelForCausalLM, BitsAndBytesConfig

    base = make_model(tmp_path / "base", FAMILIES["llama-3.2"], is_wide=True)
    adapter = make_adapter(base, tmp_path / "adapter", lora()).folder
    how = BitsAndBytesConfig(load_in_4bit=True, bnb_4bit_quant_type="nf4", bnb_4bit_compute_dtype="float32")
    model = AutoModelForCausalLM.from_pretrained(base, dtype="float32", quantization_config=how)
    packed = Path(shutil.copytree(base, tmp_path / "packed"))
    (packed / "model.safetensors").unlink()
    model.save_pretrained(packed)
    assert answers(packed, adapter) != answers(packed)


def test_an_engine_that_knows_no_adapters_is_not_opened_with_one(tmp_path: Path, base: Path, adapter: Path) -> None:
    with pytest.raises(EngineError, match="seq2seq puts no adapter over a model; transformers, vllm do"):
        open_engine(EngineSpec("seq2seq", str(base), adapter=str(adapter)), log=tmp_path / "log")


def test_an_adapter_without_effect_is_refused(tmp_path: Path, base: Path) -> None:
    untrained = make_adapter(base, tmp_path / "untrained", lora(), is_trained=False).folder
    with pytest.raises(EngineError, match="changes no logit"):
        answers(base, untrained)


def test_an_adapter_whose_tensors_have_no_place_is_refused(tmp_path: Path, base: Path) -> None:
    larger = tiny_model(tmp_path / "larger", "llama3", seed=2)
    config = json.loads((larger / "config.json").read_text())
    foreign = make_adapter(larger, tmp_path / "foreign", lora()).folder
    said = json.loads((foreign / "adapter_config.json").read_text())
    (foreign / "adapter_config.json").write_text(json.dumps({**said, "target_modules": ["q_proj"]}))
    assert config["num_hidden_layers"] > 0
    with pytest.raises(EngineError, match="tensors of the adapter have no place in the base"):
        answers(base, foreign)


@pytest.mark.parametrize(
    ("engine", "change", "message"),
    [
        ("transformers", {"peft_type": "IA3"}, "peft_type IA3"),
        ("transformers", {"trainable_token_indices": [3]}, "trainable_token_indices"),
        ("vllm", {"use_dora": True}, r"use_dora \(DoRA\)"),
        ("vllm", {"lora_bias": True}, "lora_bias"),
        ("vllm", {"bias": "lora_only"}, "bias: lora_only"),
        ("vllm", {"init_lora_weights": "pissa"}, "init_lora_weights: pissa"),
        ("vllm", {"layer_replication": [[0, 1]]}, "layer_replication"),
        ("vllm", {"target_parameters": ["experts.down"]}, "target_parameters"),
        ("vllm", {"r": 513}, "rank 513, and it takes at most 512"),
    ],
)
def test_what_an_engine_cannot_put_over_a_base_is_refused(
    tmp_path: Path, adapter: Path, engine: str, change: dict[str, Any], message: str
) -> None:
    folder = Path(shutil.copytree(adapter, tmp_path / "a"))
    file = folder / "adapter_config.json"
    file.write_text(json.dumps({**json.loads(file.read_text()), **change}))
    with pytest.raises(EngineError, match=message):
        AdapterFolder(folder).check_over(engine)


def test_what_stands_only_in_the_weights_is_refused_too(tmp_path: Path, base: Path) -> None:
    saved = make_adapter(base, tmp_path / "saved", lora(modules_to_save=["lm_head"])).folder
    with pytest.raises(EngineError, match="modules_to_save"):
        AdapterFolder(saved).check_over("transformers")
    words = make_adapter(base, tmp_path / "words", lora(target_modules=["embed_tokens", "q_proj"])).folder
    AdapterFolder(words).check_over("transformers")
    with pytest.raises(EngineError, match=r"vllm cannot put it over a model: .*embedding or head"):
        AdapterFolder(words).check_over("vllm")
