"""A peft adapter on disk: what it says of itself, and what cannot be used. Plain JSON and a header, no torch."""

from __future__ import annotations

import json
from collections.abc import Iterator
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
LORA_RANKS = (8, 16, 32, 64, 128, 256, 320, 512)
"""That vLLM has room for: `max_lora_rank` is the least of these that holds the adapter's."""
_PLAIN_STARTS = ("gaussian", "eva", "orthogonal", "mica", "lora_ga")
"""Of `init_lora_weights`: the others change the base's weights when the adapter is loaded, which vLLM does not."""
_NOT_OF_VLLM = ("lora_bias", "layer_replication", "use_bdlora", "use_qalora", "target_parameters")
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
        found = [*self._only_merged(), *([f"{', '.join(owned)} beside it"] if owned else [])]
        if found:
            raise EngineError(f"{self.path}: {found[0]}: such an adapter is used merged; leave --no-merge out")

    def check_over(self, engine: str) -> None:
        """Refuse what an engine of lidr's own cannot put over its model; a tokenizer beside it is no matter.

        Args:
            engine: name of a row of lidr/engines/registry.py.

        Raises:
            EngineError: see the messages.
        """
        self.check()
        for found in (*self._only_merged(), *(self._not_of_vllm() if engine == "vllm" else ())):
            raise EngineError(
                f"{self.path}: {engine} cannot put it over a model: {found}; such an adapter is used merged"
            )

    def check_words(self, base: Path) -> None:
        """Refuse a tokenizer beside the adapter with tokens for which the base has no row.

        Raises:
            EngineError: it has such, or it is of a kind that does not say how many it has.
        """
        owned = [name for name in VOCABULARIES if (self.path / name).is_file()]
        config = read_model_json(base / "config.json")
        rows = (config.get("text_config") or config).get("vocab_size", config.get("vocab_size"))
        if not owned or not isinstance(rows, int):
            return
        if "tokenizer.json" not in owned:
            raise EngineError(
                f"{self.path}: the tokens of {owned[0]} beside it cannot be counted; such an adapter is used merged"
            )
        said = read_model_json(self.path / "tokenizer.json")
        words = said.get("model", {}).get("vocab") or {}
        ids = [*(words.values() if isinstance(words, dict) else range(len(words)))]
        most = max([*ids, *(one["id"] for one in said.get("added_tokens") or ())], default=0)
        if most >= rows:
            raise EngineError(
                f"{self.path}: the tokenizer beside it has tokens up to {most:,}, and the base has rows for "
                f"{rows:,}: rows are added where the adapter is merged; such an adapter is used merged"
            )

    def _only_merged(self) -> Iterator[str]:
        """What of it only merging does right."""
        if self.kind != "LORA":
            yield f"peft_type {self.kind}"
        for name in ("modules_to_save", "trainable_token_indices"):
            if self.config.get(name):
                yield name

    def _not_of_vllm(self) -> Iterator[str]:
        """What vLLM does not know of LoRA, or does otherwise than peft."""
        config = self.config
        for name, called in (("use_dora", "use_dora (DoRA)"), *((one, one) for one in _NOT_OF_VLLM)):
            if config.get(name):
                yield called
        if (bias := config.get("bias") or "none") != "none":
            yield f"bias: {bias}"
        start = config.get("init_lora_weights")
        if isinstance(start, str) and start.lower() not in _PLAIN_STARTS:
            yield f"init_lora_weights: {start}"
        if any("lora_embedding_" in name or ".lm_head." in name for name in self.shapes):
            yield "it changes embedding or head"
        if self.rank > LORA_RANKS[-1]:
            yield f"rank {self.rank}, and it takes at most {LORA_RANKS[-1]}"

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
