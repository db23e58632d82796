"""What a policy's folder says against the recipe, before anything is loaded."""

from __future__ import annotations

import json

import pytest

from lidr.cli.main import main
from tests.evals.asked import write_rows
from tests.tiny import tiny_model


@pytest.fixture
def recipe(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("LIDR_STORE", raising=False)
    tiny_model(tmp_path / "model", "smollm2", max_positions=256)
    (tmp_path / "mine.csv").write_text("id,en,de\na,What is it?,Was ist es?\nb,Who is it?,Wer ist es?\n")
    path = tmp_path / "my.yaml"
    path.write_text(
        "schema: 1\nname: mine\nversion: 0.1.0\nlanguages: {dominant: en, others: [de]}\n"
        "policy: {model: ./model}\nprompts: {source: mine.csv, license: cc0-1.0}\n"
        "chain:\n  - generate: {max_tokens: 64}\n  - translate: {max_tokens: 64}\n  - pair: {drop: joint}\n"
        'iterations:\n  - prompts: "0:2"\nruntime: {engine: transformers}\n'
    )
    return path


def problems(capsys, *words: str) -> list[dict]:
    assert main(["validate", *words, "--json"]) == 2
    return json.loads(capsys.readouterr().out)["problems"]


def test_a_model_without_a_chat_template_is_refused_at_its_name_by_validate_and_plan(recipe, tmp_path, capsys):
    assert main(["validate", str(recipe)]) == 0
    (tmp_path / "model/chat_template.jinja").unlink(missing_ok=True)
    config = tmp_path / "model/tokenizer_config.json"
    config.write_text(json.dumps({k: v for k, v in json.loads(config.read_text()).items() if k != "chat_template"}))
    capsys.readouterr()
    (one,) = problems(capsys, str(recipe))
    assert one["path"] == "policy.model"
    assert one["text"].startswith("model has no chat template")
    assert main(["plan", str(recipe)]) == 2
    assert "policy.model: model has no chat template" in capsys.readouterr().err


def test_a_tokenizer_of_tekken_alone_is_refused_by_its_name(recipe, tmp_path, capsys):
    from lidr.engines import ChatTokenizer
    from lidr.errors import EngineError

    for name in ("tokenizer.json", "tokenizer_config.json", "chat_template.jinja"):
        (tmp_path / "model" / name).unlink()
    (tmp_path / "model/tekken.json").write_text("{}")
    (one,) = problems(capsys, str(recipe))
    assert one["path"] == "policy.model"
    assert "its tokenizer is tekken.json alone, without the tokenizer.json and the chat_template.jinja" in one["text"]
    with pytest.raises(EngineError, match=r"tekken\.json alone, .* or serve the model and name it as openai:NAME@URL"):
        ChatTokenizer.load(str(tmp_path / "model"))


@pytest.mark.parametrize(("number", "step"), [(0, "generate"), (1, "translate")])
def test_answers_as_long_as_the_window_are_refused_at_their_setting(recipe, capsys, number, step):
    override = ["--set", f"chain.{step}.max_tokens=256"]
    (one,) = problems(capsys, str(recipe), *override)
    assert one["path"] == f"chain[{number}].{step}.max_tokens"
    assert "leave no room for a prompt in a window of 256 (max_position_embeddings in model/config.json)" in one["text"]
    assert main(["plan", str(recipe), *override]) == 2
    assert f"{step}.max_tokens: 256 tokens of answer leave no room" in capsys.readouterr().err
    wider = ["--set", "runtime.max_model_len=100", "--set", f"chain.{step}.max_tokens=100"]
    (one,) = problems(capsys, str(recipe), *wider)
    assert "in a window of 100 (runtime.max_model_len)" in one["text"]


def test_so_are_those_of_an_evaluation(recipe, tmp_path, capsys):
    write_rows(tmp_path / "rows")
    chain = "chain=[{{generate: {{max_tokens: 16}}}}, {{evaluate: {{tasks: [mgsm], max_tokens: {}, data: [{}]}}}}]"
    too_long = chain.format(256, tmp_path / "rows")
    (one,) = problems(capsys, str(recipe), "--set", too_long)
    assert one["path"] == "chain[1].evaluate.max_tokens"
    assert main(["plan", str(recipe), "--set", too_long]) == 2
    assert "evaluate.max_tokens: 256 tokens of answer leave no room" in capsys.readouterr().err
    assert main(["validate", str(recipe), "--set", too_long.replace("256", "255")]) == 0


def test_so_are_those_of_prompts_that_are_translated(recipe, capsys):
    (one,) = problems(capsys, str(recipe), "--set", "prompts.translate.max_tokens=300")
    assert one["path"] == "prompts.translate.max_tokens"
