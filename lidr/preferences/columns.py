"""Preference pairs that others made, in their own columns, become rows like ours; what cannot be used gets a reason.

    form                          prompt            chosen, rejected
    explicit, plain text          "text"            "text"
    explicit, conversational      [messages]        [one message], or {role, content}
    UltraFeedback's               "text"            [the whole conversation, the prompt first]
    implicit, conversational      (no column)       [the whole conversation]
    implicit, plain text          (no column)       "one text that both begin with", with or without Human:/Assistant:

A column map says which columns these are. Messages are {role, content} or ShareGPT's {from, value}.

    reason             a row is dropped when
    empty              its prompt, chosen or rejected has no text
    not_text           a message has a part that is no text: an image, a call of a tool
    no_answer          the last message of a side is not the assistant's, or the prompt does not end with the user's
    prompts_differ     the two sides do not answer the same conversation, or not the one in the prompt column
    no_common_prompt   two plain texts without a prompt column begin with nothing in common
    text_before_turns  a dialogue in one text begins with something else than Human: or Assistant:
    identical          chosen is rejected again
    other_language     its language is none that is asked for

Rows with lidr's own columns are read by `lidr.preferences.native_rows`; its reasons are here too: `incomplete`,
`several_messages`.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import NamedTuple

import polars as pl

from lidr.errors import RowError
from lidr.preferences.messages import as_messages, has_other_parts, without_prefix

REASONS = ("empty", "not_text", "no_answer", "prompts_differ", "no_common_prompt", "text_before_turns", "identical",
           "other_language", "incomplete", "several_messages")  # fmt: skip

KINDS = ("dominant", "non_dominant")
SIDES = ("chosen", "rejected")


def check_kinds(found: Sequence[str | None], where: str) -> None:
    """Refuse kinds that there are not; None is none.

    Raises:
        RowError: says which there are.
    """
    odd = [kind for kind in found if kind is not None and kind not in KINDS]
    if odd:
        raise RowError(f"{where}: {odd[0]!r} is no kind of pair; allowed: {', '.join(KINDS)}")


class Read(NamedTuple):
    """Pairs, with the columns of rows.Pair but ids and policy, and dropped rows; `row` is the place in the set."""

    pairs: pl.DataFrame
    dropped: pl.DataFrame


@dataclass(frozen=True)
class Foreign:
    """How a set's rows become pairs.

    Args:
        columns: what each column is for -> its name in the set, as `Columns.named` has it; without a prompt both sides
            begin with it.
        dominant: the dominant language: pairs in it are of kind `dominant`, all others `non_dominant`, where no column
            says the kind.
        language: of every row, where no column says it.
        languages: those that are asked for; empty: all.
        spoken: of a column of languages: what stands in it -> the language that it is.

    Example:
        >>> rows = pl.DataFrame({"q": ["Tea?"], "chosen": ["Yes, please."], "rejected": ["No"]})
        >>> named = {"prompt": "q", "chosen": "chosen", "rejected": "rejected"}
        >>> Foreign(named, "en", language="en")(rows, first=0).pairs["prompt"].to_list()
        [[{'role': 'user', 'content': 'Tea?'}]]
    """

    columns: Mapping[str, str]
    dominant: str
    language: str | None = None
    languages: tuple[str, ...] = ()
    spoken: Mapping[str, Mapping[str, str]] = field(default_factory=dict)

    def __call__(self, rows: pl.DataFrame, *, first: int) -> Read:
        """Turn some rows of the set into pairs, the first of them being row number `first`."""
        frame = self._named(rows).with_row_index("row", offset=first)
        check_kinds(frame["kind"].unique().to_list(), f"column {self.columns.get('kind')}")
        read = [pl.col(role).replace(dict(values)) for role, values in self.spoken.items() if values]
        frame = frame.with_columns(read).with_columns(pl.col("language").fill_null(self.language or ""))
        split = _split(frame, has_prompt="prompt" in self.columns)
        checked = split.with_columns(reason=_reason(self.languages))
        failed = pl.col("reason").is_not_null()
        finished = self._finished(checked)
        return Read(finished.filter(~failed).drop("reason"), finished.filter(failed))

    def _named(self, rows: pl.DataFrame) -> pl.DataFrame:
        """The set's columns under our names; those that it does not have are null."""
        named = rows.select(pl.col(name).alias(role) for role, name in self.columns.items())
        named = named.cast({name: pl.String for name, type_ in named.schema.items() if type_ == pl.Null})
        optional = {"id": pl.String, "language": pl.String, "other_language": pl.String, "kind": pl.String,
                    "iteration": pl.Int32, "score_chosen": pl.Float64, "score_rejected": pl.Float64,
                    "margin": pl.Float64}  # fmt: skip
        try:
            return named.with_columns(
                (pl.col(name) if name in named.columns else pl.lit(None)).cast(type_).alias(name)
                for name, type_ in optional.items()
            )
        except pl.exceptions.PolarsError as error:
            raise RowError(
                f"column map: {str(error).splitlines()[0]}; map a column of numbers, or leave it out"
            ) from error

    def _finished(self, frame: pl.DataFrame) -> pl.DataFrame:
        tag = pl.col("language")
        is_dominant = (tag == self.dominant) | tag.str.starts_with(f"{self.dominant}-")
        kind = pl.when(is_dominant).then(pl.lit("dominant")).otherwise(pl.lit("non_dominant"))
        return frame.with_columns(
            kind=pl.col("kind").fill_null(kind),
            other_language=pl.col("other_language").fill_null(pl.col("language")),
            iteration=pl.col("iteration").fill_null(1),
            margin=pl.coalesce("margin", pl.col("score_chosen") - pl.col("score_rejected")),
            prompt_text=_text("prompt", without="system"),
            chosen_text=_text("chosen"),
            rejected_text=_text("rejected"),
        )


