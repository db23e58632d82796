"""Where the numbers of a text are and what they are worth, in every script and number style.

    plain("Réponse : 70<U+202F>000 €")       'Réponse : 70 000  '
    numerals("70.000 / ১,১৪,২০০ / 3.5万")     70000, 114200, 35000

A text is first made plain: NFKC (full-width forms), every Unicode digit to ASCII, one minus, one space, no zero-width
marks, Arabic separators as points and commas, currency signs and mark-up to spaces, TeX to what it shows
(`\\frac{1}{2}` to 1/2, `10^{3}` to 10^3; exponents and indices of letters go).

What separates what:
    groups of exactly 3 by one of , . ' _ or a space are thousands, in every language: 70.000  70,000  70 000  1'234
    groups of 2 before a last group of 3, by commas, are Indian thousands: 1,14,200
    of two kinds of separator the last is the decimal point: 1.234,56  1,234.56  70 000,50
    one separator before exactly 3 digits means thousands (golds are integers), unless that cannot be: 0.125  1234.567;
    a point means decimals there where the answer's language writes it so: 3.125 in English; a comma in de es fr ru
    where the same text has one before another number of digits: 9,5 + 2,625
    any other number of digits after one separator: decimals
    18,19,20 is a list, 24.11.2024 and 24/11/2024 are dates, 1.2.3 a version, 10:30 a time: no numbers

Read as well: fractions and mixed numbers (1/2, ½, 2 1/2), powers and scientific form (10^3, 3 × 10^5, 2e3), words of
scale behind a number (3.5万, 1億2千万, 70 mil, 2 lakh, 70k; in Swahili before it: elfu 70, laki 1 na elfu 14). Numbers
that are spelled out in full (eighteen, 十八) are the matter of `spelled_numbers`.

A minus is a sign where it touches the number or its currency and nothing to its left makes it a range (3-5), an
operator (16 -3) or a hyphen (COVID-19). A number that is part of a word or of a list's marking is kept apart: it counts
only where there is no other (see Standing).
"""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Iterator, Mapping
from decimal import Context, Decimal, localcontext
from functools import lru_cache
from typing import Literal, NamedTuple

from lidr.evals.mgsm.words import ORDINALS, STEP, is_rest, link, scale_pattern, scale_value

Point = Literal["thousands", "decimals"]
Marks = Mapping[str, Point]
_THOUSANDS: Marks = {".": "thousands", ",": "thousands"}
Standing = Literal["free", "modifier", "part"]
"""free: on its own. modifier: 5th, 3-day, 第3. part: CO2, F-16, `2. Then`, 10:00."""


class Numeral(NamedTuple):
    """One number of a plain text."""

    value: Decimal
    start: int
    end: int
    standing: Standing


_KEPT = 20_000  # characters at each end of a text that is too long
_LONGEST = 60  # digits and separators; a policy that loops writes longer ones, which mean nothing
_SHORT = Context(prec=28)  # of fractions that do not end, 1/3
_PRECISION = 120  # digits of the arithmetic: enough for exact products of what is read

_CURRENCY = "[$£¥¢\u00a4\u058f\u060b\u09f2\u09f3\u0af1\u0bf9\u0e3f\u17db\u20a0-\u20cf]"
_SUPERSCRIPTS = str.maketrans("⁰¹²³⁴⁵⁶⁷⁸⁹⁻", "0123456789-")
_SIGNS = str.maketrans(
    dict.fromkeys("‐‑‒–−", "-")
    | dict.fromkeys("’ʼ‘", "'")
    | {"\u066b": ".", "\u066c": ",", "\u060c": ",", "\u066a": "%", "\u2044": "/", "\u2215": "/"}
)

BOLD = "\x1f"
"""Where bold print begins or ends, in a plain text. White space, as a rule that looks for a blank takes it."""
MONEY = "\x1e"
"""Where the sign of a currency stood."""

