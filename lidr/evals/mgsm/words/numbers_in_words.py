"""Numbers that are spelled out, up to 999,999: eighteen, dreihundertzwölf, elfu mbili na mia tano, 二千五十.

The words come from num2words, where it has the language (en de es fr ru ja th bn te); those of Swahili, Chinese and
Japanese, and what people write besides (hundert, nonante, একশো), stand here.

A text is cut into words of number, and neighbours make one number as long as each fits behind the one before:
    twenty | five                     25
    three | hundred | twelve | thousand    312,000
    three | four                      two numbers
Swahili writes what multiplies in front: mia mbili na hamsini is 2 * 100 + 50.
"""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Iterable, Iterator
from decimal import Decimal
from functools import lru_cache
from typing import NamedTuple


class Spelled(NamedTuple):
    """One number that is spelled out in a plain text."""

    value: Decimal
    start: int
    end: int
    words: int
    """How many words it has; one word may be an article (ein, une, 一)."""


class _Word(NamedTuple):
    value: int
    multiplies: bool


class _Found(NamedTuple):
    word: _Word
    start: int
    end: int


_LIBRARY = ("en", "de", "es", "fr", "ru", "th", "bn", "te")
_HAN = (
    *(
        (sign, _Word(value, False))
        for value, signs in enumerate(("零〇", "一壱", "二两兩弐", "三参", *"四五六七八九"))
        for sign in signs
    ),
    *((sign, _Word(10**power, True)) for sign, power in (("十", 1), ("百", 2), ("千", 3), ("万", 4), ("萬", 4))),
)
_SCALES: dict[str, tuple[tuple[str, int], ...]] = {
    "en": (("hundred", 2), ("thousand", 3), ("lakh", 5)),
    "de": (("hundert", 2), ("tausend", 3)),
    "es": (("mil", 3),),
    "fr": (("cents?", 2), ("mille", 3)),
    "ru": (("тысяч[аиу]?", 3),),
    "th": (("สิบ", 1), ("ร้อย(?!ละ)", 2), ("พัน(?!ธ)", 3), ("หมื่น", 4), ("แสน(?!ด)", 5)),
    "bn": (("শত", 2), ("শো", 2), ("শ", 2), ("হাজার", 3), ("লাখ", 5), ("লক্ষ", 5)),
    "te": (("వందలు?|వంద", 2), ("వేలు?|వెయ్యి|వేయిల?", 3), ("లక్షలు?|లక్ష", 5)),
}
_MORE: dict[str, tuple[tuple[str, int], ...]] = {
    "de": (("ein", 1), ("eine", 1), ("einen", 1), ("einem", 1), ("einer", 1), ("dreissig", 30), ("zwo", 2)),
    "es": (
        *(("un", 1), ("una", 1), ("veintiún", 21), ("veintiuna", 21), ("cien", 100), ("ciento", 100)),
        *(("quinient[oa]s", 500), ("setecient[oa]s", 700), ("novecient[oa]s", 900)),
        *((f"{stem}cient[oa]s", value) for stem, value in (("dos", 200), ("tres", 300), ("cuatro", 400))),
        *((f"{stem}cient[oa]s", value) for stem, value in (("seis", 600), ("ocho", 800))),
    ),
    "fr": (("une", 1), ("septante", 70), ("huitante", 80), ("octante", 80), ("nonante", 90), ("quatre-vingt", 80)),
    "ru": (
        *(("одна", 1), ("одно", 1), ("одну", 1), ("две", 2), ("сто", 100), ("двести", 200), ("триста", 300)),
        *(("четыреста", 400), ("пятьсот", 500), ("шестьсот", 600), ("семьсот", 700)),
        *(("восемьсот", 800), ("девятьсот", 900)),
    ),
    "th": (("เอ็ด", 1), ("ยี่", 2)),
    "bn": (
        *(("দু", 2), ("ছ", 6), ("আড়াইশ", 250), ("এগারো", 11), ("বারো", 12), ("তেরো", 13), ("চৌদ্দ", 14), ("পনেরো", 15)),
        *(("ষোলো", 16), ("সতেরো", 17), ("আঠারো", 18)),
    ),
    "te": (
        *(("ఒక", 1), ("ఐదు", 5), ("పదమూడు", 13), ("పద్నాలుగు", 14), ("పదిహేను", 15), ("పదహారు", 16), ("పదిహేడు", 17)),
        *(("పద్దెనిమిది", 18), ("పద్ధెనిమిది", 18), ("పంతొమ్మిది", 19), ("పందొమ్మిది", 19), ("యాభై", 50), ("అరవై", 60)),
        *(("డెబ్భై", 70), ("డెబ్బై", 70), ("ఎనభై", 80), ("తొంభై", 90), ("నూట", 100), ("నూరు", 100)),
    ),
}
_SWAHILI = (
    *(
        (word, _Word(value, False))
        for value, word in enumerate(["sifuri", ".", ".", ".", ".", ".", "sita", "saba", ".", "tisa", "kumi"])
        if word != "."
    ),
    *(("(?:m|ki|li|i|u)?moja", _Word(1, False)) for _ in "1"),
    *(
        (f"(?:wa|vi|mi|ma|u)?{stem}", _Word(value, False))
        for stem, value in (("wili", 2), ("tatu", 3), ("nne", 4), ("tano", 5), ("nane", 8))
    ),
    ("mbili", _Word(2, False)),
    *(
        (word, _Word(value, False))
        for word, value in (
            *(("ishirini", 20), ("thelathini", 30), ("arobaini", 40), ("arubaini", 40), ("hamsini", 50)),
            *(("sitini", 60), ("sabini", 70), ("themanini", 80), ("tisini", 90)),
        )
    ),
    *((word, _Word(10**power, True)) for word, power in (("mia", 2), ("elfu", 3), ("laki", 5))),
)
_UNSPACED = ("zh", "ja", "th")
_LINK = re.compile(r"(?:[ \x1f-]{0,2}|, ?|[ -](?:and|y|et|na|e)[ -]|und| a )\Z")
_NO_WORD = {
    "th": r"(?:เก้าอี้|ห้าง|ห้าม|หกล้ม|ศูนย์กลาง|ศูนย์การค้า|สิบโท|สามี|สี่แยก)",
    "zh": "(?:一[起共些样樣般半直定旦切下边邊]|万一|十分|百分|三明治|千克|千米|百货|第[一二三四五六七八九十])",
    "ja": "(?:一[緒般部方定度番]|十分|百貨|千円札|第[一二三四五六七八九十]|三角|四角)",
}
_COUNTS = re.compile("(?:টি|টা|জন|খানা|ই|টির|টার)(?![\u0980-\u09e3])|(?:కి|కు|లు|మంది)(?![\u0c00-\u0c63])")


