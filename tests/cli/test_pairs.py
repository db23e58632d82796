"""`lidr pairs`: what it shows, what it writes, and what it refuses."""

from __future__ import annotations

import json
import re
import shutil
from pathlib import Path

import polars as pl
import pytest

import lidr
from lidr.cli.main import main
from lidr.errors import RowError
from tests.preferences.trainer_forms import VALIDATORS
from tests.scripted import write_world
from tests.steps.helpers import rows_of
from tests.steps.test_score import sampled_world


@pytest.fixture(scope="module")
def store(tmp_path_factory) -> Path:
    folder = tmp_path_factory.mktemp("pairs") / "w"
    lidr.run(lidr.load_recipe(write_world(folder)))
    return folder / "runs"


@pytest.fixture(autouse=True)
def _store(store, monkeypatch):
    monkeypatch.setenv("LIDR_STORE", str(store))


def test_show_prints_counts_licences_and_pairs_side_by_side(capsys):
    assert main(["pairs", "show", "run:scripted", "--rows", "1"]) == 0
    out = capsys.readouterr().out
    assert "run:scripted@0.1.0 at " in out
    assert "splits iter_1, iter_2" in out
    assert "licence other: the licence of policy" in out
    assert out.count("prompt: English: tell me about bees") == 1
    (line,) = [line for line in out.splitlines() if "bees in English at length" in line]
    assert "bees from Spanish into English" in line
    assert out.splitlines()[-1].startswith("└")
    assert ["all", "32"] in [row.split() for row in out.splitlines()]


def test_show_says_what_was_dropped_as_the_report_does_and_no_scores_where_nobody_scored(store, capsys):
    assert main(["pairs", "show", "run:scripted", "--rows", "0"]) == 0
    out = capsys.readouterr().out
    assert "scored" not in out
    (said,) = [line for line in out.splitlines() if line.startswith("Pairs: ")]
    assert main(["report", str(store.parent / "recipe.yaml")]) == 0
    assert said in capsys.readouterr().out.splitlines()
    assert main(["pairs", "show", "run:scripted@0.1.0/iter_1/pair", "--rows", "0"]) == 0
    assert "Pairs: " not in capsys.readouterr().out, "what later steps dropped is in the set of that step"
    shutil.copytree(store / "scripted/0.1.0/iter_1/filter/data", store / "elsewhere", dirs_exist_ok=True)
    assert main(["pairs", "show", str(store / "elsewhere"), "--rows", "0"]) == 0
    assert "Pairs: " not in capsys.readouterr().out, "rows alone tell nothing of what was dropped"
    shutil.rmtree(store / "elsewhere")


def test_tables_say_which_language_they_count_by(tmp_path, capsys):
    main(["pairs", "show", "run:scripted", "--rows", "0"])
    assert "iteration  non-dominant language  kind" in capsys.readouterr().out
    main(["pairs", "show", "run:scripted", "--rows", "0", "--kind", "non_dominant"])
    assert "iteration  language  kind" in capsys.readouterr().out
    assert main(["pairs", "export", "run:scripted", "--langs", "de", "--to", "trl", str(tmp_path / "x")]) == 0
    text = (tmp_path / "x/README.md").read_text()
    assert "| iteration | non-dominant language | kind | pairs |" in text
    assert "Only non-dominant languages de." in text


