"""Training texts that hold a question of a benchmark: so many tokens in a row are the same (as in arXiv 2005.14165).

A token is a word, in lower case and without punctuation; in scripts that are written without spaces a character, of
which more must be the same. A question with fewer tokens counts only where a text is that question whole.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, NamedTuple

import numpy as np
import polars as pl

from lidr.languages import LANGUAGES
from lidr.transforms.shingles import Hashes, normal, shingles

_UNSPACED_SCRIPTS = {"Han", "Hiragana", "Katakana", "Thai", "Lao", "Khmer", "Myanmar"}


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
        >>> look(pl.Series(["Solve: Ann has THREE red apples, and two green pears!", "No apples."]), "en")
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
            n = self.tokens(asked.language)
            found = shingles(normal(pl.Series(asked.texts, dtype=pl.String)), n)
            of_text = np.repeat(np.arange(len(asked.texts)), np.diff(found.offsets))
            parts.setdefault(n, []).append((found.hashes, of_text + len(self._labels)))
            self._labels += [f"{asked.benchmark}/{asked.language} {item}" for item in asked.items]
        self._known = {n: _sorted(found) for n, found in parts.items()}

    def tokens(self, language: str) -> int:
        """How many tokens in a row count, in a language."""
        scripts = LANGUAGES[language].scripts if language in LANGUAGES else ()
        return self.characters if set(scripts) & _UNSPACED_SCRIPTS else self.words

    def __call__(self, texts: pl.Series, language: str, *, is_normal: bool = False) -> list[str | None]:
        """For each text of a language, the first question that it holds: benchmark/language and item."""
        n = self.tokens(language)
        if n not in self._known:
            return [None] * len(texts)
        known, labels = self._known[n]
        found = shingles(texts if is_normal else normal(texts), n)
        at = np.minimum(np.searchsorted(known, found.hashes), len(known) - 1)
        hits = np.flatnonzero(known[at] == found.hashes)
        of_text = np.searchsorted(found.offsets, hits, side="right") - 1
        result: list[str | None] = [None] * len(texts)
        for text, hit in zip(of_text[::-1].tolist(), hits[::-1].tolist(), strict=True):
            result[text] = self._labels[labels[at[hit]]]
        return result


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
