"""Training a policy on preference pairs: DPO + NLL, through TRL.

In: a `TrainSpec` (pairs, policy, settings: plain data). Out: a `TrainResult` and a folder with the next policy.

    train_process.train(spec)  starts  train_worker, a process that holds the models and runs  training_run:
        trained_side     which side of a pair is trained as chosen
        tokens           pairs -> token ids, and the pairs that cannot be used
        dpo              TRL's DPOTrainer with the loss of  loss  and the settings of  trl_settings
        sft              the same with the NLL of the chosen answers alone: the paper's baseline
        checkpoints      what an interrupted run leaves and goes on from
        adapters         LoRA, and the folders of the trained policy
    pair_margins         how likely a policy finds each side of a pair, without training

`training_spec` and `train_process` import no torch. To know the method, read loss.py.
"""

from typing import TYPE_CHECKING

from lidr.lazy import lazily

if TYPE_CHECKING:
    from lidr.train.pair_margins import margins
    from lidr.train.train_process import train
    from lidr.train.training_spec import (
        DROP_REASONS,
        LoraSpec,
        Method,
        NllPer,
        OverLong,
        ReferenceChoice,
        Sides,
        StepMetrics,
        TrainResult,
        TrainSpec,
    )

__all__ = [
    "DROP_REASONS",
    "LoraSpec",
    "Method",
    "NllPer",
    "OverLong",
    "ReferenceChoice",
    "Sides",
    "StepMetrics",
    "TrainResult",
    "TrainSpec",
    "margins",
    "train",
]
__getattr__ = lazily(__name__)
