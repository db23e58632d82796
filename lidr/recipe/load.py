"""From a YAML file to a Recipe, with every problem collected and shown at once.

recipes/x.yaml:17:11 chain[2].pair.drop: unknown value "jont"; did you mean "joint"? (joint, independent)

Where a recipe has a base, each problem names the file of the two that says it; see `lidr.recipe.inherit`.
"""

from __future__ import annotations

import difflib
import json
import re
import shlex
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any, get_args

from pydantic import BaseModel, ValidationError
from pydantic.fields import FieldInfo

from lidr.errors import Problem, RecipeError, SeveralErrors
from lidr.recipe import authors_compat
from lidr.recipe.dump import header_of, written_out
from lidr.recipe.frozen import descriptions
from lidr.recipe.inherit import is_wrapped, read_whole, step_name
from lidr.recipe.runtime import read_launch
from lidr.recipe.schema import FILLED_BY_THE_READER, STARTS_FROM_PAIRS, ChainStep, Frozen, Provenance, Recipe, Repeat
from lidr.recipe.yaml_positions import Document, KeyPath, Mark, Problems, dotted, kind_said, read_value

_SETTING = re.compile(r"([a-z_]+(?:\.\w+|\[[0-9]+\])*)(?:: |, | )")


def read_recipe(
    path: Path, steps: Mapping[str, type[Frozen]], overrides: Sequence[str] = (), *, alone: bool = False
) -> Recipe:
    """Read and check a recipe.

    Args:
        path: the YAML file.
        steps: the steps that a chain may name, each with its configuration type.
        overrides: `key=value` texts that replace values of the file, as `--set` gives them.
        alone: a recipe of others, which names no base.

    Raises:
        RecipeError: with all problems, each as `file:line:column path: found, allowed, did you mean`.
    """
    document = _overridden(path, overrides, alone=alone)
    problems: Problems = []
    provenance: dict[str, Provenance] = {}
    data = _unwrap(document.data, (), provenance, problems)
    authors_compat.fill_in(data, problems, provenance)
    if isinstance(data.get("chain"), list):
        if STARTS_FROM_PAIRS in map(step_name, data["chain"]):
            data = {"prompts": None, "iterations": [{}], **data}
        data["chain"] = _chain(data["chain"], steps, problems)
    if isinstance(data.get("iterations"), dict):
        data |= _repeated(data["iterations"], problems)
    launch = read_launch(data.get("runtime"), path, problems)
    problems += [
        ((key,), _unknown("key", key, _written(Recipe)))
        for key in FILLED_BY_THE_READER
        if data.pop(key, None) is not None
    ]
    filled = {"provenance": provenance, "file": str(path), "text": document.text, "launch": launch}
    try:
        recipe = Recipe.model_validate({**data, **filled})
    except ValidationError as error:
        problems += _explain(error, (), Recipe)
    if problems:
        raise RecipeError(_in_file_order(document, problems))
    return recipe


def _repeated(short: dict[str, Any], problems: Problems) -> dict[str, Any]:
    """Write the short form of `iterations` out as the list that it stands for."""
    try:
        repeat = Repeat.model_validate(short)
    except ValidationError as error:
        problems += _explain(error, ("iterations",), Repeat)
        return {"iterations": [{"prompts": "0:1"}]}  # stands in, so that the rest of the recipe is checked too
    return {"iterations": repeat.iterations, "repeat": repeat.repeat}


def problems_at(
    recipe: Recipe, overrides: Sequence[str], problems: Sequence[tuple[KeyPath, str]]
) -> tuple[Problem, ...]:
    """Problems that were found after a recipe was read, with the places of the values they are about, in file order.

    Args:
        recipe: from `read_recipe`.
        overrides: those that it was read with.
        problems: the path of each value, and what is wrong of it.
    """
    if not problems:
        return ()
    document = _overridden(Path(recipe.file), overrides)
    return tuple(_in_file_order(document, list(problems)))


def resolved_text(path: Path, overrides: Sequence[str] = ()) -> str:
    """The recipe as YAML that stands alone: its base merged in, the overrides applied; comments only at the top.

    Raises:
        RecipeError: a file cannot be read, or an override hits nothing.
    """
    document = _overridden(path, overrides)
    return header_of(document.text) + written_out(document.data)


