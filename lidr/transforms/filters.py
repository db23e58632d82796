"""Filters of preference pairs: each names its reason and the value that it measured. All are off until asked for.

    reason              a pair is dropped when
    only                the recipe wants pairs of some languages or kinds alone, for an ablation, and this is none
    repetition_lines    one line with a letter or digit stands so many times in chosen or in rejected
    repetition_ngram    repeated n-grams cover more than a share of the tokens of chosen or of rejected
    length_ratio        chosen / rejected, in characters, lies outside min..max
    copied_source       chosen or rejected is the prompt again
    translation_length  the translated side is much longer or shorter than translations of its direction are
    lost_question       the translated side asks nothing, and its source ends with a question: it may be an answer
    script_share        too few letters of chosen are in the scripts of the pair's language
    language            chosen is confidently in another language than the pair's
    duplicates          prompt, chosen and rejected are all those of an earlier pair that was kept

A pair is dropped by the first of these that applies, in this order.

Both sides are looked at where a text is damaged rather than weak: a policy that loops, or says its prompt again, tells
nothing about languages, and such texts are long, so they outweigh others in a loss that sums over tokens. Script and
language are asked of chosen alone: a rejected answer in the wrong language is a fair weaker answer, and the method is
there to unlearn it. `language_of="both"` asks them of rejected too.

Seconds of CPU for 100,000 pairs of 1,597 + 1,345 characters (data/llama3_m0: Llama-3-8B-Instruct's self-translations to
French and its answers, repeated), two cores: repetition_lines 1.1, repetition_ngram 5.4, length_ratio 0.1,
copied_source 1.2, script_share 0.6, duplicates 0.2; language: see docs/measured.md. Memory is
that of one batch.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import partial, reduce
from types import MappingProxyType
from typing import Literal, NamedTuple

import polars as pl

from lidr.languages import LANGUAGES
from lidr.rows import SAMPLE, Dropped, Kind
from lidr.transforms.against_source import (
    bound_of,
    expected_ratio,
    has_question,
    is_copy,
    is_question,
    marks_questions,
    may_be_copy,
    target_characters,
    translation_length,
)
from lidr.transforms.language_id import has_other_script, identify, prose, script_share

Side = Literal["chosen", "rejected"]
BOTH: tuple[Side, ...] = ("chosen", "rejected")

Measure = Callable[[pl.DataFrame], pl.Series]
"""Pairs -> for each pair, null, or the detail of why it is dropped."""

SideMeasure = Callable[[pl.DataFrame, Side], pl.Series]
"""The same, of one side of the pairs."""

_BATCH = 1_024  # pairs at once: bounds the memory of their tokens, some 100 MB for answers of 1,500 characters
_BASE = 0x9E3779B97F4A7C15  # 2^64 divided by the golden ratio, odd
_LINE_SHOWN = 40  # characters of a repeated line in a detail

# Scripts written without spaces between words: each character is a token.
_UNSPACED = r"\p{Han}\p{Hiragana}\p{Katakana}\p{Thai}\p{Lao}\p{Khmer}\p{Myanmar}"


class SourceFacts(NamedTuple):
    """What is asked of a translation against its source.

    Args:
        facts: one row for each response: `prompt_id`, `source` (language), `source_chars`, `source_asks`.
        length: whether lengths are compared.
        factor: the largest factor between a translation and what is usual; None: as measured, by direction.
        characters: of languages, for one of English, where the user knows them.
        questions: whether a question must stay one.
    """

    facts: pl.DataFrame
    length: bool = False
    factor: float | None = None
    characters: Mapping[str, float] = MappingProxyType({})
    questions: bool = False


class FilterResult(NamedTuple):
    """The pairs that passed, unchanged, and a dropped row (rows.Dropped) for each other, both in the pairs' order."""

    kept: pl.DataFrame
    dropped: pl.DataFrame


class NgramLimit(NamedTuple):
    """At most `share` (0-1) of a text's tokens may lie in n-grams of `n` tokens that stood before in the text."""

    n: int
    share: float


