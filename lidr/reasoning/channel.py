"""Thoughts cut out of an answer by its token ids, before anything is decoded.

Marks that are tokens are found among the ids, in whatever way they would be written as text; those that are spelled in
several tokens (OLMo 3, Granite) are found in the text, where no special token hides them.

    prompt   ... <|im_start|> assistant \\n <think> \\n      opened in the prompt: Qwen3.5, DeepSeek-R1, OLMo 3
    answer   The user ... </think> \\n\\n Bees make honey.
"""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any

from lidr.reasoning.harmony import JOINT, HarmonyMessage, Span, parts
from lidr.reasoning.marks import FAMILIES, HARMONY, Marks, family_of
from lidr.reasoning.thoughts import Mark, parted, spans, told_apart, without_label

Decode = Callable[[Sequence[int]], str]
"""Ids to text, without special tokens."""


@dataclass(frozen=True)
class Answer:
    """One answer, taken apart.

    Args:
        text: what was said; empty where the answer ended in a thought.
        thoughts: what was thought.
        tokens: how many of the answer's ids are not part of `text`, marks included.
        is_open: it ended in a thought, so nothing was answered.
        ids: those of `text`, with the white space before it and with what was put between its parts.
    """

    text: str
    thoughts: str
    tokens: int
    is_open: bool
    ids: tuple[int, ...] = ()


