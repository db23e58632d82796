"""CSV, TSV, JSON lines, JSON arrays and Parquet, packed or not: the same rows; damage is named with its place."""

from __future__ import annotations

import csv
import gzip
import json
import tracemalloc

import polars as pl
import pytest

from lidr.errors import RowError
from lidr.tables import delimited, file_batches, file_schema, placed_rows, text_files

ROWS = [
    {"id": "a", "en": "=SUM(A1:A9)", "de": 'Sie sagte "nein", und ging.'},
    {"id": "b", "en": "two\nlines, one field", "de": "+49 30 NA"},
    {"id": "c", "en": "नमस्ते\u2028😀", "de": ""},
]


def write(path, rows=ROWS):
    kind = path.name.partition(".")[2].removesuffix(".gz")
    if kind == "parquet":
        pl.DataFrame(rows).write_parquet(path)
        return path
    if kind in ("csv", "tsv"):
        plain = path.with_name("plain")
        with plain.open("w", encoding="utf-8", newline="") as file:
            table = csv.DictWriter(file, list(rows[0]), delimiter="," if kind == "csv" else "\t")
            table.writeheader()
            table.writerows(rows)
        data = plain.read_bytes()
    else:
        text = json.dumps(rows) if kind == "json" else "\n".join(json.dumps(row) for row in rows)
        data = text.encode()
    path.write_bytes(gzip.compress(data) if path.suffix == ".gz" else data)
    return path


KINDS = ["csv", "tsv", "jsonl", "json", "parquet", "csv.gz", "tsv.gz", "jsonl.gz", "json.gz"]


@pytest.mark.parametrize("kind", KINDS)
def test_every_kind_gives_the_same_rows_one_by_one_and_in_batches(tmp_path, kind):
    path = write(tmp_path / f"rows.{kind}")
    assert [row for _, row in placed_rows(path)] == ROWS
    assert [row for batch in file_batches(path, 2, None) for row in batch.to_pylist()] == ROWS
    assert [row["de"] for batch in file_batches(path, 2, ["de"]) for row in batch.to_pylist()] == [
        r["de"] for r in ROWS
    ]
    assert file_schema(path).names == ["id", "en", "de"]


def test_a_row_is_named_by_the_line_on_which_it_begins(tmp_path):
    places = [place for place, _ in placed_rows(write(tmp_path / "rows.csv"))]
    assert [place.rpartition(":")[2] for place in places] == ["2", "3", "5"]


@pytest.mark.parametrize("end", ["\n", "\r\n", "\r"])
def test_a_byte_order_mark_and_any_ends_of_lines_are_read(tmp_path, end):
    path = tmp_path / "rows.csv"
    path.write_bytes(b"\xef\xbb\xbf" + f"id,en{end}a,x{end}{end}b,y".encode())
    assert [row for _, row in placed_rows(path)] == [{"id": "a", "en": "x"}, {"id": "b", "en": "y"}]


@pytest.mark.parametrize(
    ("name", "data", "message"),
    [
        ("x.csv", b"", r"x\.csv:1: no header; the first line names the columns"),
        (
            "x.csv",
            b"id,en\na,b,c\n",
            r"x\.csv:2: 3 fields, and the header has 2 \(id, en\); put a text that holds",
        ),
        ("x.csv", b"id,en\na\n", r"x\.csv:2: 1 fields, and the header has 2"),
        ("x.csv", b'id,en\na,"b\nc,d\n', r"x\.csv:2: a quote opens here and is not closed; inside quotes"),
        ("x.csv", b'id,en\na,"b" c\n', r"x\.csv:2: .*expected after.*; inside quotes"),
        ("x.csv", b"id,en\na,x\0y\n", r"x\.csv:2:4: a NUL character: no text, or UTF-16; save the file as UTF-8"),
        ("x.csv", "id,en\na,x".encode("utf-16"), r"x\.csv:1: byte 0xff is not UTF-8; save the file as UTF-8 \(byte 1 "),
        (
            "x.csv",
            b"id,en\na,caf\xe9\n",
            r"x\.csv:2: byte 0xe9 is not UTF-8; save the file as UTF-8 \(byte 6 of",
        ),
        ("x.csv", b"id,en,en\n", r"x\.csv:1: the header has the column 'en' twice"),
        ("x.csv", b"id,,en\n", r"x\.csv:1: column 2 has no name in the header; .*to_csv\(index=False\)"),
        (
            "x.csv",
            b"id|en\n",
            r"x\.csv:1: one column, 'id\|en': is the file separated by bars\? Save it with",
        ),
        ("x.csv", b"id\ten\n", r"x\.csv:1: one column, .*separated by tabs\? .*or, with tabs, name it \.tsv"),
        ("x.csv.gz", b"id,en\n", r"x\.csv\.gz: cannot be unpacked as gzip \(Not a gz"),
        ("x.csv.gz", gzip.compress(b"id,en\na,b\n", mtime=0)[:-9], r"x\.csv\.gz: cannot be unpacked as gzip"),
        ("x.jsonl.gz", gzip.compress(b'{"a": 1}\n{"a": \n', mtime=0), r"x\.jsonl\.gz:2:\d+: not JSON"),
        ("x.json", b'{"a": 1}', r"x\.json: expected a JSON array of objects"),
        ("x.xlsx", b"PK", r"x\.xlsx: a table ends with \.jsonl, .*\(from a spreadsheet: CSV, UTF-8\)"),
        ("x.parquet.gz", b"PAR1", r"x\.parquet\.gz: a table ends with"),
    ],
)
def test_what_is_damaged_is_named_with_its_place_and_how_to_mend_it(tmp_path, name, data, message):
    (tmp_path / name).write_bytes(data)
    with pytest.raises(RowError, match=message):
        list(placed_rows(tmp_path / name))


@pytest.mark.parametrize("name", ["x.jsonl.gz", "x.csv.gz", "x.jsonl", "x.csv"])
def test_a_line_without_an_end_is_refused_before_it_fills_the_memory(tmp_path, monkeypatch, name):
    """A hundred kilobytes packed may stand for a hundred megabytes in one line."""
    first = b"id,en\n" if "csv" in name else b'{"id": "a", "en": "b"}\n'
    data = first + b" " * (1 << 24)
    (tmp_path / name).write_bytes(gzip.compress(data, 1) if name.endswith(".gz") else data)
    for module in (text_files, delimited):
        monkeypatch.setattr(module, "LONGEST_LINE", 1 << 20)
    monkeypatch.setattr(text_files, "_BLOCK", 1 << 16)
    tracemalloc.start()
    with pytest.raises(RowError, match=":2: a line of more than 1 MiB; at most that: write a line for each row"):
        list(placed_rows(tmp_path / name))
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert peak < 6 << 20


def test_a_field_may_be_long_and_a_column_that_is_not_there_is_named(tmp_path):
    path = write(tmp_path / "rows.csv", [{"id": "a", "en": "x" * 200_000}])
    assert len(next(placed_rows(path))[1]["en"]) == 200_000
    with pytest.raises(RowError, match=r"rows\.csv: no column 'fr'; its columns: id, en"):
        list(file_batches(path, 10, ["fr"]))