@dataclass(kw_only=True)
class PairFilter:
    """The filters that a recipe asks for, applied to one frame of pairs after another.

    Args:
        languages: the recipe's language codes, between which `language` decides.
        only_languages: non-dominant languages whose pairs pass, of both kinds; empty: all.
        only_kinds: kinds of pairs that pass; empty: both.
        repetition_lines: so many equal lines in one text are too many; the authors' (uncalled) helper has 5. Lines
            without a letter or digit never count: of the GPT-4 answers of X-AlpacaEval that repeat a line 5 times, more
            than half repeat a brace or a fence of code.
        repetition_ngram: see NgramLimit. In Llama-3-8B-Instruct's 1,000 English answers repeated 8-grams cover nothing
            in nine of ten, 0.09 at the 99th percentile and 0.39 at most.
        length_ratio: smallest and largest quotient that pass.
        copied_source, duplicates: on or off.
        repeated: of all pairs that will come, what `Repeats` found; None: unknown, so every pair is remembered.
        against_source: what is asked of translations; None asks nothing.
        script_share: 0-1, the smallest share that passes; texts without letters outside code and links pass.
        language_confidence: 0-1, how sure another language must be; `language_id` has measured .8 and .9.
        language_of: the sides that `script_share` and `language` look at.

    Calling it gives a FilterResult. Only `duplicates` remembers earlier frames.

    Example:
        >>> pair = {"prompt_id": "1", "language": "es", "other_language": "en", "kind": "non_dominant", "iteration": 1,
        ...         "prompt_text": "¿Qué hacen las abejas?", "chosen_text": "Miel y cera.", "rejected_text": "No"}
        >>> PairFilter(languages=["en", "es"], length_ratio=(0.2, 5.0))(pl.DataFrame([pair])).dropped["detail"].item()
        'chosen is 6.0 times as long as rejected (12 / 2 characters); at most 5.0'
    """

    languages: Sequence[str]
    only_languages: Sequence[str] = ()
    only_kinds: Sequence[Kind] = ()
    repetition_lines: int | None = None
    repetition_ngram: NgramLimit | None = None
    length_ratio: tuple[float, float] | None = None
    copied_source: bool = False
    against_source: SourceFacts | None = None
    script_share: float | None = None
    language_confidence: float | None = None
    language_of: Literal["chosen", "both"] = "chosen"
    duplicates: bool = False
    repeated: frozenset[int] | None = None
    _seen: dict[int, str] = field(default_factory=dict, init=False, repr=False)

    def __call__(self, pairs: pl.DataFrame) -> FilterResult:
        """Sort out one frame with the columns of rows.Pair."""
        asked = self._asked()
        results = [_sort_out(batch, asked) for batch in pairs.iter_slices(_BATCH)]
        return FilterResult(
            pl.concat([pairs.clear(), *(result.kept for result in results)]),
            pl.concat([_no_drops(), *(result.dropped for result in results)]),
        )

    @property
    def reasons(self) -> list[str]:
        """The reasons for which a pair may be dropped, in the order in which they are tried."""
        return [reason for reason, _ in self._asked()]

    def _asked(self) -> list[tuple[str, Measure]]:
        """The filters that are on, each with its reason, in the fixed order."""
        asked: list[tuple[str, Measure]] = []
        in_language: tuple[Side, ...] = BOTH if self.language_of == "both" else ("chosen",)

        def ask(reason: str, measure: SideMeasure, sides: Sequence[Side] = BOTH) -> None:
            asked.append((reason, partial(_any_side, measure=measure, sides=sides)))

        if self.only_languages or self.only_kinds:
            asked.append(("only", partial(_only, languages=self.only_languages, kinds=self.only_kinds)))
        if self.repetition_lines is not None:
            ask("repetition_lines", partial(_repetition_lines, times=self.repetition_lines))
        if self.repetition_ngram is not None:
            ask("repetition_ngram", partial(_repetition_ngram, limit=self.repetition_ngram))
        if self.length_ratio is not None:
            asked.append(("length_ratio", partial(_length_ratio, bounds=self.length_ratio)))
        if self.copied_source:
            ask("copied_source", _copied_source)
        if self.against_source is not None:
            if self.against_source.length:
                ask("translation_length", partial(_translation_length, against=self.against_source))
            if self.against_source.questions:
                ask("lost_question", partial(_lost_question, against=self.against_source))
        if self.script_share is not None:
            ask("script_share", partial(_script_share, least=self.script_share), in_language)
        if self.language_confidence is not None:
            sure = partial(_language, languages=self.languages, confidence=self.language_confidence)
            ask("language", sure, in_language)
        if self.duplicates:
            asked.append(("duplicates", partial(_duplicates, seen=self._seen, repeated=self.repeated)))
        return asked