def spelled_numbers(text: str, language: str) -> Iterator[Spelled]:
    """The numbers that are spelled out in a plain text, from left to right.

    Args:
        text: as `numerals.plain` gives it.
        language: code; of one whose words are not known nothing is found.

    >>> [str(found.value) for found in spelled_numbers("seventy thousand dollars, or three", "en")]
    ['70000', '3']
    """
    words = _words(language)
    if words is None:
        return
    value_of = _swahili if language == "sw" else _value
    for group in _groups(text, _found(text, *words), language):
        at = 0
        while at < len(group):
            value, stop = value_of([found.word for found in group[at:]])
            start, end = group[at].start, group[at + stop - 1].end
            if not all(found.word.multiplies and found.word.value >= 10**4 for found in group[at : at + stop]):
                yield Spelled(Decimal(value), start, end, stop)
            at += stop


def _found(
    text: str, pattern: re.Pattern[str], values: dict[str, _Word], patterns: dict[str, _Word]
) -> Iterator[_Found]:
    for match in pattern.finditer(text):
        if match.lastgroup == "none":
            continue
        shown = match[0].lower()
        word = values.get(shown) or values.get(re.sub(r"[ -]", "-", shown))
        if word is None:
            word = next(word for form, word in patterns.items() if re.fullmatch(form, shown))
        yield _Found(word, *match.span())


def _groups(text: str, words: Iterable[_Found], language: str) -> Iterator[list[_Found]]:
    """Neighbours, whole words only: `ten` of `often` is none."""
    group: list[_Found] = []
    for found in words:
        if group and not _LINK.match(text[group[-1].end : min(found.start, group[-1].end + 9)]):
            yield from _whole(text, group, language)
            group = []
        if group and group[-1].end + 9 < found.start:
            yield from _whole(text, group, language)
            group = []
        group.append(found)
        if len(group) > 40:  # no number is as long; what repeats a word without an end is none
            yield from _whole(text, group, language)
            group = []
    yield from _whole(text, group, language)


