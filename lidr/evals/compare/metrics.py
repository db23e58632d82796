"""What can be compared item by item: the name of a score, the value of an item behind it, its unit and its words."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Metric:
    """One metric of a benchmark.

    Args:
        name: as a task's scores call it (`win_rate`).
        item: as `scores.parquet` calls an item's value (`win`).
        label: in tables and pictures.
        scale: unit of the score over the unit of an item's value; 100 makes per cent.
        digits: printed after the point.
        span: smallest and largest value of the score, before scaling; None where there is no bound.
        is_judged: whether a judge gives it.
        is_fitted: whether it is fitted to all items of a language, and `item` stands for what each adds to it.
        is_later: whether results of earlier versions may lack it: then it is left out, and nothing is said.
        is_error: whether less is better; then the gap between languages is no measure of progress, and not printed.
    """

    name: str
    item: str
    label: str
    scale: float = 1.0
    digits: int = 3
    span: tuple[float, float] | None = (0.0, 1.0)
    is_judged: bool = False
    is_error: bool = False
    is_fitted: bool = False
    is_later: bool = False

    @property
    def scaled_span(self) -> tuple[float, float] | None:
        """The span in the unit of the score."""
        return None if self.span is None else (self.span[0] * self.scale, self.span[1] * self.scale)


def _language(end: str = "", scale: float = 1.0, digits: int = 3) -> tuple[Metric, ...]:
    """How often the answers are in another language: of those whose language can be told, of all, and those between."""
    return (
        Metric("off_target", "off_target", f"off-target rate{end}", scale, digits, is_error=True),
        Metric("off_target_all", "off_target_all", f"off-target rate of all answers{end}", scale, digits,
               is_error=True, is_later=True),
        Metric("undecided", "undecided", f"language undecided{end}", scale, digits, is_error=True, is_later=True),
    )  # fmt: skip


METRICS: dict[str, tuple[Metric, ...]] = {
    "mgsm": (
        Metric("acc", "acc", "accuracy"),
        *_language(),
    ),
    "x_alpacaeval": (
        Metric("win_rate", "win", "win rate, %", 100.0, 2, is_judged=True),
        Metric(
            "lc_win_rate",
            "lc",
            "length-controlled win rate (prior on the slope), %",
            100.0,
            2,
            is_judged=True,
            is_fitted=True,
        ),
        Metric("discrete_win_rate", "discrete_win", "discrete win rate, %", 100.0, 2, is_judged=True),
        *_language(", %", 100.0, 2),
    ),
    "mt_bench": (
        Metric("score", "score", "mark, 0-10", 1.0, 2, (0.0, 10.0), is_judged=True),
        *_language(", %", 100.0, 2),
    ),
    "tax": (Metric("acc", "acc", "accuracy"), Metric("acc_norm", "acc_norm", "accuracy, by length")),
    "head_to_head": tuple(
        Metric(name, name, f"{name}, %", 100.0, 2, is_judged=True, is_error=name != "win")
        for name in ("win", "tie", "lose")
    ),
}
"""What is compared unless one asks for something else."""

_SHARES = ("parsed", "hit_prefix", "acc_flexible", "undecided")


def metric_named(benchmark: str, name: str) -> Metric:
    """A metric by the name of its score, or of its items' value; any that is not in the table is taken as it is."""
    known = METRICS.get(benchmark, ())
    found = next((m for m in known if name in (m.name, m.item)), None)
    if found is not None:
        return found
    return Metric(name, name, name.replace("_", " "), span=(0.0, 1.0) if name in _SHARES else None)
