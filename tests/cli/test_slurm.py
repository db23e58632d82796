"""The job file is read by bash itself, with srun and scontrol that say how they were called."""

from __future__ import annotations

import json
import os
import subprocess
from pathlib import Path

import pytest

from lidr.cli.main import main
from lidr.cli.recipe import slurm
from lidr.costs import Machine
from lidr.pipeline import room
from tests.scripted import RECIPE, write_world
from tests.tiny import tiny_model

LOCAL = (  # a model that needs GPUs, trained in the end
    RECIPE.replace('"openai:canned@http://127.0.0.1:9"', "{folder}/model")
    .replace("engine: scripted, answers: {folder}/answers.jsonl", "engine: vllm, gpu: H100")
    .replace(
        "  - filter: {{length_ratio: {{min: 0.2, max: 5.0}}}}\n", "  - train: {{learning_rate: 1e-5, batch: 32}}\n"
    )
)


@pytest.fixture
def recipe(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    return write_world(tmp_path / "a world")


def job(capsys: pytest.CaptureFixture[str], *words: str) -> str:
    capsys.readouterr()
    assert main(["slurm", *words]) == 0
    return capsys.readouterr().out


SCORED = (
    "chain=[{generate: {max_tokens: 8, n: 2, temperature: 1.0}}, {score: {reward_model: {model: FOLDER/model MORE}}},"
    "{pair: {from: scores}}]"
)


def local(folder: Path, *settings: str) -> list[str]:
    """The recipe's file and settings, of a policy whose folder is here."""
    file = write_world(folder / "local", LOCAL)
    tiny_model(folder / "local" / "model", "smollm2")
    named = [one.replace("FOLDER", str(folder / "local")) for one in settings]
    return [str(file), *(word for one in named for word in ("--set", one))]


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
    eight = job(capsys, str(recipe), "--gpus", "8", "--time", "1:30:00")
    assert f"srun lidr run '{recipe}' --set runtime.replicas=all &" in eight
    said = job(capsys, str(recipe), "--gpus", "8", "--time", "1:30:00", "--set", "runtime.replicas=4")
    assert said.count("runtime.replicas") == 1


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (("--gpus", "8", "--time", "a day"), '--time "a day": write [D-]HH:MM:SS'),
        (("--gpus", "8", "--time", "24"), "--time 24: Slurm reads it as minutes: write 24:00:00 for hours, or 0:24:00"),
        (("--gpus", "8", "--time", "90"), "write 90:00:00 for hours, or 1:30:00 for minutes"),
        (("--gpus", "8", "--time", "24:30"), "write 24:30:00 for hours, or 0:24:30 for minutes"),
        (("--gpus", "-1", "--time", "1:30:00"), "--gpus -1: at least 0"),
        (("--gpus", "8", "--time", "1:30:00", "--nodes", "0"), "--nodes 0: at least 1"),
        (("--gpus", "8", "--time", "1:30:00", "--account", "a b"), '--account "a b": letters'),
        (("--gpus", "8", "--time", "1:30:00", "--set", "runtime.tensor_parallel=3"), "--gpus 8: not divisible by"),
        (
            ("--gpus", "8", "--time", "1:30:00", "--set", "runtime.vllm.pipeline_parallel_size=3"),
            "by 3, the GPUs of one replica, which lie on one node (runtime.tensor_parallel 1, and what runtime.vllm",
        ),
        (("--gpus", "8", "--time", "1:30:00", "--set", "runtime.cluster=http://x"), "runtime.cluster"),
    ],
)
def test_what_no_job_can_be_made_of_is_refused(
    words: tuple[str, ...], said: str, recipe: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["slurm", str(recipe), *words]) == 2
    assert said in capsys.readouterr().err


