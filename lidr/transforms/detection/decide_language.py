"""Whether one text is in the language that it was asked for, in which other, or whether that cannot be known.

1  words alone are read: no code, no looped words, no repeated sentence
2  letters of another script than the asked language's: another language, or names, which tell nothing
3  a script that one language writes decides, however short the text
4  a letter that the asked language never writes (Russian: і ї є) decides
5  fastText; where it does not see the asked language, the mean of it and of lingua among the likely languages
6  nothing found so far, and the text is short: the asked language, if its words have anything of it
7  another language must be found without quotations and titles too

>>> decide("Ответ: 18.", "ru").language, decide("Відповідь: 18.", "ru").language
('ru', 'uk')
>>> print(decide("Janet", "de").language)
None
"""

from __future__ import annotations

import re
import unicodedata
from collections import Counter
from collections.abc import Collection, Mapping, Sequence
from functools import lru_cache
from typing import NamedTuple

from lidr.languages import LANGUAGES
from lidr.transforms.detection.detectors import (
    KNOWN,
    RELATIVES,
    WEAK_IN_FASTTEXT,
    by_fasttext,
    by_lingua,
    has_lingua,
)
from lidr.transforms.detection.said_in_code import said_in_code
from lidr.transforms.detection.scripts_and_letters import ONLY_CHINESE, SCRIPTS, foreign_letters, script_of, writers

OTHER = "other"
"""Another language than was asked for, and it cannot be said which."""

CONFIDENCE = 0.8
"""How sure another language must be, 0-1."""

_IN_CODE = re.compile(r"[(){}\[\]=;<>_]")
_READ = 600  # characters that are read: of a longer text a third each of its begin, middle and end
_LONGEST_WORD = 40  # letters; a policy that loops writes words without end
_SHORT = 40  # letters; up to here a text without a foreign sign is the asked language
_PLAIN_WORDS = 3  # words in small letters from which a text is a sentence, no list of names
_DENSE = {"CJK": 3, "HIRAGANA": 3, "KATAKANA": 3, "HANGUL": 3}  # letters of an alphabet that one sign stands for
_HAN = ("CJK", "HIRAGANA", "KATAKANA", "HANGUL")
_SIGNS = 0.1  # share of the words that must have a foreign letter: one name in a long text has it too
_NAMES_AND_NUMBERS = 6  # Han characters up to which Japanese needs no kana: 合計四十二頁
_KANA = 0.1  # share of kana from which a text of Han characters is Japanese
_CERTAIN = 0.9  # from this probability of the asked language on the letters need not be looked at
_SURE = 0.6  # and from this one on lingua is not asked
_LIKELY = 0.5  # mean probability that another language must have
_TRACE = 0.2  # mean probability that the asked language must have where nothing else is found
_FEW = 3  # letters, in words of two and more; below it detectors are not asked ("km", "Да")
_NEARLY = 0.5  # of the probability of a related language: with so much a word or two are in the asked one
_ONE_OR_TWO = 2  # words
_FAINT = 0.3  # mean probability below which another language is no sign of it
_CLOSE = (
    ("id", "ms"),
    ("da", "nb", "sv"),
    ("bg", "mk", "sr"),
    ("bs", "hr", "sl"),
    ("cs", "sk"),
    ("kk", "ky", "tt"),
    ("nl", "af"),
)

