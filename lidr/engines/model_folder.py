"""A model on disk: what an engine must know of it before it loads anything. Plain JSON, no torch."""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from lidr.errors import EngineError


@dataclass(frozen=True)
class ModelFolder:
    """A folder of safetensors with config, tokenizer and, if it can chat, a chat template."""

    path: Path

    def check(self) -> None:
        """Raise EngineError if this is no model folder that lidr loads."""
        if not self.path.is_dir():
            raise EngineError(f"{self.path}: no such model folder; a model must be resolved to a local folder first")
        if not (self.path / "config.json").is_file():
            raise EngineError(f"{self.path}: a model folder needs a config.json, and this one has none")
        if not any(self.path.glob("*.safetensors")):
            raise EngineError(
                f"{self.path}: no *.safetensors file; lidr loads no pickled weights (*.bin, *.pt): convert them first"
            )

    def context_length(self) -> int | None:
        """Return the longest prompt plus completion that the config promises, tokens; None if it says nothing."""
        config = self._read("config.json")
        length = config.get("max_position_embeddings", config.get("text_config", {}).get("max_position_embeddings"))
        return None if length is None else int(length)

    def end_ids(self) -> frozenset[int]:
        """Return the ids that end generation: those of generation_config.json, or else of config.json."""
        for name in ("generation_config.json", "config.json"):
            ids = self._read(name).get("eos_token_id")
            if ids is not None:
                return frozenset([ids] if isinstance(ids, int) else ids)
        return frozenset()

    def _read(self, name: str) -> dict[str, Any]:
        try:
            content: dict[str, Any] = json.loads((self.path / name).read_text(encoding="utf-8"))
        except FileNotFoundError:
            return {}
        except ValueError as error:
            raise EngineError(f"{self.path / name}: not valid JSON: {error}") from error
        return content
