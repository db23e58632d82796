"""Training a policy on preference pairs: DPO + NLL, through TRL.

In: a `TrainSpec` (pairs, policy, settings: plain data). Out: a `TrainResult` and a folder with the next policy.

    train_process.train(spec)  starts  train_worker, a process that holds the models and runs  training_run:
        trained_side     which side of a pair is trained as chosen
        tokens           pairs -> token ids, and the pairs that cannot be used
        dpo              TRL's DPOTrainer with the loss of  loss  and the settings of  trl_settings
        sft              the same with the NLL of the chosen answers alone: the paper's baseline
        checkpoints      what an interrupted run leaves and goes on from
        adapters         LoRA, and the folders of the trained policy
    aside                pairs that are not trained, and looks at them
    together             the same in several processes: shared batches, a policy in parts
    trl_options          what a recipe may say in TRL's own words
    accelerate_settings  what it may say in accelerate's, of several processes
    likelihoods          how likely a policy finds pairs and answers, without training

`training_spec`, `trl_options`, `accelerate_settings` and `train_process` import no torch. To know the method, read
loss.py.
"""

from typing import TYPE_CHECKING

from lidr.lazy import lazily

if TYPE_CHECKING:
    from lidr.train.accelerate_settings import Launch, launch_of, launch_problems
    from lidr.train.likelihoods import AnswerLogp, AskedLogp, answer_logps, load_to_look_at, margins
    from lidr.train.train_process import train
    from lidr.train.training_spec import (
        DROP_REASONS,
        KEPT_CHECKPOINTS,
        HeldOutSpec,
        LoraSpec,
        LrScheduler,
        Method,
        NllPer,
        OverLong,
        PairLoss,
        ReferenceChoice,
        Sharding,
        Sides,
        StepMetrics,
        TrainingText,
        TrainResult,
        TrainSpec,
    )
    from lidr.train.trl_options import IN_PARTS, check_options, result_options

__all__ = [
    "DROP_REASONS",
    "IN_PARTS",
    "KEPT_CHECKPOINTS",
    "AnswerLogp",
    "AskedLogp",
    "HeldOutSpec",
    "Launch",
    "LoraSpec",
    "LrScheduler",
    "Method",
    "NllPer",
    "OverLong",
    "PairLoss",
    "ReferenceChoice",
    "Sharding",
    "Sides",
    "StepMetrics",
    "TrainResult",
    "TrainSpec",
    "TrainingText",
    "answer_logps",
    "check_options",
    "launch_of",
    "launch_problems",
    "load_to_look_at",
    "margins",
    "result_options",
    "train",
]
__getattr__ = lazily(__name__)
