"""Chat requests to prompt token ids, and generated token ids to completions: the same for every engine that we load.

Prompts are built by the tokenizer's own chat template and by nothing else. TRL builds its training prompts so too, and
the policy must answer the very prompts that it is trained on:

    [{"role": "user", "content": "Hi"}]                    <|im_start|>user\\nHi<|im_end|>\\n<|im_start|>assistant\\n
    the same, with the prefill "<translated>\\n"            ...<|im_start|>assistant\\n<translated>\\n
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from contextlib import suppress
from dataclasses import dataclass
from itertools import takewhile
from pathlib import Path
from typing import Any, Literal

from lidr.engines.engine import ChatRequest, Completion, EngineSpec, Message
from lidr.engines.model_folder import ModelFolder, refused_tokenizer
from lidr.engines.templates import fixed_anyhow
from lidr.errors import EngineError
from lidr.reasoning import ThoughtReader

# Enough for a tokenizer that strips the space before a first word to see that the word is not the first.
_CONTEXT = 4

NOT_STARTED = "(asked with no started answer)"
"""What a completion says of a prompt whose prefill the template did not take."""


@dataclass(frozen=True)
class Prompt:
    """A request and the token ids of its prompt."""

    request: ChatRequest
    ids: tuple[int, ...]
    is_plain: bool = False  # it lacks the started answer, which the template does not take


class ChatTokenizer:
    """One model's tokenizer with its chat template and the ids that end its answers."""

    def __init__(
        self,
        tokenizer: Any,
        *,
        model: str,
        end_ids: Iterable[int] = (),
        double_bos: bool = False,
        reasoning_parser: str = "auto",
    ) -> None:
        """Wrap a transformers tokenizer; `model` is its name in messages, `end_ids` join the tokenizer's own.

        With `double_bos` every prompt gets one more BOS token, as an id, before the template's own. `reasoning_parser`
        says by which marks thoughts are told from answers: see `ThoughtReader.of`.

        Raises:
            EngineError: the tokenizer has no chat template.
        """
        if tokenizer.chat_template is None:
            raise EngineError(
                f"{model} has no chat template, so it is unknown how to ask it: put a chat_template.jinja into the "
                "model's folder, or choose an instruction-tuned model"
            )
        self._tokenizer, self._model, self._double_bos = tokenizer, model, double_bos
        self._thoughts = ThoughtReader.of(tokenizer, reasoning_parser)
        ends, turn = frozenset(end_ids) | ({tokenizer.eos_token_id} - {None}), self._ends_of_turn()
        # A model whose files name only <|endoftext|> would write on and on after its turn.
        self.end_ids = ends if ends & {*turn} else ends | {*turn[:1]}
        # Any id will do where the mask hides it, but every batch needs one.
        self.pad_id: int = next(i for i in (tokenizer.pad_token_id, tokenizer.eos_token_id, 0) if i is not None)

    @classmethod
    def of(cls, spec: EngineSpec) -> ChatTokenizer:
        """Load the tokenizer of an engine's model folder."""
        return cls.load(
            spec.model,
            trust_remote_code=spec.trust_remote_code,
            double_bos=spec.double_bos,
            reasoning_parser=spec.reasoning_parser,
        )

    @classmethod
    def load(
        cls,
        folder: str,
        *,
        trust_remote_code: bool = False,
        double_bos: bool = False,
        reasoning_parser: str = "auto",
    ) -> ChatTokenizer:
        """Load the tokenizer of a model folder; nothing is fetched."""
        from transformers import AutoTokenizer

        if (why := refused_tokenizer(Path(folder))) is not None:
            raise EngineError(why)
        tokenizer = AutoTokenizer.from_pretrained(folder, local_files_only=True, trust_remote_code=trust_remote_code)
        if isinstance(tokenizer.chat_template, str):
            tokenizer.chat_template = fixed_anyhow(tokenizer.chat_template)
        return cls(
            tokenizer,
            model=folder,
            end_ids=ModelFolder(Path(folder)).end_ids(),
            double_bos=double_bos,
            reasoning_parser=reasoning_parser,
        )

    def prompt_ids(self, messages: Sequence[Message], prefill: str | None = None) -> list[int]:
        """Build the token ids of a prompt; with a prefill they end exactly with it.

        Raises:
            EngineError: the template refuses the messages, changes the prefill, or writes no BOS that could be doubled.
        """
        text = self._render(messages, prefill) if prefill else self._apply(messages, add_generation_prompt=True)
        ids: list[int] = self._tokenizer(text, add_special_tokens=False)["input_ids"]  # as apply_chat_template does
        bos = self._tokenizer.bos_token_id
        if bos is not None and ids[:2] == [bos, bos]:
            raise EngineError(
                f"{self._model}: the chat template writes the BOS token twice; take one out of the template"
            )
        if not self._double_bos:
            return ids
        if bos is None or ids[:1] != [bos]:
            raise EngineError(
                f"{self._model}: policy.double_bos: the chat template begins a prompt with no BOS token, so there is "
                "none to double; take double_bos out (under authors_compat: double_bos: false)"
            )
        return [bos, *ids]

    def prompt(self, request: ChatRequest) -> Prompt:
        """Build the prompt of a request, without its prefill where the template cannot start an answer with that.

        Raises:
            EngineError: as `prompt_ids`, for the messages themselves.
        """
        if request.prefill:
            with suppress(EngineError):
                return Prompt(request, tuple(self.prompt_ids(request.messages, request.prefill)))
        return Prompt(request, tuple(self.prompt_ids(request.messages)), is_plain=bool(request.prefill))

    def complete(self, prompt: Prompt, new: Sequence[int], ending: Literal["stop", "length"]) -> Completion:
        """Make a completion of generated ids; what follows the first end id, and that id, is left out.

        What was thought is cut by its ids. An answer that ends in a thought is one that was cut: without text.
        """
        end = next((at for at, token in enumerate(new) if token in self.end_ids), None)
        ids = tuple(new if end is None else new[:end])
        answer = self._thoughts.read(prompt.ids, ids, self.decode) if self._thoughts else None
        said = self._text_after(prompt.ids, ids) if answer is None else answer.text
        text, stopped = cut_at_stop(said, prompt.request.sampling.stop)
        is_open = answer is not None and answer.is_open
        return Completion(
            key=prompt.request.key,
            text=text,
            finish_reason="length" if is_open else "stop" if stopped or end is not None else ending,
            prompt_tokens=len(prompt.ids),
            completion_tokens=len(ids),
            token_ids=ids,
            reasoning=answer.thoughts if answer else "",
            reasoning_tokens=answer.tokens if answer else 0,
            served_by=NOT_STARTED if prompt.is_plain else "",
        )

    @property
    def around_thoughts(self) -> tuple[str, str] | None:
        """What begins and what ends a thought of this model; None where it has no marks of thoughts."""
        return self._thoughts.marks.around if self._thoughts else None

    def decode(self, ids: Sequence[int]) -> str:
        """Turn ids into text without special tokens; white space stays as it is."""
        text: str = self._tokenizer.decode(ids, skip_special_tokens=True, clean_up_tokenization_spaces=False)
        return text

    def end_of_turn(self) -> int | None:
        """Return the special token that the template writes right after an assistant's text, if it writes one."""
        return next(iter(self._ends_of_turn()), None)

    def _ends_of_turn(self) -> list[int]:
        """The special tokens right after an assistant's text; Cohere's templates write two."""
        mark = "ANSWER"
        try:
            text = self._apply([{"role": "user", "content": "?"}, {"role": "assistant", "content": mark}])
        except EngineError:
            return []
        before, found, after = text.rpartition(mark)
        ids = self._tokenizer(after, add_special_tokens=False)["input_ids"] if found else []
        added = self._tokenizer.added_tokens_decoder.items()
        special = {token: one.content for token, one in added if one.special}
        turn = list(takewhile(special.__contains__, ids))
        # In the harmony format <|end|> ends each channel of a turn, the thoughts too; <|return|> ends the turn.
        return [] if turn and special[turn[0]] == "<|end|>" and "<|channel|>" in before else turn

    def _text_after(self, before: Sequence[int], ids: Sequence[int]) -> str:
        known = self.decode(before[-_CONTEXT:])
        both = self.decode([*before[-_CONTEXT:], *ids])
        return both[len(known) :] if both.startswith(known) else self.decode(ids)

    def _render(self, messages: Sequence[Message], prefill: str) -> str:
        if prefill != prefill.lstrip():
            raise EngineError(f"a prefill must not start with white space, which templates trim: {prefill!r}")
        text = self._apply([*messages, {"role": "assistant", "content": prefill}], continue_final_message=True)
        if text.endswith(prefill):
            return text
        # Llama 3's and Gemma's templates trim every message, which would cost the prefill its newline.
        core = prefill.rstrip()
        if not text.endswith(core):
            raise EngineError(f"{self._model}: the chat template changes the start of the answer {prefill!r}")
        return text + prefill[len(core) :]

    def _apply(self, messages: Sequence[Message], **how: bool) -> str:
        from jinja2 import TemplateError

        try:
            text: str = self._tokenizer.apply_chat_template(list(messages), tokenize=False, **how)
        except (TemplateError, ValueError) as error:
            raise EngineError(self._refusal(messages, error)) from error
        return text

    def _refusal(self, messages: Sequence[Message], error: Exception) -> str:
        text = f"{self._model}: the chat template refuses the conversation: {error}"
        if any(message["role"] == "system" for message in messages):
            text += "; it has a system message: where that is the cause, set system_prompt: null in the recipe"
        return text


def sort_out(
    requests: Iterable[ChatRequest], chat: ChatTokenizer, limit: int | None
) -> tuple[list[Prompt], list[Completion]]:
    """Build all prompts, and tell those that fit from those that do not.

    Args:
        requests: what is asked.
        chat: the model's tokenizer.
        limit: longest prompt plus completion, tokens; None for no limit.

    Returns:
        The prompts to answer, in order, and a `prompt_too_long` completion for each of the others.
    """
    fitting: list[Prompt] = []
    too_long: list[Completion] = []
    for request in requests:
        prompt = chat.prompt(request)
        if limit is None or len(prompt.ids) + request.sampling.max_tokens <= limit:
            fitting.append(prompt)
        else:
            too_long.append(Completion(request.key, "", "prompt_too_long", len(prompt.ids), 0))
    return fitting, too_long


def cut_at_stop(text: str, stop: Sequence[str]) -> tuple[str, bool]:
    """Cut a text before the first stop string in it.

    >>> cut_at_stop("Guten Tag </t> x", ("</t>",))
    ('Guten Tag ', True)
    """
    places = [place for place in map(text.find, stop) if place >= 0]
    return (text[: min(places)], True) if places else (text, False)
