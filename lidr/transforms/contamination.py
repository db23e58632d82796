"""Training texts that hold a question of a benchmark: so many tokens in a row are the same (as in arXiv 2005.14165).

A token is a word, in lower case and without punctuation; in scripts that are written without spaces a character, of
which more must be the same. A question with fewer tokens counts only where a text is that question whole. Each question
is looked for in every text, whatever language the text is said to be in: answers quote, and prompts ask to translate.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, NamedTuple

import numpy as np
import polars as pl

from lidr.transforms.text_shingles import UNSPACED, Hashes, normal, shingles


class Questions(NamedTuple):
    """The questions of one benchmark in one language: parallel lists."""

    benchmark: str
    language: str
    items: Sequence[str]
    texts: Sequence[str]


@dataclass
class Contamination:
    """Looks for benchmark questions in texts.

    Args:
        questions: what must not be trained on.
        words: tokens in a row, in scripts with spaces.
        characters: the same in scripts without.

    Example:
        >>> asked = Questions("mgsm", "en", ["7"], ["Ann has three red apples and two green pears in a big basket."])
        >>> look = Contamination([asked], words=8)
        >>> look(pl.Series(["Solve: Ann has THREE red apples, and two green pears!", "No apples."]))
        ['mgsm/en 7', None]
    """

    questions: Sequence[Questions]
    words: int = 13
    characters: int = 26
    _known: dict[int, tuple[Hashes, np.ndarray[Any, np.dtype[np.int64]]]] = field(init=False, repr=False)
    _labels: list[str] = field(init=False, repr=False)

    def __post_init__(self) -> None:
        """Hash every question once."""
        self._labels = []
        parts: dict[int, list[tuple[Hashes, Any]]] = {}
        for asked in self.questions:
            texts = normal(pl.Series(asked.texts, dtype=pl.String))
            by_characters = _without_spaces(texts)
            for n, is_of in ((self.words, ~by_characters), (self.characters, by_characters)):
                found = shingles(texts.filter(is_of), n)
                of_text = np.repeat(is_of.arg_true().to_numpy(), np.diff(found.offsets))
                if len(of_text):
                    parts.setdefault(n, []).append((found.hashes, of_text + len(self._labels)))
            self._labels += [f"{asked.benchmark}/{asked.language} {item}" for item in asked.items]
        self._known = {n: _sorted(found) for n, found in parts.items()}

    def __call__(self, texts: pl.Series, *, is_normal: bool = False) -> list[str | None]:
        """For each text, the first question that it holds, words before characters: benchmark/language and item."""
        normed = texts if is_normal else normal(texts)
        result: list[str | None] = [None] * len(texts)
        for n in self._known:
            rows = np.arange(len(texts)) if n == self.words else _with_any(normed)
            for row, label in self._held(normed, rows, n):
                result[row] = result[row] or label
        return result

    def _held(self, texts: pl.Series, rows: Any, n: int) -> Iterator[tuple[int, str]]:
        """Row and label of each text's first question of so many tokens."""
        known, labels = self._known[n]
        found = shingles(texts.gather(rows), n)
        at = np.minimum(np.searchsorted(known, found.hashes), len(known) - 1)
        hits = np.flatnonzero(known[at] == found.hashes)
        of_text, first = np.unique(np.searchsorted(found.offsets, hits, side="right") - 1, return_index=True)
        for text, hit in zip(of_text.tolist(), hits[first].tolist(), strict=True):
            yield int(rows[text]), self._labels[labels[at[hit]]]


def _without_spaces(texts: pl.Series) -> pl.Series:
    """Whether most of a text's letters are of scripts without spaces."""
    return texts.str.count_matches(f"[{UNSPACED}]") * 2 > texts.str.count_matches("[^ ]")


def _with_any(texts: pl.Series) -> Any:
    """Rows of the texts that hold a letter of such a script."""
    return texts.str.contains(f"[{UNSPACED}]").arg_true().to_numpy()


def _sorted(parts: Sequence[tuple[Hashes, Any]]) -> tuple[Hashes, Any]:
    hashes, labels = (np.concatenate(column) for column in zip(*parts, strict=True))
    unique, first = np.unique(hashes, return_index=True)
    return unique, labels[first]


def report(hits: Mapping[str, int], questions: Sequence[Questions]) -> list[dict[str, Any]]:
    """What went and against what: one row for each benchmark and language.

    Args:
        hits: label of a question -> how many pairs held it.
    """
    rows = []
    for asked in questions:
        found = [hits.get(f"{asked.benchmark}/{asked.language} {item}", 0) for item in asked.items]
        rows.append(
            {
                "benchmark": asked.benchmark,
                "language": asked.language,
                "questions": len(asked.items),
                "questions_found": sum(count > 0 for count in found),
                "pairs": sum(found),
            }
        )
    return rows
