"""`lidr slurm RECIPE`: print a Slurm job file. Nothing is submitted: read it, adapt it, `sbatch` it.

A job that is requeued starts the same command again, and lidr goes on by row.
"""

from __future__ import annotations

import argparse
import os
import re
import shlex
import sys
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING
from urllib.parse import urlsplit

from lidr import pipeline
from lidr.cli.common import duration, print_json, read_recipe, recipe_arguments, refuse_wrong, say
from lidr.errors import PlanError

if TYPE_CHECKING:
    from lidr.recipe import Recipe

_NO_JOB = "no job is written for it"
_SERVER = re.compile(r'"openai:[^@"]+@(https?://[^"]+)"')
_TIME = re.compile(r"\d+-\d+(:\d\d){0,2}|\d+:\d\d:\d\d")
_UNCLEAR = re.compile(r"(\d+)(?::(\d\d))?")
"""What people write for hours, and Slurm reads as minutes and seconds."""


def arguments(parser: argparse.ArgumentParser) -> None:
    """Options of the command."""
    recipe_arguments(parser)
    parser.add_argument("--nodes", type=int, default=1, metavar="N", help="whole nodes; default 1")
    parser.add_argument("--gpus", type=int, required=True, metavar="N", help="GPUs of each node; 0 for none")
    parser.add_argument("--time", required=True, metavar="[D-]HH:MM:SS", help="longest time of one job")
    parser.add_argument("--partition", metavar="NAME", help="where to queue it")
    parser.add_argument("--account", metavar="NAME", help="who pays")
    parser.add_argument("--mem", default="0", metavar="SIZE", help="memory of each node, as 200G; default 0: all of it")
    parser.add_argument(
        "--cpus", type=int, metavar="N", help="CPUs of each node, where yours must be told; default all"
    )


def main(options: argparse.Namespace) -> int:
    """Check the recipe and print the file."""
    for name, least in (("nodes", 1), ("gpus", 0), ("cpus", 1)):
        if (number := getattr(options, name)) is not None and number < least:
            raise PlanError(f"--{name} {number}: at least {least}")
    if unclear := _UNCLEAR.fullmatch(options.time):
        first, second = int(unclear[1]), unclear[2] or "00"
        raise PlanError(
            f"--time {options.time}: Slurm reads it as minutes: write {first}:{second}:00 for hours, or "
            f"{first // 60}:{first % 60:02}:{second} for minutes"
        )
    if not _TIME.fullmatch(options.time):
        raise PlanError(f'--time "{options.time}": write [D-]HH:MM:SS, as 24:00:00 or 2-00:00:00')
    if not re.fullmatch(r"\d+[KMGT]?", options.mem):
        raise PlanError(f'--mem "{options.mem}": write a number of MB, or with a unit, as 200G; 0 is all of a node')
    for name in ("partition", "account"):
        if (value := getattr(options, name)) is not None and not re.fullmatch(r"[\w.,-]+", value):
            raise PlanError(f'--{name} "{value}": letters, digits, dots, commas, hyphens and underscores')
    recipe = read_recipe(options)
    refuse_wrong(recipe, options, _NO_JOB)
    runtime = recipe.runtime
    if options.gpus % (each := runtime.gpus_of_one) and options.gpus:
        split = ", and what runtime.vllm splits" if each != runtime.tensor_parallel else ""
        raise PlanError(
            f"--gpus {options.gpus}: not divisible by {each}, the GPUs of one replica, which lie on one node "
            f"(runtime.tensor_parallel {runtime.tensor_parallel}{split}): give a multiple of {each}"
        )
    spread = runtime.replicas == 1 and (options.nodes > 1 or options.gpus > each)
    more = {"runtime.replicas": "all"} if spread else {}
    overrides = list(options.overrides)
    if options.gpus and (spread or runtime.replicas == "all"):  # as many as the job has room for
        overrides.append(f"runtime.replicas={options.nodes * options.gpus // each}")
    idle = _checked(pipeline.load_recipe(options.recipe, overrides=overrides), options)
    job = job_file(options, recipe, more, idle)
    if options.json:
        print_json("lidr.slurm/1", {"job": job})
    else:
        print(job, end="")
    say(*(f"warning: {said}" for said in idle))
    return 0


