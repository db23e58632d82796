"""evaluate: MGSM and X-AlpacaEval through lm-eval, for the policy an iteration made, and once for the first policy.

Its rows are one value for each (task, language, item, metric). `results/` beside them is what `lidr eval run` writes
for any checkpoint: `lidr eval compare run:NAME/iter_0/evaluate run:NAME/iter_2/evaluate` compares two iterations.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from lidr import evals
from lidr.engines import engine_row
from lidr.evals import SCORES, Decoding, EvalSpec, benchmark, judge
from lidr.references import RunReference
from lidr.rows import RowType
from lidr.steps.answering import ANSWER_FIELDS
from lidr.steps.evaluate.evaluate_config import EvaluateConfig
from lidr.steps.evaluate.evaluate_costs import alone_evaluate, beside_evaluate, count_evaluate, expect_evaluate
from lidr.steps.evaluate.evaluate_inputs import (
    check_rows_and_judge,
    data_of,
    length_control_of,
    notes_evaluate,
    outside_evaluate,
    tasks_of,
)
from lidr.steps.evaluate.step_judge import judge_for, judging_identity
from lidr.steps.step_kind import Outcome, Policy, StepKind, StepRun, identity_of

if TYPE_CHECKING:
    import pyarrow as pa

Scores = RowType("scores", SCORES, key=("task", "item", "metric"))
"""What answers were worth."""


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
            say=lambda text: run.progress.note("judging" if text.startswith("judging") else "scoring"),
            kept=lambda count: run.progress.more(0, count),
            asked=run.progress.add,
            judged=run.progress.add,
            ran_on=run.ran_on.update,
        ),
    )
    if config.length_control:
        for hub in config.datasets:
            run.around.keep_content(hub.repo, run.around.commit_of(hub))
        control = evals.read_length_control(length_control_of(run.around, config))
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
        tasks=tasks_of(config, run.recipe),
        decoding=Decoding(
            config.max_tokens,
            config.repetition_penalty,
            run.recipe.system_prompt,
            thinking_budget=engine.thinking_budget,
        ),
        data=data_of(config, run.around),
        limit=config.limit,
        seed=run.recipe.seed,
        dtype=engine.dtype,
        batch=engine.batch,
        max_model_len=engine.max_model_len,
        trust_remote_code=engine.trust_remote_code,
        api_key_env=engine.api_key_env,
        timeout_s=engine.timeout_s,
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


def _facts(run: StepRun) -> Any:
    policy = run.inputs[Policy.name].record
    place = RunReference(policy.recipe, policy.version, policy.iteration, policy.step)
    return evals.ModelFacts(reference=str(place), digest=policy.digest)


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
    version=4,  # 4: a model's own generation_config has no part in its answers
)
