"""The number format of a checkpoint, wherever its config.json says it."""

from __future__ import annotations

import json

import pytest

import lidr
from lidr.errors import HubError, PlanError
from lidr.steps import own_dtype
from tests.scripted import write_world


@pytest.mark.parametrize(
    ("said", "dtype"),
    [
        ({"dtype": "bfloat16"}, "bfloat16"),
        ({"torch_dtype": "float16"}, "float16"),
        ({"text_config": {"dtype": "bfloat16"}}, "bfloat16"),
        ({"text_config": {"torch_dtype": "bfloat16"}}, "bfloat16"),
        ({"dtype": "float32", "text_config": {"dtype": "bfloat16"}}, "float32"),
        ({"dtype": None, "text_config": {"dtype": "bfloat16"}, "vision_config": {"dtype": "float32"}}, "bfloat16"),
    ],
)
def test_a_wrapper_says_it_of_its_text_part(tmp_path, said, dtype):
    (tmp_path / "config.json").write_text(json.dumps(said), encoding="utf-8")
    assert own_dtype(tmp_path / "config.json") == dtype


def test_nothing_said_is_no_format(tmp_path):
    (tmp_path / "config.json").write_text('{"text_config": {}}', encoding="utf-8")
    with pytest.raises(PlanError, match="names no number format; write one: "):
        own_dtype(tmp_path / "config.json")


def test_a_model_that_is_not_here_names_the_setting_that_asks_for_it(tmp_path, monkeypatch):
    monkeypatch.setenv("HF_ENDPOINT", "http://127.0.0.1:9")
    model = f"policy={{model: org/away, revision: {'a' * 40}, dtype: auto}}"
    recipe = lidr.load_recipe(write_world(tmp_path), overrides=[model, "runtime.engine=transformers"])
    with pytest.raises(HubError, match=r"policy\.dtype: auto is read from config\.json of org/away, .*; write one: "):
        lidr.plan(recipe)
