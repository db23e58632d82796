"""Tokens: equal to TRL's but for what lidr leaves out on purpose, and every unusable pair found with its reason."""

from __future__ import annotations

import types
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from datasets import Dataset
from transformers import AutoTokenizer
from trl import DPOTrainer

from lidr.errors import RowError, TrainError
from lidr.train.tokens import prompt_ids, read_pairs, tokenise
from lidr.train.training_spec import TrainingText
from tests.engines.templates.shapes import OPEN_THOUGHT, REWRITES, shaped
from tests.tiny import FAMILIES, split_newlines_as_llama3_does, tiny_model
from tests.train.runs import row, rows, write_pairs

LEAVES_A_NEWLINE = {"smollm2", "qwen2", "gemma"}


@pytest.fixture(scope="module")
def tokenizers(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Any]:
    folder = tmp_path_factory.mktemp("families")
    made = {family: AutoTokenizer.from_pretrained(tiny_model(folder / family, family)) for family in FAMILIES}
    split_newlines_as_llama3_does(made["llama3"])
    return made


def trl_tokens(tokenizer: Any, pairs: list[dict[str, Any]]) -> list[dict[str, list[int]]]:
    """What TRL itself makes of the rows."""
    sides = [{side: pair[side] for side in ("prompt", "chosen", "rejected")} for pair in pairs]
    return trl_tokens_of(tokenizer, Dataset.from_list(sides))


def trl_tokens_of(tokenizer: Any, rows: Dataset) -> list[dict[str, list[int]]]:
    """What TRL itself makes of a data set."""
    args = types.SimpleNamespace(dataset_num_proc=None, max_length=None, truncation_mode="keep_start")
    trainer = types.SimpleNamespace(_tokenizer=tokenizer)
    return DPOTrainer._prepare_dataset(trainer, rows, tokenizer, args, "train").to_list()


@pytest.mark.parametrize("family", FAMILIES)
def test_tokens_are_trls_but_for_the_newline_after_the_turn(family: str, tokenizers: dict[str, Any]) -> None:
    tokenizer = tokenizers[family]
    pairs, dropped = tokenise(rows(), tokenizer, max_length=512, over_long="drop")
    assert not dropped
    tail = tokenizer("\n", add_special_tokens=False)["input_ids"] if family in LEAVES_A_NEWLINE else []
    for ours, theirs in zip(pairs, trl_tokens(tokenizer, rows()), strict=True):
        assert ours.prompt_ids == theirs["prompt_ids"]
        assert ours.chosen_ids + tail == theirs["chosen_ids"]
        assert ours.rejected_ids + tail == theirs["rejected_ids"]


@pytest.mark.parametrize("family", FAMILIES)
def test_completions_end_with_a_token_that_ends_generation(family: str, tokenizers: dict[str, Any]) -> None:
    end = {"smollm2": "<|im_end|>", "qwen2": "<|im_end|>", "llama3": "<|eot_id|>", "gemma": "<end_of_turn>"}[family]
    tokenizer = tokenizers[family]
    pairs, _ = tokenise(rows(), tokenizer, max_length=512, over_long="drop")
    for pair, source in zip(pairs, rows(), strict=True):
        for ids, side in ((pair.chosen_ids, "chosen"), (pair.rejected_ids, "rejected")):
            assert tokenizer.decode(ids) == source[side][0]["content"] + end


@pytest.mark.parametrize("family", ["llama3", "gemma"])
def test_there_is_exactly_one_bos(family: str, tokenizers: dict[str, Any]) -> None:
    tokenizer = tokenizers[family]
    pairs, _ = tokenise(rows(), tokenizer, max_length=512, over_long="drop")
    assert all((pair.prompt_ids + pair.chosen_ids).count(tokenizer.bos_token_id) == 1 for pair in pairs)
    text = tokenizer.apply_chat_template(rows()[0]["prompt"], tokenize=False)
    assert tokenizer(text)["input_ids"].count(tokenizer.bos_token_id) == 2  # what rows of strings would train on


def test_two_bos_tokens_are_refused(tmp_path: Path) -> None:
    tokenizer = AutoTokenizer.from_pretrained(tiny_model(tmp_path / "m", "gemma"))
    tokenizer.chat_template = "{{- bos_token -}}" + tokenizer.chat_template
    with pytest.raises(TrainError, match=r"two BOS tokens \('<bos>'\).*Remove the BOS token"):
        tokenise(rows(), tokenizer, max_length=512, over_long="drop")


def test_prompt_ids_end_with_the_generation_prompt(tokenizers: dict[str, Any]) -> None:
    ids = prompt_ids(tokenizers["llama3"], [{"role": "user", "content": "蜜蜂"}])
    expected = "<|begin_of_text|><|start_header_id|>user<|end_header_id|>\n\n蜜蜂<|eot_id|>"
    assert tokenizers["llama3"].decode(ids) == expected + "<|start_header_id|>assistant<|end_header_id|>\n\n"


