"""evaluate: MGSM and X-AlpacaEval through lm-eval, for the policy an iteration made, and once for the first policy.

Its rows are one value for each (task, language, item, metric). `results/` beside them is what `lidr eval run` writes
for any checkpoint: `lidr eval compare run:NAME/iter_0/evaluate run:NAME/iter_2/evaluate` compares two iterations.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any, Literal

import pyarrow as pa
from pydantic import Field

from lidr import evals
from lidr.engines import engine_row
from lidr.errors import PlanError
from lidr.evals import JUDGED, SCORES, Decoding, EvalSpec, TaskSpec, benchmark, judge, task_specs
from lidr.hub import check_model_folder, dist_file
from lidr.recipe import Frozen, LanguageCode, Recipe, ReferenceText
from lidr.references import DistReference, FolderReference, HubReference, RunReference, parse_reference
from lidr.resources import resolve_source
from lidr.rows import RowType
from lidr.steps.answering import ANSWER_FIELDS
from lidr.steps.step_kind import (
    Expected,
    Outcome,
    Policy,
    Scale,
    StepKind,
    StepRun,
    Surroundings,
    Unresolved,
    identity_of,
)
from lidr.store import kept_sha256

Scores = RowType("scores", SCORES.with_metadata({"lidr.schema": "1"}), key=("task", "item", "metric"))
"""What answers were worth."""

_ROWS = {"mgsm": 250, "x_alpacaeval": 805}  # without a limit, for plans


class JudgeConfig(Frozen):
    """Who compares answers, and how."""

    model: ReferenceText
    """openai:MODEL@URL (its key in LIDR_JUDGE_API_KEY), or a local model that lidr serves while it is asked."""
    mode: Literal["logprob", "logprob_swap", "text", "score"] = "logprob_swap"
    """One token and its probability in one random order (logprob) or in both; the token as text; or 0-10 for each."""
    template: str | None = None
    """A template file; null is lidr's own."""
    seed: int = Field(0, ge=0)
    """Of the random order."""
    concurrency: int = Field(8, ge=1)
    """Questions in flight at once; no identity."""
    max_calls: int | None = Field(None, ge=0)
    """Most calls; more are refused before the first; no identity."""
    max_error_share: float = Field(0.05, ge=0, le=1)
    """Share of comparisons that may fail."""
    max_tokens: int | None = Field(None, ge=1)
    """Longest answer of the judge; null takes the mode's own."""


class EvaluateConfig(Frozen):
    """What every policy of the run is asked."""

    tasks: tuple[Literal["mgsm", "x_alpacaeval"], ...] = ("mgsm", "x_alpacaeval")
    languages: tuple[LanguageCode, ...] = ()
    """Empty: all languages of the recipe."""
    variant: Literal["plain", "paper_instr", "instr"] = "plain"
    """MGSM's prompt: the bare question, the paper's instruction, or one line of ours in the language."""
    data: tuple[str, ...] = ("$LIDR_DATA",)
    """Where rows come from; the first that is there: a folder shaped like LIDR_DATA or recipes/prompts, or
    org/name@COMMIT."""
    limit: int | None = Field(None, ge=1)
    """Only the first rows of each task."""
    max_tokens: int = Field(2048, ge=1)
    repetition_penalty: float = Field(1.0, gt=0)
    gold: Literal["number", "text"] = "number"
    """MGSM's gold answers are compared as numbers, or as text: then 2125 is not the gold "2,125" of four problems."""
    judge: JudgeConfig | None = None
    """null leaves X-AlpacaEval unjudged."""


def run_evaluate(run: StepRun) -> Outcome:
    """Answer, judge and score; what an interruption leaves is not asked again."""
    spec = evaluate_spec(run)
    asked, judged = evals.totals(spec, evals.load_all(spec))
    config: EvaluateConfig = run.config
    run.progress.start(asked + (judged if config.judge else 0), "answers")
    folder = run.out.folder / "results"
    results = evals.evaluate(
        spec,
        _facts(run),
        name=f"{run.recipe.name}/iter_{run.iteration}",
        out=folder,
        log=run.log,
        judge=judge_for(run, config.judge) if config.judge else None,
        listen=evals.Listener(
            say=lambda text: run.progress.note("judging"), asked=run.progress.add, judged=run.progress.add
        ),
    )
    scores = evals.read_scores(folder)
    run.out.data.write(scores)
    counts = {
        "tasks": [task.model_dump(mode="json") for task in results.tasks],
        "differences": _differences(run, scores),
    }
    return Outcome(counts, run.progress.rate())


def evaluate_spec(run: StepRun) -> EvalSpec:
    """Make the recipe's words concrete."""
    config: EvaluateConfig = run.config
    runtime, engine = run.recipe.runtime, run.engine_spec()
    return EvalSpec(
        backend=engine_row(runtime.engine).backend,
        model=engine.model,
        url=engine.url,
        work=str((run.work / "evaluate").resolve()),
        tasks=_tasks(config, run.recipe),
        decoding=Decoding(config.max_tokens, config.repetition_penalty, run.recipe.system_prompt),
        data=_data(config, run.around),
        limit=config.limit,
        seed=run.recipe.seed,
        dtype=engine.dtype,
        batch=engine.batch,
        max_model_len=engine.max_model_len,
        trust_remote_code=engine.trust_remote_code,
        api_key_env=engine.api_key_env,
        tensor_parallel=engine.tensor_parallel,
        gpu_memory=engine.gpu_memory,
        threads=engine.threads,
        gold=config.gold,
    )


