"""Numbers that are spelled out: everything num2words writes, and what it does not know."""

from __future__ import annotations

import pytest
from num2words import num2words

from lidr.evals.mgsm.numerals import plain
from lidr.evals.mgsm.words.numbers_in_words import spelled_numbers

NUMBERS = [*range(200), *range(200, 1000, 7), *range(1000, 10**6, 7919), *range(1000, 10**6, 33000)]


def read(text: str, language: str) -> list[int]:
    return [int(found.value) for found in spelled_numbers(plain(text), language)]


@pytest.mark.parametrize("language", ["en", "de", "es", "fr", "ru", "ja", "th", "bn", "te"])
def test_what_num2words_writes_is_read_back(language):
    written = [(number, num2words(number, lang=language)) for number in NUMBERS]
    wrong = [(number, text, read(text, language)) for number, text in written if read(text, language) != [number]]
    assert not wrong, (len(wrong), wrong[:5])


@pytest.mark.parametrize(
    ("language", "text", "numbers"),
    [
        ("sw", "elfu sabini", [70000]),
        ("sw", "kumi na nane", [18]),
        ("sw", "mia mbili na hamsini", [250]),
        ("sw", "elfu mbili na mia tano", [2500]),
        ("sw", "mia moja ishirini na tano", [125]),
        ("sw", "laki moja na elfu kumi na nne", [114000]),
        ("sw", "elfu mia mbili na hamsini", [250000]),
        ("sw", "watoto watatu", [3]),
        ("sw", "kumi elfu", [10000]),
        ("sw", "ishirini, kumi", [20, 10]),
        ("zh", "两万五千", [25000]),
        ("zh", "一百二十五", [125]),
        ("zh", "两千零五十", [2050]),
        ("zh", "九十九万九千九百九十九", [999999]),
        ("zh", "一共七万", [70000]),
        ("th", "สองหมื่นห้าพันบาท", [25000]),
        ("th", "เก้าอี้", []),
        ("bn", "একশো পঁচিশ টাকা", [125]),
        ("bn", "আঠারোটি", [18]),
        ("te", "నూట ఇరవై ఐదు", [125]),
        ("de", "hundertzwei Weine, achtzehn", [102, 18]),
        ("fr", "nonante-neuf", [99]),
        ("es", "doscientas una", [201]),
        ("en", "often three or four hundred", [3, 400]),
        ("en", "a hundred", [100]),
        ("en", "three, four or five", [3, 4, 5]),
        ("en", "twenty, ten", [20, 10]),
        ("ko", "열여덟", []),
    ],
)
def test_what_people_write_besides(language, text, numbers):
    assert read(text, language) == numbers