def _overridden(path: Path, overrides: Sequence[str], *, alone: bool = False) -> Document:
    document = read_whole(path, alone=alone)
    if not isinstance(document.data, dict):
        what = f"a recipe is a mapping of keys to values, not {kind_said(document.data)}"
        raise RecipeError([replace(placed(document, (), what), path="")])
    marks = dict(document.marks)
    for override in overrides:
        place = _apply_override(document.data, override)
        above = [place[:end] for end in range(1, len(place))]
        new = next((one for one in above if one not in marks), place)  # with the mappings that it needed
        marks = {one: mark for one, mark in marks.items() if one[: len(new)] != new}
        marks[new] = Mark(f'--set "{_shortened(" ".join(override.split()))}"')
    return replace(document, marks=marks)


def _unwrap(value: Any, path: KeyPath, provenance: dict[str, Provenance], problems: Problems) -> Any:
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


def _chain(entries: list[Any], steps: Mapping[str, type[Frozen]], problems: Problems) -> list[ChainStep]:
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


def _apply_override(data: dict[str, Any], override: str) -> KeyPath:
    """Put the value in, and say where it stands now."""
    key, equals, text = override.partition("=")
    words = [part for part in re.split(r"[.\[\]]+", key.strip()) if part]
    parts: list[str | int] = [int(word) if re.fullmatch("[0-9]{1,6}", word) else word for word in words]
    if not equals or not parts:
        raise RecipeError([f'--set "{override}": write key=value, as --set chain.train.epochs=2'])
    try:
        value = read_value(text)
    except ValueError as error:
        quoted = "quote it: key='\"text\"', or, a list, key='[a, b]'"
        raise RecipeError([f'--set "{override}": the value is not YAML ({error}); {quoted}']) from None
    steps = [step_name(entry) for entry in data["chain"]] if isinstance(data.get("chain"), list) else []
    if parts[0] in steps and parts[0] not in _written(Recipe):
        raise RecipeError(
            [f'--set "{override}": there is no {parts[0]} in the recipe; did you mean chain.{key.strip()}?']
        )
    target: Any = data
    path: KeyPath = ()
    for position, part in enumerate(parts[:-1]):
        target, below = _descend(target, part, override, dotted(tuple(parts[: position + 1])))
        path += below
    last = parts[-1]
    if isinstance(target, list) and isinstance(last, int) and last < len(target):
        target[last] = value
        return (*path, last)
    if isinstance(target, list) and last in map(step_name, target):
        number = [step_name(entry) for entry in target].index(last)
        target[number] = {last: value}
        return (*path, number, last)
    if isinstance(target, dict):
        target[str(last)] = value
        return (*path, str(last))
    raise _nothing_there(target, last, override, dotted(tuple(parts)))


def _nothing_there(chain: Any, part: str | int, override: str, path: str) -> RecipeError:
    """Of a list: a step that the chain lacks, or a number that is too large."""
    names = [str(step_name(entry)) for entry in chain] if re.fullmatch(r"chain(\.\w+|\[\d+\])", path) else []
    near = next(iter(difflib.get_close_matches(str(part), names, n=1)), None)
    hint = f'; did you mean "{near}"?' if near else f"; its steps: {', '.join(names)}" if names else ""
    return RecipeError([f'--set "{override}": there is no {path} in the recipe{hint}'])


def _descend(target: Any, part: str | int, override: str, path: str) -> tuple[Any, KeyPath]:
    """Go one level down, and say which way; in the chain, a step's name stands for its entry."""
    if isinstance(target, list) and isinstance(part, int) and part < len(target):
        return target[part], (part,)
    if isinstance(target, list):
        for number, entry in enumerate(target):
            if step_name(entry) == part:
                settings = entry.get(part) if isinstance(entry, dict) else None
                target[number] = {part: settings if isinstance(settings, dict) else {}}
                return target[number][part], (number, part)
    if isinstance(target, dict):
        if not isinstance(target.get(str(part)), dict | list):
            target[str(part)] = {}
        return target[str(part)], (str(part),)
    raise _nothing_there(target, part, override, path)