def _tasks(config: EvaluateConfig, recipe: Recipe) -> tuple[TaskSpec, ...]:
    return task_specs(config.tasks, config.languages or recipe.languages.all, config.variant)


def _data(config: EvaluateConfig, around: Surroundings) -> str:
    """The first source that is there."""
    for text in config.data:
        path = resolve_source(text, around.recipe_folder)
        if path is not None and path.is_dir():
            return str(path.resolve())
        if "$" not in text and "@" in text:
            return text
        if path is None and text == config.data[-1]:
            raise Unresolved(f"evaluate.data: {text}: set LIDR_DATA to the folder that holds it, or give --data FOLDER")
    raise PlanError(
        f"evaluate.data: none of {', '.join(config.data)} is there; give a folder with mgsm/LANG.jsonl or "
        "word_problems/LANG.jsonl (and x_alpacaeval/ or open_instructions/), or org/name@COMMIT of a Hub data set"
    )


def _facts(run: StepRun) -> Any:
    policy = run.inputs[Policy.name].record
    place = RunReference(policy.recipe, policy.version, policy.iteration, policy.step)
    return evals.ModelFacts(reference=str(place), digest=policy.digest)


def judge_for(run: StepRun, config: JudgeConfig) -> Any:
    """The judge that a step's settings name, to be opened when it is asked; all steps of a store share its cache."""
    settings = config.model_dump(exclude={"model"}, exclude_none=True)
    settings["cache"] = str((run.around.store_root / ".judge.sqlite").resolve())
    engine = engine_row(run.recipe.runtime.engine)
    kind = engine.name if engine.judge else "transformers"
    return judge.judge_of(config.model, settings, kind=kind, log=run.log, dtype=run.recipe.policy.dtype)


def _differences(run: StepRun, after: pa.Table) -> list[dict[str, Any]]:
    """What changed since the first policy, in pairs of equal items."""
    from lidr.evals.compare import differences

    first = run.inputs.get(f"{Scores.name}_0")
    if first is None:
        return []
    return [one.as_json() for one in differences(first.read(), after, baseline="iter_0")]


def identity_evaluate(config: EvaluateConfig) -> dict[str, Any]:
    """All but where rows come from, which their digests say, and how the judge is asked, which changes no verdict."""
    kept = identity_of(config, later=("gold",))
    del kept["data"]
    kept["judge"] = kept["judge"] and judging_identity(kept["judge"])
    kept["rules"] = {task: benchmark(task).VERSION for task in config.tasks}
    return kept


def judging_identity(judge: Mapping[str, Any]) -> dict[str, Any]:
    """What of a judge's settings can change a verdict; who it is, `judge_identity` says."""
    return {k: v for k, v in judge.items() if k not in ("model", "concurrency", "max_calls", "max_error_share")}


def outside_evaluate(around: Surroundings, config: EvaluateConfig) -> dict[str, Any]:
    """Digests of the rows, and who judges."""
    data = _data(config, around)
    found = {task: evals.load_rows(task.benchmark, task.language, data) for task in _tasks(config, around.recipe)}  # type: ignore[arg-type]
    rows = {task.task: [loaded.facts.sha256, loaded.facts.reference_sha256 or ""] for task, loaded in found.items()}
    judge = judge_identity(around, config.judge) if config.judge and set(config.tasks) & set(JUDGED) else None
    return {"rows": rows, "judge": judge}


def judge_identity(around: Surroundings, config: JudgeConfig, where: str = "evaluate.judge.model") -> dict[str, str]:
    """Who judges, by what cannot move; `where` is the setting, for messages."""
    reference = parse_reference(config.model)
    template = {"template": kept_sha256(Path(config.template), around.store_root)} if config.template else {}
    if isinstance(reference, HubReference):
        if not reference.is_pinned:
            raise PlanError(f"{where}: {reference.repo} is not pinned; write {reference.repo}@COMMIT (40 hex digits)")
        return {"model": str(reference), **template}
    if isinstance(reference, DistReference):
        return {"sha256": kept_sha256(dist_file(reference, where), around.store_root), **template}
    if isinstance(reference, FolderReference):
        return {"digest": evals.digest_of(check_model_folder(Path(reference.path), where)), **template}
    return {"model": config.model, **template}


def expect_evaluate(config: EvaluateConfig, scale: Scale) -> Expected:
    """Each row of each task once; comparisons come on top."""
    languages = len(config.languages) or scale.languages
    count = sum(min(_ROWS[task], config.limit or 10**9) for task in config.tasks) * languages
    judged = sum(min(_ROWS[task], config.limit or 10**9) for task in config.tasks if task in JUDGED) * languages
    calls = judged * (2 if config.judge and config.judge.mode == "logprob_swap" else 1) if config.judge else 0
    note = f"and at most {calls:,} calls of the judge" if calls else ""
    return Expected(count, "requests", count * config.max_tokens, note)


STEP = StepKind(
    name="evaluate",
    config=EvaluateConfig,
    reads=(Policy,),
    writes=Scores,
    run=run_evaluate,
    expects=expect_evaluate,
    uses=("languages", *ANSWER_FIELDS),
    outside=outside_evaluate,
    identity=identity_evaluate,
    at_first=True,
)