def _checked(recipe: Recipe, options: argparse.Namespace) -> list[str]:
    """See that the job would not stop at once; returns what it needs there, which GPUs are idle, what does not fit, and
    whether its time is up before the work is done.
    """
    planned = pipeline.plan(recipe)
    try:
        pipeline.refuse_unresolved(planned, runs_here=False)
        idle = pipeline.check_job(planned, options.nodes, options.gpus)
    except PlanError as error:
        raise PlanError(f"{error}\n{options.recipe}: {_NO_JOB}") from None
    there = dict.fromkeys(why for step in planned.steps if step.is_elsewhere for why in step.why)
    costs = pipeline.costs_of(planned)
    large = _too_large(planned, costs) if options.gpus else ()
    return [*there, *idle, *large, *_too_long(costs, options), *_servers(recipe)]


def _servers(recipe: Recipe) -> Iterator[str]:
    """Servers that the recipe names anywhere, which the job's nodes ask and not the machine that wrote its file."""
    unasked = {"policy"} if recipe.runtime.engine == "scripted" else None
    for url in dict.fromkeys(_SERVER.findall(recipe.model_dump_json(exclude=unasked))):
        is_own = urlsplit(url).hostname in ("localhost", "127.0.0.1", "::1")
        whose = ", which on a node is the node itself" if is_own else ""
        yield (
            f"{url}{whose}: the job's nodes must reach this server, with its key, if it wants one, in the environment: "
            f"LIDR_JUDGE_API_KEY for a judge, {recipe.runtime.api_key_env} for others"
        )


def _too_long(costs: pipeline.Costs, options: argparse.Namespace) -> Iterator[str]:
    """Whether the work takes longer than one job has, as far as its time is known; estimates are those of GPUs."""
    known = costs.measured_s + (costs.estimated_s if options.gpus else 0)
    if known > seconds_of(options.time):
        yield (
            f"--time {options.time}: the work takes up to {duration(known)}, by `lidr plan`: when its time is up the "
            "job goes back into the queue, and lidr goes on by row"
        )


def seconds_of(time: str) -> int:
    """Seconds of [D-]HH:MM:SS, as Slurm reads it.

    >>> seconds_of("1:30:00"), seconds_of("2-12"), seconds_of("2-12:30")
    (5400, 216000, 217800)
    """
    days, _, clock = time.rpartition("-")
    hours, minutes, seconds = ([int(part) for part in clock.split(":")] + [0, 0])[:3]
    return ((int(days or 0) * 24 + hours) * 60 + minutes) * 60 + seconds


def _too_large(planned: pipeline.Plan, costs: pipeline.Costs) -> Iterator[str]:
    """What takes more memory than a GPU has, by the estimates of `lidr plan`."""
    if costs.card is None:
        return
    example = "" if planned.recipe.runtime.gpu else " (an example: name the job's with --set runtime.gpu=NAME)"
    for need in costs.memory:
        if not need.fits:
            yield (
                f"{need.what}: does not fit on one {costs.card.name}{example}: ~{pipeline.gigabytes(need.size)} of "
                f"memory, by `lidr plan`, of {pipeline.gigabytes(need.most)}; {need.advice}"
            )


