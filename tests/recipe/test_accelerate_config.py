"""`runtime.accelerate_config`: a file that stands for train_processes and sharding, read where it is named."""

from __future__ import annotations

from pathlib import Path

import pytest

import lidr
from lidr.costs import Machine
from lidr.errors import PlanError, RecipeError
from lidr.hub import clean_execution
from lidr.pipeline import check_job, check_recipe
from lidr.recipe import Recipe, recipe_json_schema, resolved_text
from lidr.steps import CHAIN_STEPS
from lidr.steps.train import train_processes
from tests.scripted import TINY, write_world
from tests.tiny import tiny_model

MULTI = "distributed_type: MULTI_GPU\nnum_processes: 2\n"
FSDP = "distributed_type: FSDP\nnum_processes: 2\nfsdp_config:\n  fsdp_version: 2\n"


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tiny_model(tmp_path_factory.mktemp("policy") / "model", "smollm2", seed=1)


@pytest.fixture
def recipe(tmp_path: Path, model: Path) -> Path:
    """A recipe that trains four pairs a step, on a file beside it."""
    text = TINY.replace("{folder}/model", str(model))
    return write_world(
        tmp_path / "world", text.replace("threads: 1", "threads: 1, accelerate_config: configs/several.yaml")
    )


def load(recipe: Path, text: str, *overrides: str) -> Recipe:
    file = recipe.parent / "configs" / "several.yaml"
    file.parent.mkdir(exist_ok=True)
    file.write_text(text)
    return lidr.load_recipe(str(recipe), overrides=list(overrides))


def refused(recipe: Path, text: str, *overrides: str) -> str:
    with pytest.raises(RecipeError) as found:
        load(recipe, text, *overrides)
    return str(found.value)


def test_the_file_stands_for_the_settings_and_is_no_identity(recipe: Path) -> None:
    by_file = load(recipe, FSDP)
    assert (by_file.runtime.train_processes, by_file.runtime.sharding) == (2, "fsdp")
    plain = ["runtime.accelerate_config=null", "runtime.train_processes=2", "runtime.sharding=fsdp"]
    plans = [lidr.plan(one) for one in (by_file, lidr.load_recipe(str(recipe), overrides=plain))]
    assert [step.fingerprint for step in plans[0].steps] == [step.fingerprint for step in plans[1].steps]
    assert "accelerate_config: configs/several.yaml" in resolved_text(recipe)
    assert "train_processes" not in resolved_text(recipe)


def test_the_file_is_a_setting_and_what_it_asks_for_is_none(recipe: Path) -> None:
    schema = recipe_json_schema(CHAIN_STEPS)
    assert "accelerate_config" in schema["$defs"]["Runtime"]["properties"]
    assert "launch" not in schema["else"]["properties"]
    assert "Launch" not in schema["$defs"]
    assert "launch" in refused(recipe, MULTI, "launch={processes: 2, sharding: none}")


def test_what_is_published_does_not_name_the_file(recipe: Path) -> None:
    runtime = load(recipe, FSDP).runtime.model_dump(mode="json")
    assert runtime["accelerate_config"] == "configs/several.yaml"
    published = clean_execution(runtime)
    assert "accelerate_config" not in published
    assert (published["train_processes"], published["sharding"]) == (2, "fsdp")


def test_zero3_is_refused_with_what_splits_the_same(recipe: Path) -> None:
    said = refused(recipe, MULTI, "runtime.accelerate_config=null", "runtime.sharding=zero3")
    assert "runtime.sharding: zero3 is not offered: write fsdp, which splits what ZeRO-3 splits: weights, grad" in said
    by_file = refused(recipe, "distributed_type: DEEPSPEED\nnum_processes: 2\ndeepspeed_config: {zero_stage: 3}\n")
    assert (
        "several.yaml:1:1 distributed_type: found DEEPSPEED (zero_stage 3), by which lidr shares no policy; write FSDP "
        "and fsdp_config: {fsdp_version: 2}, which splits what ZeRO-3 splits"
    ) in by_file