_WORD = re.compile(r"[^\W\d_]+(?:['’ʼ‘-][^\W\d_]+)*")
_LATIN_NAME = re.compile(r"[a-z\u00df-\u024f]*[A-Z\u00c0-\u00de][A-Za-z\u00c0-\u024f]*")
_SINGLE = re.compile(r"(?<![^\W\d_])[A-Za-z\u0370-\u03ff](?![^\W\d_])")
_YES_AND_NO = {
    **{"da": "ja nej", "de": "ja nein", "en": "yes no", "es": "sí si no", "fr": "oui non", "id": "ya tidak"},
    **{"it": "sì si no", "nb": "ja nei", "nl": "ja nee", "pl": "tak nie", "pt": "sim não nao", "ro": "da nu"},
    **{"sv": "ja nej", "sw": "ndiyo ndio hapana", "tr": "evet hayır", "vi": "có không"},
}
_SENTENCE_END = re.compile(r"(?<=[.!?;؟])\s+|(?<=[।॥。！？])\s*|\n+")
_SIGN_OF_CODE = re.compile(r"[{}(=>&|#]")  # one is in all that _CODE finds
_CODE = re.compile(
    r"[{}]\s*\Z|[(=].*;\s*\Z|\w\.\w+\(|[=!]=|=>|->|&&|\|\||#include"
    r"|[a-z_]\([^()\s]*(?: [^()\s]*){0,4}\)\s*;?\s*\Z|\b(?:for|if|while)\s*\(|\bfor\s+\w+\s+in\s+\w+\("
)
_STATEMENT = re.compile(r"\s*(?:def|class|import|return|const|let|var|public|void|SELECT|INSERT|UPDATE)\s")
_QUOTED = re.compile(
    "|".join(rf"{a}[^{a}{b}\n]{{1,200}}{b}" for a, b in ('""', "«»", "“”", "„“", "「」", "『』", "《》"))
)
_CAPITAL = r"[A-Z\u00c0-\u00de][\w'’-]*"
_IN_TITLE = r"(?:of|the|and|de|del|la|du|des|da|di|in|a|to|for|von|der|y|et)"
_TITLE = re.compile(rf"\b{_CAPITAL}(?:[ ,:]{{1,2}}(?:{_IN_TITLE} ){{0,3}}{_CAPITAL})+")


class Verdict(NamedTuple):
    """A language's code, OTHER, or None where it cannot be known; and how sure, 0-1, None where nothing was guessed.

    The confidence in the asked language is that it is no other; in another one, that it is not the asked one.
    """

    language: str | None
    confidence: float | None


UNKNOWN = Verdict(None, None)


def decide(text: str, asked: str, others: Collection[str] = (), *, confidence: float = CONFIDENCE) -> Verdict:
    """Tell one text's language.

    Args:
        text: without code, links and mark-up; code that nothing marks as such is found here, line by line.
        asked: code of the language that the text should be in, of lidr.languages.
        others: codes of languages that it may well be in, whether or not they are related.
        confidence: 0-1; how sure another language must be. The asked language needs no such certainty: what is not
            known is None.
    """
    if len(text) > _READ:
        text = _sentences_once(text)
    if len(text) <= _READ:
        return _decide_part(text, asked, tuple(others), confidence)
    third, middle = _READ // 3, (len(text) - _READ // 3) // 2
    parts = (text[:third], text[middle : middle + third], text[-third:])
    return _vote([_decide_part(part, asked, tuple(others), confidence) for part in parts], asked)


def decide_code(text: str, asked: str) -> Verdict:
    """Tell a text that is nothing but code: its comments and strings may show the asked language, never another one.

    Args:
        text: with its code.
        asked: as for `decide`.
    """
    found = decide(said_in_code(text), asked)
    return found if found.language == asked else UNKNOWN


def _sentences_once(text: str) -> str:
    """The text without sentences that it said before: one that repeats itself is no longer than one of it."""
    return "\n".join(dict.fromkeys(sentence.strip() for sentence in _SENTENCE_END.split(text)))


