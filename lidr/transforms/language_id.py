"""Which language and which script a text is written in, on columns.

Any language may be found, not only those of a recipe: a Portuguese answer to a Spanish prompt is Portuguese. Code,
links and mark-up are taken out first, because their letters are English in every language. The answer is a language's
code, "other", or null: it cannot be known, which is never counted as wrong.

    >>> texts = pl.Series(["La respuesta es 18.", "A resposta é 18.", "7 · 6 = 42"])
    >>> identify(texts, ["en"], asked="es")["language"].to_list()
    ['es', 'pt', None]

How one text is told: `lidr.transforms.detection`. What was measured, and on which texts: docs/measured.md.
"""

from __future__ import annotations

import re
from collections.abc import Sequence

import polars as pl

from lidr.errors import RowError
from lidr.language_tags import unknown_language
from lidr.languages import LANGUAGES
from lidr.transforms.detection import CONFIDENCE, decide, decide_code, guess

# Common and Inherited letters (the long-vowel mark of Japanese, mathematical alphabets) tell nothing about the script.
_NO_LETTERS = r"[\P{L}\p{Common}\p{Inherited}]+"

_LETTER = re.compile(r"[^\W\d_]")

_NOT_PROSE = "|".join(
    (
        r"(?s:```.*?(?:```|\z))",  # fenced code, also where the answer was cut inside it
        r"`[^`\n]*`",
        r"[A-Za-z][A-Za-z0-9+.-]*://[!-~]+",  # ASCII only: no space follows a link in Chinese
        r"www\.[!-~]+",
        r"[A-Za-z0-9._%+-]+@[A-Za-z0-9.-]+",
        r"</?[A-Za-z][^<>\n]*>",
        r"\\[A-Za-z]+",  # TeX commands
    )
)


def prose(text: pl.Expr) -> pl.Expr:
    """The text without code, links, mark-up and TeX commands, each replaced by a space."""
    return text.str.replace_all(_NOT_PROSE, " ")


def letters(text: pl.Expr) -> pl.Expr:
    """The letters of the text that belong to a script, one after another; no digits, signs, vowel marks or emoji."""
    return text.str.replace_all(_NO_LETTERS, "")


def script_share(text: pl.Expr, *languages: str) -> pl.Expr:
    """Share, 0-1, of the letters that belong to the scripts of `languages`; null where the text has no letters.

    >>> pl.select(script_share(pl.lit("мёд и wax"), "ru")).item()  # 4 of 7
    0.5714285714285714
    """
    found = letters(text)
    all_letters, others = found.str.len_chars(), found.str.replace_all(rf"[{_scripts(languages)}]+", "").str.len_chars()
    return pl.when(all_letters > 0).then((all_letters - others) / all_letters)


def has_other_script(text: pl.Expr, *languages: str) -> pl.Expr:
    """Whether `script_share` is below 1, three times as fast."""
    return text.str.contains(rf"[\p{{L}}--[\p{{Common}}\p{{Inherited}}{_scripts(languages)}]]")


def _scripts(languages: Sequence[str]) -> str:
    scripts = sorted({script for code in languages for script in LANGUAGES[code].scripts})
    return "".join(rf"\p{{{script}}}" for script in scripts)


def identify(
    texts: pl.Series,
    candidates: Sequence[str],
    *,
    asked: str | pl.Series | None = None,
    confidence: float = CONFIDENCE,
) -> pl.DataFrame:
    """Tell the language of each text.

    Args:
        texts: strings; null cannot be known.
        candidates: codes between which a text is told that was asked for in no language; English is always one. Where a
            language is asked for, every other is a candidate anyway, and these are not looked at.
        asked: code of the language that the texts should be in, or one for each text. A short text without a sign of
            another language is in it. None: no language in particular; then one that is no candidate is "other".
        confidence: 0-1; how sure another language than the asked one must be.

    Returns:
        One row a text, in order. `language`: a code, "other" (another, and which cannot be said), or null.
        `confidence`: 0-1: in the asked language, that it is no other; in another, that it is not the asked one; null
        where nothing was guessed.

    Raises:
        RowError: a code that is not in the table of languages, or nothing asked and no candidate but English.
    """
    codes = _checked(candidates, asked)
    read = pl.DataFrame({"text": texts}, schema={"text": pl.String}).select(prose(pl.col("text"))).to_series()
    wanted: Sequence[str | None] = asked.to_list() if isinstance(asked, pl.Series) else [asked] * len(read)
    rows = [
        (None, None)
        if text is None
        else guess(text, codes, confidence=confidence)
        if code is None
        else decide(text, code, confidence=confidence)
        if whole is None or _LETTER.search(text)
        else decide_code(whole, code)
        for whole, text, code in zip(texts, read, wanted, strict=True)
    ]
    return pl.DataFrame(rows, schema={"language": pl.String, "confidence": pl.Float64}, orient="row")


def language_of(text: str, candidates: Sequence[str], *, asked: str | None = None) -> str | None:
    """The language of one text: a code, "other", or None where it cannot be known. For columns use `identify`.

    >>> language_of("Bienen stellen Honig und Wachs her.", ["de", "ru"])
    'de'
    """
    language: str | None = identify(pl.Series([text], dtype=pl.String), candidates, asked=asked)["language"].item()
    return language


def _checked(candidates: Sequence[str], asked: str | pl.Series | None) -> tuple[str, ...]:
    wanted = asked.unique().to_list() if isinstance(asked, pl.Series) else [asked] * (asked is not None)
    if unknown := [code for code in (*candidates, *wanted) if code not in LANGUAGES]:
        raise RowError(f"cannot identify languages: {unknown_language(str(unknown[0]))}")
    codes = tuple(sorted({*candidates, "en"}))
    if asked is None and len(codes) < 2:
        raise RowError('cannot identify languages: the only candidate is "en"; give at least one other language')
    return codes
