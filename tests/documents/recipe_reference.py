"""docs/recipe-reference.md, written from the recipe's schema: `python -m tests.documents.recipe_reference`."""

from __future__ import annotations

import inspect
import json
import re
import sys
import textwrap
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from lidr.recipe.schema import FILLED_BY_THE_READER, Frozen, Recipe
from lidr.steps import CHAIN_STEPS

PAGE = Path(__file__).parents[2] / "docs" / "recipe-reference.md"
HEAD = """\
# Recipe reference

Every setting of a recipe, written by `make docs` from the same models that `lidr validate` checks with. A dot leads
into a mapping: `retry.times` is `retry: {times: 1}`. `[]` stands for each entry of a list. What has no default must be
given. [Recipes](recipes.md) explains how the parts work together.

Any value may say where it comes from: `{value: 0.1, provenance: paper, source: "section 4"}`. `provenance` is one of
PROVENANCE. Cards print it.
"""


def page() -> str:
    """The whole page."""
    schema = Recipe.model_json_schema(by_alias=True)
    provenance = schema["$defs"]["Provenance"]["properties"]["provenance"]["enum"]
    top = {name: part for name, part in schema["properties"].items() if name not in FILLED_BY_THE_READER}
    required = schema["required"]
    lines = [HEAD.replace("PROVENANCE", ", ".join(f"`{word}`" for word in provenance)), "## The recipe", ""]
    whole = {name: part for name, part in top.items() if name not in ("chain", "runtime")}
    lines += settings({"properties": whole, "required": required}, schema["$defs"])
    lines += [
        "- `base` (text): the recipe that this one differs from, as `../base.yaml`; see [Recipes](recipes.md#a-base).",
        "- `without` (list of step names): steps of the base to leave out.",
        f"- `chain` (list of steps): {top['chain']['description']} Each step is one of the headings below; a step",
        "  whose settings all have defaults may stand by its name alone.",
        "",
        "## `runtime`",
        "",
        *described(schema["$defs"]["Runtime"], schema["$defs"]),
    ]
    for name, config in CHAIN_STEPS.items():
        lines += ["", f"## `{name}`", "", *module_lines(name, config), ""]
        part = config.model_json_schema()
        lines += settings(part, part.get("$defs", {})) or ["No settings."]
    return "\n".join(lines).rstrip() + "\n"


def described(part: Mapping[str, Any], definitions: Mapping[str, Any]) -> list[str]:
    """A model's description and its settings."""
    return [sentence(part["description"]), "", *settings(part, definitions)]


def module_lines(name: str, config: type[Frozen]) -> list[str]:
    """What the step does, as its module says it, and where it is."""
    package = f"lidr.steps.{name}"
    module = next(one for one in (f"{package}.{name}_step", package) if one in sys.modules)
    text = inspect.getdoc(sys.modules[module]) or ""
    first, _, rest = text.partition("\n\n")
    example = re.match(r"(    .*\n?)+", rest)
    said = first.removeprefix(f"{name}: ").replace("\n", " ")
    lines = [f"{said[0].upper()}{said[1:]}"]
    if example and example.group().startswith("    - "):
        lines += ["", "```yaml", "chain:", textwrap.indent(textwrap.dedent(example.group()), "  ").rstrip(), "```"]
    return lines


def settings(part: Mapping[str, Any], definitions: Mapping[str, Any], above: str = "") -> list[str]:
    """One item for each setting, those inside of it indented below."""
    lines = []
    for name, value in part.get("properties", {}).items():
        path = f"{above}{name}"
        facts = "; ".join(fact for fact in (kind(value, definitions), default(name, value, part)) if fact)
        text = value.get("description") or inner_description(value, definitions)
        lines.append(f"- `{path}` ({facts}): {sentence(text)}" if text else f"- `{path}` ({facts})")
        for inner, joint in inner_models(value, definitions):
            if above == "" and inner["properties"].items() <= part["properties"].items():
                lines[-1] += " Each entry has the settings above."
                continue
            lines += [f"    {line}" for line in settings(inner, definitions, f"{path}{joint}")]
    return lines


def sentence(text: str) -> str:
    """A description on one line, of its first paragraph."""
    return " ".join(text.split("\n\n")[0].split())


def inner_description(value: Mapping[str, Any], definitions: Mapping[str, Any]) -> str:
    """What the model behind a setting says of itself."""
    return next((inner.get("description", "") for inner, _ in inner_models(value, definitions)), "")


def inner_models(value: Mapping[str, Any], definitions: Mapping[str, Any]) -> Iterator[tuple[Mapping[str, Any], str]]:
    """The models behind a setting, each with what stands between its path and theirs."""
    for choice in (value, *value.get("anyOf", ()), *value.get("allOf", ())):
        for ref, joint in ((choice.get("$ref"), "."), (choice.get("items", {}).get("$ref"), "[].")):
            if ref and "properties" in definitions[ref.rpartition("/")[2]]:
                yield definitions[ref.rpartition("/")[2]], joint


def default(name: str, value: Mapping[str, Any], part: Mapping[str, Any]) -> str:
    """`default 3`, or that it must be given."""
    if name in part.get("required", ()):
        return "required"
    found = value.get("default")
    if isinstance(found, dict):
        return ""
    if found == []:
        return "default empty"
    return f"default `{json.dumps(found)}`" if found is not None else ""


def kind(value: Mapping[str, Any], definitions: Mapping[str, Any]) -> str:
    """The type in words, with its bounds."""
    if "anyOf" in value:
        return " or ".join(dict.fromkeys(kind(choice, definitions) for choice in value["anyOf"]))
    if "allOf" in value:
        return kind(value["allOf"][0], definitions)
    if "$ref" in value:
        return kind(definitions[value["$ref"].rpartition("/")[2]], definitions)
    if "enum" in value:
        return " or ".join(f"`{word}`" for word in value["enum"])
    if "const" in value:
        return f"`{value['const']}`"
    if value.get("type") == "array":
        return f"list of {kind(value.get('items', {}), definitions)}"
    words = {"string": "text", "object": "mapping", "boolean": "true or false", "null": "null"}
    word = words.get(value.get("type", ""), value.get("type", "any value"))
    return " ".join(filter(None, (word, bounds(value))))


def bounds(value: Mapping[str, Any]) -> str:
    """The least and the most that a number may be."""
    signs = {"minimum": ">=", "exclusiveMinimum": ">", "maximum": "<=", "exclusiveMaximum": "<"}
    return ", ".join(f"{sign} {value[key]}" for key, sign in signs.items() if key in value)


if __name__ == "__main__":
    PAGE.write_text(page(), encoding="utf-8")
    print(f"{PAGE}: written")
