"""Number reading: the table of known cases, 26,000 generated ones, and what must not be read."""

from __future__ import annotations

import itertools
import string
from collections.abc import Iterator
from decimal import Decimal

import pytest
from hypothesis import given
from hypothesis import strategies as st

from lidr.evals.mgsm.number_reading import gold_number, read_number
from lidr.evals.mgsm.words.language_words import WORDS
from tests.evals.bundled import mgsm_task, read_by
from tests.slow_texts import around, fill, seconds, too_slow

NO = "[invalid]"

# language, text, number, rule; then what lm-eval's bundled strict and flexible filters read, after its metric has taken
# the punctuation out (None: not looked at), with the gold where it is not the number.
KNOWN = [
    ("de", "Die Antwort lautet 18.", "18", "prefix", "18", "18"),
    ("de", "Die Antwort lautet: 18", "18", "prefix", NO, "18"),
    ("de", "Die Antwort lautet 18,00 $", "18", "prefix", "1800", "1800"),
    ("de", "Die Antwort ist 18.00", "18", "prefix", NO, "1800"),
    ("de", "Sie verdient 70.000 Dollar.", "70000", "last", NO, "70000"),
    ("de", "Antwort: 70 000", "70000", "prefix", NO, "000"),
    ("de", "Antwort: 70\u00a0000 Dollar", "70000", "prefix", NO, "000"),
    ("fr", "La réponse est 70 000.", "70000", "last", "70", "000"),
    ("fr", "Réponse : 70\u202f000 €", "70000", "prefix", None, None),
    ("zh", "答案是18。", "18", "prefix", NO, "18"),
    ("zh", "答案：１８", "18", "prefix", NO, NO),
    ("zh", "答案是 18 美元。", "18", "prefix", NO, "18"),
    ("ja", "答えは18ドルです。", "18", "prefix", NO, "18"),
    ("ja", "答え：１８", "18", "prefix", NO, NO),
    ("th", "คำตอบคือ ๑๘", "18", "prefix", NO, NO),
    ("th", "คำตอบ: 18 ดอลลาร์", "18", "prefix", NO, "18"),
    ("ru", "Ответ: \u22125", "-5", "prefix", NO, "5"),
    ("en", "The answer is $18.00.", "18", "last", None, "1800"),
    ("en", "Answer: 18 ...", "18", "prefix", None, ""),
    ("en", "**Answer:** **18** eggs/day (7 days)", "18", "prefix", None, None),
    ("en", "Answer: 70,000", "70000", "prefix", None, "70000"),
    ("en", r"\boxed{18}", "18", "boxed", None, "18"),
    ("en", "Answer: 1.5", "1.5", "prefix", None, "15"),
    ("en", "Answer: 114,200.50", "114200.5", "prefix", None, None),
    ("es", "Respuesta: 2.125", "2125", "prefix", None, None),
    ("bn", "উত্তর: ১৮", "18", "prefix", None, None),
    ("en", "x", None, "none", None, None),
]

