"""A model on disk: what an engine must know of it before it loads anything. Plain JSON, no torch."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from lidr.errors import EngineError
from lidr.reasoning import family_of
from lidr.resources import near_file
from lidr.weights import check_model_json, missing_shards, missing_weights, read_model_json

VOCABULARIES = ("tokenizer.json", "tokenizer.model", "vocab.json", "vocab.txt", "spiece.model", "tekken.json")
"""Without one of these a tokenizer is not whole."""

TOKENIZER_FILES = (
    *VOCABULARIES,
    *("merges.txt", "tokenizer_config.json", "special_tokens_map.json", "added_tokens.json", "sentencepiece.bpe.model"),
)
"""What a tokenizer may consist of, chat template apart."""

TEMPLATE_FILE = "chat_template.jinja"

TEMPLATE_FILES = (TEMPLATE_FILE, "chat_template.json", "additional_chat_templates")
"""Where chat templates stand that are not in tokenizer_config.json; the last is a folder."""

_NOT_OF_GREEDY = (
    *("do_sample", "temperature", "top_k", "top_p", "min_p", "typical_p", "epsilon_cutoff", "eta_cutoff"),
    *("max_length", "use_cache", "transformers_version", "_from_model_config"),
)
"""Entries of generation_config.json that change no greedy answer of a given length."""


@dataclass(frozen=True)
class ModelFolder:
    """A folder of safetensors with config, tokenizer and, if it can chat, a chat template."""

    path: Path

    def check(self) -> None:
        """Raise EngineError if this is no model folder that lidr loads."""
        if not self.path.is_dir():
            raise EngineError(
                f"{self.path}: no such model folder{near_file(self.path)}; give one with config.json and *.safetensors"
            )
        if (why := refused_adapter(self.path)) is not None:
            raise EngineError(why)
        if not (self.path / "config.json").is_file():
            raise EngineError(f"{self.path}: a model folder needs a config.json, and this one has none")
        if (missing := missing_weights(self.path) or missing_shards(self.path)) is not None:
            raise EngineError(missing)
        check_model_json(self.path)

    def context_length(self) -> int | None:
        """Return the longest prompt plus completion that the config promises, tokens; None if it says nothing.

        Raises:
            EngineError: what it says is no number.
        """
        file = self.path / "config.json"
        config = read_model_json(file)
        inner = config.get("text_config") or {}
        if not isinstance(inner, dict):
            raise EngineError(f"{file}: text_config is {inner!r}, and no object. Save the model, or download it, again")
        length = config.get("max_position_embeddings", inner.get("max_position_embeddings"))
        if length is not None and not isinstance(length, int | float):
            raise EngineError(f"{file}: max_position_embeddings is {length!r}, and no number of tokens: mend it")
        return None if length is None else int(length)

    def end_ids(self) -> frozenset[int]:
        """Return the ids that end generation: those of generation_config.json, or else of config.json.

        Raises:
            EngineError: they are no ids.
        """
        for name in ("generation_config.json", "config.json"):
            said = read_model_json(self.path / name).get("eos_token_id")
            if said is None:
                continue
            ids = said if isinstance(said, list) else [said]
            if not all(isinstance(one, int) for one in ids):
                raise EngineError(
                    f"{self.path / name}: eos_token_id is {said!r}; it must be the id of a token, or a list of ids"
                )
            return frozenset(ids)
        return frozenset()

    def decodes_its_own_way(self) -> bool:
        """Return whether generation_config.json asks for what could change a greedy answer. lidr obeys none of it."""
        said = read_model_json(self.path / "generation_config.json")
        asked = {name for name, value in said.items() if value not in (None, 0, 1) and not name.endswith("_token_id")}
        return bool(asked.difference(_NOT_OF_GREEDY))

    def thought_marks(self) -> str | None:
        """Return the family of marks by which its thoughts are told from its answers; None if it has none.

        Raises:
            EngineError: its tokenizer.json is damaged.
        """
        file = self.path / "tokenizer.json"
        added = read_model_json(file).get("added_tokens") or ()
        try:
            tokens = {token["content"] for token in added}
            marks = family_of(template_of(self.path), tokens)
        except (TypeError, LookupError) as error:
            raise EngineError(f"{file}: added_tokens are no tokens ({error}). Save it, or download it, again") from None
        return marks.name if marks else None


def template_of(folder: Path) -> str | None:
    """The default chat template of a folder, wherever it stands; None if there is none.

    Raises:
        EngineError: a file that may hold it is no JSON object.
    """
    if (folder / TEMPLATE_FILE).is_file():
        return (folder / TEMPLATE_FILE).read_text(encoding="utf-8")
    for name in ("chat_template.json", "tokenizer_config.json"):
        found = read_model_json(folder / name).get("chat_template")
        if isinstance(found, list):  # named templates, as older versions saved them
            named = (one for one in found if isinstance(one, dict) and one.get("name") == "default")
            found = next((one.get("template") for one in named), None)
        if isinstance(found, str):
            return found
    return None


def refused_adapter(path: Path) -> str | None:
    """Why a folder with an adapter in it is no model folder; None where there is none.

    Of a model with an adapter beside its weights transformers loads both, and vLLM the model alone.
    """
    if not (path / "adapter_config.json").is_file():
        return None
    if not (path / "config.json").is_file():
        return (
            f"{path} is an adapter and no model: `lidr eval run` and `lidr eval check` take --model BASE --adapter "
            f"{path}; for anything else merge it first: `lidr merge --model BASE --adapter {path} --out FOLDER`"
        )
    return (
        f"{path} holds a model and, beside it, an adapter (adapter_config.json), so engines would load different "
        "things: move the adapter's files into a folder of their own, and merge it with `lidr merge` if it is wanted"
    )


def refused_tokenizer(path: Path) -> str | None:
    """Why a folder's tokenizer cannot be used, where it is one of mistral_common alone; None where it is not.

    transformers then takes mistral_common's tokenizer, which knows no chat template: prompts would be rendered by rules
    that stand in no file of the model.
    """
    have = [name for name in VOCABULARIES if (path / name).is_file()]
    if have != ["tekken.json"]:
        return None
    return (
        f"{path}: its tokenizer is tekken.json alone, without the tokenizer.json and the chat_template.jinja that "
        "prompts are made of: take them from a repository of the same model that has both (many have a twin for "
        "transformers), or serve the model and name it as openai:NAME@URL"
    )
