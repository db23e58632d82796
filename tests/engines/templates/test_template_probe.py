from pathlib import Path
from typing import Any

import pytest

from lidr.engines.templates import fix, probe, training_form
from lidr.errors import EngineError
from tests.engines.templates.shapes import DATED, HYBRID, NO_SYSTEM, OPEN_THOUGHT, REWRITES, shaped, split_newlines
from tests.tiny import FAMILIES, tiny_model


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return shaped(tmp_path_factory.mktemp("tiny") / "m", HYBRID)


@pytest.mark.parametrize("family", FAMILIES)
def test_it_agrees_with_transformers(tmp_path: Path, family: Any) -> None:
    from transformers import AutoTokenizer

    from lidr.engines.chat import ChatTokenizer

    split_newlines(tiny_model(tmp_path, family))
    tokenizer, chat = AutoTokenizer.from_pretrained(tmp_path, local_files_only=True), ChatTokenizer.load(str(tmp_path))
    found = probe(tmp_path, tokenizer.chat_template)
    assert found.agrees()
    (end,) = found.ends_of_turn()
    assert tokenizer.convert_tokens_to_ids(end) == chat.end_of_turn()
    assert found.stops(end)
    assert (found.refuses_system("Be brief.") is not None) == (family == "gemma")
    talk = [{"role": "user", "content": "What do bees make?"}]
    text = tokenizer.apply_chat_template(talk, tokenize=False, add_generation_prompt=True)
    assert text.endswith(found.generation_prompt)
    assert "bees" not in found.generation_prompt


@pytest.mark.parametrize(
    ("template", "agrees"),
    [
        (HYBRID, True),  # the thought is empty in both, but the prompt has none of it
        (fix(HYBRID, {"enable_thinking": False}, None), True),
        (DATED, True),
        (OPEN_THOUGHT, False),
        (REWRITES, False),
    ],
)
def test_whether_prompt_and_answer_agree(folder: Path, template: str, agrees: bool) -> None:
    assert probe(folder, template).agrees() is agrees


def test_an_open_thought_is_closed_and_what_cannot_be_is_told(folder: Path) -> None:
    form = training_form(probe(folder, OPEN_THOUGHT), "auto")
    assert form is not None
    assert (form.template, form.closes) == ("", "\n</think>\n\n")
    assert training_form(probe(folder, OPEN_THOUGHT), None) is None
    assert training_form(probe(folder, REWRITES), "auto") is None
    assert training_form(probe(folder, REWRITES), REWRITES.replace(" (final)", "")) is None
    own = training_form(probe(folder, REWRITES), REWRITES.replace("message.role +", "message.role + (' (final)' if "
                        "message.role == 'assistant' else '') +"))  # fmt: skip
    assert own is not None
    assert "(final)' if" in own.template
    plain = training_form(probe(folder, HYBRID), "auto")
    assert plain is not None
    assert (plain.template, plain.closes, plain.said) == ("", "", "")


def test_a_template_for_training_has_the_same_switches_and_date(folder: Path) -> None:
    import datetime

    fixed = fix(DATED, {"effort": "low"}, datetime.date(2026, 1, 1))
    form = training_form(probe(folder, fixed), DATED + "{# for training #}")
    assert form is not None
    assert form.template == fixed + "{# for training #}"


def test_trls_template_for_training_is_the_one_that_its_function_returns(folder: Path) -> None:
    """By the text of the template, without importing torch; each of TRL's own."""
    import importlib.resources

    from transformers import AutoTokenizer
    from trl import chat_template_utils as trl

    from lidr.engines.templates.template_probe import _of_trl

    tokenizer = AutoTokenizer.from_pretrained(folder, local_files_only=True)
    compared = 0
    for file in sorted((importlib.resources.files("trl") / "chat_templates").iterdir(), key=str):
        if file.name.endswith(".jinja") and "_training" not in file.name:
            text = file.read_text(encoding="utf-8")
            tokenizer.chat_template = text
            try:
                theirs = trl.get_training_chat_template(tokenizer)
            except Exception:  # a processor's template, or one that TRL has no variant of
                continue
            assert theirs is None or _of_trl(text) == theirs, file.name
            compared += theirs is not None
    assert compared > 5


def test_a_template_that_refuses_a_question_is_refused(folder: Path) -> None:
    with pytest.raises(EngineError, match="refuses a plain question: only tools"):
        probe(folder, "{{ raise_exception('only tools') }}")
    with pytest.raises(EngineError, match="line 1"):
        probe(folder, "{% if %}")
    assert probe(folder, NO_SYSTEM).refuses_system("x") == "no system turn"
    leaves = "{{ messages[-1].content }}"
    assert probe(folder, leaves).refuses_system("Be brief.") == "the template leaves it out"


def test_without_a_tokenizer_file_texts_are_compared(tmp_path: Path) -> None:
    (tmp_path / "tokenizer_config.json").write_text('{"eos_token": {"content": "<|im_end|>"}}')
    assert probe(tmp_path, HYBRID).agrees()
    assert not probe(tmp_path, OPEN_THOUGHT).agrees()
    assert probe(tmp_path, HYBRID).ends_of_turn() == ("<|im_end|>",)


def test_an_end_of_turn_that_the_files_do_not_name(tmp_path: Path) -> None:
    found = probe(shaped(tmp_path, HYBRID, ends=False), HYBRID)
    assert found.ends_of_turn() == ("<|im_end|>",)
    assert not found.stops("<|im_end|>")
