"""Log-probabilities without training, against a plain forward pass."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch
from transformers import AutoModelForCausalLM, AutoTokenizer
from trl.trainer.utils import add_fused_lm_head

from lidr.train.likelihoods.pair_margins import handle, mean_logps
from lidr.train.tokens import tokenise
from tests.tiny import tiny_model
from tests.train.runs import rows, write_pairs


@pytest.fixture(scope="module")
def policy(tmp_path_factory) -> Path:
    return tiny_model(tmp_path_factory.mktemp("policy") / "model", "smollm2", seed=1)


def message(policy: Path, files: list[str], **changes):
    base = {"max_length": 400, "micro_batch": 3, "dtype": "float32", "threads": 1, "double_bos": False, "form": {}}
    return {"policy": str(policy), "pairs": files, "trust_remote_code": False, **base, **changes}


def test_margins_do_not_depend_on_the_micro_batch_and_equal_a_plain_pass(policy, tmp_path):
    file = str(write_pairs(tmp_path / "pairs.parquet", rows()))
    wanted = [f"p{i}" for i in range(8)]

    def of(size):
        replies = list(handle(message(policy, [file], only=wanted, micro_batch=size)))
        ids = [name for reply in replies for name in reply["pair_ids"]]
        return dict(zip(ids, [value for reply in replies for value in reply["margins"]], strict=True))

    one, three = of(1), of(3)
    assert list(one) == wanted
    assert one == pytest.approx(three, abs=1e-5)
    tokenizer, model = AutoTokenizer.from_pretrained(policy), AutoModelForCausalLM.from_pretrained(policy).eval()
    (pair, *_), _ = tokenise(rows(1), tokenizer, max_length=400, over_long="drop")
    plain = []
    for completion in (pair.chosen_ids, pair.rejected_ids):
        ids = torch.tensor([pair.prompt_ids + completion])
        with torch.inference_mode():
            logps = model(ids).logits[0, :-1].log_softmax(-1)
        start = len(pair.prompt_ids) - 1
        at = [float(logps[start + i, token]) for i, token in enumerate(completion)]
        plain.append(sum(at) / len(at))
    assert one["p0"] == pytest.approx(plain[0] - plain[1], abs=1e-5)


def test_only_the_pairs_that_are_asked_for_are_looked_at(policy, tmp_path):
    file = str(write_pairs(tmp_path / "pairs.parquet", rows()))
    (reply,) = handle(message(policy, [file], only=["p2", "p5"]))
    assert reply["pair_ids"] == ["p2", "p5"]


def test_a_completion_of_one_token_has_a_mean(policy):
    model = AutoModelForCausalLM.from_pretrained(policy).eval()
    add_fused_lm_head(model)
    assert mean_logps(model, [([1, 2, 3], [4]), ([1], [2, 3, 4, 5])]).shape == (2,)


def test_no_logits_of_all_positions_are_built(policy):
    model = AutoModelForCausalLM.from_pretrained(policy).eval()
    add_fused_lm_head(model)
    built = []
    model.lm_head.register_forward_hook(lambda module, given, logits: built.append(tuple(logits.shape)))
    assert torch.isfinite(mean_logps(model, [([1] * 300, [4, 5])])).all()
    assert built == []
