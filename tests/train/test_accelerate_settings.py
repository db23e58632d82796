"""What is taken over of an accelerate file, and what is refused by its name."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest
import trl
import yaml

from lidr.train import Launch, launch_of, launch_problems
from lidr.train.accelerate_settings import KNOWN

SHIPPED = Path(trl.__file__).parent / "accelerate_configs"

MULTI = {"distributed_type": "MULTI_GPU", "num_processes": 4}
FSDP = {"distributed_type": "FSDP", "num_processes": 4, "fsdp_config": {"fsdp_version": 2}}


def problems(settings: Mapping[str, Any]) -> dict[str, str]:
    return {".".join(place): said for place, said in launch_problems(settings)}


def with_fsdp(**more: Any) -> dict[str, Any]:
    return {**FSDP, "fsdp_config": {"fsdp_version": 2, **more}}


@pytest.mark.parametrize(
    ("name", "launch"),
    [
        ("multi_gpu", Launch(8, "none", "bfloat16")),
        ("single_gpu", Launch(1, "none", "bfloat16")),  # accelerate starts one, whatever num_processes says
        ("fsdp2", Launch(8, "fsdp", "bfloat16")),
    ],
)
def test_files_that_trl_ships_are_taken_as_they_are(name: str, launch: Launch) -> None:
    settings = yaml.safe_load((SHIPPED / f"{name}.yaml").read_text())
    assert problems(settings) == {}
    assert launch_of(settings) == launch


def test_what_of_trls_files_is_refused() -> None:
    shipped = {file.stem: yaml.safe_load(file.read_text()) for file in SHIPPED.glob("*.yaml")}
    refused = {name: sorted(found) for name, settings in shipped.items() if (found := problems(settings))}
    assert refused == {
        "fsdp1": [
            "fsdp_config.fsdp_backward_prefetch",
            "fsdp_config.fsdp_forward_prefetch",
            "fsdp_config.fsdp_reshard_after_forward",
            "fsdp_config.fsdp_sync_module_states",
            "fsdp_config.fsdp_use_orig_params",
            "fsdp_config.fsdp_version",
        ],
        **{f"zero{stage}": ["distributed_type"] for stage in (1, 2, 3)},
    }


def test_every_setting_of_the_installed_accelerate_is_known() -> None:
    from accelerate.commands.config.config_args import ClusterConfig
    from accelerate.commands.launch import launch_command_parser

    names = {field.name for field in dataclasses.fields(ClusterConfig)}
    of_fsdp = {name for name in vars(launch_command_parser().parse_args(["x.py"])) if name.startswith("fsdp_")}
    assert (names | of_fsdp) - KNOWN == set()
    assert KNOWN - names - of_fsdp == {
        "fp16",
        "dynamo_backend",
        "fsdp_ignored_modules",
    }  # older, or of its plugin alone


def test_processes_precision_and_where_are_taken_over() -> None:
    cpu = {"distributed_type": "MULTI_CPU", "num_processes": 2, "use_cpu": True, "mixed_precision": "no"}
    assert launch_of(cpu) == Launch(2, "none", "float32", on_cpu=True)
    assert launch_of({"distributed_type": "NO"}) == Launch(1, "none")
    assert launch_of({**MULTI, "use_cpu": True}).on_cpu
    assert launch_of({**FSDP, "mixed_precision": "fp16"}) == Launch(4, "fsdp", "float16")
    again = with_fsdp(activation_checkpointing=True)  # accelerate puts fsdp_ before it
    assert (problems(again), launch_of(again).checkpointing) == ({}, True)
    for settings in (
        cpu,
        {"distributed_type": "NO"},
        MULTI,
        FSDP,
        {**MULTI, "fsdp_config": {}, "deepspeed_config": None},
    ):
        assert problems(settings) == {}


@pytest.mark.parametrize(
    ("settings", "place", "said"),
    [
        ({}, "distributed_type", "missing; lidr takes NO, MULTI_GPU, MULTI_CPU or FSDP"),
        ({**MULTI, "distributed_type": "MEGATRON_LM"}, "distributed_type", "found MEGATRON_LM; lidr takes NO"),
        ({"distributed_type": "MULTI_GPU"}, "num_processes", "missing; write how many processes train, one"),
        ({**MULTI, "num_processes": -1}, "num_processes", "found -1; write how many"),
        ({**MULTI, "num_processes": True}, "num_processes", "found True; write how many"),
        ({**MULTI, "num_processes": "4"}, "num_processes", "found '4'; write how many"),
        ({**MULTI, "mixed_precision": "fp8"}, "mixed_precision", "found fp8; lidr trains in no, bf16, fp16"),
        ({**MULTI, "use_cpu": "maybe"}, "use_cpu", "found 'maybe'; true or false is wanted"),
        ({**MULTI, "num_machines": 2}, "num_machines", "found 2; lidr trains on one machine: write 1, or publish"),
        ({**MULTI, "machine_rank": 1}, "machine_rank", "found 1; lidr trains on one machine; write 0"),
        ({**MULTI, "main_process_port": 29500}, "main_process_port", "found 29500; lidr takes a free port"),
        ({**MULTI, "gpu_ids": "0,1"}, "gpu_ids", "found '0,1'; lidr trains on the GPUs that it sees; take it out"),
        ({**MULTI, "debug": True}, "debug", "found true; lidr does not pass it on; take it out"),
        ({**MULTI, "dynamo_config": {"dynamo_backend": "INDUCTOR"}}, "dynamo_config", "lidr compiles by train.trl"),
        ({**MULTI, "parallelism_config": {"parallelism_config_tp_size": 2}}, "parallelism_config", "by FSDP2 alone"),
        ({**MULTI, "tpu_use_cluster": True}, "tpu_use_cluster", "found true; lidr does not train on TPUs; take it out"),
        ({**MULTI, "num_procesess": 4}, "num_procesess", "accelerate has no such setting; did you mean num_processes?"),
        ({**MULTI, "fsdp_config": {"fsdp_version": 2}}, "fsdp_config", "nothing beside distributed_type: MULTI_GPU"),
        ({**MULTI, "deepspeed_config": {"zero_stage": 2}}, "deepspeed_config", "take it out, or write DEEPSPEED"),
        ({**FSDP, "fsdp_config": [2]}, "fsdp_config", "found [2]; settings are wanted, as {name: value}"),
        ({**FSDP, "fsdp_config": {}}, "fsdp_config.fsdp_version", "missing, which is 1 to accelerate; lidr"),
        (with_fsdp(fsdp_version=1), "fsdp_config.fsdp_version", "found 1; lidr shares a policy by FSDP2; write 2"),
        (with_fsdp(fsdp_offload_params=True), "fsdp_config.fsdp_offload_params", "found true; lidr keeps weights and"),
        (with_fsdp(reshard_after_forward=False), "fsdp_config.reshard_after_forward", "found false; lidr lets go of a"),
        (with_fsdp(fsdp_state_dict_type="SHARDED_STATE_DICT"), "fsdp_config.fsdp_state_dict_type", "whole weights"),
        (with_fsdp(fsdp_auto_wrap_policy="SIZE_BASED_WRAP"), "fsdp_config.fsdp_auto_wrap_policy", "layer by layer"),
        (with_fsdp(fsdp_shard=1), "fsdp_config.fsdp_shard", "accelerate has no such setting"),
        (with_fsdp(fsdp_activation_checkpointing="x"), "fsdp_config.fsdp_activation_checkpointing", "true or false is"),
    ],
)  # fmt: skip
def test_what_lidr_does_not_do_is_refused_by_name(settings: dict[str, Any], place: str, said: str) -> None:
    found = problems(settings)
    assert said in found[place]
    assert len(found) == 1 + (not settings)  # of nothing both the kind and the number are missing
