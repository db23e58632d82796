"""From records to what a person reads: the account of a run, its tables and pictures, one HTML page.

In: records and a few rows. Out: text for a terminal, one self-contained page, sheets for people who rate translations.
"""

from typing import TYPE_CHECKING

from lidr.lazy import callable_as, lazily

if TYPE_CHECKING:
    from lidr.report.finding_lines import gate_lines, measurement_tables
    from lidr.report.html import as_note, notebook_page, page, report, report_of_end, write_page
    from lidr.report.iteration_account import account_lines
    from lidr.report.rating_sheet import export, judged, read_key, read_sheet, translated
    from lidr.report.report_text import as_json, guard_lines, head_lines, kept_lines, score_tables
    from lidr.report.run_state import RunState, run_state_of
    from lidr.report.samples import sample_pairs
    from lidr.report.scores import LEGEND, before_after, head_to_head_text, scores_frame, scores_text
    from lidr.report.selection import selection_lines
    from lidr.report.summary import TRAINED, Summary, prompts_lost, shown_groups, summarise, summary_of
    from lidr.report.translator_comparison import compared

__all__ = [
    "LEGEND",
    "TRAINED",
    "RunState",
    "Summary",
    "account_lines",
    "as_json",
    "as_note",
    "before_after",
    "compared",
    "export",
    "gate_lines",
    "guard_lines",
    "head_lines",
    "head_to_head_text",
    "judged",
    "kept_lines",
    "measurement_tables",
    "notebook_page",
    "page",
    "prompts_lost",
    "read_key",
    "read_sheet",
    "report",
    "report_of_end",
    "run_state_of",
    "sample_pairs",
    "score_tables",
    "scores_frame",
    "scores_text",
    "selection_lines",
    "shown_groups",
    "summarise",
    "summary_of",
    "translated",
    "write_page",
]
__getattr__ = lazily(__name__)
callable_as(__name__, "report")
