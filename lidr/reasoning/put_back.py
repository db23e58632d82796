"""Thoughts put back before an answer, in the form that a chat template reads: for training on both."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from lidr.reasoning.marks import HARMONY, Marks, family_of

_FIELDS = ("reasoning_content", "thinking", "reasoning")
"""Fields of a message in which templates look for thoughts; the first that one reads is taken."""
_PROBE = "PROBE"


@dataclass(frozen=True)
class ThoughtForm:
    """Where a chat template reads thoughts: in a field of the message, or in its text, between marks."""

    field: str | None
    marks: Marks | None

    @classmethod
    def of(cls, tokenizer: Any, template: str | None = None) -> ThoughtForm:
        """The form for a tokenizer of transformers with a chat template, or for another template over it.

        Raises:
            ValueError: the template reads no field, and has no marks or leaves out what stands between them.
        """
        vocabulary = {str(token) for token in tokenizer.added_tokens_decoder.values()}
        marks = family_of(template or tokenizer.chat_template, vocabulary)
        forms = [cls(field, None) for field in _FIELDS]
        if marks is not None and marks is not HARMONY:
            forms.append(cls(None, marks))
        for form in forms:
            if form._is_read(tokenizer, template):
                return form
        raise ValueError("the chat template leaves out what was thought before an answer")

    def message(self, message: Mapping[str, str], thoughts: str) -> dict[str, str]:
        """An assistant's message with thoughts."""
        if self.field is not None:
            return {**message, self.field: thoughts}
        assert self.marks is not None
        label = f"{self.marks.label}\n" if self.marks.label else "\n"
        text = f"{self.marks.opens}{label}{thoughts}\n{self.marks.closes}\n\n{message['content']}"
        return {**message, "content": text}

    def _is_read(self, tokenizer: Any, template: str | None) -> bool:
        from jinja2 import TemplateError

        talk = [{"role": "user", "content": "?"}, self.message({"role": "assistant", "content": "!"}, _PROBE)]
        try:
            return _PROBE in tokenizer.apply_chat_template(talk, chat_template=template, tokenize=False)
        except (TemplateError, ValueError, TypeError):
            return False
