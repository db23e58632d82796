"""Whether what a recipe asks of cards and processors can be at all, whether this machine has it, and whether a job has:
said before anything is made or taken.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import NamedTuple, NoReturn

from lidr.costs import can_share, heads_in, this_machine
from lidr.engines import engine_row
from lidr.errors import PlanError
from lidr.extras import has
from lidr.pipeline.needs import folders_of
from lidr.pipeline.planned import NOTHING_TO_DO, Plan, PlannedStep
from lidr.pipeline.rates import engine_of
from lidr.recipe import KeyPath, PolicyConfig, Recipe
from lidr.steps import ASKING, ITS_SERVER, STEPS, is_for_another_card


def room_problems(recipe: Recipe) -> Iterator[tuple[KeyPath, str]]:
    """What can be on no machine: the setting, and what is wrong with it."""
    for step in recipe.chain:
        yield from ((("runtime", name), said) for name, said in STEPS[step.name].room(recipe, step.config))
    yield from _unshared(recipe)


class Lack(NamedTuple):
    """What a recipe asks for and this machine has not: the setting, what is lacking, what to do to run here."""

    path: KeyPath
    said: str
    advice: str


def lacking_here(recipe: Recipe) -> Iterator[Lack]:
    """What only a run on this machine would lack: a plan may be for another, and so may a job."""
    runtime, machine = recipe.runtime, this_machine()
    for step in recipe.chain:
        found = STEPS[step.name].lacks(recipe, step.config)
        yield from (Lack(("runtime", name), said, advice) for name, said, advice in found)
    wanted, threads = runtime.replicas, max(1, runtime.threads)
    is_local = runtime.cluster == "local" and engine_row(runtime.engine).model == "folder"
    if not is_local or not isinstance(wanted, int) or wanted == 1:
        return
    each, cards = runtime.gpus_of_one if runtime.engine == "vllm" else 1, len(machine.cards)
    for what, one, there in (("GPU", each, cards), ("CPU", threads, machine.cpus)):
        if there and wanted * one > there:
            said = (
                f"{wanted} replicas of {one} {what}{'s' * (one > 1)} need {wanted * one}, and this machine has {there}"
            )
            if runtime.engine == "vllm" and not cards:
                said = f"{wanted} replicas need {wanted * each} GPUs, and this machine has none and only {there} CPUs"
            advice = f"give at most {there // one}, or `all`" if there // one else "give fewer threads"
            yield Lack(("runtime", "replicas"), said, f"{advice}, or name a cluster in runtime.cluster")
            return


def can_run_here(recipe: Recipe) -> bool:
    """Whether this machine has what `runtime` asks for, its card and the packages of its engine included."""
    return not (is_for_another_card(recipe) or _not_installed(recipe) or any(lacking_here(recipe)))


def _not_installed(recipe: Recipe) -> bool:
    """Whether a step asks `runtime.engine`, and packages of it are not here."""
    is_asked = any(step.name in ASKING for step in recipe.chain)
    return is_asked and not all(map(has, engine_row(recipe.runtime.engine).packages))


def of_another_machine(recipe: Recipe) -> Iterator[tuple[KeyPath, str]]:
    """The same for people who plan here and run elsewhere; nothing where the recipe says for which GPU to plan."""
    if recipe.runtime.gpu is None:
        if _not_installed(recipe):
            row = engine_row(recipe.runtime.engine)
            yield (
                ("runtime", "engine"),
                f"{row.title or row.name} is not installed here, and a run needs it: pip install 'lidr[{row.extra}]'",
            )
        for path, said, _ in lacking_here(recipe):
            yield (
                path,
                f"{said}: `lidr run` is refused here. A plan or a Slurm job may be for another machine; "
                "runtime.gpu names its GPU, as in --set runtime.gpu=H100",
            )


def _unshared(recipe: Recipe) -> Iterator[tuple[KeyPath, str]]:
    """Models whose heads `runtime.tensor_parallel` GPUs cannot share, where their config.json is here."""
    gpus = recipe.runtime.tensor_parallel
    asked: list[PolicyConfig] = []
    for model in _by_vllm(recipe):
        if model in asked:
            continue
        asked.append(model)
        found = [heads_in(folder) for folder in folders_of(model, recipe.folder)]
        here = [heads for heads in found if heads is not None]
        if not here or any(can_share(gpus, *heads) for heads in here):
            continue
        heads, keys = here[0]
        whose = "the model" if model == recipe.policy else model.model
        what = f"{whose}'s {heads} attention heads"
        what += f" and {keys} heads of keys and values" if heads % gpus == 0 else ""
        fits = ", ".join(str(number) for number in range(1, heads + 1) if can_share(number, heads, keys))
        yield ("runtime", "tensor_parallel"), f"{gpus} GPUs cannot share {what} evenly: {fits} can"


def _by_vllm(recipe: Recipe) -> Iterator[PolicyConfig]:
    """The policy and models of steps, where vLLM runs them."""
    if recipe.runtime.engine == "vllm":
        yield recipe.policy
    for config in (recipe.parallel, *(step.config for step in recipe.chain)):
        if hasattr(config, "brought"):
            yield from (m for name, m, _ in config.brought if getattr(config.given[name], "engine", "") == "vllm")
        elif getattr(config, "engine", None) == "vllm":
            yield from config.models


def asked_alone(recipe: Recipe) -> tuple[tuple[str, str], ...]:
    """What of a recipe's work is done by one model though it wants several replicas, and why."""
    if recipe.runtime.replicas == 1:
        return ()
    return tuple(said for step in recipe.chain for said in STEPS[step.name].alone(recipe, step.config))


