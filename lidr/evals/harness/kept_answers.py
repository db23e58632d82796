"""What a model has answered, kept as it comes, so that a run that is cut off goes on: in place of lm-eval's own cache.

Each answer is a line of a journal with its checksum (lidr/store/journal.py). lm-eval keeps pickles without one.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from lm_eval.api.instance import Instance
from lm_eval.api.model import LM, hash_args

from lidr.evals.results import Declined
from lidr.store import Journal

_ASKED = ("generate_until", "loglikelihood", "loglikelihood_rolling")


@contextmanager
def kept_answers(
    lm: LM,
    path: Path,
    on_answers: Callable[[int], None],
    on_all: Callable[[], None] = lambda: None,
    on_kept: Callable[[int], None] = lambda count: None,
) -> Iterator[None]:
    """Let a model answer only what the journal does not hold, and keep what it answers.

    Args:
        lm: its methods are replaced, until the block ends.
        path: of the journal; it is made.
        on_answers: told of each new answer.
        on_all: told when every answer of a kind is there, new or kept.
        on_kept: told, before the first new answer, how many are there already.

    Raises:
        StoreError: a line of the journal is damaged.
    """
    with Journal(path) as journal:
        lm.set_cache_hook(_Hook(journal, on_answers))
        before = {kind: getattr(lm, kind) for kind in _ASKED}
        for kind, ask in before.items():
            setattr(lm, kind, _through(journal, kind, ask, on_all, on_kept))
        try:
            yield
        finally:
            for kind, ask in before.items():
                setattr(lm, kind, ask)


class _Hook:
    """Told by a model of each answer as it comes."""

    def __init__(self, journal: Journal, on_answers: Callable[[int], None]) -> None:
        self._journal, self._on_answers = journal, on_answers

    def add_partial(self, kind: str, request: Any, answer: Any) -> None:
        """Keep it."""
        _keep(self._journal, hash_args(kind, request), answer)
        self._on_answers(1)


def _through(
    journal: Journal,
    kind: str,
    ask: Callable[..., list[Any]],
    on_all: Callable[[], None],
    on_kept: Callable[[int], None],
) -> Callable[..., list[Any]]:
    def asked(requests: Sequence[Instance], *words: Any, **named: Any) -> list[Any]:
        keys = [hash_args(kind, request.args) for request in requests]
        rest = [(key, request) for key, request in zip(keys, requests, strict=True) if key not in journal.rows]
        if known := len(keys) - len(rest):
            on_kept(known)
        new = ask([request for _, request in rest], *words, **named) if rest else []
        for (key, _), answer in zip(rest, new, strict=True):
            if key not in journal.rows:  # most models tell the hook
                _keep(journal, key, answer)
        on_all()
        return [_answer_of(journal.rows[key]) for key in keys]

    return asked


def _keep(journal: Journal, key: str, answer: Any) -> None:
    declined = {"reason": answer.reason, "said": _storable(answer.said)} if isinstance(answer, Declined) else {}
    journal.add(key, {"answer": _storable(answer) if isinstance(answer, str) else answer, **declined})


def _storable(text: str) -> str:
    """A text without half characters, which servers may send and no file holds."""
    return text.encode("utf-8", "replace").decode()


def _answer_of(row: dict[str, Any]) -> Any:
    """As the model gave it; JSON knows no tuples."""
    if "reason" in row:
        return Declined(row["answer"], row["reason"], row["said"])
    return tuple(row["answer"]) if isinstance(row["answer"], list) else row["answer"]
