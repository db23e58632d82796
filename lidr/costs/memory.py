"""Bytes of a graphics card, or of main memory, that a model takes: written out, so that one can check them.

weights          parameters x bytes of a number
keys and values  2 x layers that keep them x width of the keys x bytes, a token
full training    16 bytes a parameter: float32 weights, gradients and AdamW's two moments, 4 each; other optimisers
                 keep less or more than these two (`moment_bytes`)
LoRA             the frozen weights, and as many bytes a parameter of the adapter: rank x (inputs + outputs) of each
                 layer, and of each expert where experts have adapters
QLoRA            the same; of the frozen weights all but embeddings and head take 0.52 (nf4) or 1 byte (int8)
activations      R = 2 x micro-batch rows of T tokens, 2 bytes each; with checkpointing
                 2 R T h L for the inputs of all blocks + 2 R T (8 h + 3 f + 2 kv) for the one that is recomputed,
                 without it the second part for every block
reference        where it is other weights (`reference: initial`): a second model for one pass before the first step
logits           TRL's head makes them in tiles of at most 4,096 tokens x 32,768 words: one on a card; on a CPU,
                 in float32, 9 (measured: 8.7 of 4,096 tokens, 9.3 of 2,000)
in parts         of n processes (FSDP2) each holds 1 / n of weights, gradients and moments, and two layers and the head
the driver, and what is lost between pieces, take 5 to 8 GB more of a large card
"""

from __future__ import annotations

from dataclasses import dataclass

from lidr.costs.model_shape import ModelShape

BYTES = {"float32": 4, "bfloat16": 2, "float16": 2, "fp8": 1, "auto": 2}  # auto: not known yet; mostly 16 bit
_MOMENTS = {
    "adamw_torch_8bit": 2,
    "adamw_torch_4bit": 1,
    "ademamix": 12,
    "adafactor": 0,
    "adagrad": 4,
    "adamw": 8,
    "lion": 4,
    "rmsprop": 4,
    "sgd": 0,
}
"""What an optimiser's name in `train.trl.optim` begins with, after `paged_` -> bytes a trained parameter that it keeps
beside weight and gradient; bitsandbytes' 8 bits take a quarter. Adafactor keeps a row and a column of each matrix."""
ROUTERS = ("router", "gate", "shared_expert_gate")
"""Layers that choose among experts; they get adapters on request only."""
PACKED = {"nf4": 0.52, "int8": 1.0, "fp8": 1.0}
"""Bytes a packed parameter: of nf4 4 bits and, for each 64 weights, a scale of 8 bits and a little."""
_TILE = (4096, 32768)  # tokens, words
_CPU_TILES = 9


@dataclass(frozen=True)
class Training:
    """What of a training decides over its memory and its time.

    Args:
        adapter: rank of LoRA; 0: all weights are trained.
        micro_batch: pairs in one forward pass.
        length: longest prompt plus completion, tokens.
        checkpointing: whether activations are computed again instead of kept.
        compares: whether a reference's log-probabilities are needed.
        second_model: whether the reference is other weights, loaded beside the policy before the first step.
        quantization: how the frozen weights are packed; empty: they are not.
        layers: names of the layers that get adapters; empty: every linear one but head, experts and routers.
        parameters: names of parameters that get one besides: experts.
        parts: processes of which each holds a part of every weight, but for adapters; 1: all of it.
        on_cpu: whether a CPU trains and no card.
        optimiser: as `train.trl.optim` names it.
    """

    adapter: int
    micro_batch: int
    length: int
    checkpointing: bool
    compares: bool
    second_model: bool
    quantization: str = ""
    parts: int = 1
    layers: tuple[str, ...] = ()
    parameters: tuple[str, ...] = ()
    on_cpu: bool = False
    optimiser: str = "adamw_torch"


def moment_bytes(optimiser: str) -> int | None:
    """Bytes a trained parameter that an optimiser keeps from step to step; None: nobody knows.

    >>> [moment_bytes(name) for name in ("adamw_torch", "paged_adamw_8bit", "adafactor", "lion_32bit", "galore_adamw")]
    [8, 2, 0, 4, None]
    """
    name = optimiser.removeprefix("paged_")
    kept = next((size for start, size in _MOMENTS.items() if name.startswith(start)), None)
    return kept // 4 if kept and name.endswith("8bit") and name not in _MOMENTS else kept


def saved_bytes(shape: ModelShape, training: Training) -> int:
    """Of a checkpoint of a training: what is trained in float32, and the optimiser's state."""
    return (4 + _moments(training)) * trained_parameters(shape, training)


def _moments(training: Training) -> int:
    """As AdamW's, of an optimiser of which nobody knows."""
    known = moment_bytes(training.optimiser)
    return _MOMENTS["adamw"] if known is None else known


