"""The row types that flow between steps, each with its Arrow schema and the columns that identify a row.

    prompts      -> generate  -> responses
    responses    -> translate -> translations
    prompts, responses, translations -> pair -> pairs (+ dropped)

Every Parquet file that lidr writes carries `lidr.schema` = SCHEMA_VERSION in its metadata. Change a schema only
together with that number and a heading of its own in the CHANGELOG: it invalidates published data sets. A file with one
of the columns that are written only where the recipe uses them (`RowType.later`) carries LATER_SCHEMA.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, replace
from functools import cached_property
from typing import TYPE_CHECKING, Any, Literal, get_args

if TYPE_CHECKING:
    import pyarrow as pa

SCHEMA_VERSION = 1
LATER_SCHEMA = 2

Columns = Mapping[str, "str | pa.DataType"]
"""Column -> its Arrow type, by the name that Arrow has for it ("string", "int32", "float64", "bool"), or "messages".
Commands that read no row import every row type, and so do not wait for pyarrow."""

FinishReason = Literal["stop", "length", "prompt_too_long", "content_filter", "refused", "unreadable"]
"""`stop`: an end-of-turn token or a stop string; `length`: cut at max_tokens; `prompt_too_long`: never asked;
`content_filter`: a server's filter took the answer, or part of it; `refused`: the server would not take this prompt, or
its model declined in the API's own field; `unreadable`: what the server sent was no chat completion, each time."""
UNANSWERED: tuple[FinishReason, ...] = ("prompt_too_long", "content_filter", "refused", "unreadable")
"""There is no answer to use, and asking again changes nothing: the slots are dropped with that reason."""

TranslationStatus = Literal[
    "ok",  # the text between the two tags
    "unclosed_at_end",  # the answer ended by itself without the closing tag; the text is whole
    "truncated",  # cut at max_tokens before the closing tag
    "refused",  # the model said that it cannot
    "copied_source",  # the source text again
    "empty",  # nothing between the tags
    "wrong_language",  # another language than asked for
    "failed_upstream",  # there was no response to translate
]
TRANSLATION_STATUSES: tuple[TranslationStatus, ...] = get_args(TranslationStatus)

Kind = Literal["dominant", "non_dominant", "sampled"]
"""Of a pair: one side began in the dominant language, and it is the prompt's (`dominant`) or the other side's language
(`non_dominant`); or both sides are answers to the prompt, chosen by their scores (`sampled`)."""

NON_DOMINANT = "non-dominant language"
"""Heading of counts by language where pairs of kind `dominant` count for the language that they were compared with."""


def language_heading(kinds: Iterable[str | None]) -> str:
    """Heading of counts of pairs by their non-dominant language, given the kinds that are counted: without pairs of
    kind `dominant` it is the language of the texts, too.

    >>> language_heading(["dominant", "non_dominant"]), language_heading(["sampled"])
    ('non-dominant language', 'language')
    """
    return NON_DOMINANT if "dominant" in set(kinds) else "language"


def kind_said(kind: str, language: str, other_language: str) -> str:
    """A kind of pair as it is shown: `-` where two languages were never compared, as in a set of others, whose rows get
    a kind by their language alone.

    >>> kind_said("dominant", "en", "de"), kind_said("dominant", "en", "en"), kind_said("sampled", "en", "en")
    ('dominant', '-', 'sampled')
    """
    return "-" if other_language in ("", language) and kind != "sampled" else kind


SAMPLE = "sample"
"""The column that tells the answers to one prompt apart, from 0; only where each prompt was asked several times."""

WEIGHT = "weight"
"""The column that says how much a pair counts in training, above 0, as against the others; without it all count 1."""

# The closed lists of the pair step's settings; `lidr.transforms.pairs` and `sampled_pairs` say what each value means.
DominantPairs = Literal["all", "one", "none"]
OneLanguage = Literal["hash", "last"]
Drop = Literal["joint", "independent"]
TranslationTypePolicy = Literal["keep_source", "skip", "translate"]
Truncated = Literal["keep", "drop"]
PairsFrom = Literal["translations", "scores"]
Select = Literal["max_min", "nearest_sigma", "random"]
Pool = Literal["language", "all"]
PairWeight = Literal["none", "margin"]
LengthControl = Literal["none", "zero_mean"]
BoundClass = Literal["translation", "verse", "spelling", "grammar", "vocabulary", "wordplay"]


def answer_key(prompt_id: str, language: str, sample: int | None = None) -> str:
    """What names an answer in pairs, journals and lineage; `sample` where its prompt has several.

    >>> answer_key("bees-1", "es"), answer_key("bees-1", "es", 2)
    ('bees-1/es', 'bees-1/es#2')
    """
    return f"{prompt_id}/{language}" if sample is None else f"{prompt_id}/{language}#{sample}"


