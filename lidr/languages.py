"""One table of languages: code, English name, own name, and the scripts that their texts are written in.

The code is ISO 639-1. The English name is what prompts say ("translate into French"). Scripts are Unicode script names
as the `regex` module knows them; more than one where a language mixes them (Japanese).
"""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Language:
    """One row of the table."""

    code: str
    name: str
    own_name: str
    scripts: tuple[str, ...]


_ROWS = (
    Language("ar", "Arabic", "العربية", ("Arabic",)),
    Language("bg", "Bulgarian", "български", ("Cyrillic",)),
    Language("bn", "Bengali", "বাংলা", ("Bengali",)),
    Language("ca", "Catalan", "català", ("Latin",)),
    Language("cs", "Czech", "čeština", ("Latin",)),
    Language("da", "Danish", "dansk", ("Latin",)),
    Language("de", "German", "Deutsch", ("Latin",)),
    Language("el", "Greek", "ελληνικά", ("Greek",)),
    Language("en", "English", "English", ("Latin",)),
    Language("es", "Spanish", "español", ("Latin",)),
    Language("eu", "Basque", "euskara", ("Latin",)),
    Language("fa", "Persian", "فارسی", ("Arabic",)),
    Language("fi", "Finnish", "suomi", ("Latin",)),
    Language("fr", "French", "français", ("Latin",)),
    Language("he", "Hebrew", "עברית", ("Hebrew",)),
    Language("hi", "Hindi", "हिन्दी", ("Devanagari",)),
    Language("hu", "Hungarian", "magyar", ("Latin",)),
    Language("id", "Indonesian", "Indonesia", ("Latin",)),
    Language("it", "Italian", "italiano", ("Latin",)),
    Language("ja", "Japanese", "日本語", ("Han", "Hiragana", "Katakana")),
    Language("ko", "Korean", "한국어", ("Hangul", "Han")),
    Language("nb", "Norwegian Bokmål", "norsk bokmål", ("Latin",)),
    Language("nl", "Dutch", "Nederlands", ("Latin",)),
    Language("pl", "Polish", "polski", ("Latin",)),
    Language("pt", "Portuguese", "português", ("Latin",)),
    Language("ro", "Romanian", "română", ("Latin",)),
    Language("ru", "Russian", "русский", ("Cyrillic",)),
    Language("sv", "Swedish", "svenska", ("Latin",)),
    Language("sw", "Swahili", "Kiswahili", ("Latin",)),
    Language("ta", "Tamil", "தமிழ்", ("Tamil",)),
    Language("te", "Telugu", "తెలుగు", ("Telugu",)),
    Language("th", "Thai", "ไทย", ("Thai",)),
    Language("tr", "Turkish", "Türkçe", ("Latin",)),
    Language("uk", "Ukrainian", "українська", ("Cyrillic",)),
    Language("ur", "Urdu", "اردو", ("Arabic",)),
    Language("vi", "Vietnamese", "Tiếng Việt", ("Latin",)),
    Language("yo", "Yoruba", "Yorùbá", ("Latin",)),
    Language("zh", "Chinese", "中文", ("Han",)),
)

LANGUAGES: dict[str, Language] = {row.code: row for row in _ROWS}
