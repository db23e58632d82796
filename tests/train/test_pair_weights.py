"""Pairs with a weight: the loss, and the gradient of the real trainer, against plain torch in float64."""

from __future__ import annotations

import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import torch
from transformers import AutoTokenizer

from lidr.errors import RowError, TrainError
from lidr.rows import Pair
from lidr.train.checkpoints import run_folder
from lidr.train.loss import dpo_nll
from lidr.train.tokens import read_pairs, tokenise
from lidr.train.training_run import run
from lidr.train.training_spec import TrainSpec
from tests.train.runs import ignore, independent_sums, load64, rows, train_here
from tests.train.test_dpo import assert_gradients_agree

MakeSpec = Callable[..., TrainSpec]
WEIGHTS = (0.25, 1.0, 3.0, 0.5, 1.5, 2.0, 0.1, 0.65)
PAIR_LOSSES = ("sigmoid", "ipo", "hinge")


def weighted(path: Path, weights: tuple[float | None, ...]) -> str:
    """The pairs of `rows` with the column `weight`."""
    table = [row | {"weight": weight} for row, weight in zip(rows(len(weights)), weights, strict=True)]
    pq.write_table(pa.Table.from_pylist(table, schema=Pair.schema_with({"weight"})), path)
    return str(path)


def test_a_file_of_pairs_with_weights_is_of_schema_2_and_one_without_them_as_ever(tmp_path: Path) -> None:
    assert Pair.schema_with(Pair.schema.names) is Pair.schema
    file = weighted(tmp_path / "pairs.parquet", WEIGHTS)
    assert pq.read_schema(file).metadata[b"lidr.schema"] == b"2"
    assert pq.read_schema(file).names == [*Pair.schema.names, "weight"]


@pytest.mark.parametrize("loss", PAIR_LOSSES)
@pytest.mark.parametrize("micro_batch", [1, 4, 8])
@pytest.mark.parametrize("per", ["sequence", "batch"])
def test_the_gradient_is_that_of_the_weighted_means(
    per: str, micro_batch: int, loss: Any, spec: MakeSpec, scores: Any, tmp_path: Path
) -> None:
    """Sums over the optimiser batch of weight times term, over the sum of the weights, whatever it is cut into."""
    pairs = (weighted(tmp_path / "pairs.parquet", WEIGHTS),)
    asked = spec(pairs=pairs, nll_per=per, micro_batch=micro_batch, reference="initial", nll_weight=0.7, loss=loss)
    trained = train_here(asked)
    model, tokenizer = load64(asked.policy), AutoTokenizer.from_pretrained(asked.policy)
    weight = torch.tensor(WEIGHTS, dtype=torch.float64)
    terms, nlls, lengths = [], [], []
    for row, (q_c, q_r, _) in zip(rows(), scores["initial"], strict=True):
        sums = independent_sums(model, tokenizer, row)
        n_r = independent_sums(
            model, tokenizer, row | {"chosen": row["rejected"], "rejected": row["chosen"]}
        ).chosen_tokens
        h = (sums.chosen - q_c) - (sums.rejected - q_r)
        h_n = (sums.chosen - q_c) / sums.chosen_tokens - (sums.rejected - q_r) / n_r
        of_pair = {
            "sigmoid": torch.log1p(torch.exp(-0.1 * h)),
            "hinge": torch.clamp(1 - 0.1 * h, min=0),
            "ipo": (h_n - 5.0) ** 2,
        }
        terms.append(of_pair[loss])
        nlls.append(-sums.chosen)
        lengths.append(float(sums.chosen_tokens))
    n, nll = torch.tensor(lengths, dtype=torch.float64), torch.stack(nlls)
    compared = (weight * torch.stack(terms)).sum() / weight.sum()
    liked = (weight * nll / n).sum() / weight.sum() if per == "sequence" else (weight * nll).sum() / (weight * n).sum()
    (compared + 0.7 * liked).backward()
    (step,) = trained.steps
    assert step["dpo"] == pytest.approx(compared.item(), rel=1e-5, abs=1e-5)
    assert step["nll"] == pytest.approx(liked.item(), rel=1e-5)
    assert step["loss"] == pytest.approx((compared + 0.7 * liked).item(), rel=1e-5)
    assert_gradients_agree(trained.gradient, {name: p.grad for name, p in model.named_parameters()})


