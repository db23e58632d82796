"""Multilingual MT-Bench for any checkpoint: two turns by one of lidr's engines (lm-eval asks only one), then marks."""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import nullcontext
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from lidr.engines.base import EngineSpec
from lidr.engines.process import open_engine
from lidr.errors import EvaluationError
from lidr.evals.evaluation import Judge, Listener, versions
from lidr.evals.mt_bench import MTBench, evaluate_mt_bench
from lidr.evals.mt_bench_questions import TURNS, Questions, load_questions
from lidr.evals.results import ModelFacts, Results, samples_table, scores_table, write_results
from lidr.evals.spec import EvalSpec

_KINDS = {"hf": "transformers", "vllm": "vllm", "openai": "openai", "scripted": "scripted"}


def read_questions(source: str | None, languages: Sequence[str]) -> dict[str, Questions]:
    """The questions of some languages.

    Raises:
        EvaluationError: none are named, or they are not there.
    """
    if source is None:
        raise EvaluationError(
            "mt_bench: lidr ships no questions; give --questions: a folder with LANG.jsonl files (question_id, "
            "category, turns: [first, second]), or org/name@COMMIT of a Hub data set"
        )
    return load_questions(source, languages)


def run_mt_bench(
    spec: EvalSpec,
    model: ModelFacts,
    questions: dict[str, Questions],
    *,
    name: str,
    out: Path,
    log: Path,
    judge: Judge | None,
    listen: Listener,
) -> Results:
    """Ask, grade, write a results folder.

    Raises:
        EvaluationError: nothing was answered, the judge cannot be asked, or the folder holds results already.
    """
    if spec.adapter:
        raise EvaluationError("mt_bench: an adapter is not loaded here; merge it, or give the policy's own folder")
    if (out / "results.json").exists():
        raise EvaluationError(f"{out}: holds results already; choose another --out, or remove the folder")
    found = _answered(spec, questions, log, judge, listen)
    results = Results(
        name=name,
        model=model,
        engine={"kind": _KINDS[spec.backend], "dtype": spec.dtype, "batch": spec.batch},
        versions=versions(),
        seeds={"seed": spec.seed},
        created=datetime.now(UTC).isoformat(timespec="seconds"),
        tasks=found.tasks,
    )
    write_results(out, results, samples_table(found.samples), scores_table(found.scores))
    return results


def _answered(
    spec: EvalSpec, questions: dict[str, Questions], log: Path, judge: Judge | None, listen: Listener
) -> MTBench:
    with open_engine(_engine(spec), log=log) as engine, judge() if judge else nullcontext() as settings:
        return evaluate_mt_bench(
            engine,
            questions,
            settings,
            decoding=spec.decoding,
            seed=spec.seed,
            limit=spec.limit,
            progress=listen.asked,
        )


def _engine(spec: EvalSpec) -> EngineSpec:
    kind: Any = _KINDS[spec.backend]
    return EngineSpec(
        kind=kind,
        model=spec.model,
        url=spec.url,
        dtype="float32" if spec.dtype == "auto" else spec.dtype,
        batch=spec.batch,
        max_model_len=spec.max_model_len,
        trust_remote_code=spec.trust_remote_code,
        api_key_env=spec.api_key_env,
        tensor_parallel=spec.tensor_parallel,
        gpu_memory=spec.gpu_memory,
        threads=spec.threads,
    )


def asked(questions: dict[str, Questions], limit: int | None) -> int:
    """Answers that will be asked for; as many marks come on top."""
    return sum(len(found.rows[:limit]) for found in questions.values()) * TURNS
