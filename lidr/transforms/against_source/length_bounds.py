"""How long a translation is against its source, and whether a question stayed a question: measured, by direction.

Characters of a translation for one of English, and the bound: a translation is at most so many times as long, or as
short, as translations of its direction are. Measured on parallel texts: 2,000 Alpagasus instructions and 250 MGSM
problems in eight languages, 805 X-AlpacaEval instructions in five. In no direction between these eight does one of the
2,250 to 3,055 texts lie outside. Both sides get 20 characters more (in English; less where a language needs less),
because one word more or less is much in a short text.

    language    characters  bound    largest measured, in any direction without zh (with zh: 2.8)
    en              1.00     2.2     1.9
    de              1.19     2.2     1.9
    es              1.11     2.2     2.1 (with ja; 2.0 else)
    fr              1.15     2.2     2.0
    ru              1.05     2.2     2.0
    th              0.86     2.2     2.0
    ja              0.48     2.4     2.1
    zh              0.32     3.2     2.8
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, NamedTuple

from lidr.errors import RowError

if TYPE_CHECKING:
    import polars as pl

_SLACK = 20  # characters of English

_END_OF_QUESTION = r"[?？؟]\W*$|か。?\W*$"
_QUESTION = r"[?？؟]|か[。\s]*$"

_UNMARKED = ("th", "lo", "km", "my")
"""Languages that write questions without a mark: whether a text asks cannot be told."""


class Length(NamedTuple):
    """Characters for one of English, and the largest factor between a translation and what is usual."""

    characters: float
    bound: float


LENGTHS: Mapping[str, Length] = {
    "en": Length(1.0, 2.2),
    "de": Length(1.185, 2.2),
    "es": Length(1.114, 2.2),
    "fr": Length(1.153, 2.2),
    "ja": Length(0.477, 2.4),
    "ru": Length(1.047, 2.2),
    "th": Length(0.863, 2.2),
    "zh": Length(0.324, 3.2),
}


def expected_ratio(source: str, target: str, given: Mapping[str, float] | None = None) -> float:
    """Characters of a usual translation for each of its source.

    Args:
        source, target: language codes.
        given: characters for one of English, of languages that are not measured or for which the user knows better.

    Raises:
        RowError: a language is neither measured nor given.

    >>> round(expected_ratio("en", "de"), 3), round(expected_ratio("zh", "en"), 3)
    (1.185, 3.086)
    """
    return _characters(target, given or {}) / _characters(source, given or {})


def bound_of(source: str, target: str) -> float:
    """The largest factor of a direction; of languages that are not measured that of most."""
    return max(LENGTHS.get(code, Length(1.0, 2.2)).bound for code in (source, target))


def translation_length(text: pl.Expr, source: pl.Expr, ratio: float, characters: float) -> pl.Expr:
    """How many times as long as usual a translation is; below 1 it is shorter.

    Args:
        text, source: lengths of translation and source, characters.
        ratio: of the direction, see `expected_ratio`.
        characters: of the target language, for one of English.
    """
    slack = _SLACK * characters
    return (text + slack) / (source * ratio + slack)


def _characters(code: str, given: Mapping[str, float]) -> float:
    found = given.get(code, LENGTHS[code].characters if code in LENGTHS else None)
    if found is None:
        raise RowError(f'no length is measured for "{code}"; measured: {", ".join(LENGTHS)}')
    return found


def target_characters(code: str, given: Mapping[str, float] | None = None) -> float:
    """Characters of a language for one of English; see `expected_ratio`."""
    return _characters(code, given or {})


def is_question(text: pl.Expr) -> pl.Expr:
    """Whether a text ends with a question, as far as its marks say.

    >>> import polars as pl
    >>> pl.select(is_question(pl.lit("Could you tell me when?"))).item()
    True
    """
    return text.str.tail(200).str.strip_chars().str.contains(_END_OF_QUESTION)


def has_question(text: pl.Expr) -> pl.Expr:
    """Whether a text asks anywhere, as far as its marks say."""
    return text.str.contains(_QUESTION)


def marks_questions(language: str) -> bool:
    """Whether a language writes a mark (or a particle at the end) with every question."""
    return language not in _UNMARKED