@pytest.mark.parametrize("per", ["sequence", "token", "batch"])
def test_a_weight_of_two_is_the_pair_twice_and_only_ratios_matter(per: Any) -> None:
    sums = [torch.tensor(row, dtype=torch.float64) for row in ((-20, -9), (-40, -8), (-30, -9), (-30, -8))]
    lengths = torch.tensor([10.0, 7.0])
    weight = torch.tensor([2.0, 1.0], dtype=torch.float64)
    settings: dict[str, Any] = {"beta": 0.1, "weight": 0.3, "per": per}
    one = dpo_nll(*sums, lengths, **settings, pair_weights=weight)
    scaled = dpo_nll(*sums, lengths, **settings, pair_weights=weight * 5)
    twice = dpo_nll(*(row[[0, 0, 1]] for row in sums), lengths[[0, 0, 1]], **settings)
    assert [value.item() for value in one] == pytest.approx([value.item() for value in twice])
    assert [value.item() for value in one] == pytest.approx([value.item() for value in scaled])


def test_weights_of_one_are_none_to_the_last_bit_and_to_the_work_folder(spec: MakeSpec, tmp_path: Path) -> None:
    plain = spec(reference="initial", micro_batch=4)
    ones = spec(pairs=(weighted(tmp_path / "ones.parquet", (1.0,) * 7 + (None,)),), reference="initial", micro_batch=4)
    gradients = [train_here(one).gradient for one in (plain, ones)]
    assert all(torch.equal(gradients[0][name], gradients[1][name]) for name in gradients[0])
    tokenizer = AutoTokenizer.from_pretrained(plain.policy)

    def folder(pairs: tuple[str, ...]) -> str:
        made, _ = tokenise(read_pairs(pairs), tokenizer, max_length=1024, over_long="drop")
        return run_folder(plain, made).name

    assert folder(plain.pairs) == folder(ones.pairs)
    assert folder(plain.pairs) != folder((weighted(tmp_path / "other.parquet", WEIGHTS),))


def test_sft_weighs_its_pairs_too(spec: MakeSpec, tmp_path: Path) -> None:
    file = weighted(tmp_path / "pairs.parquet", WEIGHTS)
    result = run(spec(pairs=(file,), method="sft", micro_batch=4), ignore)
    model = load64(spec().policy)
    tokenizer = AutoTokenizer.from_pretrained(spec().policy)
    with torch.no_grad():
        sums = [independent_sums(model, tokenizer, row) for row in rows()]
    nll = sum(w * -float(s.chosen) / s.chosen_tokens for w, s in zip(WEIGHTS, sums, strict=True)) / sum(WEIGHTS)
    assert result.steps[0].nll == pytest.approx(nll, rel=1e-5)


@pytest.mark.parametrize("weight", [0.0, -1.0, float("nan"), float("inf"), 1e-50, 1e39])  # the last two: in float32
def test_a_weight_that_is_none_is_named(weight: float, tmp_path: Path) -> None:
    file = weighted(tmp_path / "pairs.parquet", (1.0, weight))
    with pytest.raises(
        RowError, match=rf"pairs\.parquet: p1: weight {re.escape(str(weight))}: .* above 0, in float32; drop the pair"
    ):
        read_pairs((file,))


def test_settings_of_trl_that_change_the_term_of_a_pair_are_refused_beside_weights(
    spec: MakeSpec, tmp_path: Path
) -> None:
    file = weighted(tmp_path / "pairs.parquet", WEIGHTS)
    with pytest.raises(TrainError, match=r"train\.trl\.ld_alpha: .* pairs have weights"):
        run(spec(pairs=(file,), trl={"ld_alpha": 0.5}), ignore)