_BEFORE_NFKC = (
    (re.compile("[\x1c-\x1f]"), " "),
    (re.compile("："), ": "),  # of text, never of a time
    # ① of lists
    (re.compile("[\u2460-\u24ff\u2776-\u2793\u3220-\u3229\u3251-\u325f\u32b1-\u32bf]|\\d\ufe0f?\u20e3"), " "),
    (re.compile("(?<=[0-9０-９])[⁻⁰¹²³⁴-⁹]+"), lambda m: "^" + m[0].translate(_SUPERSCRIPTS)),
    (re.compile("[⁻⁰¹²³⁴-⁹₀-₉]+"), ""),
    (re.compile("(?<=[0-9０-９])(?=[¼½¾⅐-⅞])"), " "),  # 2½
)
_TEX = (
    (re.compile(r"\{,\}|(?<=\d)\\(?:text|mathrm|mathord|mbox)\{,\}(?=\d)"), ","),
    (re.compile(r"\{\\[,;: ]\}|\\(?:thinspace|enspace|medspace)(?![A-Za-z])"), " "),
    (re.compile(r"\\!"), ""),
    (re.compile(r"\\[,;: ]|~"), " "),
    (re.compile(r"(?<=\d)\\(?=[dtc]?frac)"), r" \\"),  # 2\frac{1}{2} is 2 1/2
    (re.compile(r"\\[dtc]?frac\s*(?:\{([^{}]*)\}\s*\{([^{}]*)\}|(\d)\s*(\d))"), r"\1\3/\2\4 "),
    (re.compile(r"(?<=\d)\^\s{0,3}\{?\s{0,3}(-?\d+)\s{0,3}\}?"), r"^\1"),
    (re.compile(r"(?<!\d)\^\s{0,3}\{?\s{0,3}-?\d+\s{0,3}\}?"), " "),
    (re.compile(r"\^(?!-?\d)"), " "),
    (re.compile(r"\\(?:times|cdot)(?![A-Za-z])"), "×"),
    (re.compile(r"\\div(?![A-Za-z])"), "÷"),
    (re.compile(r"\\(?:approx|equiv|simeq|cong)(?![A-Za-z])"), "≈"),
    (re.compile(r"\\(?:to|implies|(?:[Ll]ong)?[Rr]ightarrow)(?![A-Za-z])"), "→"),
    (re.compile(r"\\(?:text|math|oper)[a-z]*(?![A-Za-z])"), ""),
    (re.compile(r"\*\*|(?<!\w)__(?=\S)|(?<=\S)__(?!\w)|</?(?:b|strong)>"), BOLD),
    (re.compile(r"\\[A-Za-z]+|\\[()\[\]]|[{}]|`"), " "),
    (re.compile(r"\\(?=[$%#&_])"), ""),
)
_CODE = r"(?<![^\W\d_])(?:[A-Z]{3}|[A-Z]{1,2}(?=\s?[$£¥])|Rs|TSh|Tsh|KSh|Ksh|Sh|Tk|kr|руб|రూ|টাকা)\.?\s?"
_MONEY = (
    (re.compile(rf"(?<=-)(?:{_CODE})?{_CURRENCY}\s?(?=[-.]?\d)|(?<=-){_CODE}(?=\d)"), ""),
    (re.compile(rf"{_CODE}(?={_CURRENCY}|\d|(?<=\s)-\d)|{_CURRENCY}"), MONEY),
    (re.compile(r"[负負](?=\d)|マイナス(?=\d)"), "-"),
    (re.compile(r"(?<=\d)_(?=\d{3}(?!\d))"), ","),
)

_BODY = r"(?:\d{1,3}(?:[ ]\d{3})+(?!\d)(?:[.,]\d+)?|\d+(?:[.,]\d+|'\d{3}(?!\d))*|(?<![\w.])\.\d+)"
_NUMBER = re.compile(
    rf"(?<!\d)(?<!\d[.,'/])(?:(?P<whole>\d{{1,4}})[ ](?P<top>\d{{1,3}})/(?P<bottom>\d{{1,3}})(?![\d/])"
    rf"|(?P<time>\d{{1,2}}:[0-5]\d(?::[0-5]\d)?)(?![\d:])"
    rf"|(?P<body>{_BODY})(?P<over>(?:/{_BODY})*)(?:\^(?P<power>-?\d{{1,2}})|[eE](?P<tens>[+-]?\d{{1,2}})(?!\w))?)"
)
_TENS = re.compile(r"\s?[×x*·⋅]\s?10\^(-?\d{1,2})(?!\d)")
_GROUPED = re.compile(r"\d{1,3}(?:,\d{3})+|\d{1,2}(?:,\d\d)+,\d{3}")
_FAR = 16  # characters to the left in which a mark of a list or step stands
_LIST_MARK = re.compile(r"[.)][ \t]+\S")


def shortened(text: str) -> str:
    """The text, or of one that is longer than any answer its beginning and its end: what is between says nothing."""
    return text if len(text) <= 2 * _KEPT else f"{text[:_KEPT]}\n{text[-_KEPT:]}"


