"""`datasets`: push and load by branch, tag and commit, whole and streamed."""

from __future__ import annotations

from datasets import (
    Dataset,
    DatasetDict,
    get_dataset_config_names,
    get_dataset_split_names,
    load_dataset,
    load_dataset_builder,
)
from datasets.exceptions import DatasetNotFoundError

from tests.hub_server.contract.world import World, raises


def _pairs(n: int, answer: str = "miel") -> Dataset:
    messages = [[{"role": "user", "content": f"¿Qué hacen las abejas? {i}"}] for i in range(n)]
    chosen = [[{"role": "assistant", "content": f"{answer} {i}"}] for i in range(n)]
    return Dataset.from_dict({"prompt_id": [str(i) for i in range(n)], "prompt": messages, "chosen": chosen})


def a_dataset_is_pushed(w: World) -> None:
    w.memo.repo = w.remember("data", "dataset")
    made = _pairs(10).push_to_hub(w.memo.repo, "en-es", split="iter_1", private=True)
    w.memo.first = made.oid
    assert w.api.dataset_info(w.memo.repo).sha == made.oid


def it_loads_from_main(w: World) -> None:
    rows = load_dataset(w.memo.repo, "en-es", split="iter_1")
    assert len(rows) == 10
    assert rows[3]["prompt"] == [{"role": "user", "content": "¿Qué hacen las abejas? 3"}]


def a_second_split_is_added(w: World) -> None:
    w.memo.second = _pairs(5, "cera").push_to_hub(w.memo.repo, "en-es", split="iter_2").oid
    assert get_dataset_split_names(w.memo.repo, "en-es") == ["iter_1", "iter_2"]


def a_second_config_is_added(w: World) -> None:
    DatasetDict({"iter_1": _pairs(3, "Honig")}).push_to_hub(w.memo.repo, "en-de")
    assert set(get_dataset_config_names(w.memo.repo)) == {"en-es", "en-de"}


def it_loads_by_commit(w: World) -> None:
    rows = load_dataset(w.memo.repo, "en-es", revision=w.memo.first)
    assert {name: len(split) for name, split in rows.items()} == {"iter_1": 10}


def it_loads_by_tag(w: World) -> None:
    w.api.create_tag(w.memo.repo, tag="v0.1.0", revision=w.memo.second, repo_type="dataset")
    rows = load_dataset(w.memo.repo, "en-es", split="iter_2", revision="v0.1.0")
    assert rows["chosen"][0] == [{"role": "assistant", "content": "cera 0"}]


def it_is_pushed_to_and_loaded_from_a_branch(w: World) -> None:
    _pairs(2, "polen").push_to_hub(w.memo.repo, "en-fr", split="iter_1", revision="work")
    assert len(load_dataset(w.memo.repo, "en-fr", split="iter_1", revision="work")) == 2
    assert "en-fr" not in get_dataset_config_names(w.memo.repo)


def it_is_streamed(w: World) -> None:
    rows = load_dataset(w.memo.repo, "en-es", split="iter_1", streaming=True, revision=w.memo.second)
    assert [row["prompt_id"] for row in rows.take(3)] == ["0", "1", "2"]
    assert len(list(rows)) == 10


def its_files_are_loaded_by_path(w: World) -> None:
    path = f"hf://datasets/{w.memo.repo}@{w.memo.first}/en-es/*.parquet"
    assert len(load_dataset("parquet", data_files=path, split="train")) == 10


def one_part_of_a_split(w: World) -> None:
    assert len(load_dataset(w.memo.repo, "en-es", split="iter_1[:30%]", revision=w.memo.second)) == 3


def the_card_describes_it(w: World) -> None:
    builder = load_dataset_builder(w.memo.repo, "en-es", revision=w.memo.second)
    assert builder.info.splits["iter_1"].num_examples == 10
    assert set(builder.info.features) == {"prompt_id", "prompt", "chosen"}


def the_same_rows_again_change_nothing_but_history(w: World) -> None:
    _pairs(3, "Honig").push_to_hub(w.memo.repo, "en-de", split="iter_1")
    assert len(load_dataset(w.memo.repo, "en-de", split="iter_1", revision=w.api.dataset_info(w.memo.repo).sha)) == 3


def a_missing_dataset_is_not_found(w: World) -> None:
    with raises(DatasetNotFoundError):
        load_dataset(w.id("nowhere"))


def a_missing_revision_is_not_found(w: World) -> None:
    with raises(DatasetNotFoundError):
        load_dataset(w.memo.repo, "en-es", revision="v9")
