"""Sets of preference pairs, whoever made them: found, read, asked for, handed on.

In: a reference (a run, a folder, a Hub data set) and, for sets of others, a map of their columns. Out: pairs as Arrow
batches or as a `datasets.Dataset`, a census of what there is, or an export for another trainer. Rows that cannot be
pairs are counted with their reason.
"""

from typing import TYPE_CHECKING

from lidr.lazy import lazily

if TYPE_CHECKING:
    from lidr.preferences.columns import REASONS
    from lidr.preferences.export_forms import FORMS, export_pairs
    from lidr.preferences.export_switches import switches_said
    from lidr.preferences.mapped_rows import (
        Mapped,
        check_weights_of,
        columns_there,
        language_tags,
        languages_of,
        says_language,
        weights_of,
    )
    from lidr.preferences.pair_source import PairSource, open_pairs
    from lidr.preferences.query import PairQuery
    from lidr.preferences.read_pairs import Census, census, load_pairs, pair_batches, readings, switches_of, unread_said
    from lidr.preferences.set_columns import column_map
    from lidr.preferences.set_comparison import SetComparison, compare_sets, settings_changed

__all__ = [
    "FORMS",
    "REASONS",
    "Census",
    "Mapped",
    "PairQuery",
    "PairSource",
    "SetComparison",
    "census",
    "check_weights_of",
    "column_map",
    "columns_there",
    "compare_sets",
    "export_pairs",
    "language_tags",
    "languages_of",
    "load_pairs",
    "open_pairs",
    "pair_batches",
    "readings",
    "says_language",
    "settings_changed",
    "switches_of",
    "switches_said",
    "unread_said",
    "weights_of",
]
__getattr__ = lazily(__name__)
