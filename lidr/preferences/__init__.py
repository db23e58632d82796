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
    from lidr.preferences.mapped_rows import Mapped, column_map, language_tags
    from lidr.preferences.pair_source import PairSource, open_pairs
    from lidr.preferences.query import PairQuery
    from lidr.preferences.read_pairs import census, load_pairs, pair_batches, readings, unread_said
    from lidr.preferences.row_files import ROW_FILES, file_batches

__all__ = [
    "FORMS",
    "REASONS",
    "ROW_FILES",
    "Mapped",
    "PairQuery",
    "PairSource",
    "census",
    "column_map",
    "export_pairs",
    "file_batches",
    "language_tags",
    "load_pairs",
    "open_pairs",
    "pair_batches",
    "readings",
    "unread_said",
]
__getattr__ = lazily(__name__)