def _explain(error: ValidationError, path: KeyPath, model: type[BaseModel]) -> Problems:
    """Turn pydantic's findings into (path, sentence)."""
    explained: Problems = []
    items = error.errors()
    for item in items:
        if item["type"] == "too_short" and any(other["loc"][:-1] == item["loc"] for other in items):
            continue  # its elements are faulty, which is said already
        where = tuple(part for part in item["loc"] if isinstance(part, int) or not _is_type_tag(part))
        said = _sentence(item, _model_at(model, where[:-1]), _model_at(model, where))
        if not isinstance(said, str):
            explained.append(((*path, *where), said))
            continue
        several = item.get("ctx", {}).get("error")
        for one in several.said if isinstance(several, SeveralErrors) else (said,):
            place, text = _named_in(one, where, _model_at(model, where), item["input"])
            explained.append(((*path, *place), text))
    return explained


def _named_in(said: str, where: KeyPath, model: type[BaseModel] | None, given: Any) -> tuple[KeyPath, str]:
    """The place of the setting that a message opens with, below what was checked or as its own name:
    `runtime.engine vllm needs ...`, `trl.beta is set by ...`, `sigmas is of ...`; else of what was checked.
    """
    if (found := _SETTING.match(said)) is None:
        return where, said
    parts = re.findall(r"\w+", found[1])
    is_itself = bool(where) and parts[0] == where[-1]
    is_below = parts[0] in _written(model) and (
        len(parts) > 1 or found[0].endswith(": ") or (isinstance(given, dict) and parts[0] in given)
    )
    if not is_itself and not is_below:
        return where, said
    path = tuple(int(part) if part.isdigit() else part for part in parts)
    return (*where[:-1], *path) if is_itself else (*where, *path), (
        said[found.end() :] if found[0].endswith(": ") else said
    )


def _sentence(item: Any, parent: type[BaseModel] | None, wanted: type[BaseModel] | None) -> str | Problem:
    found, kind = item.get("ctx", {}).get("found", item["input"]), item["type"]
    name = str(item["loc"][-1]) if item["loc"] else ""
    if kind == "extra_forbidden":
        return _unknown("key", name, _written(parent))
    if kind == "literal_error":
        allowed = re.findall(r"'([^']*)'", item["ctx"]["expected"]) or [item["ctx"]["expected"]]
        return _unknown("value", found, allowed)
    if kind == "missing":
        told = " ".join((descriptions(parent).get(name) or "").split()) if parent else ""
        return "missing; it must be given" + (f" ({told.removesuffix('.')})" if told else "")
    if kind == "value_error":
        return str(item["ctx"]["error"])
    if name == "version" and kind in ("string_type", "string_pattern_mismatch") and (fits := _three_numbers(found)):
        return Problem(f'found {_show(found)}: a version has three numbers, in quotes: "{fits}"', hint=f'"{fits}"')
    if kind == "string_type" and isinstance(found, int | float):
        return Problem(
            f'found {_show(found)} ({kind_said(found)}); write it as text, in quotes: "{found}"', hint=f'"{found}"'
        )
    if kind == "string_type" and isinstance(found, dict) and len(found) == 1:
        text = json.dumps(": ".join(map(str, next(iter(found.items())))), ensure_ascii=False)
        return Problem(f"found {_show(found)} ({kind_said(found)}); write it as text, in quotes: {text}", hint=text)
    if kind in ("tuple_type", "list_type"):
        first = next(iter(_written(wanted)), None) if not isinstance(found, dict) else None
        entry = found if first is None else f"{{{first}: {_show(found)}}}"  # a list of settings
        return Problem(f"found {_show(found)} ({kind_said(found)}); write a list: [{entry}]", hint=f"[{entry}]")
    if kind == "too_long":
        return f"{item['ctx']['actual_length']:,} entries; at most {item['ctx']['max_length']:,} are allowed"
    if kind == "too_short":
        return f"{item['ctx']['actual_length']:,} entries; at least {item['ctx']['min_length']:,} must be given"
    if kind in _WANTED:
        unquoted = f", without quotes: {found}" if isinstance(found, str) and kind.endswith("_type") else ""
        meaning = descriptions(parent).get(name) if parent else None
        said = f"{_WANTED[kind]} is wanted{unquoted}{f' ({meaning})' if meaning else ''}"
        return f"found {_show(found)} ({kind_said(found)}); {said}"
    if kind in ("model_type", "model_attributes_type", "dict_type"):
        return f"found {_show(found)} ({kind_said(found)}); {_settings_of(wanted)}"
    if kind == "string_pattern_mismatch":
        meaning = descriptions(parent).get(name) if parent else None
        return f"found {_show(found)}: {meaning or 'must match ' + item['ctx']['pattern']}"
    return f"found {_show(found)} ({kind_said(found)}); {item['msg'][0].lower()}{item['msg'][1:]}"


