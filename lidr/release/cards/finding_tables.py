"""Sections of the cards: what was measured before training, and what the gates found."""

from __future__ import annotations

from typing import TYPE_CHECKING

from lidr.analysis import COLUMNS, gate_sentences, lines, measurements, source_of
from lidr.release.cards.card_tables import markdown_table

if TYPE_CHECKING:
    from lidr.release.finished import Finished


def measurements_section(run: Finished) -> str:
    """One table for each iteration that was measured; empty where none was."""
    parts = []
    for record in measurements(run.records):
        parts += [
            f"### {record.place}, {record.counts['prompts']:,} prompts",
            markdown_table(COLUMNS, list(lines(record))),
        ]
        parts.append(source_of(record))
    return "\n\n".join(parts)


def gates_section(run: Finished) -> str:
    """What fired and why, and how the run went on; empty where no gate stood."""
    said = list(gate_sentences(run.records))
    if run.result != run.iterations[-1]:
        said.append(f"The policy of this release is that of iter_{run.result}.")
    return "\n".join(f"- {sentence}" for sentence in said)
