"""evaluate: MGSM and X-AlpacaEval through lm-eval, for the policy an iteration made, and once for the first policy.

Its rows are one value for each (task, language, item, metric). `results/` beside them is what `lidr eval run` writes
for any checkpoint: `lidr eval compare run:NAME/iter_0/evaluate run:NAME/iter_2/evaluate` compares two iterations.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator, Mapping
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

from pydantic import Field, model_validator

from lidr import evals
from lidr.engines import engine_row
from lidr.errors import EvaluationError, HubError, LidrError, PlanError, RecipeError
from lidr.evals import JUDGED, SCORES, Decoding, EvalSpec, TaskSpec, benchmark, harness, judge, task_specs
from lidr.extras import has, require
from lidr.hub import DATASETS, check_model_folder, dist_file
from lidr.recipe import Frozen, LanguageCode, PolicyConfig, Recipe, ReferenceText
from lidr.references import DistReference, FolderReference, HubReference, RunReference, ServerReference, parse_reference
from lidr.resources import resolve_source
from lidr.rows import RowType
from lidr.steps.answering import ANSWER_FIELDS, budget_identity, vllm_identity
from lidr.steps.policy_files import folder_here
from lidr.steps.step_kind import (
    ITS_SERVER,
    Beside,
    Expected,
    Outcome,
    Policy,
    Scale,
    Served,
    StepKind,
    StepRun,
    Surroundings,
    Unresolved,
    by_server,
    identity_of,
)
from lidr.store import kept_sha256

if TYPE_CHECKING:
    import pyarrow as pa

    from lidr.evals.harness import CheckedTask

Scores = RowType("scores", SCORES, key=("task", "item", "metric"))
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
    """Questions in flight at once, with each replica of a local judge; no identity."""
    max_calls: int | None = Field(None, ge=0)
    """Most calls; more are refused before the first; no identity."""
    max_error_share: float = Field(0.05, ge=0, le=1)
    """Share of comparisons that may fail."""
    max_tokens: int | None = Field(None, ge=1)
    """Longest answer of the judge; null takes the mode's own."""


class EvaluateConfig(Frozen):
    """What every policy of the run is asked."""

    tasks: tuple[Literal["mgsm", "x_alpacaeval"], ...] = ("mgsm", "x_alpacaeval")
    """The benchmarks."""
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
    """Longest answer, tokens."""
    repetition_penalty: float = Field(1.0, gt=0)
    """1 is none."""
    gold: Literal["number", "text"] = "number"
    """MGSM's gold answers are compared as numbers, or as text: then 2125 is not the gold "2,125" of four problems."""
    judge: JudgeConfig | None = None
    """null leaves X-AlpacaEval unjudged."""
    length_control: ReferenceText | None = Field(None, exclude_if=lambda value: value is None)
    """df_gamed.csv and instruction_difficulty.csv of AlpacaEval: ./folder, or org/name[@rev] of the data set that has
    them. With them the English task has lc_win_rate_v1, the number of AlpacaEval's leaderboard."""

    @model_validator(mode="after")
    def _of_alpaca_eval(self) -> EvaluateConfig:
        if self.length_control is None:
            return self
        reference = parse_reference(self.length_control)
        if not isinstance(reference, HubReference | FolderReference):
            raise ValueError(
                f"length_control: {self.length_control} names no folder and no data set (./folder, org/name[@rev])"
            )
        languages = not self.languages or "en" in self.languages
        if "x_alpacaeval" not in self.tasks or self.judge is None or self.limit is not None or not languages:
            raise ValueError(
                "length_control needs x_alpacaeval in tasks, en in languages, a judge and no limit: version 1 of the "
                "rate stands for AlpacaEval's 805 English instructions alone; take length_control out"
            )
        return self

    @property
    def datasets(self) -> tuple[HubReference, ...]:
        """The Hub data sets, for the lock."""
        reference = parse_reference(self.length_control) if self.length_control else None
        if not isinstance(reference, HubReference):
            return ()
        return (HubReference(f"{DATASETS}{reference.repo}", reference.revision),)


