"""Which files are of which configuration and split: by a card, else by their names, as `datasets` reads them."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from lidr.errors import HubError
from lidr.preferences.dataset_configs import config_of
from lidr.preferences.pair_source import open_pairs


def splits(names: list[str], **card: object) -> dict[str, list[str]]:
    found: dict[str, list[str]] = {}
    for split, name in config_of("x", card, names, None)[1]:
        found.setdefault(split, []).append(name)
    return found


@pytest.mark.parametrize(
    ("pattern", "there"),
    [
        ("train.parquet", ["train.parquet"]),
        ("*.parquet", ["train.parquet"]),
        ("old/*.parquet", ["old/train.parquet"]),
        ("**/train.parquet", ["old/more/train.parquet", "old/train.parquet", "train.parquet"]),
        ("old/**", ["old/more/train.parquet", "old/train.parquet"]),
        ("t[qr]a?n.parquet", ["train.parquet"]),
        ("[!a-s]*.parquet", ["train.parquet"]),
        ("[!t]*.parquet", []),
    ],
)
def test_a_cards_pattern_takes_the_files_that_it_names_and_none_of_the_same_name_elsewhere(pattern, there):
    names = ["old/more/train.parquet", "old/train.parquet", "train.parquet"]
    card = {"configs": [{"config_name": "default", "data_files": pattern}]}
    if not there:
        with pytest.raises(HubError, match="no files of pairs"):
            config_of("x", card, names, None)
    else:
        assert [name for _, name in config_of("x", card, names, None)[1]] == there


@pytest.mark.parametrize(
    "names",
    [
        {"train": ["train.jsonl"], "test": ["test.jsonl"]},
        {"train": ["data/my-training_set.jsonl"], "validation": ["dev.jsonl"], "test": ["x/eval 2.jsonl"]},
        {"train": ["train/a.jsonl", "train/b.jsonl"], "validation": ["val/a.jsonl"]},
        {"train": ["data/train-00000-of-00001-6ef7f3b7e2.parquet"], "test": ["data/test-00000-of-00001-0a.parquet"]},
        {"iter_1": ["iter_1-00000-of-00002.parquet", "iter_1-00001-of-00002.parquet"]},
        {"train_prefs": ["data/train_prefs-00000-of-00001.parquet"]},
        {"train": ["a.jsonl", "more/b.jsonl"]},
    ],
)
def test_without_configurations_names_of_files_and_folders_say_the_split(names):
    everything = [name for ones in names.values() for name in ones]
    assert splits([*everything, "README.md", ".hidden/train.jsonl", "lidr/test.jsonl"]) == names


@pytest.mark.parametrize(
    "names",
    [
        ["train.jsonl", "test.jsonl", "other.jsonl"],
        ["valid/a.jsonl", "training-2/b.jsonl", "x/eval.jsonl"],
        ["a_train.jsonl", "mytest.jsonl", "dev_set/c.jsonl"],
        ["data/train-00000-of-00001-6ef7f3b7e2.parquet", "data/extra-00000-of-00001.parquet", "train.jsonl"],
    ],
)
def test_the_splits_are_those_that_datasets_itself_finds_in_a_folder(tmp_path, names):
    from datasets.data_files import DataFilesDict, get_data_patterns

    for name in names:
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).touch()
    theirs = DataFilesDict.from_patterns(get_data_patterns(str(tmp_path)), base_path=str(tmp_path))
    ours = splits(names)
    assert ours == {split: sorted({str(Path(f).relative_to(tmp_path)) for f in fs}) for split, fs in theirs.items()}


def test_a_file_beside_shards_below_data_belongs_to_no_split():
    assert splits(["data/train-00000-of-00001.parquet", "notes.jsonl"]) == {
        "train": ["data/train-00000-of-00001.parquet"]
    }


def test_shards_whose_names_are_no_splits_are_refused_where_other_files_stand_beside_them():
    with pytest.raises(HubError, match=r"^x: its files' names give no splits: .*Say them in README\.md, as configs$"):
        splits(["data/a-b!-00000-of-00001.parquet", "notes.jsonl"])


def test_a_configuration_of_a_folder_reads_that_folder_alone():
    names = ["en/train.jsonl", "en/test.jsonl", "de/train.jsonl", "train.jsonl"]
    configs = [
        {"config_name": "de", "data_dir": "de"},
        {"config_name": "en", "data_dir": "./en/", "default": True},
        {"config_name": "both", "data_dir": "en", "data_files": "t*.jsonl"},
    ]
    assert config_of("x", {"configs": configs}, names, None) == (
        "en",
        [("train", "en/train.jsonl"), ("test", "en/test.jsonl")],
    )
    assert config_of("x", {"configs": configs}, names, "de") == ("de", [("train", "de/train.jsonl")])
    assert config_of("x", {"configs": configs}, names, "both")[1] == [
        ("train", "en/test.jsonl"),
        ("train", "en/train.jsonl"),
    ]


@pytest.mark.parametrize("place", [{"data_files": "[z-a]*.jsonl"}, {"data_files": "[\\]"}, {"data_dir": "../x"}])
def test_a_configuration_that_no_file_belongs_to_says_what_it_names(place):
    with pytest.raises(HubError, match=r"^x: no files of pairs in it for configuration a: \{'data_"):
        splits(["train.jsonl"], configs=[{"config_name": "a", **place}])


def test_a_pattern_that_is_none_is_said_with_what_a_pattern_may_hold():
    with pytest.raises(HubError, match=r"README\.md: data_files '\*\*a' is no pattern: .*\*\* alone between slashes"):
        splits(["train.jsonl"], configs=[{"config_name": "a", "data_files": "**a"}])


def test_a_file_that_two_patterns_of_a_split_name_is_read_once():
    configs = [{"config_name": "a", "data_files": ["train.jsonl", "*.jsonl"]}]
    assert splits(["train.jsonl"], configs=configs) == {"train": ["train.jsonl"]}


def test_train_and_test_of_a_folder_are_not_read_together(tmp_path):
    for split in ("train", "test"):
        (tmp_path / f"{split}.jsonl").write_text(json.dumps({"prompt": split, "chosen": "g", "rejected": "b"}) + "\n")
    with pytest.raises(HubError, match=r"has the splits train, test: say which one, as --split train$"):
        open_pairs(str(tmp_path))
    assert open_pairs(str(tmp_path), split="test").files == (("test", tmp_path / "test.jsonl"),)


def test_a_single_file_has_no_configurations(tmp_path):
    path: Path = tmp_path / "set.jsonl"
    path.write_text('{"chosen": "g", "rejected": "b"}\n')
    with pytest.raises(HubError, match=r"^set\.jsonl: no configuration 'nope': a file has none; leave it out$"):
        open_pairs(str(path), config="nope")
