"""What a run measured and what its gates found, for the end of `lidr run`."""

from __future__ import annotations

from collections.abc import Iterable
from typing import TYPE_CHECKING

from lidr.analysis import COLUMNS, gate_sentences, lines, measurements, source_of
from lidr.evals.compare import TextTable
from lidr.report.record_reading import of_records

if TYPE_CHECKING:
    from lidr.store import Record


@of_records
def measurement_tables(records: Iterable[Record]) -> tuple[TextTable, ...]:
    """One table for each measurement, the paper's figures beside ours.

    Args:
        records: of a run, in any order.
    """
    return tuple(
        TextTable(
            f"Before training, {record.place}, {record.counts['prompts']:,} prompts",
            COLUMNS,
            tuple(lines(record)),
            2,
            (source_of(record),),
        )
        for record in measurements(records)
    )


@of_records
def gate_lines(records: Iterable[Record]) -> tuple[str, ...]:
    """What each gate found and did, one sentence a line.

    Args:
        records: of a run, in any order.
    """
    return tuple(gate_sentences(records))
