"""The settings of `train`."""

from __future__ import annotations

from typing import Literal

from pydantic import Field, JsonValue, model_validator

from lidr.recipe import Frozen
from lidr.train import (
    HeldOutSpec,
    LoraSpec,
    LrScheduler,
    Method,
    NllPer,
    OverLong,
    PairLoss,
    ReferenceChoice,
    Sides,
    check_options,
)
from lidr.weights import Quantization


class Nll(Frozen):
    """The NLL term on the chosen answers."""

    weight: float = Field(1.0, ge=0)
    """Alpha: its weight beside the DPO term; 0 leaves it out."""
    per: NllPer = "sequence"
    """A mean over sequences, over the tokens of a micro-batch, or over the tokens of the whole batch."""


class Peft(Frozen):
    """Other settings of peft's LoraConfig, by their names there; each at peft's own default."""

    use_dora: bool = False
    """DoRA: direction and length of each weight are learned apart (arXiv 2402.09353)."""
    use_rslora: bool = False
    """Scale by alpha / sqrt(rank) in place of alpha / rank (arXiv 2312.03732)."""
    init_lora_weights: Literal["gaussian", "orthogonal"] | bool = True
    """How the adapters begin. Ways that change the base's own weights (pissa, olora, corda) are not offered: the
    reference would be another model."""
    exclude_modules: tuple[str, ...] = ()
    """Names of layers that get no adapter."""
    modules_to_save: tuple[str, ...] = ()
    """Names of modules that are trained whole and saved with the adapter; not the head or the embeddings."""
    target_parameters: tuple[str, ...] = ()
    """Names of parameters that get an adapter although they are no linear layer: experts of mixtures."""
    rank_pattern: dict[str, int] = Field(default_factory=dict)
    """Name or pattern of layers -> another rank."""
    alpha_pattern: dict[str, int] = Field(default_factory=dict)
    """The same for alpha."""

    @model_validator(mode="after")
    def _head_stays(self) -> Peft:
        if found := sorted({*self.modules_to_save, *self.target_parameters} & set(_NEVER_ADAPTED)):
            raise ValueError(
                f"{', '.join(found)}: training reads the head's weight as it is, and many models share it with the "
                "embeddings; train all weights instead (lora: null)"
            )
        return self


_NEVER_ADAPTED = ("lm_head", "embed_tokens", "embed_out", "wte")


class Lora(Frozen):
    """Low-rank adapters."""

    rank: int = Field(16, ge=1)
    """Rank of each adapter."""
    alpha: int = Field(32, ge=1)
    """The adapter's output is scaled by alpha / rank."""
    dropout: float = Field(0.0, ge=0, lt=1)
    """Dropout before each adapter."""
    target_modules: tuple[str, ...] = ()
    """Names of the layers; empty: every linear layer but the head."""
    peft: Peft = Field(Peft(), exclude_if=lambda peft: peft == Peft())

    def spec(self) -> LoraSpec:
        """The same for the trainer, with what differs from peft's defaults."""
        more = self.peft.model_dump(exclude_defaults=True)
        lists = {name: list(value) if isinstance(value, tuple) else value for name, value in more.items()}
        return LoraSpec(self.rank, self.alpha, self.dropout, self.target_modules, lists)


Attention = Literal["eager", "sdpa", "flash_attention_2", "flash_attention_3", "flex_attention"]


class Load(Frozen):
    """How the policy is loaded to be trained."""

    quantization: Quantization | None = None
    """nf4 or int8: QLoRA. The frozen weights are packed while the adapter is trained (extra `bnb`), and the adapter is
    merged into the plain ones."""
    attn_implementation: Attention | None = None
    """How attention is computed, by transformers' name for it; null: transformers' own choice."""


