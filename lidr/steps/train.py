"""train: DPO + NLL on the kept pairs makes the next policy. The loss is `lidr/train/loss.py`; TRL does the training.

The step runs in a process of its own and resumes from its last checkpoint. Its `model/` is a plain folder that the next
iteration and every other tool read; with LoRA, `adapter/` holds the adapter alone.
"""

from __future__ import annotations

import math
from dataclasses import asdict
from typing import TYPE_CHECKING, Any, Literal

from pydantic import Field, model_validator

from lidr import train
from lidr.errors import PlanError
from lidr.recipe import Frozen
from lidr.references import RunReference, ServerReference, parse_reference
from lidr.rows import Pair, RowType
from lidr.steps.ledger import Ledger
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
from lidr.store import Artifact, Rate
from lidr.train import (
    DROP_REASONS,
    LoraSpec,
    Method,
    NllPer,
    OverLong,
    ReferenceChoice,
    Sides,
    StepMetrics,
    TrainResult,
    TrainSpec,
)

if TYPE_CHECKING:
    from pathlib import Path


class Nll(Frozen):
    """The NLL term on the chosen answers."""

    weight: float = Field(1.0, ge=0)
    """Alpha: its weight beside the DPO term; 0 leaves it out."""
    per: NllPer = "sequence"
    """A mean over sequences, over the tokens of a micro-batch, or over the tokens of the whole batch."""


class Lora(Frozen):
    """Low-rank adapters."""

    rank: int = Field(16, ge=1)
    alpha: int = Field(32, ge=1)
    dropout: float = Field(0.0, ge=0, lt=1)
    target_modules: tuple[str, ...] = ()
    """Names of the layers; empty: every linear layer but the head."""


class TrainConfig(Frozen):
    """How the next policy is trained."""

    method: Method = "dpo_nll"
    """dpo_nll, or sft: the NLL of the chosen answers alone (the paper's baseline); then beta, nll.weight and reference
    say nothing and are no identity."""
    sides: Sides = "as_built"
    """Negative controls: `swapped` trains every rejected as chosen, `shuffled` those that a coin per pair picks; the
    pairs that are stored and published stay as they were built."""
    beta: float = Field(0.1, gt=0)
    """DPO's inverse temperature."""
    nll: Nll = Nll()
    learning_rate: float = Field(gt=0)
    epochs: float = Field(1.0, gt=0)
    batch: int = Field(ge=1)
    """Pairs in one optimiser step."""
    reference: ReferenceChoice = "previous"
    """Whose log-probabilities DPO subtracts: initial, previous, or adapter_off (LoRA only)."""
    lora: Lora | None = None
    """null trains all weights."""
    max_length: int = Field(1024, ge=8)
    """Prompt plus completion, tokens."""
    over_long: OverLong = "drop"
    """Pairs over max_length: drop them with a reason, or refuse to train."""
    warmup_ratio: float = Field(0.0, ge=0, lt=1)
    lr_scheduler: Literal["linear", "cosine", "constant"] = "linear"
    max_grad_norm: float = Field(1.0, gt=0)
    weight_decay: float = Field(0.0, ge=0)

    @model_validator(mode="after")
    def _adapter(self) -> TrainConfig:
        if self.reference == "adapter_off" and self.lora is None:
            raise ValueError("reference: adapter_off needs an adapter: add lora, or use previous (the same weights)")
        return self


def run_train(run: StepRun) -> Outcome:
    """Train in a worker process, write what could not be trained on to the dropped rows."""
    spec = train_spec(run)
    resumed = run.work.exists()  # then the time of this process is not the time of all pairs
    expected = math.ceil(math.ceil(run.inputs[Pair.name].rows / spec.batch) * spec.epochs)
    run.progress.start(expected, "steps")
    shown = 0

    def on_step(metrics: StepMetrics, total: int) -> None:
        nonlocal shown
        if shown == 0:  # the first word of a run that resumes; pairs that cannot be trained on may have shortened it
            run.progress.more(total - expected)
        run.progress.add(metrics.step - shown)
        margin = "" if metrics.margin is None else f" margin {metrics.margin:+.4f}"
        run.progress.note(f"loss {metrics.loss:.3f}{margin}")
        shown = metrics.step

    result = train.train(spec, log=run.log, on_step=on_step)
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
        lora=LoraSpec(**config.lora.model_dump()) if config.lora else None,
        seed=run.recipe.seed,
        dtype=policy.dtype,
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
        double_bos=policy.double_bos,
    )


def _reference(run: StepRun) -> str | None:
    """Name of the policy whose log-probabilities were subtracted; None where none were."""
    if run.config.method == "sft":
        return None
    return run.inputs[InitialPolicy.name if run.config.reference == "initial" else Policy.name].name


def _name_of(run: StepRun, policy: Artifact) -> str:
    """What an adapter says of its base: the recipe's model, or the run's policy; never a folder of this machine."""
    record = policy.record
    if record.writes == InitialPolicy.name:
        return run.recipe.policy.model
    return str(RunReference(record.recipe, record.version, record.iteration, record.step))


def _write_dropped(run: StepRun, result: TrainResult) -> list[dict[str, Any]]:
    import polars as pl

    ledger = Ledger(run, DROP_REASONS)
    if result.dropped:
        slots = ["pair_id", "prompt_id", "language", "other_language", "kind"]
        pairs = pl.DataFrame(run.inputs[Pair.name].read().select(slots))
        reasons = pl.DataFrame([asdict(row) for row in result.dropped])
        ledger.drop(reasons.join(pairs, on="pair_id", maintain_order="left"), step="train")
    counts: list[dict[str, Any]] = ledger.counts()["dropped"]
    return counts


def _counts(result: TrainResult) -> dict[str, Any]:
    last = result.steps[-1]
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
    }


def also_read_train(config: TrainConfig) -> tuple[RowType, ...]:
    """The first policy is an input where it is the reference."""
    return (InitialPolicy,) if config.reference == "initial" and config.method != "sft" else ()


def identity_train(config: TrainConfig) -> dict[str, Any]:
    """All settings that change the result."""
    kept = identity_of(config, later=("method", "sides"))
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
    found: dict[str, Any] = {"double_bos": True} if recipe.policy.double_bos else {}
    if config.nll.per == "token":
        found["micro_batch"] = min(recipe.runtime.micro_batch, config.batch)
    return found


def expect_train(config: TrainConfig, scale: Scale) -> Expected:
    """At most every pair, in each epoch."""
    return Expected(scale.slots, "pairs")


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
    identity=identity_train,
)
