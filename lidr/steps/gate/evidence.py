"""What a gate has before it, and what one number beside its limit is."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Any, NamedTuple

from lidr.evals.compare import METRICS
from lidr.intervals import LEVEL, student
from lidr.rows import RowType
from lidr.steps.evaluate import Scores
from lidr.store import Artifact
from lidr.transforms import Number

if TYPE_CHECKING:
    import pyarrow as pa

Findings = RowType(
    "verdicts",
    {
        "signature": "string",
        "sign": "string",
        "language": "string",
        "against": "string",
        "value": "float64",
        "low": "float64",
        "high": "float64",
        "n": "int64",
        "limit": "float64",
        "is_over": "bool",  # fires above the limit, else below
        "fires": "bool",
        "act": "string",
    },
    key=("signature", "sign", "language", "against"),
)
"""The rows of a gate: every number that it looked at; in the store they are called verdicts."""


@dataclass(frozen=True)
class Finding:
    """One number beside its limit.

    Args:
        sign: what was measured, in words.
        language: of the texts.
        against: what it is compared with, or the other language of a direction; empty where nothing is.
        is_over: fires above the limit; else below it.
    """

    signature: str
    sign: str
    language: str
    against: str
    number: Number
    limit: float
    is_over: bool

    @property
    def fires(self) -> bool:
        """Whether the whole interval lies beyond the limit."""
        if self.number.low is None or self.number.high is None:
            return False
        return self.number.low > self.limit if self.is_over else self.number.high < self.limit

    def row(self, act: str) -> dict[str, Any]:
        """As stored."""
        data = asdict(self) | self.number.as_json() | {"act": act, "fires": self.fires}
        del data["number"]
        return data

    def text(self) -> str:
        """In words.

        >>> Finding("no_gain", "accuracy of MGSM", "de", "iter_0", Number(-0.1, -0.15, -0.05, 250), 0.02, False).text()
        'accuracy of MGSM, de, to iter_0: -0.100 [-0.150, -0.050] of 250 lies below 0.02'
        """
        value, low, high, n = self.number
        against = f", to {self.against}" if self.against else ""
        where = f", {self.language}" if self.language else ""
        shown = "not measured" if value is None else f"{value:.3f} [{low:.3f}, {high:.3f}] of {n:,}"
        return f"{self.sign}{where}{against}: {shown} lies {'above' if self.is_over else 'below'} {self.limit:g}"


class ScoreChange(NamedTuple):
    """A paired difference of a benchmark's first score, in shares of its span (0-1), at 95%."""

    benchmark: str
    metric: str
    number: Number


class Evidence:
    """What a gate has before it: artifacts of its own iteration and of earlier ones, and which languages there are."""

    def __init__(self, inputs: Mapping[str, Artifact], dominant: str, others: Sequence[str], parent: int) -> None:
        """Look at the inputs of a gate; `parent` is the iteration whose policy entered this one."""
        self.inputs, self.dominant, self.others, self.parent = inputs, dominant, tuple(others), parent

    def of(self, rows: str, iteration: int | None = None) -> Artifact:
        """The artifact with these rows, of this iteration or of an earlier one."""
        return self.inputs[rows if iteration is None else f"{rows}_{iteration}"]

    @property
    def evaluated(self) -> tuple[int, ...]:
        """Earlier iterations that this one's scores can be compared with: the one before, and the first policy."""
        return tuple(k for k in dict.fromkeys((self.parent, 0)) if f"{Scores.name}_{k}" in self.inputs)

    def score_changes(self, iteration: int, languages: Sequence[str]) -> list[ScoreChange]:
        """How the mean over languages changed since an earlier iteration, for each benchmark."""
        before, after = self.of(Scores.name, iteration).read(), self.of(Scores.name).read()
        return score_changes(before, after, languages)


def score_changes(before: pa.Table, after: pa.Table, languages: Sequence[str], **options: Any) -> list[ScoreChange]:
    """Paired differences of each benchmark's first score, of the mean over some languages.

    Args:
        before, after: scores of two policies on the same items.
        languages: at least one.
        options: of `differences`: resamples, seed.
    """
    import pyarrow as pa
    import pyarrow.compute as pc

    from lidr.evals import ALL
    from lidr.evals.compare import differences

    chosen = pa.array(list(languages))
    items = pa.array(sorted({metrics[0].item for metrics in METRICS.values()}))
    tables = [
        table.filter(pc.and_(pc.is_in(table["language"], value_set=chosen), pc.is_in(table["metric"], value_set=items)))
        for table in (before, after)
    ]
    known = set(tables[1]["language"].to_pylist())
    found = []
    for one in differences(*tables, baseline="", **options):
        first = METRICS[one.benchmark][0]
        wanted = ALL if len(known) > 1 else next(iter(known))
        if one.metric == first.name and one.language == wanted and first.scaled_span is not None:
            width = first.scaled_span[1] - first.scaled_span[0]
            low, high = (None if end is None else end / width for end in (one.low, one.high))
            found.append(ScoreChange(one.benchmark, first.label, Number(one.value / width, low, high, one.n)))
    return found


def widened(number: Number, level: float) -> Number:
    """A 95% interval at another level, each side so much longer as one by Student's t would be."""
    value, low, high, n = number
    if value is None or low is None or high is None or n < 2:
        return number
    factor = student((1 + level) / 2, n - 1) / student((1 + LEVEL) / 2, n - 1)
    return Number(value, value - (value - low) * factor, value + (high - value) * factor, n)
