"""train: DPO + NLL on the kept pairs makes the next policy. The loss is `lidr/train/loss.py`; TRL does the training.

The step runs in a process of its own and resumes from its last checkpoint. Its `model/` is a plain folder that the next
iteration and every other tool read; with LoRA, `adapter/` holds the adapter alone.
"""

from __future__ import annotations

import math
from dataclasses import asdict
from typing import TYPE_CHECKING, Any, cast

from lidr import train
from lidr.errors import PlanError
from lidr.recipe import Dtype, Recipe
from lidr.references import RunReference, ServerReference, parse_reference
from lidr.rows import Pair, RowType
from lidr.steps.ledger import Ledger
from lidr.steps.local_policy import outside_form, training_text
from lidr.steps.own_dtype import check_trainable
from lidr.steps.step_kind import (
    Expected,
    InitialPolicy,
    Outcome,
    Policy,
    Scale,
    StepKind,
    StepRun,
    Surroundings,
    identity_of,
)
from lidr.steps.train.train_config import TrainConfig
from lidr.steps.train.train_processes import check_precision, process_lacks, process_problems
from lidr.store import ROWS_AT_ONCE, Artifact, Rate
from lidr.train import (
    DROP_REASONS,
    StepMetrics,
    TrainResult,
    TrainSpec,
    result_options,
)

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path


def run_train(run: StepRun) -> Outcome:
    """Train in a worker process, write what could not be trained on to the dropped rows."""
    spec = train_spec(run)
    resumed = run.work.exists()  # then the time of this process is not the time of all pairs
    expected = math.ceil(math.ceil(run.inputs[Pair.name].rows / spec.batch) * spec.epochs)
    run.progress.start(expected, "steps")
    run.progress.note("starting: loading libraries and the model", at_once=True)
    shown = 0

    def on_step(metrics: StepMetrics, total: int) -> None:
        nonlocal shown
        if shown == 0:  # the first word of a run that resumes; pairs that cannot be trained on may have shortened it
            run.progress.more(total - expected)
        run.progress.add(metrics.step - shown)
        margin = "" if metrics.margin is None else f" margin {metrics.margin:+.4f}"
        run.progress.note(f"loss {metrics.loss:.3f}{margin}")
        shown = metrics.step

    result = train.train(spec, log=run.log, on_step=on_step, say=run.progress.say)
    counts = {**_counts(result), "reference": _reference(run), "dropped": _write_dropped(run, result)}
    return Outcome(counts, Rate("pairs", 0 if resumed else result.pairs_trained, result.elapsed_s))


def train_spec(run: StepRun) -> TrainSpec:
    """Make the recipe's words concrete: folders, files, numbers."""
    config: TrainConfig = run.config
    runtime, policy = run.recipe.runtime, run.recipe.policy
    folder = run.out.folder.resolve()
    initial: Path = run.inputs.get(InitialPolicy.name, run.inputs[Policy.name]).model
    return TrainSpec(
        policy=str(run.inputs[Policy.name].model.resolve()),
        initial=str(initial.resolve()),
        pairs=tuple(str(path.resolve()) for path in run.inputs[Pair.name].tables),
        work=str(folder / "work"),
        model_out=str(folder / "model"),
        adapter_out=str(folder / "adapter"),
        beta=config.beta,
        nll_weight=config.nll.weight,
        nll_per=config.nll.per,
        learning_rate=config.learning_rate,
        epochs=config.epochs,
        batch=config.batch,
        micro_batch=min(runtime.micro_batch, config.batch),
        reference=config.reference,
        lora=config.lora.spec() if config.lora else None,
        seed=run.recipe.seed,
        dtype=cast("Dtype", policy.dtype),  # no `auto` any more: it was resolved by the plan
        max_length=config.max_length,
        over_long=config.over_long,
        warmup_ratio=config.warmup_ratio,
        lr_scheduler=config.lr_scheduler,
        max_grad_norm=config.max_grad_norm,
        weight_decay=config.weight_decay,
        gradient_checkpointing=runtime.gradient_checkpointing,
        save_steps=runtime.save_steps,
        policy_name=_name_of(run, run.inputs[Policy.name]),
        report_to=tuple(runtime.report_to),
        trust_remote_code=policy.trust_remote_code,
        threads=runtime.threads,
        method=config.method,
        sides=config.sides,
        loss=config.loss,
        label_smoothing=config.label_smoothing,
        trl=config.trl,
        double_bos=policy.double_bos,
        form=training_text(run),
        quantization=config.load.quantization,
        attn_implementation=config.load.attn_implementation,
        processes=runtime.train_processes,
        sharding=runtime.sharding,
        held_out=config.held_out.spec() if config.held_out else None,
    )


def _reference(run: StepRun) -> str | None:
    """Name of the policy whose log-probabilities were subtracted; None where none were."""
    if run.config.method == "sft":
        return None
    return run.inputs[InitialPolicy.name if run.config.reference == "initial" else Policy.name].name