def guess(text: str, candidates: Collection[str], *, confidence: float = CONFIDENCE) -> Verdict:
    """Tell the language of a text that was asked for in none: one of the candidates, OTHER, or None."""
    found = read_once(text[:_READ])
    scripts = {script_of(letter) for letter in found}
    able = [code for code in candidates if scripts & _scripts_of(code)]
    first = by_fasttext(found)
    second = by_lingua(found, able) if len(able) > 1 else {}
    likely = max(able or candidates, key=lambda code: first.get(code, 0.0) + second.get(code, 0.0))
    verdict = decide(text, likely, candidates, confidence=confidence)
    if verdict.language in candidates and (verdict.confidence or 0.0) < confidence:
        return verdict._replace(language=None)
    return verdict if verdict.language is None or verdict.language in candidates else verdict._replace(language=OTHER)


def _scripts_of(language: str) -> set[str]:
    return {"CJK" if name == "Han" else name.upper() for name in LANGUAGES[language].scripts}


def _vote(parts: Sequence[Verdict], asked: str) -> Verdict:
    """What most parts say that say anything; the asked language where as many say so as say any other."""
    said = Counter(part.language for part in parts if part.language is not None)
    if not said:
        return max(parts, key=lambda part: part.confidence or 0.0)
    most = max(said, key=lambda language: (said[language], language == asked))
    if most != asked and list(said.values()).count(said[most]) > 1:
        return UNKNOWN
    sure = [part.confidence for part in parts if part.language == most and part.confidence is not None]
    return Verdict(most, round(sum(sure) / len(sure), 6))


@lru_cache(maxsize=2048)  # a short translation is asked about twice: as a whole, and as its only part
def _decide_part(text: str, asked: str, others: tuple[str, ...], confidence: float) -> Verdict:
    whole = read_once(text)
    verdict = _decide(whole, asked, others) if whole else _beside_code(text, asked, others)
    if verdict.language != asked and whole:
        verdict = _without_quotations(whole, verdict, asked, others)
    if verdict.language != asked and (verdict.confidence or 0.0) < confidence:
        return verdict._replace(language=None)
    return verdict


def _beside_code(text: str, asked: str, others: Collection[str]) -> Verdict:
    """Words around code in one line: they may show the asked language, but never another one."""
    words = [word for word in text.split() if not _IN_CODE.search(word)]
    found = _decide(" ".join(words), asked, others)
    return found if found.language == asked and (found.confidence or 0.0) >= CONFIDENCE else UNKNOWN


def read_once(text: str) -> str:
    """The text on one line, each sentence and each pair of words once, without code and endless words.

    >>> read_once("It is 18. " * 60)
    'It is 18.'
    """
    parts = _SENTENCE_END.split(unicodedata.normalize("NFKC", text))
    words = " ".join(dict.fromkeys(part.strip() for part in parts if not _is_code(part))).split()
    pairs = dict.fromkeys(zip(["", *words], words, strict=False))
    return " ".join(word for before, word in pairs if word != before and not _is_endless(word))


def _is_code(sentence: str) -> bool:
    return bool(_STATEMENT.match(sentence) or (_SIGN_OF_CODE.search(sentence) and _CODE.search(sentence)))


def _is_endless(word: str) -> bool:
    return len(word) > _LONGEST_WORD and script_of(word[0]) in ("LATIN", "CYRILLIC", "GREEK", "ARABIC")


def _without_quotations(text: str, verdict: Verdict, asked: str, others: Collection[str]) -> Verdict:
    """Ask again without quotations and titles: they may be in any language."""
    rest = " ".join(_TITLE.sub(" ", _QUOTED.sub(" ", text)).split())
    if rest == text or not any(len(word) > 1 and not word[0].isupper() for word in _WORD.findall(rest)):
        return verdict
    again = _decide(rest, asked, others)
    return again if again.language == asked or verdict.language is None else verdict


