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
    then: str = ""
    """What cards of older rules called it, which are rendered as they were."""
    beside: str = ""
    has_error: bool = True
    """Whether its errors are known; without, it stands without an interval."""
    """Another score without which this one is not shown: older results lack it, and their cards stay as they are."""


_SHARE_OFF = ShownScore("off_target", "off-target rate", "off_target_rate", 1.0, 3, True)
_SHARE_OFF_ALL = ShownScore("off_target_all", "off-target rate, of all", "off_target_rate_of_all", 1.0, 3, True)
_SHARE_UNDECIDED = ShownScore("undecided", "undecided", "undecided_rate", 1.0, 3, True, beside="off_target_all")
_PERCENT_OFF = ShownScore("off_target", "off-target rate, %", "off_target_rate", 100.0, 2, True)
_PERCENT_OFF_ALL = ShownScore("off_target_all", "off-target rate, of all, %", "off_target_rate_of_all", 100.0, 2, True)
_PERCENT_UNDECIDED = ShownScore("undecided", "undecided, %", "undecided_rate", 100.0, 2, True, beside="off_target_all")

SHOWN: dict[str, tuple[ShownScore, ...]] = {
    "mgsm": (ShownScore("acc", "accuracy", "accuracy", 1.0, 3, True), _SHARE_OFF, _SHARE_OFF_ALL, _SHARE_UNDECIDED),
    "x_alpacaeval": (
        ShownScore("win_rate", "win rate, %", "win_rate", 100.0, 2, False),
        ShownScore(
            "lc_win_rate",
            "length-controlled win rate (prior on the slope), %",
            "length_controlled_win_rate_prior",
            100.0,
            2,
            False,
        ),
        ShownScore(
            "lc_win_rate_minimal",
            "length-controlled win rate (minimal), %",
            "length_controlled_win_rate",
            100.0,
            2,
            False,
            then="length-controlled win rate, %",
        ),
        ShownScore(
            "lc_win_rate_v1",
            "length-controlled win rate (AlpacaEval's version 1, no interval), %",
            "length_controlled_win_rate_v1",
            100.0,
            2,
            False,
            has_error=False,
        ),
        _PERCENT_OFF,
        _PERCENT_OFF_ALL,
        _PERCENT_UNDECIDED,
    ),
}
"""Scores that a card shows."""
