"""What a model thinks before it answers, told from its answer.

In: the ids of an answer and of its prompt, or a text; a chat template and its vocabulary. Out: the answer, and the
thoughts apart from it. `marks` has one row for each family of templates.
"""

from typing import TYPE_CHECKING

from lidr.lazy import lazily

if TYPE_CHECKING:
    from lidr.reasoning.channel import Answer, ThoughtReader
    from lidr.reasoning.marks import FAMILIES, Marks, family_of
    from lidr.reasoning.put_back import ThoughtForm
    from lidr.reasoning.thoughts import told_apart, without_thoughts

__all__ = [
    "FAMILIES",
    "Answer",
    "Marks",
    "ThoughtForm",
    "ThoughtReader",
    "family_of",
    "told_apart",
    "without_thoughts",
]
__getattr__ = lazily(__name__)