def _decide(text: str, asked: str, others: Collection[str]) -> Verdict:
    if "Latin" in LANGUAGES[asked].scripts and len(text) >= _SHORT:
        quick = by_fasttext(text).get(asked, 0.0)
        if quick >= _CERTAIN:
            return Verdict(asked, round(quick, 6))
    mine = _scripts_of(asked)
    counts = _letters(text, mine)
    total = sum(counts.values())
    eastern = mine & {"CJK", "HANGUL"}
    own = sum(counts[script] for script in (_HAN if eastern else mine))
    if not total:
        return UNKNOWN
    if own * 2 < total:
        return _of_other_script(text, counts, 1 - own / total, asked, others)
    if eastern:
        return _of_han(text, counts, asked)
    script = max(mine, key=lambda name: counts[name])
    words = _WORD.findall(text)
    if SCRIPTS.get(script) == (asked,):
        return Verdict(asked, own / total)
    return _by_letters(words, text, asked, script) or _by_detectors(text, words, asked, script, others)


def _letters(text: str, mine: Collection[str]) -> Counter[str]:
    """Letters by script. Single ones in Latin and Greek are mathematics; beside another script, Latin words with a
    capital are names, and names tell nothing.
    """
    text = _SINGLE.sub(" ", text if "LATIN" in mine else _LATIN_NAME.sub(" ", text))
    counts: Counter[str] = Counter()
    for letter, number in Counter(text).items():
        script = script_of(letter)
        if script == "LATIN" or script in SCRIPTS:
            counts[script] += number * _DENSE.get(script, 1)
    return counts


def _of_other_script(text: str, counts: Counter[str], share: float, asked: str, others: Collection[str]) -> Verdict:
    script = counts.most_common(1)[0][0]
    if script == "LATIN":
        likely, chances = _means(text, "LATIN", {"en", *others} - {asked})
        sure = likely is not None and chances[likely] >= _LIKELY
        return Verdict(likely, share) if sure else UNKNOWN
    if sum(counts.values()) < 2:
        return UNKNOWN
    if script == "CJK":
        return Verdict("ja" if _kana_share(counts) >= _KANA else "zh", share)
    return Verdict(_named(text, script, SCRIPTS[script]), share)


def _kana_share(counts: Mapping[str, int]) -> float:
    kana = counts["HIRAGANA"] + counts["KATAKANA"]
    return kana / (kana + counts["CJK"]) if kana else 0.0


def _of_han(text: str, counts: Counter[str], asked: str) -> Verdict:
    """Chinese, Japanese or Korean."""
    if counts["HANGUL"] * 2 > counts.total():
        return Verdict("ko", 1.0)
    if asked == "ko":
        return Verdict("ja" if _kana_share(counts) >= _KANA else "zh", 1.0)
    if asked == "zh":
        return Verdict("ja", 1.0) if _kana_share(counts) >= 2 * _KANA else Verdict("zh", 1.0)
    if _kana_share(counts) >= _KANA / 2:
        return Verdict("ja", 1.0)
    is_chinese = ONLY_CHINESE.search(text) is not None or (
        counts["CJK"] > _NAMES_AND_NUMBERS * _DENSE["CJK"] and by_fasttext(text).get("zh", 0.0) >= 0.8
    )
    if is_chinese:
        return Verdict("zh", 1.0)
    return Verdict("ja", 0.5) if counts["CJK"] <= _NAMES_AND_NUMBERS * _DENSE["CJK"] else UNKNOWN


def _by_letters(words: Sequence[str], text: str, asked: str, script: str) -> Verdict | None:
    """Another language, because words have letters that the asked one lacks."""
    written = [word for word in words if script_of(word[0]) == script]
    signs = [found for word in written if (word.islower() or not word[0].isupper() or len(written) < 4)
             if (found := foreign_letters(word.lower(), asked))]  # fmt: skip
    if not signs or len(signs) < _SIGNS * len(written):
        return None
    return Verdict(
        _named(text, script, writers("".join(signs), SCRIPTS[script]) or SCRIPTS[script], not_this=asked), 1.0
    )


