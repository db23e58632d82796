"""Pairs in the files that people have: JSON, CSV, TSV, packed or not, are read as JSON lines and Parquet are."""

from __future__ import annotations

import json
from typing import Any

import pytest

import lidr
from lidr.cli.main import main
from lidr.errors import HubError, RowError
from lidr.store import open_artifact
from tests.scripted import write_world
from tests.tables.test_row_kinds import KINDS, write

ROWS = [
    {"q": "Tea, or milk?", "good": 'She said "tea".', "bad": "Milk.", "lang": "en"},
    {"q": "Tee?", "good": "Zwei\nZeilen.", "bad": "Nein; nie.", "lang": "de"},
    {"q": "Und?", "good": "Gleich.", "bad": "Gleich.", "lang": "de"},
]
COLUMNS = {"prompt": "q", "chosen": "good", "rejected": "bad", "language": "lang"}
WORDS = ["--columns", ",".join(f"{role}={name}" for role, name in COLUMNS.items())]
READ = [("en", "Tea, or milk?", 'She said "tea".', "Milk."), ("de", "Tee?", "Zwei\nZeilen.", "Nein; nie.")]


def talk(*said: Any) -> str:
    return json.dumps(list(said))


def user(content: Any) -> dict[str, Any]:
    return {"role": "user", "content": content}


def answer(content: Any, **more: Any) -> dict[str, Any]:
    return {"role": "assistant", "content": content, **more}


def texts(pairs: Any) -> list[tuple[str, str, str, str]]:
    names = ("language", "prompt_text", "chosen_text", "rejected_text")
    return [tuple(row[name] for name in names) for row in pairs]


@pytest.mark.parametrize("kind", KINDS)
def test_a_file_of_pairs_is_shown_whatever_its_form(kind, tmp_path, capsys):
    path = write(tmp_path / f"set.{kind}", ROWS)
    assert main(["pairs", "show", str(path), *WORDS, "--rows", "9", "--json"]) == 0
    shown = json.loads(capsys.readouterr().out)
    assert texts(shown["pairs"]) == READ
    assert shown["unread"] == {"identical": 1}


@pytest.mark.parametrize("kind", KINDS)
def test_a_folder_of_such_files_is_read_by_its_splits(kind, tmp_path):
    for split in ("train", "test"):
        (tmp_path / split).mkdir()
        write(tmp_path / split / f"rows.{kind}", ROWS[: 1 if split == "test" else 2])
    write(tmp_path / "train" / f"rows-00001-of-00002.{kind}", ROWS[1:2])
    if "json" not in kind:  # beside rows of other kinds it is no rows
        (tmp_path / "settings.json").write_text("{}")
    assert texts(lidr.load_pairs(str(tmp_path), split="train", columns=COLUMNS)) == [READ[1], *READ]
    assert texts(lidr.load_pairs(str(tmp_path), split="test", columns=COLUMNS)) == READ[:1]


def test_a_card_names_files_of_any_form(tmp_path):
    (tmp_path / "README.md").write_text("---\nconfigs:\n- config_name: a\n  data_files: '*.csv'\n---\n")
    write(tmp_path / "rows.csv", ROWS[:2])
    write(tmp_path / "others.jsonl", ROWS[:1])
    assert texts(lidr.load_pairs(str(tmp_path), columns=COLUMNS)) == READ


@pytest.mark.parametrize("kind", ["csv", "tsv.gz", "json"])
def test_a_recipe_starts_from_such_a_file(kind, tmp_path):
    write_world(tmp_path / "w")
    write(tmp_path / f"set.{kind}", ROWS)
    recipe = f"""\
schema: 1
name: mix
version: 0.1.0
languages: {{dominant: en, others: [de]}}
policy: {{model: "openai:canned@http://127.0.0.1:9"}}
chain:
  - pairs: {{dataset: ./set.{kind}, columns: {json.dumps(COLUMNS)}, license: mit}}
  - filter: {{length_ratio: {{min: 0.01, max: 100}}}}
runtime: {{engine: scripted, answers: w/answers.jsonl, store: {tmp_path}/runs}}
"""
    (tmp_path / "mix.yaml").write_text(recipe)
    planned = lidr.run(lidr.load_recipe(tmp_path / "mix.yaml"), until="pairs")
    artifact = open_artifact(planned.version_folder / "iter_1/pairs")
    assert texts(artifact.read().to_pylist()) == READ
    assert artifact.read("dropped")["reason"].to_pylist() == ["identical"]


BAD = {
    "set.csv": (b'q,good,bad\nTea?,"Yes, please.",No.\nMilk?,Yes\n', r"set\.csv:3: 2 fields, and the header has 3"),
    "set.tsv": (b"q\tgood\tbad\nTea?\tYes\tN\xe9\n", r"set\.tsv:2: byte 0xe9 is not UTF-8"),
    "set.json": (b'[{"q": "Tea?"},\n{"q": 1, "q": 2}]', r"set\.json:.*the key \"q\" stands twice"),
    "set.csv.gz": (b"q,good,bad\n", r"set\.csv\.gz: cannot be unpacked as gzip"),
}


@pytest.mark.parametrize("name", BAD)
def test_what_cannot_be_read_is_named_with_its_place(name, tmp_path):
    content, said = BAD[name]
    (tmp_path / name).write_bytes(content)
    with pytest.raises(RowError, match=said):
        lidr.load_pairs(str(tmp_path / name), columns={"prompt": "q", "chosen": "good", "rejected": "bad"})


def test_a_file_of_another_form_is_refused_with_those_that_are_read(tmp_path):
    (tmp_path / "set.xlsx").write_bytes(b"PK")
    with pytest.raises(HubError, match=r"set\.xlsx: a file of rows ends with .*\.csv.*this one with '\.xlsx'"):
        lidr.load_pairs(str(tmp_path / "set.xlsx"))


def test_messages_written_into_a_column_of_texts_keep_nothing_that_a_template_would_lose(tmp_path):
    good = {"prompt": talk(user("Tea?")), "chosen": talk(answer("Yes.")), "rejected": talk(answer("No."))}
    rows = [
        good,
        {**good, "prompt": talk(user("Milk?")), "chosen": talk(answer("Yes.", reasoning_content="She likes it."))},
        {**good, "prompt": talk(user("Or?"), answer("Ah.", thinking="Hm."), user("So?"))},
        {**good, "prompt": talk(user("Time?")), "rejected": talk(answer("Look.", tool_calls=[{"type": "function"}]))},
        {**good, "prompt": talk(user("Bye?")), "chosen": talk(answer("Bye.", reasoning_content="", tool_calls=None))},
    ]
    path = write(tmp_path / "set.csv", rows)
    with pytest.warns(UserWarning, match=r"^set\.csv: 3 rows cannot be read as pairs: 3 not_text$"):
        found = lidr.load_pairs(str(path), language="en")
    assert texts(found) == [("en", "Tea?", "Yes.", "No."), ("en", "Bye?", "Bye.", "No.")]


def test_two_columns_of_one_name_are_refused(tmp_path):
    import pyarrow as pa
    import pyarrow.parquet as pq

    from lidr.preferences.set_columns import usual_columns

    names = ["prompt", "chosen", "rejected", "margin", "margin"]
    pq.write_table(
        pa.Table.from_arrays([pa.array(["a"])] * 3 + [pa.array([1.0])] * 2, names=names), tmp_path / "x.parquet"
    )
    with pytest.raises(RowError, match=r"x\.parquet: more than one column is called margin; keep one, or"):
        usual_columns([tmp_path / "x.parquet"])