MORE = [
    # in a box
    ("en", r"\boxed{\text{18}}", "18", "boxed"),
    ("en", r"\boxed{1{,}234}", "1234", "boxed"),
    ("en", r"so $\boxed{\$18}$ a day", "18", "boxed"),
    ("en", r"\boxed{18 \text{ m}^2}", "18", "boxed"),
    ("en", r"\boxed{\frac{1}{2}}", "0.5", "boxed"),
    ("en", r"\boxed{2\frac{1}{2}}", "2.5", "boxed"),
    ("en", r"\boxed{x = 5, y = 6}", "6", "boxed"),
    ("en", r"\boxed{70\,000}", "70000", "boxed"),
    ("en", r"\boxed{18", "18", "boxed"),
    ("en", r"\boxed 5", "5", "boxed"),
    ("en", r"\boxed{5} no: \boxed{6}. 7 days", "6", "boxed"),
    ("en", r"\boxed{\text{eggs}} Answer: 4", "4", "prefix"),
    ("en", r"\boxed{-\frac{1}{2}}", "-0.5", "boxed"),
    ("en", r"\boxed{3.5 \times 10^4}", "35000", "boxed"),
    ("en", r"\boxed{3.5 \times 10^{ 4 }}", "35000", "boxed"),
    ("en", r"\boxed{18^\circ}", "18", "boxed"),
    ("en", r"\boxed{{18}}", "18", "boxed"),
    # words of scale, and units that only look like them
    ("zh", "答案：2万元", "20000", "prefix"),
    ("zh", "答案是3.5万", "35000", "prefix"),
    ("zh", "共3万5000元", "35000", "last"),
    ("zh", "路程是5千米", "5", "last"),
    ("ja", "答えは1億2000万円です", "120000000", "prefix"),
    ("ja", "答え：3万5千円", "35000", "prefix"),
    ("en", "She has $70k.", "70000", "last"),
    ("de", "Antwort: 70k Euro", "70000", "prefix"),
    ("de", "Antwort: 5 thousand Dollar", "5000", "prefix"),
    ("en", "They walked 70km.", "70", "last"),
    ("en", "It costs 2.5 million dollars.", "2500000", "last"),
    ("es", "Respuesta: 70 mil", "70000", "prefix"),
    ("de", "Antwort: 2,5 Millionen Euro", "2500000", "prefix"),
    ("ru", "Ответ — 70 тысяч рублей", "70000", "prefix"),
    ("ru", "Ответ: 2 тысячи 500 рублей", "2500", "prefix"),
    ("th", "คำตอบ 7 หมื่นบาท", "70000", "prefix"),
    ("bn", "উত্তর: ২ লাখ টাকা", "200000", "prefix"),
    ("te", "సమాధానం: 2 లక్షలు", "200000", "prefix"),
    ("sw", "Jibu: shilingi elfu 70", "70000", "prefix"),
    # signs, ranges, hyphens
    ("en", "Answer: -$18", "-18", "prefix"),
    ("en", "Answer: $-18", "-18", "prefix"),
    ("en", "Answer: \u2212$1,234.50", "-1234.5", "prefix"),
    ("en", "Answer: -US$5", "-5", "prefix"),
    ("ru", "Ответ – 5", "5", "prefix"),
    ("ru", "Ответ –5", "-5", "prefix"),
    ("zh", "答案是-5", "-5", "prefix"),
    ("zh", "答案是负5", "-5", "prefix"),
    ("en", "Answer: 3-5 days", "3", "prefix"),
    ("en", "between 3–5", "5", "last"),
    ("en", "20 -5 = 15", "15", "last"),
    ("en", "- 18 eggs", "18", "last"),
    ("en", "18 cases of COVID-19", "18", "last"),
    ("en", "18 for a 5-day trip", "18", "last"),
    # currencies and units
    ("en", "USD18", "18", "last"),
    ("en", "Rs.18", "18", "last"),
    ("en", "Rs. 1,14,200", "114200", "last"),
    ("sw", "Jibu: TSh18", "18", "prefix"),
    ("sw", "Jibu ni 70,000/=", "70000", "prefix"),
    ("de", "Der Preis ist 18,- €", "18", "last"),
    ("en", "Answer: 18 m²", "18", "prefix"),
    ("en", "18 kg of CO2", "18", "last"),
    ("de", "CHF 1'234.–", "1234", "last"),
    ("sw", "Jibu: TZS 276,000", "276000", "prefix"),
    ("te", "సమాధానం: ₹2,76,000", "276000", "prefix"),
    ("bn", "উত্তরটি হল ১৮", "18", "prefix"),
    # calculations
    ("en", "Answer: 5 + 13 = 18", "18", "prefix"),
    ("en", "Answer: 16-3-4=9", "9", "prefix"),
    ("en", "Answer: 9 eggs × $2 = $18 per day for 7 days", "18", "prefix"),
    ("en", "Answer: 18 dollars = 1800 cents", "18", "prefix"),
    ("en", "9*2=18", "18", "last"),
    # styles
    ("en", "0.125", "0.125", "last"),
    ("en", "1234.567", "1234.567", "last"),
    ("de", "1.234,56", "1234.56", "last"),
    ("de", "1’234.50", "1234.5", "last"),
    ("en", "10^3", "1000", "last"),
    ("en", "3 × 10^5", "300000", "last"),
    ("en", "2½", "2.5", "last"),
    ("en", "36/2 = 18", "18", "last"),
    ("ja", "答えは、１，２３４円", "1234", "prefix"),
    ("en", "18,19,20", "20", "last"),
    ("ja", "答えは11万4,200円", "114200", "prefix"),
    ("zh", "答案是１１４，２００。", "114200", "prefix"),
    ("ar", "١١٤٬٢٠٠٫٥", "114200.5", "last"),
    ("en", "𝟏𝟖", "18", "last"),
    ("fr", "Réponse : 1 234 567,89 €", "1234567.89", "prefix"),
    # where a number is no answer
    ("en", "18 minutes, at 10:30", "18", "last"),
    ("en", "18 on the 3rd day", "18", "last"),
    ("zh", "有18个，第3天", "18", "last"),
    ("zh", "①共18个", "18", "last"),
    ("en", "She has 18.\n2. Check it", "18", "last"),
    # answer words
    ("ja", "最終的な答え：72円", "72", "prefix"),
    ("zh", "最终答案：72元", "72", "prefix"),
    ("en", "Answer: 18. Was this the Answer?", "18", "prefix"),
    ("en", "Answer: 17\nNo. Answer: 18", "18", "prefix"),
    ("en", "Answer:\n\n$$18$$", "18", "prefix"),
    ("en", "ANSWER: 18", "18", "prefix"),
    ("en", "Answered 7 of 18", "18", "last"),
    ("en", "answer: 18 in 7", "7", "last"),
    ("en", r"\boxed{18} Answer: 9 eggs", "18", "boxed"),
    ("en", r"Answer: 9 eggs \boxed{18}", "18", "boxed"),
    ("en", "Answer:\n1. She sells 18 eggs", "18", "prefix"),
    ("en", "Answer:\n\n2) 18", "18", "prefix"),
    ("de", "**Antwort:**\n- 3. Also 18", "18", "prefix"),
    ("en", "Answer:\nStep 3: 18", "18", "prefix"),
    ("ja", "質問に答えると、7日で18個", "18", "last"),
    ("bn", "উত্তরে ৭টি, মোট ১৮টি", "18", "last"),
    ("sw", "Antwort: 7. Jumla 18", "18", "last"),
]

