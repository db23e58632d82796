"""An adapter of anybody's put into its base: a plain model folder, which every engine loads as any other.

In: a base folder and an adapter folder. Out: a folder of safetensors with the base's configuration, the tokenizer and
chat template that stand beside the adapter, if they do; or an EngineError that says by name what does not fit.

    adapter_folder    what an adapter says of itself, and what is refused before anything heavy is loaded
    over_base         peft: the adapter over its base, all of whose tensors found their place
    beside_adapter    whose tokenizer and whose chat template: the adapter's own, else the base's
    adapter_rows      how many rows embedding and head get, and whether somebody holds each of them
    merge_worker      peft, in a process of its own: merged in float32, compared with the adapter over its base
"""

from typing import TYPE_CHECKING

from lidr.lazy import lazily

if TYPE_CHECKING:
    from lidr.engines.merging.adapter_folder import LORA_RANKS, AdapterFolder
    from lidr.engines.merging.adapter_rows import is_tied
    from lidr.engines.merging.beside_adapter import bring_tokenizer
    from lidr.engines.merging.merge_worker import MERGE_RULES, Merged, merge_adapter, read_merged
    from lidr.engines.merging.over_base import PROBE, put_over, without_effect

__all__ = [
    "LORA_RANKS",
    "MERGE_RULES",
    "PROBE",
    "AdapterFolder",
    "Merged",
    "bring_tokenizer",
    "is_tied",
    "merge_adapter",
    "put_over",
    "read_merged",
    "without_effect",
]
__getattr__ = lazily(__name__)
