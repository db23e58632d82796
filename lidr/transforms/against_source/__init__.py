"""A translation held against its source: what was left as it was, how long it is, whether a question stayed one.

In: texts, or columns of them. Out: a status, a measured value, or nothing where nothing can be said.

    copies          whether a text is its source again
    leftovers       whether the text, a paragraph or half of it was not translated
    length_bounds   how long translations are against their sources, by direction
"""

from typing import TYPE_CHECKING

from lidr.lazy import lazily

if TYPE_CHECKING:
    from lidr.transforms.against_source.copies import folded, is_copy, may_be_copy
    from lidr.transforms.against_source.leftovers import untranslated, untranslated_all
    from lidr.transforms.against_source.length_bounds import (
        LENGTHS,
        bound_of,
        expected_ratio,
        has_question,
        is_question,
        marks_questions,
        target_characters,
        translation_length,
    )

__all__ = [
    "LENGTHS",
    "bound_of",
    "expected_ratio",
    "folded",
    "has_question",
    "is_copy",
    "is_question",
    "marks_questions",
    "may_be_copy",
    "target_characters",
    "translation_length",
    "untranslated",
    "untranslated_all",
]
__getattr__ = lazily(__name__)