def test_more_processes_or_engines_than_the_job_has_gpus_are_refused(
    recipe: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    for setting, said in (
        (
            "runtime.train_processes=8",
            "runtime.train_processes 8: training needs 8 GPUs of one node, and --gpus gives 4",
        ),
        ("runtime.replicas=8", "runtime.replicas 8: 8 engines of 1 GPU need 8, and --gpus gives 4"),
    ):
        words = local(tmp_path / setting, setting)
        assert main(["slurm", *words, "--gpus", "4", "--time", "1:30:00"]) == 2
        assert f"{said}: write at most 4, or --gpus 8" in capsys.readouterr().err
        assert main(["slurm", *words, "--gpus", "8", "--time", "1:30:00"]) == 0
    capsys.readouterr()
    split = ("--set", "runtime.engine=vllm", "--set", "runtime.vllm.pipeline_parallel_size=2", "--gpus", "8")
    words = local(tmp_path / "split", "runtime.replicas=8")
    assert main(["slurm", *words, *split, "--time", "1:30:00"]) == 2
    assert "8 engines of 2 GPUs need 16, and --gpus gives 8: write at most 4" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("settings", "words", "said"),
    [
        ((), (), ["train: 7 of the job's 8 GPUs stay idle; runtime.train_processes 8 uses them"]),
        (
            ("runtime.micro_batch=8",),
            (),
            ["train: 7 of the job's 8 GPUs stay idle; runtime.train_processes 8 with runtime.micro_batch 4 uses them"],
        ),
        (
            ("chain.train.batch=12", "runtime.micro_batch=4"),
            (),
            [
                "train: 7 of the job's 8 GPUs stay idle; runtime.train_processes 6 with runtime.micro_batch 2 uses 6 "
                "of them"
            ],
        ),
        (
            ("chain.train.batch=7", "chain.train.held_out={share: 0.1}", "runtime.micro_batch=1"),
            (),
            ["train: 7 of the job's 8 GPUs stay idle: its settings let no more processes share it"],
        ),
        (("runtime.train_processes=8",), (), []),
        (
            ("runtime.train_processes=8", "runtime.replicas=4"),
            (),
            ["generate, translate: 4 of the job's 8 GPUs stay idle; runtime.replicas 8 uses them"],
        ),
        (
            ("runtime.train_processes=8",),
            ("--nodes", "2"),
            ["train: 8 of the job's 16 GPUs stay idle: training takes one node; a job of --nodes 1 spares them"],
        ),
        (
            (SCORED.replace("MORE", ""), "runtime.replicas=8"),
            (),
            ["score.reward_model: 7 of the job's 8 GPUs stay idle: one model does it, and no setting changes that"],
        ),
        (
            (SCORED.replace("MORE", ", engine: vllm"), "runtime.engine=vllm", "runtime.tensor_parallel=2"),
            (),
            ["score.reward_model: 6 of the job's 8 GPUs stay idle: one vLLM does it, whatever runtime.replicas says"],
        ),
        (
            (
                SCORED.replace("MORE}", ", engine: vllm}, latent: {}"),
                "runtime.engine=vllm",
                "runtime.tensor_parallel=2",
                "chain.pair.by=reward_model",
            ),
            (),
            [
                "score.latent: 7 of the job's 8 GPUs stay idle: one model does it, and no setting changes that",
                "score.reward_model: 6 of the job's 8 GPUs stay idle: one vLLM does it, whatever runtime.replicas says",
            ],
        ),
        (
            (
                SCORED.replace(
                    "reward_model: {model: FOLDER/model MORE}",
                    "mt_quality: {max_tokens: 8, estimator: {model: FOLDER/model}}",
                ),
                "runtime.replicas=8",
            ),
            (),
            ["score.mt_quality: 7 of the job's 8 GPUs stay idle: one model does it, and no setting changes that"],
        ),
    ],
)
def test_gpus_that_a_step_leaves_idle_are_told_and_stand_in_the_file(
    settings: tuple[str, ...],
    words: tuple[str, ...],
    said: list[str],
    recipe: Path,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
) -> None:
    assert main(["slurm", *local(tmp_path, *settings), "--gpus", "8", "--time", "1:30:00", *words]) == 0
    out, err = capsys.readouterr()
    assert [line[9:] for line in err.splitlines() if line.startswith("warning: ")] == said
    assert [line for line in out.splitlines() if line.startswith("# ") and "idle" in line] == [f"# {x}" for x in said]
    assert subprocess.run(["bash", "-n", "-c", out], check=False).returncode == 0


