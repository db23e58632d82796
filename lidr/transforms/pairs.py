"""Preference pairs from a policy's own answers and self-translations (arXiv 2410.08964, outline figure).

A policy answers better in its dominant language d than in another language xx. For each prompt x and each xx:

    kind            prompt   chosen              rejected
    dominant        x^d      y^d                 y^xx translated to d
    non_dominant    x^xx     y^d translated      y^xx
                             to xx

Both sides of a pair are in the language of its prompt. One side is always a self-translation; using both kinds is what
keeps "translated" from meaning "chosen".

The unit of account is the slot (prompt, xx, kind). Each of the 2 N L slots ends in exactly one place: it is a pair, or
a dropped row with its reason, or it was not requested by the recipe.
"""

from __future__ import annotations

import zlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import NamedTuple

import polars as pl

from lidr.errors import RowError
from lidr.rows import (
    SAMPLE,
    TRANSLATION_STATUSES,
    UNANSWERED,
    DominantPairs,
    Drop,
    Kind,
    OneLanguage,
    TranslationStatus,
    TranslationTypePolicy,
    Truncated,
)
from lidr.tables import is_blank, same, trimmed

KINDS: tuple[Kind, ...] = ("dominant", "non_dominant")


class PairResult(NamedTuple):
    """Every slot, once: `pairs` and `dropped` hold those requested, `not_requested` the rest and the setting."""

    pairs: pl.DataFrame
    dropped: pl.DataFrame
    not_requested: pl.DataFrame


@dataclass(frozen=True)
class PairRules:
    """What the recipe says about pairs.

    Args:
        dominant, others: codes of the dominant language and of the others, in the recipe's order.
        dominant_pairs: dominant pairs against `all` other languages, against `one`, or `none`.
        one: which one: chosen by a `hash` of the prompt id, or the `last` of `others` (what the authors' code leaves).
        drop: `joint`: when a translation of (prompt, xx) failed in either direction, both of its pairs go (the authors'
            rule); `independent`: only the pair that needs the failed text goes.
        bound: ids of prompts that are themselves bound to a language ("translate this into French"), where translating
            the answer would destroy it.
        translation_type: for bound prompts, the non-dominant pair has the untranslated y^d as chosen (`keep_source`,
            the authors' rule), is not made (`skip`), or is made as any other (`translate`).
        detected: more prompts that are bound to a language, each with the policy that it is sent to; `bound` wins.
        accept: translation statuses whose text may stand in a pair.
        truncated: whether an answer that was cut at max_tokens may stand in a pair.
        seed: for the choice of `one`.
    """

    dominant: str
    others: tuple[str, ...]
    dominant_pairs: DominantPairs = "all"
    drop: Drop = "joint"
    bound: frozenset[str] = frozenset()
    translation_type: TranslationTypePolicy = "keep_source"
    accept: tuple[TranslationStatus, ...] = ("ok",)
    truncated: Truncated = "keep"
    seed: int = 0
    one: OneLanguage = "hash"
    detected: Mapping[str, TranslationTypePolicy] = field(default_factory=dict)

    def are_sent_to(self, policy: TranslationTypePolicy) -> list[str]:
        """Ids of the prompts that are bound to a language and sent to this policy, in order."""
        found = {id for id, sent_to in self.detected.items() if sent_to == policy and id not in self.bound}
        return sorted(found | (self.bound if self.translation_type == policy else set()))


def build_pairs(
    prompts: pl.DataFrame, responses: pl.DataFrame, translations: pl.DataFrame, *, rules: PairRules
) -> PairResult:
    """Join prompts, answers and self-translations into preference pairs, by id, never by position.

    Args:
        prompts, responses, translations: tables as in `lidr.rows`, in any order.
        rules: see PairRules.

    Answers and translations are trimmed alike: translations come without the white space around them, answers as the
    policy ended them, and a line break at the end would tell the sides apart.

    Returns:
        One row for each of the 2 N L slots, in one of three frames, ordered by prompt, other language, kind.

    Raises:
        RowError: a prompt is missing in a language, or stands twice; an answer or a translation stands twice.

    Example:
        >>> rows = {"prompt_id": ["bees"] * 2, "language": ["en", "es"]}
        >>> prompts = pl.DataFrame({**rows, "text": ["What do bees make?", "¿Qué hacen las abejas?"]})
        >>> answers = ["Bees make honey and wax.", "Las abejas hacen miel."]
        >>> responses = pl.DataFrame({**rows, "text": answers, "finish_reason": ["stop"] * 2})
        >>> translations = pl.DataFrame({
        ...     "prompt_id": ["bees"] * 2, "source": ["en", "es"], "target": ["es", "en"], "status": ["ok"] * 2,
        ...     "text": ["Las abejas hacen miel y cera.", "Bees make honey."]})
        >>> result = build_pairs(prompts, responses, translations, rules=PairRules("en", ("es",)))
        >>> for pair in result.pairs.iter_rows(named=True):
        ...     print(pair["kind"], "|", pair["prompt_text"], "|", pair["chosen_text"], "|", pair["rejected_text"])
        dominant | What do bees make? | Bees make honey and wax. | Bees make honey.
        non_dominant | ¿Qué hacen las abejas? | Las abejas hacen miel y cera. | Las abejas hacen miel.
    """
    sides = _gather(prompts, responses, translations, rules)
    slots = pl.concat([_slots(sides, kind, rules) for kind in KINDS]).sort("order", "other_order", "kind")
    requested = slots.filter(pl.col("not_requested").is_null())
    return PairResult(
        pairs=requested.filter(pl.col("reason").is_null()).select(*_NAMED, *_TEXTS),
        dropped=requested.filter(pl.col("reason").is_not_null()).select(*_NAMED, "reason", "detail"),
        not_requested=slots.filter(pl.col("not_requested").is_not_null()).select(
            *_NAMED, reason=pl.col("not_requested")
        ),
    )


