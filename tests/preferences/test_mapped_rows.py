"""Sets in columns of their own: the usual names, languages, and an export that is read again."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

import lidr
from lidr.errors import HubError, RowError
from lidr.hub.front_matter import read_front_matter
from lidr.preferences.export_forms import export_pairs
from lidr.preferences.mapped_rows import Mapped
from lidr.preferences.pair_source import open_pairs
from lidr.preferences.query import PairQuery
from lidr.preferences.set_columns import usual_columns
from tests.preferences.test_native_rows import pair, written


def lines(path: Path, *rows: dict[str, Any]) -> Path:
    path.write_text("".join(json.dumps({"prompt": "Q?", "chosen": "g", "rejected": "b", **row}) + "\n" for row in rows))
    return path


def test_an_export_for_trl_read_again_keeps_language_kind_iteration_and_margin(tmp_path):
    rows = [pair(0, margin=1.5), pair(1, kind="dominant", language="en", other_language="de", margin=0.5, iteration=2)]
    source = open_pairs(str(written(tmp_path / "set.parquet", *rows)))
    again = lidr.load_pairs(str(export_pairs(source, PairQuery(), "trl", tmp_path / "x").folder))
    for name in ("language", "other_language", "kind", "iteration", "margin", "prompt", "chosen_text"):
        assert again[name][:] == [row[name] for row in rows]


@pytest.mark.parametrize(
    ("row", "taken"),
    [
        ({"language": "de", "kind": "dominant", "iteration": 2, "margin": 1}, True),
        ({"language": None, "score_chosen": 1.5, "score_rejected": None}, True),
        ({"language": "German"}, True),
        ({"kind": "helpful"}, False),
        ({"iteration": 0}, False),
        ({"iteration": "first"}, False),
        ({"margin": "much"}, False),
    ],
)
def test_a_column_of_a_usual_name_counts_where_its_values_are_valid(tmp_path, row, taken):
    path = lines(tmp_path / "set.jsonl", {}, row)
    found = usual_columns([path]).named
    assert {name for name in found if name in row} == (set(row) if taken else set())


def test_a_usual_column_that_a_later_file_lacks_is_not_counted_on(tmp_path):
    paths = [lines(tmp_path / "a.jsonl", {"kind": "dominant"}), lines(tmp_path / "b.jsonl", {})]
    assert usual_columns(paths).kind is None


@pytest.mark.parametrize("first", ["a", "b"])
def test_a_column_of_languages_that_some_files_have_is_read_or_refused_and_never_ignored(tmp_path, first):
    lines(tmp_path / f"{first}.jsonl", {"language": "de"})
    other = lines(tmp_path / f"{'ab'.replace(first, '')}.jsonl", {})
    assert sorted(lidr.load_pairs(str(tmp_path), language="fr")["language"][:]) == ["de", "fr"]
    with pytest.raises(
        RowError, match=rf"^{other}: rows without a language, and other rows of .* have one; unknown is"
    ):
        lidr.load_pairs(str(tmp_path))


def test_a_language_that_is_none_is_refused(tmp_path):
    with pytest.raises(RowError, match=r'^language of the pairs: unknown language code "x y<z>"'):
        Mapped(language="x y<z>")
    with pytest.raises(RowError, match=r'unknown language code "German"; did you mean "de"'):
        lidr.load_pairs(str(lines(tmp_path / "set.jsonl", {})), language="German")


def test_a_name_with_quotes_stays_one_value_of_the_readmes_yaml(tmp_path):
    import yaml

    source = open_pairs(str(written(tmp_path / "set.parquet", pair(0))))
    folder = export_pairs(source, PairQuery(), "llama-factory", tmp_path / "x", name='"a: b').folder
    _, body = read_front_matter((folder / "README.md").read_text())
    block = body.split("```yaml\n")[1].split("```")[0]
    assert yaml.safe_load(block) == {"stage": "dpo", "dataset_dir": ".", "dataset": '"a: b'}
    assert list(json.loads((folder / "dataset_info.json").read_text())) == ['"a: b']


@pytest.mark.parametrize("name", ["", "a\nb", "a,b"])
def test_a_name_that_no_trainer_could_be_given_is_refused(tmp_path, name):
    source = open_pairs(str(written(tmp_path / "set.parquet", pair(0))))
    with pytest.raises(HubError, match="cannot be a set's: write printable characters, no comma, on one line"):
        export_pairs(source, PairQuery(), "llama-factory", tmp_path / "x", name=name)


def test_content_in_parts_of_text_is_read_from_json_lines(tmp_path):
    def talk(role: str, *parts: dict[str, str]) -> list[dict[str, Any]]:
        return [{"role": role, "content": list(parts)}]

    good = {"type": "text", "text": "Yes."}
    path = lines(
        tmp_path / "set.jsonl",
        {"chosen": talk("assistant", good, {"type": "text", "text": " Please."}), "rejected": talk("assistant", good)},
        {"chosen": talk("assistant", {"type": "image_url", "image_url": "x"}), "rejected": talk("assistant", good)},
    )
    with pytest.warns(UserWarning, match="1 row cannot be read as pairs: 1 not_text"):
        (found,) = lidr.load_pairs(str(path))
    assert (found["chosen_text"], found["rejected_text"]) == ("Yes. Please.", "Yes.")
