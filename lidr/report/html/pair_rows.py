"""The pairs and the dropped slots that a report shows, with what their translations were made from."""

from __future__ import annotations

import contextlib
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from itertools import islice
from typing import TYPE_CHECKING, Any

from lidr.errors import StoreError
from lidr.markup import Shown, language_name
from lidr.rows import kind_said
from lidr.store import open_artifact

if TYPE_CHECKING:
    from lidr.report.run_state import RunState
    from lidr.store import Record

MOST_PAIRS, MOST_DROPPED = 60, 40
_LOOKED_AT = 20_000  # rows of each iteration; the kinds, languages and reasons of a run come up long before
_LONGEST = 4000  # characters of a text

_COLUMNS = (
    *("pair_id", "prompt_id", "language", "other_language", "kind", "iteration", "prompt_text", "chosen_text"),
    *("rejected_text", "chosen_key", "rejected_key", "margin"),
)

Key = tuple[str, ...]


@dataclass(frozen=True)
class Candidates:
    """Texts of one iteration by their key: (prompt, language) of prompts and answers, (prompt, from, to) otherwise."""

    prompts: Mapping[Key, str]
    answers: Mapping[Key, str]
    translations: Mapping[Key, str]
    given: str | None = None
    """The language that prompts are given in, where those in the others are translations; None: all are given."""
    translator: str = "the policy"

    def marks(self, row: Mapping[str, Any]) -> tuple[str, ...]:
        """What is said of a row's prompt."""
        is_translated = self.given not in (None, row["language"])
        return (f"prompt translated by {self.translator}",) if is_translated else ()


