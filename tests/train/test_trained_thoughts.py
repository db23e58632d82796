"""Where the recipe trains on thoughts, a side carries them in the form that its chat template reads."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from lidr.errors import TrainError
from lidr.rows import Pair
from lidr.train.tokens import read_pairs, tokenise
from lidr.train.training_spec import TrainingText
from tests.thinking import thinking_tokenizer
from tests.train.runs import row, write_pairs

TRAINED = {
    "qwen3": "<think>\nBees?\n</think>\n\nHoney.<|im_end|>",
    "qwen35": "Bees?\n</think>\n\nHoney.<|im_end|>",  # the prompt has opened the thought
    "smollm3": "<think>\nBees?\n</think>\n\nHoney.<|im_end|>",
    "gptoss": "<|channel|>analysis<|message|>Bees?<|end|><|start|>assistant<|channel|>final<|message|>Honey.<|return|>",
    "gemma4": "<|channel>thought\nBees?\n<channel|>Honey.<turn|>",
    "mistral": "[THINK]\nBees?\n[/THINK]\n\nHoney.<|im_end|>",
    "granite": "Here is my thought process:\nBees?\nHere is my response:\n\nHoney.<|im_end|>",
}


def written(path: Path) -> str:
    """A pairs table whose chosen side has a thought."""
    write_pairs(path, [row("a", "What do bees make?", "Honey.", "Wax.")])
    table = pq.read_table(path)
    table = table.append_column("chosen_reasoning", pa.array(["Bees?"]))
    table = table.append_column("rejected_reasoning", pa.array([None], pa.string()))
    pq.write_table(table, path)
    return str(path)


@pytest.mark.parametrize("family", TRAINED)
def test_a_side_is_trained_as_the_policy_writes_it(tmp_path: Path, family: str) -> None:
    tokenizer: Any = thinking_tokenizer(family)
    (pair,), dropped = tokenise(
        read_pairs([written(tmp_path / "pairs.parquet")]), tokenizer, max_length=512, over_long="drop"
    )
    assert dropped == ()
    assert tokenizer.decode(pair.chosen_ids) == TRAINED[family]
    assert "Bees" not in tokenizer.decode(pair.rejected_ids)


def test_a_template_that_leaves_thoughts_out_is_refused(tmp_path: Path) -> None:
    rows = read_pairs([written(tmp_path / "pairs.parquet")])
    with pytest.raises(TrainError, match=r"policy\.reasoning\.train: the chat template leaves out what was thought"):
        tokenise(rows, thinking_tokenizer("r1"), max_length=512, over_long="drop")


def test_where_training_closes_the_thought_of_the_prompt_the_policys_own_come_first(tmp_path: Path) -> None:
    """DeepSeek-R1's template leaves them out of past turns, and its prompt opens them."""
    tokenizer: Any = thinking_tokenizer("r1")
    rows = read_pairs([written(tmp_path / "pairs.parquet")])
    form = TrainingText(closes="\n</think>\n\n")
    (pair,), _ = tokenise(rows, tokenizer, max_length=512, over_long="drop", form=form)
    assert tokenizer.decode(pair.prompt_ids).endswith("<think>\n")
    assert tokenizer.decode(pair.chosen_ids) == "Bees?\n</think>\n\nHoney.<|im_end|>"
    assert tokenizer.decode(pair.rejected_ids) == "\n</think>\n\nWax.<|im_end|>"


def test_the_columns_are_those_of_the_row_type() -> None:
    assert [*Pair.later] == ["chosen_reasoning", "rejected_reasoning", "weight"]
