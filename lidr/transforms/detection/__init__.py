"""The language of one text, by its letters and by two detectors.

In: a text, and the language that it was asked for. Out: that language, another, or that it cannot be known. Columns of
texts are told by `lidr.transforms.identify`.
"""

from typing import TYPE_CHECKING

from lidr.lazy import lazily

if TYPE_CHECKING:
    from lidr.transforms.detection.decide_language import CONFIDENCE, OTHER, Verdict, decide, decide_code, guess

__all__ = ["CONFIDENCE", "OTHER", "Verdict", "decide", "decide_code", "guess"]
__getattr__ = lazily(__name__)