def run_evaluate(run: StepRun) -> Outcome:
    """Answer, judge and score; what an interruption leaves is not asked again."""
    spec = evaluate_spec(run)
    asked, judged = evals.totals(spec, evals.load_all(spec))
    config: EvaluateConfig = run.config
    run.progress.start(asked + (judged if config.judge else 0), "answers")
    folder = run.out.folder / "results"
    opened = judge_for(run, config.judge) if config.judge else None
    if judged and not (folder / "results.json").exists():
        judge.meet_judge(opened, "start it, or mend evaluate.judge in the recipe; then run the same command again")
    results = evals.evaluate(
        spec,
        _facts(run),
        name=f"{run.recipe.name}/iter_{run.iteration}",
        out=folder,
        log=run.log,
        judge=opened,
        listen=evals.Listener(
            say=lambda text: run.progress.note("judging"),
            kept=lambda count: run.progress.more(0, count),
            asked=run.progress.add,
            judged=run.progress.add,
            ran_on=run.ran_on.update,
        ),
    )
    if config.length_control:
        for hub in config.datasets:
            run.around.keep_content(hub.repo, run.around.commit_of(hub))
        control = evals.read_length_control(_length_control(run.around, config))
        results = evals.with_length_control(folder, control)
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
        decoding=Decoding(
            config.max_tokens,
            config.repetition_penalty,
            run.recipe.system_prompt,
            thinking_budget=engine.thinking_budget,
        ),
        data=_data(config, run.around),
        limit=config.limit,
        seed=run.recipe.seed,
        dtype=engine.dtype,
        batch=engine.batch,
        max_model_len=engine.max_model_len,
        trust_remote_code=engine.trust_remote_code,
        api_key_env=engine.api_key_env,
        tensor_parallel=engine.tensor_parallel,
        replicas=engine.replicas,
        cluster=engine.cluster,
        gpu_memory=engine.gpu_memory,
        threads=engine.threads,
        gold=config.gold,
        token_limit=engine.token_limit,
        body=engine.body,
        reasoning_parser=engine.reasoning_parser,
        vllm=engine.vllm,
        adapter=engine.adapter,
    )


def _tasks(config: EvaluateConfig, recipe: Recipe) -> tuple[TaskSpec, ...]:
    return task_specs(config.tasks, config.languages or recipe.languages.all, config.variant)


def _data(config: EvaluateConfig, around: Surroundings) -> str | None:
    """The first source that is there; None where the rows come from where they are published."""
    for text in config.data:
        path = resolve_source(text, around.recipe_folder)
        if path is not None and path.is_dir():
            return str(path.resolve())
        if "$" not in text and "@" in text:
            return text
        if path is None and text == config.data[-1] and set(config.tasks) == {"x_alpacaeval"}:
            return None
        if path is None and text == config.data[-1]:
            raise Unresolved(f"evaluate.data: {text}: set LIDR_DATA to the folder that holds it, or give --data FOLDER")
    raise PlanError(
        f"evaluate.data: none of {', '.join(config.data)} is there; give a folder with mgsm/LANG.jsonl or "
        "word_problems/LANG.jsonl (and x_alpacaeval/ or open_instructions/), or org/name@COMMIT of a Hub data set"
    )


def _length_control(around: Surroundings, config: EvaluateConfig) -> str:
    """Where version 1's two files are read: a folder, or org/name@COMMIT."""
    for hub in config.datasets:
        return f"{hub.repo.removeprefix(DATASETS)}@{around.commit_of(hub)}"
    folder = resolve_source(str(config.length_control), around.recipe_folder)
    return str(folder)


def _facts(run: StepRun) -> Any:
    policy = run.inputs[Policy.name].record
    place = RunReference(policy.recipe, policy.version, policy.iteration, policy.step)
    return evals.ModelFacts(reference=str(place), digest=policy.digest)


def judge_for(run: StepRun, config: JudgeConfig) -> Any:
    """The judge that a step's settings name, to be opened when it is asked; all steps of a store share its cache."""
    settings = config.model_dump(exclude={"model"}, exclude_none=True)
    settings["cache"] = str((run.around.store_root / ".judge.sqlite").resolve())
    runtime = run.recipe.runtime
    return judge.judge_of(
        config.model,
        settings,
        kind=_serves(run.recipe),
        log=run.log,
        dtype=run.recipe.policy.dtype,
        replicas=runtime.replicas,
        cluster=runtime.cluster,
        ran_on=lambda facts: run.ran_on.update(judge=dict(facts)),
    )