_NAMED = ("prompt_id", "language", "other_language", "kind")
_TEXTS = ("prompt_text", "chosen_text", "rejected_text", "chosen_key", "rejected_key")


def _gather(
    prompts: pl.DataFrame, responses: pl.DataFrame, translations: pl.DataFrame, rules: PairRules
) -> pl.DataFrame:
    """One row for each (prompt, xx) with all it needs: x^d x^xx, y^d y^xx, y^(d->xx) y^(xx->d), and what failed."""
    _check_prompts(prompts, rules)
    _check_once(responses, "answers", ("prompt_id", "language"), "{} in {}")
    _check_once(translations, "translations", ("prompt_id", "source", "target"), "{} from {} into {}")
    answers = responses.select(
        "prompt_id",
        "language",
        y=trimmed(pl.col("text")),
        y_failed=_response_failure(rules),
        y_key=_key(_numbered(responses, "language")),
    )
    texts = prompts.select("prompt_id", "language", x="text").join(
        answers, on=["prompt_id", "language"], how="left", maintain_order="left"
    )
    texts = texts.with_columns(
        pl.when(pl.col("y_key").is_null()).then(pl.lit("no_response")).otherwise("y_failed").alias("y_failed")
    )
    d = texts.filter(pl.col("language") == rules.dominant).drop("language").with_row_index("order")
    xx = texts.filter(pl.col("language") != rules.dominant).rename({"language": "other"})
    moved = translations.select(
        "prompt_id",
        "source",
        "target",
        t=trimmed(pl.col("text")),
        t_failed=_translation_failure(rules),
        t_key=_key(_numbered(translations, "source") + "->" + pl.col("target")),
    )
    into = moved.filter(pl.col("source") == rules.dominant).drop("source").rename({"target": "other"})
    back = moved.filter(pl.col("target") == rules.dominant).drop("target").rename({"source": "other"})
    order = pl.DataFrame({"other": rules.others, "other_order": range(len(rules.others))})
    joined = d.join(xx, on="prompt_id", suffix="_xx").join(order, on="other")
    for side, suffix in ((into, "_into"), (back, "_back")):
        joined = joined.join(side, on=["prompt_id", "other"], how="left", suffix=suffix, coalesce=True)
    return joined.rename({"t": "t_into", "t_failed": "t_failed_into", "t_key": "t_key_into"}).with_columns(
        pl.when(pl.col(f"t_key_{side}").is_null())
        .then(pl.lit("no_translation"))
        .otherwise(f"t_failed_{side}")
        .alias(f"t_failed_{side}")
        for side in ("into", "back")
    )


def _numbered(rows: pl.DataFrame, language: str) -> pl.Expr:
    """The language, and which of several answers in it; as `lidr.rows.answer_key` writes them."""
    return pl.col(language) if SAMPLE not in rows.columns else pl.format("{}#{}", language, SAMPLE)


def _key(what: pl.Expr) -> pl.Expr:
    return pl.col("prompt_id") + "/" + what


def _response_failure(rules: PairRules) -> pl.Expr:
    """Why an answer cannot stand in a pair; null when it can."""
    finish = pl.col("finish_reason")
    cut = (finish == "length") & (rules.truncated == "drop")
    return (
        pl.when(finish.is_in(UNANSWERED))
        .then(finish)
        .when(is_blank(pl.col("text")))
        .then(pl.lit("empty_response"))
        .when(cut)
        .then(pl.lit("truncated_response"))
    )


def _translation_failure(rules: PairRules) -> pl.Expr:
    """Why a self-translation cannot stand in a pair; null when it can."""
    status = pl.col("status")
    return (
        pl.when(~status.is_in(rules.accept))
        .then("translation_" + status)
        .when(is_blank(pl.col("text")))
        .then(pl.lit("translation_empty"))
    )


