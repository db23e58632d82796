"""How a chat template writes two small conversations, before a model is loaded: by Jinja and the tokenizer alone.

    [user]               <|im_start|>user\\n..<|im_end|>\\n<|im_start|>assistant\\n
    [user, assistant]    <|im_start|>user\\n..<|im_end|>\\n<|im_start|>assistant\\nBees make honey.<|im_end|>\\n

Training needs the first to be the beginning of the second, token by token: else an answer would be trained on another
prompt than it was asked with. Where it is not, `training_form` says what helps.
"""

from __future__ import annotations

import importlib.util
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property, lru_cache
from pathlib import Path
from typing import Any

from lidr.engines.model_folder import ModelFolder
from lidr.engines.templates.fixed_template import environment, parsed, without_fixing
from lidr.errors import EngineError
from lidr.reasoning import FAMILIES, family_of
from lidr.weights import read_model_json

Message = Mapping[str, str]
_USER: Message = {"role": "user", "content": "What do bees make?"}
_SYSTEM = "You answer in full sentences."
_ANSWER: Message = {"role": "assistant", "content": "Bees make honey."}


@dataclass(frozen=True)
class TrainingForm:
    """With what a prompt and its answer are written for training, where the template itself does not do.

    Args:
        template: another template for both together; empty: the model's own.
        closes: what stands between a prompt that opens a thought and the answer.
        said: the same in words.
    """

    template: str = ""
    closes: str = ""
    said: str = ""


@dataclass(frozen=True)
class Probe:
    """A template over a folder's tokenizer.

    Args:
        folder: of the model; its weights are not looked at.
        template: as it is used, switches and date included.
    """

    folder: Path
    template: str

    def refusal(self, messages: Sequence[Message]) -> str | None:
        """Why the template does not write a prompt of these messages; None where it does."""
        try:
            self._text(messages, add_generation_prompt=True)
        except EngineError as error:
            return str(error)
        return None

    def refuses_system(self, system: str) -> str | None:
        """Why a system message cannot stand before the user's; None where it can."""
        talk = [{"role": "system", "content": system}, _USER]
        if (why := self.refusal(talk)) is not None:
            return why
        if system.strip() not in self._text(talk, add_generation_prompt=True):
            return "the template leaves it out"
        return None

    def own_system(self) -> str:
        """What the template says to the model by itself where no system message is given, and leaves out where one is;
        empty where it says nothing, or takes none.
        """
        if self.refuses_system(_SYSTEM) is not None:
            return ""
        talk = [{"role": "system", "content": _SYSTEM}, _USER]
        given = self._text(talk, add_generation_prompt=True).partition(_USER["content"])[0].replace(_SYSTEM, "")
        alone = self.question.partition(_USER["content"])[0]
        begin = _shared(given, alone)
        end = _shared(given[begin:][::-1], alone[begin:][::-1])
        return alone[begin : len(alone) - end].strip()

    def agrees(self, training: str | None = None) -> bool:
        """Whether the prompt begins prompt and answer, as token ids; `training` writes both in the template's place."""
        try:
            whole = self._text([_USER, _ANSWER], template=training)
            prompt = self._text([_USER], add_generation_prompt=True)
        except EngineError:
            return False
        if self._tokenizer is None:
            return whole.startswith(prompt)
        begin, ids = self._ids(prompt), self._ids(whole)
        return ids[: len(begin)] == begin

    @cached_property
    def question(self) -> str:
        """A plain question as it is asked, whole."""
        return self._text([_USER], add_generation_prompt=True)

    @cached_property
    def generation_prompt(self) -> str:
        """What the template writes for an answer to follow: the end of a prompt."""
        prompt = self.question
        return prompt[prompt.rindex(_USER["content"]) + len(_USER["content"]) :] if _USER["content"] in prompt else ""

    def before_answer(self) -> str:
        """What the template writes between a prompt and its answer where both are written together: an empty thought,
        or the name of a channel; empty where they do not agree.
        """
        try:
            whole = self._text([_USER, _ANSWER])
            prompt = self._text([_USER], add_generation_prompt=True)
        except EngineError:
            return ""
        return whole.removeprefix(prompt).partition(_ANSWER["content"])[0] if whole.startswith(prompt) else ""

    def may_think(self) -> bool:
        """Whether the template speaks of marks of thoughts, and its prompt holds no thought that is over already."""
        marks = family_of(self.template, ())
        return marks is not None and marks.closes not in self.generation_prompt

    def ends_of_turn(self) -> tuple[str, ...]:
        """The special tokens right after an answer, as the tokenizer marks them; Cohere's templates write two."""
        try:
            whole = self._text([_USER, _ANSWER])
        except EngineError:
            return ()
        _, found, after = whole.rpartition(_ANSWER["content"])
        ends: list[str] = []
        while found and (token := next((one for one in self._special if after.startswith(one)), None)) is not None:
            ends.append(token)
            after = after.removeprefix(token)
        return tuple(ends)

    def stops(self, token: str) -> bool:
        """Whether the model's own files say that an answer ends there."""
        if self._words.get("eos_token") == token:
            return True
        if self._tokenizer is None:
            return False
        return self._tokenizer.token_to_id(token) in ModelFolder(self.folder).end_ids()

    @cached_property
    def _tokenizer(self) -> Any:
        file = self.folder / "tokenizer.json"
        if not file.is_file() or importlib.util.find_spec("tokenizers") is None:
            return None
        stat = file.stat()
        return _read_tokenizer(file, stat.st_size, stat.st_mtime_ns)

    def _ids(self, text: str) -> list[int]:
        ids: list[int] = self._tokenizer.encode(text, add_special_tokens=False).ids
        return ids

    @cached_property
    def _config(self) -> dict[str, Any]:
        found: dict[str, Any] = {}
        for name in ("special_tokens_map.json", "tokenizer_config.json"):
            found |= read_model_json(self.folder / name)
        return found

    @cached_property
    def _words(self) -> dict[str, str]:
        """bos_token, eos_token and so on, as templates are given them."""
        found = {}
        for name, value in self._config.items():
            text = value.get("content") if isinstance(value, dict) else value
            if name.endswith("_token") and isinstance(text, str):
                found[name] = text
        return found

    @cached_property
    def _special(self) -> list[str]:
        """Special tokens, the longest first."""
        found = set(self._words.values())
        if self._tokenizer is not None:
            found |= {one.content for one in self._tokenizer.get_added_tokens_decoder().values() if one.special}
        return sorted(found, key=len, reverse=True)

    def _text(
        self, messages: Sequence[Message], *, template: str | None = None, add_generation_prompt: bool = False
    ) -> str:
        from jinja2 import TemplateError

        talk = [dict(message) for message in messages]
        given = {"tools": None, "documents": None, "add_generation_prompt": add_generation_prompt}
        try:
            return environment().from_string(template or self.template).render(messages=talk, **given, **self._words)
        except (TemplateError, TypeError, ValueError, LookupError, AttributeError) as error:
            raise EngineError(str(error)) from error


