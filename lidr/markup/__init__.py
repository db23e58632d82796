"""HTML that several parts of lidr write: elements as values, and a preference pair as people read it.

In: texts and rows. Out: HTML in which every text is escaped.

element             HTML as values; whatever is not an element is escaped, so nothing can be forgotten
differing_words     which words of two texts are not in the other
pair_view           one pair: prompt, chosen and rejected side by side, differing words marked; its style is pairs.css
"""

from typing import TYPE_CHECKING

from lidr.lazy import lazily

if TYPE_CHECKING:
    from lidr.markup.differing_words import Part, word_differences
    from lidr.markup.element import Child, Html, h, join
    from lidr.markup.pair_view import PAIR_STYLE, Shown, language_name, pair_article, text_block

__all__ = [
    "PAIR_STYLE",
    "Child",
    "Html",
    "Part",
    "Shown",
    "h",
    "join",
    "language_name",
    "pair_article",
    "text_block",
    "word_differences",
]
__getattr__ = lazily(__name__)
