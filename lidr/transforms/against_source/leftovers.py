"""What was not translated: the whole text, a paragraph of it, or half.

    the source again, and it is prose                       copied_source
    60 letters and more, or half, of the source's prose     copied_source
    the whole in another language than asked for            wrong_language
    a paragraph of 60 letters and more, or half, likewise   wrong_language

A formula, a number, code, a name are the same in many languages: a copy counts only where it is prose, that is, where
it has words that a sentence has, or is written in a script that the target is not written in. What is foreign in the
source already (a poem, the sentence that was asked about) may stay foreign.
"""

from __future__ import annotations

import re
import unicodedata
from collections import defaultdict
from collections.abc import Collection, Sequence
from dataclasses import dataclass, field
from itertools import islice

import polars as pl

from lidr.languages import LANGUAGES
from lidr.rows import TranslationStatus
from lidr.transforms.against_source.copies import folded, is_copy, may_be_copy
from lidr.transforms.language_id import identify, language_of, letters, prose, script_share

LONG = 60
"""Letters from which a paragraph is judged by itself."""

_READ = 10_000  # characters of a sentence that are read: a policy that loops may write one without end
_HALF = 0.45  # of a text's letters; sentences are never cut in exact halves
_SHORT = 20  # letters below which a sentence alone is no evidence, but beside one that is it counts
_FEW = 10  # letters of a script without cases from which a text is a sentence rather than a name

_DENSE = r"[\p{Han}\p{Hiragana}\p{Katakana}\p{Hangul}]"
_EACH = 3  # letters of an alphabet that one of these signs stands for

_SENTENCE = re.compile(
    r"(?<=[.!?…])\s+|(?<=[。！？।॥۔])"
    r"|(?<=[\u0e00-\u0eff])\s+(?=[A-Z][a-z]*[ ,])"  # Thai and Lao end a sentence with a space
)
_NOT_ASCII = re.compile(r"[^\x00-\x7f]")  # all letters of ASCII have cases
_WORD = re.compile(r"[^\W\d_]+(?:['’-][^\W\d_]+)*")
_AROUND = "\"'“”„«»‹›()[]*_#>.,;:!?…¡¿—–-|"
_SIGN_OF_CODE = re.compile(r"[{};=<>()]")  # one is in all that _CODE finds
_CODE = re.compile(r"[{};=]$|[^=]=[^=]|[=!<>]=|->|=>|\(\)|\):$|</|/>")
_STATEMENT = re.compile(
    r"(?:#include|import|from \S+ import|def|class|return|SELECT|INSERT|UPDATE|DELETE|CREATE)\s"
    r"|(?:[$>] |>>> |(?:sudo|git|pip3?|npm|npx|yarn|docker|kubectl|apt(?:-get)?|conda|curl|wget|cd|mkdir|chmod) "
    r"[^\s.,!?]+(?: |$))"
)
_STRINGS = {"text": pl.String, "source": pl.String}
_PARTICLES = frozenset("van von der den des del dos das della and the for und sur les pour bin ibn ben".split())  # noqa: SIM905


def untranslated(text: str, source: str, target: str | None, candidates: Sequence[str]) -> TranslationStatus | None:
    """Whether a text, a paragraph or half of it was not translated; None where all was, or nobody can tell.

    Args:
        text: the translation.
        source: what was to be translated.
        target: code of the language asked for; None leaves languages unchecked, and copies are told by words alone.
        candidates: codes between which languages are told.

    >>> untranslated("x = 4", "x = 4", "de", ["en", "de"]) is None
    True
    >>> untranslated("Bees make honey.", "Bees make honey.", "de", ["en", "de"])
    'copied_source'
    """
    return untranslated_all([(text, source, target)], candidates)[0]


def untranslated_all(
    rows: Sequence[tuple[str, str, str | None]], candidates: Sequence[str]
) -> list[TranslationStatus | None]:
    """The same of many translations, each (text, source, target): columns at once, which takes a third of the time."""
    texts = [_Text(*row) for row in rows]
    plains = iter(_plain([one.text for one in texts] + [one.source for one in texts]))
    for one in texts:
        one.plain = next(plains)
    for one in texts:
        one.plain_source = next(plains)
    copies = [one for one, is_same in zip(texts, _are_copies(texts), strict=True) if is_same]
    for one in copies:
        one.is_known = True
        one.status = "copied_source" if _has_sentence(one.plain_source, one.target) else None
    _check_whole(_open(texts), candidates)
    _check_parts(_open(texts), candidates)
    return [one.status for one in texts]


@dataclass
class _Text:
    """One translation on its way to its status."""

    text: str
    source: str
    target: str | None
    plain: str = ""  # without code, links and mark-up
    plain_source: str = ""
    is_known: bool = False
    status: TranslationStatus | None = None
    parts: list[tuple[int, str]] = field(default_factory=list)  # sentences, each with the number of its paragraph
    sizes: list[int] = field(default_factory=list)  # letters of each
    folds: list[str] = field(default_factory=list)
    are_sentences: list[bool] = field(default_factory=list)


