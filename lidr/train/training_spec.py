"""What one training run is told, and what it answers: plain data that crosses the process boundary. No torch here."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Literal

from lidr.weights import Quantization

ReferenceChoice = Literal["initial", "previous", "adapter_off"]
"""Whose log-probabilities the DPO term subtracts: those of the first policy (`initial`), of the policy that enters this
iteration (`previous`), or of the trained model itself with its adapter switched off (`adapter_off`, LoRA only)."""

NllPer = Literal["sequence", "token", "batch"]
"""What the NLL term is a mean over: see `lidr.train.loss`."""

Method = Literal["dpo_nll", "sft"]
"""`dpo_nll` is the paper's loss; `sft` its baseline "multilingual alignment": the NLL of the chosen answers alone."""

PairLoss = Literal["sigmoid", "ipo", "robust", "sigmoid_norm", "hinge"]
"""The term that compares chosen and rejected, `sigmoid` is the paper's: see `lidr.train.loss`."""

Sides = Literal["as_built", "swapped", "shuffled"]
"""Which side of a pair is trained as chosen: see `lidr.train.trained_side`. The pairs table itself stays as it is."""

LrScheduler = Literal[
    "linear",
    "cosine",
    "constant",
    "cosine_with_restarts",
    "cosine_with_min_lr",
    "polynomial",
    "inverse_sqrt",
    "warmup_stable_decay",
]
"""How the learning rate goes on after the warm-up, by transformers' names."""

Sharding = Literal["none", "fsdp"]
"""What each of several processes holds of the policy: all of it, or a part of every weight (FSDP2)."""

OverLong = Literal["drop", "refuse"]
"""What happens to a pair that does not fit into max_length: dropped with a reason, or an error."""


DROP_REASONS = (
    *("prompt_too_long", "over_long", "empty_completion", "equal_completions", "prompt_mismatch"),
    "template_refused",
)
"""Why a pair cannot be trained on: see `lidr.train.tokens`, which finds it before TRL would drop or cut it."""


KEPT_CHECKPOINTS = 2
"""Of a training that goes on: the newest may be half-written when a run is cut off."""


@dataclass(frozen=True)
class LoraSpec:
    """Low-rank adapters on the linear layers."""

    rank: int = 16
    alpha: int = 32
    dropout: float = 0.0
    target_modules: tuple[str, ...] = ()  # empty: every linear layer but the head ("all-linear")
    more: Mapping[str, Any] = field(default_factory=dict)  # other settings of peft's LoraConfig, by their names there


@dataclass(frozen=True)
class TrainingText:
    """How a prompt and its answer are written where the policy's chat template writes them otherwise than the prompt.

    Args:
        template: another chat template for both together; empty: the policy's.
        closes: what follows the prompt, before the answer: the end of a thought that the prompt opens.
    """

    template: str = ""
    closes: str = ""


AS_ASKED = TrainingText()
"""As the policy's chat template writes it."""