# Sentences: which of their numbers is the answer, whatever the last one is.
SENTENCES_READ = [
    ("en", "Answer: minus 7", "-7", "prefix"),
    ("en", "The answer is minus 7.", "-7", "last"),
    ("en", "Answer: 16 minus 7 = 9", "9", "prefix"),
    ("en", "She has 16 minus 7", "7", "last"),
    ("en", r"\boxed{1\text{,}234}", "1234", "boxed"),
    ("en", r"\boxed{\text{eighteen}}", "18", "boxed"),
    ("en", "eighteen", "18", "last"),
    ("de", "The answer is eighteen dollars.", "18", "last"),
    ("en", "The answer is 3.125.", "3.125", "last"),
    ("de", "The answer is 3.125.", "3.125", "last"),
    ("de", "Die Antwort lautet 3.125.", "3125", "prefix"),
    ("en", "Die Antwort lautet 3.125 und das ist es.", "3125", "last"),
    ("en", "<think>Answer: 5?</think>She has 18.", "18", "last"),
    ("en", "Answer: 5?\n</think>\nShe has 18.", "18", "last"),
    ("en", "[THINK]Answer: 5[/THINK]18", "18", "last"),
    ("en", "<|channel|>analysis<|message|>Answer: 5<|channel|>final<|message|>18", "18", "last"),
    ("en", "Answer: 120/24 = 5 hours to read 120 pages.", "5", "prefix"),
    ("en", "So 768 / 50 = 15.36 minutes, which rounds down to 15 minutes.", "15", "last"),
    ("en", "Answer: 18 dollars, for 9 eggs", "18", "prefix"),
    ("es", "The **18** eggs.\n\nThere are 7 of them left.", "18", "last"),
    ("fr", "Elle gagne donc 18 $ par jour, soit 126 $ par semaine de 7 jours.", "126", "last"),
    ("sw", "Respuesta: 18, 9 huevos", "18", "last"),
    ("ja", "1個の値段は18ドルです。", "18", "last"),
    ("zh", "2千3百万", "23000000", "last"),
    ("es", "Son 2 mil millones", "2000000000", "last"),
]

