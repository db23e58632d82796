"""Who translates where it is not the policy itself: a translation model, another chat model, a server, or a file.

    by: {model: facebook/m2m100_418M, revision: unpinned, engine: seq2seq}     a model that only translates
    by: {model: org/chat-model, revision: unpinned, engine: vllm}              any chat model, asked as the policy is
    by: {model: "openai:NAME@http://localhost:8000/v1"}                        the same behind a server
    by: {file: ./translations}                                                 JSON lines made by whatever you like

Its rows have the statuses and the account of self-translation; their column `policy` says who it was.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Literal

from pydantic import Field, model_validator

from lidr.engines import engine_row, engines
from lidr.recipe.frozen import Frozen
from lidr.recipe.openai_config import OpenAIConfig, openai_identity
from lidr.recipe.policy_config import Dtype, PolicyConfig, ReferenceText
from lidr.references import HubReference, ServerReference, parse_reference

_ENGINES = engines(lambda row: row.model != "script")
if TYPE_CHECKING:
    TranslatorEngine = str
else:
    TranslatorEngine = Literal[_ENGINES]

_ONLY_TRANSLATES = ("beams", "codes")
_ONLY_CHATS = ("prefill", "system_prompt")


class Translator(Frozen):
    """Who translates instead of the policy: a `model` with its `engine`, or a `file`."""

    model: ReferenceText | None = None
    """org/name on the Hub, ./folder, dist:PACKAGE/FILE.gguf, run:NAME/iter_K/train, or openai:MODEL@URL."""
    revision: str | None = None
    """For a Hub model: a 40-hex commit, or `unpinned` until `lidr lock` fills it. For a server: as for the policy."""
    engine: TranslatorEngine | None = None
    """seq2seq: a model that only translates, asked line by line; the others: a chat model, asked with the paper's
    prompt. Of a server always openai."""
    dtype: Dtype = "float32"
    """Number format of its weights."""
    beams: int = Field(1, ge=1)
    """For seq2seq: width of the beam search; 1 is greedy."""
    codes: dict[str, str] = Field(default_factory=dict)
    """For seq2seq: our language code and the model's own, where lidr does not know it: {zh: cmn_Hans}."""
    prefill: bool = True
    """For chat models: begin the answer with the opening tag, as for the policy. A server that refuses it is asked
    without."""
    openai: OpenAIConfig | None = Field(None, exclude_if=lambda value: value is None)
    """For a server: how it is asked."""
    system_prompt: str | None = None
    """For chat models: system message; null sends none."""
    file: str | None = None
    """A JSON-lines file, or a folder of them, with prompt_id, source, target, text, and source_text where you want it
    checked that this very answer was translated."""
    license: str | None = None
    """Licence of the model or of the translations, as a Hub identifier, where lidr cannot know it: cc-by-nc-4.0. It
    flows into every card; no identity."""

    @model_validator(mode="before")
    @classmethod
    def _server_has_one_engine(cls, given: Any) -> Any:
        is_server = isinstance(given, dict) and str(given.get("model")).startswith("openai:")
        return {"engine": "openai", **given} if is_server else given

    @model_validator(mode="after")
    def _one_way(self) -> Translator:
        if (self.model is None) == (self.file is None):
            raise ValueError("name who translates: model with its engine, or file; one of the two")
        if self.file is not None and (given := sorted(self.model_fields_set - {"file", "license"})):
            raise ValueError(f"{', '.join(given)} belongs to a model; a file of translations has none: take it out")
        return self

    @model_validator(mode="after")
    def _engine_fits(self) -> Translator:
        if self.model is None:
            return self
        is_server = isinstance(parse_reference(self.model), ServerReference)
        if self.engine is None:
            raise ValueError(f"model needs its engine: {', '.join(_ENGINES[:-1])} or {_ENGINES[-1]}")
        row = engine_row(self.engine)
        if is_server != (row.model == "server"):
            raise ValueError(f"engine openai and a model openai:NAME@URL go together, not {self.engine} with it")
        for name in _ONLY_CHATS if row.only_translates else _ONLY_TRANSLATES:
            if name in self.model_fields_set:
                raise ValueError(f"{name} says nothing to the engine {self.engine}; take it out")
        if self.openai is not None and not is_server:
            raise ValueError(f"openai says how a server is asked, and {self.model} is none; take it out")
        if self.openai is not None and not self.openai.prefill:
            raise ValueError("openai.prefill: for a translator write prefill: false beside its model")
        self.source()
        return self

    def source(self) -> PolicyConfig:
        """The model as the recipe's `policy` section would name it; it is found and pinned in the same way."""
        assert self.model is not None
        return PolicyConfig(model=self.model, revision=self.revision, dtype=self.dtype)

    @property
    def is_chat(self) -> bool:
        """Whether it is asked with the paper's prompt and answers between tags."""
        return self.engine is not None and not engine_row(self.engine).only_translates

    def identity(self) -> dict[str, Any]:
        """What it is asked and how; which model or file it is, `outside_translator` says."""
        kept = self.model_dump(mode="json", exclude={"model", "revision", "file", "license", "openai"})
        kept |= openai_identity(self.openai)
        reference = parse_reference(self.model) if self.model else None
        name = None
        if isinstance(reference, HubReference):
            name = reference.repo
        elif isinstance(reference, ServerReference):
            name = f"openai:{reference.model}"
        return kept | {"model": name, "file": self.file is not None}
