"""Which weights gave the reference log-probabilities: the trainer's numbers against independent ones of each folder."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from lidr.errors import TrainError
from lidr.train.training_spec import LoraSpec, TrainSpec
from lidr.train.trl_settings import reference_folder
from tests.train.runs import make_trainer, run_here

MakeSpec = Callable[..., TrainSpec]

LEGAL = [
    ("initial", None, "initial"),
    ("initial", LoraSpec(rank=2), "initial"),
    ("previous", None, "policy"),
    ("previous", LoraSpec(rank=2), "policy"),
    ("adapter_off", LoraSpec(rank=2), "policy"),
]


@pytest.mark.parametrize(("reference", "lora", "expected"), LEGAL)
def test_the_log_probabilities_are_those_of_the_named_weights(
    reference: Any, lora: LoraSpec | None, expected: str, spec: MakeSpec, scores: Any
) -> None:
    run = spec(reference=reference, lora=lora)
    dataset = make_trainer(run).train_dataset
    apart = [abs(one[0] - two[0]) for one, two in zip(scores["policy"], scores["initial"], strict=True)]
    assert min(apart) > 0.01  # ten times the tolerance below, so that
    assert max(apart) > 10  # the other folder's cannot pass for them
    for index, (chosen, rejected, _) in enumerate(scores[expected]):
        assert dataset[index]["ref_chosen_logps"] == pytest.approx(chosen, abs=1e-3)
        assert dataset[index]["ref_rejected_logps"] == pytest.approx(rejected, abs=1e-3)
    assert Path(reference_folder(run)).name == expected


@pytest.mark.parametrize(("reference", "lora", "expected"), LEGAL)
def test_training_does_not_change_them_and_holds_one_model(
    reference: Any, lora: LoraSpec | None, expected: str, spec: MakeSpec, scores: Any
) -> None:
    trainer = make_trainer(spec(reference=reference, lora=lora, epochs=3, learning_rate=1e-2))
    assert trainer.ref_model is None
    trainer.train()
    assert trainer.ref_model is None
    assert getattr(trainer.model, "peft_config", {"default": None}).keys() == {"default"}
    kept = json.loads(trainer._reference_file("train").read_text())
    assert kept["chosen"] == pytest.approx([chosen for chosen, _, _ in scores[expected]], abs=1e-3)
    assert trainer.train_dataset["ref_chosen_logps"][:] == kept["chosen"]


def test_a_second_trainer_reads_the_same_numbers_and_loads_no_reference_model(
    spec: MakeSpec, monkeypatch: pytest.MonkeyPatch
) -> None:
    run = spec(reference="initial")
    first = make_trainer(run).train_dataset.to_list()
    monkeypatch.setattr("lidr.train.dpo.PairTrainer._reference_model", None)  # calling it would fail
    assert make_trainer(run).train_dataset.to_list() == first


def test_the_result_names_the_folder(spec: MakeSpec) -> None:
    run = spec(reference="initial")
    assert run_here(run).reference_folder == run.initial
    run = spec(reference="adapter_off", lora=LoraSpec(rank=2))
    assert run_here(run).reference_folder == run.policy


def test_adapter_off_without_an_adapter_says_what_is_allowed(spec: MakeSpec) -> None:
    with pytest.raises(TrainError, match="adapter_off needs an adapter; add lora, or say reference: prev"):
        run_here(spec(reference="adapter_off"))
