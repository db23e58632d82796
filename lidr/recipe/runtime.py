"""Where and how a recipe runs: the section `runtime`, and the accelerate file that it may name."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal

from pydantic import Field, JsonValue, field_validator

from lidr.engines import check_arguments, engines, gpus_of_one
from lidr.errors import RecipeError
from lidr.recipe.frozen import Frozen
from lidr.recipe.yaml_positions import KeyPath, Problems, dotted, kind_said, read_yaml
from lidr.resources import resolve_source
from lidr.train import Launch, launch_of, launch_problems

if TYPE_CHECKING:
    EngineKind = str
else:
    EngineKind = Literal[engines(lambda row: not row.only_translates)]


class Runtime(Frozen):
    """Where and how it runs: no identity, but for `engine`, `answers`, `max_model_len` and some of `vllm`, which change
    texts."""

    engine: EngineKind = "transformers"
    """Who answers: transformers, vllm, openai (any compatible server) or scripted (canned answers)."""
    answers: str | None = None
    """For `scripted`: the JSON-lines file of canned answers. Part of the identity."""
    engine_batch: int = Field(16, ge=1)
    """Requests in flight at once, with each replica."""
    micro_batch: int = Field(2, ge=1)
    """Pairs in one forward pass of training."""
    train_processes: int = Field(1, ge=1, exclude_if=lambda value: value == 1)
    """Processes that train together, one on each GPU of this machine; the policy is that of one process."""
    sharding: Literal["none", "fsdp"] = Field("none", exclude_if=lambda value: value == "none")
    """What each of them holds of the policy: all of it (none), or a part of every weight (fsdp: FSDP2), so that a
    policy is trained that is too large for one GPU."""
    accelerate_config: str | None = Field(None, exclude_if=lambda value: value is None)
    """Instead of these two, an accelerate YAML file that says them: num_processes, distributed_type. What it says of
    precision must be what the recipe says, and what lidr does not do is refused by name."""
    tensor_parallel: int = Field(1, ge=1)
    """GPUs that share one model."""
    replicas: Annotated[int, Field(ge=1)] | Literal["all"] = Field(1, exclude_if=lambda value: value == 1)
    """Engines that share the questions, also those to local translators and judges; above 1 they run on Ray (the extra
    `ray`). `all`: as many as find a place."""
    cluster: str = Field(
        "local",
        pattern=r"^(local|auto|[A-Za-z0-9][A-Za-z0-9.-]*:[0-9]{1,5})$",
        exclude_if=lambda value: value == "local",
    )
    """Where replicas run: on this machine (local), on the Ray cluster of RAY_ADDRESS (auto), or of HOST:PORT."""
    gpu_memory: float = Field(0.9, gt=0, le=1)
    """Share of a GPU's memory that vLLM takes."""
    max_model_len: Annotated[int, Field(ge=16)] | Literal["auto"] | None = None
    """Longest prompt plus completion, tokens; by default what the model's config says. auto, of vLLM: as much of that
    as fits into memory, so that a prompt may be too long on one machine and not on another."""
    vllm: dict[str, JsonValue] = Field(default_factory=dict, exclude_if=lambda value: not value)
    """For `vllm`: more arguments of its engine, by vLLM's names: {max_num_seqs: 512, kv_cache_dtype: fp8}. Those that
    can change texts are part of the identity."""
    gradient_checkpointing: bool = False
    """Trade time for memory in training."""
    gpu: str | None = None
    """The card it will run on, as `H100` or `A100 80GB`: what `plan` estimates for. null: the one of this machine."""
    gpu_price: float | None = Field(None, gt=0)
    """What an hour of one GPU costs, in any currency: `plan` then says a price."""
    threads: int = Field(0, ge=0)
    """CPU threads; 0 lets the libraries choose."""
    save_steps: int = Field(25, ge=0)
    """Optimiser steps between training checkpoints; 0 saves none."""
    report_to: tuple[Literal["wandb", "tensorboard", "mlflow", "trackio"], ...] = ()
    """Trackers that training reports to."""
    api_key_env: str = "OPENAI_API_KEY"
    """Environment variable that holds the key of an openai: server."""
    server_timeout_s: float = Field(600.0, gt=0, exclude_if=lambda value: value == 600)
    """How long one answer of an openai: server may take, in seconds, before it is given up and asked for again."""
    store: str = "runs"
    """Folder of the artifacts: an existing one in the working folder, else beside the recipe, else a new one in the
    working folder. LIDR_STORE and --store override it."""
    push: bool = False
    """Whether the publish step may send anything."""
    hub: Literal["environment", "embedded"] = "environment"
    """Where to: `environment` is the Hub of HF_ENDPOINT and your token, without either the embedded one; `embedded` is
    always the Hub in the store's folder .hub, which nothing leaves."""

    @field_validator("sharding", mode="before")
    @classmethod
    def _not_by_deepspeed(cls, sharding: object) -> object:
        if sharding == "zero3":
            raise ValueError(
                "zero3 is not offered: write fsdp, which splits what ZeRO-3 splits: weights, gradients and the "
                "optimiser's state"
            )
        return sharding

    @field_validator("vllm")
    @classmethod
    def _vllm_takes_it(cls, arguments: dict[str, JsonValue]) -> dict[str, JsonValue]:
        check_arguments(arguments)
        return arguments

    @property
    def gpus_of_one(self) -> int:
        """GPUs that one replica takes, where vLLM answers."""
        return gpus_of_one(self.tensor_parallel, self.vllm)

    @property
    def stages(self) -> int:
        """Parts of such a replica that have `tensor_parallel` GPUs each."""
        return self.gpus_of_one // self.tensor_parallel

    @property
    def longest(self) -> int | None:
        """`max_model_len`, where it is a number."""
        return None if self.max_model_len == "auto" else self.max_model_len


_BY_FILE = ("train_processes", "sharding")  # what a file of accelerate says instead


def read_launch(runtime: Any, recipe: Path, problems: Problems) -> Launch | None:
    """Read the file of `runtime.accelerate_config`, where one is given, and fill in what it says.

    Args:
        runtime: that section of the recipe, as it is written; it gets train_processes and sharding.
        recipe: the recipe's file.
        problems: get what is wrong, each with its place in the recipe and, of a setting, its line in the other file.
    """
    named = runtime.get("accelerate_config") if isinstance(runtime, dict) else None
    if not isinstance(named, str):
        return None  # not given, or said elsewhere to be no file
    at: KeyPath = ("runtime", "accelerate_config")
    if twice := [name for name in _BY_FILE if runtime.get(name) is not None]:
        problems.append((("runtime", twice[0]), f"accelerate_config says it, too ({named}); take one of the two out"))
        return None
    file = resolve_source(named, recipe.resolve().parent)
    if file is None or not file.is_file():
        problems.append((at, f"no file {named}; give an accelerate YAML file, or train_processes and sharding"))
        return None
    try:
        document = read_yaml(file, kind="file of accelerate")
    except RecipeError as error:
        problems += [(at, said) for said in error.problems]
        return None
    if not isinstance(document.data, dict):
        problems.append((at, f"{file}: found {kind_said(document.data)}; accelerate's settings are wanted"))
        return None
    if wrong := list(launch_problems(document.data)):
        said = sorted((document.mark(place), f"{dotted(place)}: {what}") for place, what in wrong)
        problems += [(at, f"{mark} {what}") for mark, what in said]
        return None
    launch = launch_of(document.data)
    runtime |= {"train_processes": launch.processes, "sharding": launch.sharding}
    return launch