def _sort_out(pairs: pl.DataFrame, asked: Sequence[tuple[str, Measure]]) -> FilterResult:
    """Measure with one filter after another, each time only the pairs that have passed so far."""
    rest = pairs.with_row_index("row")
    dropped = []
    for reason, measure in asked:
        verdict = rest.with_columns(step=pl.lit("filter"), reason=pl.lit(reason), detail=measure(rest))
        failed = pl.col("detail").is_not_null()
        dropped.append(verdict.filter(failed).select("row", *_no_drops().columns))
        rest = verdict.filter(~failed).select(rest.columns)
    in_order = pl.concat(dropped).sort("row").drop("row") if dropped else _no_drops()
    return FilterResult(rest.drop("row"), in_order.cast({"iteration": pl.Int32}))


def _no_drops() -> pl.DataFrame:
    return pl.DataFrame(Dropped.schema.empty_table())


def repeated_line(texts: pl.Series, times: int) -> pl.DataFrame:
    """The line that stands most often in each text.

    Returns:
        One row a text, in order: `line`, stripped, and `count`; null where no line with a letter or digit stands so
        many times.

    >>> repeated_line(pl.Series(["No.\\n}\\nNo.\\n}\\n}"]), 2).row(0)
    ('No.', 2)
    """
    frame = texts.alias("line").to_frame().with_row_index("row")
    lines = (
        frame.filter(pl.col("line").str.count_matches("\n", literal=True) >= times - 1)
        .with_columns(pl.col("line").str.split("\n"))
        .explode("line")
        .with_columns(pl.col("line").str.strip_chars())
        .filter(pl.col("line").str.contains(r"[\p{L}\p{N}]"))
    )
    counts = lines.group_by("row", "line").agg(count=pl.len()).filter(pl.col("count") >= times)
    most = counts.sort("row", "count", "line", descending=[False, True, False]).unique("row", keep="first")
    return frame.select("row").join(most, on="row", how="left", maintain_order="left").drop("row")


def ngram_share(texts: pl.Series, n: int) -> pl.Series:
    """Share, 0-1, of each text's tokens that lie in an n-gram that stood before in the text; 0 for short and null ones.

    Tokens are what stands between spaces, and in scripts without spaces single characters.

    >>> ngram_share(pl.Series(["a b a b c", "你好你好"]), 2).to_list()  # the second "a b"; the second "你好"
    [0.4, 0.5]
    """
    frame = texts.alias("token").to_frame().with_row_index("row")
    spaced = pl.col("token").str.replace_all(rf"[{_UNSPACED}]", " $0 ").str.replace_all(r"[\s&&[^ ]]+", " ")
    tokens = frame.with_columns(spaced.str.split(" ")).explode("token").filter(pl.col("token") != "")
    tokens = tokens.select("row", token=pl.col("token").hash())
    # an n-gram is a number: its tokens' hashes and its text's row as digits, modulo 2^64, of an odd base
    digits = [pl.col("row").cast(pl.UInt64), *(pl.col("token").shift(-ahead) for ahead in range(n))]
    gram = reduce(lambda number, digit: number * pl.lit(_BASE, pl.UInt64) + digit, digits)
    inside = (pl.col("row").shift(1 - n) == pl.col("row")).fill_null(False)  # not across two texts
    starts = tokens.select("row", starts=(inside & ~gram.is_first_distinct()).cast(pl.UInt8))
    covered = starts.select("row", covered=pl.col("starts").rolling_max(n, min_samples=1))
    shares = covered.group_by("row").agg(share=pl.col("covered").mean())
    joined = frame.select("row").join(shares, on="row", how="left", maintain_order="left")
    return joined["share"].fill_null(0.0)


