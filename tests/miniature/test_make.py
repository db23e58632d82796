"""Making a policy of the miniature world: an ordinary model folder, and the same one again."""

from __future__ import annotations

import hashlib
from pathlib import Path

import pytest

from lidr.engines.chat import ChatTokenizer
from lidr.engines.engine import ChatRequest, Sampling
from lidr.miniature.make import OF_WORLD, Rows, Stage, corpus, make_base, make_world
from lidr.miniature.model import new_model, new_tokenizer
from lidr.miniature.world import WORLDS
from lidr.transforms.translations import PREFILL, translation_messages

pytest.importorskip("torch")
SHORT = Stage(steps=3, peak=1e-3, problems=4, translations=2)


@pytest.fixture(scope="module")
def tokenizer():
    return new_tokenizer(corpus(1))


def test_each_digit_is_a_token_and_every_text_comes_back(tokenizer):
    for text in ("Lena now has 17 apples.\nAnswer: 17", "¿Cuántos lápices? 305", "Ключ 9"):
        ids = tokenizer(text)["input_ids"]
        assert tokenizer.decode(ids) == text
        assert sum(token.isdigit() for token in map(tokenizer.decode, ids)) == sum(map(str.isdigit, text))


def test_a_row_is_what_the_engine_asks_and_training_sees(tokenizer):
    rows, chat = Rows(tokenizer, WORLDS["skewed"], 1), ChatTokenizer(tokenizer, model="tiny")
    prompt, completion = rows.translation()
    text = tokenizer.decode(prompt)
    asked = text.split("<sentence>\n")[1].split("\n</sentence>")[0]
    language = text.split("sentences into ")[1].split(".")[0]
    assert chat.prompt_ids(translation_messages(asked, language), PREFILL) == prompt
    assert completion[-1] == tokenizer.eos_token_id == chat.end_of_turn()
    prompt, completion = rows.problem()
    question = tokenizer.decode(prompt, skip_special_tokens=True)
    messages = [{"role": "user", "content": question}]
    assert chat.prompt_ids(messages) == prompt
    answered = [*messages, {"role": "assistant", "content": tokenizer.decode(completion, skip_special_tokens=True)}]
    assert tokenizer.apply_chat_template(answered, tokenize=True, return_dict=True)["input_ids"] == prompt + completion


def test_the_policy_has_under_a_million_parameters(tokenizer):
    assert 0.9e6 < sum(weights.numel() for weights in new_model(tokenizer, 1).parameters()) < 1e6


def test_a_seed_makes_the_same_policy_again_and_it_loads_as_any_other(tmp_path):
    said: list[str] = []
    for name in ("one", "two"):
        base = tmp_path / f"base-{name}"
        make_base(base, 3, SHORT, said.append)
        make_world(tmp_path / name, base, WORLDS["skewed"], 3, SHORT, said.append)
    assert _sha256(tmp_path / "one") == _sha256(tmp_path / "two") != _sha256(tmp_path / "base-one")
    assert len(said) == 4
    assert said[0].startswith("step 3 of 3: loss ")
    from lidr.engines.engine import EngineSpec
    from lidr.engines.transformers import TransformersEngine

    engine = TransformersEngine(EngineSpec(kind="transformers", model=str(tmp_path / "one")))
    request = ChatRequest("a", ({"role": "user", "content": "3 + 4?"},), sampling=Sampling(max_tokens=4))
    assert len(list(engine.generate([request]))) == 1


def test_the_stage_of_a_world_is_the_shorter_one():
    from lidr.miniature.make import BASE

    assert OF_WORLD.steps < BASE.steps


def _sha256(folder: Path) -> str:
    return hashlib.sha256((folder / "model.safetensors").read_bytes()).hexdigest()
