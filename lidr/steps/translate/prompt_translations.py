"""Whether a file of translations is one of these prompts; where it is not, it is named before anything runs."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Collection, Sequence
from pathlib import Path

from lidr.errors import PlanError
from lidr.recipe import Languages
from lidr.steps.translate.translation_file import Key, read_translations, translation_files

WHERE = "prompts.translate.by.file"
_SHOWN = 5  # ids named in a message


def check_fits(
    source: str,
    recipe_folder: Path,
    ids: Sequence[str],
    slices: Sequence[tuple[int, int]],
    languages: Languages,
    advice: Callable[[Collection[str]], str],
) -> None:
    """See that some prompt of each slice is translated into every language.

    Args:
        source: the file or folder, as the recipe names it.
        recipe_folder: what it is resolved against.
        ids: of the prompts, in their order.
        slices: (start, stop) of each iteration among them.
        languages: those of the recipe.
        advice: what to do where no id of the file is one of the prompts'; is given the ids of the file.

    Raises:
        PlanError: none is: a language is missing, the ids are others, or a slice has no prompt with all translations.
        RowError: the file cannot be read.
    """
    given = read_translations(translation_files(source, recipe_folder, WHERE))
    if (said := _of_file(given, ids, languages, advice)) or (said := _of_slices(given, ids, slices, languages)):
        raise PlanError(f"{WHERE}: {source}: {said}")


def _of_file(
    given: Collection[Key], ids: Sequence[str], languages: Languages, advice: Callable[[Collection[str]], str]
) -> str:
    """What is wrong of the file as a whole; empty where nothing is."""
    held = Counter(f"{source}->{target}" for _, source, target in given)
    said = []
    if lacking := [way for way in _ways(languages) if way not in held]:
        there = ", ".join(f"{way} ({count})" for way, count in sorted(held.items())) or "none"
        said.append(f"no translation {', '.join(lacking)} at all; it has {there}")
    theirs = list(dict.fromkeys(prompt_id for prompt_id, _, _ in given))
    if theirs and ids and not set(theirs) & set(ids):
        said.append(f"none of its ids ({_first(theirs)}) is an id of the prompts ({_first(ids)}){advice(theirs)}")
    return "; ".join(said)


def _of_slices(
    given: Collection[Key], ids: Sequence[str], slices: Sequence[tuple[int, int]], languages: Languages
) -> str:
    """Of the first slice of which no prompt is translated into every language, what there is of each."""
    for start, stop in slices:
        own = ids[start:stop]
        into = {other: {one for one in own if (one, languages.dominant, other) in given} for other in languages.others}
        if own and not set.intersection(*into.values()):
            counts = zip(_ways(languages), into.values(), strict=True)
            shown = ", ".join(f"{way} {len(there)} of {len(own)}" for way, there in counts)
            return f"no prompt of {start}:{stop} is translated into every language: {shown}"
    return ""


def _ways(languages: Languages) -> list[str]:
    return [f"{languages.dominant}->{other}" for other in languages.others]


def _first(ids: Sequence[str]) -> str:
    return ", ".join(ids[:_SHOWN]) + (", ..." if len(ids) > _SHOWN else "")
