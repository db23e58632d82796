"""Thoughts are cut by token ids, for every family; held against the parsers of vLLM where that is installed."""

from __future__ import annotations

from importlib.resources import files
from importlib.util import find_spec
from typing import Any

import pytest

from lidr.engines import ChatRequest, ChatTokenizer, Completion, Message, Prompt, Sampling
from lidr.reasoning import ThoughtReader, family_of, told_apart
from tests.thinking import STYLES, end_of_turn, thinking_tokenizer

QUESTION: list[Message] = [{"role": "user", "content": "What do bees make?"}]
PREFILL = "<translated>\n"


@pytest.fixture(scope="module")
def tokenizers() -> dict[str, Any]:
    return {family: thinking_tokenizer(family) for family in STYLES}


def ids_of(tokenizer: Any, text: str) -> list[int]:
    return list(tokenizer(text, add_special_tokens=False)["input_ids"])


def answered(
    tokenizer: Any,
    text: str,
    *,
    messages: list[Message] = QUESTION,
    prefill: str | None = None,
    parser: str = "auto",
    ended: str | None = None,
) -> Completion:
    """What the engines make of a policy that generates this text."""
    chat = ChatTokenizer(tokenizer, model="it", reasoning_parser=parser)
    request = ChatRequest("1", tuple(messages), Sampling(max_tokens=99), prefill)
    prompt = Prompt(request, tuple(chat.prompt_ids(messages, prefill)))
    return chat.complete(prompt, ids_of(tokenizer, text + (ended or "")), "stop" if ended else "length")


@pytest.mark.parametrize("family", STYLES)
def test_the_answer_is_what_follows_the_thoughts(tokenizers: dict[str, Any], family: str) -> None:
    found = answered(tokenizers[family], STYLES[family].answer, ended=end_of_turn(family))
    assert (found.text, found.reasoning.strip(), found.finish_reason) == ("Honey.", "What do bees make?", "stop")
    said = len(ids_of(tokenizers[family], "Honey."))
    assert found.completion_tokens == len(ids_of(tokenizers[family], STYLES[family].answer))
    assert said <= found.completion_tokens - found.reasoning_tokens <= said + 2  # with the white space before it


@pytest.mark.parametrize("family", STYLES)
def test_the_family_is_told_from_the_template_and_the_vocabulary(tokenizers: dict[str, Any], family: str) -> None:
    reader = ThoughtReader.of(tokenizers[family])
    assert reader is not None
    assert reader.marks.name == STYLES[family].parser


@pytest.mark.parametrize("family", STYLES)
@pytest.mark.parametrize("ended", [True, False])
def test_an_unclosed_thought_is_an_answer_that_was_cut(tokenizers: dict[str, Any], family: str, ended: bool) -> None:
    """At the longest answer, or where the policy ended its turn by itself."""
    text = STYLES[family].answer
    cut = text[: text.index("bees make?")]
    found = answered(tokenizers[family], cut, ended=end_of_turn(family) if ended else None)
    assert (found.text, found.finish_reason) == ("", "length")
    assert found.reasoning == "What do"


@pytest.mark.parametrize("family", STYLES)
def test_a_started_answer_is_not_a_thought(tokenizers: dict[str, Any], family: str) -> None:
    """Whatever the generation prompt opens: a last message of the assistant is an answer."""
    found = answered(tokenizers[family], "Miel.\n</translated>", prefill=PREFILL, ended=end_of_turn(family))
    assert (found.text, found.reasoning, found.finish_reason) == ("Miel.\n</translated>", "", "stop")


@pytest.mark.parametrize(
    "family", ["qwen3", "smollm3", "gptoss", "gemma4", "apertus", "mistral", "command", "seed", "granite"]
)
def test_an_answer_without_thoughts_is_as_it_was(tokenizers: dict[str, Any], family: str) -> None:
    text = "  Honey,\nand wax.\n"
    found = answered(tokenizers[family], text, ended=end_of_turn(family))
    assert (found.text, found.reasoning, found.reasoning_tokens) == (text, "", 0)


@pytest.mark.parametrize("family", ["qwen3", "qwen35"])
def test_what_users_write_opens_no_thought(tokenizers: dict[str, Any], family: str) -> None:
    asked: list[Message] = [{"role": "user", "content": "What is <think>?"}]
    chat = ChatTokenizer(tokenizers[family], model="it")
    reader = ThoughtReader.of(tokenizers[family])
    assert reader is not None
    assert reader.is_thinking(chat.prompt_ids(asked), chat.decode) is (family == "qwen35")
    closed: list[Message] = [{"role": "user", "content": "What is </think>?"}]
    assert reader.is_thinking(chat.prompt_ids(closed), chat.decode) is (family == "qwen35")


