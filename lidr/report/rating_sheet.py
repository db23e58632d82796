"""A blind sheet on which people judge translations, and what they said, read back.

    item  from  into     source            translation      adequacy  fluency
    1     en    Spanish  Bees make honey.  Las abejas ...   5         4

With two runs each item has two translations, `translation_a` and `translation_b`, whose order is drawn for each item,
and a `preference` (a, b or tie). Nothing on the sheet says which run, prompt or model it is: that stands in the key, a
second file that no rater sees. Adequacy (does it say the same?) and fluency (is it good language?) run from 1 to 5.
"""

from __future__ import annotations

import csv
import io
import json
import random
from collections.abc import Callable, Hashable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import polars as pl

from lidr.errors import EvaluationError
from lidr.languages import LANGUAGES
from lidr.rows import Response
from lidr.store import Artifact, open_artifact
from lidr.transforms import Number, alpha, different, kappa, mean, share, squared, with_interval

MARKS = (1, 2, 3, 4, 5)
ASPECTS = ("adequacy", "fluency")
PREFERENCES = ("a", "b", "tie")
_USABLE = ("ok", "unclosed_at_end")
_FORMULA = ("=", "+", "-", "@", "\t", "\r")  # what a spreadsheet takes for a formula at a cell's beginning


@dataclass(frozen=True)
class Sheet:
    """What `export` makes: the sheet's text, and the key as plain data."""

    text: str
    key: dict[str, Any]


def translated(artifact: Artifact) -> pl.DataFrame:
    """A translate step's usable translations beside their sources: prompt_id, source, target, text, source_text."""
    place = artifact.record.inputs[Response.name]["place"]
    answers = pl.DataFrame(open_artifact(artifact.folder.parent.parent / place).read())
    answers = answers.select("prompt_id", source="language", source_text="text")
    rows = pl.DataFrame(artifact.read()).filter(pl.col("status").is_in(_USABLE))
    return rows.join(answers, on=["prompt_id", "source"]).select("prompt_id", "source", "target", "text", "source_text")


def export(runs: Mapping[str, pl.DataFrame], *, sample: int, seed: int) -> Sheet:
    """Draw items and write the sheet.

    Args:
        runs: name of each of one or two runs -> its table, from `translated`. Of two, only translations of the same
            source text are compared.
        sample: items of each direction, at most.
        seed: of the draw and of the order.

    Raises:
        EvaluationError: there is nothing to judge.
    """
    (first, *others) = runs
    items = runs[first].rename({"text": first})
    for name in others:
        on = ["prompt_id", "source", "target", "source_text"]
        items = items.join(runs[name].rename({"text": name}), on=on)
    if items.is_empty():
        what = "translations of the same answers in both runs" if others else "usable translations"
        raise EvaluationError(f"{' and '.join(runs)}: no {what}; nothing to judge")
    rng = random.Random(seed)
    drawn: list[dict[str, Any]] = []
    for _, group in items.sort("source", "target", "prompt_id").group_by("source", "target", maintain_order=True):
        rows = group.to_dicts()
        drawn += rng.sample(rows, min(sample, len(rows)))
    rng.shuffle(drawn)
    buffer = io.StringIO()
    writer = csv.DictWriter(buffer, _columns(len(runs)))
    writer.writeheader()
    key: dict[str, Any] = {}
    for number, row in enumerate(drawn, 1):
        order = rng.sample(list(runs), len(runs))
        key[str(number)] = {k: row[k] for k in ("prompt_id", "source", "target")} | {"order": order}
        writer.writerow(_line(number, row, order))
    return Sheet(buffer.getvalue(), {"schema": "lidr.sheet/1", "runs": list(runs), "seed": seed, "items": key})