def test_both_are_refused_with_the_line(recipe: Path) -> None:
    line = (
        recipe.read_text().split("\n").index(next(x for x in recipe.read_text().split("\n") if "accelerate" in x)) + 1
    )
    recipe.write_text(recipe.read_text().replace("threads: 1,", "threads: 1, sharding: fsdp,"))
    said = refused(recipe, FSDP)
    assert said.startswith(f"{recipe}:{line}:")
    assert said.endswith(
        "runtime.sharding: accelerate_config says it, too (configs/several.yaml); take one of the two out"
    )
    assert load(recipe, FSDP, "runtime.sharding=null").runtime.sharding == "fsdp"  # a base's word, taken back


def test_what_is_wrong_in_the_file_is_said_with_the_place_in_both(recipe: Path) -> None:
    said = refused(recipe, FSDP.replace("ion: 2", "ion: 1") + "  fsdp_offload_params: true\n")
    first, second = said.split("\n")
    file = recipe.parent / "configs/several.yaml"
    for one, place in ((first, f"{file}:4:3 fsdp_config.fsdp_version: found 1"), (second, f"{file}:5:3 ")):
        assert one.startswith(f"{recipe}:")
        assert f" runtime.accelerate_config: {place}" in one


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("", "several.yaml: the file is empty; is it the file that was meant?"),
        ("- 1\n", "several.yaml: found a list; accelerate's settings are wanted"),
        ("a: [", "several.yaml:1:5 not YAML"),
        (MULTI + "num_processes: 3\n", "several.yaml:3:1 num_processes: this key stands twice"),
    ],
)
def test_a_file_that_is_none_of_accelerate_is_refused(recipe: Path, text: str, said: str) -> None:
    assert said in refused(recipe, text)


def test_a_file_that_is_not_there_is_refused(recipe: Path) -> None:
    said = refused(recipe, MULTI, "runtime.accelerate_config=configs/other.yaml")
    assert said.endswith("no file configs/other.yaml; give an accelerate YAML file, or train_processes and sharding")


def plan_refuses(loaded: Recipe) -> str:
    """What plan says; validate says the same of the same setting."""
    with pytest.raises(PlanError) as found:
        lidr.plan(loaded)
    opening = "runtime.accelerate_config: "
    assert str(found.value).startswith(opening)
    said = str(found.value).removeprefix(opening)
    assert [one.text for one in check_recipe(loaded).problems if one.path == "runtime.accelerate_config"] == [said]
    return said


def test_what_the_file_says_otherwise_than_the_recipe_is_refused(recipe: Path) -> None:
    other = "its mixed_precision stands for bfloat16, and policy.dtype is float32, which is part of"
    assert plan_refuses(load(recipe, MULTI + "mixed_precision: bf16\n", "policy.dtype=float32")).startswith(other)
    with pytest.raises(PlanError, match=other):  # known to the plan alone
        lidr.plan(load(recipe, MULTI + "mixed_precision: bf16\n", "policy.dtype=auto"))
    lidr.plan(load(recipe, MULTI + "mixed_precision: bf16\n", "policy.dtype=bfloat16"))
    again = FSDP + "  fsdp_activation_checkpointing: true\n"
    assert "runtime.gradient_checkpointing is false: write true there" in plan_refuses(load(recipe, again))
    lidr.plan(load(recipe, again, "runtime.gradient_checkpointing=true"))


def test_processes_that_cannot_share_a_batch_or_a_machine_are_refused(
    recipe: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert "train.batch 4 is not a multiple of micro_batch 2 times" in plan_refuses(
        load(recipe, MULTI.replace("2", "3"))
    )
    assert "fsdp needs several processes: give more num_pro" in plan_refuses(load(recipe, FSDP.replace("s: 2", "s: 1")))
    monkeypatch.setattr(train_processes, "this_machine", lambda: Machine(cards=("H100",) * 4, processor="x", cpus=8))
    loaded = load(recipe, "distributed_type: MULTI_CPU\nnum_processes: 2\n")
    planned = lidr.plan(loaded)  # perhaps for a machine without a GPU
    for refused in (lambda: lidr.run(loaded), lambda: check_job(planned, nodes=1, gpus=4)):
        with pytest.raises(
            PlanError, match=r"it asks for CPUs, and lidr trains on the .*4 GPUs.*: take MULTI_CPU or use"
        ):
            refused()
    assert check_job(planned, nodes=1, gpus=0) == []
