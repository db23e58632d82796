"""Who answers: engines turn chat requests into completions, in any order, matched by key.

In: an `EngineSpec` (which model, where) and a stream of `ChatRequest`s. Out: a stream of `Completion`s. An engine that
holds a model runs in a process of its own, which ends with it. `registry` has one row for each engine.
"""

from typing import TYPE_CHECKING

from lidr.lazy import lazily

if TYPE_CHECKING:
    from lidr.engines.chat import ChatTokenizer, Prompt, sort_out
    from lidr.engines.chat_client import ChatClient, Hopeless, NoAnswer
    from lidr.engines.engine import ChatRequest, Completion, Engine, EngineSpec, Failure, Message, Sampling
    from lidr.engines.gguf import convert
    from lidr.engines.model_folder import ModelFolder
    from lidr.engines.process import open_engine
    from lidr.engines.registry import ENGINES, EngineRow, distributions, engine_row, engines
    from lidr.engines.transformers import TransformersEngine, processors
    from lidr.engines.vllm import set_environment

__all__ = [
    "ENGINES",
    "ChatClient",
    "ChatRequest",
    "ChatTokenizer",
    "Completion",
    "Engine",
    "EngineRow",
    "EngineSpec",
    "Failure",
    "Hopeless",
    "Message",
    "ModelFolder",
    "NoAnswer",
    "Prompt",
    "Sampling",
    "TransformersEngine",
    "convert",
    "distributions",
    "engine_row",
    "engines",
    "open_engine",
    "processors",
    "set_environment",
    "sort_out",
]
__getattr__ = lazily(__name__)
