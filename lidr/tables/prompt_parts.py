"""Names under which rows hold more of a prompt than one text, wherever they come from."""

from __future__ import annotations

from typing import Any

from lidr.tables.visible_text import is_visible

PROMPT_PARTS = {"input": ("input", "inputs", "context", "history", "passage", "document", "article",
                          "paragraph", "chat_history", "conversation_history", "previous_messages"),
                "system": ("system", "system_prompt", "system_message", "sys_prompt")}  # fmt: skip
"""The role of a column map that takes such a column -> the names that are about."""

OTHER_PARTS = ("tools", "tool_calls", "tool_call", "tool_call_id", "function_call", "functions", "images", "image",
               "videos", "video", "audios", "audio")  # fmt: skip
"""Fields of a message, and columns of a set, that are part of what is said and no text."""

THOUGHTS = ("reasoning_content", "reasoning", "thinking", "thoughts")
"""Fields of a message with what was thought before it was said."""

NOTHING = ("[]", "{}", "null", "None")
"""How an empty list, an empty object and no value look where they were written as text."""


def holds_anything(value: Any) -> bool:
    """Whether a value is one: no null, no number, no blank text, no empty list or object, as text neither.

    >>> [holds_anything(value) for value in ("house", " ", "[]", [], [1], None, 7)]
    [True, False, False, False, True, False, False]
    """
    if isinstance(value, str):
        return is_visible(value) and value.strip() not in NOTHING
    return isinstance(value, list | tuple | dict | bytes) and bool(value)
