"""`authors_compat`: what the authors' released code does, said in ordinary fields of the recipe.

    entry                       sets
    last_language_only          pair.dominant_pairs: one, pair.one: last
    repetition_check_off        filter.repetition: null
    joint_drop_without_retry    pair.drop: joint, translate.retry.times: 0
    translation_ids             pair.translation_type: their 88 ids, keep_source, no detector
    double_bos                  policy.double_bos: true
    mgsm_string_match           evaluate.gold: text
    repetition_penalties        generate 1.1, translate 1.0, evaluate 1.1

There is no second implementation: an entry only fills in what the recipe leaves out, and a field that says otherwise is
an error. The entries are those that arXiv 2410.08964's code (their repository at commit bd9764e) makes worth trying one
by one; its plain faults (an absent file, a key error) are not among them.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from lidr.recipe.schema import Provenance
from lidr.recipe.yaml_positions import KeyPath, Problems, dotted

BLOCK = "authors_compat"

AUTHORS_IDS = "recipes/data/authors_translation_ids.txt"
"""Their 88 ids: process_data/alpagasus/translate/instruction_about_translate.jsonl at bd9764e."""


@dataclass(frozen=True)
class Setting:
    """One ordinary field: `policy`, or the step whose field it is; the field's path; its value.

    `is_optional`: a chain without the step does what the entry asks for anyhow.
    """

    where: str
    path: tuple[str, ...]
    value: Any
    is_optional: bool = False


ENTRIES: Mapping[str, tuple[Setting, ...]] = {
    "last_language_only": (Setting("pair", ("dominant_pairs",), "one"), Setting("pair", ("one",), "last")),
    "repetition_check_off": (Setting("filter", ("repetition",), None, is_optional=True),),
    "joint_drop_without_retry": (
        Setting("pair", ("drop",), "joint"),
        Setting("translate", ("retry", "times"), 0),
    ),
    "translation_ids": (
        Setting("pair", ("translation_type", "policy"), "keep_source"),
        Setting("pair", ("translation_type", "ids"), AUTHORS_IDS),
        Setting("pair", ("translation_type", "detector"), None),
    ),
    "double_bos": (Setting("policy", ("double_bos",), True),),
    "mgsm_string_match": (Setting("evaluate", ("gold",), "text"),),
    "repetition_penalties": (
        Setting("generate", ("repetition_penalty",), 1.1),
        Setting("translate", ("repetition_penalty",), 1.0),
        Setting("evaluate", ("repetition_penalty",), 1.1, is_optional=True),
    ),
}


def fill_in(data: dict[str, Any], problems: Problems, provenance: dict[str, Provenance]) -> None:
    """Fill in the fields that the entries of the block stand for.

    Args:
        data: the recipe as plain data; changed in place.
        problems: gets a sentence for each field that contradicts an entry, and for each step that one needs.
        provenance: gets where each value that was filled in comes from.
    """
    block = data.get(BLOCK)
    if not isinstance(block, dict):
        return  # absent, or said elsewhere to be no block
    for entry, settings in ENTRIES.items():
        if block.get(entry) is not True:
            continue
        for setting in settings:
            _fill_in(data, entry, setting, problems, provenance)


def _fill_in(
    data: dict[str, Any],
    entry: str,
    setting: Setting,
    problems: Problems,
    provenance: dict[str, Provenance],
) -> None:
    place, fields = _section(data, setting.where)
    if fields is None:
        if not setting.is_optional:
            problems.append(((BLOCK, entry), f"needs the step {setting.where}, which the chain lacks; take one out"))
        return
    path = (*place, *setting.path)
    contradicts, found = _put(fields, setting.path, setting.value)
    if contradicts:
        wanted = "nothing" if setting.value is None else setting.value
        problems.append(
            (path, f"{found} contradicts {BLOCK}.{entry}, which sets {wanted}; take this out, or write {entry}: false")
        )
    else:
        provenance.setdefault(dotted(path), Provenance(provenance="authors-code", source=f"{BLOCK}.{entry}"))


def _section(data: dict[str, Any], where: str) -> tuple[KeyPath, dict[str, Any] | None]:
    """The fields of the policy or of a step, and their place; None where the chain has no such step."""
    if where == "policy":
        policy = data.get("policy")
        return ("policy",), policy if isinstance(policy, dict) else None
    chain = data["chain"] if isinstance(data.get("chain"), list) else []
    for number, step in enumerate(chain):
        if step == where:
            chain[number] = step = {where: {}}  # written as a bare name
        if isinstance(step, dict) and list(step) == [where]:
            step[where] = {} if step[where] is None else step[where]
            return ("chain", number, where), step[where] if isinstance(step[where], dict) else None
    return (), None


def _put(fields: dict[str, Any], path: tuple[str, ...], value: Any) -> tuple[bool, Any]:
    """Put a value where nothing else stands; whether something else does, and what."""
    *parents, last = path
    for parent in parents:
        fields = fields.setdefault(parent, {})
        if not isinstance(fields, dict):
            return True, fields
    found = fields.setdefault(last, value)
    return found != value, found