def _columns(runs: int) -> list[str]:
    head = ["item", "from", "into", "source"]
    if runs == 1:
        return [*head, "translation", *ASPECTS, "comment"]
    sides = [name for side in "ab" for name in (f"translation_{side}", *(f"{aspect}_{side}" for aspect in ASPECTS))]
    return [*head, *sides, "preference", "comment"]


def _line(number: int, row: Mapping[str, Any], order: Sequence[str]) -> dict[str, Any]:
    names = ["translation"] if len(order) == 1 else ["translation_a", "translation_b"]
    texts = {"source": row["source_text"], **{name: row[run] for name, run in zip(names, order, strict=True)}}
    languages = {"from": LANGUAGES[row["source"]].name, "into": LANGUAGES[row["target"]].name}
    return {"item": number, **languages, **{name: _cell(text) for name, text in texts.items()}}


def _cell(text: str) -> str:
    """The text, so that no spreadsheet runs it: before what could be a formula stands an apostrophe."""
    return f"'{text}" if text.startswith(_FORMULA) else text


Ratings = dict[tuple[str, str, str], int | str]
"""(item, aspect, run; empty for a preference) -> mark, or the preferred run, or tie."""


def read_sheet(path: Path, key: Mapping[str, Any]) -> Ratings:
    """Read one filled sheet; cells left empty are no ratings.

    Raises:
        EvaluationError: it is not the key's sheet, or a cell holds what is no rating; all of them at once.
    """
    try:
        text = path.read_text(encoding="utf-8-sig")
    except (OSError, UnicodeDecodeError) as error:
        raise EvaluationError(f"{path}: cannot be read as UTF-8 text ({error}); save the sheet as CSV UTF-8") from error
    first = text.partition("\n")[0]
    rows = list(csv.DictReader(io.StringIO(text), delimiter=";" if first.count(";") > first.count(",") else ","))
    wanted = [name for name in _columns(len(key["runs"])) if name != "comment"]
    if missing := [name for name in wanted if not rows or name not in rows[0]]:
        raise EvaluationError(f"{path}: no column {', '.join(missing)}; this is not the sheet of that key")
    found: Ratings = {}
    problems: list[str] = []
    seen: set[str] = set()
    for number, row in enumerate(rows, 1):
        item = (row["item"] or "").strip()
        if item not in key["items"] or item in seen:
            said = "stands twice" if item in seen else "is not in the key"
            problems.append(f'{path}, row {number}: item "{item}" {said}')
            continue
        seen.add(item)
        order = key["items"][item]["order"]
        for name, aspect, side in _rated(order):
            found |= _rating(row[name] or "", item, aspect, side, order, problems, f"{path}, row {number}, {name}")
    if problems:
        raise EvaluationError("\n".join(problems))
    return found


def _rated(order: Sequence[str]) -> Iterator[tuple[str, str, int]]:
    """Column, aspect, and which side it is of; -1 for the preference."""
    for side in range(len(order)):
        yield from ((aspect if len(order) == 1 else f"{aspect}_{'ab'[side]}", aspect, side) for aspect in ASPECTS)
    if len(order) == 2:
        yield "preference", "preference", -1


def _rating(
    cell: str, item: str, aspect: str, side: int, order: Sequence[str], problems: list[str], where: str
) -> Ratings:
    said = cell.strip().lower()
    if not said:
        return {}
    if side < 0:
        if said in PREFERENCES:
            return {(item, aspect, ""): "tie" if said == "tie" else order["ab".index(said)]}
        problems.append(f'{where}: "{said}"; write a, b or tie, or leave it empty')
    elif said.removesuffix(".0") in map(str, MARKS):
        return {(item, aspect, order[side]): int(said.removesuffix(".0"))}
    else:
        problems.append(f'{where}: "{said}"; write a whole number from 1 to 5, or leave it empty')
    return {}


