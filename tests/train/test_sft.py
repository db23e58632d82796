"""The baseline: NLL of the chosen answers alone, in the trainer of the method."""

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

from lidr.train.checkpoints import run_folder
from lidr.train.sft import ChosenTrainer
from lidr.train.training_run import run, token_pairs
from lidr.train.training_spec import LoraSpec, TrainResult, TrainSpec
from tests.train.runs import independent_sums, load64, row, rows, run_here, write_pairs

MakeSpec = Callable[..., TrainSpec]


def first_gradient(spec: TrainSpec) -> tuple[dict[str, float], dict[str, torch.Tensor]]:
    """What the first optimiser step logs, and its gradient."""
    from transformers import TrainerCallback

    kept: dict[str, torch.Tensor] = {}

    class Keep(TrainerCallback):
        def on_pre_optimizer_step(self, args: Any, state: Any, control: Any, model: Any, **_: Any) -> None:
            if not kept:
                kept.update({n: p.grad.clone() for n, p in model.named_parameters() if p.grad is not None})

    tokenizer = AutoTokenizer.from_pretrained(spec.policy)
    pairs, _ = token_pairs(spec, tokenizer)
    trainer = ChosenTrainer(spec, pairs, tokenizer, Path(spec.work), [Keep()])
    trainer.train()
    return next(entry for entry in trainer.state.log_history if "nll" in entry), kept


def other_rejected(count: int = 8) -> list[dict[str, Any]]:
    """The same pairs with rejected answers that have nothing to do with the old ones."""
    return [{**pair, "rejected": [{"role": "assistant", "content": f"{i} wax"}]} for i, pair in enumerate(rows(count))]


@pytest.mark.parametrize("micro_batch", [2, 8])
@pytest.mark.parametrize("per", ["sequence", "batch"])
def test_loss_and_gradient_are_those_of_the_chosen_answers_alone(per: str, micro_batch: int, spec: MakeSpec) -> None:
    settings = spec(method="sft", nll_per=per, micro_batch=micro_batch)
    step, gradient = first_gradient(settings)
    model, tokenizer = load64(settings.policy), AutoTokenizer.from_pretrained(settings.policy)
    sums = [independent_sums(model, tokenizer, pair) for pair in rows()]
    tokens = sum(one.chosen_tokens for one in sums)
    nll = sum(-one.chosen / (one.chosen_tokens * len(sums) if per == "sequence" else tokens) for one in sums)
    nll.backward()
    assert step["loss"] == pytest.approx(nll.item(), rel=1e-5)
    largest = max(float(g.abs().max()) for g in gradient.values())
    for name, parameter in model.named_parameters():
        assert float((gradient[name].double() - parameter.grad).abs().max()) < 1e-5 * largest, name


def test_per_token_is_a_mean_over_the_tokens_of_a_micro_batch(spec: MakeSpec) -> None:
    token, batch = (first_gradient(spec(method="sft", nll_per=per))[0]["loss"] for per in ("token", "batch"))
    assert token == pytest.approx(batch, rel=1e-6)  # one micro-batch is the whole batch
    parts = first_gradient(spec(method="sft", nll_per="token", micro_batch=2))[0]["loss"]
    assert parts != pytest.approx(batch, rel=1e-4)


def weights(spec: TrainSpec) -> dict[str, torch.Tensor]:
    return load_file(Path(spec.model_out) / "model.safetensors")


@pytest.mark.parametrize("lora", [None, LoraSpec(rank=2)], ids=["full", "lora"])
def test_rejected_answers_never_matter(lora: LoraSpec | None, spec: MakeSpec, tmp_path: Path) -> None:
    table = write_pairs(tmp_path / "other.parquet", other_rejected())
    one, other = (spec(method="sft", lora=lora, batch=4, micro_batch=2, pairs=p) for p in (spec().pairs, (str(table),)))
    results = [run_here(one), run_here(other)]
    assert [r.steps for r in results] == [results[0].steps] * 2
    for name, tensor in weights(one).items():
        assert torch.equal(tensor, weights(other)[name])


def test_a_rejected_answer_that_is_empty_equal_or_too_long_costs_a_pair_nothing(spec: MakeSpec, tmp_path: Path) -> None:
    pairs = [
        row("empty", "What do bees make?", "Honey.", " "),
        row("equal", "What do bees make?", "Honey.", "Honey."),
        row("long", "What do bees make?", "Honey.", "wax " * 300),
        row("bad", "What do bees make?", " ", "Honey."),
    ]
    table = (str(write_pairs(tmp_path / "p.parquet", pairs)),)
    result = run_here(spec(method="sft", pairs=table, batch=1, micro_batch=1, max_length=200))
    assert result.pairs_trained == 3
    assert [(d.pair_id, d.reason) for d in result.dropped] == [("bad", "empty_completion")]


def test_no_reference_is_loaded_and_no_margin_is_claimed(spec: MakeSpec) -> None:
    settings = spec(method="sft", reference="initial", initial="/nowhere")
    result = run_here(settings)
    assert (result.groups, result.reference_folder) == ((), "")
    assert [(s.dpo, s.margin, s.accuracy) for s in result.steps] == [(None, None, None)]
    assert not list(Path(settings.work).rglob("reference.json"))
    assert TrainResult.from_json(json.loads(json.dumps(dataclasses.asdict(result)))) == result


def test_the_chosen_answers_become_more_likely(spec: MakeSpec) -> None:
    steps = run_here(spec(method="sft", epochs=6.0)).steps
    assert steps[-1].nll < steps[0].nll - 0.05


class CutOffError(Exception):
    pass


def test_an_interrupted_run_goes_on_and_ends_with_the_same_weights(spec: MakeSpec) -> None:
    settings = {"method": "sft", "batch": 2, "micro_batch": 2, "save_steps": 1}
    whole, cut = spec(**settings), spec(**settings)
    expected = run_here(whole)

    def cut_off(step: Any, total: int) -> None:
        if step.step == 3:
            raise CutOffError

    with pytest.raises(CutOffError):
        run(cut, cut_off)
    seen: list[int] = []
    result = run(cut, lambda step, total: seen.append(step.step))
    assert (seen, result.steps) == ([3, 4], expected.steps)
    for name, tensor in weights(whole).items():
        assert torch.equal(tensor, weights(cut)[name])


def test_the_method_the_sides_and_a_second_bos_are_part_of_a_runs_identity(spec: MakeSpec) -> None:
    base = spec()
    pairs, _ = token_pairs(base, AutoTokenizer.from_pretrained(base.policy))
    changes: list[dict[str, Any]] = [{}, {"method": "sft"}, {"sides": "swapped"}, {"sides": "shuffled"}]
    changes += [{"double_bos": True}]
    assert len({run_folder(dataclasses.replace(base, **change), pairs).name for change in changes}) == len(changes)


def test_a_loss_that_is_not_finite_stops_the_run(spec: MakeSpec) -> None:
    from lidr.errors import TrainError

    with pytest.raises(TrainError, match=r"the loss is not finite \(nll (nan|inf)\)"):
        run_here(spec(method="sft", learning_rate=1e30, batch=1, micro_batch=1))
