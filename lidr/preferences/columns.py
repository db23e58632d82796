"""Preference pairs that others made, in their own columns, become rows like ours; what cannot be used gets a reason.

    form                          prompt            chosen, rejected
    explicit, plain text          "text"            "text"
    explicit, conversational      [messages]        [one message], or {role, content}
    UltraFeedback's               "text"            [the whole conversation, the prompt first]
    implicit, conversational      (no column)       [the whole conversation]
    implicit, plain text          (no column)       "one text that both begin with", with or without Human:/Assistant:

A prompt in plain text may go on in another column, `input`, and have a system message in a third.

A column map says which columns these are. Messages are {role, content} or ShareGPT's {from, value}.

    reason             a row is dropped when
    empty              its prompt, chosen or rejected has no text that a reader sees
    not_text           any of its messages is more than text, or has none: an image, a call of a tool, what a tool gave,
                       no content, thoughts beside it; or the row has tools or images beside its messages
    unknown_role       a message is of nobody whom chat templates know: system, user, assistant
    no_answer          the last message of a side is not the assistant's, or the prompt does not end with the user's
    prompts_differ     the two sides do not answer the same conversation, or not the one in the prompt column
    no_common_prompt   two plain texts without a prompt column begin with nothing in common
    text_before_turns  a dialogue in one text begins with something else than Human: or Assistant:
    identical          chosen is rejected again, but for white space and marks that no reader sees
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
from lidr.preferences.messages import MESSAGES, SPEAKERS, as_messages, holds_more, is_there, without_prefix
from lidr.rows import WEIGHT
from lidr.tables import bare, is_blank, same

REASONS = ("empty", "not_text", "unknown_role", "no_answer", "prompts_differ", "no_common_prompt", "text_before_turns",
           "identical", "other_language", "incomplete", "several_messages")  # fmt: skip

KINDS = ("dominant", "non_dominant", "sampled")
SIDES = ("chosen", "rejected")
SCORES = ("score_chosen", "score_rejected", "margin")


def check_weights(weights: pl.Series, where: str, first: int) -> None:
    """Refuse what does not say how much a pair counts in training.

    A text that is a number is this number, as it is in columns of scores: CSV and TSV hold nothing but texts.

    Args:
        weights: of some rows in order, as the file has them.
        where: the file and column, for the message.
        first: number of the first row of these in the file, from 0.

    Raises:
        RowError: names the row of a value that is no number, or is null, NaN, infinite, 0 or below.
    """
    if weights.dtype.is_numeric() or weights.dtype == pl.String:
        numbers = weights.cast(pl.Float64, strict=False)
    else:  # a truth value is none, though polars and Arrow would make it 1
        numbers = pl.repeat(None, len(weights), dtype=pl.Float64, eager=True)
    numbers = numbers.cast(pl.Float32)  # as the loss has them
    bad = ~(numbers.is_finite() & (numbers > 0)).fill_null(False)
    if not bad.any():
        return
    row = int(bad.arg_max() or 0)
    (value,) = weights.slice(row, 1).to_list()
    if value is None or isinstance(value, bool):
        found = {None: "null", True: "true", False: "false"}[value]
    else:
        found = "NaN" if value != value else repr(value)
    raise RowError(
        f"{where}, row {first + row + 1:,}: {found} is no weight: how much a pair counts is a finite number above 0, "
        "in float32. Write one, or take the row out; or leave all weights of the set out with the column map: weight=- "
        "(in recipes columns: {weight: null})"
    )


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
        others: columns that make a row one of more than text where they hold anything: tools, images.

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
    others: tuple[str, ...] = ()

    def __call__(self, rows: pl.DataFrame, *, first: int) -> Read:
        """Turn some rows of the set into pairs, the first of them being row number `first`."""
        frame = self._named(rows).with_row_index("row", offset=first)
        self._check_values(frame)
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
        there = {role: name for role, name in self.columns.items() if name in rows.columns}
        more = [is_there(pl.col(name), rows.schema[name]) for name in self.others if name in rows.columns]
        named = rows.select(
            *(pl.col(name).alias(role) for role, name in there.items()),
            holds_more=pl.any_horizontal(pl.lit(False), *more),
        )
        named = named.cast({name: pl.String for name, type_ in named.schema.items() if type_ == pl.Null})
        if "id" in named.columns and not (named.schema["id"] == pl.String or named.schema["id"].is_integer()):
            raise RowError(
                f"column {self.columns['id']}: {named.schema['id']} names no prompts; write ids as texts or whole "
                "numbers, or leave id out of the column map"
            )
        optional = {"id": pl.String, "language": pl.String, "other_language": pl.String, "kind": pl.String,
                    "iteration": pl.Int32, "score_chosen": pl.Float64, "score_rejected": pl.Float64,
                    "margin": pl.Float64, **({WEIGHT: pl.Float64} if WEIGHT in there else {})}  # fmt: skip
        try:
            return named.with_columns(
                (pl.col(name) if name in named.columns else pl.lit(None)).cast(type_).alias(name)
                for name, type_ in optional.items()
            )
        except pl.exceptions.PolarsError as error:
            raise RowError(
                f"column map: {str(error).splitlines()[0]}; map a column of numbers, or leave it out"
            ) from error

    def _check_values(self, frame: pl.DataFrame) -> None:
        """Refuse ids in which nothing is to be seen, and scores that are none."""
        for role, is_wrong, said in (
            ("id", is_blank(pl.col("id")), "the id is blank; write one, or null for none"),
            *((name, pl.col(name).is_nan(), "NaN is no score; write null where there is none") for name in SCORES),
        ):
            rows = frame.filter(is_wrong)["row"]
            if len(rows):
                raise RowError(f"column {self.columns.get(role)}, row {rows[0] + 1:,}: {said}")

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
    frame = _with_input(frame)
    talk = [name for name in ("prompt", *SIDES) if name in frame.columns]
    more = [holds_more(name, frame.schema[name]) for name in talk]
    frame = frame.with_columns(holds_more=pl.any_horizontal("holds_more", *more))
    is_text = has_prompt and frame.schema["prompt"] == pl.String
    frame = frame.with_columns(
        as_messages(name, frame.schema[name], "user" if name == "prompt" else "assistant") for name in talk
    )
    frame = frame.with_columns(is_unknown=pl.any_horizontal(_has_unknown(name) for name in talk))
    early = pl.col("early") if "early" in frame.columns else pl.lit(None, pl.String)
    before = [pl.col(side).list.head(pl.col(side).list.len().cast(pl.Int64) - 1) for side in SIDES]
    sides = frame.with_columns(early=early, before=before[0], before_rejected=before[1])
    if not has_prompt:
        return _with_system(_last(sides.with_columns(prompt="before", differs=_differ("before", "before_rejected"))))
    is_alone = (pl.col("before").list.len() == 0) & (pl.col("before_rejected").list.len() == 0)
    other = ~_is_asked() if is_text else _differ("prompt", "before")
    differs = pl.when(is_alone).then(pl.lit(False)).otherwise(_differ("before", "before_rejected") | other)
    prompt = pl.when(is_alone).then("prompt").otherwise("before")
    return _with_system(_last(sides.with_columns(differs=differs).with_columns(prompt=prompt)))


def _with_input(frame: pl.DataFrame) -> pl.DataFrame:
    """A prompt in plain text with what goes on in another column, as the paper's code joins the two."""
    if "input" not in frame.columns:
        return frame
    if "prompt" not in frame.columns or not frame.schema["prompt"] == frame.schema["input"] == pl.String:
        raise RowError("column map: input goes on after a prompt in plain text, and both must be columns of texts; "
                       "take it out, or say input: null")  # fmt: skip
    joined = pl.col("prompt") + "\n" + pl.col("input")
    return frame.with_columns(
        prompt=pl.when(is_blank(pl.col("input")).fill_null(True)).then("prompt").otherwise(joined)
    )


