"""The report as HTML: a page for browsers, a cell for notebooks.

In: a run's state, and a few of its rows. Out: text, or a file.
"""

from typing import TYPE_CHECKING

from lidr.lazy import lazily

if TYPE_CHECKING:
    from lidr.report.html.html_page import lead, page, state_sentences
    from lidr.report.html.notebook import as_note, notebook_page
    from lidr.report.html.report_file import report, report_of_end, write_page

__all__ = [
    "as_note",
    "lead",
    "notebook_page",
    "page",
    "report",
    "report_of_end",
    "state_sentences",
    "write_page",
]
__getattr__ = lazily(__name__)
