"""A data set release in a repository where others have written: kept, loaded, or refused before anything is sent.

In: a staged release, and what is there. Out: the card to send, or a `HubError` that says what collides and what to do;
and after the commit what `datasets` makes of it.

    publish_staged -> beside_others -> load_rules (before the commit: card and file names)
                   -> load_check -> load_worker (after it: a real load in a process of its own)
"""

from typing import TYPE_CHECKING

from lidr.lazy import lazily

if TYPE_CHECKING:
    from lidr.release.beside.beside_others import DEFAULT, READ, Present, card_beside, check_card, check_released
    from lidr.release.beside.load_check import faults, load

__all__ = [
    "DEFAULT",
    "READ",
    "Present",
    "card_beside",
    "check_card",
    "check_released",
    "faults",
    "load",
]
__getattr__ = lazily(__name__)
