"""Interrupted runs: what is kept, what is skipped, and weights equal to those of a run that was not interrupted."""

from __future__ import annotations

import dataclasses
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import load_file
from transformers import AutoTokenizer

from lidr.train.checkpoints import (
    _LATER,
    _NO_IDENTITY,
    MANIFEST,
    last_checkpoint,
    read_reference,
    run_folder,
    seal,
    write_reference,
)
from lidr.train.tokens import TokenPair, read_pairs, tokenise
from lidr.train.training_run import run
from lidr.train.training_spec import LoraSpec, StepMetrics, TrainSpec
from tests.train.runs import ignore, make_trainer, rows, run_here, write_pairs

MakeSpec = Callable[..., TrainSpec]


class CutOffError(Exception):
    """Stands for whatever ends a run from outside."""


def cut_off_at(last: int) -> Callable[[StepMetrics, int], None]:
    def on_step(step: StepMetrics, total: int) -> None:
        if step.step == last:
            raise CutOffError

    return on_step


def tensors(folder: str) -> dict[str, torch.Tensor]:
    return load_file(Path(folder) / "model.safetensors")


def assert_equal_weights(one: TrainSpec, other: TrainSpec) -> None:
    ours, theirs = tensors(one.model_out), tensors(other.model_out)
    assert ours.keys() == theirs.keys()
    assert all(torch.equal(tensor, theirs[name]) for name, tensor in ours.items())


@pytest.mark.parametrize(
    "kind",
    [{"reference": "initial"}, {"reference": "previous", "lora": LoraSpec(rank=4, dropout=0.1)}],
    ids=["full", "lora with dropout"],
)
def test_a_run_that_was_cut_off_ends_with_the_same_weights(kind: dict[str, Any], spec: MakeSpec) -> None:
    settings = {"batch": 2, "micro_batch": 1, "epochs": 2.0, "save_steps": 3, **kind}
    whole, cut = spec(**settings), spec(**settings)
    expected = run_here(whole)
    with pytest.raises(CutOffError):
        run(cut, cut_off_at(5))  # two steps after the checkpoint, which is in the middle of the first epoch
    assert not Path(cut.model_out).exists()
    seen: list[int] = []
    result = run(cut, lambda step, total: seen.append(step.step))
    assert seen == [4, 5, 6, 7, 8]
    assert_equal_weights(whole, cut)
    assert result.steps == expected.steps
    assert result.groups == expected.groups


def test_a_run_cut_off_before_its_first_checkpoint_draws_the_same_dropout(spec: MakeSpec) -> None:
    settings = {"batch": 2, "micro_batch": 1, "lora": LoraSpec(rank=4, dropout=0.1)}
    whole, cut = spec(**settings), spec(**settings)
    expected = run_here(whole)
    with pytest.raises(CutOffError):
        run(cut, cut_off_at(1))  # the reference was computed, and is read back
    assert run_here(cut).steps == expected.steps
    assert_equal_weights(whole, cut)


def test_without_checkpoints_a_run_starts_again(spec: MakeSpec) -> None:
    cut = spec(batch=4, micro_batch=4, save_steps=0)
    with pytest.raises(CutOffError):
        run(cut, cut_off_at(1))
    seen: list[int] = []
    run(cut, lambda step, total: seen.append(step.step))
    assert seen == [1, 2]


def test_a_run_cut_off_after_its_last_step_saves_without_training_again(
    spec: MakeSpec, monkeypatch: pytest.MonkeyPatch
) -> None:
    settings = {"batch": 4, "micro_batch": 4, "save_steps": 1}
    whole, cut = spec(**settings), spec(**settings)
    run_here(whole)

    def break_off(*_: Any) -> None:
        raise CutOffError

    with monkeypatch.context() as patch:
        patch.setattr("lidr.train.training_run.save_policy", break_off)
        with pytest.raises(CutOffError):
            run_here(cut)
    result = run(cut, cut_off_at(2))  # is not called
    assert [step.step for step in result.steps] == [1, 2]
    assert_equal_weights(whole, cut)


