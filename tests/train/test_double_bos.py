"""authors_compat.double_bos: the second BOS is an id, and generation and training send the same prompt."""

from __future__ import annotations

from pathlib import Path

import pytest
from transformers import AutoTokenizer

from lidr.engines.chat import ChatTokenizer
from lidr.engines.engine import EngineSpec
from lidr.errors import EngineError, TrainError
from lidr.train.tokens import tokenise
from tests.tiny import FAMILIES, split_newlines_as_llama3_does, tiny_model
from tests.train.runs import rows


@pytest.fixture(scope="module")
def folders(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    folder = tmp_path_factory.mktemp("families")
    made = {family: tiny_model(folder / family, family) for family in FAMILIES}
    tokenizer = AutoTokenizer.from_pretrained(made["llama3"])
    split_newlines_as_llama3_does(tokenizer)
    tokenizer.save_pretrained(made["llama3"])
    return made


@pytest.mark.parametrize("family", ["llama3", "gemma"])
def test_generation_and_training_send_the_same_two_bos_ids(family: str, folders: dict[str, Path]) -> None:
    folder = str(folders[family])
    tokenizer = AutoTokenizer.from_pretrained(folder)
    once, twice = (ChatTokenizer.of(EngineSpec("transformers", folder, double_bos=double)) for double in (False, True))
    plain, _ = tokenise(rows(), tokenizer, max_length=512, over_long="drop")
    doubled, _ = tokenise(rows(), tokenizer, max_length=512, over_long="drop", double_bos=True)
    bos = tokenizer.bos_token_id
    for row, one, two in zip(rows(), plain, doubled, strict=True):
        assert two.prompt_ids == twice.prompt_ids(row["prompt"]) == [bos, *one.prompt_ids]
        assert one.prompt_ids == once.prompt_ids(row["prompt"])
        assert two.prompt_ids[:3].count(bos) == 2
        assert (two.chosen_ids, two.rejected_ids) == (one.chosen_ids, one.rejected_ids)


def test_with_a_prefill_too(folders: dict[str, Path]) -> None:
    once, twice = (ChatTokenizer.load(str(folders["llama3"]), double_bos=double) for double in (False, True))
    prompt, prefill = rows()[0]["prompt"], "<translated>\n"
    assert twice.prompt_ids(prompt, prefill)[1:] == once.prompt_ids(prompt, prefill)


def test_the_second_bos_counts_towards_the_length(folders: dict[str, Path]) -> None:
    tokenizer = AutoTokenizer.from_pretrained(folders["llama3"])
    (pair,), _ = tokenise(rows(1), tokenizer, max_length=512, over_long="drop")
    longest = len(pair.prompt_ids) + max(len(pair.chosen_ids), len(pair.rejected_ids))
    assert tokenise(rows(1), tokenizer, max_length=longest, over_long="drop")[0]
    with pytest.raises(TrainError, match="no pair left"):
        tokenise(rows(1), tokenizer, max_length=longest, over_long="drop", double_bos=True)


def test_a_template_without_bos_has_none_to_double(folders: dict[str, Path]) -> None:
    folder = str(folders["qwen2"])
    with pytest.raises(EngineError, match=r"policy.double_bos: .*begins a prompt with no BOS token, .*take double_bos"):
        ChatTokenizer.load(folder, double_bos=True).prompt_ids(rows()[0]["prompt"])
    with pytest.raises(TrainError, match=r"policy.double_bos: .*begins a prompt with no BOS token, .*take double_bos"):
        tokenise(rows(), AutoTokenizer.from_pretrained(folder), max_length=512, over_long="drop", double_bos=True)
