"""Columns of texts and messages, in the forms that are about, as lists of {role, content}.

"text"                                       one message
{role, content}, {from, value}               one message
[{role, content}], [{from, value}]           messages
content: [{type: text, text: ...}, ...]      a message in parts: their texts, one after the other
"Human: ... Assistant: ..."                  a dialogue in one text
"""

from __future__ import annotations

import re

import polars as pl

from lidr.errors import RowError

MESSAGES = pl.List(pl.Struct({"role": pl.String, "content": pl.String}))
"""The type that every form becomes."""

_ROLES = {"human": "user", "gpt": "assistant", "chatbot": "assistant", "model": "assistant", "bot": "assistant"}
_TURN = re.compile(r"\n\n(Human|Assistant):[ \t]?")
_FIRST = re.compile(r"\s*(?=(?:Human|Assistant):)")


def as_messages(name: str, type_: pl.DataType, role: str) -> pl.Expr:
    """A column as a list of {role, content}: a text is one message of this role.

    A message with a part that is no text has no content; `has_other_parts` tells it.

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
    if isinstance(content, pl.List):
        said = text.list.eval(pl.element().struct.field("text")).list.join("", ignore_nulls=True)
        text = pl.when(_has_other(text)).then(None).otherwise(said)
    message = pl.struct(role=turn.struct.field(role_key).replace(_ROLES), content=text)
    listed = pl.col(name).list.eval(message) if isinstance(type_, pl.List) else pl.concat_list(message)
    return listed.cast(MESSAGES).alias(name)


def has_other_parts(name: str, type_: pl.DataType) -> pl.Expr:
    """Whether a message of the row has a part that is no text: an image, a call of a tool."""
    found = None if type_ == pl.String else _keys(type_)
    if found is None or not isinstance(found[2], pl.List):
        return pl.lit(False)
    if not isinstance(type_, pl.List):
        return _has_other(pl.col(name).struct.field(found[1])).fill_null(False)
    return pl.col(name).list.eval(_has_other(pl.element().struct.field(found[1]))).list.any().fill_null(False)


def _has_other(parts: pl.Expr) -> pl.Expr:
    kinds = parts.list.eval(pl.element().struct.field("type").ne_missing("text"))
    return kinds.list.any()


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
        return False
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
    if not prompt.strip():
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
