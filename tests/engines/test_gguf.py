import json
from pathlib import Path
from typing import Any

import pytest

from lidr.engines.engine import EngineSpec
from lidr.engines.gguf import convert, convert_gguf
from lidr.engines.transformers import TransformersEngine
from lidr.errors import EngineError, MissingExtraError
from tests.engines.helpers import ask, by_key


def test_a_converted_folder_is_plain_and_complete(smollm2: Path) -> None:
    assert {file.name for file in smollm2.iterdir()} == {
        "chat_template.jinja",
        "config.json",
        "generation_config.json",
        "model.safetensors",
        "tokenizer.json",
        "tokenizer_config.json",
    }
    config = json.loads((smollm2 / "config.json").read_text())
    assert "quantization_config" not in config
    assert (config["dtype"], config["tie_word_embeddings"], config["max_position_embeddings"]) == (
        "float32",
        True,
        8192,
    )
    assert json.loads((smollm2 / "generation_config.json").read_text())["eos_token_id"] == [2]
    assert not list(smollm2.parent.glob(".*"))


def test_the_written_tensors_are_those_that_were_read(smollm2: Path, smollm2_gguf: Path) -> None:
    from gguf import GGUFReader
    from gguf.quants import dequantize
    from safetensors import safe_open

    stored = {tensor.name: tensor for tensor in GGUFReader(smollm2_gguf).tensors}
    with safe_open(smollm2 / "model.safetensors", framework="pt") as written:
        assert len(list(written.keys())) == len(stored)
        for ours, theirs in (
            ("model.embed_tokens.weight", "token_embd.weight"),
            ("model.layers.29.mlp.down_proj.weight", "blk.29.ffn_down.weight"),
            ("model.norm.weight", "output_norm.weight"),
        ):
            tensor = stored[theirs]
            assert (written.get_tensor(ours).numpy() == dequantize(tensor.data, tensor.tensor_type)).all()


def test_the_real_model_answers_in_english_and_ends_its_turn(smollm2: Path) -> None:
    spec = EngineSpec("transformers", model=str(smollm2), threads=1)
    with TransformersEngine(spec) as engine:
        answers = by_key(
            engine.generate(
                [
                    ask("whole", "What is the capital of France?"),
                    ask("cut", "What is the capital of France?", stop=("Par",)),
                    ask("started", "What is the capital of France?", prefill="The capital of"),
                ]
            )
        )
    assert (answers["whole"].text, answers["whole"].finish_reason) == ("The capital of France is Paris.", "stop")
    assert (answers["cut"].text, answers["cut"].finish_reason) == ("The capital of France is ", "stop")
    assert answers["started"].text == " France is Paris."


def test_a_missing_or_damaged_file_is_an_error_and_leaves_nothing_behind(tmp_path: Path) -> None:
    with pytest.raises(EngineError, match=r"nowhere\.gguf: no such file; give a \.gguf file"):
        convert_gguf(tmp_path / "nowhere.gguf", tmp_path / "out", dtype="float32")
    damaged = tmp_path / "damaged.gguf"
    damaged.write_bytes(b"GGUF" + bytes(60))
    with pytest.raises(EngineError, match=r"damaged\.gguf cannot be converted"):
        convert_gguf(damaged, tmp_path / "out", dtype="float32")
    assert list(tmp_path.iterdir()) == [damaged]


def test_a_folder_that_exists_is_not_written_over(smollm2_gguf: Path, tmp_path: Path) -> None:
    (tmp_path / "out").mkdir()
    with pytest.raises(EngineError, match="out exists already"):
        convert(smollm2_gguf, tmp_path / "out", dtype="float32", log=tmp_path / "log")


def test_a_missing_package_names_the_extra_to_install(tmp_path: Path, monkeypatch: Any) -> None:
    monkeypatch.setattr("importlib.util.find_spec", lambda name: None)
    with pytest.raises(MissingExtraError, match=r"reading a GGUF file needs the package 'torch'.*'lidr\[train\]'"):
        convert(tmp_path / "a.gguf", tmp_path / "out", dtype="float32", log=tmp_path / "log")


def test_a_file_is_parsed_once_and_its_names_are_mapped_once(
    smollm2_gguf: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    import gguf

    made = {"GGUFReader": 0, "get_tensor_name_map": 0}

    def counted(name: str) -> Any:
        make = getattr(gguf, name)

        def count(*given: Any) -> Any:
            made[name] += 1
            return make(*given)

        return count

    for name in made:
        monkeypatch.setattr(gguf, name, counted(name))
    convert_gguf(smollm2_gguf, tmp_path / "model", dtype="bfloat16")
    assert made == {"GGUFReader": 1, "get_tensor_name_map": 1}


def test_a_conversion_is_made_once_in_a_store_and_again_where_it_is_damaged(
    smollm2_gguf: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from lidr.hub import converted

    logs = []

    def convert_here(gguf: Path, out: Path, *, dtype: str, log: Path) -> None:
        logs.append(log.name)
        convert_gguf(gguf, out, dtype=dtype)

    monkeypatch.setattr("lidr.hub.model_folders.convert", convert_here)

    def make(name: str) -> Path:
        return converted(smollm2_gguf, tmp_path, dtype="bfloat16", log=tmp_path / name)

    folder = make("first")
    assert make("second") == folder
    weights = folder / "model.safetensors"
    content = weights.read_bytes()
    weights.write_bytes(content[:-1] + bytes([content[-1] ^ 1]))
    assert make("third") == folder
    assert weights.read_bytes() == content
    assert logs == ["first", "third"]