# Written behind the answer word of every language, and 18 each.
CALCULATIONS = [
    "(16 - 3 - 4) * $2 = $18",
    "（５＋４）×２＝１８",
    "(5+4)×2=18",
    "[5 + 4] × 2 = 18",
    "21 - (1 + 2) = 18",
    "2(5 + 4) = 18",
    "(6)(3) = 18",
    "36 : 2 = 18",
    "36:2=18",
    "(20 + 16) : 2 = 18",
    "5 × 3.55 ≈ 18",
    "100/5.6 ≈ 18",
    "53/3 ≃ 18",
    "17.75 ≈ 18",
    "9 × 2 → 18",
    "9 × 2 ⇒ 18",
    "9 × 2 -> 18",
    "9 × 2 (= 18)",
    "\n5 + 13\n= 18",
    "\n5 + 13 =\n18",
    r"$36 \div 2 = 18$",
    r"$\frac{53}{3} \approx 18$",
    r"$\left(5 + 4\right) \times 2 \Rightarrow 18$",
    "16-3-4=9×2=18",
    "16 - 3 - 4 = 9, 9 * 2 = 18",
    "16 - 3 - 4 = 9; 2 * 9 = 18",
    "16 - 3 - 4 = 9 → 9 * 2 = 18",
    "5 + 13 = 18, 2 * 3 = 6",
    "5 + 13 = 18 = 9 * 2",
    "5 + 13 = 18 → 7",
    "5 + 13 = 18\n→ 7",
    "5 + 13 = 18\n=====\n7",
    "5 + 13 = 18. 18 - 7 = 11",
]

# Likewise: 18 is said, and what follows is no part of it.
SAID = [
    "18 (5 + 12 = 17)",
    "18（5+12=17）",
    "18(5 + 12 = 17)",
    "18 (= 36/2)",
    "18. 5 + 12 = 17",
    "18, 5 + 12 = 17",
    "18: 5 + 12 = 17",
    "18; 18 - 7 = 11",
    "18, 18 - 7 = 11",
    "18\n5 + 12 = 17",
    "18\n= 5 + 12",
    "18 = 5 + 12",
    "18 → 5 + 12 = 17",
    "18 ... x = 5",
    "18 — 5 + 12 = 17",
    "*18* x = 5",
    "18 / 7",
    "18 : 7",
    "18 - 7",
    "18 + 7, 25 = 25",
    "18; - 3 = 15",
    "18. + 5 = 23",
]