def test_a_job_is_planned_and_written_on_a_machine_without_its_gpus(
    recipe: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(room, "this_machine", lambda: Machine(cards=(), processor="x", cpus=2))
    words = local(tmp_path, "runtime.gpu=null", "runtime.replicas=8", "runtime.train_processes=8")
    assert main(["validate", *words]) == 0
    note = "8 replicas need 8 GPUs, and this machine has none and only 2 CPUs: `lidr run` is refused here. A plan or a "
    assert note in capsys.readouterr().err
    assert main(["plan", *words]) == 0
    said = capsys.readouterr().out
    assert f"\nruntime.replicas: {note}" in said
    assert "\nNext, on a machine that has what `runtime` asks for: lidr run " in said
    assert main(["plan", *words, "--set", "runtime.gpu=H100", "--set", "runtime.replicas=1"]) == 0
    assert "\nNext, on a machine that has what `runtime` asks for: lidr run " in capsys.readouterr().out
    assert main(["plan", *words, "--set", "runtime.gpu=H100", "--json"]) == 0
    assert [one["path"] for one in json.loads(capsys.readouterr().out)["lacking_here"]] == ["runtime.replicas"]
    assert "gpus-per-node=8" in job(capsys, *words, "--gpus", "8", "--time", "1:30:00")
    assert main(["slurm", *words, "--gpus", "4", "--time", "1:30:00"]) == 2
    assert "runtime.train_processes 8: training needs 8 GPUs of one node, and --gpus gives 4" in capsys.readouterr().err
    assert main(["run", *words]) == 2
    assert "this machine has none and only 2 CPUs: give at most 2, or `all`" in capsys.readouterr().err


def test_what_does_not_fit_on_one_of_the_jobs_gpus_is_told_with_what_helps(
    recipe: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    large = f"policy={{model: org/some-70B, revision: {'a' * 40}, dtype: bfloat16}}"
    words = ["slurm", *local(tmp_path, large, "runtime.replicas=8"), "--gpus", "8", "--time", "1:30:00"]
    assert main(words) == 0
    out, err = capsys.readouterr()
    answers, training = (line for line in err.splitlines() if "does not fit" in line)
    assert answers.startswith("warning: translate: does not fit on one H100: ~14")
    assert answers.endswith("; runtime.tensor_parallel 2 shares it among 2 GPUs")
    assert training.endswith("; see runtime.sharding with train_processes, and train.lora")
    assert {f"# {line.removeprefix('warning: ')}" for line in (answers, training)} <= set(out.splitlines())
    assert main([*words, "--set", "runtime.replicas=1", "--set", "runtime.tensor_parallel=8"]) == 0
    assert "translate: does not fit" not in capsys.readouterr().err


def test_work_that_takes_longer_than_a_job_is_told_with_what_the_job_s_gpus_need(
    recipe: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    large = f"policy={{model: org/some-8B, revision: {'a' * 40}, dtype: bfloat16}}"
    words = ["slurm", *local(tmp_path, large, "runtime.engine_batch=1"), "--gpus"]
    found: list[float] = []
    monkeypatch.setattr(slurm, "duration", lambda seconds: found.append(seconds) or "so long")

    def said(gpus: int, time: str) -> str:
        capsys.readouterr()
        assert main([*words, str(gpus), "--time", time]) == 0
        return capsys.readouterr().err

    assert "warning: --time 0:00:01: the work takes up to so long, by `lidr plan`: when its time is up" in said(
        1, "0:00:01"
    )
    assert "--time" not in said(1, "30-00")
    said(2, "0:00:01")
    one, two = found
    assert two < 0.7 * one, "two replicas"


@pytest.mark.parametrize("time", ["24:00:00", "2-00", "2-12:30", "2-00:00:00"])
def test_times_that_people_and_slurm_read_alike_are_taken(
    time: str, recipe: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert f"#SBATCH --time={time}\n" in job(capsys, str(recipe), "--gpus", "0", "--time", time)


def exported(text: str) -> list[str]:
    return [line for line in text.splitlines() if line.startswith("export ")]


def test_the_store_and_the_data_of_the_shell_go_with_the_job_and_nothing_else(
    recipe: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    words = [str(recipe), "--gpus", "0", "--time", "1:30:00"]
    for name in ("LIDR_STORE", "LIDR_DATA", "HF_HOME"):
        monkeypatch.delenv(name, raising=False)
    assert exported(job(capsys, *words)) == []
    monkeypatch.setenv("HF_HOME", str(tmp_path / "hub"))
    assert exported(job(capsys, *words)) == [f"export HF_HOME={tmp_path}/hub"]
    monkeypatch.delenv("HF_HOME")
    monkeypatch.setenv("HF_TOKEN", "hf_" + "a" * 34)
    monkeypatch.setenv("LIDR_JUDGE_API_KEY", "a secret of mine")
    monkeypatch.setenv("LIDR_STORE", str(tmp_path / "my runs"))
    (tmp_path / "my data").mkdir()
    (tmp_path / "my data" / "ids.txt").write_text("bees\n")
    monkeypatch.setenv("LIDR_DATA", str(tmp_path / "my data"))
    store, data = (f"export LIDR_{name}='{tmp_path}/my {name.lower()}'" for name in ("STORE", "DATA"))
    store = store.replace("my store", "my runs")
    text = job(capsys, *words)
    assert exported(text) == [store], "this recipe reads nothing of LIDR_DATA"
    assert "hf_" not in text
    assert "secret" not in text
    reads = ("--set", "chain.pair.translation_type={ids: $LIDR_DATA/ids.txt}")
    assert exported(job(capsys, *words, *reads)) == [store, data]
    given = ("--store", str(tmp_path / "other"), "--data", str(tmp_path / "my data"))
    monkeypatch.delenv("LIDR_DATA")
    text = job(capsys, *words, *reads, *given)
    assert exported(text) == []
    assert f"--data '{tmp_path}/my data' --store {tmp_path}/other" in text


def test_a_job_whose_steps_need_no_gpu_is_told_so(recipe: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["slurm", str(recipe), "--gpus", "8", "--time", "1:30:00"]) == 0
    assert "warning: no step that is still to make uses a GPU; --gpus 0 reserves none" in capsys.readouterr().err
    assert main(["slurm", str(recipe), "--gpus", "0", "--time", "1:30:00"]) == 0
    assert capsys.readouterr().err == ""
    assert main(["slurm", str(recipe), "--set", "runtime.gpu=H100", "--gpus", "0", "--time", "1:30:00"]) == 0
    assert "warning: --gpus 0 gives the job no GPU, and the recipe is planned for one (runtime.gpu H1" in (
        capsys.readouterr().err
    )


def test_what_run_would_stop_at_gets_no_job(recipe: Path, capsys: pytest.CaptureFixture[str]) -> None:
    words = [str(recipe), "--set", "policy={model: org/name, revision: unpinned}", "--set", "runtime.engine=vllm"]
    assert main(["run", *words]) == 2
    runs = [line for line in capsys.readouterr().err.splitlines() if "unpinned" in line]
    assert len(runs) == 1
    assert main(["slurm", *words, "--gpus", "1", "--time", "1:30:00"]) == 2
    out, err = capsys.readouterr()
    assert not out
    assert runs[0] in err.splitlines()
    assert "no job is written" in err


def test_whole_nodes_are_asked_for_with_their_memory(recipe: Path, capsys: pytest.CaptureFixture[str]) -> None:
    words = (str(recipe), "--gpus", "0", "--time", "1:30:00")
    text = job(capsys, *words)
    assert "#SBATCH --exclusive\n" in text
    assert "#SBATCH --mem=0\n" in text
    assert "cpus-per-task" not in text
    text = job(capsys, *words, "--mem", "200G", "--cpus", "32")
    assert "#SBATCH --mem=200G\n" in text
    assert "#SBATCH --cpus-per-task=32\n" in text
    assert "export SRUN_CPUS_PER_TASK=32\n" in text  # srun does not take it over from the job since Slurm 22.05
    assert main(["slurm", *words, "--mem", "much"]) == 2
    assert '--mem "much": write a number of MB, or with a unit, as 200G; 0 is all of a node' in capsys.readouterr().err
    assert main(["slurm", *words, "--cpus", "0"]) == 2
    assert "--cpus 0: at least 1" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("url", "said"),
    [
        ("http://judge.lan:8000/v1", "http://judge.lan:8000/v1: the job's nodes must reach this server, with its key"),
        ("http://localhost:8000/v1", "http://localhost:8000/v1, which on a node is the node itself: the job's nodes"),
    ],
)
def test_a_server_must_be_reached_from_the_job_s_nodes(
    url: str, said: str, recipe: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    judged = f"{{score: {{judge: {{model: 'openai:m@{url}'}}}}}}"
    chain = f"chain=[{{generate: {{max_tokens: 8, n: 2, temperature: 1.0}}}}, {judged}, {{pair: {{from: scores}}}}]"
    assert main(["slurm", str(recipe), "--set", chain, "--gpus", "0", "--time", "1:30:00"]) == 0
    out, err = capsys.readouterr()
    assert f"warning: {said}" in err
    assert f"# {said}" in out
    assert "LIDR_JUDGE_API_KEY for a judge, OPENAI_API_KEY for others" in err
