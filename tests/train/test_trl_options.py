"""`train.trl`: what reaches TRL, what is refused, and what counts as identity."""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from transformers.training_args import OptimizerNames
from trl import DPOConfig

from lidr.errors import TrainError
from lidr.steps.train import TrainConfig, identity_train
from lidr.train.checkpoints import run_folder
from lidr.train.training_spec import TrainSpec
from lidr.train.trl_options import EXECUTION, IN_PARTS, NOT_OFFERED, OPTIMISERS, OWNED, RESULT
from lidr.train.trl_settings import check, dpo_config
from tests.train.runs import make_trainer, train_here

MakeSpec = Callable[..., TrainSpec]


def test_every_setting_of_dpo_config_stands_in_exactly_one_table() -> None:
    tables = (RESULT, EXECUTION, OWNED, NOT_OFFERED)
    names = {one.name for one in dataclasses.fields(DPOConfig)}
    assert sorted(name for table in tables for name in table) == sorted(names)


def test_optimisers_are_those_of_transformers() -> None:
    assert {str(one.value) for one in OptimizerNames} == OPTIMISERS
    assert {*IN_PARTS} < OPTIMISERS


def test_owned_settings_name_fields_that_a_recipe_has() -> None:
    from lidr.recipe import Recipe
    from lidr.recipe.runtime import Runtime

    rooms = {"train": TrainConfig, "runtime": Runtime, "policy": Recipe.model_fields["policy"].annotation}
    for where in OWNED.values():
        for path in where.split(" and "):
            room, _, field = path.partition(".")
            known = Recipe.model_fields if not field else rooms[room].model_fields  # type: ignore[union-attr]
            assert (field or room).split(".")[0] in known


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"learning_rate": 1e-6}, r"trl\.learning_rate is set by train\.learning_rate; set it there"),
        ({"gradient_accumulation_steps": 2}, r"set by train\.batch and runtime\.micro_batch"),
        ({"eval_strategy": "steps"}, r"trl\.eval_strategy is not passed on: use train\.held_out"),
        ({"fsdp": "full_shard"}, r"trl\.fsdp is not passed on: use runtime.sharding"),
        ({"adam_beta": 0.9}, r"no such setting; did you mean adam_beta2 or adam_beta1"),
        ({"zzz": 1}, r"trl\.zzz: TRL's DPOConfig has no such setting: see its documentation"),
        ({"optim": "adamw_9bit"}, r"trl\.optim: transformers has no optimiser 'adamw_9bit'; did you mean adamw_8bit"),
        ({"optim": ["sgd"]}, r"trl\.optim: transformers has no optimiser \['sgd'\]"),
        ({"optim": 8}, r"trl\.optim: transformers has no optimiser 8; it has adafactor, .*, stable_adamw"),
        ({"deepspeed": "ds.json"}, r"trl\.deepspeed: write the settings themselves, not the name of a file"),
        ({"deepspeed": {"zero_optimization": {"stage": 3}}}, r"stage 3 splits the weights.*take stage 2 or lower"),
    ],
)
def test_what_is_not_passed_on_is_refused_by_name(options: dict[str, Any], message: str, spec: MakeSpec) -> None:
    with pytest.raises(ValueError, match=message):
        TrainConfig(learning_rate=1e-6, batch=8, trl=options)
    with pytest.raises(TrainError, match=message):
        check(spec(trl=options))


def test_what_compares_two_sides_is_refused_under_sft() -> None:
    with pytest.raises(ValueError, match=r"trl\.ld_alpha compares two sides, and method: sft sees one"):
        TrainConfig(learning_rate=1e-6, batch=8, method="sft", trl={"ld_alpha": 0.5})


def test_each_option_reaches_trl_and_a_value_that_trl_refuses_is_named(spec: MakeSpec) -> None:
    options = {"optim": "adafactor", "adam_beta2": 0.95, "f_divergence_type": "js_divergence", "ld_alpha": 0.5}
    config = dpo_config(spec(trl=options), Path("unused"))
    assert {name: getattr(config, name) for name in options} == {**options, "optim": config.optim}
    assert config.optim.value == "adafactor"
    assert config.learning_rate == 1e-3  # lidr's own stay
    with pytest.raises(TrainError, match=r"train\.trl: optim: TRL does not take it: .*adamm"):
        dpo_config(spec(trl={"optim": "adamm"}), Path("unused"))


def test_the_optimiser_and_the_schedule_are_those_that_were_asked_for(spec: MakeSpec) -> None:
    how = {"epochs": 2.0, "lr_scheduler": "cosine_with_min_lr", "trl": {"lr_scheduler_kwargs": {"min_lr": 5e-4}}}
    plain, other = (train_here(spec(**how)), train_here(spec(trl={"optim": "sgd"})))
    assert plain.trainer.lr_scheduler.get_last_lr()[0] == pytest.approx(5e-4)
    assert type(other.trainer.optimizer.optimizer) is torch.optim.SGD


def test_an_f_divergence_starts_at_ln_2_and_then_trains_otherwise(spec: MakeSpec) -> None:
    how = {"epochs": 3.0, "micro_batch": 8, "learning_rate": 1e-2}
    plain, other = (train_here(spec(**how, trl=trl)).steps for trl in ({}, {"f_divergence_type": "forward_kl"}))
    assert other[0]["dpo"] == pytest.approx(math.log(2), abs=1e-5)
    assert other[-1]["dpo"] != pytest.approx(plain[-1]["dpo"], rel=1e-3)


def test_ld_alpha_weighs_the_policys_log_probabilities_as_the_references(spec: MakeSpec) -> None:
    # Before the first step the two are the same weights, so every margin is 0, with the tails weighed or without.
    whole, short = (make_trainer(spec(trl=trl)) for trl in ({}, {"ld_alpha": 0.0}))
    sums = []
    for trainer in (whole, short):
        batch = trainer.data_collator([trainer.train_dataset[index] for index in range(8)])
        found = trainer.completion_logps(batch)
        reference = torch.cat([batch["ref_chosen_logps"], batch["ref_rejected_logps"]])
        assert found.tolist() == pytest.approx(reference.tolist(), abs=1e-4)
        sums.append(found)
    assert not torch.allclose(sums[0], sums[1], atol=0.1)


def test_a_weighted_run_is_not_held_against_ln_2(spec: MakeSpec) -> None:
    first = train_here(spec(trl={"use_weighting": True})).steps[0]
    assert first["dpo"] < 0.1 * math.log(2)  # tokens of a random model are unlikely, and so weigh little


def test_execution_options_are_no_identity_and_others_are(spec: MakeSpec) -> None:
    def identity(**trl: Any) -> dict[str, Any]:
        return identity_train(TrainConfig(learning_rate=1e-6, batch=8, trl=trl))

    assert "trl" not in identity()
    assert identity(dataloader_num_workers=2) == identity()
    assert identity(optim="adafactor", dataloader_num_workers=2)["trl"] == {"optim": "adafactor"}
    first = spec()
    folders = [
        run_folder(dataclasses.replace(first, trl=trl), [])
        for trl in ({}, {"dataloader_num_workers": 2}, {"optim": "adafactor"})
    ]
    assert folders[0] == folders[1] != folders[2]
