"""The job file is read by bash itself, with srun and scontrol that say how they were called."""

from __future__ import annotations

import os
import subprocess
from pathlib import Path

import pytest

from lidr.cli.main import main
from tests.scripted import write_world


@pytest.fixture
def recipe(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    return write_world(tmp_path / "a world")


def job(capsys: pytest.CaptureFixture[str], *words: str) -> str:
    capsys.readouterr()
    assert main(["slurm", *words]) == 0
    return capsys.readouterr().out


def called(text: str, folder: Path) -> str:
    """What a job's shell starts."""
    (folder / "bin").mkdir()
    for name, body in (("srun", 'printf "%s\\n" "$@"'), ("scontrol", "echo node07; echo node08")):
        (folder / "bin" / name).write_text(f"#!/bin/bash\n{body}\n")
        (folder / "bin" / name).chmod(0o755)
    slurm = {"SLURM_JOB_NODELIST": "node[07-08]", "SLURM_NNODES": "2", "SLURM_CPUS_ON_NODE": "64", "SLURM_JOB_ID": "1"}
    # The job goes to the environment's activate, which puts its own programs before ours.
    plain = "\n".join(line for line in text.splitlines() if not line.startswith(". "))
    env = {**os.environ, **slurm, "PATH": f"{folder / 'bin'}:{os.environ['PATH']}"}
    ran = subprocess.run(["bash", "-c", plain], env=env, capture_output=True, text=True, check=True)
    return " ".join(ran.stdout.split("\n"))


def test_several_nodes_run_ray_on_all_and_lidr_on_the_first(
    recipe: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    more = ("--partition", "gpu", "--set", "system_prompt=Be brief.", "--store", "/data/runs")
    text = job(capsys, str(recipe), "--nodes", "2", "--gpus", "8", "--time", "24:00:00", *more)
    wanted = ("nodes=2", "ntasks-per-node=1", "gpus-per-node=8", "time=24:00:00", "partition=gpu", "requeue")
    assert all(f"#SBATCH --{one}\n" in text for one in wanted)
    said = called(text, tmp_path)
    assert said.startswith("ray symmetric-run --address node07:6379 --min-nodes 2 --num-cpus 64 ")
    assert f"-- lidr run {recipe} --set system_prompt=Be brief. --set runtime.replicas=all" in said
    assert said.strip().endswith("--set runtime.cluster=node07:6379 --store /data/runs")


def test_one_node_needs_no_cluster_and_one_gpu_no_replicas(
    recipe: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    text = job(capsys, str(recipe), "--gpus", "1", "--time", "1-00:00:00")
    assert called(text, tmp_path).strip() == f"lidr run {recipe}"
    eight = job(capsys, str(recipe), "--gpus", "8", "--time", "90")
    assert f"srun lidr run '{recipe}' --set runtime.replicas=all &" in eight
    said = job(capsys, str(recipe), "--gpus", "8", "--time", "90", "--set", "runtime.replicas=4")
    assert said.count("runtime.replicas") == 1


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (("--gpus", "8", "--time", "a day"), '--time "a day": write [D-]HH:MM:SS'),
        (("--gpus", "-1", "--time", "90"), "--gpus -1: at least 0"),
        (("--gpus", "8", "--time", "90", "--nodes", "0"), "--nodes 0: at least 1"),
        (("--gpus", "8", "--time", "90", "--account", "a b"), '--account "a b": letters'),
        (("--gpus", "8", "--time", "90", "--set", "runtime.tensor_parallel=3"), "--gpus 8: not divisible by"),
        (("--gpus", "8", "--time", "90", "--set", "runtime.cluster=http://x"), "runtime.cluster"),
    ],
)
def test_what_no_job_can_be_made_of_is_refused(
    words: tuple[str, ...], said: str, recipe: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["slurm", str(recipe), *words]) == 2
    assert said in capsys.readouterr().err