def _named(text: str, script: str, among: Collection[str], not_this: str = "") -> str:
    """Which of some languages of a script, or OTHER."""
    left = [code for code in among if code != not_this]
    if len(left) == 1:
        return left[0]
    found = by_fasttext(text)
    best = max(left, key=lambda code: found.get(code, 0.0))
    return best if found.get(best, 0.0) >= _LIKELY / 2 else OTHER


def _means(text: str, script: str, likely: Collection[str]) -> tuple[str | None, dict[str, float]]:
    """The most probable language of a script, and the mean of both detectors; fastText's where lingua lacks it."""
    elsewhere = {code for name, codes in SCRIPTS.items() if name != script for code in codes}
    first = {code: chance for code, chance in by_fasttext(text).items() if code in KNOWN - elsewhere}
    top = max(first, key=lambda code: first[code], default=None)
    lacking = sum(chance for code, chance in first.items() if not has_lingua(code))
    second = by_lingua(text, {*likely, *([top] if top else ()), *RELATIVES.get(top or "", ())} - elsewhere)
    means = {code: first.get(code, 0.0) for code in {*first, *second}}
    for code, chance in second.items():
        means[code] = (means[code] + chance * (1 - lacking)) / 2
    return max(means, key=lambda code: means[code], default=None), means


def _by_detectors(text: str, words: Sequence[str], asked: str, script: str, others: Collection[str]) -> Verdict:
    quick = by_fasttext(text).get(asked, 0.0)
    has_words = script != "LATIN" or any(word.islower() and len(word) > 1 for word in words)
    if quick >= _SURE and has_words:
        return Verdict(asked, round(quick, 6))
    if words and not others and all(word.lower() in _YES_AND_NO.get(asked, "").split() for word in words):
        return Verdict(asked, _CERTAIN)
    letters = sum(len(word) for word in words if len(word) > 1)
    if letters < _FEW:
        return UNKNOWN if script == "LATIN" else Verdict(asked, _LIKELY)
    best, means = _means(text, script, {asked, "en", *RELATIVES.get(asked, ()), *others})
    if best is None:
        return UNKNOWN
    mine = means.get(asked, 0.0)
    rival = (
        sum(means.get(code, 0.0) for code in _close(best))
        if best != asked
        else max((chance for code, chance in means.items() if code != asked), default=0.0)
    )
    sure = mine / (mine + rival) if mine + rival else 0.0
    if best != asked and rival >= _LIKELY and has_words:
        return Verdict(best, round(1 - sure, 6))
    is_short = letters <= _SHORT
    is_related = len(words) <= _ONE_OR_TWO and best in RELATIVES.get(asked, ()) and mine >= _NEARLY * means[best]
    is_mine = best == asked or is_related
    if is_mine and mine >= (_TRACE if is_short else _FAINT):
        return Verdict(asked, round(sure, 6))
    if has_words and is_short and rival < _FAINT and (mine >= _TRACE / 2 or script != "LATIN"):
        return Verdict(asked, round(sure, 6))
    return _weak_in_fasttext(text, words, asked) if script == "LATIN" and mine < _TRACE / 2 else UNKNOWN


def _weak_in_fasttext(text: str, words: Sequence[str], asked: str) -> Verdict:
    """Another language that fastText rarely sees, where lingua is sure that it is one of these."""
    if sum(word.islower() and len(word) > 1 for word in words) < _PLAIN_WORDS:
        return UNKNOWN
    found = by_lingua(text, {asked, "en", *RELATIVES.get(asked, ()), *WEAK_IN_FASTTEXT})
    best = max(WEAK_IN_FASTTEXT, key=lambda code: found.get(code, 0.0))
    sure = sum(found.get(code, 0.0) for code in WEAK_IN_FASTTEXT if code != asked)
    return Verdict(best, round(sure, 6)) if sure >= CONFIDENCE and best != asked else UNKNOWN


def _close(language: str) -> Collection[str]:
    """The language and those so close to it that detectors share their probability between them."""
    return next((group for group in _CLOSE if language in group), (language,))
