from __future__ import annotations

import json
from pathlib import Path

import pytest

from lidr.cli.main import main
from lidr.report.scores.score_text import _COLUMNS
from tests.seeded import DECODING, joined, outcomes, three_models, values_of, write_folder


@pytest.fixture
def folders(tmp_path):
    return three_models(tmp_path, ("en", "de"))


def test_a_table_with_differences_intervals_and_gaps_is_printed(folders, capsys):
    assert main(["eval", "compare", *folders, "--benchmark", "mgsm", "--metric", "acc"]) == 0
    said = capsys.readouterr().out
    assert "MGSM: accuracy" in said
    assert "M2 - M0" in said
    assert "MGSM: language gap in accuracy" in said
    assert "0.700 ± 0.029" in said
    assert "[95% interval], whole items resampled 10,000 times" in said


def test_json_holds_every_estimate(folders, capsys):
    assert main(["eval", "compare", *folders, "--json", "--baseline", "M1"]) == 0
    found = json.loads(capsys.readouterr().out)
    assert found["schema"] == "lidr.eval.compare/1"
    section = found["sections"][0]
    assert (section["baseline"], section["metric"]) == ("M1", "acc")
    assert set(section["differences"]) == {"M0", "M2"}
    assert set(section["differences"]["M0"]["de"]) == {"value", "stderr", "low", "high", "n", "excludes_zero"}
    assert set(section["gaps"]["M0"]) == {"de", "all"}


@pytest.mark.parametrize("ending", ["png", "svg"])
def test_a_picture_is_drawn_where_asked(folders, tmp_path, capsys, ending):
    picture = tmp_path / f"p.{ending}"
    assert main(["eval", "compare", *folders, "--metric", "acc", "--plot", str(picture)]) == 0
    assert picture.read_bytes()[:4] == {"png": b"\x89PNG", "svg": b"<svg"}[ending]
    assert str(picture) in capsys.readouterr().err


def test_a_refusal_is_the_users_error_and_prints_nothing(tmp_path, capsys):
    right = {"mgsm": values_of(outcomes({"en": 0.5}, 20, seed=1))}
    a = write_folder(tmp_path / "a", "a", right)
    b = write_folder(tmp_path / "b", "b", right, generation={**DECODING, "max_tokens": 8})
    assert main(["eval", "compare", str(a), str(b), "--json"]) == 2
    said = capsys.readouterr()
    assert said.out == ""
    assert "decoding max_tokens: a has 2048, b has 8" in said.err


def test_a_folder_without_results_is_the_users_error(tmp_path, folders, capsys):
    assert main(["eval", "compare", folders[0], str(tmp_path)]) == 2
    assert "no results here" in capsys.readouterr().err
    (tmp_path / "work").mkdir()
    assert main(["eval", "compare", folders[0], str(tmp_path)]) == 2
    assert "an evaluation was interrupted here, and its command goes on where it was" in capsys.readouterr().err


def test_several_metrics_are_all_shown(tmp_path, capsys):
    places = three_models(tmp_path, ("en", "de"))[:2]
    assert main(["eval", "compare", *places, "--metric", "win_rate", "--metric", "acc", "--json"]) == 0
    sections = json.loads(capsys.readouterr().out)["sections"]
    assert {one["metric"] for one in sections} == {"win_rate", "acc"}


@pytest.mark.parametrize("benchmark", ["mgsm", "x_alpacaeval"])
def test_the_documentation_names_every_column_that_is_printed(benchmark):
    rows = [line.split("|")[1:3] for line in Path("docs/evaluation.md").read_text().splitlines() if line[:1] == "|"]
    shown = {name.strip() for first, *_ in rows for name in first.split(",")}
    named = {name.strip(" `") for _, name in rows}
    some = ("lc_win_rate_minimal", "lc_win_rate_v1")  # have no value by item, and no column in most results
    for score, head, _ in _COLUMNS[benchmark]:
        assert head in shown or score in some
    assert {"acc", "parsed", "acc_flexible", "win_rate", "discrete_win_rate", "length", "tie", "judge_error"} <= named


def test_what_is_counted_by_item_can_be_compared_too(tmp_path, capsys):
    right = outcomes({"en": 0.5}, 60, seed=1)
    values = {"mgsm": joined(values_of(right, "acc"), values_of(right, "parsed"))}
    places = [str(write_folder(tmp_path / name, name, values)) for name in ("a", "b")]
    assert main(["eval", "compare", *places, "--metric", "parsed"]) == 0
    assert "parsed" in capsys.readouterr().out


@pytest.mark.parametrize(
    ("form", "begins"), [("md", "**MGSM"), ("latex", "% needs"), ("csv", "benchmark,variant,metric")]
)
def test_tables_for_a_paper_are_printed_where_asked_and_not_beside_json(folders, capsys, form, begins):
    assert main(["eval", "compare", *folders, "--metric", "acc", "--format", form]) == 0
    assert capsys.readouterr().out.startswith(begins)
    with pytest.raises(SystemExit):
        main(["eval", "compare", *folders, "--format", form, "--json"])


def test_the_documentation_names_every_key_of_the_json_and_every_column_of_the_csv(folders, capsys):
    said = Path("docs/evaluation.md").read_text().partition("### A table for a paper")[2].partition("\n## ")[0]
    main(["eval", "compare", *folders, "--metric", "acc", "--format", "csv"])
    columns = capsys.readouterr().out.splitlines()[0].split(",")
    main(["eval", "compare", *folders, "--metric", "acc", "--json"])
    found = json.loads(capsys.readouterr().out)
    section = found.pop("sections")[0]
    keys = [*columns, *set(found) - {"schema"}, *section, *section["scores"]["M0"]["en"]]
    assert [key for key in keys if f"`{key}`" not in said] == []