def _open(texts: Sequence[_Text]) -> list[_Text]:
    return [one for one in texts if not one.is_known]


def _are_copies(texts: Sequence[_Text]) -> list[bool]:
    frame = pl.DataFrame({"text": [one.text for one in texts], "source": [one.source for one in texts]}, _STRINGS)
    text, source = pl.col("text"), pl.col("source")
    likely = frame.with_row_index().filter(may_be_copy(text, source)).filter(is_copy(text, source))["index"]
    found = set(likely.to_list())
    return [row in found for row in range(len(texts))]


def is_prose(text: str, target: str | None = None) -> bool:
    """Whether a text has a sentence that would read otherwise in another language; code, formulas and names have none.

    >>> [is_prose(text) for text in ("Bees make honey.", "Albert Einstein", "print(total_sum)", "f(x) = 2x")]
    [True, False, False, False]
    """
    return _has_sentence(_plain([text])[0], target)


def _plain(texts: list[str]) -> list[str]:
    return pl.Series("text", texts, dtype=pl.String).to_frame().select(prose(pl.col("text"))).to_series().to_list()


def _has_sentence(plain: str, target: str | None) -> bool:
    lines = plain.split("\n")
    return any(_are_sentences(lines, [target] * len(lines)))


def _are_sentences(lines: Sequence[str], targets: Sequence[str | None]) -> list[bool]:
    """Of each line whether it is one, where the language of its target is asked for."""
    shapes = [_shape(line.strip()[:_READ]) for line in lines]
    found = [is_one for is_one, _ in shapes]
    by_target: defaultdict[str, list[int]] = defaultdict(list)
    for row, ((is_one, has_other_letters), target) in enumerate(zip(shapes, targets, strict=True)):
        if not is_one and has_other_letters and target in LANGUAGES:
            by_target[target].append(row)
    for target, numbers in by_target.items():  # most of its letters are of another script than the target is written in
        read = pl.Series("line", [lines[row].strip()[:_READ] for row in numbers], dtype=pl.String).to_frame()
        shares = read.select(script_share(pl.col("line"), target)).to_series().to_list()
        for row, share in zip(numbers, shares, strict=True):
            found[row] = share is not None and share < 0.5
    return found


def _shape(line: str) -> tuple[bool, bool]:
    """Whether a line is a sentence in any language; and, of one that is none, whether it has letters of a script that
    not all write.
    """
    if _STATEMENT.match(line) or (_SIGN_OF_CODE.search(line) and _CODE.search(line)):
        return False, False
    cased: list[str] = []
    has_small = False
    for token in line.split():
        word = token.strip(_AROUND)
        if word.upper() != word.lower() and _WORD.fullmatch(word):
            cased.append(word)
            has_small = has_small or (len(word) > 2 and word[0].islower() and word not in _PARTICLES)
            if has_small and len(cased) > 1:
                return True, False
    others = (one for one in _NOT_ASCII.findall(line) if one.isalpha() and one.lower() == one.upper())
    uncased = sum(1 for _ in islice(others, _FEW))
    has_other_letters = uncased > 1 or (len("".join(cased)) > 1 and not _is_latin(cased[0]))
    return uncased >= _FEW, has_other_letters


def _is_latin(word: str) -> bool:
    return unicodedata.name(word[0], "").startswith("LATIN")


def _check_whole(texts: Sequence[_Text], candidates: Sequence[str]) -> None:
    """Find those that are as a whole in another language than asked for."""
    asked = [one for one in texts if one.target is not None]
    for one, language in zip(asked, _languages([(t.text, t.target) for t in asked], candidates), strict=True):
        if language not in (None, one.target):
            one.is_known, one.status = True, "wrong_language"


def _languages(texts: Sequence[tuple[str, str | None]], candidates: Sequence[str]) -> list[str | None]:
    """The language of each text, which was asked for in one."""
    if not texts:
        return []
    frame = pl.DataFrame(list(texts), {"text": pl.String, "asked": pl.String}, orient="row")
    return identify(frame["text"], candidates, asked=frame["asked"])["language"].to_list()


def _check_parts(texts: Sequence[_Text], candidates: Sequence[str]) -> None:
    """Find those of which a long paragraph, or about half, was copied or is in another language."""
    for one in texts:
        one.parts = _sentences(one.plain)
    _measure(texts)
    texts = [one for one in texts if len(one.parts) > 1 or max(one.sizes, default=0) >= LONG]
    of_source = [[part for _, part in _sentences(one.plain_source)] for one in texts]
    folded_source = iter(_fold([part for parts in of_source for part in parts]))
    chunks = [[] if one.target is None else _chunks(one) for one in texts]
    told = iter(
        _languages([(c[1], o.target) for o, of_one in zip(texts, chunks, strict=True) for c in of_one], candidates)
    )
    for one, parts, of_one in zip(texts, of_source, chunks, strict=True):
        known, languages = {next(folded_source) for _ in parts}, [next(told) for _ in of_one]
        if _is_copied_in_part(one, known, candidates):
            one.status = "copied_source"
        elif wrong := _other_languages(one, of_one, languages):
            one.status = None if wrong <= _foreign_to_source(one.source, candidates) else "wrong_language"


