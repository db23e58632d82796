"""Harmony, the format of gpt-oss: an answer is several messages, of which some are for the user.

    <|start|>assistant<|channel|>analysis<|message|>The user asks ...<|end|>
    <|start|>assistant<|channel|>final<|message|>Bees make honey.<|return|>

final        the answer
analysis     a thought, or the call of a built-in tool
commentary   the call of a tool, which the head names, after the role or after the channel: `to=functions.f`; where it
             names none, a preamble

A preamble tells the user what the model is about to do, and is meant to be shown, unlike thoughts
(github.com/openai/harmony, docs/format.md, "Preambles"). So it is a part of the answer, on lines before the final
message, and no thought: as vLLM's server gives it, so that a policy has the same answers whoever serves it. lidr
offers no tools: an answer without a final message that ends in a call, or in a thought, is one that was cut.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator
from typing import NamedTuple

Span = tuple[int, int]

JOINT = "\n"
"""Between a preamble and what follows it."""

_TOKEN = re.compile(r"<\|(?:channel|message|start|end|return|call|constrain)\|>")
_MESSAGE = re.compile(
    r"(?:<\|start\|>(?P<role>[^<]*))?<\|channel\|>(?P<channel>[^<]*)(?:<\|constrain\|>[^<]*)?<\|message\|>"
    r"(?P<text>.*?)(?=<\|(?:start|end|return|call)\|>|\Z)",
    re.DOTALL,
)
_BEGINS = re.compile(r"\s*(?:<\|start\|>[^<]*)?<\|channel\|>(?:analysis|commentary|final)\b")
FINAL = "<|channel|>final<|message|>"
_SKIPPED = re.compile(r"\Aanalysis(?P<thoughts>.*)assistantfinal(?P<said>.*)\Z", re.DOTALL)
"""Where a server has left the special tokens out: there a preamble cannot be told from a call, and is a thought."""
_OPENED = re.compile(r"analysis(?=[A-Z])")


class HarmonyMessage(NamedTuple):
    """A message: role and channel as its head has them, `commentary to=functions.f`, and where its text is."""

    role: str
    channel: str
    span: Span

    @property
    def is_final(self) -> bool:
        """Whether it is the answer; a message without a channel is."""
        return self.channel.split(" ")[0] in ("", "final")

    @property
    def is_said(self) -> bool:
        """Whether it is for the user."""
        is_call = "to=" in self.role or "to=" in self.channel
        return self.is_final or (self.channel.split(" ")[0] == "commentary" and not is_call)


def parts(messages: Iterable[HarmonyMessage]) -> tuple[list[Span], list[Span], bool]:
    """What is said and what is thought, and whether it is open: neither was the answer given, nor is the last message
    for the user.
    """
    said: list[Span] = []
    thought: list[Span] = []
    is_open, is_answered = True, False
    for message in messages:
        (said if message.is_said else thought).append(message.span)
        is_answered |= message.is_final
        is_open = not (is_answered or message.is_said)
    return said, thought, is_open


def told_apart_in_channels(text: str) -> tuple[str, str, bool] | None:
    """An answer as text, with or without its special tokens: what is said, what is thought, whether it is open.

    None where it is not of this format.
    """
    if FINAL in text or _BEGINS.match(text):
        said, thought, is_open = parts(_messages(text))
        if is_open:
            said, thought = [], sorted(said + thought)
        before = text[: found.start()] if (found := _MESSAGE.search(text)) else ""
        thoughts = [_TOKEN.sub("", before), *(text[start:end] for start, end in thought)]
        words = "\n\n".join(filter(None, map(str.strip, thoughts)))
        return JOINT.join(filter(None, (text[start:end] for start, end in said))).lstrip(), words, is_open
    if skipped := _SKIPPED.match(text):
        return skipped["said"], skipped["thoughts"].strip(), False
    if opened := _OPENED.match(text):
        return "", text[opened.end() :].strip(), True
    return None


def _messages(text: str) -> Iterator[HarmonyMessage]:
    for found in _MESSAGE.finditer(text):
        yield HarmonyMessage(found["role"] or "", found["channel"].strip(), found.span("text"))
