"""What MGSM's reading knows of each language: the words of answers, of scale, of sentences, and of spelled-out numbers.

In: a language's code, or a text in it. Out: its words and patterns, and the numbers that are written out. Another
language is a row in each of these modules (CONTRIBUTING).
"""

from typing import TYPE_CHECKING

from lidr.lazy import lazily

if TYPE_CHECKING:
    from lidr.evals.mgsm.words.language_words import WORDS
    from lidr.evals.mgsm.words.numbers_in_words import spelled_numbers
    from lidr.evals.mgsm.words.reading_words import (
        AFTERWARDS,
        ASIDE,
        BECAUSE,
        CLOSES,
        CONCLUDES,
        HEAD,
        HYPOTHETICAL,
        MINUS,
        MONEY_BEFORE,
        MONEY_BEHIND,
        ROUNDED,
        STATED,
        SUBORDINATE,
        SWAHILI_NOUN,
        follows_aside,
        leads_aside,
        sets_out,
        writes_decimal_points,
    )
    from lidr.evals.mgsm.words.scale_words import ORDINALS, STEP, is_rest, link, scale_pattern, scale_value

__all__ = [
    "AFTERWARDS",
    "ASIDE",
    "BECAUSE",
    "CLOSES",
    "CONCLUDES",
    "HEAD",
    "HYPOTHETICAL",
    "MINUS",
    "MONEY_BEFORE",
    "MONEY_BEHIND",
    "ORDINALS",
    "ROUNDED",
    "STATED",
    "STEP",
    "SUBORDINATE",
    "SWAHILI_NOUN",
    "WORDS",
    "follows_aside",
    "is_rest",
    "leads_aside",
    "link",
    "scale_pattern",
    "scale_value",
    "sets_out",
    "spelled_numbers",
    "writes_decimal_points",
]
__getattr__ = lazily(__name__)
