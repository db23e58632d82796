import json
from pathlib import Path
from typing import Any

import pytest

from lidr.engines.chat import ChatTokenizer, Prompt, sort_out
from lidr.engines.engine import Message
from lidr.errors import EngineError
from tests.engines.helpers import ask
from tests.tiny import FAMILIES, Family, tiny_model

PREFILL = "<translated>\n"
BOS = {"llama3": "<|begin_of_text|>", "gemma": "<bos>"}
HEADER = {
    "smollm2": "<|im_start|>assistant\n",
    "llama3": "<|start_header_id|>assistant<|end_header_id|>\n\n",
    "qwen2": "<|im_start|>assistant\n",
    "gemma": "<start_of_turn>model\n",
}
CONVERSATIONS: list[list[Message]] = [
    [{"role": "user", "content": "What do bees make?"}],
    [{"role": "user", "content": "  ¿Qué hacen las abejas?\n\n- miel\n- cera\n"}],
    [
        {"role": "user", "content": "蜜蜂は何を作りますか。"},
        {"role": "assistant", "content": "蜂蜜です。"},
        {"role": "user", "content": "И всё?"},
    ],
]


@pytest.fixture(scope="module")
def folders(tmp_path_factory: pytest.TempPathFactory) -> dict[Family, Path]:
    return {family: tiny_model(tmp_path_factory.mktemp("tiny") / family, family) for family in FAMILIES}


def raw(folder: Path) -> Any:
    from transformers import AutoTokenizer

    return AutoTokenizer.from_pretrained(folder, local_files_only=True)


@pytest.mark.parametrize("family", FAMILIES)
def test_prompts_have_the_ids_of_trls_conversational_prompts(folders: dict[Family, Path], family: Family) -> None:
    chat, tokenizer = ChatTokenizer.load(str(folders[family])), raw(folders[family])
    for messages in CONVERSATIONS:
        as_trl_does = tokenizer.apply_chat_template(messages, add_generation_prompt=True, tokenize=True)["input_ids"]
        assert chat.prompt_ids(messages) == as_trl_does


@pytest.mark.parametrize("family", FAMILIES)
def test_a_prompt_has_exactly_one_bos_where_the_family_wants_one(folders: dict[Family, Path], family: Family) -> None:
    tokenizer = raw(folders[family])
    ids = ChatTokenizer.load(str(folders[family])).prompt_ids(CONVERSATIONS[0], PREFILL)
    if family in BOS:
        assert tokenizer.convert_ids_to_tokens(ids[0]) == BOS[family]
        assert ids.count(ids[0]) == 1
    else:
        assert not set(BOS.values()) & set(tokenizer.convert_ids_to_tokens(ids))


@pytest.mark.parametrize("family", FAMILIES)
@pytest.mark.parametrize("prefill", [PREFILL, "Sure:", "- one\n- "])
def test_a_prompt_ends_exactly_with_its_prefill(folders: dict[Family, Path], family: Family, prefill: str) -> None:
    chat, tokenizer = ChatTokenizer.load(str(folders[family])), raw(folders[family])
    for messages in CONVERSATIONS:
        plain, started = (
            tokenizer.decode(chat.prompt_ids(messages)),
            tokenizer.decode(chat.prompt_ids(messages, prefill)),
        )
        assert plain.endswith(HEADER[family])
        assert started == plain + prefill


def test_the_stock_continuation_loses_a_last_newline_where_the_template_trims(folders: dict[Family, Path]) -> None:
    # The reason why `_render` repairs it; when this fails, the repair can go.
    messages = [*CONVERSATIONS[0], {"role": "assistant", "content": PREFILL}]
    texts = {
        family: raw(folders[family]).apply_chat_template(messages, continue_final_message=True, tokenize=False)
        for family in FAMILIES
    }
    assert {family for family, text in texts.items() if not text.endswith(PREFILL)} == {"llama3", "gemma"}


def test_ends_are_those_of_the_generation_config_and_of_the_tokenizer(folders: dict[Family, Path]) -> None:
    names = {
        family: set(raw(folder).convert_ids_to_tokens(sorted(ChatTokenizer.load(str(folder)).end_ids)))
        for family, folder in folders.items()
    }
    assert names == {
        "smollm2": {"<|im_end|>"},
        "llama3": {"<|eot_id|>", "<|end_of_text|>"},
        "qwen2": {"<|im_end|>", "<|endoftext|>"},
        "gemma": {"<eos>", "<end_of_turn>"},
    }


def test_the_end_of_turn_is_read_off_the_template(folders: dict[Family, Path]) -> None:
    ends = {
        family: raw(folder).convert_ids_to_tokens(ChatTokenizer.load(str(folder)).end_of_turn())
        for family, folder in folders.items()
    }
    assert ends == {
        "smollm2": "<|im_end|>",
        "llama3": "<|eot_id|>",
        "qwen2": "<|im_end|>",
        "gemma": "<end_of_turn>",
    }


