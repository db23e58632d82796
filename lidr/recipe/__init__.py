"""Recipes: the typed schema, and reading a YAML file into it.

In: a YAML file, and those that it inherits from. Out: a `Recipe`, frozen; or every problem at once, each with file,
line and column. The settings of a step are defined where the step is.
"""

from typing import TYPE_CHECKING

from lidr.lazy import lazily

if TYPE_CHECKING:
    from lidr.recipe.chat_template_config import (
        AUTO,
        ChatTemplateConfig,
        template_identity,
        template_kwargs,
    )
    from lidr.recipe.column_map import Columns, PromptColumns
    from lidr.recipe.inherit import read_whole
    from lidr.recipe.json_schema import recipe_json_schema
    from lidr.recipe.load import problems_at, read_recipe, resolved_text
    from lidr.recipe.openai_config import OpenAIConfig, openai_identity, server_fields
    from lidr.recipe.policy_config import Dtype, PolicyConfig, ReferenceText
    from lidr.recipe.reasoning_config import ReasoningConfig, reasoning_fields, reasoning_identity
    from lidr.recipe.schema import (
        Frozen,
        LanguageCode,
        Languages,
        PromptsConfig,
        Provenance,
        Recipe,
    )
    from lidr.recipe.translate_config import ParallelConfig, Retry, TranslateConfig
    from lidr.recipe.translator_config import Translator
    from lidr.recipe.yaml_positions import KeyPath

__all__ = [
    "AUTO",
    "ChatTemplateConfig",
    "Columns",
    "Dtype",
    "Frozen",
    "KeyPath",
    "LanguageCode",
    "Languages",
    "OpenAIConfig",
    "ParallelConfig",
    "PolicyConfig",
    "PromptColumns",
    "PromptsConfig",
    "Provenance",
    "ReasoningConfig",
    "Recipe",
    "ReferenceText",
    "Retry",
    "TranslateConfig",
    "Translator",
    "openai_identity",
    "problems_at",
    "read_recipe",
    "read_whole",
    "reasoning_fields",
    "reasoning_identity",
    "recipe_json_schema",
    "resolved_text",
    "server_fields",
    "template_identity",
    "template_kwargs",
]
__getattr__ = lazily(__name__)