_WANTED = {
    **dict.fromkeys(("int_type", "int_parsing", "int_from_float"), "a whole number"),
    **dict.fromkeys(("float_type", "float_parsing"), "a number"),
    **dict.fromkeys(("bool_type", "bool_parsing"), "true or false"),
}
"""What pydantic says -> what is wanted."""


def _settings_of(model: type[BaseModel] | None) -> str:
    """What to write where a mapping is wanted."""
    if model is None:
        return "a mapping of names to values is wanted, as {name: value}"
    names = tuple(_written(model))
    if not names:
        return "settings are wanted, and it has none: write {}"
    return f"settings are wanted, as {{{names[0]}: ...}}; of {', '.join(names)}"


def _three_numbers(found: Any) -> str | None:
    """`0.2.0` of 0.2; None where it is no short version."""
    numbers = str(found).split(".")
    if len(numbers) > 3 or not all(re.fullmatch("[0-9]+", number) for number in numbers):
        return None
    return ".".join([*numbers, "0", "0"][:3])


def _unknown(what: str, found: Any, allowed: Iterable[str]) -> Problem:
    names = tuple(str(name) for name in allowed)
    near = next(iter(difflib.get_close_matches(str(found), names, n=1)), None)
    hint = f'; did you mean "{near}"?' if near else ";"
    text = f"unknown {what} {_show(found)}{hint} ({', '.join(names)})"
    return Problem(text, found=_show(found).strip('"'), allowed=names, hint=near)


def _written(model: type[BaseModel] | None) -> dict[str, FieldInfo]:
    """The fields of a model by the names that a recipe writes."""
    filled = FILLED_BY_THE_READER if model is Recipe else ()
    return (
        {field.alias or name: field for name, field in model.model_fields.items() if name not in filled}
        if model
        else {}
    )


def _model_at(model: type[BaseModel], path: KeyPath) -> type[BaseModel] | None:
    """The model whose fields stand at `path` below `model`."""
    for part in path:
        if isinstance(part, int):
            continue
        field = _written(model).get(part)
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


def _in_file_order(document: Document, problems: list[tuple[KeyPath, str | Problem]]) -> list[Problem]:
    def position(problem: tuple[KeyPath, str | Problem]) -> tuple[bool, Mark]:
        mark = document.mark(problem[0])
        return mark.file != document.file, mark  # the file itself before its base

    return [placed(document, path, found) for path, found in sorted(problems, key=position)]


def placed(document: Document, path: KeyPath, found: str | Problem) -> Problem:
    """A problem with the place of the value that it is about."""
    mark = document.mark(path)
    problem = Problem(found) if isinstance(found, str) else found
    if mark.file.startswith("--set ") and problem.hint and not problem.allowed:  # a value that the command line gave
        key = re.sub(r"^chain\[\d+\]", "chain", dotted(path))
        given = shlex.quote(f"{key}={problem.hint}")
        problem = replace(problem, text=f"{problem.text}; in a shell: --set {given}")
    return replace(problem, path=dotted(path), file=mark.file, line=mark.line, column=mark.column)


def _show(value: Any) -> str:
    text = f'"{value}"' if isinstance(value, str) else _SHOWN.get(repr(value), str(value))
    return _shortened(text)


def _shortened(text: str) -> str:
    return text if len(text) <= 60 else text[:57] + "..."


_SHOWN = {"True": "true", "False": "false", "None": "null"}
