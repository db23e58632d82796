from __future__ import annotations

import json

from lidr.cli.main import main
from tests.seeded import outcomes, three_models, values_of, write_folder


def test_ours_stand_beside_the_papers_with_both_errors(tmp_path, capsys):
    folder = three_models(tmp_path, ("en", "es", "ru", "de", "fr"))[2]
    assert main(["eval", "paper-check", folder, "--table", "mgsm", "--row", "M2"]) == 0
    lines = capsys.readouterr().out.splitlines()
    assert lines[0] == "MGSM, accuracy: M2 beside the paper's M2, after iteration 2 (M2)"
    de = next(line for line in lines if line.startswith("de"))
    assert de.split() == ["de", "250", "0.568", "±", "0.031", "0.570", "±", "0.031", "!", "-0.002", "0.044", "inside"]
    assert "! de: the printed 0.570 cannot be with this n; possible are 0.568 and 0.572" in lines
    assert any(line.startswith("note: how the paper reads numbers") for line in lines)


def test_what_is_not_comparable_is_shown_and_said_and_no_failure(tmp_path, capsys):
    folder = three_models(tmp_path, ("en", "es"))[1]
    assert main(["eval", "paper-check", folder, "--table", "x_alpacaeval", "--row", "M1"]) == 0
    said = capsys.readouterr().out
    assert "30.11 ± 1.62" in said
    assert "not comparable: judge judge-1; the paper's is gpt-4-1106-preview" in said
    assert "inside" not in said


def test_json_holds_both_tables_and_their_sources(tmp_path, capsys):
    folder = three_models(tmp_path, ("en", "de"))[0]
    assert main(["eval", "paper-check", folder, "--json"]) == 0
    found = json.loads(capsys.readouterr().out)
    assert found["schema"] == "lidr.eval.paper-check/1"
    assert set(found["sources"]) == {"x_alpacaeval", "mgsm"}
    assert {(one["table"], one["row"]) for one in found["checks"]} == {
        (table, row) for table in ("x_alpacaeval", "mgsm") for row in ("M0", "M1", "M2")
    }
    flagged = [cell for one in found["checks"] for cell in one["impossible"]]
    assert {cell["column"] for cell in flagged} == {"de", "sw"}


def test_what_holds_for_several_rows_is_said_once(tmp_path, capsys):
    folder = three_models(tmp_path, ("en", "es"))[1]
    assert main(["eval", "paper-check", folder]) == 0
    lines = capsys.readouterr().out.splitlines()
    said = [line for line in lines if line.startswith(("note: ", "not comparable: "))]
    assert len(said) == len(set(said)) > 0
    assert sum(": M1 beside the paper's M" in line for line in lines) > 2


def test_rows_of_other_models_can_be_named(tmp_path, capsys):
    folder = three_models(tmp_path, ("en",))[0]
    assert main(["eval", "paper-check", folder, "--table", "x_alpacaeval", "--row", "GPT-4o-mini"]) == 0
    assert "beside the paper's GPT-4o-mini\n" in capsys.readouterr().out
    assert main(["eval", "paper-check", folder, "--row", "GPT-5"]) == 2
    assert "the paper's table has M0, M1, M2, Multilingual Alignment" in capsys.readouterr().err


def test_results_of_another_benchmark_have_no_cell(tmp_path, capsys):
    right = {"mt_bench": values_of(outcomes({"en": 0.5}, 20, seed=1), "score")}
    folder = write_folder(tmp_path, "a", right)
    assert main(["eval", "paper-check", str(folder)]) == 2
    assert "a has results of none of x_alpacaeval, mgsm" in capsys.readouterr().err
