"""What people write for a language, read as BCP-47: codes in any case, names, tags with a script or region.

>>> [read_tag(text) for text in ("DE", "English", "pt_br", "zh-hans", "deu_Latn", "Deutsch")]
['de', 'en', 'pt-BR', 'zh-Hans', 'de-Latn', 'de']
>>> print(read_tag("helpful"), read_tag("und"), read_tag(""))
None None None

A tag stands for a recipe's language where the recipe has it, or has it without script or region.

>>> in_recipe("pt-BR", ["en", "pt"]), in_recipe("pt-BR", ["en", "pt-BR"]), in_recipe("pt-BR", ["en"])
('pt', 'pt-BR', 'pt-BR')
"""

from __future__ import annotations

import difflib
import re
from collections.abc import Collection

from lidr.languages import LANGUAGES

# ISO 639-1: a tag of a language that lidr has no row for is a language all the same
_NAMES = """aa Afar|ab Abkhazian|ae Avestan|af Afrikaans|ak Akan|am Amharic|an Aragonese|ar Arabic|as Assamese|av Avaric
ay Aymara|az Azerbaijani|ba Bashkir|be Belarusian|bg Bulgarian|bi Bislama|bm Bambara|bn Bengali|bo Tibetan|br Breton
bs Bosnian|ca Catalan|ce Chechen|ch Chamorro|co Corsican|cr Cree|cs Czech|cu Church Slavic|cv Chuvash|cy Welsh
da Danish|de German|dv Divehi|dz Dzongkha|ee Ewe|el Greek|en English|eo Esperanto|es Spanish|et Estonian|eu Basque
fa Persian|ff Fulah|fi Finnish|fj Fijian|fo Faroese|fr French|fy Western Frisian|ga Irish|gd Scottish Gaelic
gl Galician|gn Guarani|gu Gujarati|gv Manx|ha Hausa|he Hebrew|hi Hindi|ho Hiri Motu|hr Croatian|ht Haitian
hu Hungarian|hy Armenian|hz Herero|ia Interlingua|id Indonesian|ie Interlingue|ig Igbo|ii Sichuan Yi|ik Inupiaq
io Ido|is Icelandic|it Italian|iu Inuktitut|ja Japanese|jv Javanese|ka Georgian|kg Kongo|ki Kikuyu|kj Kuanyama
kk Kazakh|kl Kalaallisut|km Khmer|kn Kannada|ko Korean|kr Kanuri|ks Kashmiri|ku Kurdish|kv Komi|kw Cornish|ky Kyrgyz
la Latin|lb Luxembourgish|lg Ganda|li Limburgish|ln Lingala|lo Lao|lt Lithuanian|lu Luba-Katanga|lv Latvian
mg Malagasy|mh Marshallese|mi Maori|mk Macedonian|ml Malayalam|mn Mongolian|mr Marathi|ms Malay|mt Maltese|my Burmese
na Nauru|nb Norwegian Bokmål|nd North Ndebele|ne Nepali|ng Ndonga|nl Dutch|nn Norwegian Nynorsk|nr South Ndebele
nv Navajo|ny Chichewa|oc Occitan|oj Ojibwa|om Oromo|or Odia|os Ossetic|pa Punjabi|pi Pali|pl Polish|ps Pashto
pt Portuguese|qu Quechua|rm Romansh|rn Rundi|ro Romanian|ru Russian|rw Kinyarwanda|sa Sanskrit|sc Sardinian|sd Sindhi
se Northern Sami|sg Sango|si Sinhala|sk Slovak|sl Slovenian|sm Samoan|sn Shona|so Somali|sq Albanian|sr Serbian
ss Swati|st Southern Sotho|su Sundanese|sv Swedish|sw Swahili|ta Tamil|te Telugu|tg Tajik|th Thai|ti Tigrinya
tk Turkmen|tl Tagalog|tn Tswana|to Tongan|tr Turkish|ts Tsonga|tt Tatar|tw Twi|ty Tahitian|ug Uyghur|uk Ukrainian
ur Urdu|uz Uzbek|ve Venda|vi Vietnamese|vo Volapük|wa Walloon|wo Wolof|xh Xhosa|yi Yiddish|yo Yoruba|za Zhuang
zh Chinese|zu Zulu"""
_ISO1 = dict(entry.split(" ", 1) for entry in re.split(r"[|\n]", _NAMES))

