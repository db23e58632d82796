from __future__ import annotations

import json

import pytest

from lidr.cli.main import main
from tests.seeded import DECODING, outcomes, three_models, values_of, write_folder


@pytest.fixture
def folders(tmp_path):
    return three_models(tmp_path, ("en", "de"))


def test_a_table_with_differences_intervals_and_gaps_is_printed(folders, capsys):
    assert main(["eval", "compare", *folders, "--benchmark", "mgsm", "--metric", "acc"]) == 0
    said = capsys.readouterr().out
    assert "MGSM: accuracy" in said
    assert "M2 - M0" in said
    assert "Language gap in accuracy" in said
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
