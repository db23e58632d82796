"""Evaluate any checkpoint from Python, as `lidr eval run` does."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

from lidr import evals
from lidr.api.run_result import EvaluationResult
from lidr.evals import Decoding, EvalSpec, Listener, find_checkpoint, identity_of, load_all, task_specs
from lidr.evals.judge import Judge
from lidr.store import store_root


def evaluate(
    model: str,
    languages: Sequence[str],
    *,
    tasks: Sequence[str] = ("mgsm",),
    adapter: str | None = None,
    engine: str = "hf",
    data: str | None = None,
    limit: int | None = None,
    decoding: Decoding | None = None,
    judge: Judge | None = None,
    batch: int = 16,
    dtype: str = "auto",
    out: Path | str | None = None,
    listen: Listener | None = None,
) -> EvaluationResult:
    """Evaluate a checkpoint; what stands in its results folder of the same evaluation is not done again.

    Args:
        model: org/name@rev, a folder, run:NAME, dist:PACKAGE/FILE.gguf or openai:MODEL@URL.
        languages: codes, as ["en", "de"].
        tasks: mgsm, x_alpacaeval, tax.
        adapter: a reference to an adapter, which is merged into the model first.
        engine: lm-eval's back end; a served model (openai:) needs none.
        data: rows, a folder shaped like LIDR_DATA or org/name@COMMIT; None is $LIDR_DATA, else the Hub.
        limit: only the first rows of each task.
        decoding: how answers are made; None is the default of `lidr eval run`.
        judge: of x_alpacaeval; None leaves its answers unjudged.
        out: results folder; default `evals/NAME-IDENTITY` in the store.

    Raises:
        EvaluationError: rows, model or judge cannot be used.
        PlanError, HubError: the model is not there.
    """
    checkpoint = find_checkpoint(model, adapter, dtype="float32" if dtype == "auto" else dtype)
    is_served = checkpoint.folder is None
    spec = EvalSpec(
        backend="openai" if is_served else engine,
        model=str(checkpoint.served if is_served else checkpoint.folder),
        url=checkpoint.url,
        work="",
        tasks=task_specs(tuple(tasks), tuple(languages), None),
        decoding=decoding or Decoding(max_tokens=2048),
        data=str(Path(data).resolve()) if data and Path(data).is_dir() else data,
        limit=limit,
        dtype=dtype,
        batch=batch,
    )
    name = checkpoint.name
    identity = identity_of(spec, checkpoint.facts, load_all(spec))
    folder = Path(out) if out else store_root() / "evals" / f"{name.replace('/', '-')}-{identity[:8]}"
    spec = replace(spec, work=str((folder / "work").resolve()))
    evals.evaluate(
        spec, checkpoint.facts, name=name, out=folder, log=folder / "log.txt", judge=judge, listen=listen or Listener()
    )
    return EvaluationResult(folder)
