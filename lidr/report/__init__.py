"""From records to what a person reads: the account of a run, its tables and pictures, one HTML page.

In: records and a few rows. Out: text for a terminal, one self-contained page, sheets for people who rate translations.
"""

from typing import TYPE_CHECKING

from lidr.lazy import lazily

if TYPE_CHECKING:
    from lidr.report.before_after_tables import LEGEND, before_after
    from lidr.report.finding_lines import gate_lines, measurement_tables
    from lidr.report.html_page import page
    from lidr.report.rating_sheet import export, judged, read_key, read_sheet, translated
    from lidr.report.report_text import as_json, guard_lines, head_lines, score_tables
    from lidr.report.run_state import RunState, run_state_of
    from lidr.report.score_text import head_to_head_text, scores_text
    from lidr.report.selection import selection_lines
    from lidr.report.summary import Summary, summarise
    from lidr.report.translator_comparison import compared

__all__ = [
    "LEGEND",
    "RunState",
    "Summary",
    "as_json",
    "before_after",
    "compared",
    "export",
    "gate_lines",
    "guard_lines",
    "head_lines",
    "head_to_head_text",
    "judged",
    "measurement_tables",
    "page",
    "read_key",
    "read_sheet",
    "run_state_of",
    "score_tables",
    "scores_text",
    "selection_lines",
    "summarise",
    "translated",
]
__getattr__ = lazily(__name__)
