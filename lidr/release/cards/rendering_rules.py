"""By which rules a card is rendered: those of the lidr that made the run, so that a release keeps its card.

1    lidr 0.1: samples as JSON, no citation
2    samples as readable pairs, a citation, more metadata, croissant.json
"""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from lidr.release.finished import Finished


def card_rules(run: Finished) -> int:
    """The rules of a run's card, by the version of lidr in its last record."""
    version = str(run.records[-1].versions.get("lidr", "0.1.0"))
    return 1 if version.startswith("0.1.") else 2
