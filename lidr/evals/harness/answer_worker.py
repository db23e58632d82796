"""The worker process of an evaluation: one spec in; counts of answers, then all of them, out."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from lidr.evals.spec import EvalSpec
from lidr.worker import replies_of, serve


def handle(message: dict[str, Any]) -> Iterator[Mapping[str, Any]]:
    """Ask, and yield {"kept": n} for those of an earlier try, {"answers": n} as they come, {"all"} when all are there,
    and {"result"} at the end.
    """
    from lidr.evals.harness.lm_eval_run import run  # imports lm-eval and torch

    return replies_of(
        lambda tell: run(
            EvalSpec.from_json(message),
            lambda n: tell({"answers": n}),
            lambda: tell({"all": True}),
            lambda n: tell({"kept": n}),
        )
    )


if __name__ == "__main__":
    serve(handle)