def test_show_gives_as_many_pairs_as_were_asked_for(tmp_path, capsys):
    rows = [{"prompt": f"{i}?", "chosen": "Yes.", "rejected": "No."} for i in range(90)]
    (tmp_path / "many.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    assert main(["pairs", "show", str(tmp_path / "many.jsonl"), "--language", "de", "--rows", "80", "--json"]) == 0
    assert [pair["prompt_text"] for pair in json.loads(capsys.readouterr().out)["pairs"]] == [
        f"{i}?" for i in range(80)
    ]


def test_show_says_the_same_as_json(capsys):
    assert main(["pairs", "show", "run:scripted@0.1.0", "--langs", "de", "--kind", "dominant", "--json"]) == 0
    found = json.loads(capsys.readouterr().out)
    assert found["schema"] == "lidr.pairs.show/1"
    assert [(row["iteration"], row["language"], row["kind"], row["pairs"]) for row in found["counts"]] == [
        (1, "de", "dominant", 4),
        (2, "de", "dominant", 4),
    ]
    assert found["license"]["id"] == "other"
    assert [parent["role"] for parent in found["parents"]] == ["prompts", "policy"]
    assert len(found["pairs"]) == 2


def test_export_writes_what_was_asked_for(tmp_path, capsys):
    words = ["--langs", "de,es", "--kind", "non_dominant", "--iteration", "2", "--to", "axolotl"]
    assert main(["pairs", "export", "run:scripted", *words, str(tmp_path / "x"), "--json"]) == 0
    assert json.loads(capsys.readouterr().out)["rows"] == 8
    assert list(VALIDATORS["axolotl"](tmp_path / "x")) == []


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["--min-margin", "1"], "32 of 32 pairs have no margin: nobody has scored them"),
        (["--langs", "fr"], "no pairs of non-dominant language fr; it has de, es"),
        (
            ["--langs", "en"],
            "it has de, es. en is the dominant language: pairs in it are those of --kind dominant",
        ),
        (["--iteration", "one"], 'error: --iteration "one": write numbers, as 1,2'),
        (["--columns", "prompt"], '--columns "prompt": write role=COLUMN, as prompt=question'),
        (["--config", "nope"], "no configuration 'nope': a run has none; leave it out"),
        (["--config", "dropped"], "configuration dropped holds what was dropped, and why, no pairs; to look at it: "),
        (["--language", "x y<z>"], 'language of the pairs: unknown language code "x y<z>"'),
        (["--name", "a,b"], "the name 'a,b' cannot be a set's: write printable characters"),
        (["--split", "train"], "no split 'train'; its splits: iter_1, iter_2"),
    ],
)
def test_what_cannot_be_meant_is_the_users_error_and_leaves_nothing(words, said, tmp_path, capsys):
    assert main(["pairs", "export", "run:scripted", *words, "--to", "trl", str(tmp_path / "x")]) == 2
    assert said in capsys.readouterr().err
    assert list(tmp_path.iterdir()) == []


def test_a_set_of_others_is_shown_and_exported_by_a_column_map(tmp_path, capsys):
    (tmp_path / "set.jsonl").write_text(json.dumps({"q": "Tee?", "a": "Ja.", "b": "Nein."}) + "\n")
    words = ["--columns", "prompt=q,chosen=a,rejected=b", "--language", "de"]
    assert main(["pairs", "show", str(tmp_path / "set.jsonl"), *words]) == 0
    out = capsys.readouterr().out
    assert re.search(r"^set\.jsonl/0  de *$", out, re.MULTILINE)
    assert (
        main(["pairs", "export", str(tmp_path / "set.jsonl"), *words, "--to", "open-instruct", str(tmp_path / "x")])
        == 0
    )
    assert list(VALIDATORS["open-instruct"](tmp_path / "x")) == []


