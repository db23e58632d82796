"""Multilingual MT-Bench for any checkpoint: two turns by one of lidr's engines (lm-eval asks only one), then marks.

    answers, each kept at once -> results without marks -> the engine ends -> the judge begins -> results with marks

The answers are written before the judge is asked, so nothing that a judge does can lose them; and two models that share
one GPU never meet on it.
"""

from __future__ import annotations

import contextlib
from collections.abc import Iterator, Mapping, Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from lidr.engines import open_engine
from lidr.errors import EvaluationError, StoreError
from lidr.evals.benchmark_rows import Loaded
from lidr.evals.evaluation import Listener, holding, identity_of, standing, versions
from lidr.evals.judge import Judge
from lidr.evals.mt_bench.conversations import Conversation, ask, talks_of
from lidr.evals.mt_bench.mt_bench_grading import (
    VERSION,
    check_marks,
    grade_answers,
    judge_facts,
    scored,
    task_name,
    tasks_of,
)
from lidr.evals.mt_bench.questions import TURNS, Questions, load_questions
from lidr.evals.results import (
    JudgeFacts,
    ModelFacts,
    Results,
    read_results,
    read_samples,
    samples_table,
    scores_table,
    write_results,
)
from lidr.evals.spec import EvalSpec
from lidr.store import Journal, fingerprint


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


def mt_bench_identity(spec: EvalSpec, model: ModelFacts, questions: Mapping[str, Questions]) -> str:
    """Everything that decides what the answers are: see `evaluation.identity_of`."""
    loaded = {task_name(language): Loaded((), found.facts) for language, found in questions.items()}
    return fingerprint({"of": identity_of(spec, model, loaded), "mt_bench": VERSION})


def run_mt_bench(
    spec: EvalSpec,
    model: ModelFacts,
    questions: Mapping[str, Questions],
    *,
    name: str,
    out: Path,
    log: Path,
    judge: Judge | None,
    listen: Listener,
) -> Results:
    """Ask, grade, write a results folder; what it holds of the same evaluation is not done again.

    Args:
        spec: which model is asked, how.
        model: what the result says of it.
        questions: language -> questions.
        name: short name in tables.
        out: the results folder; its `work` holds what an interruption leaves.
        log: receives what the engine's worker prints.
        judge: opens the judge; None leaves the answers without marks, for `grade_again`.
        listen: told how it goes.

    Raises:
        EvaluationError: nothing was answered, the judge cannot be asked, or the folder holds another evaluation.
        EngineError: the engine cannot be asked. Answers that were given are kept in all these cases.
        NegativeVerdict: everything stands, and too many answers have no mark.
    """
    with holding(out, listen):
        identity = mt_bench_identity(spec, model, questions)
        if (found := standing(out, identity)) is not None:
            listen.say(f"{out}: the answers are there")
        else:
            shell = Results(
                name=name,
                identity=identity,
                model=model,
                engine={"kind": spec.row.name, "dtype": spec.dtype, "batch": spec.batch},
                versions=versions(),
                seeds={"seed": spec.seed},
                created=datetime.now(UTC).isoformat(timespec="seconds"),
                tasks=tasks_of(questions, spec.decoding, spec.limit),
            )
            found = _answer(shell, spec, questions, out, log, listen)
        return found if judge is None else _grade_again(out, judge, listen)


def grade_again(out: Path, *, judge: Judge, listen: Listener) -> Results:
    """Grade the answers of a results folder, generating nothing, and write the results anew.

    Raises:
        EvaluationError: no answers of mt_bench are there, or the judge cannot be asked at all: the folder is as it was.
        NegativeVerdict: everything stands, and too many answers have no mark.
    """
    with holding(out, listen):
        return _grade_again(out, judge, listen)


def _grade_again(out: Path, judge: Judge, listen: Listener) -> Results:
    results = read_results(out)
    if not results.of("mt_bench"):
        raise EvaluationError(f"{out}: holds no mt_bench answers, so there is nothing to grade")
    talks = talks_of(read_samples(out).to_pylist())
    system_prompt = results.tasks[0].generation.get("system_prompt")
    with judge() as settings:
        facts = judge_facts(settings)
        listen.say(f"grading {sum(len(talk.answers) for talk in talks):,} answers: {facts.model}")
        grade_answers(talks, settings, system_prompt=system_prompt, progress=listen.judged)
    written = _write(out, results, talks, facts)
    check_marks(talks, settings)  # after everything is kept
    return written


def _answer(
    shell: Results, spec: EvalSpec, questions: Mapping[str, Questions], out: Path, log: Path, listen: Listener
) -> Results:
    """Ask both turns and write what was said, without marks; the engine is closed when this returns."""
    path = out / "work" / f"mt_bench-{shell.identity[:16]}.jsonl"
    with _journal(path) as kept, open_engine(spec.engine_spec(), log=log) as engine:
        how: dict[str, Any] = {"decoding": spec.decoding, "seed": spec.seed, "limit": spec.limit}
        talks = ask(engine, questions, kept, **how, progress=listen.asked, on_kept=listen.kept)
    written = _write(out, shell, talks, None)
    path.unlink()
    with contextlib.suppress(OSError):  # holds something of somebody else's
        path.parent.rmdir()
    return written


@contextlib.contextmanager
def _journal(path: Path) -> Iterator[Journal]:
    try:
        kept = Journal(path.resolve())
    except StoreError as error:
        line = str(error).split(": damaged")[0]
        raise EvaluationError(
            f"{line}: damaged line. Take it out by hand to keep the other answers, or remove the file to ask again"
        ) from None
    with kept:
        yield kept


def _write(out: Path, shell: Results, talks: Sequence[Conversation], judge: JudgeFacts | None) -> Results:
    found = scored(shell.tasks, talks, judge)
    results = shell.model_copy(update={"tasks": found.tasks})
    write_results(out, results, samples_table(found.samples), scores_table(found.scores))
    return results


def asked(questions: Mapping[str, Questions], limit: int | None) -> int:
    """Answers that will be asked for; as many marks come on top."""
    return sum(len(found.rows[:limit]) for found in questions.values()) * TURNS