def _slots(sides: pl.DataFrame, kind: Kind, rules: PairRules) -> pl.DataFrame:
    """The slots of one kind: the pair's three texts, or why there is none."""
    keep_source = _is_sent_to(rules, "keep_source")
    translation_failed = pl.coalesce("t_failed_into", "t_failed_back")
    if kind == "dominant":
        language, other = pl.lit(rules.dominant), pl.col("other")
        prompt, chosen, rejected = pl.col("x"), pl.col("y"), pl.col("t_back")
        chosen_key, rejected_key = pl.col("y_key"), pl.col("t_key_back")
        own = pl.coalesce("y_failed", "t_failed_back")
    else:
        language, other = pl.col("other"), pl.lit(rules.dominant)
        prompt, rejected, rejected_key = pl.col("x_xx"), pl.col("y_xx"), pl.col("y_key_xx")
        chosen = pl.when(keep_source).then("y").otherwise("t_into")
        chosen_key = pl.when(keep_source).then("y_key").otherwise("t_key_into")
        own = pl.coalesce("y_failed", pl.when(~keep_source).then("t_failed_into"), "y_failed_xx")
    partner = translation_failed if rules.drop == "joint" else pl.lit(None, pl.String)
    reason = (
        pl.when(own.is_not_null())
        .then(own)
        .when(partner.is_not_null())
        .then(pl.lit("other_direction_failed"))
        .when(same(chosen, rejected))
        .then(pl.lit("identical"))
    )
    return sides.select(
        "order",
        "other_order",
        "prompt_id",
        language=language,
        other_language=other,
        kind=pl.lit(kind),
        prompt_text=prompt,
        chosen_text=chosen,
        rejected_text=rejected,
        chosen_key=chosen_key,
        rejected_key=rejected_key,
        reason=reason,
        detail=pl.when(own.is_null()).then(partner),
        not_requested=_not_requested(kind, rules),
    )


def _is_sent_to(rules: PairRules, policy: TranslationTypePolicy) -> pl.Expr:
    ids = rules.are_sent_to(policy)
    return pl.col("prompt_id").is_in(ids) if ids else pl.lit(False)


def _not_requested(kind: Kind, rules: PairRules) -> pl.Expr:
    """The setting by which the recipe does not ask for a slot; null when it does."""
    none = pl.lit(None, pl.String)
    if kind == "non_dominant":
        return pl.when(_is_sent_to(rules, "skip")).then(pl.lit("translation_type: skip"))
    if rules.dominant_pairs == "none":
        return pl.lit("dominant_pairs: none")
    if rules.dominant_pairs == "one" and rules.one == "last":
        return pl.when(pl.col("other") != rules.others[-1]).then(pl.lit("dominant_pairs: one"))
    if rules.dominant_pairs == "one":
        picked = pl.col("prompt_id").map_elements(lambda id: pick(id, rules.others, rules.seed), return_dtype=pl.String)
        return pl.when(picked != pl.col("other")).then(pl.lit("dominant_pairs: one"))
    return none


def pick(prompt_id: str, others: Sequence[str], seed: int) -> str:
    """The one other language of a prompt under `dominant_pairs: one`: the same on every machine, in any order."""
    return others[zlib.crc32(f"{seed}/{prompt_id}".encode()) % len(others)]


def translated_answers(responses: pl.DataFrame, translations: pl.DataFrame) -> pl.DataFrame:
    """Of several answers to a prompt those that were translated; where each prompt has one answer, all of them."""
    if SAMPLE not in responses.columns:
        return responses
    moved = translations.select("prompt_id", SAMPLE, language="source")
    return responses.join(moved, on=["prompt_id", "language", SAMPLE], how="semi", maintain_order="left")


def reasons_of(rules: PairRules) -> list[str]:
    """Every reason for which a slot may be dropped under these rules."""
    refused = [f"translation_{status}" for status in TRANSLATION_STATUSES if status not in rules.accept]
    return [
        "empty_response",
        *UNANSWERED,
        *(["truncated_response"] if rules.truncated == "drop" else []),
        *refused,
        *(["other_direction_failed"] if rules.drop == "joint" else []),
        "identical",
    ]


def _check_prompts(prompts: pl.DataFrame, rules: PairRules) -> None:
    languages = (rules.dominant, *rules.others)
    counts = (
        prompts.filter(pl.col("language").is_in(languages))
        .group_by("prompt_id")
        .agg(pl.len(), languages=pl.col("language").n_unique())
    )
    wrong = counts.filter((pl.col("len") != len(languages)) | (pl.col("languages") != len(languages)))
    if wrong.height:
        first = ", ".join(wrong["prompt_id"].sort().head(5))
        raise RowError(
            f"{wrong.height} prompts do not stand exactly once in each of {', '.join(languages)}; the first: {first}. "
            "Give every prompt in every language of the recipe, under the same id"
        )


def _check_once(rows: pl.DataFrame, what: str, key: Sequence[str], said: str) -> None:
    """Refuse rows that stand twice: joined, each would make pairs of its own, more than there are slots."""
    twice = rows.group_by(key).len().filter(pl.col("len") > 1).sort(key)
    if twice.height:
        *first, times = twice.row(0)
        raise RowError(
            f"{twice.height} {what} stand more than once; the first: {said.format(*first)}, {times} times. Give each "
            "once: a slot has one pair"
        )