def _only(pairs: pl.DataFrame, *, languages: Sequence[str], kinds: Sequence[Kind]) -> pl.Series:
    other = pl.when(pl.col("kind") == "dominant").then("other_language").otherwise("language")
    is_asked = (other.is_in(languages) if languages else pl.lit(True)) & (
        pl.col("kind").is_in(kinds) if kinds else pl.lit(True)
    )
    wanted = " and ".join(" or ".join(names) for names in (languages, kinds) if names)
    return pairs.select(pl.when(~is_asked).then(pl.format(f"{{}}, {{}}; only {wanted}", other, "kind"))).to_series()


def _any_side(pairs: pl.DataFrame, *, measure: SideMeasure, sides: Sequence[Side]) -> pl.Series:
    """For each pair, the detail of the first of these sides that has one."""
    return pl.select(pl.coalesce(*(measure(pairs, side) for side in sides))).to_series()


def _repetition_lines(pairs: pl.DataFrame, side: Side, *, times: int) -> pl.Series:
    text = f'{side} has the line "{{}}" {{}} times; fewer than {times} pass'
    found = repeated_line(pairs[f"{side}_text"], times)
    return found.select(pl.format(text, pl.col("line").str.head(_LINE_SHOWN), "count")).to_series()


def _repetition_ngram(pairs: pl.DataFrame, side: Side, *, limit: NgramLimit) -> pl.Series:
    text = f"repeated {limit.n}-grams cover {{}} of {side}; at most {limit.share}"
    share = pl.lit(ngram_share(pairs[f"{side}_text"], limit.n))
    return pl.select(pl.when(share > limit.share).then(pl.format(text, share.round(3)))).to_series()


def _length_ratio(pairs: pl.DataFrame, *, bounds: tuple[float, float]) -> pl.Series:
    chosen, rejected = pl.col("chosen_text").str.len_chars(), pl.col("rejected_text").str.len_chars()
    ratio = chosen / rejected
    measured = pl.format(
        "chosen is {} times as long as rejected ({} / {} characters); ", ratio.round_sig_figs(3), chosen, rejected
    )
    detail = (
        pl.when(rejected == 0)
        .then(pl.lit("rejected is empty"))
        .when(ratio < bounds[0])
        .then(measured + pl.lit(f"at least {bounds[0]}"))
        .when(ratio > bounds[1])
        .then(measured + pl.lit(f"at most {bounds[1]}"))
    )
    return pairs.select(detail).to_series()


def _copied_source(pairs: pl.DataFrame, side: Side) -> pl.Series:
    text, prompt = pl.col(f"{side}_text"), pl.col("prompt_text")
    copied = pairs.filter(may_be_copy(text, prompt)).filter(is_copy(text, prompt))
    return _at_rows(pairs, copied.select("row", detail=pl.lit(f"{side} is the prompt again")))


def source_facts(responses: pl.DataFrame) -> pl.DataFrame:
    """What `SourceFacts.facts` keeps of responses: `prompt_id`, `language`, `text`; no text is kept."""
    text = pl.col("text")
    return responses.select(
        "prompt_id",
        source="language",
        sample=pl.col(SAMPLE).cast(pl.String) if SAMPLE in responses.columns else pl.lit(None, pl.String),
        source_chars=text.str.strip_chars().str.len_chars(),
        source_asks=is_question(text),
    )


def _with_source(pairs: pl.DataFrame, side: Side, against: SourceFacts) -> pl.DataFrame:
    """The pairs whose side is a translation, by `row`, with `source`, `target` and the facts of its source."""
    parts = pl.col(f"{side}_key").str.extract_groups(r"/(?<source>[^/#]+)(?:#(?<sample>\d+))?->(?<target>[^/]+)$")
    found = pairs.select("row", "prompt_id", parts.alias("key"), text=pl.col(f"{side}_text").str.strip_chars())
    translated = found.unnest("key").filter(pl.col("source").is_not_null())
    on = ["prompt_id", "source", "sample"]
    return translated.join(against.facts, on=on, how="inner", nulls_equal=True, maintain_order="left")