@pytest.mark.parametrize("space", ["\n\n", "  ", "\t ", "\n"])
def test_leading_white_space_of_a_completion_is_stripped(space: str, tokenizers: dict[str, Any]) -> None:
    tokenizer = tokenizers["smollm2"]
    plain, _ = tokenise([row("a", "Why?", "Because.", "No.")], tokenizer, max_length=512, over_long="drop")
    spaced, _ = tokenise([row("a", "Why?", space + "Because.", "No.")], tokenizer, max_length=512, over_long="drop")
    assert spaced == plain


def test_an_end_of_turn_token_written_in_the_text_does_not_cut_it(tokenizers: dict[str, Any]) -> None:
    tokenizer = tokenizers["smollm2"]
    pairs, _ = tokenise([row("a", "Why?", "One<|im_end|>two", "No.")], tokenizer, max_length=512, over_long="drop")
    assert tokenizer.decode(pairs[0].chosen_ids) == "One<|im_end|>two<|im_end|>"


def test_of_several_tokens_after_an_answer_the_first_ends_it(tmp_path: Path) -> None:
    tokenizer = AutoTokenizer.from_pretrained(tiny_model(tmp_path / "m", "smollm2"))
    tokenizer.chat_template += "{%- if not add_generation_prompt -%}{{- '<|endoftext|>' -}}{%- endif -%}"  # Phi-3's
    pairs, _ = tokenise([row("a", "Why?", "One\n", "No.")], tokenizer, max_length=512, over_long="drop")
    assert tokenizer.decode(pairs[0].chosen_ids) == "One\n<|im_end|>"


def test_every_pair_is_kept_or_dropped_with_its_reason(tokenizers: dict[str, Any]) -> None:
    given = [
        row("kept", "Why?", "Because.", "No."),
        row("empty", "Why?", " \n", "No."),
        row("empty2", "Why?", "Because.", ""),
        row("equal", "Why?", "  Because.", "Because."),
        row("long", "Why?", "Because. " * 40, "No."),
        row("prompt", "Why? " * 60, "Because.", "No."),
    ]
    pairs, dropped = tokenise(given, tokenizers["smollm2"], max_length=100, over_long="drop")
    assert [pair.pair_id for pair in pairs] == ["kept"]
    assert [(pair.pair_id, pair.reason) for pair in dropped] == [
        ("empty", "empty_completion"),
        ("empty2", "empty_completion"),
        ("equal", "equal_completions"),
        ("long", "over_long"),
        ("prompt", "prompt_too_long"),
    ]
    assert dropped[1].detail == "rejected is empty"
    assert dropped[3].detail.endswith("tokens of at most 100")


def test_a_conversation_that_the_template_refuses_is_dropped_with_its_words(tokenizers: dict[str, Any]) -> None:
    kept, refused = (row(name, "Why?", "Because.", "No.") for name in ("kept", "refused"))
    refused["prompt"] = [{"role": "system", "content": "Be brief."}, *refused["prompt"]]
    pairs, dropped = tokenise([kept, refused], tokenizers["gemma"], max_length=100, over_long="drop")
    assert [pair.pair_id for pair in pairs] == ["kept"]
    assert [(pair.pair_id, pair.reason, pair.detail) for pair in dropped] == [
        ("refused", "template_refused", "System role not supported")
    ]
    with pytest.raises(TrainError, match=r"1 template_refused: the policy's chat template refuses the conversation"):
        tokenise([refused], tokenizers["gemma"], max_length=100, over_long="drop")


def test_a_pair_that_just_fits_is_kept(tokenizers: dict[str, Any]) -> None:
    given = [row("a", "Why?", "Because.", "No, and for no reason.")]
    (pair,), _ = tokenise(given, tokenizers["smollm2"], max_length=512, over_long="drop")
    longest = len(pair.prompt_ids) + max(len(pair.chosen_ids), len(pair.rejected_ids))
    assert tokenise(given, tokenizers["smollm2"], max_length=longest, over_long="refuse") == ([pair], ())
    with pytest.raises(TrainError, match=f"a: {longest} tokens of at most {longest - 1}"):
        tokenise(given, tokenizers["smollm2"], max_length=longest - 1, over_long="refuse")


def test_refusing_names_the_pairs_and_what_to_do(tokenizers: dict[str, Any]) -> None:
    given = [row(f"p{i}", "Why?", "Because. " * 40, "No.") for i in range(7)]
    with pytest.raises(
        TrainError, match=r"7 pair\(s\) do not fit into max_length \(p0: .*p4: ((?!p5).)*over_long: drop"
    ):
        tokenise(given, tokenizers["smollm2"], max_length=100, over_long="refuse")


