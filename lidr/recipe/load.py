"""From a YAML file to a Recipe, with every problem collected and shown at once.

recipes/x.yaml:17:11 chain[2].pair.drop: unknown value "jont"; did you mean "joint"? (joint, independent)

Where a recipe has a base, each problem names the file of the two that says it; see `lidr.recipe.inherit`.
"""

from __future__ import annotations

import difflib
import re
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any, get_args

from pydantic import BaseModel, ValidationError

from lidr.errors import RecipeError
from lidr.recipe import authors_compat
from lidr.recipe.dump import header_of, written_out
from lidr.recipe.inherit import is_wrapped, read_whole, step_name
from lidr.recipe.schema import STARTS_FROM_PAIRS, ChainStep, Frozen, Provenance, Recipe, Repeat
from lidr.recipe.yaml_positions import Document, KeyPath, Mark, dotted, read_value

_FILLED = ("provenance", "file", "text")  # fields of Recipe that the reader fills; no file may


def read_recipe(path: Path, steps: Mapping[str, type[Frozen]], overrides: Sequence[str] = ()) -> Recipe:
    """Read and check a recipe.

    Args:
        path: the YAML file.
        steps: the steps that a chain may name, each with its configuration type.
        overrides: `key=value` texts that replace values of the file, as `--set` gives them.

    Raises:
        RecipeError: with all problems, each as `file:line:column path: found, allowed, did you mean`.
    """
    document = _overridden(path, overrides)
    problems: list[tuple[KeyPath, str]] = []
    provenance: dict[str, Provenance] = {}
    data = _unwrap(document.data, (), provenance, problems)
    authors_compat.fill_in(data, problems, provenance)
    if isinstance(data.get("chain"), list):
        if STARTS_FROM_PAIRS in map(step_name, data["chain"]):
            data = {"prompts": None, "iterations": [{}], **data}
        data["chain"] = _chain(data["chain"], steps, problems)
    if isinstance(data.get("iterations"), dict):
        data |= _repeated(data["iterations"], problems)
    problems += [
        ((key,), _unknown("key", key, Recipe.model_fields)) for key in _FILLED if data.pop(key, None) is not None
    ]
    try:
        recipe = Recipe.model_validate({**data, "provenance": provenance, "file": str(path), "text": document.text})
    except ValidationError as error:
        problems += _explain(error, (), Recipe)
    if problems:
        raise RecipeError(_in_file_order(document, problems))
    return recipe


def _repeated(short: dict[str, Any], problems: list[tuple[KeyPath, str]]) -> dict[str, Any]:
    """Write the short form of `iterations` out as the list that it stands for."""
    try:
        repeat = Repeat.model_validate(short)
    except ValidationError as error:
        problems += _explain(error, ("iterations",), Repeat)
        return {"iterations": [{"prompts": "0:1"}]}  # stands in, so that the rest of the recipe is checked too
    return {"iterations": repeat.iterations, "repeat": repeat.repeat}


def resolved_text(path: Path, overrides: Sequence[str] = ()) -> str:
    """The recipe as YAML that stands alone: its base merged in, the overrides applied; comments only at the top.

    Raises:
        RecipeError: a file cannot be read, or an override hits nothing.
    """
    document = _overridden(path, overrides)
    return header_of(document.text) + written_out(document.data)


def _overridden(path: Path, overrides: Sequence[str]) -> Document:
    document = read_whole(path)
    if not isinstance(document.data, dict):
        raise RecipeError([f"{document.where(())} a recipe is a mapping of keys to values, not {_kind(document.data)}"])
    for override in overrides:
        _apply_override(document.data, override)
    return document


def _unwrap(value: Any, path: KeyPath, provenance: dict[str, Provenance], problems: list[tuple[KeyPath, str]]) -> Any:
    """Replace each `{value: v, provenance: p, source: s}` by v and remember the rest under its path."""
    if isinstance(value, list):
        return [_unwrap(child, (*path, i), provenance, problems) for i, child in enumerate(value)]
    if not isinstance(value, dict):
        return value
    if path and is_wrapped(value):
        try:
            given = {key: value[key] for key in ("provenance", "source") if key in value}
            provenance[dotted(path)] = Provenance.model_validate(given)
        except ValidationError as error:
            problems += _explain(error, path, Provenance)
        return value["value"]
    return {key: _unwrap(child, (*path, key), provenance, problems) for key, child in value.items()}


def _chain(
    entries: list[Any], steps: Mapping[str, type[Frozen]], problems: list[tuple[KeyPath, str]]
) -> list[ChainStep]:
    """Validate each entry of the chain with the configuration type of its step; a faulty one keeps an empty place."""
    found: list[ChainStep] = []
    for number, entry in enumerate(entries):
        path: KeyPath = ("chain", number)
        name, settings = _single(entry)
        config = None
        if name is None:
            problems.append((path, "each entry of the chain is one step with its settings, as `- pair: {drop: joint}`"))
        elif name not in steps:
            problems.append(((*path, name), _unknown("step", name, steps)))
        elif any(step.name == name for step in found):
            problems.append(((*path, name), f'the step "{name}" stands twice; each step has one folder and one place'))
        else:
            try:
                config = steps[name].model_validate({} if settings is None else settings)
            except ValidationError as error:
                problems += _explain(error, (*path, name), steps[name])
        found.append(ChainStep(name=name or "?", config=config))
    return found


def _single(entry: Any) -> tuple[str | None, Any]:
    if isinstance(entry, str):
        return entry, None
    if isinstance(entry, dict) and len(entry) == 1:
        return next(iter(entry.items()))
    return None, None