def _translation_length(pairs: pl.DataFrame, side: Side, *, against: SourceFacts) -> pl.Series:
    details = []
    found = _with_source(pairs, side, against)
    for source, target in found.select("source", "target").unique().sort("source", "target").iter_rows():
        of = found.filter((pl.col("source") == source) & (pl.col("target") == target))
        bound = against.factor or bound_of(source, target)
        ratio = expected_ratio(source, target, against.characters)
        chars = pl.col("text").str.len_chars()
        times = translation_length(chars, pl.col("source_chars"), ratio, target_characters(target, against.characters))
        said = pl.format(
            f"{side} is {{}} times as long as translations {source} -> {target} are ({{}} of {{}} characters); "
            f"between {1 / bound:.2f} and {bound} pass",
            times.round_sig_figs(3),
            chars,
            "source_chars",
        )
        details.append(of.select("row", detail=said, times=times).filter(~pl.col("times").is_between(1 / bound, bound)))
    return _at_rows(pairs, *(one.select("row", "detail") for one in details))


def _lost_question(pairs: pl.DataFrame, side: Side, *, against: SourceFacts) -> pl.Series:
    found = _with_source(pairs, side, against)
    marked = [code for code in found["target"].unique() if marks_questions(code)]
    lost = found.filter(pl.col("source_asks") & pl.col("target").is_in(marked) & ~has_question(pl.col("text")))
    said = pl.format(f"{side} asks nothing, and its source ({{}}) ends with a question", "source")
    return _at_rows(pairs, lost.select("row", detail=said))


def _script_share(pairs: pl.DataFrame, side: Side, *, least: float) -> pl.Series:
    text = pl.col(f"{side}_text")
    details = []
    for code in pairs["language"].unique():  # each text is searched for the scripts of its own language only
        scripts = " or ".join(LANGUAGES[code].scripts)
        said = f"{{}} of the letters of {side} are {scripts}, the script of {code}; at least {least}"
        mixed = pairs.filter(pl.col("language") == code).filter(has_other_script(text, code))
        low = mixed.select("row", share=script_share(prose(text), code)).filter(pl.col("share") < least)
        details.append(low.select("row", detail=pl.format(said, pl.col("share").round(3))))
    return _at_rows(pairs, *details)


def _at_rows(pairs: pl.DataFrame, *details: pl.DataFrame) -> pl.Series:
    """The details, known by `row`, one for each pair; null for the others."""
    found = pl.concat([pl.DataFrame(schema={"row": pl.UInt32, "detail": pl.String}), *details])
    return pairs.select("row").join(found, on="row", how="left", maintain_order="left")["detail"]


def _language(pairs: pl.DataFrame, side: Side, *, languages: Sequence[str], confidence: float) -> pl.Series:
    found = identify(pairs[f"{side}_text"], languages, asked=pairs["language"], confidence=confidence)
    text = f"{side} is in {{}} with confidence {{}} (at least {confidence}); the pair is in {{}}"
    detail = pl.format(text, "found", pl.col("confidence").round(3), "language")
    joined = found.rename({"language": "found"}).with_columns(pairs["language"])
    return joined.select(pl.when(pl.col("found") != pl.col("language")).then(detail)).to_series()


class Repeats:
    """Which texts come more than once among all pairs: eight bytes of each pair are held until all are known."""

    COLUMNS = ("prompt_text", "chosen_text", "rejected_text")
    """What is looked at."""

    def __init__(self) -> None:
        self._keys: list[pl.Series] = []

    def add(self, pairs: pl.DataFrame) -> None:
        """Look at some pairs."""
        self._keys.append(pairs.select(_texts_key()).to_series())

    @property
    def found(self) -> frozenset[int]:
        """Keys of the texts that come more than once."""
        if not self._keys:
            return frozenset()
        keys = pl.concat(self._keys).sort()
        return frozenset(keys.filter(keys == keys.shift(1)).to_list())


def _texts_key() -> pl.Expr:
    return pl.struct(Repeats.COLUMNS).hash()


def _duplicates(pairs: pl.DataFrame, *, seen: dict[int, str], repeated: frozenset[int] | None) -> pl.Series:
    slot = pl.format("{} ({}, {})", "prompt_id", "language", "other_language")
    details = []
    for key, name in pairs.select(_texts_key().alias("key"), slot.alias("name")).iter_rows():
        details.append(f"prompt, chosen and rejected are those of {seen[key]}" if key in seen else None)
        if repeated is None or key in repeated:
            seen.setdefault(key, name)
    return pl.Series(details, dtype=pl.String)