class HeldOut(Frozen):
    """Pairs that are kept aside and looked at in training: loss as trained, margin, accuracy."""

    share: float = Field(0.05, gt=0, le=0.5)
    """Of the prompts, rounded, at least one: all pairs of such a prompt are kept aside, in every language."""
    every: int | None = Field(None, ge=1)
    """Optimiser steps from one look to the next; null: a quarter of an epoch. One more look is at the end."""
    patience: int | None = Field(None, ge=1)
    """Training ends when the loss of this many looks in a row was not below the best before, and the policy is that of
    the best look; null: all steps are done, and the last policy is kept."""

    def spec(self) -> HeldOutSpec:
        """The same for the trainer."""
        return HeldOutSpec(self.share, self.every, self.patience)


class TrainConfig(Frozen):
    """How the next policy is trained."""

    method: Method = "dpo_nll"
    """dpo_nll, or sft: the NLL of the chosen answers alone (the paper's baseline); then beta, nll.weight and reference
    say nothing and are no identity."""
    sides: Sides = "as_built"
    """Negative controls: `swapped` trains every rejected as chosen, `shuffled` those that a coin per pair picks; the
    pairs that are stored and published stay as they were built."""
    loss: PairLoss = Field("sigmoid", exclude_if=lambda value: value == "sigmoid")
    """What compares chosen and rejected beside the NLL: sigmoid is DPO, as in the paper; ipo, robust, sigmoid_norm
    (length-normalised DPO), hinge."""
    label_smoothing: float = Field(0.0, ge=0, lt=0.5, exclude_if=lambda value: value == 0)
    """For `robust`: the share of pairs that are taken for flipped."""
    beta: float = Field(0.1, gt=0)
    """DPO's inverse temperature."""
    nll: Nll = Nll()
    learning_rate: float = Field(gt=0)
    """Peak learning rate of AdamW."""
    epochs: float = Field(1.0, gt=0)
    """Passes over the pairs."""
    batch: int = Field(ge=1)
    """Pairs in one optimiser step."""
    reference: ReferenceChoice = "previous"
    """Whose log-probabilities DPO subtracts: initial, previous, or adapter_off (LoRA only)."""
    lora: Lora | None = None
    """null trains all weights."""
    load: Load = Field(Load(), exclude_if=lambda load: load == Load())
    max_length: int = Field(1024, ge=8)
    """Prompt plus completion, tokens."""
    over_long: OverLong = "drop"
    """Pairs over max_length: drop them with a reason, or refuse to train."""
    warmup_ratio: float = Field(0.0, ge=0, lt=1)
    """Share of the steps over which the learning rate rises to its peak."""
    lr_scheduler: LrScheduler = "linear"
    """How the learning rate goes on after the warm-up; `trl: {lr_scheduler_kwargs: ...}` says the rest."""
    max_grad_norm: float = Field(1.0, gt=0)
    """Gradients are clipped to this norm."""
    weight_decay: float = Field(0.0, ge=0)
    """AdamW's weight decay."""
    held_out: HeldOut | None = Field(None, exclude_if=lambda value: value is None)
    """Keeps the pairs of some prompts aside, and may end training early; null trains all pairs."""
    trl: dict[str, JsonValue] = Field(default_factory=dict, exclude_if=lambda value: not value)
    """Other settings of TRL's DPOConfig, by their names there: {optim: adafactor, f_divergence_type: js_divergence}.
    What a field of the recipe sets, or lidr decides, is refused by name; all but a few are part of the identity."""

    @model_validator(mode="after")
    def _adapter(self) -> TrainConfig:
        if self.reference == "adapter_off" and self.lora is None:
            raise ValueError("reference: adapter_off needs an adapter: add lora, or use previous (the same weights)")
        if self.load.quantization is not None and self.lora is None:
            raise ValueError(
                f"load.quantization: {self.load.quantization} needs an adapter: packed weights cannot be trained "
                "themselves; add lora, or take it out"
            )
        if (self.label_smoothing > 0) != (self.loss == "robust"):
            raise ValueError(
                "loss: robust needs label_smoothing, the share of flipped pairs, above 0; no other loss has it"
            )
        if self.method == "sft" and self.loss != "sigmoid":
            raise ValueError(f"loss: {self.loss} compares two sides, and method: sft sees one; take it out")
        check_options(self.trl, is_compared=self.method != "sft", is_held_out=self.held_out is not None)
        return self