def _measure(texts: Sequence[_Text]) -> None:
    """Letters, folded form and kind of every part."""
    parts = [part for one in texts for _, part in one.parts]
    targets = [one.target for one in texts for _ in one.parts]
    sizes, folds, kinds = iter(_letters(parts)), iter(_fold(parts)), iter(_are_sentences(parts, targets))
    for one in texts:
        for _ in one.parts:
            one.sizes.append(next(sizes))
            one.folds.append(next(folds))
            one.are_sentences.append(next(kinds))


def _is_copied_in_part(one: _Text, known: Collection[str], candidates: Sequence[str]) -> bool:
    kept = [
        size if fold in known and is_one else 0
        for fold, size, is_one in zip(one.folds, one.sizes, one.are_sentences, strict=True)
    ]
    beside = [max(kept[max(0, at - 1) : at + 2]) for at in range(len(kept))]
    copied = [size if longest >= _SHORT else 0 for size, longest in zip(kept, beside, strict=True)]
    if not _is_much(copied, one.sizes):
        return False
    return not _may_be_copied(one, copied, candidates)


def _is_much(found: Sequence[int], sizes: Sequence[int]) -> bool:
    """Whether what was found makes a long run, or about half of all."""
    run = longest = 0
    for size in found:
        run = run + size if size else 0
        longest = max(longest, run)
    return longest >= LONG or sum(found) >= max(_SHORT, _HALF * sum(sizes))


def _may_be_copied(one: _Text, copied: Sequence[int], candidates: Sequence[str]) -> bool:
    """Whether what was copied is in the target language already, or was foreign in the source, too."""
    if one.target is None:
        return False
    text = " ".join(part for (_, part), size in zip(one.parts, copied, strict=True) if size)
    said = language_of(text, [one.target, *candidates])
    return said == one.target or (said is not None and said in _foreign_to_source(one.source, candidates))


def _other_languages(one: _Text, chunks: Sequence[tuple[int, str, int]], found: Sequence[str | None]) -> frozenset[str]:
    """The languages, not asked for, of a long paragraph or of about half of all; none where it is less."""
    wrong = {language for language in found if language not in (None, one.target)}
    by_paragraph: defaultdict[int, list[str | None]] = defaultdict(list)
    for (row, _, _), language in zip(chunks, found, strict=True):
        by_paragraph[row].append(language)
    whole = any(set(said) <= wrong for said in by_paragraph.values())
    amount = sum(size for (_, _, size), language in zip(chunks, found, strict=True) if language in wrong)
    return frozenset(wrong) if whole or amount >= max(LONG, _HALF * sum(one.sizes)) else frozenset()


def _chunks(one: _Text) -> list[tuple[int, str, int]]:
    """Sentences of one paragraph joined until they are long enough to tell: (paragraph, text, letters)."""
    chunks: list[tuple[int, str, int]] = []
    for (row, part), size, is_one in zip(one.parts, one.sizes, one.are_sentences, strict=True):
        if not is_one:
            continue
        if chunks and chunks[-1][0] == row and chunks[-1][2] < LONG:
            chunks[-1] = (row, f"{chunks[-1][1]} {part}", chunks[-1][2] + size)
        else:
            chunks.append((row, part, size))
    return [chunk for chunk in chunks if chunk[2] >= LONG]


def _foreign_to_source(source: str, candidates: Sequence[str]) -> frozenset[str]:
    """Languages of paragraphs of the source that are not the source's own: they may stay in the translation."""
    plain = _plain([source])[0]
    if len(_sentences(plain)) < 2 or len({*candidates, "en"}) < 2:
        return frozenset()
    lines = [line for line in plain.split("\n") if line.strip()]
    found = identify(pl.Series([source, *lines], dtype=pl.String), list(candidates))["language"].to_list()
    return frozenset(found[1:]) - {found[0], None}


def _sentences(plain: str) -> list[tuple[int, str]]:
    """The sentences of a text's prose, each with the number of its paragraph."""
    found, paragraph = [], 0
    for line in plain.split("\n"):
        paragraph += not line.strip()
        found += [(paragraph, part.strip()) for part in _SENTENCE.split(line) if part.strip()]
    return found


def _fold(texts: list[str]) -> list[str]:
    return pl.Series("text", texts, dtype=pl.String).to_frame().select(folded(pl.col("text"))).to_series().to_list()


def _letters(texts: list[str]) -> list[int]:
    """How many letters each has; a sign of a dense script counts for as many as an alphabet needs for it."""
    found = letters(pl.col("text"))
    amount = found.str.len_chars() + (_EACH - 1) * found.str.count_matches(_DENSE)
    return pl.Series("text", texts, dtype=pl.String).to_frame().select(amount).to_series().to_list()