def _whole(text: str, group: list[_Found], language: str) -> Iterator[list[_Found]]:
    if language in _UNSPACED:
        if group:
            yield group
        return
    while group and _is_letter(text[group[0].start - 1 : group[0].start]):
        group = group[1:]
        while group and _is_letter(text[group[0].start - 1 : group[0].start]):
            group = group[1:]
    while group and _is_letter(text[group[-1].end : group[-1].end + 1]) and not _COUNTS.match(text, group[-1].end):
        group = group[:-1]
    if group:
        yield group


def _is_letter(character: str) -> bool:
    return bool(character) and unicodedata.category(character)[0] in "LMN"


def _value(words: list[_Word]) -> tuple[int, int]:
    """What the first words come to, and how many of them belong to that number."""
    parts: list[tuple[int, int]] = []  # what is complete: amount, and what it was multiplied by
    pending, used = 0, 0
    for word in words:
        limit = parts[-1][1] if parts else 10**12
        if word.multiplies:
            if word.value == limit:
                break
            while parts and parts[-1][1] < word.value:
                pending += parts.pop()[0]
            if parts and parts[-1][1] <= word.value:
                break
            parts.append(((pending or 1) * word.value, word.value))
            pending = 0
        elif word.value or not used:  # 两千零五十 is 2050
            room = 100 if pending and pending % 100 == 0 else 10 if pending and pending % 10 == 0 else 1
            if (pending and not 0 < word.value < room) or word.value >= limit:
                break
            pending += word.value
        used += 1
    if not used:
        return words[0].value, 1
    return sum(amount for amount, _ in parts) + pending, used


def _swahili(words: list[_Word]) -> tuple[int, int]:
    """The same where what multiplies stands in front; behind it, where nothing else follows it (kumi elfu)."""
    total, limit, at = 0, 10**12, 0
    while at < len(words):
        word = words[at]
        if word.multiplies:
            if word.value >= limit:
                break
            count, used = _swahili_count(words[at + 1 :], 10 if word.value == 100 else 1000)
            total, limit, at = total + (count or 1) * word.value, word.value, at + 1 + used
            continue
        count, used = _swahili_count(words[at:], 100)
        if not used or count >= limit:
            break
        behind = words[at + used] if at + used < len(words) else None
        if behind and behind.multiplies and behind.value >= 1000 and not total and at + used + 1 == len(words):
            return count * behind.value, at + used + 1
        total, limit, at = total + count, 1, at + used
    return (total, at) if at else (words[0].value, 1)


def _swahili_count(words: list[_Word], below: int) -> tuple[int, int]:
    """A number below 10, 100 or 1,000 that the words begin with, and how many words it takes."""
    if below == 1000 and words and words[0].multiplies and words[0].value == 100:  # elfu mia mbili
        count, used = _swahili_count(words[1:], 10)
        more, also = _swahili_count(words[1 + used :], 100)
        return (count or 1) * 100 + more, 1 + used + also
    count, used = 0, 0
    for word in words[:2]:
        fits = word.value < below and (not count or (count >= 10 and count % 10 == 0 and word.value < 10))
        if word.multiplies or not fits:
            break
        count, used = count + word.value, used + 1
    return count, used


@lru_cache(maxsize=64)
def _words(language: str) -> tuple[re.Pattern[str], dict[str, _Word], dict[str, _Word]] | None:
    """What finds a language's words of number, and what they are worth: by the word, and by its pattern."""
    from num2words import num2words

    forms: list[tuple[str, _Word]] = []
    if language in _LIBRARY:
        tens = [*range(20), *range(20, 100, 10)] if language in ("te", "th") else range(100)
        tens = range(10) if language == "th" else tens
        forms = [(num2words(number, lang=language).strip(), _Word(number, False)) for number in tens]
        forms = [(re.sub("[ -]", "[ -]", form), word) for form, word in forms]
        forms += [(form, _Word(value, False)) for form, value in _MORE.get(language, ())]
        forms += [(form, _Word(10**power, True)) for form, power in _SCALES[language]]
    elif language in ("zh", "ja"):
        forms = list(_HAN)
    elif language == "sw":
        forms = list(_SWAHILI)
    if not forms:
        return None
    forms = sorted(
        ((unicodedata.normalize("NFKC", form), word) for form, word in forms), key=lambda form: -len(form[0])
    )
    none = _NO_WORD.get(language)
    pattern = "|".join(form for form, _ in forms)
    if none:
        pattern = f"(?P<none>{unicodedata.normalize('NFKC', none)})|{pattern}"
    values = {form.replace("[ -]", "-"): word for form, word in reversed(forms)}
    return re.compile(pattern, re.IGNORECASE), values, dict(forms)