# In words of one language: what is a calculation, and what only looks like one.
IN_WORDS = [
    ("en", "Answer: 9 eggs × $2/egg = $18", "18"),
    ("en", "Answer: 16 - (3 + 4) = 9 eggs", "9"),
    ("en", "Answer: 16 - 3 - 4 = 9 eggs, 9 * 2 = 18", "18"),
    ("en", "Answer: 16 - 3 - 4 = 9 eggs, so she makes 9 * 2 = 18", "18"),
    ("en", "Answer: 50% of 80 = 40", "40"),
    ("en", "Answer: 3/4 of the 24 = 18", "18"),
    ("en", "Answer: 3 times 6 equals 18", "18"),
    ("ja", "36個の50% = 18個で、1日7個です", "18"),
    ("en", "Total: 18 eggs for 9 days and 12 jars", "18"),
    ("en", "Answer: 5 + 13 → (18) in 7 days", "18"),
    ("en", "To find it, add.\nAnswer:\nIn 3 years he has 18 trees.\nCheck: 9 + 8 = 17", "18"),
    ("en", "Answer: 33.3 eggs ≈ 33 eggs", "33"),
    ("en", "Answer: 5 + 13 = 18 dollars = 1800 cents", "18"),
    ("en", "Answer: 18 of 20 = 90%", "18"),
    ("en", "Answer: 1/2 hour = 30 minutes", "0.5"),
    ("en", "Answer: 18 because 5 + 12 = 17", "18"),
    ("en", "Answer: 18 – because 5 + 12 = 17", "18"),
    ("en", "Answer: 18 eggs/day for 7 days = 126", "18"),
    ("de", "Antwort: 36 : 2 = 18 Euro", "18"),
    ("de", "Antwort: 36 Euro : 2 = 18 Euro", "18"),
    ("de", "Antwort: 3 Mal 6 = 18", "18"),
    ("de", "Antwort: 50 Prozent von 80 = 40", "40"),
    ("de", "Antwort: 18 Mal, denn 5 + 12 = 17", "18"),
    ("de", "Antwort: 18 Euro, also x = 5", "18"),
    ("fr", "Réponse : 3 fois 6 = 18", "18"),
    ("fr", "Réponse : 36 divisé par 2 = 18", "18"),
    ("fr", "Réponse : 50 % de 80 = 40", "40"),
    ("fr", "Réponse : 18 fois, car 5 + 12 = 17", "18"),
    ("es", "Respuesta: 9 por 2 = 18", "18"),
    ("es", "Respuesta: 50% de 80 es igual a 40", "40"),
    ("es", "Respuesta: 18 euros por 7 días", "18"),
    ("ru", "Ответ: 5 руб. + 13 руб. = 18 руб.", "18"),
    ("ru", "Ответ: 3 х 6 = 18", "18"),
    ("ru", "Ответ: 36 разделить на 2 равно 18", "18"),
    ("ru", "Ответ: 50% от 80 = 40", "40"),
    ("ru", "Ответ: 18 руб. Проверка: 5 + 12 = 17", "18"),
    ("zh", "答案：(5+3)×2=16", "16"),
    ("zh", "答案：3乘以6等于18", "18"),
    ("zh", "答案：80的50%=40", "40"),
    ("zh", "答案：18，因为5+12=17", "18"),
    ("ja", "答え：（５＋３）×２＝１６", "16"),
    ("ja", "答え：80円の50%=40円", "40"),
    ("ja", "答え：3かける6＝18", "18"),
    ("ja", "答え：18個。5+12=17", "18"),
    ("th", "คำตอบ: 3 คูณ 6 เท่ากับ 18", "18"),
    ("th", "คำตอบ: 50% ของ 80 = 40", "40"),
    ("th", "คำตอบ: ร้อยละ 50 ของ 80 = 40", "40"),
    ("th", "คำตอบ: 18 เพราะ 5 + 12 = 17", "18"),
    ("bn", "উত্তর: ৩ গুণ ৬ = ১৮", "18"),
    ("bn", "উত্তর: ৮০ এর ৫০% = ৪০", "40"),
    ("bn", "উত্তর: ১৮। ৫ + ১২ = ১৭", "18"),
    ("te", "సమాధానం: 80 లో 50% = 40", "40"),
    ("te", "సమాధానం: 18 ఎందుకంటే 5 + 12 = 17", "18"),
    ("sw", "Jibu: 3 mara 6 = 18", "18"),
    ("sw", "Jibu: asilimia 50 ya 80 = 40", "40"),
    ("sw", "Jibu: 5,000/= + 2,000/= = 7,000/=", "7000"),
    ("sw", "Jibu: 18 kwa sababu 5 + 12 = 17", "18"),
]

# Numbers of more than one part, and what stands beside them.
COMPOUND = [
    ("sw", "Jibu: elfu 5 na 600", "5600"),
    ("sw", "Jibu: elfu 114 na mia 2", "114200"),
    ("sw", "Jibu: laki 1 na elfu 14", "114000"),
    ("sw", "Jibu: laki 1 elfu 14 mia 2 na 5", "114205"),
    ("sw", "Jibu: mia 2", "200"),
    ("sw", "Jibu: 70 elfu", "70000"),
    ("sw", "Jibu: elfu 5 na siku 7", "5000"),
    ("sw", "Jibu: elfu 5 na 7000", "5000"),
    ("sw", "Jibu: elfu 5 na 10%", "5000"),
    ("sw", "Kati ya elfu 3 na elfu 5", "5000"),
    ("th", "คำตอบ: 5 ร้อย", "500"),
    ("th", "คำตอบ: 5 ร้อยบาท", "500"),
    ("th", "คำตอบ: 1 หมื่น 2 พัน 5 ร้อย", "12500"),
    ("th", "คำตอบ: 3 พัน 500 บาท", "3500"),
    ("th", "คำตอบ: 3 พัน 50", "3050"),
    ("th", "คำตอบ: 3 พัน 5 วัน", "3000"),
    ("th", "คำตอบ: 1 หมื่น 2 พัน 5 คน", "12000"),
    ("th", "คำตอบ: 5 ร้อยละ", "5"),
    ("ru", "Ответ: 2 тысячи 50 рублей", "2050"),
    ("zh", "答案：3万 5亿", "30000"),
    ("zh", "答案：3万 5万", "30000"),
    ("en", r"\boxed{18\text{ dollars per 7 days}}", "18"),
    ("en", r"\boxed{18 \text{ eggs in } 2 \text{ days}}", "18"),
    ("en", r"\boxed{\textbf{18} \text{ eggs in } 2{,}000 \text{ days}}", "18"),
    ("en", r"\boxed{\text{18 eggs}}", "18"),
    ("en", r"\boxed{\text{Day } 5}", "5"),
    ("en", r"\boxed{9 \text{ eggs} \times 2 = 18}", "18"),
    ("en", r"\boxed{3 \text{ h } 30 \text{ min} = 210 \text{ min}}", "210"),
]