def plain(text: str) -> str:
    """The text as numbers are looked for in it; see above."""
    for pattern, new in _BEFORE_NFKC:
        text = pattern.sub(new, text)
    text = shortened(unicodedata.normalize("NFKC", text))  # one sign may become eighteen letters
    text = "".join(_ascii(c) for c in text) if not text.isascii() else text
    for pattern, new in (*_TEX, *_MONEY):
        text = pattern.sub(new, text)
    return text


def _ascii(character: str) -> str:
    if character.isdecimal():
        return str(unicodedata.decimal(character))
    if unicodedata.category(character) == "Cf":
        return ""
    return character.translate(_SIGNS)


def numerals(text: str, language: str, *, point: Point = "thousands", comma: Point = "thousands") -> Iterator[Numeral]:
    """The numbers of a plain text, from left to right.

    Args:
        text: as `plain` gives it.
        language: code; decides the words of scale and the ordinals.
        point, comma: what one of them before exactly three digits is.
    """
    at = 0
    while match := _NUMBER.search(text, at):
        at = match.end()
        if at - match.start() <= _LONGEST:
            for numeral in _read(text, match, language, {".": point, ",": comma}):
                at = max(at, numeral.end)
                yield numeral


def _read(text: str, match: re.Match[str], language: str, marks: Marks) -> list[Numeral]:
    """The numbers that one match stands for: none (a date), one, or more (a list)."""
    start, end = match.span()
    with localcontext() as context:
        context.prec = _PRECISION
        value = _value(match, marks)
        if value is None:
            return _listed(text, match, language)
        if tens := _TENS.match(text, end):
            value, end = value.scaleb(int(tens[1])), tens.end()
        value, start, end = _scaled(text, value, start, end, language)
        if _is_negative(text, start):
            value, start = -value, start - 1
    return [Numeral(value, start, end, _standing(text, match, start, end, language))]


def _listed(text: str, match: re.Match[str], language: str) -> list[Numeral]:
    """The numbers of `18,19,20`; nothing else is one."""
    body = match["body"] or ""
    if "," not in body or match["over"]:
        return []
    found, at = [], match.start()
    for part in body.split(","):
        if (value := amount(part)) is not None:
            found.append(Numeral(value, at, at + len(part), "free"))
        at += len(part) + 1
    return found


def _value(match: re.Match[str], marks: Marks) -> Decimal | None:
    if match["time"]:
        hours, *rest = match["time"].split(":")
        return Decimal(hours) if not any(map(int, rest)) else None
    if match["whole"]:
        top, bottom = int(match["top"]), int(match["bottom"])
        if not 0 < top < bottom:
            return None
        return int(match["whole"]) + _SHORT.divide(Decimal(top), Decimal(bottom))
    value = amount(match["body"], marks)
    parts = match["over"].split("/")[1:]
    if len(parts) > 1 or value is None:
        return None
    if parts:
        below = amount(parts[0], marks)
        value = _SHORT.divide(value, below) if below else None
    if value is not None and match["power"]:
        value = value ** int(match["power"]) if value or not match["power"].startswith("-") else None
    if value is not None and match["tens"]:
        value = value.scaleb(int(match["tens"]))
    return value


def amount(body: str, marks: Marks = _THOUSANDS) -> Decimal | None:
    """What digits with separators are worth; None where they are no number. `marks`: what a point and a comma before
    exactly three digits are.

    >>> [str(amount(body)) for body in ("70.000", "1.234,56", "1,14,200", "18,00", "0.125", "24.11.2024")]
    ['70000', '1234.56', '114200', '18.00', '0.125', 'None']
    """
    grouped = body.replace(" ", "").replace("'", "")
    is_grouped = grouped != body
    kinds = {c for c in grouped if c in ".,"}
    if not kinds:
        return Decimal(grouped)
    last = max(grouped.rfind("."), grouped.rfind(","))
    head, tail, mark = grouped[:last], grouped[last + 1 :], grouped[last]
    if len(kinds) == 2:
        whole = head.replace(".", ",")
        ok = mark not in head and _GROUPED.fullmatch(whole)
        return Decimal(f"{whole.replace(',', '')}.{tail}") if ok and not is_grouped else None
    if mark not in head:
        is_thousands = (
            marks[mark] == "thousands" and not is_grouped and len(tail) == 3 and 1 <= len(head) <= 3 and head[0] != "0"
        )
        return Decimal(head + tail) if is_thousands else Decimal(f"{head or 0}.{tail}")
    dotted = mark == "." and not re.fullmatch(r"\d{1,3}(?:\.\d{3})+", grouped)
    ok = not is_grouped and not dotted and _GROUPED.fullmatch(grouped.replace(".", ","))
    return Decimal(grouped.replace(mark, "")) if ok else None


