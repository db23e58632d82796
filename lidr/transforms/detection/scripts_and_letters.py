"""What the letters of a text say by themselves: which script, and whether one is there that a language never writes.

>>> [script_of(letter) for letter in "aя字のカ한ক1"]
['LATIN', 'CYRILLIC', 'CJK', 'HIRAGANA', 'KATAKANA', 'HANGUL', 'BENGALI', '']
>>> sorted(writers("і", ["ru", "uk", "be", "bg"]))
['be', 'uk']
"""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Iterable
from functools import lru_cache

SCRIPTS: dict[str, tuple[str, ...]] = {
    "ARABIC": ("ar", "fa", "ur", "ps", "sd", "ug"),
    "ARMENIAN": ("hy",),
    "BENGALI": ("bn", "as"),
    "CJK": ("zh", "ja"),
    "CYRILLIC": ("ru", "uk", "be", "bg", "sr", "mk", "kk", "ky", "mn", "tt", "tg"),
    "DEVANAGARI": ("hi", "mr", "ne"),
    "ETHIOPIC": ("am", "ti"),
    "GEORGIAN": ("ka",),
    "GREEK": ("el",),
    "GUJARATI": ("gu",),
    "GURMUKHI": ("pa",),
    "HANGUL": ("ko",),
    "HEBREW": ("he", "yi"),
    "HIRAGANA": ("ja",),
    "KANNADA": ("kn",),
    "KATAKANA": ("ja",),
    "KHMER": ("km",),
    "LAO": ("lo",),
    "MALAYALAM": ("ml",),
    "MYANMAR": ("my",),
    "ORIYA": ("or",),
    "SINHALA": ("si",),
    "TAMIL": ("ta",),
    "TELUGU": ("te",),
    "THAI": ("th",),
    "TIBETAN": ("bo",),
}
"""Script, by the first word of its letters' Unicode names -> the languages that are told apart in it, ISO 639-1.
LATIN is not here: too many languages write it."""

_RUSSIAN = "абвгдеёжзийклмнопрстуфхцчшщъыьэюя"
ALPHABETS: dict[str, str] = {
    "ru": _RUSSIAN,
    "uk": "абвгґдеєжзиіїйклмнопрстуфхцчшщьюя",
    "be": "абвгдеёжзійклмнопрстуўфхцчшыьэюя",
    "bg": "абвгдежзийклмнопрстуфхцчшщъьюяѝ",
    "sr": "абвгдђежзијклљмнњопрстћуфхцчџш",
    "mk": "абвгдѓежзѕијклљмнњопрстќуфхцчџшѐѝ",
    "kk": _RUSSIAN + "әғқңөұүһі",
    "ky": _RUSSIAN + "ңөү",
    "mn": _RUSSIAN + "өү",
    "tt": _RUSSIAN + "әҗңөүһ",
    "tg": "абвгдеёжзийклмнопрстуфхчшъэюяғӣқӯҳҷ",
    "bn": "অআইঈউঊঋঌএঐওঔকখগঘঙচছজঝঞটঠডঢণতথদধনপফবভমযরলশষসহৎড়ঢ়য়ৠৡ",
    "as": "অআইঈউঊঋএঐওঔকখগঘঙচছজঝঞটঠডঢণতথদধনপফবভমযৰলৱশষসহৎড়ঢ়য়",
    "hi": "अआइईउऊऋऌऍऎएऐऑऒओऔकखगघङचछजझञटठडढणतथदधनपफबभमयरलवशषसह" + "क़ख़ग़ज़ड़ढ़फ़य़" + "ऩॠ",
    "ar": "ءآأؤإئابةتثجحخدذرزسشصضطظعغفقكلمنهوىيٱ",
    "fa": "ءآأؤئابپتثجچحخدذرزژسشصضطظعغفقکگلمنهویةكي",
    "ur": "ءآأؤئابپتٹثجچحخدڈذرڑزژسشصضطظعغفقکگلمنںوهہھیےۂۃۓۀةكي",
}
"""The letters that a language is written with, in lower case; only where they tell it from others of its script."""

ONLY_CHINESE = re.compile(
    "[们这个您你她吗呢吧啊哪给还剩钱买卖时间问说话对为从赚应该两块总让么怎岁谁经开关过进远边读书"
    "這們嗎沒說來賺塊總麼樣歲從賣對關寫讀]"
    "|没有|是(?![非正認])|(?<![終完修満魅])了(?![解承])"
)
"""Characters of everyday Chinese that Japanese writes otherwise, if at all, or only in some words (是非, 終了)."""


@lru_cache(maxsize=1 << 15)
def script_of(letter: str) -> str:
    """The script of a letter, as the first word of its Unicode name; empty where it is no letter."""
    if not letter.isalpha():
        return ""
    return unicodedata.name(letter, "").split(" ", 1)[0].partition("-")[0]


def writers(letters: str, languages: Iterable[str]) -> frozenset[str]:
    """The languages whose alphabet has all these letters; those without an alphabet here have every letter."""
    wanted = set(letters)
    return frozenset(code for code in languages if code not in ALPHABETS or wanted <= _alphabet(code))


def foreign_letters(word: str, language: str) -> str:
    """The letters of a word, in lower case, that a language never writes; empty where its alphabet is not here."""
    if language not in ALPHABETS:
        return ""
    own = _alphabet(language)
    mine = script_of(ALPHABETS[language][0])
    return "".join(letter for letter in word if letter not in own and script_of(letter) == mine)


@lru_cache(maxsize=64)
def _alphabet(language: str) -> frozenset[str]:
    return frozenset(
        unicodedata.normalize("NFC", ALPHABETS[language]) + unicodedata.normalize("NFKC", ALPHABETS[language])
    )