def job_file(options: argparse.Namespace, recipe: Recipe, more: Mapping[str, str], remarks: Sequence[str]) -> str:
    """The file as text; `more` are settings besides those of the recipe and the command line."""
    wanted = {
        "job-name": f"lidr-{recipe.name}",
        "nodes": options.nodes,
        "ntasks-per-node": 1,
        "gpus-per-node": options.gpus or None,
        "cpus-per-task": options.cpus,
        "mem": options.mem,
        "partition": options.partition,
        "account": options.account,
        "time": options.time,
        "output": f"lidr-{recipe.name}-%j.log",
        "open-mode": "append",
    }
    head = [f"#SBATCH --{key}={value}" for key, value in wanted.items() if value is not None]
    # Two jobs on one node would clash in Ray's ports, and Ray counts all cores of a node, not those of the job. Whole
    # nodes come with all their CPUs, but with as much memory alone as is asked for: --mem=0 is all of it.
    head += ["#SBATCH --exclusive", "#SBATCH --requeue", "#SBATCH --signal=B:USR1@120"]
    # srun takes --cpus-per-task over from the job in no Slurm since 22.05.
    cpus = [f"export SRUN_CPUS_PER_TASK={options.cpus}"] if options.cpus else []
    remarks = [f"# {said}" for said in remarks]
    lines = ["#!/bin/bash", *head, *remarks, "", "set -u", *_surroundings(), *_folders(options, recipe), *cpus, ""]
    lines += ["# Two minutes before its time is up the job goes back into the queue; lidr then goes on by row."]
    lines += ["""trap 'scontrol requeue "$SLURM_JOB_ID"' USR1""", ""]
    command = _several(options, more) if options.nodes > 1 else f"srun {_run(options, more)} &"
    return "\n".join([*lines, command, "wait $!", ""])


def _surroundings() -> list[str]:
    """Where it is called now, and by which Python."""
    lines = ["# Paths of the machine that wrote this file; change what is elsewhere on the cluster."]
    lines.append(f"cd {shlex.quote(str(Path.cwd()))}")
    if sys.prefix != sys.base_prefix:
        lines.append(f". {shlex.quote(str(Path(sys.prefix) / 'bin' / 'activate'))}")
    return lines


def _folders(options: argparse.Namespace, recipe: Recipe) -> list[str]:
    """What the shell says of store, data and the Hub's cache, which a job submitted with --export=NONE does not get."""
    used = {
        "LIDR_STORE": not options.store,  # else the command says it
        "LIDR_DATA": not options.data and _reads_data(recipe),
        "HF_HOME": True,
    }
    told = {name: os.environ.get(name) for name, is_used in used.items() if is_used}
    return [f"export {name}={shlex.quote(value)}" for name, value in told.items() if value]


def _reads_data(recipe: Recipe) -> bool:
    """Whether LIDR_DATA can count: where it is named, for a list of published prompts, and for benchmarks by name."""
    is_named = "$LIDR_DATA" in recipe.model_dump_json()
    is_list = recipe.prompts is not None and recipe.prompts.source.lower().endswith(".json")
    return is_named or is_list or any(step.name == "clean" for step in recipe.chain)


def _several(options: argparse.Namespace, more: Mapping[str, str]) -> str:
    """Ray on all nodes, lidr on the first."""
    run = _run(options, {**more, "runtime.cluster": '"$HEAD:6379"'})
    return "\n".join(
        (
            "export RAY_USAGE_STATS_ENABLED=0 RAY_SYMMETRIC_RUN_CLUSTER_WAIT_TIMEOUT=600",
            'HEAD=$(scontrol show hostnames "$SLURM_JOB_NODELIST" | head -n 1)',
            'srun ray symmetric-run --address "$HEAD:6379" --min-nodes "$SLURM_NNODES" '
            '--num-cpus "$SLURM_CPUS_ON_NODE" --include-dashboard=false \\',
            f"  -- {run} &",
        )
    )


def _run(options: argparse.Namespace, more: Mapping[str, str]) -> str:
    """`lidr run` with the options that were given, and more settings."""
    words = ["lidr", "run", shlex.quote(str(options.recipe))]
    for override in options.overrides:
        words += ["--set", shlex.quote(override)]
    for key, value in more.items():
        words += ["--set", f"{key}={value}"]
    for flag in ("data", "store"):
        if value := getattr(options, flag):
            words += [f"--{flag}", shlex.quote(value)]
    return " ".join(words)
