"""What a report reads of records, and what it says where they hold something else."""

from __future__ import annotations

import functools
from collections.abc import Callable
from pathlib import Path
from typing import ParamSpec, TypeVar

from lidr.errors import StoreError
from lidr.version import __version__

P = ParamSpec("P")
T = TypeVar("T")


def of_records(read: Callable[P, T]) -> Callable[P, T]:
    """Let a function that reads what records count say so where they do not count what it reads.

    Records are whole by their checksum, and may still come from another lidr, or from somebody who wrote them by hand.

    Raises:
        StoreError: a record says something that this lidr does not write; told with the first thing that was odd.
    """

    @functools.wraps(read)
    def told(*words: P.args, **named: P.kwargs) -> T:
        try:
            return read(*words, **named)
        except (LookupError, TypeError, AttributeError, ValueError, ArithmeticError, RecursionError) as error:
            raise StoreError(
                f"lidr {__version__} cannot read the records of this run "
                f"({type(error).__name__}: {str(error)[:200]}, in {_where(error)}): if another lidr wrote them "
                "(`versions` in record.json), use that, or make the steps again with --rebuild; if this one did, it "
                "is a bug of ours"
            ) from error

    return told


def _where(error: Exception) -> str:
    """File and line that read it."""
    trace = error.__traceback__
    while trace is not None and trace.tb_next is not None:
        trace = trace.tb_next
    return "lidr" if trace is None else f"{Path(trace.tb_frame.f_code.co_filename).name}:{trace.tb_lineno}"
