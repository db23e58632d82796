"""What benchmarks and their scores are called, in cards, tables and pictures."""

from __future__ import annotations

from dataclasses import dataclass

TITLES = {
    "mgsm": "MGSM",
    "x_alpacaeval": "X-AlpacaEval",
    "mt_bench": "Multilingual MT-Bench",
    "head_to_head": "Head-to-head",
    "tax": "Alignment tax",
}

_OTHER_DATA = {"word_problems": "Word problems", "open_instructions": "Open instructions"}
"""Folders of other rows that can be asked in the same form; a number on them is none of the benchmark's."""


def title_of(benchmark: str, source: str) -> str:
    """What was asked, from where the rows came.

    >>> title_of("mgsm", "mgsm/de.jsonl"), title_of("mgsm", "word_problems/de.jsonl")
    ('MGSM', 'Word problems (in the form of MGSM)')
    """
    name = TITLES.get(benchmark, benchmark)
    other = _OTHER_DATA.get(source.split("/")[0])
    return f"{other} (in the form of {name})" if other else name


@dataclass(frozen=True)
class ShownScore:
    """One score of a task in a card.

    Args:
        name: in the task's scores.
        label: in tables.
        type: in `model-index`; an identifier of the Hub's metrics where it has one.
        scale: what the largest possible value is.
        digits: printed after the point.
        is_share: of items, each counting 0 or 1.
    """

    name: str
    label: str
    type: str
    scale: float
    digits: int
    is_share: bool


_SHARE_OFF = ShownScore("off_target", "off-target rate", "off_target_rate", 1.0, 3, True)
_PERCENT_OFF = ShownScore("off_target", "off-target rate, %", "off_target_rate", 100.0, 2, True)

SHOWN: dict[str, tuple[ShownScore, ...]] = {
    "mgsm": (ShownScore("acc", "accuracy", "accuracy", 1.0, 3, True), _SHARE_OFF),
    "x_alpacaeval": (
        ShownScore("win_rate", "win rate, %", "win_rate", 100.0, 2, False),
        ShownScore("lc_win_rate", "length-controlled win rate, %", "length_controlled_win_rate", 100.0, 2, False),
        _PERCENT_OFF,
    ),
}
"""Scores that a card shows."""
