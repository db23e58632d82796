"""The JSON Schema of recipes, for editors: the models' own, with the chain's steps, provenance and `base`."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from lidr.recipe.schema import FILLED_BY_THE_READER, Frozen, Provenance, Recipe, Repeat


def recipe_json_schema(steps: Mapping[str, type[Frozen]]) -> dict[str, Any]:
    """Build the schema (draft 2020-12).

    Args:
        steps: the steps that a chain may name, each with its configuration type.
    """
    schema = Recipe.model_json_schema(by_alias=True)
    definitions: dict[str, Any] = schema["$defs"]
    provenance = Provenance.model_json_schema()["properties"]
    entries = []
    for name, config in steps.items():
        part = config.model_json_schema(ref_template="#/$defs/{model}")
        definitions |= part.pop("$defs", {})
        entries.append(
            {"type": "object", "properties": {name: part}, "required": [name], "additionalProperties": False}
        )
        _allow_provenance(part, provenance)
    definitions["Repeat"] = Repeat.model_json_schema()
    for definition in definitions.values():
        _allow_provenance(definition, provenance)
    _allow_provenance(schema, provenance)
    for of_the_reader in ("ChainStep", "Launch"):
        definitions.pop(of_the_reader, None)
    needless = ("prompts", "iterations")  # where the chain starts from pairs
    schema["required"] = [name for name in schema["required"] if name not in needless]
    for name in FILLED_BY_THE_READER:
        schema["properties"].pop(name, None)
    schema["properties"]["iterations"] = {
        "anyOf": [schema["properties"]["iterations"], {"$ref": "#/$defs/Repeat"}],
        "description": schema["properties"]["iterations"].pop("description"),
    }
    schema["properties"]["chain"]["items"] = {"anyOf": [{"enum": list(steps)}, *entries]}
    definitions = schema.pop("$defs")
    names = tuple(definitions)
    over = _partial(schema, names)
    over["properties"] |= {
        "base": {"type": "string", "description": "The recipe that this one differs from, as ../base.yaml."},
        "without": {"type": "array", "items": {"enum": list(steps)}, "description": "Steps of the base to leave out."},
    }
    over["required"] = ["base", "name"]
    return {
        "$schema": "https://json-schema.org/draft/2020-12/schema",
        "$defs": {**definitions, **{f"{name}{_OVER}": _partial(definitions[name], names) for name in names}},
        "if": {"required": ["base"]},
        "then": over,
        "else": schema,
    }


_OVER = "-over"


def _partial(part: Any, names: tuple[str, ...]) -> Any:
    """The same with nothing required, for a recipe that has a base; a step's entry still names it."""
    if isinstance(part, list):
        return [_partial(child, names) for child in part]
    if not isinstance(part, dict):
        return part
    found = {key: _partial(child, names) for key, child in part.items()}
    if isinstance(part.get("$ref"), str):
        found["$ref"] = f"{part['$ref']}{_OVER}"
    required = part.get("required")
    if isinstance(required, list) and required != ["value", "provenance"] and len(part.get("properties", ())) != 1:
        del found["required"]
    return found


_STRUCTURE = ("schema", "chain", "iterations", "provenance")


def _allow_provenance(definition: dict[str, Any], provenance: dict[str, Any]) -> None:
    """Let every plain value also be written with where it comes from."""
    for name, value in definition.get("properties", {}).items():
        if "$ref" in value or name in _STRUCTURE:
            continue
        wrapped = {"value": {k: v for k, v in value.items() if k not in ("default", "description")}, **provenance}
        wrapper = {"type": "object", "properties": wrapped, "required": ["value", "provenance"]}
        described = {k: value[k] for k in ("description", "default") if k in value}
        definition["properties"][name] = {"anyOf": [value, wrapper], **described}
