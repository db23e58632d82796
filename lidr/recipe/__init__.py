"""Recipes: the typed schema, and reading a YAML file into it.

In: a YAML file, and those that it inherits from. Out: a `Recipe`, frozen; or every problem at once, each with file,
line and column. The settings of a step are defined where the step is.
"""

from typing import TYPE_CHECKING

from lidr.lazy import lazily

if TYPE_CHECKING:
    from lidr.recipe.column_map import Columns
    from lidr.recipe.inherit import read_whole
    from lidr.recipe.json_schema import recipe_json_schema
    from lidr.recipe.load import read_recipe, resolved_text
    from lidr.recipe.schema import (
        Dtype,
        Frozen,
        LanguageCode,
        Languages,
        PolicyConfig,
        PromptsConfig,
        Provenance,
        Recipe,
        ReferenceText,
    )

__all__ = [
    "Columns",
    "Dtype",
    "Frozen",
    "LanguageCode",
    "Languages",
    "PolicyConfig",
    "PromptsConfig",
    "Provenance",
    "Recipe",
    "ReferenceText",
    "read_recipe",
    "read_whole",
    "recipe_json_schema",
    "resolved_text",
]
__getattr__ = lazily(__name__)