def check_job(planned: Plan, nodes: int, gpus: int) -> list[str]:
    """What of a job's GPUs its steps leave idle, in words; more that they need than it has is refused.

    Args:
        planned: of the run in the job, with its number of replicas.
        nodes: of the job.
        gpus: of each node; 0: it runs on CPUs.

    Raises:
        PlanError: more processes or replicas than the job has GPUs.
    """
    runtime, has = planned.recipe.runtime, nodes * gpus
    if gpus == 0:
        said = f"--gpus 0 gives the job no GPU, and the recipe is planned for one (runtime.gpu {runtime.gpu})"
        return [said] if runtime.gpu is not None else []
    todo = [step for step in planned.steps if step.state not in NOTHING_TO_DO]
    training = ", ".join(dict.fromkeys(step.name for step in todo if step.expected.trains))
    answering = ", ".join(dict.fromkeys(step.name for step in todo if _takes_replicas(planned.recipe, step)))
    alone = {name: by for step in todo for name, by in models_alone(planned.recipe, step)}
    each, processes = runtime.gpus_of_one, runtime.train_processes
    replicas = has // each if runtime.replicas == "all" else runtime.replicas
    if training and (launch := planned.recipe.launch) is not None and launch.on_cpu:
        raise PlanError(
            f"runtime.accelerate_config: it asks for CPUs, and lidr trains on the job's {gpus} GPUs: take MULTI_CPU or "
            "use_cpu out of it, or give --gpus 0"
        )
    if training and processes > gpus:
        _too_few("train_processes", f"{processes}: training needs {processes} GPUs of one node", gpus, gpus, processes)
    if answering and nodes == 1 and runtime.cluster == "local" and (need := replicas * each) > gpus:
        engines = f"{replicas} engines of {each} GPU{'s' * (each > 1)}"
        _too_few("replicas", f"{replicas}: {engines} need {need}", gpus, gpus // each, need)
    if not (training or answering or alone):
        return ["no step that is still to make uses a GPU; --gpus 0 reserves none"]

    def idle(name: str, used: int, advice: str) -> list[str]:
        return [f"{name}: {has - used} of the job's {has} GPUs stay idle{advice}"] if name and used < has else []

    one_node = ": training takes one node; a job of --nodes 1 spares them"
    more = _more_processes(planned.recipe, gpus, nodes) if training and processes < gpus else one_node
    return [
        *idle(answering, replicas * each, f"; runtime.replicas {has // each} uses them"),
        *idle(training, processes, more),
        *idle(", ".join(n for n, by in alone.items() if not by), 1, ": one model does it, and no setting changes that"),
        *idle(
            ", ".join(n for n, by in alone.items() if by),
            runtime.tensor_parallel,
            ": one vLLM does it, whatever runtime.replicas says",
        ),
    ]


def _more_processes(recipe: Recipe, gpus: int, nodes: int) -> str:
    """What of `runtime` makes use of most of a node's GPUs in training, and nothing of the recipe refuses."""
    runtime = recipe.runtime
    for processes in range(gpus, runtime.train_processes, -1):
        for micro in range(runtime.micro_batch, 0, -1):
            told = {"train_processes": processes, "micro_batch": micro}
            other = recipe.model_copy(update={"runtime": runtime.model_copy(update=told)})
            if not any(set(STEPS[step.name].room(other, step.config)) for step in recipe.chain):
                smaller = f" with runtime.micro_batch {micro}" if micro != runtime.micro_batch else ""
                where = "them" if nodes == 1 else "those of one node"
                used = where if processes == gpus else f"{processes} of {where}"
                setting = "num_processes" if recipe.launch else "runtime.train_processes"
                return f"; {setting} {processes}{smaller} uses {used}"
    return ": its settings let no more processes share it"


def models_alone(recipe: Recipe, step: PlannedStep) -> Iterator[tuple[str, bool]]:
    """What of a step one model of ours does, however many replicas there are; and whether vLLM runs it, on
    `runtime.tensor_parallel` GPUs, or one GPU does.
    """
    for name, why in step.kind.alone(recipe, step.config):
        if why != ITS_SERVER and not step.expected.trains:
            setting = getattr(step.config, name.partition(".")[2], None)
            yield name, getattr(setting, "engine", None) == "vllm"


def _takes_replicas(recipe: Recipe, step: PlannedStep) -> bool:
    """Whether a model on GPUs of ours writes texts in it."""
    engine = engine_of(recipe, step.config, step.expected)
    writes = step.expected.unit in ("requests", "translations")
    return writes and engine is not None and engine_row(engine).model == "folder"


def _too_few(setting: str, need: str, gpus: int, most: int, wanted: int) -> NoReturn:
    raise PlanError(f"runtime.{setting} {need}, and --gpus gives {gpus}: write at most {most}, or --gpus {wanted}")


def check_room(recipe: Recipe) -> None:
    """Refuse what can be on no machine.

    Raises:
        PlanError: names the settings.
    """
    _refuse(room_problems(recipe))


def check_here(recipe: Recipe) -> None:
    """Refuse to run what this machine lacks something for.

    Raises:
        PlanError: names the settings.
    """
    _refuse((path, f"{said}: {advice}") for path, said, advice in lacking_here(recipe))


def _refuse(found: Iterable[tuple[KeyPath, str]]) -> None:
    if told := [f"{'.'.join(map(str, path))}: {said}" for path, said in found]:
        raise PlanError("\n".join(told))
