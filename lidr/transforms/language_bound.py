"""Prompts whose right answer is bound to the language it is written in, found by lists of rules that anybody can read.

"Translate the following phrase into French": its answer, translated, answers another prompt. So does a rhyme, a
synonym, a sentence in the passive voice. A rule is a regular expression with a name, a class and a score: how sure a
hit is. A prompt's score is that of its surest hit.

    >>> rules = [Rule("translate", "translation", 1.0, r"\\btranslat(e|es|ing)\\b"), Rule("poem", "verse", 0.5, "poem")]
    >>> detect(pl.Series(["Translate this poem.", "Name a bee."]), rules, threshold=0.8).rows()
    [(['translate', 'poem'], 1.0, ['translation']), ([], 0.0, [])]

The lists stand in recipes/data/language_bound/LANG.yaml; how well the English one finds what it should is measured in
tests/transforms/language_bound.json.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import get_args

import polars as pl

from lidr.errors import RowError
from lidr.rows import BoundClass, TranslationTypePolicy

BOUND_CLASSES: tuple[BoundClass, ...] = get_args(BoundClass)

_STRICTNESS: tuple[TranslationTypePolicy, ...] = ("translate", "keep_source", "skip")


@dataclass(frozen=True)
class Rule:
    """One rule: `pattern` in the syntax of Rust's regular expressions, blind to case; `score` 0-1."""

    name: str
    bound_class: BoundClass
    score: float
    pattern: str


def detect(texts: pl.Series, rules: Sequence[Rule], *, threshold: float) -> pl.DataFrame:
    """Try every rule on every text.

    Args:
        texts: prompts in the language of the rules.
        rules: in the order in which hits are named.
        threshold: 0-1; a class is found where one of its rules with at least this score hits.

    Returns:
        One row a text, in order: `rules`, the names of those that hit; `score`, the highest of theirs, or 0; `classes`,
        those found.

    Raises:
        RowError: a pattern is no regular expression; the message names its rule.
    """
    frame = texts.alias("text").to_frame()
    hits = frame.select(_hit(frame, rule) for rule in rules)
    frame = pl.concat([frame, hits], how="horizontal")
    score = pl.max_horizontal(pl.lit(0.0), *(pl.when(pl.col(rule.name)).then(rule.score) for rule in rules))
    sure = [rule for rule in rules if rule.score >= threshold]
    classes = [
        pl.when(pl.any_horizontal(False, *(pl.col(rule.name) for rule in sure if rule.bound_class == name))).then(
            pl.lit(name)
        )
        for name in BOUND_CLASSES
    ]
    names = [pl.when(pl.col(rule.name)).then(pl.lit(rule.name)) for rule in rules]
    return frame.select(
        rules=pl.concat_list(*names).list.drop_nulls() if names else pl.lit([], pl.List(pl.String)),
        score=score,
        classes=pl.concat_list(*classes).list.drop_nulls(),
    )


def _hit(frame: pl.DataFrame, rule: Rule) -> pl.Series:
    try:
        return frame["text"].str.contains(f"(?i){rule.pattern}").fill_null(False).alias(rule.name)
    except pl.exceptions.ComputeError as error:
        reason = str(error).splitlines()[-1].strip()
        raise RowError(
            f"rule {rule.name}: {rule.pattern!r} is no regular expression ({reason}); Rust's syntax has no look-ahead "
            "and no back-references"
        ) from None


def policy_of(
    classes: Iterable[str], policies: Mapping[BoundClass, TranslationTypePolicy], default: TranslationTypePolicy
) -> TranslationTypePolicy:
    """The policy of a prompt of these classes: the strictest of theirs (skip, then keep_source, then translate).

    >>> policy_of(["verse", "translation"], {"verse": "skip"}, "keep_source")
    'skip'
    """
    found = [policies.get(name, default) for name in classes]  # type: ignore[call-overload]  # a class by its name
    return max(found, key=_STRICTNESS.index, default="translate")


def count_hits(found: pl.DataFrame) -> Counter[str]:
    """How many texts each rule hit."""
    return Counter(found["rules"].explode(empty_as_null=False).drop_nulls().to_list())