def shown_rows(run: RunState) -> list[tuple[Shown, dict[str, str]]]:
    """What is shown, the kept pairs first, each with the values that it can be filtered by.

    Returns:
        Nothing where no pairs are made, or their files are not beside their records.
    """
    kept, dropped = [], []
    iterations = sorted({record.iteration for record in run.of("pairs")}, reverse=True)
    for iteration in iterations:
        mine = [record for record in run.records if record.iteration == iteration]
        pairs = _spread(
            _rows(run, [r for r in mine if r.writes == "pairs"][-1:], "data"), MOST_PAIRS // len(iterations)
        )
        lost = _spread(_rows(run, mine, "dropped"), MOST_DROPPED // len(iterations))
        texts = _candidates(run, iteration, {row["prompt_id"] for row in (*pairs, *lost)})
        kept += [_of_pair(row, texts) for row in pairs]
        dropped += [found for row in lost if (found := _of_slot(row, texts, run.recipe.languages.dominant))]
    return [*kept, *dropped]


def _rows(run: RunState, records: Iterable[Record], folder: str) -> list[dict[str, Any]]:
    """The first rows of these steps; of steps whose files are not here, none."""
    found: list[dict[str, Any]] = []
    for record in records:
        with contextlib.suppress(StoreError):
            artifact = open_artifact(run.where(record))
            batches = artifact.batches(_LOOKED_AT, _COLUMNS if folder == "data" else None, part=folder)
            found += islice((row for batch in batches for row in batch.to_pylist()), _LOOKED_AT)
    return found


def _spread(rows: list[dict[str, Any]], most: int) -> list[dict[str, Any]]:
    """Some of each language, kind and reason in turn, in the order of the rows."""
    groups: dict[Key, list[int]] = {}
    for number, row in enumerate(rows):
        groups.setdefault((row["language"], row["other_language"], row["kind"], row.get("reason", "")), []).append(
            number
        )
    rounds = zip(*(_padded(group, most) for group in groups.values()), strict=True) if groups else ()
    chosen = [number for turn in rounds for number in turn if number is not None][:most]
    return [rows[number] for number in sorted(chosen)]


def _padded(numbers: list[int], length: int) -> list[int | None]:
    return [*numbers[:length], *([None] * (length - len(numbers)))]


def _candidates(run: RunState, iteration: int, ids: set[str]) -> Candidates:
    def of(kind: str, *key: str) -> dict[Key, str]:
        records = [r for r in run.of(kind) if r.iteration == iteration]
        rows = (row for record in records for row in _of_prompts(run, record, ids, (*key, "text")))
        return {tuple(row[name] for name in key): row["text"] for row in rows if row["text"] is not None}

    recipe = run.recipe
    translated = recipe.parallel
    return Candidates(
        of("prompts", "prompt_id", "language"),
        of("responses", "prompt_id", "language"),
        of("translations", "prompt_id", "source", "target"),
        recipe.languages.dominant if translated else None,
        "the policy" if translated is None or translated.by is None else "another translator",
    )


def _of_prompts(run: RunState, record: Record, ids: set[str], columns: tuple[str, ...]) -> Iterator[dict[str, Any]]:
    """Rows of some prompts."""
    import pyarrow as pa
    import pyarrow.compute as pc

    wanted = pa.array(sorted(ids), pa.string())
    with contextlib.suppress(StoreError):
        for batch in open_artifact(run.where(record)).batches(_LOOKED_AT, columns):
            yield from batch.filter(pc.is_in(batch["prompt_id"], wanted)).to_pylist()


def _of_pair(row: Mapping[str, Any], texts: Candidates) -> tuple[Shown, dict[str, str]]:
    originals = [
        found for side in ("chosen", "rejected") if (found := _original(row["prompt_id"], row[f"{side}_key"], texts))
    ]
    figures = [f"margin {row['margin']:+.3g}"] if row["margin"] is not None else []
    shown = Shown(
        row["pair_id"], row["language"], row["other_language"], row["kind"], cut(row["prompt_text"]) or "",
        cut(row["chosen_text"]), cut(row["rejected_text"]), row["chosen_key"] or "", row["rejected_key"] or "",
        _with_prompt(row, originals, texts), tuple(figures),
        (f"iteration {row['iteration']}", *texts.marks(row)),
    )  # fmt: skip
    margin = "" if row["margin"] is None else f"{row['margin']:.6g}"
    return shown, {**_filters(row), "state": "kept", "margin": margin}


def _of_slot(row: Mapping[str, Any], texts: Candidates, dominant: str) -> tuple[Shown, dict[str, str]] | None:
    """A dropped slot with the sides that it would have had; None where no text of it is known."""
    prompt, language, other = row["prompt_id"], row["language"], row["other_language"]
    own, moved = f"{prompt}/{language}", f"{prompt}/{other}->{language}"
    texts_of = {own: texts.answers.get((prompt, language)), moved: texts.translations.get((prompt, other, language))}
    if not any(texts_of.values()):
        return None
    chosen, rejected = (own, moved) if language == dominant else (moved, own)
    originals = [found for found in [_original(prompt, moved, texts)] if found]
    shown = Shown(
        f"{prompt}/{language}", language, other, row["kind"], cut(texts.prompts.get((prompt, language), "")) or "",
        cut(texts_of[chosen]), cut(texts_of[rejected]), chosen, rejected, _with_prompt(row, originals, texts),
        (), (f"iteration {row['iteration']}", *texts.marks(row)), f"{row['step']}: {row['reason']}",
        row["detail"] or "",
    )  # fmt: skip
    return shown, {**_filters(row), "state": f"{row['step']}: {row['reason']}", "margin": ""}


def _filters(row: Mapping[str, Any]) -> dict[str, str]:
    kind = kind_said(row["kind"], row["language"], row["other_language"])
    return {"language": row["language"], "kind": kind, "iteration": str(row["iteration"])}


def _original(prompt: str, key: str | None, texts: Candidates) -> tuple[str, str, str] | None:
    """What a translated side was made from."""
    source, arrow, _ = (key or "").rpartition("/")[2].partition("->")
    text = texts.answers.get((prompt, source)) if arrow else None
    return (source, "The answer that was translated", cut(text) or "") if text else None


def _with_prompt(
    row: Mapping[str, Any], originals: list[tuple[str, str, str]], texts: Candidates
) -> tuple[tuple[str, str, str], ...]:
    """The originals, with the prompt in their language."""
    codes = [code for code, _, _ in originals]
    if texts.marks(row) and texts.given is not None and texts.given not in codes:
        codes.append(texts.given)
    prompts = [(code, texts.prompts.get((row["prompt_id"], code))) for code in codes]
    return (*((code, "The prompt", cut(text) or "") for code, text in prompts if text), *originals)


def cut(text: str | None) -> str | None:
    """A text that fits; what is cut says so."""
    if text is None or len(text) <= _LONGEST:
        return text
    return f"{text[:_LONGEST]} ... ({len(text):,} characters)"


def choices(rows: Iterable[tuple[Shown, Mapping[str, str]]]) -> dict[str, list[tuple[str, str]]]:
    """Filter -> its values with what they are called; filters with one value are left out."""
    seen: dict[str, dict[str, str]] = {}
    for _, data in rows:
        for name, value in data.items():
            if value and name != "margin":
                seen.setdefault(name, {})[value] = _called(name, value)
    return {name: list(values.items()) for name, values in seen.items() if len(values) > 1}


def _called(name: str, value: str) -> str:
    if name == "language":
        return language_name(value)
    return ("dropped, " if name == "state" and value != "kept" else "") + value.replace("_", " ")
