"""language: 1 where an answer is in the language that it was asked in, 0 where it is in another."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from lidr.recipe import Frozen
from lidr.steps.score.scorer import Answer, Scored, Scorer, World


class LanguageScorer(Frozen):
    """Whether answers keep to their prompt's language."""


def score_language(world: World, config: LanguageScorer, asked: Sequence[Answer]) -> Iterator[Scored]:
    """Detect the language of each answer; where it cannot be told, there is no value."""
    import polars as pl

    from lidr.transforms import identify

    texts = pl.Series([answer.text for answer in asked], dtype=pl.String)
    wanted = pl.Series([answer.language for answer in asked], dtype=pl.String)
    found = identify(texts, world.languages, asked=wanted)["language"].to_list()
    for answer, code in zip(asked, found, strict=True):
        if code is None:
            yield Scored(answer, None, "language_not_known")
        else:
            yield Scored(answer, float(code == answer.language), code)


LANGUAGE = Scorer("language", LanguageScorer, score_language)
