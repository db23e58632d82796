"""Whether each pair of a set says how much it counts in training, and what is said and recorded of it.

columns             of a set that lidr made             of a set of others
not given           its column weight, if it has one    none; a column weight is noted
{weight: NAME}      the column NAME, and the rest as without a map
{weight: null}      none, and the rest as without a map
a map of more       is read as a set of others          what it says; unsaid, a column weight is noted
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from lidr import preferences
from lidr.rows import WEIGHT
from lidr.steps.pairs.pairs_config import PairSet
from lidr.steps.step_kind import Surroundings

if TYPE_CHECKING:
    from lidr.preferences import Mapped, PairSource


def mapped_of(around: Surroundings, one: PairSet) -> Mapped:
    """How the rows of a set become pairs."""
    languages = around.recipe.languages
    return preferences.Mapped(one.columns, one.language, languages.dominant, languages.all, languages.dominant)


def unread_note(around: Surroundings, one: PairSet, source: PairSource) -> str | None:
    """That a set has a column weight which is not read: as the recipe says, or because nothing says what it is."""
    is_used = one.columns is not None and WEIGHT in one.columns.named.values()
    if is_used or not source.weighted_files or preferences.weights_of(source, mapped_of(around, one)) is not None:
        return None
    if is_left_out(one):
        return f"{source.name}: its column weight is left out by columns: {{weight: null}}"
    return (
        f"{source.name}: it has a column weight, and nothing says that it is how much a pair counts in training, so it "
        "is not read: columns: {weight: weight} takes it, and weight: null leaves it out without a word"
    )


def is_left_out(one: PairSet) -> bool:
    """Whether the recipe says that the pairs of a set have no weights."""
    return one.columns is not None and one.columns.leaves_out(WEIGHT)
