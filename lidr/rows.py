"""The row types that flow between steps, each with its Arrow schema and the columns that identify a row.

    prompts      -> generate  -> responses
    responses    -> translate -> translations
    prompts, responses, translations -> pair -> pairs (+ dropped)

Every Parquet file that lidr writes carries `lidr.schema` = SCHEMA_VERSION in its metadata. Change a schema only
together with that number and a heading of its own in the CHANGELOG: it invalidates published data sets.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal, get_args

import pyarrow as pa

SCHEMA_VERSION = 1
METADATA = {b"lidr.schema": str(SCHEMA_VERSION).encode()}

FinishReason = Literal["stop", "length", "prompt_too_long"]
"""`stop`: an end-of-turn token or a stop string; `length`: cut at max_tokens; `prompt_too_long`: never asked."""

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

Kind = Literal["dominant", "non_dominant"]

# The closed lists of the pair step's settings; `lidr.transforms.pairs` says what each value means.
DominantPairs = Literal["all", "one", "none"]
OneLanguage = Literal["hash", "last"]
Drop = Literal["joint", "independent"]
TranslationTypePolicy = Literal["keep_source", "skip", "translate"]
Truncated = Literal["keep", "drop"]
BoundClass = Literal["translation", "verse", "spelling", "grammar", "vocabulary", "wordplay"]


@dataclass(frozen=True)
class RowType:
    """A table: its name in files and messages, its Arrow schema, and the columns that identify a row."""

    name: str
    schema: pa.Schema
    key: tuple[str, ...]


_MESSAGES = pa.list_(pa.struct([("role", pa.string()), ("content", pa.string())]))


def _schema(**columns: pa.DataType) -> pa.Schema:
    return pa.schema(list(columns.items()), metadata=METADATA)


Prompt = RowType(
    "prompts",
    _schema(prompt_id=pa.string(), language=pa.string(), text=pa.string()),
    key=("prompt_id", "language"),
)

Response = RowType(
    "responses",
    _schema(
        prompt_id=pa.string(),
        language=pa.string(),
        text=pa.string(),
        finish_reason=pa.string(),
        prompt_tokens=pa.int32(),
        completion_tokens=pa.int32(),
        policy=pa.string(),
    ),
    key=("prompt_id", "language"),
)

Translation = RowType(
    "translations",
    _schema(
        prompt_id=pa.string(),
        source=pa.string(),
        target=pa.string(),
        text=pa.string(),
        raw=pa.string(),
        status=pa.string(),
        attempts=pa.int32(),
        policy=pa.string(),
    ),
    key=("prompt_id", "source", "target"),
)

Pair = RowType(
    "pairs",
    _schema(
        pair_id=pa.string(),
        prompt_id=pa.string(),
        language=pa.string(),
        other_language=pa.string(),
        kind=pa.string(),
        iteration=pa.int32(),
        prompt=_MESSAGES,
        chosen=_MESSAGES,
        rejected=_MESSAGES,
        prompt_text=pa.string(),
        chosen_text=pa.string(),
        rejected_text=pa.string(),
        chosen_key=pa.string(),
        rejected_key=pa.string(),
        policy_in=pa.string(),
        score_chosen=pa.float64(),
        score_rejected=pa.float64(),
        margin=pa.float64(),
        judge=pa.string(),
    ),
    key=("pair_id",),
)

Dropped = RowType(
    "dropped",
    _schema(
        prompt_id=pa.string(),
        language=pa.string(),
        other_language=pa.string(),
        kind=pa.string(),
        iteration=pa.int32(),
        step=pa.string(),
        reason=pa.string(),
        detail=pa.string(),
    ),
    key=("prompt_id", "language", "other_language", "kind"),
)