def arrow_schema(columns: Columns, version: int | None = None) -> pa.Schema:
    """The Arrow schema of columns.

    Args:
        columns: each with its type.
        version: what the metadata say of `lidr.schema`; None: nothing.
    """
    import pyarrow as pa

    messages = pa.list_(pa.struct([("role", pa.string()), ("content", pa.string())]))
    fields = [pa.field(name, messages if kind == "messages" else kind) for name, kind in columns.items()]
    return pa.schema(fields, metadata=None if version is None else {b"lidr.schema": str(version).encode()})


@dataclass(frozen=True)
class RowType:
    """A table: its name in files and messages, its columns, and those of them that identify a row.

    `later` are columns that stand after the others, in files of rows that have them; `version` is that of its files.
    """

    name: str
    columns: Columns = field(hash=False)
    key: tuple[str, ...]
    later: Columns = field(default_factory=dict, hash=False)
    version: int = SCHEMA_VERSION

    @cached_property
    def schema(self) -> pa.Schema:
        """The Arrow schema."""
        return arrow_schema(self.columns, self.version)

    def schema_with(self, names: Iterable[str]) -> pa.Schema:
        """The schema of a file whose rows have these columns."""
        there = set(names)
        added = {name: kind for name, kind in self.later.items() if name in there}
        return arrow_schema({**self.columns, **added}, LATER_SCHEMA) if added else self.schema

    def key_in(self, names: Iterable[str]) -> tuple[str, ...]:
        """The columns that identify a row of a file with these columns: where a prompt has several answers, their
        number too.
        """
        return (*self.key, SAMPLE) if SAMPLE in names and SAMPLE not in self.key else self.key


Prompt = RowType(
    "prompts",
    {"prompt_id": "string", "language": "string", "text": "string"},
    key=("prompt_id", "language"),
)

Response = RowType(
    "responses",
    {
        "prompt_id": "string",
        "language": "string",
        "text": "string",
        "finish_reason": "string",
        "prompt_tokens": "int32",
        "completion_tokens": "int32",
        "policy": "string",
    },
    key=("prompt_id", "language"),
    later={"reasoning": "string", "reasoning_tokens": "int32", SAMPLE: "int32"},
)

Translation = RowType(
    "translations",
    {
        "prompt_id": "string",
        "source": "string",
        "target": "string",
        "text": "string",
        "raw": "string",
        "status": "string",
        "attempts": "int32",
        "policy": "string",
    },
    key=("prompt_id", "source", "target"),
    later={"reasoning": "string", "reasoning_tokens": "int32", SAMPLE: "int32"},
)

PromptTranslation = RowType("prompt_translations", Translation.columns, key=Translation.key, later=Translation.later)
"""Prompts of the dominant language in the others, where the recipe has them translated."""

THOUGHT_COLUMNS = ("reasoning", "reasoning_tokens", "chosen_reasoning", "rejected_reasoning")
"""What a policy thought before it answered: never part of an answer, and published only by the recipe's word."""

Pair = RowType(
    "pairs",
    {
        "pair_id": "string",
        "prompt_id": "string",
        "language": "string",
        "other_language": "string",
        "kind": "string",
        "iteration": "int32",
        "prompt": "messages",
        "chosen": "messages",
        "rejected": "messages",
        "prompt_text": "string",
        "chosen_text": "string",
        "rejected_text": "string",
        "chosen_key": "string",
        "rejected_key": "string",
        "policy_in": "string",
        "score_chosen": "float64",
        "score_rejected": "float64",
        "margin": "float64",
        "judge": "string",
    },
    key=("pair_id",),
    later={"chosen_reasoning": "string", "rejected_reasoning": "string", WEIGHT: "float64"},
)

Dropped = RowType(
    "dropped",
    {
        "prompt_id": "string",
        "language": "string",
        "other_language": "string",
        "kind": "string",
        "iteration": "int32",
        "step": "string",
        "reason": "string",
        "detail": "string",
    },
    key=("prompt_id", "language", "other_language", "kind"),
)

SWITCHES = "chat_template_kwargs"
"""A column of pairs that were made with switches of the chat template: TRL hands them to the template of whatever
policy is trained on them. A table with it is of schema 2; without switches there is no such column."""


def with_switches(rows: RowType, kwargs: Mapping[str, Any]) -> RowType:
    """The row type with the column `chat_template_kwargs`; itself where there are no switches."""
    column = _switches(kwargs, 0)
    if column is None:
        return rows
    return replace(rows, columns={**rows.columns, SWITCHES: column.type}, version=LATER_SCHEMA)


def switched(table: pa.Table, kwargs: Mapping[str, Any]) -> pa.Table:
    """Rows with the same switches in each; as they are where there are none."""
    column = _switches(kwargs, table.num_rows)
    return table if column is None else table.append_column(SWITCHES, column)


def _switches(kwargs: Mapping[str, Any], rows: int) -> pa.Array | None:
    """The column; null, which no table can hold alone, is the same to a template as nothing."""
    said = {name: value for name, value in sorted(kwargs.items()) if value is not None}
    if not said:
        return None
    import pyarrow as pa

    kind = pa.array([said]).type
    return pa.array([said] * rows, kind)
