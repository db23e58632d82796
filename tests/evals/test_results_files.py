"""Results that somebody damaged are refused with the file's name."""

from __future__ import annotations

import json
import math
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from lidr.cli.main import main
from lidr.errors import EvaluationError
from lidr.evals.results import read_results, read_samples, read_scores
from tests.seeded import outcomes, values_of, write_folder


@pytest.mark.parametrize(
    "content", [b"{", b"\xff", b"[" * 100_000, b"1" * 5_000], ids=["cut", "bytes", "deep", "digits"]
)
def test_results_that_are_no_json_are_refused(tmp_path, content):
    (tmp_path / "results.json").write_bytes(content)
    with pytest.raises(EvaluationError, match=r"results\.json: no JSON .*; evaluate again"):
        read_results(tmp_path)


@pytest.fixture
def folder(tmp_path) -> Path:
    """Three items in English: 0, 1 and 2."""
    return write_folder(tmp_path / "a", "a", {"mgsm": values_of(outcomes({"en": 0.5}, 3, seed=1))})


def put(folder: Path, name: str, values: list, kind: pa.DataType | None = None, file: str = "scores") -> None:
    """Write other values, or another type, into one column."""
    path = folder / f"{file}.parquet"
    table = pq.read_table(path)
    pq.write_table(table.set_column(table.column_names.index(name), name, pa.array(values, kind)), path)


@pytest.mark.parametrize(
    ("values", "said"),
    [
        ([None, "0.5", "high"], r'row 2 \(lidr_mgsm_en, item 1\): found "0\.5" \(string\)'),
        ([1.0, 0.0, math.nan], r"row 3 \(lidr_mgsm_en, item 2\): found NaN \(double\)"),
        ([-math.inf, 0.0, 1.0], r"row 1 \(lidr_mgsm_en, item 0\): found -Infinity \(double\)"),
        ([[1.0], [0.0], [1.0]], r"row 1 \(lidr_mgsm_en, item 0\): found \[1\.0\] \(list<.*>\)"),
    ],
    ids=["text", "nan", "infinite", "lists"],
)
def test_a_score_that_is_no_number_is_refused_with_its_row_by_all_who_read_scores(folder, capsys, values, said):
    put(folder, "value", values)
    allowed = "a finite number, or null where the item was not scored. Mend the file, or evaluate again"
    with pytest.raises(EvaluationError, match=rf'a/scores\.parquet: column "value", {said}; allowed: {allowed}'):
        read_scores(folder)
    assert main(["eval", "compare", str(folder), str(folder)]) == 2
    assert 'scores.parquet: column "value", row' in capsys.readouterr().err


@pytest.mark.parametrize(
    ("file", "name", "values", "said"),
    [
        ("scores", "item", [0, 1, 2], r"row 1 \(lidr_mgsm_en\): found 0 \(int64\)"),
        ("scores", "task", ["lidr_mgsm_en", None, "lidr_mgsm_en"], r"row 2 \(item 1\): found null \(string\)"),
        ("samples", "response", ["a", "b", None], r"row 3 \(lidr_mgsm_en, item 2\): found null \(string\)"),
    ],
)
def test_a_text_that_is_none_is_refused_with_its_row(folder, file, name, values, said):
    put(folder, name, values, file=file)
    with pytest.raises(EvaluationError, match=rf'{file}\.parquet: column "{name}", {said}; allowed: text\. Mend'):
        (read_scores if file == "scores" else read_samples)(folder)


@pytest.mark.parametrize(
    ("values", "kind"),
    [([1, 0, None], pa.int32()), ([True, False, None], pa.bool_()), ([None] * 3, pa.null())],
    ids=["whole numbers", "booleans", "nulls"],
)
def test_numbers_of_any_type_are_read_and_null_is_not_scored(folder, values, kind):
    put(folder, "value", values, kind)
    found = read_scores(folder)["value"]
    assert found.type == pa.float64()
    assert found.to_pylist() == [None if value is None else float(value) for value in values]


def test_texts_of_a_type_of_other_writers_are_read(folder):
    put(folder, "task", ["lidr_mgsm_en"] * 3, pa.dictionary(pa.int32(), pa.string()))
    put(folder, "item", ["0", "1", "2"], pa.large_string())
    assert {field.type for field in read_scores(folder).select(["task", "item"]).schema} == {pa.string()}


@pytest.mark.parametrize(
    ("value", "said"),
    [
        ("high", r'tasks\.0\.scores\.acc\.value: found "high": '),
        (math.nan, r"tasks\.0\.scores\.acc\.value: found NaN: "),
    ],
    ids=["text", "nan"],
)
def test_a_number_of_the_results_that_is_none_is_refused(folder, capsys, value, said):
    path = folder / "results.json"
    data = json.loads(path.read_text())
    data["tasks"][0]["scores"]["acc"]["value"] = value
    path.write_text(json.dumps(data))
    with pytest.raises(EvaluationError, match=rf"results\.json: {said}.*; evaluate again"):
        read_results(folder)
    assert main(["eval", "paper-check", str(folder)]) == 2
    assert "results.json: " in capsys.readouterr().err