def test_a_model_without_a_chat_template_is_refused_with_advice(tmp_path: Path) -> None:
    folder = tiny_model(tmp_path / "base", "qwen2")
    (folder / "chat_template.jinja").unlink()
    with pytest.raises(EngineError, match=r"base has no chat template.*chat_template\.jinja into the model's folder"):
        ChatTokenizer.load(str(folder))


def test_a_refused_system_message_is_named_with_the_model_and_the_way_out(folders: dict[Family, Path]) -> None:
    messages: list[Message] = [{"role": "system", "content": "Be brief."}, *CONVERSATIONS[0]]
    with pytest.raises(EngineError, match=r"gemma: .*System role not supported.*system_prompt: null"):
        ChatTokenizer.load(str(folders["gemma"])).prompt_ids(messages)


def test_roles_that_do_not_alternate_are_not_blamed_on_a_system_message(folders: dict[Family, Path]) -> None:
    with pytest.raises(EngineError, match=r"must alternate user/assistant$"):
        ChatTokenizer.load(str(folders["gemma"])).prompt_ids([*CONVERSATIONS[0], *CONVERSATIONS[0]])


def test_a_template_that_writes_bos_twice_is_refused(tmp_path: Path) -> None:
    folder = tiny_model(tmp_path / "twice", "llama3")
    template = folder / "chat_template.jinja"
    template.write_text("{{- bos_token -}}" + template.read_text())
    with pytest.raises(EngineError, match="twice: the chat template writes the BOS token twice"):
        ChatTokenizer.load(str(folder)).prompt_ids(CONVERSATIONS[0])


def test_a_prefill_that_starts_with_white_space_is_refused(folders: dict[Family, Path]) -> None:
    with pytest.raises(EngineError, match="must not start with white space"):
        ChatTokenizer.load(str(folders["gemma"])).prompt_ids(CONVERSATIONS[0], "\n")


def test_a_template_that_drops_the_prefill_is_refused(tmp_path: Path) -> None:
    folder = tiny_model(tmp_path / "dropping", "gemma")
    template = folder / "chat_template.jinja"
    dropping = "(message['content'] | replace('<t>', '') if message['role'] == 'assistant' else message['content'])"
    template.write_text(template.read_text().replace("message['content'] | trim", dropping))
    with pytest.raises(EngineError, match="dropping: the chat template changes the start of the answer '<t>'"):
        ChatTokenizer.load(str(folder)).prompt_ids([{"role": "user", "content": "Use <t>."}], "<t>")


def test_prompts_that_do_not_fit_with_their_answer_are_sorted_out(folders: dict[Family, Path]) -> None:
    chat = ChatTokenizer.load(str(folders["smollm2"]))
    length = len(chat.prompt_ids(CONVERSATIONS[0]))
    requests = [ask("fits", max_tokens=10), ask("one too many", max_tokens=11)]
    fitting, too_long = sort_out(requests, chat, limit=length + 10)
    assert [prompt.request.key for prompt in fitting] == ["fits"]
    assert [(c.key, c.finish_reason, c.text, c.prompt_tokens, c.completion_tokens) for c in too_long] == [
        ("one too many", "prompt_too_long", "", length, 0)
    ]
    assert len(sort_out(requests, chat, limit=None)[0]) == 2


def test_the_space_before_a_first_word_survives_a_tokenizer_that_strips_it() -> None:
    from tokenizers import Tokenizer, decoders, models
    from transformers import PreTrainedTokenizerFast

    words = Tokenizer(models.WordLevel({"▁Guten": 0, "▁Tag": 1, "</s>": 2}, unk_token="</s>"))
    words.decoder = decoders.Metaspace()
    tokenizer = PreTrainedTokenizerFast(tokenizer_object=words, eos_token="</s>", chat_template="x")
    assert tokenizer.decode([1]) == "Tag"
    completion = ChatTokenizer(tokenizer, model="words").complete(
        Prompt(ask("a", prefill="Guten"), (0,)), [1, 2], "length"
    )
    assert (completion.text, completion.token_ids, completion.finish_reason) == (" Tag", (1,), "stop")


def test_a_generation_config_that_is_no_json_is_reported_with_its_path(tmp_path: Path) -> None:
    folder = tiny_model(tmp_path / "broken", "qwen2")
    (folder / "generation_config.json").write_text("{")
    with pytest.raises(EngineError, match=r"broken/generation_config\.json: not valid JSON"):
        ChatTokenizer.load(str(folder))


def test_without_a_generation_config_the_ends_come_from_the_config(tmp_path: Path) -> None:
    folder = tiny_model(tmp_path / "bare", "gemma")
    (folder / "generation_config.json").unlink()
    assert json.loads((folder / "config.json").read_text())["eos_token_id"] == [1, 4]
    assert ChatTokenizer.load(str(folder)).end_ids == {1, 4}