def _serves(recipe: Recipe) -> str:
    """The engine that serves a local judge."""
    return recipe.runtime.engine if engine_row(recipe.runtime.engine).judge else "transformers"


def _differences(run: StepRun, after: pa.Table) -> list[dict[str, Any]]:
    """What changed since the first policy, in pairs of equal items."""
    from lidr.evals.compare import differences

    first = run.inputs.get(f"{Scores.name}_0")
    if first is None:
        return []
    return [one.as_json() for one in differences(first.read(), after, baseline="iter_0")]


def identity_evaluate(config: EvaluateConfig) -> dict[str, Any]:
    """All but where rows and files come from (their digests say it), and how the judge is asked: no verdict changes."""
    kept = identity_of(config, later=("gold",))
    del kept["data"]
    kept.pop("length_control", None)
    kept["judge"] = kept["judge"] and judging_identity(kept["judge"])
    kept["rules"] = {task: benchmark(task).VERSION for task in config.tasks}
    return kept


def judging_identity(judge: Mapping[str, Any]) -> dict[str, Any]:
    """What of a judge's settings can change a verdict; who it is, `judge_identity` says."""
    return {k: v for k, v in judge.items() if k not in ("model", "concurrency", "max_calls", "max_error_share")}


def outside_evaluate(around: Surroundings, config: EvaluateConfig) -> dict[str, Any]:
    """Digests of the rows, and who judges."""
    data = _data(config, around)
    tasks = _tasks(config, around.recipe)
    try:
        found, problems = evals.read_each(tasks, evals.load_rows, data)
    except HubError as error:
        if data is not None:
            raise
        raise Unresolved(f"evaluate.data: {error}; or set LIDR_DATA") from None
    if problems:
        raise EvaluationError("\n".join(problems))
    rows = {task.task: [loaded.facts.sha256, loaded.facts.reference_sha256 or ""] for task, loaded in found.items()}
    judge = judge_identity(around, config.judge) if config.judge and set(config.tasks) & set(JUDGED) else None
    control = _length_control_identity(around, config, found)
    told = vllm_identity(around) | budget_identity(around)
    return {"rows": rows, "judge": judge, **told, **({"length_control": control} if control else {})}


def check_rows_and_judge(around: Surroundings, config: EvaluateConfig) -> None:
    """Look for rows in every language, those of a folder, and what is known of those that lie on a Hub; and for who
    judges them.

    Raises:
        RecipeError: rows are not there, or are none; all of them at once.
        PlanError: there is no such folder, or the judge is not pinned or not here.
        Unresolved: the folder depends on LIDR_DATA, which is not set; a data set is not locked.
    """
    if config.judge is not None and set(config.tasks) & set(JUDGED):
        check_judge(around.recipe, config.judge)
    data = _data(config, around)
    _, problems = evals.read_each(_tasks(config, around.recipe), evals.check_rows, data)
    if problems:
        raise RecipeError(problems)
    for hub in config.datasets:
        around.commit_of(hub)


def notes_evaluate(recipe: Recipe, config: EvaluateConfig) -> Iterator[str]:
    """What nobody judges, and who judges nothing."""
    if config.judge is None and "x_alpacaeval" in config.tasks:
        yield (
            "evaluate.judge: missing: the answers to X-AlpacaEval are kept and get no win rate. Name a judge, judge "
            "them later with `lidr eval judge`, or take x_alpacaeval out of tasks"
        )
    if config.judge is not None and not set(config.tasks) & set(JUDGED):
        yield f"evaluate.judge: it is asked nothing: of the benchmarks it judges {', '.join(JUDGED)} alone. See tasks"


def _length_control_identity(
    around: Surroundings, config: EvaluateConfig, loaded: Mapping[TaskSpec, evals.Loaded]
) -> str | None:
    """What fixes version 1's two files; refused where the rows are not AlpacaEval's own."""
    if config.length_control is None:
        return None
    rows = next(
        (one for task, one in loaded.items() if (task.benchmark, task.language) == ("x_alpacaeval", "en")), None
    )
    problems = ["en is none of the recipe's languages"]
    if rows is not None:
        problems = evals.unlike_alpaca_eval(rows.facts.reference, [row["instruction"] for row in rows.rows])
    if problems:
        raise PlanError(
            f"evaluate.length_control: {'; '.join(problems)}. AlpacaEval's version 1 stands for its own setting alone: "
            "take length_control out; lc_win_rate holds for any language and reference"
        )
    place = _length_control(around, config)
    if config.datasets:
        return place
    return evals.read_length_control(place).sha256