def _apply_override(data: dict[str, Any], override: str) -> None:
    key, equals, text = override.partition("=")
    words = [part for part in re.split(r"[.\[\]]+", key.strip()) if part]
    parts: list[str | int] = [int(word) if re.fullmatch("[0-9]{1,6}", word) else word for word in words]
    if not equals or not parts:
        raise RecipeError([f'--set "{override}": write key=value, as --set chain.train.epochs=2'])
    try:
        value = read_value(text)
    except ValueError as error:
        raise RecipeError([f'--set "{override}": the value is not YAML ({error}); quote it: key=\'"text"\'']) from None
    target: Any = data
    for position, part in enumerate(parts[:-1]):
        target = _descend(target, part, override, dotted(tuple(parts[: position + 1])))
    last = parts[-1]
    if isinstance(target, list) and isinstance(last, int) and last < len(target):
        target[last] = value
    elif isinstance(target, list) and last in map(step_name, target):
        target[[step_name(entry) for entry in target].index(last)] = {last: value}
    elif isinstance(target, dict):
        target[str(last)] = value
    else:
        raise RecipeError([f'--set "{override}": there is no {dotted(tuple(parts))} in the recipe'])


def _descend(target: Any, part: str | int, override: str, path: str) -> Any:
    """Go one level down; in the chain, a step's name stands for its entry."""
    if isinstance(target, list) and isinstance(part, int) and part < len(target):
        return target[part]
    if isinstance(target, list):
        for number, entry in enumerate(target):
            if step_name(entry) == part:
                settings = entry.get(part) if isinstance(entry, dict) else None
                target[number] = {part: settings if isinstance(settings, dict) else {}}
                return target[number][part]
    if isinstance(target, dict):
        if not isinstance(target.get(str(part)), dict | list):
            target[str(part)] = {}
        return target[str(part)]
    raise RecipeError([f'--set "{override}": there is no {path} in the recipe'])


def _explain(error: ValidationError, path: KeyPath, model: type[BaseModel]) -> list[tuple[KeyPath, str]]:
    """Turn pydantic's findings into (path, sentence)."""
    explained: list[tuple[KeyPath, str]] = []
    items = error.errors()
    for item in items:
        if item["type"] == "too_short" and any(other["loc"][:-1] == item["loc"] for other in items):
            continue  # its elements are faulty, which is said already
        where = tuple(part for part in item["loc"] if isinstance(part, int) or not _is_type_tag(part))
        explained.append(((*path, *where), _sentence(item, _model_at(model, where[:-1]))))
    return explained


def _sentence(item: Any, parent: type[BaseModel] | None) -> str:
    found, kind = item["input"], item["type"]
    name = str(item["loc"][-1]) if item["loc"] else ""
    if kind == "extra_forbidden":
        return _unknown("key", name, parent.model_fields if parent else ())
    if kind == "literal_error":
        allowed = re.findall(r"'([^']*)'", item["ctx"]["expected"]) or [item["ctx"]["expected"]]
        return _unknown("value", found, allowed)
    if kind == "missing":
        field = parent.model_fields.get(name) if parent else None
        hint = f" ({field.description})" if field is not None and field.description else ""
        return f"missing; it must be given{hint}"
    if kind == "value_error":
        return str(item["ctx"]["error"])
    if kind == "string_pattern_mismatch":
        field = parent.model_fields.get(name) if parent else None
        meaning = (
            field.description if field is not None and field.description else f"must match {item['ctx']['pattern']}"
        )
        return f"found {_show(found)}: {meaning}"
    return f"found {_show(found)} ({_kind(found)}); {item['msg'][0].lower()}{item['msg'][1:]}"


def _unknown(what: str, found: Any, allowed: Iterable[str]) -> str:
    names = [str(name) for name in allowed]
    near = difflib.get_close_matches(str(found), names, n=1)
    hint = f'; did you mean "{near[0]}"?' if near else ";"
    return f"unknown {what} {_show(found)}{hint} ({', '.join(names)})"


def _model_at(model: type[BaseModel], path: KeyPath) -> type[BaseModel] | None:
    """The model whose fields stand at `path` below `model`."""
    for part in path:
        if isinstance(part, int):
            continue
        by_alias = {(f.alias or name): f for name, f in model.model_fields.items()}
        field = by_alias.get(part)
        nested = _models_in(field.annotation) if field is not None else []
        if not nested:
            return None
        model = nested[0]
    return model


def _models_in(annotation: Any) -> list[type[BaseModel]]:
    if isinstance(annotation, type) and issubclass(annotation, BaseModel):
        return [annotation]
    return [model for child in get_args(annotation) for model in _models_in(child)]


def _is_type_tag(part: str) -> bool:
    return part[:1].isupper() or part.startswith(("function-", "literal["))


def _in_file_order(document: Document, problems: list[tuple[KeyPath, str]]) -> list[str]:
    def position(problem: tuple[KeyPath, str]) -> tuple[bool, Mark]:
        mark = document.mark(problem[0])
        return mark.file != document.file, mark  # the file itself before its base

    return [f"{document.where(path)} {dotted(path)}: {text}" for path, text in sorted(problems, key=position)]


def _show(value: Any) -> str:
    text = f'"{value}"' if isinstance(value, str) else str(value)
    return text if len(text) <= 60 else text[:57] + "..."


def _kind(value: Any) -> str:
    names = {
        str: "text",
        bool: "true or false",
        int: "a whole number",
        float: "a number",
        list: "a list",
        dict: "a mapping",
    }
    return names.get(type(value), "nothing" if value is None else type(value).__name__)
