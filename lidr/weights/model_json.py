"""The JSON files of a model folder: read as objects, or refused by their names. No torch.

transformers says of a config.json that holds a list that a list has no attribute.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from lidr.errors import EngineError
from lidr.weights.shards import INDEX

MODEL_JSON = (
    *("config.json", "generation_config.json", "tokenizer_config.json", "special_tokens_map.json"),
    *("added_tokens.json", "chat_template.json", "preprocessor_config.json", "processor_config.json", INDEX),
)
"""Those that lidr or transformers read, but for the vocabulary."""


def read_model_json(path: Path) -> dict[str, Any]:
    """What one of them holds; nothing where it is not there.

    Raises:
        EngineError: it is no JSON, or no object.
    """
    try:
        found = json.loads(path.read_text(encoding="utf-8"))
    except FileNotFoundError:
        return {}
    except (ValueError, RecursionError) as error:
        raise EngineError(f"{path}: not valid JSON: {error}. Save it, or download it, again") from None
    if not isinstance(found, dict):
        raise EngineError(
            f"{path}: holds {_named(found)}, and such a file holds an object, {{...}}. Save it, or download it, again"
        )
    return found


def check_model_json(folder: Path) -> None:
    """Refuse a folder of which one of them is damaged.

    Raises:
        EngineError: it is.
    """
    for name in MODEL_JSON:
        read_model_json(folder / name)


def _named(value: Any) -> str:
    names = {list: "a list", str: "a text", type(None): "null", bool: "true or false"}
    return names.get(type(value), "a number")
