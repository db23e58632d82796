"""A column map: which columns of a set of pairs that lidr did not make hold what; in recipes it is `columns`."""

from __future__ import annotations

from collections.abc import Sequence

from lidr.errors import RowError
from lidr.recipe.frozen import Frozen


class Columns(Frozen):
    """Which columns of a set hold what."""

    prompt: str | None = "prompt"
    """Text or messages; null: both sides begin with the prompt."""
    chosen: str = "chosen"
    """Text, one message, or a whole conversation."""
    rejected: str = "rejected"
    id: str | None = None
    """Names the prompt; null: a hash of its text."""
    language: str | None = None
    other_language: str | None = None
    kind: str | None = None
    iteration: str | None = None
    score_chosen: str | None = None
    score_rejected: str | None = None
    margin: str | None = None

    @property
    def named(self) -> dict[str, str]:
        """What each column is for -> its name in the set."""
        return {role: name for role in type(self).model_fields if (name := getattr(self, role)) is not None}

    def check(self, there: Sequence[str], where: str) -> None:
        """Refuse a map that names columns which are not there.

        Raises:
            RowError: says which there are, and how to name them.
        """
        missing = {role: name for role, name in self.named.items() if name not in there}
        if missing:
            role, name = next(iter(missing.items()))
            said = f"{where}: no column {name!r} for {role}; its columns: {', '.join(there)}."
            raise RowError(f"{said} Name it in the column map, as {role}=COLUMN, or prompt=- where both sides begin "
                           "with the prompt")  # fmt: skip