def test_a_parser_can_be_named_or_turned_off(tokenizers: dict[str, Any]) -> None:
    text = STYLES["qwen3"].answer
    assert answered(tokenizers["qwen3"], text, parser="none").text == text
    assert answered(tokenizers["granite"], "<think>Hm.</think>Honey.", parser="think").text == "Honey."


def test_thoughts_after_the_first_words_are_thoughts_too(tokenizers: dict[str, Any]) -> None:
    found = answered(tokenizers["qwen3"], "Well, <think>wax?</think>honey.<think>Done?</think>")
    assert (found.text, found.reasoning) == ("Well, honey.", "wax?\n\nDone?")


def test_a_mark_that_closes_twice_leaves_no_thought_in_the_answer(tokenizers: dict[str, Any]) -> None:
    found = answered(tokenizers["qwen3"], "<think>Wax?</think>No.</think>Honey.")
    assert (found.text, found.reasoning) == ("Honey.", "Wax?\n\nNo.")


def test_all_but_the_final_channel_is_thought(tokenizers: dict[str, Any]) -> None:
    text = (
        "<|channel|>analysis<|message|>One.<|end|><|start|>assistant<|channel|>commentary to=functions.f "
        "<|constrain|>json<|message|>{}<|end|><|start|>assistant<|channel|>final<|message|>Honey."
    )
    found = answered(tokenizers["gptoss"], text, ended="<|return|>")
    assert (found.text, found.reasoning) == ("Honey.", "One.\n\n{}")
    called = answered(tokenizers["gptoss"], text[: text.index("<|end|>")], ended="<|call|>")
    assert (called.text, called.finish_reason) == ("", "length")
    plain = answered(tokenizers["gptoss"], "<|channel|>final<|message|>Honey.", ended="<|return|>")
    assert (plain.text, plain.reasoning, plain.finish_reason) == ("Honey.", "", "stop")


PREAMBLE = "<|channel|>commentary<|message|>I will look it up.<|end|><|start|>assistant"
CALL = "<|channel|>commentary to=functions.f <|constrain|>json<|message|>{}"
CALL_BY_ROLE = " to=functions.f<|channel|>commentary <|constrain|>json<|message|>{}"
CUT = "<|channel|>analysis<|message|>What do"
FINAL = "<|channel|>final<|message|>Honey."


@pytest.mark.parametrize(
    ("text", "ended", "said", "thought"),
    [
        (PREAMBLE + FINAL, "<|return|>", "I will look it up.\nHoney.", ""),
        (PREAMBLE.removesuffix("<|end|><|start|>assistant"), "<|return|>", "I will look it up.", ""),
        (PREAMBLE + CALL, "<|call|>", "", "I will look it up.\n\n{}"),
        (PREAMBLE + CALL_BY_ROLE, "<|call|>", "", "I will look it up.\n\n{}"),
        (PREAMBLE + CUT, "", "", "I will look it up.\n\nWhat do"),
        (FINAL + "<|end|><|start|>assistant" + CUT, "", "Honey.", "What do"),
        ("<|channel|>final <|constrain|>json<|message|>Honey.", "<|return|>", "Honey.", ""),
    ],
)
def test_a_preamble_is_said_and_a_call_is_not(
    tokenizers: dict[str, Any], text: str, ended: str, said: str, thought: str
) -> None:
    found = answered(tokenizers["gptoss"], text, ended=ended)
    assert (found.text, found.reasoning) == (said, thought)
    assert found.finish_reason == ("stop" if ended and said else "length")
    assert told_apart(text + ended) == (said, thought, not said)


def test_an_empty_channel_is_no_answer_and_no_thought(tokenizers: dict[str, Any]) -> None:
    """Larger models of Gemma 4 write one where they are told not to think."""
    found = answered(tokenizers["gemma4"], "<|channel>thought\n<channel|>Honey.", ended="<turn|>")
    assert (found.text, found.reasoning) == ("Honey.", "")


@pytest.mark.parametrize(
    ("template", "family"),
    [
        ("qwen3", "think"),
        ("qwen3_5_think", "think"),
        ("qwen3_5_nothink", "think"),
        ("deepseek_r1_distill", "think"),
        ("glm4moe", "think"),
        ("gptoss", "harmony"),
        ("gemma4", "gemma4"),
        ("llama3", None),
        ("qwen2_5", None),
        ("gemma3", None),
        ("phi3", None),
        ("cohere2", None),
    ],
)
def test_published_templates_are_known(template: str, family: str | None) -> None:
    """As TRL ships them, without any vocabulary."""
    text = files("trl").joinpath(f"chat_templates/{template}.jinja").read_text(encoding="utf-8")
    found = family_of(text, ())
    assert (found and found.name) == family


