"""Templates of the shapes that current families have (tests/engines/templates/shapes.py), as engines use them."""

from pathlib import Path

import pytest

from lidr.engines import ChatRequest, EngineSpec, Sampling, TransformersEngine
from lidr.engines.chat import NOT_STARTED, ChatTokenizer, sort_out
from lidr.errors import EngineError
from tests.engines.templates.shapes import HYBRID, NO_PREFILL, NO_SYSTEM, shaped

PREFILL = "<translated>\n"


def request(key: str = "a", prefill: str | None = PREFILL, role: str = "user", max_tokens: int = 4) -> ChatRequest:
    return ChatRequest(key, ({"role": role, "content": "What do bees make?"},), Sampling(max_tokens), prefill=prefill)  # type: ignore[typeddict-item]


def test_a_model_whose_files_name_another_end_stops_at_the_end_of_its_turn(tmp_path: Path) -> None:
    chat = ChatTokenizer.load(str(shaped(tmp_path / "m", HYBRID, ends=False)))
    words = chat._tokenizer.convert_ids_to_tokens(sorted(chat.end_ids))
    assert set(words) == {"<|endoftext|>", "<|im_end|>"}


def test_of_two_tokens_after_a_turn_one_that_the_files_name_is_enough(tmp_path: Path) -> None:
    """As Cohere's: an end of the answer, then the end of the turn, which the files name."""
    folder = shaped(tmp_path / "m", HYBRID.replace("<|im_end|>\\n", "<|im_end|><|endoftext|>"), ends=False)
    chat = ChatTokenizer.load(str(folder))
    assert set(chat._tokenizer.convert_ids_to_tokens(sorted(chat.end_ids))) == {"<|endoftext|>"}


def test_the_end_of_a_channel_is_no_end_of_a_turn(tmp_path: Path) -> None:
    import json

    folder = shaped(tmp_path / "m", HYBRID)
    for name in ("tokenizer.json", "tokenizer_config.json"):
        file = folder / name
        file.write_text(file.read_text().replace("<|im_end|>", "<|end|>").replace("<|im_start|>", "<|channel|>"))
    assert json.loads((folder / "tokenizer.json").read_text())
    harmony = "{% for m in messages %}{{ m.role }}<|channel|>final{{ m.content }}<|end|>{% endfor %}"
    (folder / "chat_template.jinja").write_text(harmony)
    (folder / "generation_config.json").unlink()
    assert ChatTokenizer.load(str(folder)).end_of_turn() is None
    (folder / "chat_template.jinja").write_text(harmony.replace("<|channel|>final", " says "))
    assert ChatTokenizer.load(str(folder)).end_of_turn() is not None


def test_a_template_that_takes_no_started_answer_is_asked_plainly_and_says_so(tmp_path: Path) -> None:
    folder = shaped(tmp_path / "m", NO_PREFILL)
    chat = ChatTokenizer.load(str(folder))
    with pytest.raises(EngineError, match="final message"):
        chat.prompt_ids(request().messages, PREFILL)
    (prompt,), _ = sort_out([request()], chat, None)
    assert prompt.is_plain
    assert list(prompt.ids) == chat.prompt_ids(request().messages)
    assert chat.complete(prompt, [], "stop").served_by == NOT_STARTED
    (plain,), _ = sort_out([request(prefill=None)], chat, None)
    assert not plain.is_plain
    assert chat.complete(plain, [], "stop").served_by == ""
    with TransformersEngine(EngineSpec("transformers", str(folder))) as engine:
        (answer,) = engine.generate([request()])
    assert getattr(answer, "served_by", None) == NOT_STARTED


def test_messages_that_a_template_refuses_are_refused_with_a_started_answer_too(tmp_path: Path) -> None:
    chat = ChatTokenizer.load(str(shaped(tmp_path / "m", NO_SYSTEM)))
    with pytest.raises(EngineError, match="no system turn"):
        sort_out([request(role="system")], chat, None)


def test_a_template_that_takes_one_is_started(tmp_path: Path) -> None:
    chat = ChatTokenizer.load(str(shaped(tmp_path / "m", HYBRID)))
    (prompt,), _ = sort_out([request()], chat, None)
    assert not prompt.is_plain
    assert chat.decode(prompt.ids).endswith(PREFILL)
