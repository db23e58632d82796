"""One evaluation from beginning to end: ask, keep, judge, score, write. The command, the step and Python call it.

    checkpoint + EvalSpec --process.py, lm-eval--> answers --judge--> verdicts --score, summarise--> results folder

The answers are written before the judge is asked, so nothing that a judge does can lose them.
"""

from __future__ import annotations

import contextlib
import importlib.metadata
import json
import shutil
from collections.abc import Callable, Iterable, Mapping, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from lidr.disk_faults import locked
from lidr.engines import MERGE_RULES, ModelFolder, distributions, text_arguments
from lidr.errors import EvaluationError, NegativeVerdict
from lidr.evals.alignment_tax import kept_through, passed_through
from lidr.evals.benchmark_rows import Loaded, check_parallel, load_rows, place_of, read_each
from lidr.evals.benchmarks import BENCHMARKS, JUDGED, benchmark
from lidr.evals.harness import answer
from lidr.evals.judge import Comparison, Judge, facts_of
from lidr.evals.mgsm import as_text
from lidr.evals.results import Declined, ModelFacts, Results, read_results, read_samples
from lidr.evals.scoring import write_scored
from lidr.evals.spec import EvalSpec, TaskSpec
from lidr.store import fingerprint


@dataclass(frozen=True)
class Listener:
    """Who is told how it goes: `say` a line now and then, `kept` how many answers an earlier try left, `asked` and
    `judged` how many more are done, `ran_on` at the end of the answers how replicas ran, where there were several.
    """

    say: Callable[[str], None] = lambda text: None
    kept: Callable[[int], None] = lambda count: None
    asked: Callable[[int], None] = lambda count: None
    judged: Callable[[int], None] = lambda count: None
    ran_on: Callable[[Mapping[str, Any]], None] = lambda facts: None


def load_all(spec: EvalSpec) -> dict[str, Loaded]:
    """Task -> its rows, checked to be parallel over the languages of each benchmark.

    Raises:
        EvaluationError: rows that are not there, or are not parallel.
    """
    tasks = _own(spec.tasks)
    found, problems = read_each(tasks, load_rows, spec.data)
    if problems:
        raise EvaluationError("\n".join(problems))
    loaded = {task.task: rows for task, rows in found.items()}
    if spec.gold == "text":
        loaded |= {task.task: _golds_as_text(loaded[task.task]) for task in tasks if task.benchmark == "mgsm"}
    for name in dict.fromkeys(task.benchmark for task in tasks):
        check_parallel({task.language: loaded[task.task] for task in tasks if task.benchmark == name})
    return loaded


def _golds_as_text(found: Loaded) -> Loaded:
    return replace(found, rows=as_text(found.rows))


def _own(tasks: Iterable[TaskSpec]) -> list[TaskSpec]:
    return [task for task in tasks if task.benchmark in BENCHMARKS]


def _rows_of(task: TaskSpec) -> Any:
    return task.benchmark


def evaluate(
    spec: EvalSpec, model: ModelFacts, *, name: str, out: Path, log: Path, judge: Judge | None, listen: Listener
) -> Results:
    """Evaluate one checkpoint and write its results folder; what it holds of the same evaluation is not done again.

    Args:
        spec: what is asked of which model.
        model: what the result says of it.
        name: short name in tables.
        out: the results folder.
        log: receives what the worker prints.
        judge: opens the judge of the benchmarks that need one; None leaves them unjudged, for `judge_again`.
        listen: told how it goes.

    Raises:
        EvaluationError: rows, model or judge cannot be used; answers that were given are kept in spec.work.
    """
    with holding(out, listen):
        loaded = load_all(spec)
        identity = identity_of(spec, model, loaded)
        if (found := standing(out, identity)) is not None:
            listen.say(f"{out}: the answers are there")
            listen.kept(totals(spec, loaded)[0])
            return _judge_rest(out, found, spec, judge, listen)
        # Where an interrupted try keeps its answers: they are known by the prompt, and not by the model.
        work = str(Path(spec.work) / identity[:16])
        if any(other.name != identity[:16] for other in Path(spec.work).glob("*/")):
            listen.say(
                f"{spec.work}: an evaluation of another model or with other settings was interrupted in this folder; "
                "its answers are kept and not used here. To go on with that one, stop now and run its command again"
            )
        asked = replace(spec, work=work, data=place_of(spec.data, loaded.values()))
        results = _evaluate(asked, model, loaded, identity, name, out, log, judge, listen)
        shutil.rmtree(work, ignore_errors=True)
        with contextlib.suppress(OSError):  # holds what another evaluation was answered before it was interrupted
            Path(spec.work).rmdir()
        if Path(spec.work).exists():
            listen.say(
                f"{spec.work}: holds answers of another evaluation, which was interrupted; to go on with it, move this "
                "folder into a new one, as NEW/work, and run its command with --out NEW"
            )
        return results