class ThoughtReader:
    """Takes the answers of one policy apart, by the marks of its family."""

    def __init__(self, marks: Marks, tokenizer: Any) -> None:
        """Look up the marks in the vocabulary of a transformers tokenizer."""
        self.marks = marks
        added = {str(token): number for number, token in tokenizer.added_tokens_decoder.items()}
        self._added = frozenset(added.values())
        self._opens, self._closes = added.get(marks.opens), added.get(marks.closes)
        self._is_by_ids = self._opens is not None and self._closes is not None
        names = ("start", "end", "return", "call", "constrain")
        self._joint = tokenizer(JOINT, add_special_tokens=False)["input_ids"] if marks is HARMONY else []
        self._harmony = {name: added.get(f"<|{name}|>") for name in names}

    @classmethod
    def of(cls, tokenizer: Any, parser: str = "auto") -> ThoughtReader | None:
        """The reader for a tokenizer and its chat template; None where nothing is to be cut.

        Args:
            tokenizer: of transformers.
            parser: `auto`, `none`, or a family of FAMILIES.
        """
        if parser == "none":
            return None
        if parser != "auto":
            return cls(FAMILIES[parser], tokenizer)
        vocabulary = {str(token) for token in tokenizer.added_tokens_decoder.values()}
        marks = family_of(tokenizer.chat_template, vocabulary)
        return None if marks is None else cls(marks, tokenizer)

    def read(self, prompt: Sequence[int], new: Sequence[int], decode: Decode) -> Answer | None:
        """Take an answer apart; None where there is nothing to cut.

        Args:
            prompt: ids of the prompt, with its generation prompt.
            new: ids of the answer, without the token that ended it.
            decode: of the same tokenizer.
        """
        tail = self._tail(prompt)
        if self.marks is HARMONY:
            return self._in_channels(tail, new, decode)
        return self._between_ids(tail, new, decode) if self._is_by_ids else self._in_text(tail, new, decode)

    def is_thinking(self, prompt: Sequence[int], decode: Decode) -> bool:
        """Whether an answer to this prompt begins inside a thought."""
        answer = self.read(prompt, (), decode)
        return answer is not None and answer.is_open

    def _tail(self, prompt: Sequence[int]) -> Sequence[int]:
        """The end of the prompt, after the last added token that is no mark: there the generation prompt, or a started
        answer, says whether the model is thinking. What users say may hold marks, too.
        """
        ends = {self._harmony["start"]} if self.marks is HARMONY else self._added - {self._opens, self._closes}
        at = next((at for at in range(len(prompt) - 1, -1, -1) if prompt[at] in ends), -1)
        return prompt[at + 1 :]

    def _between_ids(self, tail: Sequence[int], new: Sequence[int], decode: Decode) -> Answer | None:
        before = [one for one in tail if one in (self._opens, self._closes)]
        is_thinking = bool(before) and before[-1] == self._opens
        marks = [
            Mark(at, at + 1, one == self._closes) for at, one in enumerate(new) if one in (self._opens, self._closes)
        ]
        if not marks and not is_thinking:
            return None
        said, thought, is_open = spans(marks, len(new), is_thinking=is_thinking)
        return self._answer(said, thought, new, decode, is_open=is_open)

    def _in_text(self, tail: Sequence[int], new: Sequence[int], decode: Decode) -> Answer | None:
        before = decode(tail)
        is_thinking = before.rfind(self.marks.opens) > before.rfind(self.marks.closes)
        whole = decode(new)
        found = parted(whole, (self.marks,), is_thinking=is_thinking)
        if found is None:
            return None
        text, thoughts, is_open = told_apart(whole, (self.marks,), is_thinking=is_thinking)
        places = [] if is_open else [_ids_of(part, new, decode) for part in found[0]]
        ids = tuple(one for start, end in places for one in new[start:end])
        return Answer(text, thoughts, len(new) - len(ids), is_open, ids)

    def _in_channels(self, tail: Sequence[int], new: Sequence[int], decode: Decode) -> Answer | None:
        """The prompt ends in the head of a message, or in a started answer."""
        if self._opens not in (*tail, *new):
            return None  # no channel at all: it is an answer
        said, thought, is_open = parts(self._messages((*tail, *new), decode))
        skip = len(tail)
        said, thought = ([(max(a - skip, 0), b - skip) for a, b in part if b >= skip] for part in (said, thought))
        if not thought and tail and self._closes in tail and len(said) == 1 and said[0] == (0, len(new)):
            return None  # a started answer that goes on to its end
        return self._answer(said, thought, new, decode, is_open=is_open)

    def _messages(self, ids: Sequence[int], decode: Decode) -> Iterator[HarmonyMessage]:
        """Each message that has begun: its role, its channel, and the ids of its text."""
        head = at = 0
        while at < len(ids):
            if ids[at] == self._closes:
                end = next((place for place in range(at + 1, len(ids)) if ids[place] in self._ends), len(ids))
                channel = next((place for place in range(head, at) if ids[place] == self._opens), at)
                form = next((place for place in range(channel, at) if ids[place] == self._harmony["constrain"]), at)
                yield HarmonyMessage(decode(ids[head:channel]), decode(ids[channel:form]).strip(), (at + 1, end))
                head = at = end
            elif ids[at] in self._ends:
                head = at + 1
            at += 1

    @property
    def _ends(self) -> tuple[int | None, ...]:
        return tuple(self._harmony[name] for name in ("start", "end", "return", "call"))

    def _answer(
        self, said: list[Span], thought: list[Span], new: Sequence[int], decode: Decode, *, is_open: bool
    ) -> Answer:
        if is_open:
            said, thought = [], sorted(said + thought)
        thoughts = (without_label(decode(new[start:end]), self.marks).strip() for start, end in thought)
        ids: list[int] = []
        for start, end in said:
            ids += [*(self._joint if ids and end > start else ()), *new[start:end]]
        text = decode(ids) if self._joint else "".join(decode(new[start:end]) for start, end in said)
        tokens = len(new) - sum(end - start for start, end in said)
        return Answer(text.lstrip(), "\n\n".join(filter(None, thoughts)), tokens, is_open, tuple(ids))


def _ids_of(part: Span, new: Sequence[int], decode: Decode) -> Span:
    """Where the ids of a part of the text are: those that begin in it."""
    start, end = (bisect_left(range(len(new)), place, key=lambda at: len(decode(new[:at]))) for place in part)
    return start, end
