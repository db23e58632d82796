"""Sequence classifiers that scorers ask, here without a worker: what is said of those that cannot answer."""

from __future__ import annotations

import json
import re
import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from lidr.errors import EngineError
from lidr.steps.score.classifier import handle
from tests.tiny_rewards import tiny_estimator, tiny_reward_model

TALK = [{"role": "user", "content": "How?"}, {"role": "assistant", "content": "So."}]
WHERE = "score.reward_model.model"


@pytest.fixture(scope="module")
def reward(tmp_path_factory) -> Path:
    return tiny_reward_model(tmp_path_factory.mktemp("classifiers") / "reward", "llama3")


def asked(model: Path, *said: list[Any], label: int = 0, where: str = WHERE) -> Iterator[tuple[str, float | None, str]]:
    """What the worker finds: (key, value, detail) of each text."""
    loading = {"dtype": "float32", "threads": 1, "engine": "transformers", "max_length": 4096}
    named = [(f"p{number}/de", one) for number, one in enumerate(said)]
    for reply in handle({"model": str(model), "asked": named, "label": label, "where": where, **loading}):
        yield from reply["found"]


def changed(model: Path, folder: Path, file: str, **changes: object) -> Path:
    """A copy of the model with other entries in one of its JSON files."""
    shutil.copytree(model, folder)
    (folder / file).write_text(json.dumps(json.loads((folder / file).read_text()) | changes))
    return folder


def tiny_xlm_roberta(folder: Path, positions: int) -> Path:
    """An estimator with this table of positions, which begin after that of padding; its tokenizer knows no end."""
    from transformers import AutoTokenizer, XLMRobertaConfig, XLMRobertaForSequenceClassification

    estimator = tiny_estimator(folder.with_name("bert"))
    names = ["input_ids", "attention_mask"]
    changed(estimator, folder, "tokenizer_config.json", model_input_names=names)
    tokenizer = AutoTokenizer.from_pretrained(folder)
    assert tokenizer.model_max_length > 10**9
    config = XLMRobertaConfig(
        vocab_size=len(tokenizer), hidden_size=32, num_hidden_layers=1, num_attention_heads=2, intermediate_size=64,
        max_position_embeddings=positions, num_labels=1, pad_token_id=tokenizer.pad_token_id,
    )  # fmt: skip
    XLMRobertaForSequenceClassification(config).save_pretrained(folder)
    return folder


def test_positions_before_that_of_the_first_token_are_none_of_a_text(tmp_path):
    """One text between the two lengths had ended the run: its last position is not in the table."""
    from transformers import AutoTokenizer

    model = tiny_xlm_roberta(tmp_path / "xlm", 66)
    tokenizer = AutoTokenizer.from_pretrained(model)
    most = 66 - tokenizer.pad_token_id - 1
    others = len(tokenizer("", "")["input_ids"])
    fits, too_long = asked(model, ["a" * (most - others), ""], ["a" * (most - others + 1), ""])
    assert fits[1] is not None
    assert fits[2] == f"{most} tokens"
    assert too_long == ("p1/de", None, f"over_long: {most + 1} tokens of at most {most}")


def test_a_conversation_is_no_longer_than_a_table_of_positions(tmp_path):
    estimator = tiny_estimator(tmp_path / "bert")  # 64 positions
    (estimator / "chat_template.jinja").write_text("{% for one in messages %}{{ one.content }} {% endfor %}")
    fits, too_long = asked(estimator, TALK, [TALK[0], {"role": "assistant", "content": "x y " * 40}])
    assert fits[1] is not None
    assert too_long[1] is None
    assert re.fullmatch(r"over_long: \d+ tokens of at most 64", too_long[2])


@pytest.mark.parametrize(
    ("said", "where"), [(TALK, "score.reward_model.model"), (["Wie?", "How?"], "score.mt_quality.estimator")]
)
def test_a_label_that_it_has_not_is_named_with_those_that_it_has(reward, said, where):
    message = f"{where}: it has no label 3, only 0; name one of its labels, or another model"
    with pytest.raises(EngineError, match=f"^{re.escape(message)}$"):
        list(asked(reward, said, label=3, where=where))


def test_a_model_without_a_chat_template_is_told_what_it_needs(tmp_path, reward):
    plain = shutil.copytree(reward, tmp_path / "plain")
    (plain / "chat_template.jinja").unlink()
    message = rf"^{re.escape(WHERE)}: it has no chat template, and reads prompt and answer as a conversation; name"
    with pytest.raises(EngineError, match=message):
        list(asked(plain, TALK))


def test_what_a_template_refuses_is_said_with_the_model_and_the_answer(tmp_path, reward):
    """Templates of some families take no system prompt."""
    strict = shutil.copytree(reward, tmp_path / "strict")
    refusal = "{% if messages[0].role == 'system' %}{{ raise_exception('System role not supported') }}{% endif %}"
    template = strict / "chat_template.jinja"
    template.write_text(refusal + template.read_text())
    assert [value is not None for _, value, _ in asked(strict, TALK)] == [True]
    message = rf"^{re.escape(WHERE)}: p1/de: its chat template .*TemplateError: System role not supported"
    with pytest.raises(EngineError, match=message):
        list(asked(strict, TALK, [{"role": "system", "content": "Be brief."}, *TALK]))


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({"model_type": "m2m_100"}, "Unrecognized configuration class .*M2M100Config"),
        ({"model_type": "of_tomorrow"}, "model type `of_tomorrow`"),
        ({"id2label": {"0": "a", "1": "b"}, "label2id": {"a": 0, "b": 1}}, "ignore_mismatched_sizes"),
    ],
)
def test_what_transformers_does_not_load_is_said_with_the_setting(tmp_path, reward, changes, said):
    other = changed(reward, tmp_path / "other", "config.json", **changes)
    with pytest.raises(EngineError, match=rf"(?s)^{re.escape(WHERE)}: transformers does not load it: .*{said}"):
        list(asked(other, TALK))