def judge_identity(around: Surroundings, config: JudgeConfig, where: str = "evaluate.judge.model") -> dict[str, str]:
    """Who judges, by what cannot move; `where` is the setting, for messages.

    Raises:
        PlanError: see `check_judge`.
    """
    check_judge(around.recipe, config, where)
    reference = parse_reference(config.model)
    template = {"template": kept_sha256(Path(config.template), around.store_root)} if config.template else {}
    if isinstance(reference, HubReference):
        return {"model": str(reference), **template}
    if isinstance(reference, DistReference):
        return {"sha256": kept_sha256(dist_file(reference, where), around.store_root), **template}
    if isinstance(reference, FolderReference):
        return {"digest": evals.digest_of(check_model_folder(Path(reference.path), where)), **template}
    return {"model": config.model, **template}


def check_judge(recipe: Recipe, config: JudgeConfig, where: str = "evaluate.judge.model") -> None:
    """Look for a judge on this machine; neither its weights nor a network are needed.

    Raises:
        PlanError: a Hub model without a commit; a folder, a file or a template that is not here.
    """
    reference = parse_reference(config.model)
    if isinstance(reference, HubReference) and not reference.is_pinned:
        raise PlanError(f"{where}: {reference.repo} is not pinned; write {reference.repo}@COMMIT (40 hex digits)")
    if isinstance(reference, DistReference):
        dist_file(reference, where)
    if isinstance(reference, FolderReference):
        folder_here(recipe, Path(reference.path), where)
    if config.template is not None and not Path(config.template).is_file():
        setting = f"{where.removesuffix('.model')}.template"
        raise PlanError(f"{setting}: no file {config.template}; give a template file, or null for lidr's own")


def check_evaluate(around: Surroundings, say: Callable[[str], None] = lambda text: None) -> tuple[CheckedTask, ...]:
    """Look for all that the recipe's evaluate step starts from: packages, rows, prompts, judge. Nothing is generated.

    Raises:
        PlanError: the recipe has no such step.
        EvaluationError: every problem found, one a line.
    """
    recipe = around.recipe
    found: list[CheckedTask] = []
    config = next((step.config for step in recipe.chain if step.name == "evaluate"), None)
    if config is None:
        raise PlanError("chain: there is no evaluate step, so nothing is needed for one: add `- evaluate: {}`")

    def build() -> None:
        languages = config.languages or recipe.languages.all
        found.extend(harness.check(config.tasks, languages, variant=config.variant, data=_data(config, around)))

    asks = bool(set(config.tasks) & set(JUDGED))
    needed = _packages(recipe, config.judge if asks else None)
    looks: list[Callable[[], object]] = [partial(require, *what, needed_for=why) for what, why in needed]
    looks += [partial(outside_evaluate, around, config), *([build] if has("lm_eval") else [])]
    if config.judge and asks:
        looks += [partial(judge_identity, around, config.judge), partial(_meet_server, config.judge)]
    elif asks:
        say("no judge: X-AlpacaEval answers stay unjudged; judge them later with `lidr eval judge`")
    problems = [line for look in looks for line in _refusal(look)]
    if problems:
        raise EvaluationError("\n".join(dict.fromkeys(problems)))
    return tuple(found)


def _refusal(look: Callable[[], object]) -> list[str]:
    try:
        look()
    except (LidrError, Unresolved, OSError) as error:
        return str(error).split("\n")
    return []


def _packages(recipe: Recipe, judge: JudgeConfig | None) -> Iterator[tuple[tuple[str, tuple[str, ...]], str]]:
    """Extra and packages, and what needs them."""
    row = engine_row(recipe.runtime.engine)
    yield ("eval", ("lm_eval",)), "evaluation"
    yield (row.extra, row.packages), f"the engine {row.name!r}"
    if recipe.runtime.replicas != 1:
        yield ("ray", ("ray",)), f"runtime.replicas: {recipe.runtime.replicas}"
    if judge and not list(judged_alone(judge)):
        if not row.judge:  # else the same engine serves it
            yield (engine_row("transformers").extra, engine_row("transformers").packages), "a local judge"
        yield ("eval", ("starlette", "uvicorn")), "a local judge"