def _with_system(frame: pl.DataFrame) -> pl.DataFrame:
    """Conversations that begin with the system message of its column, unless they do; with another, they differ."""
    if "system" not in frame.columns:
        return frame
    if frame.schema["system"] != pl.String:
        raise RowError(f"column map: system is a column of texts, and this one is {frame.schema['system']}")
    first = pl.col("prompt").list.first().struct
    is_none = is_blank(pl.col("system")).fill_null(True)
    has_one = (first.field("role") == "system").fill_null(False)
    message = pl.concat_list(pl.struct(role=pl.lit("system"), content=pl.col("system"))).cast(MESSAGES)
    is_other = ~is_none & has_one & ~same(first.field("content"), pl.col("system")).fill_null(False)
    begun = pl.when(is_none | has_one).then(pl.col("prompt")).otherwise(pl.concat_list(message, "prompt"))
    return frame.with_columns(prompt=begun, differs=pl.col("differs") | is_other)


def _is_asked() -> pl.Expr:
    """Whether the prompt's one message is among those before the answer, but for white space."""
    asked = pl.col("prompt").list.first().struct.field("content")
    is_there = pl.col("before").list.eval(pl.element().struct.field("content")).list.contains(asked)
    where = pl.when(~is_there.fill_null(False))
    again = _contents(where.then(pl.col("before"))).list.contains(bare(where.then(asked)))
    return is_there.fill_null(False) | again


def _contents(conversation: pl.Expr) -> pl.Expr:
    """What is said in a conversation, for comparing."""
    return conversation.list.eval(bare(pl.element().struct.field("content")))


def _has_unknown(name: str) -> pl.Expr:
    role = pl.element().struct.field("role")
    return pl.col(name).list.eval(~role.is_in(SPEAKERS).fill_null(False)).list.any().fill_null(False)


def _differ(one: str, other: str) -> pl.Expr:
    """Whether two conversations are not the same, but for white space; nothing there is the same as nothing."""
    where = pl.when(pl.col(one).ne_missing(pl.col(other)))  # most are the same as they stand, and `bare` takes long
    sides = [where.then(pl.col(name)) for name in (one, other)]
    roles = [side.list.eval(pl.element().struct.field("role")) for side in sides]
    return roles[0].ne_missing(roles[1]) | _contents(sides[0]).ne_missing(_contents(sides[1]))


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
        return is_blank(last).fill_null(True)

    def other_role(side: str, role: str) -> pl.Expr:
        return (pl.col(side).list.last().struct.field("role") != role).fill_null(False)

    ours = pl.lit(True) if not languages else pl.col("language").is_in(languages)
    return (
        pl.when(pl.col("early").is_not_null())
        .then("early")
        .when(pl.col("holds_more"))
        .then(pl.lit("not_text"))
        .when(pl.col("is_unknown"))
        .then(pl.lit("unknown_role"))
        .when(other_role("chosen", "assistant") | other_role("rejected", "assistant"))
        .then(pl.lit("no_answer"))
        .when(is_empty("prompt") | is_empty("chosen") | is_empty("rejected"))
        .then(pl.lit("empty"))
        .when(other_role("prompt", "user"))
        .then(pl.lit("no_answer"))
        .when(pl.col("differs"))
        .then(pl.lit("prompts_differ"))
        .when(same(*(pl.col(side).list.last().struct.field("content") for side in SIDES)))
        .then(pl.lit("identical"))
        .when(~ours)
        .then(pl.lit("other_language"))
    )