def _name_of(run: StepRun, policy: Artifact) -> str:
    """What an adapter says of its base: the recipe's model, or the run's policy; never a folder of this machine."""
    record = policy.record
    if record.writes == InitialPolicy.name and run.recipe.policy.adapter is None:
        return run.recipe.policy.model
    return str(RunReference(record.recipe, record.version, record.iteration, record.step))


def _write_dropped(run: StepRun, result: TrainResult) -> list[dict[str, Any]]:
    import polars as pl

    ledger = Ledger(run, DROP_REASONS)
    if result.dropped:
        slots = ["pair_id", "prompt_id", "language", "other_language", "kind"]
        reasons = pl.DataFrame([asdict(row) for row in result.dropped])
        batches = (pl.DataFrame(batch) for batch in run.inputs[Pair.name].batches(ROWS_AT_ONCE, slots))
        pairs = pl.concat([batch.join(reasons, on="pair_id", how="semi") for batch in batches])
        ledger.drop(reasons.join(pairs, on="pair_id", maintain_order="left"), step="train")
    counts: list[dict[str, Any]] = ledger.counts()["dropped"]
    return counts


def _counts(result: TrainResult) -> dict[str, Any]:
    last = result.steps[-1]
    parts = {} if result.parts is None else {"adapted": result.parts.adapted, "not_adapted": result.parts.left}
    held_out = {} if result.held_out is None else {"held_out": asdict(result.held_out)}
    return {
        "pairs": result.pairs_trained,
        "steps": len(result.steps),
        "loss": last.loss,
        "dpo": last.dpo,
        "nll": last.nll,
        "margin": last.margin,
        "accuracy": last.accuracy,
        "history": [asdict(step) for step in result.steps],
        "groups": [asdict(group) for group in result.groups],
        "trained_parameters": result.trained_parameters,
        "total_parameters": result.total_parameters,
        **parts,
        **held_out,
        "read_back": asdict(result.saved),
    }


def also_read_train(config: TrainConfig) -> tuple[RowType, ...]:
    """The first policy is an input where it is the reference."""
    return (InitialPolicy,) if config.reference == "initial" and config.method != "sft" else ()


def identity_train(config: TrainConfig) -> dict[str, Any]:
    """All settings that change the result."""
    kept = identity_of(config, later=("method", "sides", "loss", "label_smoothing", "load", "held_out"))
    if trl := result_options(kept.pop("trl", {})):
        kept["trl"] = trl
    if config.method == "sft":
        del kept["beta"], kept["reference"], kept["nll"]["weight"]
    return kept


def outside_train(around: Surroundings, config: TrainConfig) -> dict[str, Any]:
    """What else changes the result: a second BOS token, and the micro-batch where the NLL is a mean over its tokens."""
    recipe = around.recipe
    if isinstance(parse_reference(recipe.policy.model), ServerReference):
        raise PlanError(
            "train: a policy behind a server (openai:) cannot be trained; take `train` out, or give a folder"
        )
    check_trainable(around, config.load.quantization)
    check_precision(recipe)
    found = outside_form(around)
    if config.nll.per == "token":
        found["micro_batch"] = min(recipe.runtime.micro_batch, config.batch)
    return found


def expect_train(config: TrainConfig, scale: Scale) -> Expected:
    """At most every pair; of the tokens, those of every pair at its longest, in each epoch."""
    sides = 1 if config.method == "sft" else 2
    tokens = round(scale.pairs * sides * config.max_length * config.epochs)
    return Expected(scale.pairs, "pairs", trained=tokens, trains=True)


def notes_train(recipe: Recipe, config: TrainConfig) -> Iterator[str]:
    """Whether answers may be longer than what is trained on."""
    made = {step.name: step.config for step in recipe.chain if step.name in ("generate", "translate")}
    most = {f"{name}.max_tokens": tokens for name, one in made.items() if (tokens := one.max_tokens) is not None}
    if longer := {name: tokens for name, tokens in most.items() if tokens >= config.max_length}:
        name, tokens = max(longer.items(), key=lambda item: item[1])
        meets = "are left out as over_long" if config.over_long == "drop" else "end the training"
        yield (
            f"train.max_length: {config.max_length:,} tokens for a prompt and its answer, and {name} lets an answer "
            f"alone have {tokens:,}; longer pairs {meets}. Raise max_length, or lower {name}"
        )


STEP = StepKind(
    name="train",
    config=TrainConfig,
    reads=(Pair, Policy),
    also_reads=also_read_train,
    writes=Policy,
    run=run_train,
    expects=expect_train,
    uses=("seed", "policy.dtype"),
    outside=outside_train,
    alone=lambda recipe, config: (
        [("train", "runtime.train_processes does")] if recipe.runtime.train_processes == 1 else []
    ),
    room=process_problems,
    lacks=process_lacks,
    identity=identity_train,
    notes=notes_train,
    # 2: experts, routers and towers for images get adapters on request only; packed weights are unpacked; what stands
    # after the end of a turn is not trained
    version=2,
    resumes_since=1,
)