def _meet_server(config: JudgeConfig) -> None:
    """Of a judge that is a server: whether it is there."""
    if list(judged_alone(config)):
        settings = config.model_dump(exclude={"model"}, exclude_none=True)
        found = judge.judge_of(config.model, settings, kind="transformers", log=Path(os.devnull))
        judge.meet_judge(found, "start it, or mend evaluate.judge in the recipe; then check again")


def expect_evaluate(config: EvaluateConfig, scale: Scale, rows: Mapping[str, int] | None = None) -> Expected:
    """Each row of each task once; comparisons come on top.

    Args:
        rows: benchmark -> its rows of all languages, of those that lie here; of others the usual number is taken.
    """
    languages = len(config.languages) or scale.languages
    most = {task: min(_ROWS[task], config.limit or 10**9) * languages for task in config.tasks} | dict(rows or {})
    count = sum(most.values())
    calls = _orders(config) * sum(number for task, number in most.items() if task in JUDGED)
    notes = [f"and at most {calls:,} calls of the judge"] if calls else []
    if rows is not None and (away := [task for task in config.tasks if task not in rows]):
        usual = ", ".join(f"{min(_ROWS[task], config.limit or 10**9)} of {task}" for task in away)
        notes.append(f"by the usual {usual} a language: its rows are not here")
    return Expected(count, "requests", count * config.max_tokens, "; ".join(notes), calls=calls)


def _orders(config: EvaluateConfig) -> int:
    """How often the judge is asked about an answer."""
    return 0 if config.judge is None else 2 if config.judge.mode == "logprob_swap" else 1


def count_evaluate(around: Surroundings, config: EvaluateConfig, scale: Scale) -> Expected:
    """As `expect_evaluate`, by the rows of a folder that is here."""
    rows: dict[str, int] = {}
    try:
        data = _data(config, around)
    except (PlanError, Unresolved):
        data = None
    if data is not None and Path(data).is_dir():
        for name in config.tasks:
            tasks = [task for task in _tasks(config, around.recipe) if task.benchmark == name]
            try:
                found = [evals.load_rows(name, task.language, data).facts.rows for task in tasks]
            except LidrError:  # the step itself says what is wrong with them
                continue
            rows[name] = sum(min(number, config.limit or number) for number in found)
    return expect_evaluate(config, scale, rows)


def beside_evaluate(recipe: Recipe, config: EvaluateConfig, expected: Expected) -> Iterator[Beside]:
    """What a judge says that is served here."""
    yield from beside_judge(recipe, "evaluate", config.judge, expected.calls)


def beside_judge(recipe: Recipe, step: str, judge: JudgeConfig | None, calls: int) -> Iterator[Beside]:
    """The calls of a judge that a step serves here, and what it is; nothing where a server judges, or nobody."""
    if judge is None or not calls or list(judged_alone(judge)):
        return
    reference = parse_reference(judge.model)
    name = reference.repo if isinstance(reference, HubReference) else judge.model
    model = PolicyConfig(model=name, dtype=recipe.policy.dtype)
    yield Beside(f"{step}: judge", calls, "calls", served=Served(model, _serves(recipe)))


def alone_evaluate(recipe: Recipe, config: EvaluateConfig) -> Iterator[tuple[str, str]]:
    """Of who answers and who judges, as of `StepKind`."""
    yield from by_server(recipe, "evaluate")
    if set(config.tasks) & set(JUDGED):
        yield from (("evaluate.judge", why) for why in judged_alone(config.judge))


def judged_alone(judge: JudgeConfig | None) -> Iterator[str]:
    """Why replicas do not share the questions to a judge; nothing where they do, or nobody judges."""
    if judge is not None and isinstance(parse_reference(judge.model), ServerReference):
        yield ITS_SERVER


STEP = StepKind(
    name="evaluate",
    config=EvaluateConfig,
    reads=(Policy,),
    writes=Scores,
    run=run_evaluate,
    expects=expect_evaluate,
    counted=count_evaluate,
    beside=beside_evaluate,
    uses=("languages", *ANSWER_FIELDS),
    outside=outside_evaluate,
    alone=alone_evaluate,
    identity=identity_evaluate,
    at_first=True,
    checks=check_rows_and_judge,
    notes=notes_evaluate,
    version=3,
    resumes_since=1,
)
