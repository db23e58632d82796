"""Columns of texts and messages, in the forms that are about, as lists of {role, content}.

"text"                                       one message
{role, content}, {from, value}               one message
[{role, content}], [{from, value}]           messages
content: [{type: text, text: ...}, ...]      a message in parts: their texts, one after the other
content: ["...", ...]                        the same
"Human: ... Assistant: ..."                  a dialogue in one text

Roles are read in any case. What a message holds beside text would vanish: `holds_more` finds it.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

import polars as pl

from lidr.errors import RowError
from lidr.tables import NOTHING, OTHER_PARTS, THOUGHTS, is_blank, is_visible

if TYPE_CHECKING:
    from polars._typing import PolarsDataType

MESSAGES = pl.List(pl.Struct({"role": pl.String, "content": pl.String}))
"""The type that every form becomes."""

SPEAKERS = ("system", "user", "assistant")
"""Roles that a chat template knows."""

_TOOL_ROLES = ("tool", "tools", "function", "function_call", "function_response", "tool_call", "tool_response",
               "observation", "ipython")  # fmt: skip
_ROLES = {"human": "user", "prompter": "user", "gpt": "assistant", "chatgpt": "assistant", "chatbot": "assistant",
          "model": "assistant", "bot": "assistant", "developer": "system"}  # fmt: skip
_TURN = re.compile(r"(?:\r?\n){2}(Human|Assistant):[ \t]?")
_FIRST = re.compile(r"\s*(?=(?:Human|Assistant):)")


def as_messages(name: str, type_: pl.DataType, role: str) -> pl.Expr:
    """A column as a list of {role, content}: a text is one message of this role.

    A message with a part that is no text has no content; `holds_more` tells it.

    Raises:
        RowError: a column of anything else.
    """
    if type_ == pl.String:
        message = pl.struct(role=pl.lit(role), content=pl.col(name))
        return pl.when(pl.col(name).is_null()).then(None).otherwise(pl.concat_list(message)).cast(MESSAGES).alias(name)
    found = _keys(type_)
    if found is None:
        raise RowError(
            f"column {name}: {type_} holds neither text nor messages ({{role, content}} or {{from, value}}, the "
            "content a text or parts of {type: text, text}); map another"
        )
    role_key, text_key, content = found
    turn = pl.element() if isinstance(type_, pl.List) else pl.col(name)
    text = turn.struct.field(text_key)
    if isinstance(content, pl.List) and isinstance(content.inner, pl.Struct):
        said = text.list.eval(pl.element().struct.field("text")).list.join("", ignore_nulls=True)
        text = pl.when(_has_other(text)).then(None).otherwise(said)
    elif isinstance(content, pl.List):
        text = text.cast(pl.List(pl.String)).list.join("", ignore_nulls=True)
    message = pl.struct(role=_role(turn.struct.field(role_key)), content=text)
    listed = pl.col(name).list.eval(message) if isinstance(type_, pl.List) else pl.concat_list(message)
    return listed.cast(MESSAGES).alias(name)


def holds_more(name: str, type_: pl.DataType) -> pl.Expr:
    """Whether any message is more than its text: an image, thoughts, a call of a tool or what it gave, no content."""
    found = None if type_ == pl.String else _keys(type_)
    if found is None:
        return pl.lit(False)
    if isinstance(type_, pl.List):
        return pl.col(name).list.eval(_is_more(pl.element(), type_.inner, found)).list.any().fill_null(False)
    return (pl.col(name).is_not_null() & _is_more(pl.col(name), type_, found)).fill_null(False)


def is_there(value: pl.Expr, type_: PolarsDataType) -> pl.Expr:
    """Whether a value is one: no null, no blank text, no empty list or object, as text neither."""
    if type_ == pl.Null:
        return pl.lit(False)
    if type_ == pl.String:
        return (~is_blank(value) & ~value.str.strip_chars().is_in(NOTHING)).fill_null(False)
    if isinstance(type_, pl.List):
        return (value.list.len() > 0).fill_null(False)
    if isinstance(type_, pl.Struct):
        return pl.any_horizontal(pl.lit(False), *(is_there(value.struct.field(f.name), f.dtype) for f in type_.fields))
    return (value if type_ == pl.Boolean else value.is_not_null()).fill_null(False)


def _is_more(turn: pl.Expr, type_: PolarsDataType, found: tuple[str, str, pl.DataType]) -> pl.Expr:
    role_key, text_key, content = found
    text = turn.struct.field(text_key)
    fields = {field.name: field.dtype for field in type_.fields} if isinstance(type_, pl.Struct) else {}
    is_parts = isinstance(content, pl.List) and isinstance(content.inner, pl.Struct)
    return pl.any_horizontal(
        text.is_null(),
        _has_other(text).fill_null(False) if is_parts else pl.lit(False),
        _role(turn.struct.field(role_key)).is_in(_TOOL_ROLES).fill_null(False),
        *(is_there(turn.struct.field(name), fields[name]) for name in (*OTHER_PARTS, *THOUGHTS) if name in fields),
    )


def _role(role: pl.Expr) -> pl.Expr:
    return role.cast(pl.String).str.strip_chars().str.to_lowercase().replace(_ROLES)


def _has_other(parts: pl.Expr) -> pl.Expr:
    """A part that is of another type than text, or that has no text."""
    part = pl.element().struct
    return parts.list.eval(part.field("type").ne_missing("text") | part.field("text").is_null()).list.any()


def _keys(type_: pl.DataType) -> tuple[str, str, pl.DataType] | None:
    """Names of role and text in the messages of a column, and the type of the text; None: they are no messages."""
    inner = type_.inner if isinstance(type_, pl.List) else type_
    if not isinstance(inner, pl.Struct):
        return None
    fields = {field.name: field.dtype for field in inner.fields}
    for role_key, text_key in (("role", "content"), ("from", "value")):
        if _is_text(fields.get(role_key)) and (_is_text(held := fields.get(text_key)) or _is_parts(held)):
            return role_key, text_key, held  # type: ignore[return-value]
    return None


def _is_text(type_: object) -> bool:
    return type_ in (pl.String, pl.Null)


def _is_parts(type_: object) -> bool:
    if not isinstance(type_, pl.List) or not isinstance(type_.inner, pl.Struct):
        return isinstance(type_, pl.List) and _is_text(type_.inner)
    fields = {field.name: field.dtype for field in type_.inner.fields}
    return _is_text(fields.get("type")) and _is_text(fields.get("text"))


def without_prefix(frame: pl.DataFrame) -> pl.DataFrame:
    """Two plain texts that begin alike: what both begin with is the prompt; `early` says what failed."""
    rows = [_parted(one, other) for one, other in frame.select("chosen", "rejected").iter_rows()]
    columns = {"chosen": MESSAGES, "rejected": MESSAGES, "early": pl.String()}
    parted = pl.DataFrame(rows, schema=columns, orient="row", strict=False)
    return frame.drop("chosen", "rejected").hstack(parted)


def _parted(one: str | None, other: str | None) -> tuple[object, object, str | None]:
    if not one or not other:
        return None, None, None
    if _FIRST.match(one) and _FIRST.match(other):
        return _turns(one), _turns(other), None
    if _TURN.search(one) and _TURN.search(other):
        return None, None, "text_before_turns"
    prompt = _common(one, other)
    prompt = prompt[: max(prompt.rfind(" "), prompt.rfind("\n")) + 1]  # whole words; the answers keep their beginnings
    if not is_visible(prompt):
        return None, None, "no_common_prompt"
    before = {"role": "user", "content": prompt.strip()}
    sides = ([before, {"role": "assistant", "content": text[len(prompt) :].strip()}] for text in (one, other))
    return next(sides), next(sides), None


def _common(one: str, other: str) -> str:
    length = next((i for i, (a, b) in enumerate(zip(one, other, strict=False)) if a != b), min(len(one), len(other)))
    return one[:length]


def _turns(text: str) -> list[dict[str, str]]:
    parts = _TURN.split("\n\n" + text.lstrip())[1:]
    roles = {"Human": "user", "Assistant": "assistant"}
    return [{"role": roles[a], "content": b.strip()} for a, b in zip(parts[::2], parts[1::2], strict=True)]
