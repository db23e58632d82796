"""Which failure of several processes is told: the first cause, not what followed from it. Real torchrun."""

from __future__ import annotations

from typing import Any

import pytest

from lidr.worker import work_together

RAISED = "NotImplementedError: this operator cannot be shared (the traceback is in the worker's log)"


@pytest.mark.parametrize(
    ("first", "second", "said"),
    [
        ("raises", "waits", f"process 0: {RAISED}"),  # torchrun ends the other one
        ("waits", "raises", f"process 1: {RAISED}"),
        ("raises", "raises", RAISED),
        ("raises", "is refused", "row 3 is empty"),
        ("dies", "loses the other", "process 0 ended early, as when memory runs out. Run the same command again"),
        ("ends what it forks", "waits", "the child ended by 143 (the traceback is in the worker's log)"),
        ("dies", "waits", "process 0 ended early, as when memory runs out. Run the same command again"),
    ],
)
def test_the_cause_is_told_and_not_what_followed_from_it(first: str, second: str, said: str) -> None:
    replies: list[Any] = list(work_together("tests.worker.failing_rank", {"0": first, "1": second}, 2))
    assert replies[-1]["error"].endswith(said)


def test_one_that_starts_late_is_heard_too(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("LATE_RANK", "1")  # torchrun would end it before it says anything
    replies = list(work_together("tests.worker.failing_rank", {"0": "raises", "1": "is refused"}, 2))
    assert replies[-1]["error"] == "row 3 is empty"
