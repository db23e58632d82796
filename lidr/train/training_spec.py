"""What one training run is told, and what it answers: plain data that crosses the process boundary. No torch here."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Literal

ReferenceChoice = Literal["initial", "previous", "adapter_off"]
"""Whose log-probabilities the DPO term subtracts: those of the first policy (`initial`), of the policy that enters this
iteration (`previous`), or of the trained model itself with its adapter switched off (`adapter_off`, LoRA only)."""

NllPer = Literal["sequence", "token", "batch"]
"""What the NLL term is a mean over: see `lidr.train.loss`."""

Method = Literal["dpo_nll", "sft"]
"""`dpo_nll` is the paper's loss; `sft` its baseline "multilingual alignment": the NLL of the chosen answers alone."""

Sides = Literal["as_built", "swapped", "shuffled"]
"""Which side of a pair is trained as chosen: see `lidr.train.trained_side`. The pairs table itself stays as it is."""

OverLong = Literal["drop", "refuse"]
"""What happens to a pair that does not fit into max_length: dropped with a reason, or an error."""


DROP_REASONS = ("prompt_too_long", "over_long", "empty_completion", "equal_completions", "prompt_mismatch")
"""Why a pair cannot be trained on: see `lidr.train.tokens`, which finds it before TRL would drop or cut it."""


@dataclass(frozen=True)
class LoraSpec:
    """Low-rank adapters on the linear layers."""

    rank: int = 16
    alpha: int = 32
    dropout: float = 0.0
    target_modules: tuple[str, ...] = ()  # empty: every linear layer but the head ("all-linear")


@dataclass(frozen=True)
class TrainSpec:
    """One training run. All paths are absolute; models are plain folders of safetensors.

    Args:
        policy: folder of the policy that enters the iteration; training starts from its weights.
        initial: folder of the recipe's first policy; used when `reference` is "initial".
        pairs: Parquet files of the pairs table (lidr.rows.Pair), read in this order.
        work: folder for TRL's checkpoints and the log; kept on an interrupted run so that the next one resumes.
        model_out: folder that receives the trained policy, merged, as safetensors with tokenizer and template.
        adapter_out: folder that receives the LoRA adapter, when there is one.
        policy_name: what the adapter's base_model_name_or_path says of `policy`, "org/name" for example; empty says
            nothing, because the folder's path means nothing on another machine.
        method, sides: see Method and Sides. Under `sft` beta, nll_weight and reference say nothing.
        beta: DPO's inverse temperature. nll_weight: alpha of the NLL term.
        learning_rate, epochs, warmup_ratio, lr_scheduler, max_grad_norm, weight_decay: the optimiser's (AdamW).
        batch: pairs per optimiser step, all micro-batches together. micro_batch: pairs per forward pass, a divisor.
        dtype: of the arithmetic and of the saved weights. Weights that are trained are held in float32, whatever it is:
            at a learning rate of 1e-6 an update is smaller than half a bfloat16 step of the weight and would be lost.
        max_length: prompt plus completion, tokens. over_long: see OverLong.
        save_steps: optimiser steps between checkpoints; 0 saves none.
        threads: CPU threads; 0 leaves torch's own choice.
        double_bos: prompts begin with one more BOS token, as they do when the policy answers: see PolicyConfig.
    """

    policy: str
    initial: str
    pairs: tuple[str, ...]
    work: str
    model_out: str
    adapter_out: str
    beta: float
    nll_weight: float
    nll_per: NllPer
    learning_rate: float
    epochs: float
    batch: int
    micro_batch: int
    reference: ReferenceChoice
    lora: LoraSpec | None
    seed: int
    dtype: Literal["float32", "bfloat16", "float16"]
    max_length: int = 1024
    over_long: OverLong = "drop"
    warmup_ratio: float = 0.0
    lr_scheduler: Literal["linear", "cosine", "constant"] = "linear"
    max_grad_norm: float = 1.0
    weight_decay: float = 0.0
    gradient_checkpointing: bool = False
    save_steps: int = 0
    report_to: tuple[str, ...] = ()
    trust_remote_code: bool = False
    threads: int = 0
    policy_name: str = ""
    method: Method = "dpo_nll"
    sides: Sides = "as_built"
    double_bos: bool = False

    @classmethod
    def from_json(cls, message: Mapping[str, Any]) -> TrainSpec:
        """Read back what `dataclasses.asdict` and JSON made of a spec."""
        lora = message["lora"]
        if lora is not None:
            lora = LoraSpec(**{**lora, "target_modules": tuple(lora["target_modules"])})
        lists = {"pairs": tuple(message["pairs"]), "report_to": tuple(message["report_to"])}
        return cls(**{**message, **lists, "lora": lora})


@dataclass(frozen=True)
class DroppedPair:
    """A pair that training could not use, found before TRL would drop or cut it in silence."""

    pair_id: str
    reason: str  # prompt_too_long, over_long, empty_completion, equal_completions, prompt_mismatch
    detail: str  # "1,312 tokens of at most 1,024"


@dataclass(frozen=True)
class GroupMetrics:
    """Means over the pairs of one language and kind, at the end of training, under the trained policy."""

    language: str
    kind: str
    pairs: int
    margin: float  # beta * h, nats: the implicit reward of chosen minus that of rejected
    accuracy: float  # share of pairs with margin > 0, 0-1


@dataclass(frozen=True)
class StepMetrics:
    """One optimiser step, as logged. Under `sft` there is no DPO term, no margin and no accuracy."""

    step: int
    loss: float
    dpo: float | None
    nll: float
    margin: float | None
    accuracy: float | None
    learning_rate: float


@dataclass(frozen=True)
class TrainResult:
    """What a finished run reports."""

    pairs_trained: int
    dropped: tuple[DroppedPair, ...]
    steps: tuple[StepMetrics, ...]
    groups: tuple[GroupMetrics, ...]  # none under `sft`, which looks at no rejected answer
    trained_parameters: int
    total_parameters: int
    elapsed_s: float  # of the process that finished the run; a resumed run does not count its earlier processes
    reference_folder: str  # the folder whose weights gave the reference log-probabilities; empty under `sft`
    versions: dict[str, str]  # of the packages that computed it

    @classmethod
    def from_json(cls, message: Mapping[str, Any]) -> TrainResult:
        """Read back what `dataclasses.asdict` and JSON made of a result."""
        rows = {"dropped": DroppedPair, "steps": StepMetrics, "groups": GroupMetrics}
        return cls(**{**message, **{name: tuple(row(**each) for each in message[name]) for name, row in rows.items()}})
