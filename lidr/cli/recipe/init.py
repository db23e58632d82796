"""`lidr init`: write a short recipe for your model, languages and prompts, that validates and plans.

It asks for what no option says, where a terminal is; elsewhere, or with --yes, it takes the defaults. Prompts that
cannot be read are refused and nothing is written; the recipe that is written is checked as by `lidr validate`.
"""

from __future__ import annotations

import argparse
import re
import shlex
import sys
from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

from lidr.cli.common import print_json, say
from lidr.cli.recipe.init_text import recipe_text, rows_for, too_few
from lidr.cli.terminal import problem_lines
from lidr.errors import RecipeError, RowError
from lidr.hub import unpinned
from lidr.language_tags import unknown_language
from lidr.languages import LANGUAGES
from lidr.pipeline import check_recipe, load_recipe, surroundings_of
from lidr.recipe import Recipe
from lidr.references import ServerReference, parse_reference
from lidr.release import unknown_licence
from lidr.steps import PromptDraft, column_form, draft_prompts

_PROMPTS = "recipes/prompts/quickstart"
_QUESTIONS = {
    "model": "Model (org/name on the Hub, ./folder, or openai:NAME@URL of a server)",
    "languages": "Languages, the one it answers best in first",
    "prompts": "Prompts (a folder with LANG.jsonl, one .csv with a column for each language, or org/name)",
    "publish": "Where to publish, org/name (empty: nowhere)",
    "out": "File to write",
}
_LICENCES = {
    "license": "Licence of the prompts, as a Hub identifier (cc-by-4.0, mit, ...)",
    "policy_license": "Licence of the model, as a Hub identifier (apache-2.0, llama3.1, ...)",
}
_DEFAULTS = {"languages": "en,de,es,fr", "prompts": _PROMPTS, "publish": "", "out": "my.yaml"}


def arguments(parser: argparse.ArgumentParser) -> None:
    """Options of the command."""
    parser.add_argument("--model", metavar="MODEL", help="org/name[@commit], ./folder, or openai:NAME@URL")
    parser.add_argument("--languages", metavar="CODES", help="the dominant one first: en,de,es (default: en,de,es,fr)")
    parser.add_argument("--prompts", metavar="SOURCE", help=f"folder, file or org/name (default: {_PROMPTS})")
    parser.add_argument("--license", metavar="ID", help="licence of the prompts, as a Hub identifier")
    parser.add_argument(
        "--column",
        metavar="NAME",
        action="append",
        help="column of the prompts' text, where it has a name of its own; one a language: en=question,de=frage",
    )
    parser.add_argument("--one-language", action="store_true", help="prompts in the dominant language; translate them")
    parser.add_argument("--policy-license", metavar="ID", help="licence of the model, which its releases must say")
    parser.add_argument("--publish", metavar="ORG/NAME", help="where pairs and policy would be published")
    parser.add_argument("--data", metavar="FOLDER", help="problems for the evaluation: mgsm/LANG.jsonl ($LIDR_DATA)")
    parser.add_argument("--out", metavar="FILE", help="the recipe's file (default: my.yaml)")
    parser.add_argument("--yes", action="store_true", help="ask nothing; defaults where no option says more")
    parser.add_argument("--force", action="store_true", help="overwrite the file")
    parser.add_argument("--json", action="store_true", help="print one JSON object on standard output")


def main(options: argparse.Namespace) -> int:
    """Ask, look at the model and the machine, write the file, and see that it can be read."""
    asks = sys.stdin is not None and sys.stdin.isatty() and not options.yes and not options.json
    given = {name: getattr(options, name) or (_ask(name) if asks else _DEFAULTS.get(name)) for name in _QUESTIONS}
    if not given["model"]:
        raise RecipeError(["init: name the model: --model org/name, ./folder or openai:NAME@URL"])
    if options.data and not Path(options.data).is_dir():
        raise RecipeError([f"--data {options.data}: no such folder; give one with mgsm/LANG.jsonl"])
    target = Path(str(given["out"]))
    if target.exists() and not options.force:
        raise RecipeError([f"{target} exists; give another name with --out, or --force to overwrite it"])
    if options.license is None and asks and given["prompts"] != _PROMPTS:
        options.license = _ask("license")
    if options.policy_license is None and asks and given["publish"] and not _says_its_licence(given["model"]):
        options.policy_license = _ask("policy_license") or None
    options.license = _known_licence("--license", options.license)
    options.policy_license = _known_licence("--policy-license", options.policy_license)
    text, prompts = _recipe(target, given, options)
    before = target.read_bytes() if target.exists() else None
    target.parent.mkdir(parents=True, exist_ok=True)
    target.write_text(text, encoding="utf-8")
    try:
        recipe = load_recipe(target)
    except RecipeError:
        target.unlink() if before is None else target.write_bytes(before)
        raise
    checked = check_recipe(recipe)
    if options.json:
        problems = [asdict(problem) for problem in checked.problems]
        print_json("lidr.init/1", {"file": str(target), "recipe": recipe.name, "text": text, "problems": problems})
    else:
        print(text, end="", flush=True)
    file = shlex.quote(str(target))
    for note in checked.notes:
        say(f"note: {note}")
    _say_columns(prompts, recipe.languages.all)
    for code, (other, count, of) in prompts.others.items():
        say(
            f"note: {count} of the first {of} prompts that are read as {code} look like {LANGUAGES[other].name} "
            f"({other}); if they are, name the right file or column, or other --languages"
        )
    if _licence(given, options) == "unknown":
        say("note: the licence of the prompts is written as unknown, and every card will say so; name it: --license ID")
    codes = recipe.languages.all
    if not isinstance(parse_reference(recipe.policy.model), ServerReference) and (
        few := too_few(codes, rows_for(codes, options.data))
    ):
        say(f"note: {few}")
    if recipe.parallel is not None and not checked.problems:
        say(
            "note: the model itself translates the prompts. A weak model can write nonsense with the status `ok`; "
            f"`lidr run {file} --until prompts` stops there and says where they lie. Read some before you go on"
        )
    if checked.problems:
        say(*problem_lines(checked.problems), is_clean=True)
        say(f"{target} is written and does not run like this: mend it there, then lidr validate {file}")
        return 2
    say(f"{target} is written and valid. Next: {_next_commands(target, recipe)}")
    return 0