def _split(frame: pl.DataFrame, *, has_prompt: bool) -> pl.DataFrame:
    """Prompt, chosen and rejected as messages, chosen and rejected being one message each; `early` says what failed."""
    if not has_prompt and frame.schema["chosen"] == frame.schema["rejected"] == pl.String:
        frame = without_prefix(frame)
    talk = [has_other_parts(name, frame.schema[name]) for name in ("prompt", *SIDES) if name in frame.columns]
    frame = frame.with_columns(other_parts=pl.any_horizontal(pl.lit(False), *talk))
    sides = frame.with_columns(
        as_messages("chosen", frame.schema["chosen"], "assistant"),
        as_messages("rejected", frame.schema["rejected"], "assistant"),
    )
    early = pl.col("early") if "early" in frame.columns else pl.lit(None, pl.String)
    before = [pl.col(side).list.head(pl.col(side).list.len().cast(pl.Int64) - 1) for side in SIDES]
    sides = sides.with_columns(early=early, before=before[0], before_rejected=before[1])
    if "prompt" not in frame.columns:
        return _last(sides.with_columns(prompt=pl.col("before"), differs=_differ("before", "before_rejected")))
    explicit = sides.with_columns(as_messages("prompt", frame.schema["prompt"], "user"))
    is_alone = (pl.col("before").list.len() == 0) & (pl.col("before_rejected").list.len() == 0)
    is_text = frame.schema["prompt"] == pl.String
    asked = (
        pl.col("before")
        .list.eval(pl.element().struct.field("content"))
        .list.contains(pl.col("prompt").list.first().struct.field("content"))
    )
    other = ~asked if is_text else _differ("prompt", "before")
    differs = pl.when(is_alone).then(pl.lit(False)).otherwise(_differ("before", "before_rejected") | other)
    prompt = pl.when(is_alone).then("prompt").otherwise("before")
    return _last(explicit.with_columns(differs=differs).with_columns(prompt=prompt))


def _differ(one: str, other: str) -> pl.Expr:
    """Whether two conversations are not the same; nothing there is the same as nothing."""
    return pl.col(one).ne_missing(pl.col(other))


def _last(frame: pl.DataFrame) -> pl.DataFrame:
    """Keep the answer alone of each side."""
    return frame.with_columns(pl.col("chosen").list.tail(1), pl.col("rejected").list.tail(1))


def _text(name: str, *, without: str | None = None) -> pl.Expr:
    """The contents of a conversation, a blank line between messages."""
    turns = pl.element() if without is None else pl.element().filter(pl.element().struct.field("role") != without)
    return pl.col(name).list.eval(turns.struct.field("content")).list.join("\n\n", ignore_nulls=True)


def _reason(languages: tuple[str, ...]) -> pl.Expr:
    """Why a row cannot be used; null when it can."""

    def is_empty(side: str) -> pl.Expr:
        last = pl.col(side).list.last().struct.field("content")
        return (last.is_null() | (last.str.strip_chars() == "")).fill_null(True)

    def other_role(side: str, role: str) -> pl.Expr:
        return (pl.col(side).list.last().struct.field("role") != role).fill_null(False)

    ours = pl.lit(True) if not languages else pl.col("language").is_in(languages)
    return (
        pl.when(pl.col("early").is_not_null())
        .then("early")
        .when(pl.col("other_parts"))
        .then(pl.lit("not_text"))
        .when(other_role("chosen", "assistant") | other_role("rejected", "assistant"))
        .then(pl.lit("no_answer"))
        .when(is_empty("prompt") | is_empty("chosen") | is_empty("rejected"))
        .then(pl.lit("empty"))
        .when(other_role("prompt", "user"))
        .then(pl.lit("no_answer"))
        .when(pl.col("differs"))
        .then(pl.lit("prompts_differ"))
        .when(pl.col("chosen") == pl.col("rejected"))
        .then(pl.lit("identical"))
        .when(~ours)
        .then(pl.lit("other_language"))
    )
