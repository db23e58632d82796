"""Cards: the README of a release, a pure rendering of a run's records.

In: a finished run. Out: Markdown with metadata, over whatever people wrote around it. The text is in hub_cards/.
"""

from typing import TYPE_CHECKING

from lidr.lazy import lazily

if TYPE_CHECKING:
    from lidr.release.cards.card_plots import write_plots
    from lidr.release.cards.card_tables import markdown_table, parents_table
    from lidr.release.cards.render import dataset_card, model_card, source_datasets
    from lidr.release.cards.rendering_rules import card_rules
    from lidr.release.cards.score_tables import change_cell, interval, score_cell

__all__ = [
    "card_rules",
    "change_cell",
    "dataset_card",
    "interval",
    "markdown_table",
    "model_card",
    "parents_table",
    "score_cell",
    "source_datasets",
    "write_plots",
]
__getattr__ = lazily(__name__)
