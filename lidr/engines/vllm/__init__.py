"""vLLM: the engine of GPU users, and what a recipe may say in vLLM's own words.

In: an `EngineSpec` and a stream of `ChatRequest`s. Out: a stream of `Completion`s.

vllm_engine.py       one vLLM that answers requests as they come
vllm_classifier.py   one that says the logits of a sequence classifier
vllm_arguments.py    `runtime.vllm`: which arguments it takes, and which of them change texts
"""

from typing import TYPE_CHECKING

from lidr.lazy import lazily

if TYPE_CHECKING:
    from lidr.engines.vllm.vllm_arguments import arguments_of_others, check_arguments, text_arguments
    from lidr.engines.vllm.vllm_classifier import VllmClassifier
    from lidr.engines.vllm.vllm_engine import VllmEngine, budget_settings, lora_settings, set_environment

__all__ = [
    "VllmClassifier",
    "VllmEngine",
    "arguments_of_others",
    "budget_settings",
    "check_arguments",
    "lora_settings",
    "set_environment",
    "text_arguments",
]
__getattr__ = lazily(__name__)
