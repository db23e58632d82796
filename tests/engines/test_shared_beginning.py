"""What prompts begin with alike is computed once for a batch, and no answer is another for it."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
import torch

from lidr.engines.engine import ChatRequest, EngineSpec
from lidr.engines.transformers import TransformersEngine
from lidr.evals.judge.local.logprob_engine import Asked, ScoringEngine
from tests.engines.helpers import ask, by_key
from tests.odd_models import odd_model
from tests.tiny import FAMILIES, Family, tiny_model

RULES = "Read the rules and answer. " * 4
DYNAMIC = {"rope_type": "dynamic", "factor": 2.0, "rope_theta": 10000.0}
TEXTS = ("What do bees make?", "¿Qué?", "蜜蜂は何を作りますか。" * 3, "И всё? " * 9, "Hi")


@pytest.fixture(scope="module")
def folders(tmp_path_factory: pytest.TempPathFactory) -> dict[Family, Path]:
    return {family: tiny_model(tmp_path_factory.mktemp("tiny") / family, family, seed=1) for family in FAMILIES}


def load(folder: Path, **settings: Any) -> TransformersEngine:
    return TransformersEngine(EngineSpec("transformers", model=str(folder), threads=1, **settings))


def requests(*texts: str, **sampling: object) -> list[ChatRequest]:
    return [ask(f"{number}", text, **sampling) for number, text in enumerate(texts)]


@pytest.fixture
def tokens_seen() -> Iterator[Callable[[Any], list[int]]]:
    """How many tokens each pass of an engine's model takes in: rows times width."""
    hooks = []

    def watch(engine: TransformersEngine) -> list[int]:
        seen: list[int] = []
        embeddings = engine._model.get_input_embeddings()
        hooks.append(embeddings.register_forward_pre_hook(lambda _, inputs: seen.append(inputs[0].numel())))
        return seen

    yield watch
    for hook in hooks:
        hook.remove()


@pytest.mark.parametrize("family", FAMILIES)
def test_a_shared_beginning_is_computed_once_and_answers_are_the_same(
    folders: dict[Family, Path], family: Family, tokens_seen: Callable[[Any], list[int]]
) -> None:
    asked = requests(*(RULES + text for text in TEXTS), max_tokens=12, repetition_penalty=1.2, presence_penalty=0.3)
    alone = by_key(load(folders[family], batch=1).generate(asked))
    engine = load(folders[family], batch=5)
    seen = tokens_seen(engine)
    assert by_key(engine.generate(asked)) == alone
    lengths = [answer.prompt_tokens for answer in alone.values()]
    beginning, others = seen[:2]
    assert beginning > 32
    assert others == len(asked) * (max(lengths) - beginning)


def test_what_is_shared_is_all_that_is_alike_but_the_last_token(
    folders: dict[Family, Path], tokens_seen: Callable[[Any], list[int]]
) -> None:
    engine = load(folders["llama3"], batch=4)
    seen = tokens_seen(engine)
    answers = by_key(engine.generate(requests(*[RULES] * 3, max_tokens=1)))
    assert seen == [answers["0"].prompt_tokens - 1, 3]
    assert len({answer.token_ids for answer in answers.values()}) == 1


@pytest.mark.parametrize("family", FAMILIES)
@pytest.mark.parametrize("beginning", ["", RULES], ids=["nothing shared", "a shared beginning"])
def test_a_prompt_with_several_samples_is_computed_once_and_answers_are_the_same(
    folders: dict[Family, Path], family: Family, beginning: str, tokens_seen: Callable[[Any], list[int]]
) -> None:
    texts = [beginning + text * 6 for text in ("What do bees make? ", "And rain, what? ")]
    asked = [
        ask(f"{number}/{sample}", text, max_tokens=8, temperature=0.8, seed=sample)
        for number, text in enumerate(texts)
        for sample in range(3)
    ]
    alone = by_key(load(folders[family], batch=1).generate(asked))
    engine = load(folders[family], batch=6)
    seen = tokens_seen(engine)
    assert by_key(engine.generate(asked)) == alone
    longest = max(answer.prompt_tokens for answer in alone.values())
    *of_all, of_each = seen[: seen.index(len(asked))]  # then comes the last token of each
    assert bool(of_all) == (beginning != "" or family == "smollm2")  # whose template says a lot before the question
    assert of_each == 2 * (longest - 1 - sum(of_all))


@pytest.mark.parametrize("texts", [TEXTS, (RULES,)], ids=["little is shared", "one prompt"])
def test_what_is_not_worth_it_is_one_pass(
    folders: dict[Family, Path], texts: tuple[str, ...], tokens_seen: Callable[[Any], list[int]]
) -> None:
    engine = load(folders["llama3"], batch=5)
    seen = tokens_seen(engine)
    answers = by_key(engine.generate(requests(*texts, max_tokens=1)))
    assert seen == [len(texts) * max(answer.prompt_tokens for answer in answers.values())]


@pytest.mark.parametrize(
    ("kind", "changes"),
    [("qwen3_5", {}), ("gemma3", {}), ("mistral3", {}), ("gpt_oss", {}), ("qwen3", {"rope_parameters": DYNAMIC})],
)
def test_models_that_padding_in_the_middle_would_disturb_share_nothing(
    tmp_path: Path, kind: str, changes: dict[str, Any], tokens_seen: Callable[[Any], list[int]]
) -> None:
    asked = requests(*(RULES + text for text in TEXTS))
    folder = odd_model(tmp_path / "policy", kind, **changes)
    alone = by_key(load(folder, batch=1).generate(asked))
    engine = load(folder, batch=5)
    seen = tokens_seen(engine)
    assert by_key(engine.generate(asked)) == alone
    assert seen[0] == len(asked) * max(answer.prompt_tokens for answer in alone.values())


def test_a_judge_says_the_same_of_questions_that_share_their_template(
    folders: dict[Family, Path], tokens_seen: Callable[[Any], list[int]]
) -> None:
    engine = ScoringEngine(EngineSpec("transformers", str(folders["qwen2"]), threads=1))
    asked = [Asked(request, top=5) for request in requests(*(RULES + text for text in TEXTS), max_tokens=2)]
    alone = [engine.answer([one])[0] for one in asked]
    seen = tokens_seen(engine)
    together = engine.answer(asked)
    beginning, others = seen[:2]
    longest = max(one.completion.prompt_tokens for one in alone)
    assert beginning > 32
    assert others == len(asked) * (longest - beginning)
    for one, other in zip(alone, together, strict=True):
        assert one.completion.token_ids == other.completion.token_ids
        assert one.steps is not None
        assert other.steps is not None
        for step, its in zip(one.steps, other.steps, strict=True):
            assert [token for token, _ in step.top] == [token for token, _ in its.top]
            assert torch.tensor([v for _, v in its.top]).allclose(torch.tensor([v for _, v in step.top]), atol=1e-5)
