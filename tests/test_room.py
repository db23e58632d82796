"""What cannot be on any machine is refused before anything is made; what this machine lacks, when it is run here."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

import lidr
from lidr.cli.main import main
from lidr.costs import Machine
from lidr.errors import PlanError
from lidr.pipeline import check_recipe, room, run
from lidr.steps.train import train_processes
from tests.scripted import RECIPE, TINY, write_world

VLLM = ("runtime.engine=vllm", "policy.dtype=bfloat16")


@pytest.fixture
def recipe(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> str:
    """A recipe with a model of eight attention heads, on a machine with four cards."""
    path = write_world(tmp_path / "world", TINY)
    (path.parent / "model").mkdir()
    (path.parent / "model" / "config.json").write_text(json.dumps({"num_attention_heads": 8}))
    machine = Machine(cards=("H100",) * 4, processor="x", cpus=8)
    for module in (room, train_processes):
        monkeypatch.setattr(module, "this_machine", lambda: machine)
    return str(path)


TRAINED = RECIPE.replace(
    "  - filter: {{length_ratio: {{min: 0.2, max: 5.0}}}}\n", "  - train: {{learning_rate: 1e-5, batch: 4}}\n"
)


def test_a_folder_of_the_machine_that_is_planned_for_need_not_be_here(tmp_path, capsys) -> None:
    """Only by its whole path, and only where runtime.gpu says that another machine is meant."""
    file = write_world(tmp_path / "w", TRAINED)
    there = ["--set", "policy={model: /nowhere/ours-7b, dtype: auto}", "--set", "runtime.engine=vllm"]
    there += ["--set", "chain.train.reference=initial", "--set", "runtime.answers=null"]
    for command in ("validate", "plan"):
        assert main([command, str(file), *there]) == 2
        assert "no folder /nowhere/ours-7b" in capsys.readouterr().err
    there += ["--set", "runtime.gpu=H100"]
    note = "policy.model: no folder /nowhere/ours-7b on this machine; a run needs it where it runs. Until then its "
    assert main(["validate", str(file), *there]) == 0
    assert note.partition(": ")[2] in capsys.readouterr().err
    assert main(["plan", str(file), *there]) == 0
    said = capsys.readouterr().out
    assert said.count(note) == 1
    assert "/nowhere/ours-7b: 7.00 billion parameters (by its name" in said
    assert "GPU hours: " in said
    assert "Memory, train: ~" in said
    job = ["slurm", str(file), *there, "--gpus", "1", "--time", "1:00:00"]
    assert main(job) == 0
    found = capsys.readouterr()
    assert f"\n# {note}" in found.out
    assert f"warning: {note}" in found.err
    assert main(["plan", str(file), *there, "--set", "policy.model=/nowhere/ours"]) == 0
    assert "Until then its size is not known, for its name says none, as `-7B` does" in capsys.readouterr().out
    for more in ("policy.model=nowhere/there/ours-7b", "policy.model=./ours-7b"):
        assert main(["plan", str(file), *there, "--set", more]) == 2
    assert main(["run", str(file), *there]) == 2
    assert note.partition("; ")[0] in capsys.readouterr().err


@pytest.mark.parametrize(
    ("step", "setting"),
    [
        (
            "evaluate: {tasks: [x_alpacaeval], data: [FOLDER], judge: {model: /nowhere/judge-8b}}",
            "evaluate.judge.model",
        ),
        ("score: {reward_model: {model: /nowhere/reward-8b}}", "score.reward_model.model"),
        ("translate: {max_tokens: 8, by: {model: /nowhere/nmt-1b, engine: vllm}}", "translate.by.model"),
    ],
)
def test_judges_reward_models_and_translators_need_not_be_here_either(tmp_path, capsys, step, setting) -> None:
    file = write_world(tmp_path / "w")
    chain = f"chain=[{{generate: {{max_tokens: 8}}}}, {{{step.replace('FOLDER', 'recipes/prompts')}}}]"
    words = [str(file), "--set", f"policy={{model: org/some-8B, revision: {'a' * 40}}}", "--set", "runtime.engine=vllm"]
    words += ["--set", "runtime.answers=null", "--set", chain]
    for command in ("validate", "plan"):
        assert main([command, *words]) == 2
        assert "no folder /nowhere/" in capsys.readouterr().err
    words += ["--set", "runtime.gpu=H100"]
    assert main(["validate", *words]) == 0
    assert f"{setting}: no folder /nowhere/" in " ".join(capsys.readouterr().err.split())
    assert main(["plan", *words]) == 0
    assert f": {setting}: no folder /nowhere/" in capsys.readouterr().out
    assert main(["slurm", *words, "--gpus", "1", "--time", "1:00:00"]) == 0
    assert main(["run", *words]) == 2


def test_an_engine_that_is_not_installed_is_noted_where_a_step_asks_it(tmp_path, capsys, monkeypatch) -> None:
    file = write_world(tmp_path / "w")
    words = [str(file), "--set", "runtime.engine=vllm", "--set", f"policy={{model: org/some-8B, revision: {'a' * 40}}}"]
    note = "runtime.engine: vLLM is not installed here, and a run needs it: pip install 'lidr[vllm]'"
    for is_here in (True, False):
        monkeypatch.setattr(room, "has", lambda package, found=is_here: found)
        assert main(["validate", *words]) == 0
        assert (note in capsys.readouterr().err) is not is_here
        assert main(["plan", *words]) == 0
        said = capsys.readouterr().out
        assert (note in said) is not is_here
        assert ("\nNext, on a machine that has what `runtime` asks for: lidr run " in said) is not is_here
    assert main(["plan", *words, "--set", "runtime.gpu=H100"]) == 0
    assert note not in capsys.readouterr().out
    assert main(["validate", *words, "--set", "chain=[{generate: {max_tokens: 8}}]"]) == 0
    assert note in capsys.readouterr().err


def refusal(recipe: str, *overrides: str) -> str:
    """What plan says; validate says the same of the same setting."""
    loaded = lidr.load_recipe(recipe, overrides=[*VLLM, *overrides])
    with pytest.raises(PlanError) as found:
        lidr.plan(loaded)
    assert [str(one.path) for one in check_recipe(loaded).problems if one.path.startswith("runtime")] != []
    return str(found.value)


def lacking(recipe: str, *overrides: str) -> str:
    """What run says where this machine lacks something; plan goes on, and validate notes it at the same setting."""
    loaded = lidr.load_recipe(recipe, overrides=[*VLLM, *overrides])
    with pytest.raises(PlanError) as found:
        run(loaded)
    assert not list(Path(recipe).parent.glob("runs/*"))
    said = str(found.value)
    setting = said.partition(":")[0]
    checked, here = check_recipe(loaded), check_recipe(loaded, runs_here=True)
    assert [one.text for one in here.problems if one.path == setting] == [said.removeprefix(f"{setting}: ")]
    assert [one for one in checked.problems if one.path.startswith("runtime")] == []
    (note,) = [one.text for one in checked.notes if one.path == setting]
    assert note.endswith("runtime.gpu names its GPU, as in --set runtime.gpu=H100")
    named = lidr.load_recipe(recipe, overrides=[*VLLM, *overrides, "runtime.gpu=H100"])
    assert [one for one in check_recipe(named).notes if one.path.startswith("runtime")] == []
    with pytest.raises(PlanError, match="this machine"):
        run(named)
    for more in ((), ("runtime.gpu=H100",)):
        elsewhere = ("policy={model: org/name, revision: unpinned, dtype: bfloat16}", *more)
        assert lidr.plan(lidr.load_recipe(recipe, overrides=[*VLLM, *overrides, *elsewhere])).steps
    return said


def test_more_replicas_than_cards_are_refused_where_they_run(recipe: str) -> None:
    said = lacking(recipe, "runtime.replicas=3", "runtime.tensor_parallel=2")
    assert said == (
        "runtime.replicas: 3 replicas of 2 GPUs need 6, and this machine has 4: give at most 2, or `all`, or name a "
        "cluster in runtime.cluster"
    )
    assert lacking(recipe, "runtime.replicas=3", "runtime.vllm.pipeline_parallel_size=2") == said
    for fits in (
        ["runtime.replicas=2", "runtime.tensor_parallel=2"],
        ["runtime.replicas=all"],
        ["runtime.replicas=99", "runtime.cluster=auto"],
    ):
        assert list(room.lacking_here(lidr.load_recipe(recipe, overrides=[*VLLM, *fits]))) == []


def test_more_replicas_than_processors_are_refused_with_and_without_cards(
    recipe: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    said = lacking(recipe, "runtime.replicas=3", "runtime.threads=4")
    assert said.startswith("runtime.replicas: 3 replicas of 4 CPUs need 12, and this machine has 8: give at most 2, or")
    monkeypatch.setattr(room, "this_machine", lambda: Machine(cards=(), processor="x", cpus=2))
    said = lacking(recipe, "runtime.engine=transformers", "runtime.replicas=64")
    assert said.startswith("runtime.replicas: 64 replicas of 1 CPU need 64, and this machine has 2: give at most 2, or")
    said = lacking(recipe, "runtime.replicas=4", "runtime.tensor_parallel=2")  # vLLM without a GPU takes CPUs
    assert said.startswith("runtime.replicas: 4 replicas need 8 GPUs, and this machine has none and only 2 CPUs: give ")
    for fits in (["runtime.replicas=2"], ["runtime.replicas=all"], ["runtime.replicas=9", "runtime.cluster=auto"]):
        assert list(room.lacking_here(lidr.load_recipe(recipe, overrides=[*VLLM, *fits]))) == []


@pytest.mark.parametrize("setting", ["generate.temperature", "translate.temperature", "translate.retry.temperature"])
def test_a_temperature_that_the_engine_refuses_is_refused_at_its_setting(recipe: str, setting: str) -> None:
    hot = (f"chain.{setting}=2.5", "policy={model: org/name, revision: unpinned}")
    loaded = lidr.load_recipe(recipe, overrides=[*VLLM[:1], *hot])
    with pytest.raises(PlanError, match=rf"^{setting}: 2\.5, and vLLM takes at most 2$"):
        lidr.plan(loaded)
    (problem,) = [one for one in check_recipe(loaded).problems if one.path.endswith("temperature")]
    assert problem.path.partition("].")[2] == setting
    other = check_recipe(lidr.load_recipe(recipe, overrides=["runtime.engine=transformers", *hot])).problems
    assert [one.path for one in other if one.path.endswith("temperature")] == []


def test_a_template_with_settings_of_its_own_is_looked_at_like_any(recipe: str) -> None:
    thinking = "policy.chat_template={kwargs: {enable_thinking: false}}"
    said = refusal(recipe, "runtime.tensor_parallel=3", thinking)
    assert said.startswith("runtime.tensor_parallel: 3 GPUs cannot share the model's 8 attention heads evenly")


def test_gpus_that_cannot_share_the_heads_are_refused(recipe: str) -> None:
    said = refusal(recipe, "runtime.tensor_parallel=3")
    assert said == "runtime.tensor_parallel: 3 GPUs cannot share the model's 8 attention heads evenly: 1, 2, 4, 8 can"


QWEN = {"num_attention_heads": 28, "num_key_value_heads": 4}


@pytest.mark.parametrize(
    ("config", "gpus", "said"),
    [
        (QWEN, 8, "8 GPUs cannot share the model's 28 attention heads evenly: 1, 2, 4, 28 can"),
        (QWEN, 7, "7 GPUs cannot share the model's 28 attention heads and 4 heads of keys and values evenly: 1, 2,"),
        (QWEN, 4, ""),
        (QWEN, 28, ""),  # each head of keys on seven GPUs
        ({"text_config": QWEN}, 8, "8 GPUs cannot share the model's 28 attention heads evenly: 1, 2, 4, 28 can"),
        (QWEN | {"kv_lora_rank": 512}, 7, ""),  # every GPU has the whole of compressed keys
        ({"num_attention_heads": 32, "num_key_value_heads": 8}, 16, ""),
        ({"num_attention_heads": 24, "num_key_value_heads": 8}, 12, "12 GPUs cannot share the model's 24 attention"),
    ],
)
@pytest.mark.parametrize("is_of_hub", [False, True])
def test_gpus_that_cannot_share_the_heads_of_keys_are_refused_as_vllm_does_it(
    recipe: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, config: dict, gpus: int, said: str, is_of_hub: bool
) -> None:
    folder, more = Path(recipe).parent / "model", ["runtime.gpu=H100"]
    if is_of_hub:
        monkeypatch.setenv("HF_HUB_CACHE", str(tmp_path / "hub"))
        folder = tmp_path / "hub" / "models--org--m" / "snapshots" / ("a" * 40)
        folder.mkdir(parents=True)
        more += ["policy={model: org/m, revision: unpinned, dtype: bfloat16}"]
    (folder / "config.json").write_text(json.dumps(config))
    loaded = lidr.load_recipe(recipe, overrides=[*VLLM, f"runtime.tensor_parallel={gpus}", *more])
    found = dict(room.room_problems(loaded))
    assert found.get(("runtime", "tensor_parallel"), "").startswith(said)
    assert bool(found) == bool(said)


def test_gpus_that_cannot_share_the_heads_of_a_models_step_are_refused(recipe: str, tmp_path: Path) -> None:
    """A translator and a reward model by vLLM, beside a policy by another engine or one that they can share."""
    (tmp_path / "other").mkdir()
    (tmp_path / "other" / "config.json").write_text(json.dumps({"num_attention_heads": 14}))
    other = f"{tmp_path / 'other'}"
    for steps in (
        f"[{{generate: {{max_tokens: 8}}}}, {{translate: {{max_tokens: 8, by: {{model: {other}, engine: vllm}}}}}}]",
        f"[{{generate: {{max_tokens: 8}}}}, {{score: {{reward_model: {{model: {other}, engine: vllm}}}}}}]",
    ):
        loaded = lidr.load_recipe(recipe, overrides=["runtime.tensor_parallel=4", "runtime.gpu=H100", f"chain={steps}"])
        assert [said for path, said in room.room_problems(loaded) if path == ("runtime", "tensor_parallel")] == [
            f"4 GPUs cannot share {other}'s 14 attention heads evenly: 1, 2, 7, 14 can"
        ]
        without = lidr.load_recipe(
            recipe, overrides=[f"chain={steps.replace(', engine: vllm', ', engine: transformers')}"]
        )
        assert list(room.room_problems(without)) == []


@pytest.mark.parametrize("value", ["0", "some", "-1"])
def test_replicas_are_a_number_or_all(recipe: str, value: str) -> None:
    with pytest.raises(lidr.LidrError, match=r"runtime\.replicas"):
        lidr.load_recipe(recipe, overrides=[f"runtime.replicas={value}"])


@pytest.mark.parametrize("value", ["ray://host:10001", "host"])
def test_a_cluster_is_named_by_host_and_port(recipe: str, value: str) -> None:
    with pytest.raises(lidr.LidrError, match=r"runtime\.cluster"):
        lidr.load_recipe(recipe, overrides=[f"runtime.cluster={value}"])


TRAINED = TINY.replace("batch: 4", "batch: 12")


def test_a_batch_that_processes_cannot_share_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    in_parts = ["runtime.train_processes=2", "runtime.sharding=fsdp", "chain.train.lora=null"]
    monkeypatch.setattr(room, "this_machine", lambda: Machine(cards=(), processor="x", cpus=8))
    recipe = str(write_world(tmp_path / "world", TRAINED))
    fits = lidr.load_recipe(recipe, overrides=["runtime.train_processes=3", "runtime.micro_batch=4"])
    assert list(room.room_problems(fits)) == []
    for overrides, said in (
        (["runtime.micro_batch=5"], "train.batch 12 is not a multiple of micro_batch 5, so"),
        (
            ["runtime.train_processes=4", "runtime.micro_batch=6"],
            "is not a multiple of micro_batch 6 times train_proc",
        ),
        (["runtime.train_processes=24"], "12 is not a multiple of micro_batch 2 times train_processes 24"),
        (["runtime.sharding=fsdp"], "fsdp needs several processes: give runtime.train_processes"),
        (
            ["runtime.train_processes=2", "chain.train.trl={dataloader_drop_last: true}"],
            "with train.trl.dataloader_drop_last several processes leave out other pairs than one does",
        ),
        (
            ["runtime.train_processes=2", "runtime.sharding=fsdp", "chain.train.load={quantization: nf4}"],
            "fsdp does not go with train.load.quantization: take one of the two out",
        ),
        (
            ["runtime.train_processes=2", "runtime.sharding=fsdp", "chain.train.lora={peft: {use_dora: true}}"],
            "fsdp does not go with train.lora.peft.use_dora: take one of the two out",
        ),
        (
            [*in_parts, "chain.train.trl={optim: adafactor}"],
            "fsdp does not go with train.trl.optim adafactor, which needs whole weights: take one of adagrad, adamw_",
        ),
        (
            [*in_parts, "chain.train.trl={optim: paged_adamw_8bit}"],
            "fsdp does not go with train.trl.optim paged_adamw_8bit",
        ),
    ):
        assert said in refusal(recipe, "runtime.engine=transformers", *overrides)
    for optimiser, lora in (("sgd", "null"), ("adafactor", "{rank: 8}")):
        more = [f"chain.train.trl={{optim: {optimiser}}}", f"chain.train.lora={lora}", "runtime.engine=transformers"]
        assert list(room.room_problems(lidr.load_recipe(recipe, overrides=[*in_parts, *more]))) == []


def test_more_processes_than_cards_are_refused_where_they_run(recipe: str) -> None:
    assert lacking(recipe, "runtime.train_processes=8", "chain.train.batch=16") == (
        "runtime.train_processes: 8 processes need a GPU each, and this machine has 4: give at most 4"
    )
    fits = lidr.load_recipe(recipe, overrides=["runtime.train_processes=2"])
    assert list(room.lacking_here(fits)) == []
