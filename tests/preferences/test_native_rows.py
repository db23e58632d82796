"""Rows with lidr's own columns that somebody changed: what is refused, what is dropped, and where that is said."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import polars as pl
import pyarrow as pa
import pyarrow.json as paj
import pyarrow.parquet as pq
import pytest

import lidr
from lidr.errors import HubError, RowError
from lidr.preferences.export_forms import export_pairs
from lidr.preferences.mapped_rows import Mapped
from lidr.preferences.native_rows import NEEDED, doubtful, fits
from lidr.preferences.pair_source import open_pairs
from lidr.preferences.query import PairQuery
from lidr.preferences.read_pairs import census, pair_batches
from lidr.preferences.set_columns import column_map
from lidr.rows import Pair
from tests.preferences.trainer_forms import VALIDATORS


def said(role: str, *texts: str | None) -> list[dict[str, str | None]]:
    return [{"role": role, "content": text} for text in texts]


def pair(number: int, **changed: Any) -> dict[str, Any]:
    row = {"pair_id": f"1/p{number}", "prompt_id": f"p{number}", "language": "de", "other_language": "en",
           "kind": "non_dominant", "iteration": 1, "prompt": said("user", "Tee?"), "prompt_text": "Tee?",
           "chosen": said("assistant", "Ja."), "chosen_text": "Ja.", "rejected": said("assistant", "Nein."),
           "rejected_text": "Nein."}  # fmt: skip
    return dict.fromkeys(Pair.schema.names) | row | changed


def written(path: Path, *rows: dict[str, Any]) -> Path:
    if path.suffix == ".jsonl":
        path.write_text("".join(json.dumps(row) + "\n" for row in rows))
    else:
        pq.write_table(pa.Table.from_pylist(list(rows), Pair.schema), path)
    return path


WRONG = [
    *(({name: None}, "incomplete") for name in NEEDED if name not in ("prompt", "chosen", "rejected")),
    *(({name: None}, "empty") for name in ("prompt", "chosen", "rejected")),
    ({"chosen": []}, "empty"),
    ({"rejected": said("assistant", None)}, "empty"),
    ({"prompt": [{"role": None, "content": "Tee?"}]}, "empty"),
    ({"chosen": said("assistant", "Ja.", "Doch.")}, "several_messages"),
    ({"rejected": said("user", "Nein.")}, "no_answer"),
]


@pytest.mark.parametrize("kind", ["parquet", "jsonl"])
def test_each_row_that_is_no_pair_is_dropped_with_its_reason_and_the_others_are_kept(tmp_path, kind):
    """Whichever columns are read: the count is the same for every form of export."""
    rows = [pair(0), *(pair(number, **changed) for number, (changed, _) in enumerate(WRONG, 1)), pair(99)]
    source = open_pairs(str(written(tmp_path / f"set.{kind}", *rows)))
    found = [name for batch in pair_batches(source, 8, ["pair_id"]) for name in batch["pair_id"].to_pylist()]
    assert found == ["1/p0", "1/p99"]
    counted = census(source, PairQuery())
    assert counted.rows == 2
    assert counted.unread == {reason: [r for _, r in WRONG].count(reason) for reason in sorted({r for _, r in WRONG})}


@pytest.mark.parametrize("engine", ["pyarrow", "polars"])
@pytest.mark.parametrize(("changed", "reason"), WRONG, ids=[f"{next(iter(c))}-{r}" for c, r in WRONG])
def test_statistics_put_in_doubt_just_the_column_that_is_wrong(tmp_path, changed, reason, engine):
    path = written(tmp_path / "set.parquet", pair(0), pair(1, **changed))
    if engine == "polars":
        pl.read_parquet(path).write_parquet(path)
    assert doubtful(path) == tuple(changed)


def test_a_file_of_sound_rows_is_in_no_doubt_however_long_its_texts(tmp_path):
    long = pair(0, chosen=said("assistant", "a" * 100_000), chosen_text="a" * 100_000)
    assert doubtful(written(tmp_path / "set.parquet", long, pair(1))) == ()


def test_rows_without_statistics_are_looked_at(tmp_path):
    table = pa.Table.from_pylist([pair(0), pair(1, chosen=[])], Pair.schema)
    pq.write_table(table, path := tmp_path / "set.parquet", write_statistics=False)
    assert doubtful(path) == NEEDED
    assert census(open_pairs(str(path)), PairQuery()).unread == {"empty": 1}


@pytest.mark.parametrize(
    ("name", "value", "found"),
    [("margin", "much", "string"), ("chosen", "Ja.", "string"), ("iteration", "1", "string"), ("kind", 1, "int64")],
)
def test_a_column_of_another_type_is_refused_with_both_types(tmp_path, name, value, found):
    rows = [pair(0, **{name: value}), pair(1, **{name: value})]
    frame = pa.Table.from_pylist(rows)
    pq.write_table(frame, path := tmp_path / "set.parquet")
    with pytest.raises(
        RowError, match=rf"set\.parquet: column {name} is {found} and must be .*; or, if this is another"
    ):
        census(open_pairs(str(path)), PairQuery())
    with pytest.raises(RowError, match=rf"column {name} is {found}"):
        export_pairs(open_pairs(str(path)), PairQuery(), "trl", tmp_path / "x")


@pytest.mark.parametrize("chosen", [None, [], said("assistant", None), [{"role": None, "content": None}]])
def test_a_column_of_json_in_which_no_row_has_a_value_is_no_other_type(tmp_path, chosen):
    path = written(tmp_path / "set.jsonl", pair(0, chosen=chosen), pair(1, chosen=chosen))
    assert census(open_pairs(str(path)), PairQuery()).unread == {"empty": 2}


def test_a_kind_that_there_is_not_is_refused(tmp_path):
    path = written(tmp_path / "set.parquet", pair(0, kind="good"))
    with pytest.raises(
        RowError, match=r"column kind: 'good' is no kind of pair; allowed: dominant, non_dominant, sampled$"
    ):
        list(pair_batches(open_pairs(str(path)), 8, ["kind"]))


def test_a_number_that_its_column_cannot_hold_is_refused(tmp_path):
    path = written(tmp_path / "set.jsonl", pair(0, iteration=2**40))
    with pytest.raises(RowError, match=r"set\.jsonl: a value does not fit its column: "):
        list(pair_batches(open_pairs(str(path)), 8, ["iteration"]))


def test_types_that_can_be_cast_are_read_in_the_types_of_pairs(tmp_path):
    rows = [{**pair(n), "margin": n, "chosen": [{"content": "Ja.", "role": "assistant", "name": None}]} for n in (0, 1)]
    source = open_pairs(str(written(tmp_path / "set.jsonl", *rows)))
    (batch,) = pair_batches(source, 8, Pair.schema.names)
    assert batch.schema.types == Pair.schema.types
    assert batch["chosen"].to_pylist() == [said("assistant", "Ja.")] * 2
    assert fits(pa.large_list(pa.struct([("content", pa.large_string())])), Pair.schema.field("chosen").type) is False


@pytest.mark.parametrize("to", VALIDATORS)
def test_an_export_leaves_them_out_and_says_so_in_its_readme_and_its_record(tmp_path, to):
    path = written(tmp_path / "set.parquet", pair(0), pair(1, chosen=None), pair(2, language=None))
    found = export_pairs(open_pairs(str(path)), PairQuery(), to, tmp_path / "x")
    assert (found.rows, found.unread) == (1, {"empty": 1, "incomplete": 1})
    assert list(VALIDATORS[to](found.folder)) == []
    readme = (found.folder / "README.md").read_text()
    assert "All of its rows that can be read as pairs. 2 rows cannot be read as pairs: 1 empty, 1 incomplete." in readme
    assert "All of its pairs" not in readme
    assert json.loads((found.folder / "lidr/export.json").read_text())["unread"] == {"empty": 1, "incomplete": 1}


@pytest.mark.parametrize("to", VALIDATORS)
def test_the_weight_of_a_pair_goes_into_every_export_and_nothing_else_changes(tmp_path, to):
    plain = written(tmp_path / "plain.jsonl", *(pair(number) for number in range(3)))
    weighed = written(tmp_path / "weighed.jsonl", *(pair(number, weight=0.5 + number) for number in range(3)))
    one, other = (
        export_pairs(open_pairs(str(path)), PairQuery(), to, tmp_path / path.stem) for path in (plain, weighed)
    )
    assert list(VALIDATORS[to](other.folder)) == []
    read = pq.read_table if other.file.suffix == ".parquet" else paj.read_json
    assert read(other.file)["weight"].to_pylist() == [0.5, 1.5, 2.5]
    assert read(other.file).drop_columns(["weight"]).equals(read(one.file))
    assert [("`weight`" in (done.folder / "README.md").read_text()) for done in (one, other)] == [False, True]


def test_the_weight_of_a_pair_is_loaded(tmp_path):
    weighed = written(tmp_path / "weighed.jsonl", *(pair(number, weight=0.5 + number) for number in range(3)))
    assert lidr.load_pairs(str(weighed))["weight"][:] == [0.5, 1.5, 2.5]
    assert "weight" not in lidr.load_pairs(str(written(tmp_path / "plain.jsonl", pair(0)))).column_names


def test_a_column_weight_that_holds_no_number_is_somebodys_own_and_left_out(tmp_path):
    own = written(tmp_path / "own.jsonl", *(pair(number, weight="heavy") for number in range(3)))
    assert "weight" not in lidr.load_pairs(str(own)).column_names


def test_rows_that_a_column_map_reads_have_no_weight(tmp_path):
    weighed = written(tmp_path / "weighed.jsonl", *(pair(number, weight=0.5 + number) for number in range(3)))
    columns = {"prompt": "prompt", "chosen": "chosen", "rejected": "rejected", "language": "language"}
    mapped = Mapped(column_map(columns))
    done = export_pairs(open_pairs(str(weighed)), PairQuery(), "jsonl", tmp_path / "x", mapped=mapped)
    assert "weight" not in paj.read_json(done.file).column_names
    assert "weight" not in lidr.load_pairs(str(weighed), columns=columns).column_names


def test_an_export_of_which_nothing_can_be_read_says_why(tmp_path):
    path = written(tmp_path / "set.parquet", pair(0, chosen=said("assistant", "1", "2")))
    with pytest.raises(
        HubError, match=r"no pair is left of what was asked for \(1 row cannot be read as pairs: 1 several"
    ):
        export_pairs(open_pairs(str(path)), PairQuery(), "trl", tmp_path / "x")


def test_load_pairs_leaves_them_out_and_warns(tmp_path):
    path = written(tmp_path / "set.parquet", pair(0), pair(1, prompt_text=None))
    with pytest.warns(UserWarning, match=r"^set\.parquet: 1 row cannot be read as pairs: 1 incomplete$"):
        assert lidr.load_pairs(str(path))["pair_id"][:] == ["1/p0"]


@pytest.mark.parametrize("place", ["prompt", "chosen", "rejected", "tools"])
def test_a_row_of_pairs_to_which_somebody_gave_a_call_of_a_tool_is_dropped(tmp_path, place):
    row = pair(0, tools=["clock"]) if place == "tools" else pair(0)
    if place != "tools":
        row[place] = [{**row[place][0], "tool_calls": [{"name": "clock"}]}]
    path = tmp_path / "set.jsonl"
    path.write_text(json.dumps(row) + "\n" + json.dumps(pair(1)) + "\n")
    pl.read_ndjson(path, infer_schema_length=None).write_parquet(tmp_path / "set.parquet")
    for name in ("set.jsonl", "set.parquet"):
        with pytest.warns(UserWarning, match="1 row cannot be read as pairs: 1 not_text"):
            assert lidr.load_pairs(str(tmp_path / name))["pair_id"][:] == ["1/p1"]


@pytest.mark.parametrize("name", ["rejected", "prompt_text"])
def test_a_file_with_two_columns_of_one_name_is_refused(tmp_path, name):
    file = written(tmp_path / "set.parquet", pair(0))
    table = pq.read_table(file)
    pq.write_table(table.append_column(name, table[name]), file)
    with pytest.raises(RowError, match=rf"set\.parquet: more than one column is called {name}; keep one, or give"):
        list(pair_batches(open_pairs(str(file)), 8, ["pair_id", "chosen"]))