def _evaluate(
    spec: EvalSpec,
    model: ModelFacts,
    loaded: Mapping[str, Loaded],
    identity: str,
    name: str,
    out: Path,
    log: Path,
    judge: Judge | None,
    listen: Listener,
) -> Results:
    scored = "all answers are there: lm-eval reads and scores them, which takes a while where they are many"
    how = {"on_answers": listen.asked, "on_kept": listen.kept}
    said = answer(spec, log=log, **how, on_all=lambda: listen.say(scored))
    listen.ran_on(said.ran_on)
    answers = {task: _of_task(task.task, said.responses) for task in _own(spec.tasks)}
    listen.say(f"scoring {sum(map(len, answers.values())):,} answers by lidr's own rules, with intervals; into {out}")
    through = passed_through(spec.tasks, said.tax)
    shell = Results(
        name=name,
        identity=identity,
        model=model,
        engine={"kind": spec.backend, "dtype": spec.dtype, "batch": spec.batch},
        versions=versions(),
        seeds={"seed": spec.seed},
        created=datetime.now(UTC).isoformat(timespec="seconds"),
        tasks=(),
    )
    generation = spec.decoding.as_json()
    results = write_scored(out, shell, generation, loaded, answers, {}, None, through)
    if judge is not None and any(task.benchmark in JUDGED for task in spec.tasks):
        results = _judge(out, results, loaded, answers, judge, listen)
    return results


def holding(out: Path, listen: Listener) -> AbstractContextManager[None]:
    """One process at a time works on a results folder; another waits.

    Raises:
        EvaluationError: there is a file where the folder should be.
    """
    try:
        out.mkdir(parents=True, exist_ok=True)
    except (FileExistsError, NotADirectoryError):
        raise EvaluationError(f"{out}: results are a folder, and a file stands there; choose another --out") from None
    return locked(out / ".lock", lambda: listen.say(f"another process works on {out}; waiting for it to finish"))


def identity_of(spec: EvalSpec, model: ModelFacts, loaded: Mapping[str, Loaded]) -> str:
    """Everything that decides what the answers are; not where and how fast they are made."""
    kept = ("backend", "limit", "seed", "dtype", "max_model_len")
    facts = model.model_copy(update={"adapter_shift": None, "reference": ""}) if model.digest else model
    asked = {name: getattr(spec, name) for name in kept} | {"tasks": [task.task for task in spec.tasks]}
    asked["rules"] = {task.benchmark: benchmark(task.benchmark).VERSION for task in _own(spec.tasks)}
    data = {task: found.facts.model_dump() for task, found in loaded.items()}
    asked |= {"gold": spec.gold} if spec.gold != "number" else {}
    if spec.backend == "hf" and ModelFolder(Path(spec.model)).decodes_its_own_way():
        asked["own_generation"] = "ignored"  # before, answers obeyed it
    asked |= {"thoughts": thoughts} if (thoughts := _thoughts(spec)) else {}
    told = text_arguments(spec.vllm) if spec.row.name == "vllm" else {}
    asked |= {"vllm": told} if told else {}
    if model.adapter:
        asked["merged"] = None if spec.adapter else MERGE_RULES
    return fingerprint({**asked, "model": facts.model_dump(), "decoding": spec.decoding.as_json(), "data": data})


def _thoughts(spec: EvalSpec) -> str | None:
    """By which marks thoughts are cut out of answers, where that can be told before anything is asked."""
    if spec.reasoning_parser != "auto":
        return spec.reasoning_parser
    is_folder = spec.row.model == "folder" and Path(spec.model).is_dir()
    return ModelFolder(Path(spec.model)).thought_marks() if is_folder else None


def standing(out: Path, identity: str) -> Results | None:
    """The results that stand in a folder, if they are of this evaluation.

    Raises:
        EvaluationError: they are of another one.
    """
    if not (out / "results.json").exists():
        return None
    found = read_results(out)
    if found.identity != identity:
        raise EvaluationError(
            f"{out}: holds the results of another evaluation ({found.name}, {found.created}); choose another --out, or "
            "remove the folder"
        )
    return found


