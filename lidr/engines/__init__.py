"""Who answers: engines turn chat requests into completions, in any order, matched by key.

In: an `EngineSpec` (which model, where) and a stream of `ChatRequest`s. Out: a stream of `Completion`s. An engine that
holds a model runs in a process of its own, which ends with it. `registry` has one row for each engine.
"""

from typing import TYPE_CHECKING

from lidr.lazy import lazily

if TYPE_CHECKING:
    from lidr.engines.chat import ChatTokenizer, Prompt, sort_out
    from lidr.engines.engine import ChatRequest, Completion, Engine, EngineSpec, Failure, Message, Sampling, gpus_of_one
    from lidr.engines.gguf import convert
    from lidr.engines.grouped_attention import use_grouped_attention
    from lidr.engines.merging import (
        MERGE_RULES,
        AdapterFolder,
        Merged,
        bring_tokenizer,
        is_tied,
        merge_adapter,
        put_over,
        read_merged,
    )
    from lidr.engines.model_folder import (
        TEMPLATE_FILE,
        TEMPLATE_FILES,
        TOKENIZER_FILES,
        VOCABULARIES,
        ModelFolder,
        refused_adapter,
        refused_tokenizer,
        template_of,
    )
    from lidr.engines.process import KeptEngine, open_engine
    from lidr.engines.registry import ENGINES, EngineRow, distributions, engine_row, engines
    from lidr.engines.remote import ChatClient, Hopeless, NoAnswer, without_own_defaults
    from lidr.engines.templates import (
        FIXED_DATE,
        Probe,
        TrainingForm,
        fix,
        fixed_anyhow,
        probe,
        reads_date,
        said_switches,
        set_switches,
        switches,
        training_form,
        unread,
        without_fixing,
    )
    from lidr.engines.transformers import TransformersEngine, processors
    from lidr.engines.vllm import (
        VllmClassifier,
        arguments_of_others,
        budget_settings,
        check_arguments,
        lora_settings,
        set_environment,
        text_arguments,
    )

__all__ = [
    "ENGINES",
    "FIXED_DATE",
    "MERGE_RULES",
    "TEMPLATE_FILE",
    "TEMPLATE_FILES",
    "TOKENIZER_FILES",
    "VOCABULARIES",
    "AdapterFolder",
    "ChatClient",
    "ChatRequest",
    "ChatTokenizer",
    "Completion",
    "Engine",
    "EngineRow",
    "EngineSpec",
    "Failure",
    "Hopeless",
    "KeptEngine",
    "Merged",
    "Message",
    "ModelFolder",
    "NoAnswer",
    "Probe",
    "Prompt",
    "Sampling",
    "TrainingForm",
    "TransformersEngine",
    "VllmClassifier",
    "arguments_of_others",
    "bring_tokenizer",
    "budget_settings",
    "check_arguments",
    "convert",
    "distributions",
    "engine_row",
    "engines",
    "fix",
    "fixed_anyhow",
    "gpus_of_one",
    "is_tied",
    "lora_settings",
    "merge_adapter",
    "open_engine",
    "probe",
    "processors",
    "put_over",
    "read_merged",
    "reads_date",
    "refused_adapter",
    "refused_tokenizer",
    "said_switches",
    "set_environment",
    "set_switches",
    "sort_out",
    "switches",
    "template_of",
    "text_arguments",
    "training_form",
    "unread",
    "use_grouped_attention",
    "without_fixing",
    "without_own_defaults",
]
__getattr__ = lazily(__name__)
