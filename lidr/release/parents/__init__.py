"""What a release was made from, each with pin and licence; and which licence that gives the release.

In: a recipe, records, sets of pairs. Out: `Parent`s, and the strictest of their licences.
"""

from typing import TYPE_CHECKING

from lidr.lazy import lazily

if TYPE_CHECKING:
    from lidr.release.parents.licences import (
        Licence,
        Parent,
        less_than,
        licence_text,
        overridden,
        strictest,
        unknown_licence,
    )
    from lidr.release.parents.model_parents import HUB, base_model, policy_parent, scorer_parents, translator_parents
    from lidr.release.parents.pair_parents import (
        licence_of_run,
        parents_of_mixture,
        parents_of_run,
        parents_of_set,
        read_card,
    )
    from lidr.release.parents.prompt_parents import prompts_parent

__all__ = [
    "HUB",
    "Licence",
    "Parent",
    "base_model",
    "less_than",
    "licence_of_run",
    "licence_text",
    "overridden",
    "parents_of_mixture",
    "parents_of_run",
    "parents_of_set",
    "policy_parent",
    "prompts_parent",
    "read_card",
    "scorer_parents",
    "strictest",
    "translator_parents",
    "unknown_licence",
]
__getattr__ = lazily(__name__)