def judged(raters: Mapping[str, Ratings], key: Mapping[str, Any]) -> dict[str, Any]:
    """What the raters said, with intervals over the items, and how far they agree.

    Args:
        raters: name of each rater -> what he or she said.

    Raises:
        EvaluationError: nobody rated anything.
    """
    if not any(raters.values()):
        raise EvaluationError(f"{', '.join(raters)}: no cell is filled in; nothing to read")
    directions = sorted({(item["source"], item["target"]) for item in key["items"].values()})
    found: list[dict[str, Any]] = []
    for source, target in [("", ""), *directions]:
        items = [i for i, at in key["items"].items() if not source or (at["source"], at["target"]) == (source, target)]
        found += [{"source": source, "target": target, **row} for row in _scores(raters, key["runs"], items)]
    return {"raters": list(raters), "scores": found, "agreement": list(_agreement(raters, key))}


def _scores(raters: Mapping[str, Ratings], runs: Sequence[str], items: Sequence[str]) -> Iterator[dict[str, Any]]:
    for aspect in ASPECTS:
        for run in runs:
            means = [_mean([r[i, aspect, run] for r in raters.values() if (i, aspect, run) in r]) for i in items]
            yield {"aspect": aspect, "run": run, **mean(means, (MARKS[0], MARKS[-1])).as_json()}
    if len(runs) == 2:
        votes = [[r[i, "preference", ""] for r in raters.values() if (i, "preference", "") in r] for i in items]
        verdicts = [_majority(said) for said in votes if said]
        decided = [verdict for verdict in verdicts if verdict != "tie"]
        for run in runs:
            number = share(decided.count(run), len(decided))
            yield {"aspect": "preferred", "run": run, **number.as_json(), "ties": len(verdicts) - len(decided)}


def _mean(marks: Sequence[Any]) -> float | None:
    return sum(marks) / len(marks) if marks else None


def _majority(votes: Sequence[Any]) -> str:
    """The run that more raters prefer than prefer the other one; else a tie."""
    runs = sorted({vote for vote in votes if vote != "tie"}, key=votes.count)
    return str(runs[-1]) if len(runs) == 1 or (runs and votes.count(runs[0]) < votes.count(runs[-1])) else "tie"


def _agreement(raters: Mapping[str, Ratings], key: Mapping[str, Any]) -> Iterator[dict[str, Any]]:
    if len(raters) < 2:
        return
    for aspect in (*ASPECTS, *(["preference"] if len(key["runs"]) == 2 else [])):
        rated = sorted({at for said in raters.values() for at in said if at[1] == aspect})
        lists = [[said[at] for said in raters.values() if at in said] for at in rated]
        distance = different if aspect == "preference" else squared
        yield {"aspect": aspect, "measure": "krippendorff_alpha", **_interval(lists, distance).as_json()}
        if len(raters) == 2:
            one, two = raters.values()
            both = [(one[at], two[at]) for at in rated if at in one and at in two]
            yield {"aspect": aspect, "measure": "cohen_kappa", **with_interval(both, _kappa).as_json()}


def _interval(lists: Sequence[Sequence[Hashable]], distance: Callable[[Hashable, Hashable], float]) -> Number:
    return with_interval([one for one in lists if len(one) > 1], lambda drawn: alpha(drawn, distance))


def _kappa(both: Sequence[Sequence[Hashable]]) -> float | None:
    numbered = {str(number): pair for number, pair in enumerate(both)}
    return kappa({i: pair[0] for i, pair in numbered.items()}, {i: pair[1] for i, pair in numbered.items()})


def read_key(path: Path) -> dict[str, Any]:
    """Read a key.

    Raises:
        EvaluationError: it is none.
    """
    try:
        key = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError, RecursionError) as error:
        raise EvaluationError(
            f"{path}: no key of a sheet ({error}); export-sheet writes it beside the sheet"
        ) from error
    if not isinstance(key, dict) or key.get("schema") != "lidr.sheet/1":
        raise EvaluationError(f"{path}: no key of a sheet; export-sheet writes it beside the sheet as NAME.key.json")
    return key
