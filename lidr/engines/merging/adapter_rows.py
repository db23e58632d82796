"""Rows of embedding and head: as many as the adapter was trained with, and none that nobody holds.

the adapter brings                           new rows come from
both tensors, or one that is both (tied)     the adapter
rows of single tokens                        the adapter, if they are all of the new ones
a tokenizer with a padding token more        nowhere: it is never read
anything else                                refused
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from lidr.engines.merging.adapter_folder import AdapterFolder
from lidr.errors import EngineError

_BASE_TENSORS = ("original_module.weight", "base_layer.weight", "token_adapter.base_layer.weight")


def embedding_rows(model: Any) -> int:
    """Of a causal language model."""
    return int(model.get_input_embeddings().weight.shape[0])


@dataclass(frozen=True)
class _Held:
    """What an adapter holds of one side, embedding or head.

    Args:
        rows: how many its tensors have.
        known: whether every row of the side can be told from them; else only those in `tokens`.
        tokens: rows that are trained one by one.
    """

    rows: frozenset[int]
    known: bool
    tokens: frozenset[int]


def resize(model: Any, adapter: AdapterFolder, tokenizer: Any) -> tuple[bool, list[str]]:
    """Give the base as many rows as the adapter was trained with, and refuse tokens that nobody has a row for.

    Returns:
        Whether the adapter brings rows that the base has not, and what was done.
    """
    had, sides = embedding_rows(model), _held(model, adapter)
    counts = {count for side in sides for count in side.rows}
    if len(counts) > 1:
        many = " and ".join(map(str, sorted(counts)))
        raise EngineError(f"{adapter.path}: its embedding and its head have {many} rows; they must be the same number")
    wanted = max(counts or {had, *(token + 1 for side in sides for token in side.tokens)})
    for side in sides:
        if unknown := set() if side.known else set(range(had, wanted)) - side.tokens:
            raise EngineError(
                f"{adapter.path}: trained over {wanted:,} rows of embedding and head; the base has {had:,}, and the "
                f"adapter does not hold the other {len(unknown):,} of both: save it with save_embedding_layers=True"
            )
    is_brought = wanted > had
    wanted = _room_for_padding(wanted, adapter, tokenizer)
    if wanted == had:
        return False, []
    model.resize_token_embeddings(wanted, mean_resizing=False)
    for layer in (model.get_input_embeddings(), model.get_output_embeddings()):
        if layer is not None and wanted > had:
            # Of padding; the adapter's own rows are put in later. The mean's logit is never the highest.
            layer.weight.data[had:] = layer.weight.data[:had].mean(dim=0)
    return is_brought, [
        f"the embedding was resized from {had:,} to {wanted:,} rows, as the adapter and its tokens need"
    ]


def _room_for_padding(rows: int, adapter: AdapterFolder, tokenizer: Any) -> int:
    """As many rows as there are tokens, if nothing but the padding token, which is never read, lacks one."""
    beyond = {token: number for token, number in tokenizer.get_vocab().items() if number >= rows}
    if set(beyond) - {tokenizer.pad_token}:
        some = ", ".join(sorted(beyond, key=lambda token: beyond[token])[:4])
        raise EngineError(
            f"{adapter.path}: the tokenizer has {len(beyond):,} tokens ({some}) for which neither the base ({rows:,} "
            "rows) nor the adapter has a row in the embedding: save the adapter with save_embedding_layers=True, or "
            "take these tokens out of its tokenizer"
        )
    return int(max([rows, *(number + 1 for number in beyond.values())]))


def _held(model: Any, adapter: AdapterFolder) -> list[_Held]:
    """What the adapter holds of embedding and head."""
    names = {id(module): name for name, module in model.named_modules()}
    layers = [layer for layer in (model.get_input_embeddings(), model.get_output_embeddings()) if layer is not None]
    saved = {str(name) for name in adapter.config.get("modules_to_save") or []}
    together = is_tied(model) and (bool(adapter.config.get("ensure_weight_tying")) or not saved)
    found = []
    for layer in layers:
        name = names[id(layer)]
        is_copied = bool(saved & {name, name.rpartition(".")[2]})
        rows, own, base = set(), False, False
        for rest, shape in _tensors_of(name, adapter):
            if rest in ("weight", "modules_to_save.weight", *_BASE_TENSORS):
                rows.add(shape[0])
                own |= is_copied and rest not in _BASE_TENSORS
                base |= rest in _BASE_TENSORS or (rest == "weight" and not is_copied)
            elif rest.startswith("lora_embedding_A"):
                rows.add(shape[-1])
            elif rest.startswith("lora_B"):
                rows.add(shape[0])
        found.append((_Held(frozenset(rows), own or base, _tokens_of(name, adapter)), base))
    if together or (is_tied(model) and any(base for _, base in found)):
        known = any(side.known for side, _ in found)
        tokens = frozenset().union(*(side.tokens for side, _ in found))
        return [_Held(side.rows, side.known or known, side.tokens | tokens) for side, _ in found]
    return [side for side, _ in found]


def _tensors_of(module: str, adapter: AdapterFolder) -> Iterator[tuple[str, tuple[int, ...]]]:
    """The adapter's tensors of one module of the base: what follows its name, and the shape."""
    for tensor, shape in adapter.shapes.items():
        _, is_there, rest = f".{tensor}".partition(f".{module}.")
        if is_there and shape:
            yield rest, shape


def _tokens_of(module: str, adapter: AdapterFolder) -> frozenset[int]:
    found = adapter.trained_tokens
    ends = (name for name in found if name == module or module.endswith(f".{name}") or (not name and "emb" in module))
    return frozenset(int(token) for name in ends for token in found[name])


def is_tied(model: Any) -> bool:
    """Whether head and embedding are one tensor."""
    head = model.get_output_embeddings()
    return head is not None and bool(head.weight is model.get_input_embeddings().weight)
