"""Runs in the trainers' own environment: has LLaMA-Factory and axolotl read an export, and prints what they made of it.

python trainers_check.py llama-factory FOLDER
python trainers_check.py axolotl FOLDER MODEL
"""

from __future__ import annotations

import importlib.machinery
import json
import sys
import types
from pathlib import Path
from typing import Any


def llama_factory(folder: str) -> list[Any]:
    """Each row as LLaMA-Factory aligns it, before tokenization."""
    audio = types.ModuleType("torchaudio")  # imported by its audio plug-in, which text never calls
    audio.__spec__ = importlib.machinery.ModuleSpec("torchaudio", None)
    sys.modules["torchaudio"] = audio
    from datasets import load_dataset
    from llamafactory.data.converter import get_dataset_converter
    from llamafactory.data.parser import get_dataset_list

    (name,) = json.loads((Path(folder) / "dataset_info.json").read_text(encoding="utf-8"))
    (attributes,) = get_dataset_list([name], folder)
    assert attributes.ranking
    settings = types.SimpleNamespace(media_dir=folder)
    convert = get_dataset_converter(attributes.formatting, attributes, settings)
    return [convert(row) for row in load_dataset("json", data_files=f"{folder}/{attributes.dataset_name}")["train"]]


def axolotl(folder: str, model: str) -> list[Any]:
    """Each row as axolotl's chat_template.default renders it."""
    import yaml
    from axolotl.prompt_strategies.dpo.chat_template import default
    from axolotl.utils.dict import DictDefault
    from transformers import AutoTokenizer

    config = yaml.safe_load((Path(folder) / "axolotl.yaml").read_text(encoding="utf-8"))
    transform, _ = default(DictDefault(config))
    tokenizer = AutoTokenizer.from_pretrained(model)
    lines = (Path(folder) / config["datasets"][0]["path"]).read_text(encoding="utf-8").splitlines()
    return [transform(json.loads(line), tokenizer=tokenizer) for line in lines]


if __name__ == "__main__":
    print(json.dumps({"llama-factory": llama_factory, "axolotl": axolotl}[sys.argv[1]](*sys.argv[2:])))
