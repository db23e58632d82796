"""train: DPO + NLL on the kept pairs makes the next policy.

pairs, policy -> train -> policy (+ dropped)
"""

from lidr.steps.train.train_config import TrainConfig
from lidr.steps.train.train_step import STEP, also_read_train, identity_train, run_train

__all__ = ["STEP", "TrainConfig", "also_read_train", "identity_train", "run_train"]
