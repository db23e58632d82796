"""What an accelerate file says of several processes that train together, as `accelerate launch --config_file` takes it.

    distributed_type: FSDP                        processes 8, sharding fsdp, and the recipe must train in bfloat16
    num_processes: 8
    mixed_precision: bf16
    fsdp_config: {fsdp_version: 2}

Taken over: how many processes, and what each holds of the policy. Compared with the recipe: what it says itself. Any
other setting must ask for what lidr does anyhow; a setting that asks for something else is refused by its name, and
nothing is read over. accelerate's own reader imports torch, so the names of accelerate 1.15 stand here: a test compares
them with the accelerate that is installed.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from difflib import get_close_matches
from typing import Any, Literal, NamedTuple

from lidr.train.training_spec import Sharding

Precision = Literal["float32", "bfloat16", "float16"]

Place = tuple[str, ...]
"""Where a setting stands: ("fsdp_config", "fsdp_version")."""


@dataclass(frozen=True)
class Launch:
    """What a file asks for.

    Args:
        processes: that train together.
        sharding: what each of them holds of the policy.
        precision: of the arithmetic; None where the file says nothing of it.
        on_cpu: whether GPUs are to be left alone.
        checkpointing: whether activations are computed again in the backward pass.
    """

    processes: int
    sharding: Sharding
    precision: Precision | None = None
    on_cpu: bool = False
    checkpointing: bool = False


class _Only(NamedTuple):
    """A setting that must say what lidr does anyhow."""

    allowed: tuple[Any, ...]
    otherwise: str  # why another value is refused, and what to do


_KINDS = ("NO", "MULTI_GPU", "MULTI_CPU", "FSDP")
_PRECISIONS: Mapping[str, Precision] = {"no": "float32", "bf16": "bfloat16", "fp16": "float16"}
_UNSAID: tuple[Any, ...] = (None, {}, [], "")
_OFF = (False, "no", "NO", "No")

_ONE_MACHINE = _Only(
    (1,),
    "lidr trains on one machine: write 1, or publish the pairs and train on them with your own trainer; on several "
    "machines it makes answers alone (runtime.replicas, runtime.cluster)",
)
_TPU = _Only(_OFF, "lidr does not train on TPUs; take it out")
_COMPILE = "lidr compiles by train.trl.torch_compile, which is part of the identity; take it out"

_SETTINGS: Mapping[str, _Only] = {
    "compute_environment": _Only(
        ("LOCAL_MACHINE",), "lidr trains on the machine on which it runs; write LOCAL_MACHINE"
    ),
    "num_machines": _ONE_MACHINE,
    "machine_rank": _Only((0,), "lidr trains on one machine; write 0"),
    "main_process_ip": _Only(("127.0.0.1", "localhost"), "lidr trains on one machine; take it out"),
    "main_process_port": _Only((0,), "lidr takes a free port of this machine; take it out, or write 0"),
    "rdzv_backend": _Only(("static", "c10d"), "lidr trains on one machine; take it out"),
    "gpu_ids": _Only(("all",), "lidr trains on the GPUs that it sees; take it out, and set CUDA_VISIBLE_DEVICES"),
    "enable_cpu_affinity": _Only(_OFF, "lidr binds no process to cores; take it out"),
    "debug": _Only(_OFF, "lidr does not pass it on; take it out"),
    "fp16": _Only(_OFF, "accelerate's older word; write mixed_precision: fp16"),
    "fp8_config": _Only((), "lidr does not train in 8 bits; take it out"),
    "parallelism_config": _Only((), "lidr shares a policy by FSDP2 alone; take it out"),
    "megatron_lm_config": _Only((), "lidr does not train by Megatron-LM; take it out"),
    "mpirun_config": _Only((), "lidr starts its processes by torchrun, not by mpirun; take it out"),
    "dynamo_backend": _Only(("NO", "no"), _COMPILE),
    "dynamo_config": _Only(({"dynamo_backend": "NO"}, {"dynamo_backend": "no"}), _COMPILE),
    "downcast_bf16": _TPU,
    **dict.fromkeys(("tpu_name", "tpu_zone", "tpu_use_cluster", "tpu_use_sudo", "tpu_vm", "tpu_env"), _TPU),
    **dict.fromkeys(("command_file", "commands"), _TPU),
}

_OF_NO_EFFECT = frozenset({"same_network", "main_training_function", "fsdp_cpu_ram_efficient_loading"})
"""On one machine, started by torchrun; and each process reads its own part of the weights, whatever the file says."""

_TAKEN_OVER = frozenset({"distributed_type", "num_processes", "mixed_precision", "use_cpu"})

_PARTS = frozenset({"fsdp_config", "deepspeed_config"})

_OF_FSDP1 = _Only((), "a setting of FSDP1, and lidr shares by FSDP2; take it out")

_FSDP: Mapping[str, _Only] = {
    "fsdp_version": _Only((2, "2"), "lidr shares a policy by FSDP2; write 2"),
    "fsdp_auto_wrap_policy": _Only(("TRANSFORMER_BASED_WRAP",), "lidr shares layer by layer; take it out"),
    "fsdp_transformer_layer_cls_to_wrap": _Only(
        (), "lidr shares the layers that transformers names for the kind of model; take it out"
    ),
    "fsdp_reshard_after_forward": _Only((True,), "lidr lets go of a layer after each pass; write true"),
    "fsdp_offload_params": _Only(
        _OFF, "lidr keeps weights and moments on the GPUs; write false, and take more of them"
    ),
    "fsdp_state_dict_type": _Only(
        ("FULL_STATE_DICT",), "lidr writes whole weights, from the first process; write FULL_STATE_DICT"
    ),
    "fsdp_activation_checkpointing_offload": _Only(_OFF, "lidr keeps activations on the GPUs; write false"),
    "fsdp_ignored_modules": _Only((), "lidr shares every weight; take it out"),
    **dict.fromkeys(("fsdp_sharding_strategy", "fsdp_backward_prefetch", "fsdp_forward_prefetch"), _OF_FSDP1),
    **dict.fromkeys(("fsdp_sync_module_states", "fsdp_use_orig_params", "fsdp_min_num_params"), _OF_FSDP1),
}

_CHECKPOINTING = "fsdp_activation_checkpointing"

KNOWN = frozenset({*_SETTINGS, *_OF_NO_EFFECT, *_TAKEN_OVER, *_PARTS, *_FSDP, _CHECKPOINTING})
"""Every setting that is known, of the file and of its fsdp_config."""


def launch_of(settings: Mapping[str, Any]) -> Launch:
    """What a file asks for, of which launch_problems finds nothing wrong.

    >>> launch_of({"distributed_type": "MULTI_GPU", "num_processes": 4, "mixed_precision": "bf16"})
    Launch(processes=4, sharding='none', precision='bfloat16', on_cpu=False, checkpointing=False)
    """
    kind = settings["distributed_type"]
    return Launch(
        processes=1 if kind == "NO" else settings["num_processes"],  # as accelerate starts one, whatever the number
        sharding="fsdp" if kind == "FSDP" else "none",
        precision=_PRECISIONS.get(str(settings.get("mixed_precision")).lower()),
        on_cpu=kind == "MULTI_CPU" or settings.get("use_cpu") is True,
        checkpointing=_fsdp_of(settings).get(_CHECKPOINTING) is True,
    )


def launch_problems(settings: Mapping[str, Any]) -> Iterator[tuple[Place, str]]:
    """What lidr does not do, or would read over.

    Args:
        settings: of the file.

    Yields:
        Where the setting stands, and what was found, what is allowed and what to do.
    """
    yield from _of_processes(settings)
    for name, value in settings.items():
        if name in _SETTINGS:
            yield from _said((name,), value, _SETTINGS[name])
        elif name not in _OF_NO_EFFECT | _TAKEN_OVER | _PARTS:
            yield (name,), f"accelerate has no such setting{_meant(name, [*_SETTINGS, *_TAKEN_OVER, *_PARTS])}"
    kind, parts = settings.get("distributed_type"), {name: settings.get(name) for name in sorted(_PARTS)}
    for name, of in (("fsdp_config", "FSDP"), ("deepspeed_config", "DEEPSPEED")):
        if parts[name] not in _UNSAID and kind != of:
            yield (name,), f"it says nothing beside distributed_type: {kind}; take it out, or write {of}"
        elif parts[name] not in _UNSAID and not isinstance(parts[name], Mapping):
            yield (name,), f"found {parts[name]!r}; settings are wanted, as {{name: value}}"
    if kind == "FSDP":
        yield from _of_fsdp(settings)


def _of_processes(settings: Mapping[str, Any]) -> Iterator[tuple[Place, str]]:
    kind, processes = settings.get("distributed_type"), settings.get("num_processes")
    if kind == "DEEPSPEED":
        yield ("distributed_type",), _no_deepspeed(settings)
    elif kind not in _KINDS:
        found = "missing" if kind is None else f"found {kind}"
        yield ("distributed_type",), f"{found}; lidr takes {', '.join(_KINDS[:-1])} or {_KINDS[-1]}"
    if kind != "NO" and (not isinstance(processes, int) or isinstance(processes, bool) or processes < 1):
        found = "missing" if processes is None else f"found {processes!r}"
        yield ("num_processes",), f"{found}; write how many processes train, one for each GPU"
    precision = settings.get("mixed_precision")
    if precision is not None and str(precision).lower() not in _PRECISIONS:
        yield ("mixed_precision",), f"found {precision}; lidr trains in {', '.join(_PRECISIONS)}"
    if settings.get("use_cpu") not in (*_UNSAID, True, False):
        yield ("use_cpu",), f"found {settings['use_cpu']!r}; true or false is wanted"


def _no_deepspeed(settings: Mapping[str, Any]) -> str:
    config = settings.get("deepspeed_config")
    stage = config.get("zero_stage") if isinstance(config, Mapping) else None
    return (
        f"found DEEPSPEED{'' if stage is None else f' (zero_stage {stage})'}, by which lidr shares no policy; write "
        "FSDP and fsdp_config: {fsdp_version: 2}, which splits what ZeRO-3 splits: weights, gradients and the "
        "optimiser's state"
    )


def _of_fsdp(settings: Mapping[str, Any]) -> Iterator[tuple[Place, str]]:
    given = settings.get("fsdp_config") or {}
    said = _fsdp_of(settings)
    if isinstance(given, Mapping) and said.get("fsdp_version") is None:
        yield ("fsdp_config", "fsdp_version"), "missing, which is 1 to accelerate; lidr shares by FSDP2: write 2"
    for written in said and given:
        name, place = _prefixed(written), ("fsdp_config", written)
        if name in _FSDP:
            yield from _said(place, said[name], _FSDP[name])
        elif name == _CHECKPOINTING:
            if said[name] not in (*_UNSAID, True, False):
                yield place, f"found {said[name]!r}; true or false is wanted"
        elif name not in _OF_NO_EFFECT:
            yield place, f"accelerate has no such setting{_meant(name, [*_FSDP, _CHECKPOINTING])}"


def _fsdp_of(settings: Mapping[str, Any]) -> dict[str, Any]:
    given = settings.get("fsdp_config")
    return {_prefixed(name): value for name, value in given.items()} if isinstance(given, Mapping) else {}


def _prefixed(name: str) -> str:
    """accelerate takes `version` for `fsdp_version`."""
    return name if name.startswith("fsdp") else f"fsdp_{name}"


def _said(place: Place, value: Any, only: _Only) -> Iterator[tuple[Place, str]]:
    is_switch = isinstance(value, bool)
    if value in _UNSAID or any(value == one and is_switch == isinstance(one, bool) for one in only.allowed):
        return
    yield place, f"found {value!r}; {only.otherwise}".replace("found True", "found true").replace("False", "false")


def _meant(name: str, known: list[str]) -> str:
    near = get_close_matches(name, known, n=1)
    return f"; did you mean {near[0]}?" if near else "; take it out"