NO_NUMBER = [
    "",
    "x",
    "...",
    "-",
    "$",
    "10:30",
    "10:00:30",
    "10:30:00",
    "24.11.2024",
    "24/11/2024",
    "v1.2.3",
    "万亿",
    "Answer: none",
    r"\boxed{}",
    "1/0",
    "万",
]


@pytest.mark.parametrize(("language", "text", "number", "rule"), [row[:4] for row in KNOWN] + MORE + SENTENCES_READ)
def test_a_known_answer_is_read_by_its_rule(language, text, number, rule):
    reading = read_number(text, language)
    assert (reading.number, reading.rule) == (None if number is None else Decimal(number), rule)


@pytest.mark.parametrize("written_out", CALCULATIONS)
def test_a_calculation_behind_the_answer_word_is_read_as_what_it_comes_to(written_out):
    readings = {language: read_number(f"{words.answer}: {written_out}", language) for language, words in WORDS.items()}
    assert {language: (found.number, found.rule) for language, found in readings.items()} == dict.fromkeys(
        WORDS, (18, "prefix")
    )


@pytest.mark.parametrize("said", SAID)
def test_a_number_that_ends_its_statement_stays_the_answer(said):
    readings = {language: read_number(f"{words.answer}: {said}", language) for language, words in WORDS.items()}
    assert {language: (found.number, found.rule) for language, found in readings.items()} == dict.fromkeys(
        WORDS, (18, "prefix")
    )


@pytest.mark.parametrize(("language", "text", "number"), IN_WORDS + COMPOUND)
def test_calculations_and_compound_numbers_are_read_in_the_words_of_their_language(language, text, number):
    assert read_number(text, language).number == Decimal(number)


@pytest.mark.parametrize(("others", "number"), [(12, 18), (13, 13)])
def test_an_answer_before_its_explanation_is_read_where_the_explanation_is_short(others, number):
    explained = ", ".join(f"{at} eggs" for at in range(1, others + 1))
    text = f"She makes 18 dollars with all of them each day\n\nThe eggs of her hens are {explained}."
    assert read_number(text, "en").number == number


@pytest.mark.parametrize(
    "made", [around("Answer: ", "\n", "= 18"), around("Answer: ", "0 + ", "18 = 18"), around("Answer:", " & =\n", "18")]
)
def test_a_calculation_that_runs_on_costs_no_time(made):
    assert read_number(made(80_000), "en").number == 18
    assert not too_slow(lambda text: read_number(text, "en"), made)


HOSTILE = ["x^   ", r"\boxed{", r"\frac{1", "Answer: 1 = ", "1万", "one hundred ", "(1 ", "**18", "Check: 18\n"]
HOSTILE_TOO = ["<think>", "\ufdfa", "the answer is ", "1\n= ", "1 ", "minus 7 ", "\n", "18. "]


@pytest.mark.parametrize(
    ("language", "unit"), [*(("en", unit) for unit in (*HOSTILE, *HOSTILE_TOO)), ("sw", "mia mbili "), ("zh", "十")]
)
def test_a_million_characters_take_no_time(language, unit):
    read_number("18", language)  # the words of number are made once
    taken, less = (seconds(lambda text: read_number(text, language), fill(unit)(n)) for n in (1_000_000, 50_000))
    assert taken < 0.5 or taken < 3 * less


