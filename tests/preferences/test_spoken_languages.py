"""Languages as people write them: read, kept, or refused, and never taken for none."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

import lidr
from lidr.errors import RowError
from lidr.hub.front_matter import read_front_matter
from lidr.preferences.export_forms import export_pairs
from lidr.preferences.mapped_rows import Mapped, language_tags
from lidr.preferences.pair_source import open_pairs
from lidr.preferences.query import PairQuery
from lidr.preferences.read_pairs import readings
from lidr.rows import Pair
from tests.preferences.test_native_rows import pair, written

HERE = Path(__file__).parent


def lines(path: Path, *languages: Any, **columns: Any) -> Path:
    rows = [
        {"prompt": f"Q{n}", "chosen": "A", "rejected": "B", "language": code, **columns}
        for n, code in enumerate(languages)
    ]
    path.write_text("".join(json.dumps(row) + "\n" for row in rows), encoding="utf-8")
    return path


def read(path: Path, *codes: str) -> list[tuple[str, str]]:
    """Language and kind of each pair, as a recipe with these languages reads them, the first being dominant."""
    mapped = Mapped(None, codes[0], codes[0], codes)
    batches = [batch for batch, _ in readings(open_pairs(str(path)), 100, Pair.schema.names, mapped)]
    return [(row["language"], row["kind"]) for batch in batches for row in batch.to_pylist()]


@pytest.mark.parametrize(
    ("name", "languages"),
    [("K01_language_upper.jsonl", ["de", "en"]), ("K01_language_dictionary.parquet", ["en", "de"])],
)
def test_upper_case_and_a_dictionary_of_values_are_languages(name, languages):
    kinds = {"en": "dominant", "de": "non_dominant"}
    assert read(HERE / name, "en", "de") == [(language, kinds[language]) for language in languages]
    assert lidr.load_pairs(str(HERE / name))["language"][:] == languages


@pytest.mark.parametrize(
    ("written", "codes", "language"),
    [
        ("German", ("en", "de"), "de"),
        ("Deutsch", ("en", "de"), "de"),
        ("deu_Latn", ("en", "de"), "de"),
        ("zh-Hans", ("en", "zh"), "zh"),
        ("pt-br", ("en", "pt"), "pt"),
        ("pt-br", ("en", "de"), "pt-BR"),
        ("en_US", ("en", "de"), "en"),
        ("is", ("en", "de"), "is"),
        ("no", ("en", "nb"), "nb"),
    ],
)
def test_names_and_tags_are_read_and_a_region_goes_only_where_the_recipe_has_the_bare_language(
    tmp_path, written, codes, language
):
    path = lines(tmp_path / "set.jsonl", written, None)
    kind = "dominant" if language == codes[0] else "non_dominant"
    assert read(path, *codes) == [(language, kind), (codes[0], "dominant")]
    said = language_tags(open_pairs(str(path)), Mapped(None, codes[0], codes[0], codes))
    assert said == ({} if written == language else {written: language})


@pytest.mark.parametrize("value", ["helpful", "und", "", "xx", "python"])
def test_what_says_no_language_is_refused_and_not_read_as_the_dominant_one(tmp_path, value):
    path = lines(tmp_path / "set.jsonl", "de", value)
    with pytest.raises(
        RowError, match=rf"^set\.jsonl: column language: '{value}': no language that lidr knows\. Write codes"
    ):
        read(path, "en", "de")
    with pytest.raises(RowError, match="no language that lidr knows"):
        lidr.load_pairs(str(path), columns={"prompt": "prompt", "chosen": "chosen", "rejected": "rejected",
                                            "language": "language"})  # fmt: skip
    plain = {"prompt": "prompt", "chosen": "chosen", "rejected": "rejected"}
    assert lidr.load_pairs(str(path), columns=plain, language="de")["language"][:] == ["de", "de"]


def test_many_values_are_counted_and_a_column_of_numbers_is_named_with_its_type(tmp_path):
    with pytest.raises(RowError, match=r"'c1', 'c2', 'c3', 'c4', 'c5' and 2 more: no language that lidr knows"):
        read(lines(tmp_path / "set.jsonl", *(f"c{n}" for n in range(1, 8))), "en", "de")
    with pytest.raises(RowError, match=r"numbers\.jsonl: column language is int64, which says no language"):
        read(lines(tmp_path / "numbers.jsonl", 0, 1), "en", "de")


def test_pairs_with_columns_of_ours_are_read_alike(tmp_path):
    rows = [pair(0, language="DE", other_language="English"), pair(1, language="de", other_language="en")]
    path = written(tmp_path / "set.parquet", *rows)
    mapped = Mapped(languages=("en", "de"))
    (batch,) = [b for b, _ in readings(open_pairs(str(path)), 100, ["language", "other_language"], mapped)]
    assert batch.to_pylist() == [{"language": "de", "other_language": "en"}] * 2
    assert language_tags(open_pairs(str(path)), mapped) == {"DE": "de", "English": "en"}
    odd = written(tmp_path / "odd.parquet", pair(0, language="helpful"))
    with pytest.raises(RowError, match=r"odd\.parquet: column language: 'helpful': no language that lidr knows"):
        read(odd, "en", "de")


def test_a_readme_has_the_base_code_of_a_tag(tmp_path):
    source = open_pairs(str(lines(tmp_path / "set.jsonl", "pt-BR", "pt_PT")))
    folder = export_pairs(source, PairQuery(), "trl", tmp_path / "x").folder
    assert read_front_matter((folder / "README.md").read_text())[0]["language"] == ["pt"]
    assert [row["language"] for row in lidr.load_pairs(str(folder))] == ["pt-BR", "pt-PT"]


def test_texts_in_a_dictionary_are_texts(tmp_path):
    names = {"prompt": ["Q", "R"], "chosen": ["A", "A"], "rejected": ["B", "B"]}
    table = pa.table({name: pa.array(values).dictionary_encode() for name, values in names.items()})
    pq.write_table(table, tmp_path / "set.parquet")
    assert lidr.load_pairs(str(tmp_path / "set.parquet"))["prompt_text"][:] == ["Q", "R"]
