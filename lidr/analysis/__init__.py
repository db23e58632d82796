"""What the records of a run say: how far it came, what was measured, what its policies scored.

In: records (`lidr.store`). Out: plain rows, numbers and sentences, of which release, report and cli make text and
pictures. No row of text is opened here, and nothing is computed again.
"""

from typing import TYPE_CHECKING

from lidr.lazy import lazily

if TYPE_CHECKING:
    from lidr.analysis.findings import COLUMNS, Line, gate_sentences, gates, lines, measurements, source_of
    from lidr.analysis.pairs_aside import aside_sentences
    from lidr.analysis.recorded_scores import MEAN, Difference, Evaluated, evaluated, few_of
    from lidr.analysis.run_outcome import Outcome, outcome_of
    from lidr.analysis.score_names import TITLES, ShownScore, title_of

__all__ = [
    "COLUMNS",
    "MEAN",
    "TITLES",
    "Difference",
    "Evaluated",
    "Line",
    "Outcome",
    "ShownScore",
    "aside_sentences",
    "evaluated",
    "few_of",
    "gate_sentences",
    "gates",
    "lines",
    "measurements",
    "outcome_of",
    "source_of",
    "title_of",
]
__getattr__ = lazily(__name__)
