"""A peft adapter on disk: what it says of itself, and what cannot be used. Plain JSON and a header, no torch."""

from __future__ import annotations

import json
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

from lidr.engines.model_folder import TEMPLATE_FILES, VOCABULARIES
from lidr.errors import EngineError
from lidr.weights import read_model_json

WEIGHTS = "adapter_model.safetensors"

_MOST_HEADER = 100_000_000  # bytes; the format's own limit
_TASKS = (None, "CAUSAL_LM")
_PROMPTS = frozenset(
    ("PROMPT_TUNING", "MULTITASK_PROMPT_TUNING", "P_TUNING", "PREFIX_TUNING", "CPT", "ADAPTION_PROMPT")
)
_NOT_ALONE = frozenset(("XLORA", "POLY"))  # mixtures of several adapters, chosen anew for each text


@dataclass(frozen=True)
class AdapterFolder:
    """A folder with adapter_config.json and adapter_model.safetensors."""

    path: Path

    @cached_property
    def config(self) -> dict[str, Any]:
        """What adapter_config.json holds.

        Raises:
            EngineError: it is missing, or no JSON object.
        """
        file = self.path / "adapter_config.json"
        if not file.is_file():
            raise EngineError(
                f"{self.path} is no adapter: no adapter_config.json in it. Give the folder that training wrote"
            )
        return read_model_json(file)

    @property
    def kind(self) -> str:
        """LORA, IA3, ..."""
        return str(self.config.get("peft_type") or "LORA").upper()

    @property
    def base_name(self) -> str | None:
        """Of the model that it was trained over, as it says it: org/name on the Hub, or a folder of that machine."""
        found = self.config.get("base_model_name_or_path")
        return found if isinstance(found, str) and found else None

    @property
    def trained_tokens(self) -> dict[str, list[int]]:
        """`trainable_token_indices`: module -> tokens whose rows the adapter holds; "" is the embedding."""
        found = self.config.get("trainable_token_indices") or {}
        return found if isinstance(found, dict) else {"": found}

    @cached_property
    def shapes(self) -> dict[str, tuple[int, ...]]:
        """Name of each tensor -> its shape, from the header of the file of weights.

        Raises:
            EngineError: no such file, or it is damaged.
        """
        file = self.path / WEIGHTS
        try:
            with file.open("rb") as stream:
                size = int.from_bytes(stream.read(8), "little")
                if not 0 < size <= min(_MOST_HEADER, file.stat().st_size):
                    raise ValueError("its header is longer than the file")
                header = json.loads(stream.read(size))
            return {name: tuple(one["shape"]) for name, one in header.items() if name != "__metadata__"}
        except FileNotFoundError:
            raise EngineError(self._no_weights()) from None
        except (ValueError, TypeError, KeyError, AttributeError, RecursionError) as error:
            raise EngineError(f"{file} is damaged: {error}. Save it, or download it, again") from None

    def check(self) -> None:
        """Refuse by name what cannot be merged into a causal language model.

        Raises:
            EngineError: see the messages.
        """
        config, name = self.config, self.path
        if not self.shapes:
            raise EngineError(f"{name / WEIGHTS} holds no tensor: the adapter was saved empty; save it again")
        if self.kind in _PROMPTS:
            raise EngineError(
                f"{name}: peft_type {self.kind} adds virtual tokens before the prompt, which no merged model can hold; "
                "lidr takes adapters that change weights, as LoRA, DoRA and IA3 do"
            )
        if self.kind in _NOT_ALONE:
            raise EngineError(
                f"{name}: peft_type {self.kind} mixes several adapters by text; merge one of them instead"
            )
        if (task := config.get("task_type")) not in _TASKS:
            raise EngineError(f"{name}: task_type {task}; lidr takes adapters of causal language models (CAUSAL_LM)")
        if config.get("alora_invocation_tokens"):
            raise EngineError(
                f"{name}: an activated LoRA works only after its invocation tokens; merged it would work everywhere: "
                "take an ordinary LoRA"
            )
        if config.get("megatron_config"):
            raise EngineError(f"{name}: megatron_config names code to import; save the adapter without Megatron")
        self._check_saved_modules()

    def check_unmerged(self) -> None:
        """Refuse what is right over its model only when it is merged into it.

        Raises:
            EngineError: see the messages.
        """
        self.check()
        owned = [name for name in (*VOCABULARIES, *TEMPLATE_FILES) if (self.path / name).exists()]
        for found, is_so in (
            (f"peft_type {self.kind}", self.kind != "LORA"),
            ("modules_to_save", self.config.get("modules_to_save")),
            ("trainable_token_indices", self.trained_tokens),
            (f"{', '.join(owned)} beside it", owned),
        ):
            if is_so:
                raise EngineError(f"{self.path}: {found}: such an adapter is used merged; leave --no-merge out")

    @property
    def rank(self) -> int:
        """The largest of any layer."""
        patterns = self.config.get("rank_pattern") or {}
        return max(int(self.config.get("r") or 8), *map(int, patterns.values()), 1)

    def _check_saved_modules(self) -> None:
        saved = self.config.get("modules_to_save") or []
        missing = [one for one in saved if not any(f".{one}." in f".{tensor}." for tensor in self.shapes)]
        if missing:
            raise EngineError(
                f"{self.path}: modules_to_save names {', '.join(map(str, missing))}, and {WEIGHTS} holds no weights of "
                "it: the adapter is incomplete; save it again"
            )

    def _no_weights(self) -> str:
        pickled = sorted(path.name for path in self.path.glob("*.bin")) + sorted(p.name for p in self.path.glob("*.pt"))
        if pickled:
            return (
                f"{self.path} has {pickled[0]} and no {WEIGHTS}; lidr loads no pickled weights: save the adapter with "
                "safe_serialization=True"
            )
        return f"{self.path} has no {WEIGHTS} beside its adapter_config.json"