def test_of_a_text_that_is_too_long_the_beginning_and_the_end_are_read():
    assert read_number("Answer: 18\n" + "x " * 500_000, "en").number == 18
    assert read_number("x " * 500_000 + "\nAnswer: 18", "en").number == 18


def test_of_a_model_that_never_stops_thinking_nothing_is_read():
    assert read_number("<think>The answer is 18, but", "en") == (None, "none", "")


@pytest.mark.parametrize("text", NO_NUMBER)
def test_what_is_no_number_is_not_read(text):
    assert read_number(text, "en") == (None, "none", "")


def test_the_bundled_filters_of_lm_eval_read_the_known_answers_as_we_say():
    for language in sorted({row[0] for row in KNOWN}):
        rows = [row for row in KNOWN if row[0] == language]
        # row 23: 1.5 counts as the gold 15
        golds = ["15" if row[1] == "Answer: 1.5" else row[2] or "0" for row in rows]
        read = read_by(mgsm_task("native_cot", language, golds), [row[1] for row in rows])
        for (_, text, number, _, strict, flexible), gold, found_strict, found_flexible in zip(
            rows, golds, read["strict-match"], read["flexible-extract"], strict=True
        ):
            for expected, (found, is_right) in ((strict, found_strict), (flexible, found_flexible)):
                if expected is None:
                    continue
                bare = found if found == NO else found.translate(str.maketrans("", "", string.punctuation))
                assert bare == expected, text
                assert bool(is_right) is (expected == gold.lstrip("-")), (text, number)


# Generated cases: everything that is written here must be read as the number that it was written from.

DIGITS = {
    "ascii": "0123456789",
    "full-width": "０１２３４５６７８９",
    "thai": "๐๑๒๓๔๕๖๗๘๙",
    "bengali": "০১২৩৪৫৬৭৮৯",
    "telugu": "౦౧౨౩౪౫౬౭౮౯",
    "arabic": "٠١٢٣٤٥٦٧٨٩",
    "devanagari": "०१२३४५६७८९",
}
OWN_DIGITS = {"th": "thai", "bn": "bengali", "te": "telugu", "zh": "full-width", "ja": "full-width"}
# separator of thousands, decimal point
STYLES = {
    "none": ("", "."),
    "none,": ("", ","),
    "comma": (",", "."),
    "point": (".", ","),
    "space": (" ", ","),
    "no-break": ("\u00a0", ","),
    "narrow": ("\u202f", ","),
    "thin": ("\u2009", "."),
    "apostrophe": ("'", "."),
    "quote": ("’", ","),
    "arabic": ("\u066c", "\u066b"),
    "indian": ("indian", "."),
}
NUMBERS = ["5", "18", "100", "2125", "70000", "114200", "1234567", "1.5", "18.00", "0.125", "1234.56"]
MONEY = ["{}", "${}", "{} €", "€ {}", "{}\u00a0$", "US${}", "₹{}", "{}฿", "৳{}", "¥{}", "{}円", "{}km", "{}%", "**{}**"]
SIGNS = ["", "-", "\u2212"]
POINT_IS_DECIMAL = ("en", "zh", "ja", "th", "sw", "bn", "te")
"""Whose 2.125 is two and an eighth; elsewhere it is 2125."""
PLACES = [
    r"\boxed{{{}}}",
    r"$\boxed{{\text{{{}}}}}$ (7)",
    "{word}: {} (7)",
    "**{word}:** {}",
    "{word} — {} [7]",
    "3 → {}",
]
SENTENCES = {
    "en": ["So the Answer is {}."],
    "de": ["In 7 Tagen. Die Antwort lautet {}.", "Sie verdient 7 und dann {}."],
    "es": ["La Respuesta es {}, no 7.", "Gana {}."],
    "fr": ["Réponse : {}, pas 7.", "Elle gagne {}."],
    "ja": ["答えは{}です。7日。", "合計は{}です。"],
    "ru": ["Ответ: {}, а не 7.", "Она получит {}."],
    "th": ["คำตอบคือ {} ใน 7 วัน", "รวม {} ต่อวัน"],
    "zh": ["答案是{}。7天。", "一共是{}。"],
    "bn": ["উত্তর হল {}। ৭ দিন।", "মোট {} হয়।"],
    "sw": ["Jibu ni {}, siyo 7.", "Jumla ni {}."],
    "te": ["సమాధానం {} మాత్రమే.", "మొత్తం {} ఉంది."],
}