@dataclass(frozen=True)
class HeldOutSpec:
    """Pairs that are kept aside, and looked at while the others are trained.

    Args:
        share: of the prompts, whose pairs of every language and kind go aside together: see `lidr.train.aside`.
        every: optimiser steps from one look to the next; None: a quarter of an epoch. One more look is at the end.
        patience: looks after the best one until training ends, with the policy of the best; None: all steps are done,
            and the last policy is kept.
    """

    share: float
    every: int | None = None
    patience: int | None = None


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
        quantization: pack the frozen weights while an adapter is trained (QLoRA); see lidr.weights. It is merged into
            the plain ones.
        attn_implementation: of transformers ("sdpa", "eager", ...); None leaves its own choice.
        loss, label_smoothing: see PairLoss; the second is the share of pairs that `robust` takes for flipped.
        beta: DPO's inverse temperature. nll_weight: alpha of the NLL term.
        learning_rate, epochs, warmup_ratio, lr_scheduler, max_grad_norm, weight_decay: the optimiser's (AdamW).
        batch: pairs per optimiser step, all micro-batches together. micro_batch: pairs per forward pass, a divisor.
        dtype: of the arithmetic and of the saved weights. Weights that are trained are held in float32, whatever it is:
            at a learning rate of 1e-6 an update is smaller than half a bfloat16 step of the weight and would be lost.
        max_length: prompt plus completion, tokens. over_long: see OverLong.
        save_steps: optimiser steps between checkpoints; 0 saves none.
        processes: that train together, one on each GPU; each gets its share of a batch. sharding: see Sharding.
        threads: CPU threads of each; 0 leaves torch's own choice.
        trl: more settings of DPOConfig, by their names there: see `lidr.train.trl_options`.
        double_bos: prompts begin with one more BOS token, as they do when the policy answers: see PolicyConfig.
        form: see TrainingText.
        held_out: see HeldOutSpec; None trains all pairs.
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
    lr_scheduler: LrScheduler = "linear"
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
    loss: PairLoss = "sigmoid"
    label_smoothing: float = 0.0
    form: TrainingText = AS_ASKED
    quantization: Quantization | None = None
    attn_implementation: str | None = None
    trl: Mapping[str, Any] = field(default_factory=dict)
    processes: int = 1
    sharding: Sharding = "none"
    held_out: HeldOutSpec | None = None

    @classmethod
    def from_json(cls, message: Mapping[str, Any]) -> TrainSpec:
        """Read back what `dataclasses.asdict` and JSON made of a spec."""
        lora = message["lora"]
        if lora is not None:
            lora = LoraSpec(**{**lora, "target_modules": tuple(lora["target_modules"])})
        lists = {"pairs": tuple(message["pairs"]), "report_to": tuple(message["report_to"])}
        held_out = HeldOutSpec(**message["held_out"]) if message["held_out"] else None
        form = TrainingText(**message["form"])
        return cls(**{**message, **lists, "lora": lora, "form": form, "held_out": held_out})


@dataclass(frozen=True)
class DroppedPair:
    """A pair that training could not use, found before TRL would drop or cut it in silence."""

    pair_id: str
    reason: str  # of DROP_REASONS
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
class Look:
    """The policy after an optimiser step, on the pairs that are kept aside; no margin and no accuracy under `sft`."""

    step: int
    loss: float  # as trained: both terms, means over the pairs, by their weights
    margin: float | None  # mean of beta * h, nats
    accuracy: float | None  # share of pairs with margin > 0, 0-1


@dataclass(frozen=True)
class HeldOutResult:
    """What the pairs that were kept aside showed.

    Args:
        prompts, pairs: kept aside; a prompt counts whether or not its pairs can be used.
        every: optimiser steps from one look to the next.
        looks: in order; the last is at the end of training.
        ended: the last optimiser step.
        best: step of the look with the lowest loss, the first of equals.
        kept: step whose policy was saved: `best` with patience, else `ended`.
    """

    prompts: int
    pairs: int
    every: int
    looks: tuple[Look, ...]
    ended: int
    best: int
    kept: int


@dataclass(frozen=True)
class AdaptedParts:
    """Layers by kind (attention, mlp, experts, router, vision, other): how many got an adapter, and how many did not.

    The head and the embeddings are in neither.
    """

    adapted: dict[str, int]
    left: dict[str, int]


@dataclass(frozen=True)
class SavedPolicy:
    """How the saved policy compares with the trained one; it was read back before it was called done.

    Args:
        tensors: compared number by number with those in memory; all were equal.
        difference: the largest one between logits of a few training prompts, read back against in memory.
        packed_difference: the largest one between these logits with the base as it was packed for training and with its
            plain weights, into which the adapter was merged; None where it was not packed.
    """

    tensors: int
    difference: float | None
    packed_difference: float | None


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
    saved: SavedPolicy
    parts: AdaptedParts | None = None  # None: all weights were trained
    held_out: HeldOutResult | None = None  # None: all pairs were trained

    @classmethod
    def from_json(cls, message: Mapping[str, Any]) -> TrainResult:
        """Read back what `dataclasses.asdict` and JSON made of a result."""
        rows = {"dropped": DroppedPair, "steps": StepMetrics, "groups": GroupMetrics}
        lists = {name: tuple(row(**each) for each in message[name]) for name, row in rows.items()}
        parts = AdaptedParts(**message["parts"]) if message["parts"] else None
        held_out = message["held_out"]
        if held_out is not None:
            held_out = HeldOutResult(**{**held_out, "looks": tuple(Look(**each) for each in held_out["looks"])})
        saved = SavedPolicy(**message["saved"])
        return cls(**{**message, **lists, "saved": saved, "parts": parts, "held_out": held_out})