def _next_commands(target: Path, recipe: Recipe) -> str:
    """What leads to a run: first `lidr lock`, where the recipe or its lock names no commit of what it reads."""
    commits = surroundings_of(recipe).lock.commits
    lock = ["lock"] if any(one.repo not in commits for one in unpinned(recipe)) else []
    return "; ".join(f"lidr {command} {shlex.quote(str(target))}" for command in (*lock, "plan", "run"))


def _say_columns(prompts: PromptDraft, codes: Sequence[str]) -> None:
    """What text is not used where the model translates; where the ids come from, unless a column is called id."""
    if prompts.read is not None and prompts.unused:
        which = "that holds" if len(prompts.unused) == 1 else "one of these holds"
        say(
            f"note: only the column {prompts.read} is read, and the model translates it; not used: "
            f"{', '.join(prompts.unused)}. If {which} the prompts in another language, name it: "
            f"{column_form(codes, {codes[0]: prompts.read})}"
        )
    if "id" in prompts.columns:
        say(f"note: the column {prompts.columns['id']} names the prompts: its values are their ids")
    elif prompts.are_ids_made:
        say(
            "note: no column is named like an id (id, qid, ..._id, idx, key) and has another value in each row, so the "
            "prompts' ids are made from their texts: a text that is changed gets another id. Another column may be "
            "named: prompts.columns: {id: COLUMN}"
        )


def _ask(name: str) -> str:
    default = _DEFAULTS.get(name, "")
    try:
        return input(f"{(_QUESTIONS | _LICENCES)[name]}{f' [{default}]' if default else ''}: ").strip() or default
    except EOFError:
        return default


def _recipe(target: Path, given: dict[str, Any], options: argparse.Namespace) -> tuple[str, PromptDraft]:
    codes = [code.strip() for code in str(given["languages"]).split(",") if code.strip()]
    if unknown := next((code for code in codes if code not in LANGUAGES), None):
        raise RecipeError([f"--languages: {unknown_language(unknown)}"])
    if len(codes) < 2:
        raise RecipeError(["--languages: the dominant one and at least one that learns from it: en,de"])
    try:
        reference = parse_reference(_as_folder(str(given["model"])))
    except ValueError as error:
        raise RecipeError([f"--model: {error}"]) from None
    try:
        column = _column(options.column or [], codes)
        prompts = draft_prompts(str(given["prompts"]), codes, column=column, one_language=options.one_language)
    except RowError as error:
        raise RecipeError([f"--prompts: {error}"]) from None
    text = recipe_text(
        target,
        codes,
        reference,
        prompts,
        source=str(given["prompts"]),
        licence=_licence(given, options),
        publish=given["publish"],
        policy_licence=options.policy_license,
        data=rows_for(codes, options.data),
    )
    return text, prompts


def _column(given: Sequence[str], codes: Sequence[str]) -> str | dict[str, str] | None:
    """The column of the text, or the one of each language that --column names.

    Raises:
        RecipeError: several without their languages; or a language or a column twice, or one that is not asked for.
    """
    found: dict[str, str] = {}
    plain: list[str] = []
    for entry in (entry for text in given for entry in re.split(r",\s*(?=\w+=)", text)):
        code, equals, name = (part.strip() for part in entry.partition("="))
        if not equals or code not in LANGUAGES:
            plain.append(entry)
        elif not name:
            raise RecipeError([f"--column {entry}: write CODE=NAME, as {column_form(codes)}"])
        elif code not in codes:
            raise RecipeError([f"--column {entry}: {code} is not one of --languages {','.join(codes)}"])
        elif code in found:
            raise RecipeError([f"--column names two columns for {code}: {found[code]}, {name}; leave one out"])
        elif other := next((one for one in found if found[one] == name), None):
            raise RecipeError([f"--column names {name} for {other} and for {code}; each language has its own column"])
        else:
            found[code] = name
    if not found and len(plain) < 2:
        return next(iter(plain), None)
    if plain:
        named = dict(zip(codes, plain, strict=True)) if not found and len(plain) == len(codes) else None
        columns = " and ".join((*plain, *found.values()))
        raise RecipeError([f"--column: {columns}: which language is in which? {column_form(codes, named)}"])
    return found


def _as_folder(model: str) -> str:
    """A folder that is there, and is written without ./, as a recipe writes it."""
    is_other = ":" in model or model.startswith((".", "/"))
    return f"./{model}" if not is_other and (Path(model) / "config.json").is_file() else model


def _says_its_licence(model: str) -> bool:
    """Whether the licence of a model is looked up where it comes from: in the metadata of a Python package."""
    return model.startswith("dist:")


def _known_licence(option: str, given: str | None) -> str | None:
    """A licence as the Hub writes it.

    Raises:
        RecipeError: it has none of that name.
    """
    if given and (said := unknown_licence(given)) is not None:
        where = "the identifiers are listed at https://huggingface.co/docs/hub/repositories-licenses"
        raise RecipeError([f"{option}: {said}; {where}; `other` stands for any that is not there"])
    return given and given.lower()


def _licence(given: dict[str, Any], options: argparse.Namespace) -> str:
    return options.license or ("cc0-1.0" if given["prompts"] == _PROMPTS else "unknown")