def written(number: str, style: str, digits: str) -> str:
    whole, _, rest = number.partition(".")
    separator, point = STYLES[style]
    if separator == "indian":
        head, tail = (whole[:-3], whole[-3:]) if len(whole) > 3 else ("", whole)
        pairs = [head[max(0, at - 2) : at] for at in range(len(head), 0, -2)][::-1]
        whole = ",".join([*pairs, tail])
    elif separator:
        whole = f"{int(whole):,}".replace(",", separator)
    text = whole + (point + rest if rest else "")
    return text.translate(str.maketrans(DIGITS["ascii"], DIGITS[digits]))


def cases(language: str) -> Iterator[tuple[str, Decimal]]:
    word = WORDS[language].answer
    places = [place.replace("{word}", word) for place in PLACES] + SENTENCES[language]
    numerals = ["ascii", OWN_DIGITS.get(language, "arabic")]
    for place, (number, style), digits, money, sign in itertools.product(
        places, itertools.product(NUMBERS, STYLES), numerals, MONEY, SIGNS
    ):
        if r"\text" in place and "$" in money:
            continue
        shown = (
            sign + money.format(written(number, style, digits))
            if money != "**{}**"
            else f"**{sign}{written(number, style, digits)}**"
        )
        value = Decimal(number)
        if style == "point" and language in POINT_IS_DECIMAL and 1000 <= value < 10**6 and value % 1 == 0:
            value /= 1000
        yield place.format(shown), value * (-1 if sign else 1)


@pytest.mark.parametrize("language", WORDS)
def test_generated_answers_are_read_as_what_they_were_written_from(language):
    # each language takes every eleventh case from its own offset: together they cover the product
    every = list(cases(language))
    mine = every[list(WORDS).index(language) :: len(WORDS)]
    wrong = [(text, value, read_number(text, language)) for text, value in mine]
    wrong = [(text, value, found) for text, value, found in wrong if found.number != value]
    assert not wrong, f"{len(wrong)} of {len(mine)}: {wrong[:10]}"
    assert len(mine) > 2000


@given(st.text(max_size=200), st.sampled_from([*WORDS, "ko", "ar"]))
def test_no_text_breaks_the_reading(text, language):
    reading = read_number(text, language)
    assert (reading.number is None) == (reading.rule == "none")


@given(
    st.text("0123456789.,-/^:%$ x=e\\{}万千k'\u0660\u2212½²①_*", max_size=60), st.sampled_from(["en", "ja", "sw", "bn"])
)
def test_no_tangle_of_signs_breaks_the_reading(text, language):
    read_number(rf"\boxed{{{text}}} Answer: {text}", language)


@given(
    st.integers(-999_999, 999_999),
    st.text(string.ascii_lowercase + " \n!?", max_size=30),
    st.text(string.ascii_lowercase + " \n!?", max_size=30),
)
def test_words_around_an_answer_change_nothing(number, before, after):
    assert read_number(f"{before} Answer: {number} {after}", "en").number == number
    assert read_number(f"{before} {number} . {after}", "en").number in (number, number * 1000, number * 10**6)
    assert read_number(rf"{before}\boxed{{{number}}}{after}", "en").number == number


def test_an_endless_number_is_no_number_and_costs_no_time():
    assert read_number("1" * 200_000, "en").number is None
    assert read_number("Answer: 18 " + "1" * 200_000, "en").number == 18
    assert read_number("(" * 50_000 + "Answer " * 20_000, "en").rule == "none"


@pytest.mark.parametrize(("gold", "number"), [("18", 18), ("114,200", 114200), (" 2,125 ", 2125)])
def test_commas_of_golds_are_thousands(gold, number):
    assert gold_number(gold) == number


def test_a_gold_that_is_no_number_is_refused():
    with pytest.raises(ValueError, match="no number"):
        gold_number("many")
