"""A column map: which columns of a set of pairs, or of a table of prompts, hold what; in recipes it is `columns`."""

from __future__ import annotations

import difflib
from collections.abc import Sequence
from typing import Any

from pydantic import SerializerFunctionWrapHandler, field_validator, model_serializer

from lidr.errors import RowError
from lidr.recipe.frozen import Frozen
from lidr.rows import WEIGHT


class Columns(Frozen):
    """Which columns of a set hold what."""

    prompt: str | None = "prompt"
    """Text or messages; null: both sides begin with the prompt."""
    chosen: str = "chosen"
    """Text, one message, or a whole conversation."""
    rejected: str = "rejected"
    input: str | None = None
    """More of the prompt, as in Alpaca's sets: appended to its text after a newline, where it is not blank."""
    system: str | None = None
    """The system message of the prompt, where it is not blank."""
    id: str | None = None
    """Names the prompt; null: a hash of its text."""
    language: str | None = None
    other_language: str | None = None
    kind: str | None = None
    iteration: str | None = None
    score_chosen: str | None = None
    score_rejected: str | None = None
    margin: str | None = None
    weight: str | None = None
    """How much the pair counts in training, as against the others: a number above 0. null, written out, leaves out the
    column weight of a set that lidr made. A map that says nothing but this leaves the rest as without a map."""

    @model_serializer(mode="wrap")
    def _as_said(self, write: SerializerFunctionWrapHandler) -> dict[str, Any]:
        """Without the roles that earlier versions of lidr did not have, where nothing is said of them."""
        if self.form is None:
            return {WEIGHT: self.weight}
        unsaid = {"input", "system", WEIGHT} - self.model_fields_set
        return {role: name for role, name in write(self).items() if role not in unsaid}

    @property
    def form(self) -> Columns | None:
        """The map itself; None where it says of nothing but weights, so that the set is read as without a map."""
        return None if self.model_fields_set == {WEIGHT} else self

    @property
    def named(self) -> dict[str, str]:
        """What each column is for -> its name in the set."""
        roles = type(self).model_fields if self.form is not None else (WEIGHT,)
        return {role: name for role in roles if (name := getattr(self, role)) is not None}

    def leaves_out(self, role: str) -> bool:
        """Whether the map says null of a role, and does not only say nothing of it."""
        return role in self.model_fields_set and getattr(self, role) is None

    def missing(self, there: Sequence[str]) -> tuple[str, str] | None:
        """The first role whose column is not there, and the column's name."""
        return next(((role, name) for role, name in self.named.items() if name not in there), None)

    def check(self, there: Sequence[str], where: str) -> None:
        """Refuse a map that names columns which are not there.

        Raises:
            RowError: says which there are, and how to name them.
        """
        if (found := self.missing(there)) is None:
            return
        role, name = found
        near = next(iter(difflib.get_close_matches(name, there, n=1)), None)
        hint = f' Did you mean "{near}"?' if near else ""
        begin = ", or prompt=- (in recipes null) where both sides begin with the prompt" if role == "prompt" else ""
        raise RowError(
            f"{where}: no column {name!r} for {role}; its columns: {', '.join(there)}.{hint} Name it in the column "
            f"map, as {role}=COLUMN (in recipes columns: {{{role}: COLUMN}}){begin}"
        )


class PromptColumns(Frozen):
    """Which columns of a table of prompts hold what: the roles of a set of pairs that a prompt has."""

    prompt: str | dict[str, str] | None = None
    """The column of the text; in a file with all languages side by side {en: question, de: frage}. null: instruction,
    text or prompt; or, side by side, the language codes."""
    input: str | None = None
    """More of the prompt, as in Alpaca's sets: appended to its text after a newline, where it is not blank."""
    system: str | None = None
    """null, written out, leaves out what a column of that name says."""
    id: str | None = None
    """Names the prompt, the same in every language; null: id or prompt_id."""
    language: str | None = None
    """The language of a row (de, DE, German), where one file has a row for each language; null: language."""

    @field_validator("system")
    @classmethod
    def _not_of_a_row(cls, value: str | None) -> str | None:
        if value is not None:
            raise ValueError("a system message is the same for all prompts: write it into system_prompt of the recipe")
        return value

    def leaves_out(self, role: str) -> bool:
        """Whether the map says itself what is done with a role."""
        return role in self.model_fields_set