# three letters, and codes that ISO has replaced
_OTHER_CODES = """ara ar|arb ar|bul bg|ben bn|cat ca|ces cs|cze cs|dan da|deu de|ger de|ell el|gre el|eng en|spa es
eus eu|baq eu|fas fa|per fa|pes fa|fin fi|fra fr|fre fr|heb he|hin hi|hun hu|ind id|ita it|jpn ja|kor ko|nld nl
dut nl|nob nb|nor nb|no nb|pol pl|por pt|ron ro|rum ro|rus ru|swe sv|swa sw|swh sw|tam ta|tel te|tha th|tur tr|ukr uk
urd ur|vie vi|yor yo|zho zh|chi zh|cmn zh|iw he|in id|ji yi|jw jv|mo ro"""
_SAME = dict(entry.split(" ", 1) for entry in re.split(r"[|\n]", _OTHER_CODES))
_BY_NAME = {
    **{name.casefold(): code for code, name in _ISO1.items()},
    **{name.casefold(): row.code for row in LANGUAGES.values() for name in (row.name, row.own_name)},
    **{"farsi": "fa", "mandarin": "zh", "norwegian": "nb", "slovene": "sl"},
}
# codes of countries that people write for a language
_COUNTRIES = """at de|bd bn|br pt|cn zh|cz cs|dk da|eg ar|gb en|ge de|gr el|hk zh|il he|ir fa|jp ja|ke sw|kr ko|mx es
pk ur|se sv|sp es|tw zh|ua uk|us en|vn vi"""
_SPOKEN_IN = dict(entry.split(" ", 1) for entry in re.split(r"[|\n]", _COUNTRIES))
_TAG = re.compile(r"([a-z]{2,3})(?:-([a-z]{4}))?(?:-([a-z]{2}|[0-9]{3}))?((?:-(?:[a-z0-9]{5,8}|[0-9][a-z0-9]{3}))*)")


def read_tag(text: str) -> str | None:
    """The BCP-47 tag of what somebody wrote; None where it says no language."""
    word = text.strip().casefold()
    if word in _BY_NAME:
        return _BY_NAME[word]
    found = _TAG.fullmatch(word.replace("_", "-"))
    if found is None:
        return None
    code = _SAME.get(found[1], found[1])
    if code not in _ISO1:
        return None
    script, region = (found[2] or "").title(), (found[3] or "").upper()
    return "-".join(part for part in (code, script, region) if part) + found[4]


def base_code(tag: str) -> str:
    """The language of a tag without script and region."""
    return tag.split("-")[0]


def in_recipe(tag: str, codes: Collection[str]) -> str:
    """The code by which a recipe has the language of a tag; the tag itself where it has none."""
    return tag if tag in codes or base_code(tag) not in codes else base_code(tag)


def unknown_language(code: str) -> str:
    """Say that a code is not in the table, and which one may have been meant.

    >>> unknown_language("fra").split(", ca")[0]
    'unknown language code "fra"; did you mean "fr" (French)? (ISO 639-1, two letters, of which lidr has ar, bg, bn'
    >>> unknown_language("sp").split("?")[0]
    'unknown language code "sp"; did you mean "es" (Spanish)'
    >>> unknown_language("kr").split("?")[0]
    'unknown language code "kr", Kanuri; did you mean "ko" (Korean)'
    >>> unknown_language("en de")
    'unknown language code "en de"; separate the codes by commas: en,de'
    """
    parts = [base_code(read_tag(part) or "") for part in re.split(r"[\s;/|+]+", code) if part]
    if len(parts) > 1 and all(part in LANGUAGES for part in parts):
        return f'unknown language code "{code}"; separate the codes by commas: {",".join(parts)}'
    near, written = _meant(code), base_code(read_tag(code) or "")
    name = f", {_ISO1[written]}" if written in _ISO1 and written not in LANGUAGES else ""
    hint = f'; did you mean "{near}" ({LANGUAGES[near].name})?' if near else ""
    return (
        f'unknown language code "{code}"{name}{hint} (ISO 639-1, two letters, of which lidr has {", ".join(LANGUAGES)})'
    )


def _meant(code: str) -> str | None:
    """The language of the table that somebody may have meant: by a tag, a country, or what looks nearly the same."""
    word = code.strip().casefold()
    for found in (base_code(read_tag(word) or ""), _SPOKEN_IN.get(word)):
        if found in LANGUAGES:
            return found
    names = {name: known for name, known in _BY_NAME.items() if known in LANGUAGES}
    near = difflib.get_close_matches(word, [*LANGUAGES, *names], n=1, cutoff=0.75 if len(word) > 3 else 0.6)
    return names.get(near[0], near[0]) if near else None
