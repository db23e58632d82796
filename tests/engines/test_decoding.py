"""The ways of sampling against transformers' own processors, and against a loop that decodes one token at a time."""

from pathlib import Path

import pytest
import torch
from transformers import MinPLogitsWarper, TemperatureLogitsWarper, TopKLogitsWarper, TopPLogitsWarper

from lidr.engines.decoding import SeededChoice
from lidr.engines.engine import EngineSpec, Sampling
from lidr.engines.transformers import TransformersEngine
from tests.engines.helpers import ask, by_key
from tests.tiny import tiny_model

LOGITS = torch.tensor([[2.0, 1.6, 1.5, 0.9, 0.3, -0.4, -1.0, -2.5]])
DRAWS = 20_000


@pytest.mark.parametrize(
    ("top_k", "min_p", "top_p"),
    [(3, 0.0, 1.0), (0, 0.3, 1.0), (5, 0.0, 0.7), (0, 0.2, 0.8), (4, 0.3, 0.9), (1, 0.0, 1.0), (50, 0.9, 0.5)],
)
def test_tokens_are_drawn_as_transformers_processors_in_vllms_order_say(top_k, min_p, top_p):
    chain = [TemperatureLogitsWarper(0.8)]
    chain += [MinPLogitsWarper(min_p)] if min_p else []
    chain += [TopKLogitsWarper(top_k)] if top_k else []
    chain += [TopPLogitsWarper(top_p)] if top_p < 1 else []
    expected = LOGITS
    for one in chain:
        expected = one(torch.zeros(1, 1, dtype=torch.long), expected)
    sampling = Sampling(max_tokens=1, temperature=0.8, top_p=top_p, top_k=top_k, min_p=min_p)
    choice = SeededChoice.of(sampling, range(DRAWS))
    drawn = choice(torch.zeros(DRAWS, 1, dtype=torch.long), LOGITS.expand(DRAWS, -1)).argmax(-1)
    shares = drawn.bincount(minlength=LOGITS.shape[1]) / DRAWS
    wanted = expected.softmax(-1)[0]
    assert (shares > 0).tolist() == (wanted > 0).tolist()
    assert shares.tolist() == pytest.approx(wanted.tolist(), abs=0.014)  # 4 standard errors


def test_equally_likely_tokens_at_the_edge_of_top_k_stay_together():
    choice = SeededChoice(range(2000), temperature=1.0, top_k=2)
    scores = torch.tensor([[3.0, 2.0, 2.0, 0.0]]).expand(2000, -1)
    assert set(choice(torch.zeros(2000, 1, dtype=torch.long), scores).argmax(-1).tolist()) == {0, 1, 2}


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tiny_model(tmp_path_factory.mktemp("tiny") / "qwen2", "qwen2", seed=1)


@pytest.mark.parametrize(("penalty", "repetition"), [(1.5, 1.0), (-0.7, 1.0), (1.5, 1.2)])
def test_presence_is_counted_in_the_answer_alone_and_in_no_other_row(folder, penalty, repetition):
    texts = ("What do bees make?", "蜜蜂は何を作りますか。" * 3, "Hi")
    asked = [ask(text, text, max_tokens=20, presence_penalty=penalty, repetition_penalty=repetition) for text in texts]
    with TransformersEngine(EngineSpec("transformers", str(folder), batch=3, threads=1)) as engine:
        answers = by_key(engine.generate(asked))
        for request in asked:
            prompt = engine._chat.prompt_ids(request.messages)
            plain = _one_by_one(engine._model, prompt, engine._chat.end_ids, penalty, repetition)
            assert list(answers[request.key].token_ids) == plain


def _one_by_one(model, prompt, ends, penalty, repetition):
    said = []
    while len(said) < 20:
        with torch.inference_mode():
            logits = model(torch.tensor([prompt + said])).logits[0, -1].tolist()
        for token in {*prompt, *said}:
            logits[token] = logits[token] / repetition if logits[token] > 0 else logits[token] * repetition
        for token in set(said):
            logits[token] -= penalty
        token = max(range(len(logits)), key=logits.__getitem__)
        if token in ends:
            break
        said.append(token)
    return said


def test_requests_of_several_windows_are_all_answered_alike(folder, monkeypatch):
    asked = [ask(f"{number}", "bees " * number, max_tokens=6) for number in range(7)]
    with TransformersEngine(EngineSpec("transformers", str(folder), batch=2, threads=1)) as engine:
        expected = by_key(engine.generate(asked))
        monkeypatch.setattr("lidr.engines.transformers.WINDOW", 3)
        taken = []
        stream = engine.generate(taken.append(request.key) or request for request in asked)
        next(stream)
        assert taken == ["0", "1", "2"]
        rest = by_key(stream)
    assert {key: expected[key] for key in rest} == rest
    assert len(rest) == 6
