"""lm-eval's own back ends answer without what was thought, as lidr's engines do, and plain lm-eval by its options."""

from __future__ import annotations

import dataclasses
from pathlib import Path
from typing import Any

import pytest

from lidr.evals.benchmarks import task_specs
from lidr.evals.evaluation import identity_of
from lidr.evals.harness.backends import open_lm
from lidr.evals.harness.lm_eval_run import run, task_manager
from lidr.evals.spec import Decoding, EvalSpec
from tests.evals.asked import FACTS, scripted_spec
from tests.thinking import scripted_policy
from tests.tiny import tiny_model

THOUGHT = "<think>Answer: 36</think>18"
TEXTS = {"qwen3": THOUGHT, "r1": "Answer: 36</think>18", "gemma4": "<|channel>Answer: 36<channel|>18"}


def asking(folder: Path, family: str, *, max_tokens: int = 24, backend: str = "hf") -> EvalSpec:
    return scripted_spec(
        folder / "asked",
        backend=backend,
        model=str(scripted_policy(folder / "policy", family, TEXTS[family])),
        tasks=task_specs(("mgsm",), ("en",)),
        decoding=Decoding(max_tokens=max_tokens),
        threads=1,
        max_model_len=400,
    )


def answers(spec: EvalSpec) -> set[str]:
    return {one["response"] for one in run(spec, lambda count: None)["answers"]}


@pytest.mark.parametrize("family", TEXTS)
def test_an_answer_inside_a_thought_is_not_the_answer(tmp_path: Path, family: str) -> None:
    assert answers(asking(tmp_path, family)) == {"18"}


@pytest.mark.parametrize("family", TEXTS)
def test_a_thought_that_was_never_closed_is_an_empty_answer(tmp_path: Path, family: str) -> None:
    """lm-eval's own option leaves it as the answer."""
    assert answers(asking(tmp_path, family, max_tokens=6)) == {""}


def test_stop_strings_do_not_end_a_thought_and_other_models_are_left_alone(tmp_path: Path) -> None:
    with open_lm(asking(tmp_path, "qwen3")) as lm:
        assert lm.think_end_token == "</think>"
    plain = dataclasses.replace(asking(tmp_path / "b", "qwen3"), model=str(tiny_model(tmp_path / "m", "smollm2")))
    with open_lm(plain) as lm:
        assert lm.think_end_token is None
        assert "_model_generate" not in vars(lm)


def test_marks_are_part_of_an_evaluations_identity_where_a_model_has_them(tmp_path: Path) -> None:
    spec = asking(tmp_path, "qwen3")
    loaded: dict[str, Any] = {}
    off = dataclasses.replace(spec, reasoning_parser="none")
    assert identity_of(spec, FACTS, loaded) != identity_of(off, FACTS, loaded)
    plain = dataclasses.replace(spec, model=str(tiny_model(tmp_path / "m", "smollm2")))
    named = dataclasses.replace(plain, model="elsewhere")
    assert identity_of(plain, FACTS, loaded) == identity_of(named, FACTS, loaded)


def test_a_budget_is_part_of_an_evaluation_and_reaches_the_engine(tmp_path: Path) -> None:
    plain = dataclasses.replace(asking(tmp_path, "qwen3"), backend="vllm")
    short = dataclasses.replace(plain, decoding=Decoding(max_tokens=24, thinking_budget=8))
    assert "thinking_budget" not in plain.decoding.as_json()
    assert short.decoding.as_json()["thinking_budget"] == 8
    assert identity_of(plain, FACTS, {}) != identity_of(short, FACTS, {})
    assert (plain.engine_spec().thinking_budget, short.engine_spec().thinking_budget) == (None, 8)
    assert EvalSpec.from_json(dataclasses.asdict(short)) == short


def test_plain_lm_eval_cuts_thoughts_by_its_own_options(tmp_path: Path) -> None:
    """As docs/models.md says."""
    from lm_eval.evaluator import simple_evaluate

    spec = asking(tmp_path, "qwen3")
    words = {"pretrained": spec.model, "dtype": "float32", "think_end_token": "</think>", "enable_thinking": True}
    found = simple_evaluate(
        model="hf",
        model_args=words,
        tasks=["lidr_mgsm_en"],
        task_manager=task_manager(spec.data),
        apply_chat_template=True,
        device="cpu",
        batch_size=2,
        gen_kwargs={"max_gen_toks": 24},
        log_samples=True,
        bootstrap_iters=0,
    )
    assert {row["resps"][0][0] for row in found["samples"]["lidr_mgsm_en"]} == {"18"}
