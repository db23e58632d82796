"""What the pairs that training kept aside showed, as records say it."""

from __future__ import annotations

from collections.abc import Iterable, Iterator

from lidr.store import Record


def aside_sentences(records: Iterable[Record]) -> Iterator[str]:
    """A sentence for each training that kept pairs aside (`train.held_out`)."""
    for record in records:
        if not (aside := record.counts.get("held_out")):
            continue
        lowest = next(look["loss"] for look in aside["looks"] if look["step"] == aside["best"])
        yield (
            f"{record.place}: {aside['pairs']:,} pairs of {aside['prompts']:,} prompts were kept aside. Their loss was "
            f"lowest after step {aside['best']:,} ({lowest:.4f}); training ended at step {aside['ended']:,}, and the "
            f"policy is that of step {aside['kept']:,}."
        )
