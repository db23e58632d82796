"""`lidr report` as its users meet it."""

from __future__ import annotations

import json
import re

import pytest

import lidr
from lidr.cli.main import main
from tests.scripted import write_answers, write_world


@pytest.fixture
def recipe(tmp_path):
    """A finished run in which one long translation failed."""
    file = write_world(tmp_path)
    write_answers(
        tmp_path / "answers.jsonl",
        first=({"match": "into Spanish.*bees in English", "text": "a", "finish_reason": "length"},),
    )
    lidr.run(lidr.load_recipe(file))
    return file


def test_report_writes_the_page_and_prints_the_short_of_it(recipe, capsys):
    assert main(["report", str(recipe)]) == 0
    out, err = capsys.readouterr()
    page = recipe.parent / "runs/scripted/0.1.0/report.html"
    assert err == f"page: {page}\n"
    assert out.splitlines()[:4] == [
        "scripted 0.1.0: English to Spanish, German; first policy openai:canned@http://127.0.0.1:9",
        "Finished: 11 steps in 2 iterations.",
        "Pairs: 30 of 32 slots asked for (94%) are kept; gone: pair: translation_truncated 1, pair: "
        "other_direction_failed 1",
        "pair dropped 2 of 32 slots (6.2%); by length of the answer that had to be translated, from the "
        "shortest fifth to the longest: 0.0, 25.0, 0.0, 0.0, 0.0%",
    ]
    assert page.read_text(encoding="utf-8").startswith("<!doctype html>")


def test_report_writes_where_it_is_told_and_prints_one_json_object(recipe, tmp_path, capsys):
    out = tmp_path / "new" / "r.html"
    assert main(["report", str(recipe), "--out", str(out), "--json"]) == 0
    found = json.loads(capsys.readouterr().out)
    assert (found["schema"], found["page"], found["state"]) == ("lidr.report/1", str(out), "finished")
    assert found["selection"]["iter_1/pair"]["dropped"] == 2
    assert out.exists()


def test_set_chooses_another_run_and_an_unknown_one_is_the_users_error(recipe, capsys):
    assert main(["report", str(recipe), "--set", "version=9.0.0"]) == 2
    assert "error: scripted 9.0.0: no step of a run in " in capsys.readouterr().err


def test_a_folder_that_cannot_be_written_is_the_users_error(recipe, capsys):
    assert main(["report", str(recipe), "--out", str(recipe.parent)]) == 2
    assert "Is a directory" in capsys.readouterr().err


def test_the_end_of_a_run_says_what_dropping_selects_and_how_to_get_the_report(recipe, capsys):
    assert main(["run", str(recipe), "--quiet"]) == 0
    out = capsys.readouterr().out
    assert "\npair dropped 2 of 32 slots (6.2%); by length of the answer that had to be translated, from the" in out
    assert re.search(rf"report +{recipe.parent}/.*/report\.html \(all of it on one page", out)
    detector = "chain.pair.translation_type={policy: skip, detector: {}}"
    assert main(["run", str(recipe), "--quiet", "--set", detector, "--set", "version=0.2.0"]) == 0
    assert "\nPrompts bound to their language: 0; hits by rule, whatever its score: none\n" in capsys.readouterr().out
