"""How an evaluation goes, on standard error: a bar of answers, then a bar of comparisons."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from typing import TYPE_CHECKING, Any

from tqdm import tqdm

from lidr.cli.common import say
from lidr.warned import showing

if TYPE_CHECKING:
    from lidr.evals import Listener


@contextmanager
def listening(asked: int, judged: int, what: str = "comparisons") -> Iterator[Listener]:
    """Bars of so many answers, and of `what` a judge gives; each is drawn when its first unit is done."""
    from lidr.evals import Listener

    bars: dict[str, Any] = {}
    there = 0
    with ExitStack() as stack:

        def keep(count: int) -> None:
            nonlocal there
            there += count

        def add(unit: str, total: int, count: int, done: int = 0) -> None:
            if unit not in bars:
                for other in bars.values():
                    other.close()
                wait = 0.2 if sys.stderr.isatty() else 15.0
                how: dict[str, Any] = {
                    "total": total,
                    "initial": done,
                    "unit": f" {unit}",
                    "mininterval": wait,
                    "dynamic_ncols": True,
                }
                bars[unit] = stack.enter_context(tqdm(file=sys.stderr, **how))
            bars[unit].update(count)

        def tell(text: str) -> None:
            for bar in bars.values():
                if bar.n >= bar.total:
                    bar.close()  # else the text would stand behind it, on its line
            say(text)

        stack.enter_context(showing(lambda record: tqdm.write(record.getMessage(), file=sys.stderr)))
        yield Listener(
            say=tell,
            kept=keep,
            asked=lambda count: add("answers", asked, count, there),
            judged=lambda count: add(what, judged, count),
        )
