"""Pairs that cannot be read or exported: what is said of them."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any

import pytest

from lidr.errors import HubError, RowError, StoreError
from lidr.preferences.export_forms import export_pairs
from lidr.preferences.mapped_rows import Mapped
from lidr.preferences.pair_source import open_pairs
from lidr.preferences.query import PairQuery
from lidr.preferences.set_columns import column_map
from lidr.tables import text_files


@pytest.fixture
def root(world, monkeypatch) -> Path:
    monkeypatch.setenv("LIDR_STORE", str(world.folder.parents[1]))
    return world.folder.parents[1]


@pytest.mark.parametrize("side", ["chosen", "rejected"])
def test_a_column_map_without_a_side_is_refused(side):
    with pytest.raises(RowError, match=r"^column map: chosen and rejected must each be a column$"):
        column_map({"prompt": "q", side: None})


def test_a_step_that_writes_no_pairs_is_named_with_what_it_holds(root):
    with pytest.raises(
        StoreError, match=r"^iter_1/generate holds responses, not pairs; name a step that writes pairs$"
    ):
        open_pairs("run:scripted/iter_1/generate")


def test_a_run_or_a_version_that_is_not_in_the_store_is_said(root):
    with pytest.raises(StoreError, match=f"^run:wax: the store {root} has no run wax; it has "):
        open_pairs("run:wax")
    with pytest.raises(StoreError, match=r"^run:scripted@9\.9\.9: scripted has the versions 0\.1\.0$"):
        open_pairs("run:scripted@9.9.9")


def test_a_run_that_stopped_before_its_pairs_says_how_far_to_run(root, tmp_path):
    (step := tmp_path / "scripted" / "0.1.0" / "iter_1" / "prompts").parent.mkdir(parents=True)
    step.symlink_to(root / "scripted" / "0.1.0" / "iter_1" / "prompts")
    with pytest.raises(StoreError, match=r"^run:scripted@0\.1\.0 has no pairs yet: run its recipe at least until"):
        open_pairs("run:scripted", store=tmp_path)


def test_a_table_that_is_cut_short_is_named(tmp_path):
    (path := tmp_path / "cut.parquet").write_bytes(b"PAR1 and no more")
    with pytest.raises(RowError, match=r"cut\.parquet: no rows in it that can be read: .*[Pp]arquet"):
        _ = open_pairs(str(path)).columns


def test_an_export_that_would_be_empty_is_refused_and_leaves_nothing(tmp_path):
    rows = [{"prompt": "Tea?", "chosen": "Yes.", "rejected": "No.", "m": 0.5}]
    (tmp_path / "set.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    mapped = Mapped(column_map({"margin": "m"}), "de")
    with pytest.raises(HubError, match=r"^set\.jsonl: no pair is left of what was asked for; ask for less$"):
        export_pairs(
            open_pairs(str(tmp_path / "set.jsonl")), PairQuery(min_margin=1.0), "trl", tmp_path / "x", mapped=mapped
        )
    assert [path.name for path in tmp_path.iterdir()] == ["set.jsonl"]


def test_a_later_file_that_lacks_a_column_of_the_first_is_named(tmp_path):
    for number, names in enumerate((["q", "a", "b"], ["q", "a"])):
        row = json.dumps(dict.fromkeys(names, "Tea.")) + "\n"
        (tmp_path / f"train-{number}.jsonl").write_text(row)
    source = open_pairs(str(tmp_path))
    with pytest.raises(RowError, match=r"train-1\.jsonl: no column 'b'; its columns: q, a$"):
        list(source.batches(8, ["q", "a", "b"]))


def lines(path: Path, *rows: dict[str, Any]) -> Path:
    path.write_text("".join(json.dumps(row) + "\n" for row in rows))
    return path


def test_what_first_stands_in_a_later_part_of_a_file_is_read(tmp_path, monkeypatch):
    monkeypatch.setattr(text_files, "_BLOCK", 30)  # a part is a line
    talk = [{"role": "user", "content": "Tea?"}]
    path = lines(
        tmp_path / "set.jsonl", {"a": None, "z": "Tea, please, and some bees"}, {"a": talk, "n": 1}, {"n": 0.5}
    )
    source = open_pairs(str(path))
    assert source.columns == ("a", "z", "n")
    found = [row for batch in source.batches(8, ["a", "n"]) for row in batch.to_pylist()]
    assert found == [{"a": None, "n": None}, {"a": talk, "n": 1.0}, {"a": None, "n": 0.5}]


@pytest.mark.parametrize("size", [1 << 20, 20])
def test_a_list_among_texts_is_refused_and_never_read_as_text(tmp_path, monkeypatch, size):
    monkeypatch.setattr(text_files, "_BLOCK", size)
    path = lines(tmp_path / "set.jsonl", {"a": "Tea, please, and some bees."}, {"a": "[1]"})
    assert [row for batch in open_pairs(str(path)).batches(8) for row in batch.to_pylist()][1] == {"a": "[1]"}
    path = lines(
        tmp_path / "other.jsonl", {"a": "Tea, please, and some bees."}, {"a": "[1]"}, {"a": [{"role": "user"}]}
    )
    with pytest.raises(
        RowError, match=r"other\.jsonl:3: a is a list or an object here and a text elsewhere; write all"
    ):
        list(open_pairs(str(path)).batches(8))


@pytest.mark.parametrize("size", [1 << 20, 20])
def test_a_truth_value_among_numbers_is_refused_by_its_line_however_the_file_is_cut(tmp_path, monkeypatch, size):
    monkeypatch.setattr(text_files, "_BLOCK", size)
    path = lines(tmp_path / "set.jsonl", {"a": 1.5}, {"a": 2}, {"a": 3, "b": "some more"}, {"a": True}, {"a": False})
    with pytest.raises(RowError, match=rf"^{path}:4: a is a truth value here and a number elsewhere; write all as"):
        list(open_pairs(str(path)).batches(8))


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("", r" no rows in it that can be read: it is empty$"),
        ("\n\n", r" no rows in it that can be read: it is empty$"),
        ('{"a": 1}\n{nope\n', r"2:2: not JSON: "),
        ('{"a": true}\n{"a": 2}\n', r"1: a is a truth value here and a number elsewhere; write all"),
        ("[1]\n", r"1: expected an object \(\{\.\.\.\}\), found list"),
    ],
)
def test_a_file_that_is_no_json_lines_says_where(tmp_path, text, said):
    (path := tmp_path / "set.jsonl").write_text(text)
    with pytest.raises(RowError, match=rf"^{path}:{said}"):
        list(open_pairs(str(path)).batches(8))


@pytest.mark.parametrize(
    ("configs", "wrong"),
    [
        ("3", "configs: Input should be a valid list"),
        ("[3]", "configs.0: Input should be a valid dictionary"),
        ("[{data_files: x}]", "configs.0.config_name: Field required"),
        ("[{config_name: a, data_files: [{path: x}]}]", "configs.0.data_files"),
        ("[{config_name: a, data_files: 3}]", "configs.0.data_files"),
    ],
)
def test_configurations_that_are_none_are_said_with_what_they_should_be(tmp_path, configs, wrong):
    lines(tmp_path / "set.jsonl", {"a": 1})
    (tmp_path / "README.md").write_text(f"---\nconfigs: {configs}\n---\n")
    said = f"{tmp_path}: README.md: {wrong}"
    with pytest.raises(HubError, match=rf"^{re.escape(said)}.*\. A configuration has a config_name and data_files: a "):
        open_pairs(str(tmp_path))


def test_no_configurations_and_names_that_yaml_reads_otherwise_are_no_fault(tmp_path):
    lines(tmp_path / "set.jsonl", {"a": 1})
    for configs, config in (("null", None), ("[{config_name: 2024, data_files: '*.jsonl'}]", "2024")):
        (tmp_path / "README.md").write_text(f"---\nconfigs: {configs}\n---\n")
        assert open_pairs(str(tmp_path)).config == config


@pytest.mark.parametrize(
    ("given", "licence"),
    [("mit", "mit"), ("[mit]", "mit"), ("[mit, cc-by-nc-4.0]", "cc-by-nc-4.0"), ("[mit, my-own]", "other")],
)
def test_of_several_licences_of_a_card_the_strictest_counts(tmp_path, given, licence):
    lines(tmp_path / "set.jsonl", {"a": 1})
    (tmp_path / "README.md").write_text(f"---\nlicense: {given}\n---\n")
    source = open_pairs(str(tmp_path))
    assert (source.parents[0].licence, source.licence.identifier) == (licence, licence)


@pytest.mark.parametrize(
    ("text", "wrong"),
    [("{", "no JSON"), ("[" * 5000, "nested too deep"), ('{"parents": [{"name": "x"}]}', "parents.0.role: Field")],
)
def test_parents_of_another_form_are_said(tmp_path, text, wrong):
    lines(tmp_path / "set.jsonl", {"a": 1})
    (tmp_path / "lidr").mkdir()
    (tmp_path / "lidr" / "run.json").write_text(text)
    with pytest.raises(HubError, match=rf"run\.json: {wrong}.*; the release is damaged$"):
        open_pairs(str(tmp_path))


def test_a_card_that_is_no_text_is_named(tmp_path):
    lines(tmp_path / "set.jsonl", {"a": 1})
    (tmp_path / "README.md").write_bytes(b"---\nlicense: \xff\n---\n")
    with pytest.raises(
        HubError, match=r"README\.md: no UTF-8 text \(invalid start byte at byte 13\); mend or remove it$"
    ):
        open_pairs(str(tmp_path))


def test_a_card_of_lists_in_lists_by_the_thousand_is_refused(tmp_path):
    lines(tmp_path / "set.jsonl", {"a": 1})
    (tmp_path / "README.md").write_text(f"---\na: {'[' * 3000}{']' * 3000}\n---\n")
    with pytest.raises(
        HubError, match=rf"^{tmp_path}: the README\.md that is there has broken metadata \(it is nested too deep"
    ):
        open_pairs(str(tmp_path))


@pytest.mark.parametrize("text", [r"\ud800", r"a\uDC00\uD83D", r"\ud83d\ude00 \udc00"])
def test_half_of_a_surrogate_pair_is_refused_and_never_read_as_nul(tmp_path, text):
    (path := tmp_path / "set.jsonl").write_text(f'{{"a": "x"}}\n{{"a": "{text}"}}\n')
    with pytest.raises(RowError, match=r"set\.jsonl:2: \\ud.* is half of a character: a surrogate without the other"):
        list(open_pairs(str(path)).batches(8))


def test_whole_surrogate_pairs_and_backslashes_before_u_are_read(tmp_path):
    (path := tmp_path / "set.jsonl").write_text(r'{"a": "\ud83d\ude00 \\ud800"}' + "\n")
    assert [row for batch in open_pairs(str(path)).batches(8) for row in batch.to_pylist()] == [{"a": "😀 \\ud800"}]


def test_a_list_among_the_texts_of_messages_is_refused(tmp_path):
    def talk(content: Any) -> dict[str, Any]:
        return {"a": [{"role": "user", "content": content}], "b": {"role": "user", "content": "[no list]"}}

    path = lines(tmp_path / "set.jsonl", talk("[1] Tea, please."), talk([{"type": "text", "text": "Tea?"}]))
    with pytest.raises(RowError, match=r"set\.jsonl:2: a\.content is a list or an object here and a text elsewhere"):
        list(open_pairs(str(path)).batches(8))


def test_a_byte_order_mark_is_no_part_of_the_first_line(tmp_path):
    (path := tmp_path / "set.jsonl").write_bytes(b'\xef\xbb\xbf{"a": "x"}\n{"a": "y"}\n')
    assert [row["a"] for batch in open_pairs(str(path)).batches(8) for row in batch.to_pylist()] == ["x", "y"]