def _judge_rest(out: Path, found: Results, spec: EvalSpec, judge: Judge | None, listen: Listener) -> Results:
    """Judge answers that stand there; a judge's own cache knows what it said already."""
    if judge is None or not any(task.benchmark in JUDGED for task in spec.tasks):
        return found
    return _judge_again(out, spec.data, judge, listen)


def judge_again(out: Path, *, data: str | None, judge: Judge, listen: Listener) -> Results:
    """Judge the answers of a results folder, generating nothing, and write the results anew.

    Raises:
        EvaluationError: no answers that a judge can be asked about, or data that are not those that were answered.
    """
    with holding(out, listen):
        return _judge_again(out, data, judge, listen)


def _judge_again(out: Path, data: str | None, judge: Judge, listen: Listener) -> Results:
    results = read_results(out)
    there = [task for task in results.tasks if task.benchmark in BENCHMARKS]
    tasks = [TaskSpec(t.task, t.benchmark, t.variant, t.language) for t in there]
    if not any(task.benchmark in JUDGED for task in tasks):
        raise EvaluationError(f"{out}: holds no x_alpacaeval answers, so there is nothing to judge")
    loaded = {}
    for found, task in zip(there, tasks, strict=True):
        loaded[task.task] = load_rows(_rows_of(task), task.language, data)
        now = loaded[task.task].facts
        if (now.sha256, now.reference_sha256) != (found.data.sha256, found.data.reference_sha256):
            raise EvaluationError(
                f"{task.task}: the rows of {now.source} are not those that were answered (sha256 {now.sha256[:12]}, "
                f"then {found.data.sha256[:12]}); give the same data with --data"
            )
        if found.gold == "text":
            loaded[task.task] = _golds_as_text(loaded[task.task])
    said: dict[str, dict[str, str]] = {task.task: {} for task in tasks}
    for row in read_samples(out).to_pylist():
        detail = json.loads(row["detail"])
        reason = detail.get("declined") if isinstance(detail, dict) else None
        text = Declined(row["response"], reason, detail["said"]) if reason else row["response"]
        said[row["task"]][row["item"]] = text
    return _judge(out, results, loaded, {task: said[task.task] for task in tasks}, judge, listen)


def _judge(
    out: Path,
    results: Results,
    loaded: Mapping[str, Loaded],
    answers: Mapping[TaskSpec, Mapping[str, str]],
    judge: Judge,
    listen: Listener,
) -> Results:
    from lidr.evals.judge import calls_needed, check_errors
    from lidr.evals.judge import judge as ask

    comparisons = _comparisons(loaded, answers)
    with judge() as settings:
        facts, calls = facts_of(settings), calls_needed(comparisons, settings)
        listen.say(f"judging {len(comparisons):,} answers, {calls:,} calls: {facts.model}, {facts.mode}")
        verdicts = ask(comparisons, settings, progress=listen.judged)
    by_key = {verdict.key: verdict for verdict in verdicts}
    listen.say(f"scoring the answers with {len(verdicts):,} verdicts; into {out}")
    own = next(task for task in results.tasks if task.task in loaded)
    through = kept_through(out, results)
    written = write_scored(out, results, own.generation, loaded, answers, by_key, facts, through)
    try:
        check_errors(verdicts, settings)  # after everything is kept
    except EvaluationError as error:
        raise NegativeVerdict(str(error)) from None
    return written


def _comparisons(loaded: Mapping[str, Loaded], answers: Mapping[TaskSpec, Mapping[str, str]]) -> list[Comparison]:
    return [
        Comparison(f"{task.task}/{row['item']}", row["instruction"], row["reference"], said[row["item"]])
        for task, said in answers.items()
        if task.benchmark in JUDGED
        for row in loaded[task.task].rows
        if row["item"] in said
    ]


def _of_task(task: str, responses: Mapping[tuple[str, str], str]) -> dict[str, str]:
    return {item: response for (name, item), response in responses.items() if name == task}


def versions() -> dict[str, str]:
    """Of the packages that can change an answer, as far as they are installed."""
    found = {}
    for name in ("lidr", "lm_eval", *distributions(), "peft", "datasets"):
        try:
            found[name] = importlib.metadata.version(name)
        except importlib.metadata.PackageNotFoundError:
            continue
    return found


def totals(spec: EvalSpec, loaded: Mapping[str, Loaded]) -> tuple[int, int]:
    """Answers that will be asked for, and comparisons that will be judged, at most."""

    def count(tasks: Sequence[TaskSpec]) -> int:
        return sum(min(len(loaded[task.task].rows), spec.limit or 10**9) for task in tasks)

    return count(_own(spec.tasks)), count([task for task in spec.tasks if task.benchmark in JUDGED])