def _scaled(text: str, value: Decimal, start: int, end: int, language: str) -> tuple[Decimal, int, int]:
    """Take in the words of scale behind a number (3万5千, 2 тысячи 500), or before it (elfu 70)."""
    behind, before = _scales(language)
    if before and (scale := before.search(text, max(0, start - 12), start)):
        total, end = _compound(text, value, scale_value(scale[0], language), end, language)
        return total, scale.start(), end
    parts: list[tuple[Decimal, Decimal]] = []  # what is complete: amount, and what it was multiplied by
    pending, last, is_apart = value, end, False
    while scale := behind.match(text, end):
        factor = scale_value(scale[0], language)
        if parts and (factor == parts[-1][1] or (factor > parts[-1][1] and pending and is_apart)):
            return _sum(parts), start, last
        while parts and parts[-1][1] < factor:  # 2千万 is 2000 * 10000
            pending += parts.pop()[0]
        parts.append((pending * factor, factor))
        last, is_apart = scale.end(), text[scale.end() : scale.end() + 1] == " "
        pending, end = _whole(text, last + is_apart)
        if not 0 < pending < factor:
            pending, end = Decimal(0), last
    if parts and pending and not is_rest(text, last, end, parts[-1][1], language):
        return _sum(parts), start, last
    return _sum(parts) + pending, start, end


def _sum(parts: list[tuple[Decimal, Decimal]]) -> Decimal:
    return sum((amount for amount, _ in parts), Decimal(0))


def _compound(text: str, value: Decimal, factor: Decimal, end: int, language: str) -> tuple[Decimal, int]:
    """What a number behind its word of scale comes to with the smaller ones that follow: laki 1 na elfu 14."""
    total = value * factor
    while more := link(language).match(text, end):
        smaller = scale_value(more["scale"], language) if more["scale"] else Decimal(1)
        rest, stop = _whole(text, more.end())
        if not 0 < rest * smaller < factor or text.startswith("%", stop):
            break
        total, factor, end = total + rest * smaller, smaller, stop
    return total, end


def _whole(text: str, start: int) -> tuple[Decimal, int]:
    """The number that stands there, without fractions, and where it ends; 0 if none does."""
    number = _NUMBER.match(text, start)
    if number is None or not number["body"] or number["over"]:
        return Decimal(0), start
    return amount(number["body"]) or Decimal(0), number.end("body")


@lru_cache(maxsize=64)
def _scales(language: str) -> tuple[re.Pattern[str], re.Pattern[str] | None]:
    behind, before = scale_pattern(language)
    return re.compile(f"[ {BOLD}]?(?:{behind})"), re.compile(rf"(?<!\w)(?:{before})[ {BOLD}]$") if before else None


def _is_negative(text: str, start: int) -> bool:
    """Whether what touches the number from the left is a sign."""
    if start == 0 or text[start - 1] != "-":
        return False
    left = text[max(0, start - 4) : start - 1]
    if not left:
        return True
    if _is_hyphenating(left[-1]) or left[-1] in "-)]%":
        return False
    return not left.rstrip(" ")[-1:].isdigit()


def _is_hyphenating(character: str) -> bool:
    """A letter or mark of a script that joins words by hyphens; Thai, Han and kana do not."""
    is_letter = unicodedata.category(character)[0] in "LM"
    return is_letter and not ("\u0e00" <= character < "\u0f00" or character >= "\u2e80")


def _standing(text: str, match: re.Match[str], start: int, end: int, language: str) -> Standing:
    left, right = text[max(0, start - 2) : start], text[end : end + 2]
    is_times = left[-1:] in ("x", "X") and left[0].isdigit()
    if match["time"] or (left and _is_hyphenating(left[-1]) and left[-1] < "\u0530" and not is_times):
        return "part"
    if len(left) == 2 and left[-1] in "-_" and _is_hyphenating(left[0]):
        return "part"
    before = text[max(0, start - _FAR) : start]
    is_first = "\n" in before or (start <= _FAR and match["body"] in ("0", "1", "2"))  # a list begins with 1
    if is_first and before.rpartition("\n")[2].strip(" \t*#>-_" + BOLD) == "" and _LIST_MARK.match(text, end):
        return "part"
    if STEP.search(before):
        return "part"
    if (len(right) == 2 and right[0] == "-" and _is_hyphenating(right[1])) or left[-1:] == "第":
        return "modifier"
    ordinal = ORDINALS.get(language)
    return "modifier" if ordinal and ordinal.match(text, end) else "free"
