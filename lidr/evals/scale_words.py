"""Words of scale that stand beside digits: 3.5万 is 35000, 70 mil is 70000, elfu 70 is 70000.

Han signs count in every language; a language's own words only in it, besides English, since `mil` is a thousand in
Spanish and nothing elsewhere. Words that also name a unit are left out (dozen, m), and 千 is none in 千米 (kilometre).
"""

from __future__ import annotations

import re
from decimal import Decimal
from functools import lru_cache

_HAN = (("[亿億억]", 8), ("[万萬만]", 4), ("千(?![米克瓦卡升焦帕伏])", 3), ("百(?!分)", 2))
_END = r"(?![^\W\d_])"

_WORDS: dict[str, tuple[tuple[str, int], ...]] = {
    "en": (
        (rf"billion{_END}", 9),
        (rf"crores?{_END}", 7),
        (rf"millions?{_END}", 6),
        (rf"lakhs?{_END}", 5),
        (rf"thousand{_END}", 3),
    ),
    "de": (
        (rf"(?:Milliarden?|Mrd){_END}", 9),
        (rf"(?:Million(?:en)?|Mio){_END}", 6),
        (rf"(?:[Tt]ausend|Tsd){_END}", 3),
    ),
    "es": ((rf"mill[oó]n(?:es)?{_END}", 6), (rf"mil{_END}", 3)),
    "fr": ((rf"milliards?{_END}", 9), (rf"millions?{_END}", 6), (rf"mille{_END}", 3)),
    "ru": (
        (rf"(?:миллиард(?:а|ов)?|млрд){_END}", 9),
        (rf"(?:миллион(?:а|ов)?|млн){_END}", 6),
        (rf"(?:тысяч[аиу]?|тыс){_END}", 3),
    ),
    "th": (("ล้าน", 6), ("แสน", 5), ("หมื่น", 4), ("พัน(?!ธ)", 3)),
    "bn": (("কোটি", 7), ("মিলিয়ন|মিলিয়ন", 6), ("লাখ|লক্ষ", 5), ("হাজার", 3)),
    "te": (("కోటి|కోట్లు?", 7), ("మిలియన్", 6), ("లక్షలు?|లక్ష", 5), ("వేలు?|వెయ్యి", 3)),
    "sw": ((rf"bilioni{_END}", 9), (rf"milioni{_END}", 6), (rf"laki{_END}", 5), (rf"elfu{_END}", 3)),
}
_GLUED_K = ("(?<=[0-9])[kK](?![^\\W_])", 3)  # 70k, not 70 k and not 70km
_LATIN = ("en", "de", "es", "fr", "sw")
_BEFORE = ("sw",)


def scale_pattern(language: str) -> tuple[str, str]:
    """Patterns of the words behind a number, and of those before it (empty where a language has none)."""
    behind = "|".join(pattern for pattern, _ in _table(language))
    before = "|".join(pattern for pattern, _ in _WORDS[language]) if language in _BEFORE else ""
    return behind, before


def scale_value(word: str, language: str) -> Decimal:
    """What a word that one of the patterns found multiplies by."""
    return next(Decimal(10) ** power for pattern, power in _compiled(language) if pattern.match(word.strip()))


def _table(language: str) -> tuple[tuple[str, int], ...]:
    own = _WORDS.get(language, ())
    english = _WORDS["en"] if language != "en" else ()
    return (*own, *english, *_HAN, *((_GLUED_K,) if language in _LATIN else ()))


@lru_cache(maxsize=64)
def _compiled(language: str) -> tuple[tuple[re.Pattern[str], int], ...]:
    return tuple((re.compile(pattern.removeprefix("(?<=[0-9])")), power) for pattern, power in _table(language))