def test_no_pair_left_counts_the_reasons_and_says_what_to_do(tokenizers: dict[str, Any]) -> None:
    given = [row("a", "Why?", "", "No."), row("b", "Why?", "No.", "No."), row("c", "Why?", "", "No.")]
    with pytest.raises(TrainError) as caught:
        tokenise(given, tokenizers["smollm2"], max_length=100, over_long="drop")
    assert str(caught.value) == (
        "no pair left to train on: all 3 were dropped.\n"
        "  2 empty_completion: look at the responses and translations: an answer is empty\n"
        "  1 equal_completions: chosen and rejected are the same text, which teaches nothing: look at the pairs"
    )


def test_an_empty_table_says_where_to_look(tokenizers: dict[str, Any]) -> None:
    with pytest.raises(TrainError, match="the pairs table is empty"):
        tokenise([], tokenizers["smollm2"], max_length=100, over_long="drop")


@pytest.mark.parametrize(
    ("family", "old", "new"),
    [
        (
            "qwen2",
            "assistant\\n' -}}",
            "assistant\\n<think>' -}}",
        ),  # before an answer that is missing only
        ("smollm2", "\\n'", "\\n\\n'"),  # GPT-2's pattern splits two newlines before a word only
    ],
)
def test_a_prompt_that_differs_with_an_answer_is_reported(family: Any, old: str, new: str, tmp_path: Path) -> None:
    tokenizer = AutoTokenizer.from_pretrained(tiny_model(tmp_path / "m", family))
    assert old in tokenizer.chat_template
    tokenizer.chat_template = tokenizer.chat_template.replace(old, new)
    with pytest.raises(TrainError, match="8 prompt_mismatch: the chat template or the tokenizer writes a prompt with"):
        tokenise(rows(), tokenizer, max_length=512, over_long="drop")


def test_a_tokenizer_without_template_is_refused(tmp_path: Path) -> None:
    tokenizer = AutoTokenizer.from_pretrained(tiny_model(tmp_path / "m", "qwen2"))
    tokenizer.chat_template = None
    with pytest.raises(TrainError, match=r"no chat template: put a chat_template\.jinja into its folder"):
        tokenise(rows(), tokenizer, max_length=512, over_long="drop")


def test_files_are_read_in_order(tmp_path: Path) -> None:
    given = rows(4)
    files = [write_pairs(tmp_path / f"{i}.parquet", part) for i, part in enumerate((given[2:], given[:2]))]
    assert [pair["pair_id"] for pair in read_pairs([str(file) for file in files])] == ["p2", "p3", "p0", "p1"]


def test_a_pair_id_twice_is_refused(tmp_path: Path) -> None:
    file = str(write_pairs(tmp_path / "pairs.parquet", rows(2)))
    with pytest.raises(RowError, match=r"2 pair_id\(s\) occur more than once in .*: p0, p1"):
        read_pairs([file, file])


def test_a_table_without_a_column_is_refused(tmp_path: Path) -> None:
    pq.write_table(pa.table({"pair_id": ["a"], "prompt": ["x"]}), tmp_path / "pairs.parquet")
    with pytest.raises(RowError, match=r"lacks the column\(s\) language, kind, chosen, rejected"):
        read_pairs([str(tmp_path / "pairs.parquet")])


def test_an_open_thought_is_closed_before_the_answer(tmp_path: Path) -> None:
    tokenizer = AutoTokenizer.from_pretrained(shaped(tmp_path, OPEN_THOUGHT))
    texts = [row("a", "What do bees make?", " Honey.\n\nAnd wax.\n", "Honey."), row("b", "And?", "x</think>y", "Wax.")]
    with pytest.raises(TrainError, match=r"2 prompt_mismatch: .*set policy.chat_template.training"):
        tokenise(texts, tokenizer, max_length=400, over_long="drop")
    form = TrainingText(closes="\n</think>\n\n")
    (pair,), (left,) = tokenise(texts, tokenizer, max_length=400, over_long="drop", form=form)
    talk = [{"role": "user", "content": "What do bees make?"}]
    assert pair.prompt_ids == prompt_ids(tokenizer, talk)
    assert tokenizer.decode(pair.prompt_ids).endswith("<think>\n")
    assert tokenizer.decode(pair.chosen_ids) == "\n</think>\n\nHoney.\n\nAnd wax.\n<|im_end|>"
    assert tokenizer.decode(pair.rejected_ids) == "\n</think>\n\nHoney.<|im_end|>"
    assert (left.pair_id, left.reason) == ("b", "prompt_mismatch")  # the template cuts such an answer


def test_a_template_for_training_writes_prompt_and_answer(tmp_path: Path) -> None:
    tokenizer = AutoTokenizer.from_pretrained(shaped(tmp_path, REWRITES))
    training = REWRITES.replace(
        "message.role +", "(message.role + (' (final)' if message.role == 'assistant' else '')) +"
    )
    form = TrainingText(template=training)
    (pair,), _ = tokenise([row("a", "And?", "Honey.", "Wax.")], tokenizer, max_length=400, over_long="drop", form=form)
    assert tokenizer.decode(pair.prompt_ids).endswith("<|im_start|>assistant (final)\n")
    assert tokenizer.decode(pair.chosen_ids) == "Honey.<|im_end|>"
