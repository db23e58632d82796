"""A run in TRL's words."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch

from lidr.errors import TrainError
from lidr.train.training_spec import TrainSpec
from lidr.train.trl_settings import check, dpo_config

MakeSpec = Callable[..., TrainSpec]


@pytest.mark.parametrize(
    ("changes", "settings"),
    [
        ({"beta": 0.3, "learning_rate": 5e-7, "epochs": 2.5}, {"beta": 0.3, "learning_rate": 5e-7}),
        ({"epochs": 2.5, "seed": 7}, {"num_train_epochs": 2.5, "seed": 7, "data_seed": 7}),
        ({"batch": 64, "micro_batch": 4}, {"per_device_train_batch_size": 4, "gradient_accumulation_steps": 16}),
        ({"warmup_ratio": 0.1, "lr_scheduler": "cosine"}, {"warmup_steps": 0.1, "lr_scheduler_type": "cosine"}),
        ({"max_grad_norm": 0.5, "weight_decay": 0.1}, {"max_grad_norm": 0.5, "weight_decay": 0.1}),
        ({"max_length": 300}, {"max_length": 300}),
        ({"save_steps": 20}, {"save_strategy": "steps", "save_steps": 20}),
        ({"save_steps": 0}, {"save_strategy": "no"}),
        ({"report_to": ("tensorboard",)}, {"report_to": ["tensorboard"]}),
        ({}, {"report_to": []}),
        ({"gradient_checkpointing": True}, {"gradient_checkpointing": True}),
        ({}, {"gradient_checkpointing": False, "bf16": False, "fp16": False, "loss_type": ["sigmoid"]}),
        ({"dtype": "bfloat16"}, {"bf16": True, "model_init_kwargs": None}),  # lidr loads the model: see lidr.weights
        ({"trust_remote_code": True}, {"trust_remote_code": True}),
        ({}, {"trust_remote_code": False, "push_to_hub": False, "logging_nan_inf_filter": False}),
    ],
)
def test_each_setting_reaches_trl(changes: dict[str, Any], settings: dict[str, Any], spec: MakeSpec) -> None:
    config = dpo_config(spec(**changes), Path("unused"))
    assert {name: getattr(config, name) for name in settings} == settings


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        (
            {"batch": 8, "micro_batch": 3},
            r"batch: 8 is not a multiple of micro_batch times processes \(3\).*change",
        ),
        ({"warmup_ratio": 1.0}, r"warmup_ratio: 1\.0 is not a share of the steps; it must be in \[0, 1\)"),
    ],
)
def test_a_spec_that_cannot_be_carried_out_is_refused(changes: dict[str, Any], message: str, spec: MakeSpec) -> None:
    with pytest.raises(TrainError, match=message):
        check(spec(**changes))


def test_float16_is_refused_without_a_gpu(spec: MakeSpec, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    with pytest.raises(TrainError, match="float16 trains on a CUDA device only, and none is here; say float32 or bf"):
        check(spec(dtype="float16"))