def test_another_learning_rate_starts_afresh_beside_the_old_checkpoints(spec: MakeSpec) -> None:
    first = spec(batch=4, micro_batch=4, save_steps=1)
    with pytest.raises(CutOffError):
        run(first, cut_off_at(2))
    second = dataclasses.replace(first, learning_rate=2e-3)
    assert [step.learning_rate for step in run(second, ignore).steps] == [2e-3, 1e-3]
    assert len({path.parent for path in Path(first.work).glob("*/checkpoint-*")}) == 2


@pytest.fixture(scope="module")
def token_pairs(models: dict[str, Path], pairs: Path) -> list[TokenPair]:
    tokenizer = AutoTokenizer.from_pretrained(models["policy"])
    return tokenise(read_pairs([str(pairs)]), tokenizer, max_length=512, over_long="drop")[0]


def test_where_and_how_a_run_is_computed_is_not_its_identity(
    spec: MakeSpec, token_pairs: list[TokenPair], tmp_path: Path
) -> None:
    base = spec()
    name = run_folder(base, token_pairs).name
    again = write_pairs(tmp_path / "elsewhere.parquet", rows())
    for changes in (
        {"threads": 2},
        {"save_steps": 5},
        {"report_to": ("tensorboard",)},
        {"model_out": "/elsewhere", "adapter_out": "/elsewhere", "policy_name": "org/name"},
        {"pairs": (str(again),)},
    ):
        assert run_folder(dataclasses.replace(base, **changes), token_pairs).name == name


@pytest.mark.parametrize(
    "changes",
    [
        {"beta": 0.2},
        {"seed": 1},
        {"reference": "initial"},
        {"nll_per": "batch"},
        {"lora": LoraSpec()},
        {"micro_batch": 4},
    ],
)
def test_what_changes_the_result_is_identity(changes: Any, spec: MakeSpec, token_pairs: list[TokenPair]) -> None:
    base = spec()
    names = {run_folder(dataclasses.replace(base, **change), token_pairs).name for change in ({}, changes)}
    assert len(names) == 2


def test_other_pairs_and_other_weights_are_another_run(
    spec: MakeSpec, token_pairs: list[TokenPair], models: dict[str, Path]
) -> None:
    base = spec()
    other = dataclasses.replace(base, policy=str(models["initial"]))
    names = {run_folder(*run).name for run in ((base, token_pairs), (base, token_pairs[1:]), (other, token_pairs))}
    assert len(names) == 3


def checkpoint(folder: Path, step: int) -> Path:
    (made := folder / f"checkpoint-{step}" / "adapter").mkdir(parents=True)
    (made / "model.safetensors").write_bytes(b"weights")
    (made.parent / "trainer_state.json").write_text("{}")
    seal(made.parent)
    return made.parent


@pytest.mark.parametrize(
    ("damage", "said"),
    [
        (lambda folder: (folder / MANIFEST).unlink(), "it was not written to its end, or by an earlier lidr"),
        (lambda folder: (folder / MANIFEST).write_text('{"half": '), f"its {MANIFEST} is damaged"),
        (lambda folder: (folder / MANIFEST).write_text("[]"), "its files are not those that"),
        (lambda folder: (folder / "more.pt").write_bytes(b""), "its files are not those that"),
        (lambda folder: (folder / "trainer_state.json").unlink(), "its files are not those that"),
        (
            lambda folder: (folder / "adapter/model.safetensors").write_bytes(b"weightz"),
            "adapter/model.safetensors has",
        ),
    ],
)
def test_a_checkpoint_that_is_not_as_it_was_written_is_not_gone_on_from_and_it_is_said(
    tmp_path: Path, damage: Any, said: str
) -> None:
    for step in (9, 10):
        checkpoint(tmp_path, step)
    damage(checkpoint(tmp_path, 100))
    heard: list[str] = []
    assert last_checkpoint(tmp_path, heard.append) == tmp_path / "checkpoint-10"
    assert sorted(path.name for path in tmp_path.iterdir()) == ["checkpoint-10", "checkpoint-9"]
    assert len(heard) == 1
    assert heard[0].startswith(f"checkpoint-100 is not gone on from: {said}")


