"""Scores in a report: as text, as tables before and after training, as pictures, as a data frame.

In: records of `evaluate`. Out: text, `TextTable`, SVG, a polars frame.
"""

from typing import TYPE_CHECKING

from lidr.lazy import lazily

if TYPE_CHECKING:
    from lidr.report.scores.before_after_tables import LEGEND, OF_CHANGES, before_after
    from lidr.report.scores.score_frame import scores_frame
    from lidr.report.scores.score_sections import changes_table, loss_picture, score_pictures, scores_table
    from lidr.report.scores.score_text import head_to_head_text, scores_text

__all__ = [
    "LEGEND",
    "OF_CHANGES",
    "before_after",
    "changes_table",
    "head_to_head_text",
    "loss_picture",
    "score_pictures",
    "scores_frame",
    "scores_table",
    "scores_text",
]
__getattr__ = lazily(__name__)
