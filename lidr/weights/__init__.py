"""A language model's weights, from a folder into memory and back, the same way for whoever loads or saves them.

In: a model folder as people publish it: sharded, quantised, with a vision tower beside the language model. Out: a model
in memory, every tensor of it a number that can be trained; or a folder that was read back and compared.

    quantised      what config.json says of packed weights, and which of them can be trained; no torch
    model_json     the JSON files of a folder, each an object or refused; no torch
    shards         the files that an index names; no torch
    loading        one class for each kind of model, so that names of weights are the same everywhere
    saving         weights under the names of the folder that they come from, with the parts that were not loaded
    read_back      a saved folder against the model in memory: names, shapes, types, values, logits
"""

from typing import TYPE_CHECKING

from lidr.lazy import lazily

if TYPE_CHECKING:
    from lidr.weights.loading import Quantization, forbid_fetched_kernels, load_policy, policy_class
    from lidr.weights.model_json import check_model_json, read_model_json
    from lidr.weights.quantised import packed_by, quantised_by, refused_base
    from lidr.weights.reading_back import ReadBack, is_mixture, logits, logits_differ, read_back
    from lidr.weights.saving import round_to, save_weights, tensors_in, without_quantization
    from lidr.weights.shards import missing_shards, missing_weights

__all__ = [
    "Quantization",
    "ReadBack",
    "check_model_json",
    "forbid_fetched_kernels",
    "is_mixture",
    "load_policy",
    "logits",
    "logits_differ",
    "missing_shards",
    "missing_weights",
    "packed_by",
    "policy_class",
    "quantised_by",
    "read_back",
    "read_model_json",
    "refused_base",
    "round_to",
    "save_weights",
    "tensors_in",
    "without_quantization",
]
__getattr__ = lazily(__name__)