def test_reference_log_probabilities_that_changed_are_computed_again(tmp_path: Path) -> None:
    write_reference(path := tmp_path / "reference.json", [-1.5], [-2.5])
    assert read_reference(path) == ([-1.5], [-2.5])
    path.write_text(path.read_text().replace("1.5", "1.6"))
    assert read_reference(path) is None


def test_a_damaged_reference_is_computed_again_by_the_model_that_is_the_reference(spec: MakeSpec) -> None:
    one = spec(reference="initial")
    first = make_trainer(one).train_dataset["ref_chosen_logps"][:]
    path = Path(one.work) / "reference.json"
    path.write_text(path.read_text()[:-9])
    assert make_trainer(one).train_dataset["ref_chosen_logps"][:] == first


def test_there_may_be_no_checkpoint(tmp_path: Path) -> None:
    assert last_checkpoint(tmp_path) is None


@pytest.mark.parametrize("is_flipped", [False, True], ids=["half-written", "a flipped bit"])
def test_a_damaged_checkpoint_is_not_resumed_from(spec: MakeSpec, is_flipped: bool) -> None:
    settings = {"batch": 2, "micro_batch": 2, "save_steps": 1}
    whole, cut = spec(**settings), spec(**settings)
    run_here(whole)
    with pytest.raises(CutOffError):
        run(cut, cut_off_at(4))
    (newest,) = Path(cut.work).glob("*/checkpoint-3")
    if is_flipped:
        weights = newest / "model.safetensors"
        data = weights.read_bytes()
        weights.write_bytes(data[:-1] + bytes([data[-1] ^ 1]))
    else:
        (newest / MANIFEST).unlink()
    seen: list[int] = []
    run(cut, lambda step, total: seen.append(step.step))
    assert seen == [3, 4]
    assert_equal_weights(whole, cut)


def test_reference_log_probabilities_are_kept_exactly(tmp_path: Path) -> None:
    values = torch.tensor([-123.456789, -1e-7, -3e5], dtype=torch.float32)
    write_reference(tmp_path / "reference.json", values.tolist(), (values * 3).tolist())
    chosen, rejected = read_reference(tmp_path / "reference.json") or ([], [])
    assert torch.equal(torch.tensor(chosen), values)
    assert torch.equal(torch.tensor(rejected), values * 3)
    assert [path.name for path in tmp_path.iterdir()] == ["reference.json"]
    assert read_reference(tmp_path / "none.json") is None


def test_a_spec_and_a_result_survive_json(spec: MakeSpec) -> None:
    run_spec = spec(lora=LoraSpec(target_modules=("q_proj",)), report_to=("tensorboard",))
    assert TrainSpec.from_json(json.loads(json.dumps(dataclasses.asdict(run_spec)))) == run_spec
    assert TrainSpec.from_json(json.loads(json.dumps(dataclasses.asdict(spec())))).lora is None
    result = run_here(spec())
    assert type(result).from_json(json.loads(json.dumps(dataclasses.asdict(result)))) == result


def test_a_setting_that_came_later_starts_no_killed_run_afresh(spec: MakeSpec) -> None:
    """Those of the first lidr have no default, or stand here."""
    first = {"max_length", "warmup_ratio", "lr_scheduler", "max_grad_norm", "weight_decay", "trust_remote_code"}
    plain = dataclasses.asdict(spec())
    defaults = {one.name for one in dataclasses.fields(TrainSpec) if not _is_required(one)}
    assert defaults - _NO_IDENTITY - first == {*_LATER}
    assert {name: plain[name] for name in _LATER} == _LATER


def _is_required(field: dataclasses.Field[Any]) -> bool:
    return field.default is dataclasses.MISSING and field.default_factory is dataclasses.MISSING