def _optimiser_said(training: Training) -> str:
    name = training.optimiser
    if name.startswith("adamw_torch") and name not in _MOMENTS:
        return "AdamW"
    return name if moment_bytes(name) is not None else f"{name}, counted as AdamW,"


def weight_bytes(shape: ModelShape, dtype: str) -> int:
    """Of the weights."""
    return shape.parameters * BYTES[dtype]


def frozen_bytes(shape: ModelShape, dtype: str, quantization: str) -> int:
    """Of weights that are not trained, while another part is or while the model answers. Embeddings and head, taken to
    be two tables, are never packed, nor are experts, which are no linear layers.
    """
    if not quantization:
        return weight_bytes(shape, dtype)
    plain = min(2 * shape.vocabulary * shape.hidden + shape.experts, shape.parameters)
    return plain * BYTES[dtype] + round((shape.parameters - plain) * PACKED[quantization])


def cache_bytes(shape: ModelShape, dtype: str, tokens: int, cards: int = 1, stages: int = 1) -> int:
    """Of the keys and values of so many tokens, on each of the cards that share a model: heads are shared out among
    those of a stage, and where there are fewer than these each card holds one; each stage has its layers alone.
    """
    width = shape.kv // min(cards // stages, shape.kv_heads or cards)
    return 2 * (shape.caching or shape.layers) * width * BYTES[dtype] * tokens // stages


def adapter_parameters(shape: ModelShape, training: Training) -> int:
    """Of LoRA, as peft makes it, where the model's files were read; else of LoRA on every linear layer of a dense
    decoder whose queries are as wide as the stream.
    """
    if shape.adaptable:
        return training.adapter * sum(size for name, size in shape.adaptable if _is_adapted(name, training))
    attention = 2 * (shape.hidden + shape.hidden) + 2 * (shape.hidden + shape.kv)
    return shape.layers * training.adapter * (attention + 3 * (shape.hidden + shape.inner))


def _is_adapted(name: str, training: Training) -> bool:
    """By peft's rule for names: the whole name, or its end after a point."""

    def is_one_of(names: tuple[str, ...], name: str) -> bool:
        return any(f".{name}".endswith(f".{one}") for one in names)

    if is_one_of(training.parameters, name) or is_one_of(training.parameters, f"{name}.weight"):
        return True
    if ".experts." in name:
        return False
    return is_one_of(training.layers, name) if training.layers else name.rpartition(".")[2] not in ROUTERS


def trained_parameters(shape: ModelShape, training: Training) -> int:
    """Of the adapter, or all."""
    return adapter_parameters(shape, training) if training.adapter else shape.parameters


def training_bytes(shape: ModelShape, dtype: str, training: Training) -> dict[str, int]:
    """What training takes on one card, by part: weights and state, adapter, activations, head; or, where the reference
    is other weights and takes more, those of the pass before the first step, which has no gradients and moments.
    """
    rows = 2 * training.micro_batch * training.length
    block = 2 * rows * (8 * shape.hidden + 3 * shape.inner + 2 * shape.kv)
    kept = 2 * rows * shape.hidden * shape.layers + block if training.checkpointing else block * shape.layers
    trained, parts = trained_parameters(shape, training), training.parts
    frozen = frozen_bytes(shape, dtype, training.quantization) // parts
    found = {
        "weights": frozen if training.adapter else 0,
        f"trained parameters, their gradients and {_optimiser_said(training)}": (8 + _moments(training))
        * trained
        // (1 if training.adapter else parts),
        "two layers and the head, whole": _whole_bytes(shape, dtype, training) if parts > 1 else 0,
        "activations": kept * BYTES[dtype] // 2,
        "logits, in tiles": _tile_bytes(rows, shape, "float32") * _CPU_TILES
        if training.on_cpu
        else _tile_bytes(rows, shape, dtype),
    }
    if training.second_model:
        stored = weight_bytes(shape, "float32") // parts
        before = {
            "weights": frozen + 4 * trained if training.adapter else stored,
            "reference, before the first step": frozen if training.adapter else stored,
            **{part: found[part] for part in ("two layers and the head, whole", "logits, in tiles")},
            "activations": block * BYTES[dtype] // 2,
        }
        found = max(found, before, key=lambda parts: sum(parts.values()))
    return {part: size for part, size in found.items() if size}


def _tile_bytes(rows: int, shape: ModelShape, dtype: str) -> int:
    """Of a part of the logits, as large as TRL's head makes it."""
    return min(rows, _TILE[0]) * min(shape.vocabulary, _TILE[1]) * BYTES[dtype]


def _whole_bytes(shape: ModelShape, dtype: str, training: Training) -> int:
    """Of what is put together while it is worked on: one layer and the next, embeddings and head."""
    tables = min(2 * shape.vocabulary * shape.hidden, shape.parameters)
    numbers = tables + 2 * (shape.parameters - tables) // shape.layers
    return numbers * (BYTES[dtype] if training.adapter else BYTES["float32"])