def test_pairs_that_nobody_compared_between_languages_are_not_called_dominant_ones(tmp_path, capsys):
    rows = [
        {"prompt": f"{n}?", "chosen": "Yes.", "rejected": "No.", "language": code}
        for n in range(3)
        for code in ("en", "de")
    ]
    (path := tmp_path / "set.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    assert main(["pairs", "show", str(path), "--rows", "1"]) == 0
    out = capsys.readouterr().out
    table = [line.split() for line in out.splitlines()]
    assert ["iteration", "language", "kind", "pairs"] in table
    assert [row for row in table if row[:1] == ["1"]] == [["1", code, "-", "3"] for code in ("de", "en")]
    assert "dominant" not in out
    assert main(["pairs", "show", str(path), "--json", "--kind", "dominant"]) == 0
    (row,) = json.loads(capsys.readouterr().out)["counts"]
    assert (row["kind"], row["language"], row["with_another"]) == ("dominant", "en", False), "rows keep what is stored"
    assert main(["pairs", "export", str(path), "--to", "trl", str(tmp_path / "x")]) == 0
    assert "| 1 | en | - | 3 |" in (tmp_path / "x/README.md").read_text()
    main(["pairs", "show", "run:scripted", "--rows", "1"])
    assert "dominant, en against es" in capsys.readouterr().out


def test_rows_that_cannot_be_read_as_pairs_are_said_by_show_and_export(tmp_path, capsys):
    rows = [{"prompt": "Tea?", "chosen": "Yes.", "rejected": other} for other in ("No.", "Yes.", "Yes.", " ")]
    (path := tmp_path / "set.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    said = "3 rows cannot be read as pairs: 2 identical, 1 empty"
    assert main(["pairs", "show", str(path), "--language", "en", "--rows", "0"]) == 0
    assert said in capsys.readouterr().out.splitlines()
    assert main(["pairs", "show", str(path), "--language", "en", "--json"]) == 0
    assert json.loads(capsys.readouterr().out)["unread"] == {"empty": 1, "identical": 2}
    assert main(["pairs", "export", str(path), "--language", "en", "--to", "trl", str(tmp_path / "x")]) == 0
    assert f"set.jsonl: {said}" in capsys.readouterr().err
    assert main(["pairs", "export", str(path), "--language", "en", "--to", "trl", str(tmp_path / "y"), "--json"]) == 0
    assert json.loads(capsys.readouterr().out)["unread"] == {"empty": 1, "identical": 2}


def test_what_others_wrote_does_not_reach_the_terminal_as_commands(tmp_path, capsys):
    row = {"prompt": "Tea?\x1b[2J", "chosen": "\x1b]0;bees\x07Yes.", "rejected": "No\u202e."}
    (tmp_path / "set.jsonl").write_text(json.dumps(row) + "\n")
    (tmp_path / "README.md").write_text('---\nconfigs: [{config_name: "a\\e[1m", data_files: set.jsonl}]\n---\n')
    assert main(["pairs", "show", str(tmp_path), "--language", "de", "--columns", "prompt=prompt"]) == 0
    shown = capsys.readouterr().out
    assert not set(shown) & set("\x1b\x07\u202e")
    assert "\\x1b[2J" in shown
    assert "configuration a\\x1b[1m" in shown


def test_an_error_that_repeats_a_name_of_others_is_printable_too(tmp_path, capsys):
    (tmp_path / "set.jsonl").write_text('{"a\\u001b[1m": 1}\n')
    assert main(["pairs", "show", str(tmp_path), "--language", "de"]) == 2
    assert "\x1b" not in capsys.readouterr().err


def test_of_a_run_without_any_pair_it_is_said_where_the_reasons_are(tmp_path, monkeypatch, capsys):
    recipe, sampled = sampled_world(tmp_path, gold=9)  # every answer is wrong, so all are tied
    monkeypatch.setenv("LIDR_STORE", str(tmp_path / "runs"))
    with pytest.raises(RowError, match="0 of 12 slots are kept"):
        rows_of(recipe, "iter_1/pair", sampled)
    assert main(["pairs", "show", "run:scripted", "--kind", "sampled", "--min-margin", "0.1"]) == 2
    said = capsys.readouterr().err
    assert "run:scripted@0.1.0: no pairs of kind sampled; it has no pairs at all: " in said
    folder = said.partition("each dropped slot has its reason in ")[2].partition("/*/dropped")[0]
    reasons = pl.concat([pl.read_parquet(file) for file in Path(folder).glob("*/dropped/*.parquet")])["reason"]
    assert set(reasons) == {"tied"}
    assert "and `lidr report RECIPE` counts them" in said


def test_of_a_set_of_which_no_row_can_be_read_it_is_said_why(tmp_path, capsys):
    (path := tmp_path / "set.jsonl").write_text(json.dumps({"prompt": "Tea?", "chosen": "Yes.", "rejected": "Yes."}))
    assert main(["pairs", "show", str(path), "--language", "en", "--kind", "sampled"]) == 2
    said = "set.jsonl: no pairs of kind sampled; it has no pairs at all: 1 row cannot be read as pairs: 1 identical"
    assert said in capsys.readouterr().err
