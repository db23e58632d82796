"""Several evaluations of the same items, held against each other.

In: results folders, or the evaluate steps of a run. Out: paired differences with intervals, the language gap, tables
and pictures of them, and head-to-head verdicts. What may not be compared is refused.
"""

from typing import TYPE_CHECKING

from lidr.lazy import lazily

if TYPE_CHECKING:
    from lidr.evals.compare.comparison_plots import check_plot, nice_step, shortened, write_plot
    from lidr.evals.compare.head_to_head_judging import comparisons, head_to_head, languages_of, write_head_to_head
    from lidr.evals.compare.iteration_differences import differences
    from lidr.evals.compare.metrics import METRICS, metric_named
    from lidr.evals.compare.paired_comparison import compare
    from lidr.evals.compare.paper_tables import FORMS
    from lidr.evals.compare.text_bars import FULL, PLAIN, bars, gap_lines
    from lidr.evals.compare.text_table import TextTable
    from lidr.evals.compare.text_tables import closed_cell, legend, tables

__all__ = [
    "FORMS",
    "FULL",
    "METRICS",
    "PLAIN",
    "TextTable",
    "bars",
    "check_plot",
    "closed_cell",
    "compare",
    "comparisons",
    "differences",
    "gap_lines",
    "head_to_head",
    "languages_of",
    "legend",
    "metric_named",
    "nice_step",
    "shortened",
    "tables",
    "write_head_to_head",
    "write_plot",
]
__getattr__ = lazily(__name__)