OF_VLLM = {family: style.name_in_vllm for family, style in STYLES.items() if style.name_in_vllm}


@pytest.mark.skipif(find_spec("vllm") is None, reason="needs vLLM")
@pytest.mark.filterwarnings("ignore")  # of its imports
@pytest.mark.parametrize("family", OF_VLLM)
def test_answers_are_those_of_vllms_parsers(tokenizers: dict[str, Any], family: str) -> None:
    from vllm.reasoning import ReasoningParserManager

    tokenizer = tokenizers[family]
    parser = ReasoningParserManager.get_reasoning_parser(OF_VLLM[family])(tokenizer)
    reasoning, content = parser.extract_reasoning(STYLES[family].answer, None)
    found = answered(tokenizer, STYLES[family].answer, ended=end_of_turn(family))
    assert (found.reasoning.strip(), found.text) == (reasoning.strip(), content.strip())


@pytest.mark.skipif(find_spec("vllm") is None, reason="needs vLLM")
@pytest.mark.filterwarnings("ignore")  # of its imports
@pytest.mark.parametrize("text", ["Honey.", "[THINK]What do", "Well, [THINK]wax?[/THINK]honey."])
def test_other_answers_of_mistral_are_vllms_too(tokenizers: dict[str, Any], text: str) -> None:
    from vllm.reasoning import ReasoningParserManager

    parser = ReasoningParserManager.get_reasoning_parser("mistral")(tokenizers["mistral"])
    found = answered(tokenizers["mistral"], text)
    assert (found.reasoning or None, found.text or None) == parser.extract_reasoning(text, None)


@pytest.mark.skipif(find_spec("vllm") is None, reason="needs vLLM")
@pytest.mark.filterwarnings("ignore")  # of its imports
@pytest.mark.parametrize(
    ("text", "is_whole"),
    [
        (STYLES["gptoss"].answer, True),
        (PREAMBLE + FINAL, True),
        (f"{CUT}<|end|><|start|>assistant{PREAMBLE}{FINAL}", True),
        (PREAMBLE.removesuffix("<|end|><|start|>assistant"), True),
        (FINAL + "<|end|><|start|>assistant" + CUT, True),
        (CUT, True),
        (CALL, True),
        (PREAMBLE + CALL, False),
        (PREAMBLE + CALL_BY_ROLE, False),
        (PREAMBLE + CUT, False),
    ],
)
def test_answers_of_gpt_oss_are_those_of_vllm_in_the_models_own_vocabulary(
    tokenizers: dict[str, Any], text: str, is_whole: bool
) -> None:
    """One that ends in a call or in a thought is no answer to lidr, whatever was announced before: vLLM gives the
    announcement.
    """
    from vllm.entrypoints.openai.parser.harmony_utils import get_encoding
    from vllm.parser.harmony import HarmonyParser
    from vllm.reasoning.gptoss_reasoning_parser import GptOssReasoningParser

    class Parser(HarmonyParser):
        reasoning_parser_cls = GptOssReasoningParser

    ids = get_encoding().encode(text, allowed_special="all")
    reasoning, content, _ = Parser(tokenizers["gptoss"]).parse("", None, model_output_token_ids=ids)
    found = answered(tokenizers["gptoss"], text)
    if is_whole:
        assert found.text == (content or "")
        assert (content is None) == (found.finish_reason == "length" and not found.text)
        assert text == CALL or found.reasoning == (reasoning or "")
    else:
        assert (content, found.text) == ("I will look it up.", "")
        assert found.reasoning.startswith(content)


@pytest.mark.skipif(find_spec("vllm") is None, reason="needs vLLM")
@pytest.mark.filterwarnings("ignore")  # of its imports
def test_thoughts_of_command_end_where_vllm_says(tokenizers: dict[str, Any]) -> None:
    """Of this family its parser says only that, for every beginning of an answer."""
    from vllm.reasoning import ReasoningParserManager

    tokenizer = tokenizers["command"]
    parser = ReasoningParserManager.get_reasoning_parser("cohere_command3")(tokenizer)
    chat, reader = ChatTokenizer(tokenizer, model="it"), ThoughtReader.of(tokenizer)
    assert reader is not None
    prompt, answer = chat.prompt_ids(QUESTION), ids_of(tokenizer, STYLES["command"].answer)
    has_ended = []
    for length in range(1, len(answer) + 1):
        found = reader.read(prompt, answer[:length], chat.decode)
        assert found is not None
        has_ended.append(not found.is_open)
        assert has_ended[-1] == parser.is_reasoning_end([*prompt, *answer[:length]]), answer[:length]
    assert has_ended[0] is False
    assert has_ended[-1] is True