@lru_cache(maxsize=2)
def _read_tokenizer(file: Path, size: int, changed: int) -> Any:
    """A large one takes a second, and a plan looks twice."""
    from tokenizers import Tokenizer

    try:
        return Tokenizer.from_file(str(file))
    except Exception:  # of no class of its own; whoever loads the model says what is wrong with it
        return None


def _shared(one: str, other: str) -> int:
    """How many characters both begin with."""
    return next((at for at, (a, b) in enumerate(zip(one, other, strict=False)) if a != b), min(len(one), len(other)))


def probe(folder: Path, template: str) -> Probe:
    """Look at a template over the tokenizer of a model's folder.

    Raises:
        EngineError: it is no template, or refuses a user's message.
    """
    found = Probe(folder, template)
    parsed(template)
    if (why := found.refusal([_USER])) is not None:
        raise EngineError(f"{folder}: the chat template refuses a plain question: {why}")
    return found


def training_form(found: Probe, given: str | None) -> TrainingForm | None:
    """How answers are trained on the prompts that they were asked with; None where nothing helps.

    Args:
        given: None: the template as it is; `auto`; else the text of a template for training.
    """
    if given not in (None, "auto"):
        other = _fixed_as(found.template, str(given))
        return TrainingForm(other, said="by the training template of the recipe") if found.agrees(other) else None
    if found.agrees():
        return TrainingForm()
    if given is None:
        return None
    theirs = _of_trl(without_fixing(found.template))
    if theirs is not None and found.agrees(other := _fixed_as(found.template, theirs)):
        return TrainingForm(other, said="by TRL's training template")
    begun = found.generation_prompt.rstrip()
    for marks in FAMILIES.values():
        if begun.endswith(marks.opens):
            return TrainingForm(
                closes=f"\n{marks.closes}\n\n", said=f"after an empty thought: {marks.closes} comes first"
            )
    return None


def _of_trl(template: str) -> str | None:
    """TRL's variant of a template for training, by the text: what its get_training_chat_template returns, which would
    load torch."""
    spec = importlib.util.find_spec("trl")
    if spec is None or spec.origin is None:
        return None
    folder = Path(spec.origin).parent / "chat_templates"
    for file in sorted(folder.glob("*.jinja")):
        variant = file.with_name(f"{file.stem}_training.jinja")
        if variant.is_file() and file.read_text(encoding="utf-8") == template:
            return variant.read_text(encoding="utf-8")
    return None


def _fixed_as(fixed: str, template: str) -> str:
    """Another template with the switches and the date of one that is fixed."""
    own = without_fixing(fixed)
    return fixed[: len(fixed) - len(own)] + without_fixing(template)
