"""Blind sheets for people, and two translators side by side, as their users meet them."""

from __future__ import annotations

import csv
import json
import re
import shutil
from pathlib import Path

import pytest

import lidr
from lidr.cli.main import main
from tests.rewritten import rewritten
from tests.scripted import NAMES, TOPICS, write_answers, write_world


@pytest.fixture
def store(tmp_path, monkeypatch) -> Path:
    """Two runs of the same answers: the policy translates, and a file does, one direction of it failing."""
    recipe = write_world(tmp_path)
    monkeypatch.setenv("LIDR_STORE", str(tmp_path / "runs"))
    write_answers(
        tmp_path / "answers.jsonl", first=({"match": "English: tell me about snow", "text": "=1+1 snow in English."},)
    )
    rows = [
        {"prompt_id": f"p{i}", "source": a, "target": b, "text": f"{topic}, better, {NAMES[b]}"}
        for i, topic in enumerate(TOPICS)
        for a in NAMES
        for b in NAMES
        if a != b and (a, b) != ("de", "en")
    ]
    (tmp_path / "theirs.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    lidr.run(lidr.load_recipe(recipe))
    other = tmp_path / "other.yaml"
    other.write_text(f"base: {recipe}\nname: external\n")
    by = f"chain.translate={{by: {{file: {tmp_path}/theirs.jsonl}}, check_language: false}}"
    lidr.run(lidr.load_recipe(other, overrides=[by]))
    return tmp_path


def export(folder: Path, *more: str) -> tuple[list[dict[str, str]], dict]:
    assert main(["measure", "export-sheet", "run:scripted", str(folder / "sheet.csv"), *more]) == 0
    return read(folder / "sheet.csv"), json.loads((folder / "sheet.key.json").read_text())


def read(path: Path) -> list[dict[str, str]]:
    with path.open(encoding="utf-8-sig", newline="") as file:
        return list(csv.DictReader(file))


def fill(path: Path, rows: list[dict[str, str]], delimiter: str = ",") -> str:
    with path.open("w", encoding="utf-8", newline="") as file:
        writer = csv.DictWriter(file, list(rows[0]), delimiter=delimiter)
        writer.writeheader()
        writer.writerows(rows)
    return str(path)


def test_a_sheet_shows_the_texts_and_nothing_that_says_whose_they_are(store):
    rows, key = export(store, "--against", "run:external", "--sample", "3")
    sides = ["translation_a", "adequacy_a", "fluency_a", "translation_b", "adequacy_b", "fluency_b"]
    assert list(rows[0]) == ["item", "from", "into", "source", *sides, "preference", "comment"]
    text = (store / "sheet.csv").read_text(encoding="utf-8-sig")
    assert not re.search(r"scripted|external|\bp\d|run:", text)
    assert {(row["from"], row["into"]) for row in rows} == {
        ("English", "Spanish"), ("English", "German"), ("Spanish", "English")}  # fmt: skip
    for row in rows:
        better = "a" if "better" in row["translation_a"] else "b"
        assert key["items"][row["item"]]["order"]["ab".index(better)] == "run:external"
    assert {tuple(item["order"]) for item in key["items"].values()} == {
        ("run:scripted", "run:external"), ("run:external", "run:scripted")}  # fmt: skip


def test_the_draw_is_the_seeds_and_a_sheet_is_not_overwritten(store, capsys):
    first, _ = export(store, "--sample", "2")
    assert len(first) == 8
    assert main(["measure", "export-sheet", "run:scripted", str(store / "sheet.csv")]) == 2
    assert "exists, and may hold somebody's work" in capsys.readouterr().err
    for name in ("sheet.csv", "sheet.key.json"):
        (store / name).unlink()
    assert export(store, "--sample", "2")[0] == first
    for name in ("sheet.csv", "sheet.key.json"):
        (store / name).unlink()
    assert export(store, "--sample", "2", "--seed", "1")[0] != first


def test_a_text_that_a_spreadsheet_would_run_is_disarmed(store):
    rows, _ = export(store, "--sample", "8")
    assert {row["source"] for row in rows if "1+1" in row["source"]} == {"'=1+1 snow in English."}
    assert not any(cell.startswith(("=", "+", "-", "@")) for row in rows for cell in row.values())


def test_two_raters_give_scores_and_agreement_with_intervals(store, capsys):
    rows, _ = export(store, "--against", "run:external", "--sample", "4")
    files = []
    for rater in range(2):
        filled = []
        for number, row in enumerate(rows):
            better = "a" if "better" in row["translation_a"] else "b"
            wobble = (number + rater) % 2
            marks = {"adequacy_a": 3 - wobble, "adequacy_b": 3 - wobble, "fluency_a": 4, "fluency_b": 2 + wobble}
            marks[f"adequacy_{better}"] = 5 - (number % 2)
            filled.append({**row, **marks, "preference": "tie" if number == 0 else better})
        files.append(fill(store / f"rater{rater}.csv", filled, delimiter=",;"[rater]))
    assert main(["measure", "import-sheet", *files, "--key", str(store / "sheet.key.json"), "--json"]) == 0
    found = json.loads(capsys.readouterr().out)
    assert found["schema"] == "lidr.measure.import-sheet/1"
    scores = {(s["source"], s["aspect"], s["run"]): s for s in found["scores"] if not s["source"]}
    theirs, ours = scores["", "adequacy", "run:external"], scores["", "adequacy", "run:scripted"]
    assert (theirs["value"], ours["value"]) == (4.5, 2.5)
    assert theirs["low"] > ours["high"]
    preferred = scores["", "preferred", "run:external"]
    assert (preferred["value"], preferred["n"], preferred["ties"]) == (1.0, len(rows) - 1, 1)
    agreement = {(a["aspect"], a["measure"]): a for a in found["agreement"]}
    assert agreement["preference", "krippendorff_alpha"]["value"] == 1.0
    assert agreement["preference", "cohen_kappa"]["value"] == 1.0
    adequacy = agreement["adequacy", "krippendorff_alpha"]
    assert 0.3 < adequacy["value"] < 1
    assert (adequacy["low"], adequacy["high"]) == (None, None)  # of 24 marks
    assert main(["measure", "import-sheet", *files, "--key", str(store / "sheet.key.json")]) == 0
    shown = capsys.readouterr().out
    assert re.search(r"all +adequacy +run:external +4.50 +3\.67 to 4\.90 +12", shown)
    assert "No interval of agreement on fewer than 50 items" in shown


def test_one_rater_of_one_run_gives_scores_and_no_agreement(store, capsys):
    rows, _ = export(store, "--sample", "2")
    path = fill(store / "one.csv", [{**row, "adequacy": "4.0", "fluency": ""} for row in rows])
    out = store / "result.json"
    assert main(["measure", "import-sheet", path, "--key", str(store / "sheet.key.json"), "--out", str(out)]) == 0
    assert "One rater: no agreement can be said" in capsys.readouterr().out
    result = json.loads(out.read_text())
    assert result["scores"][0]["value"] == 4.0
    assert result["scores"][1]["value"] is None


def test_every_cell_that_is_no_rating_is_said_at_once(store, capsys):
    rows, _ = export(store, "--against", "run:external", "--sample", "2")
    rows[0] |= {"adequacy_a": "6", "preference": "both"}
    rows[1]["item"] = "99"
    rows[2]["item"] = rows[3]["item"]
    path = fill(store / "bad.csv", rows)
    assert main(["measure", "import-sheet", path, "--key", str(store / "sheet.key.json")]) == 2
    said = capsys.readouterr().err
    assert 'row 1, adequacy_a: "6"; write a whole number from 1 to 5, or leave it empty' in said
    assert 'row 1, preference: "both"; write a, b or tie, or leave it empty' in said
    assert 'row 2: item "99" is not in the key' in said
    assert "stands twice" in said


def test_what_cannot_be_read_or_judged_is_said(store, capsys):
    rows, _ = export(store, "--sample", "1")
    key = str(store / "sheet.key.json")
    empty = fill(store / "empty.csv", rows)
    other = fill(store / "other.csv", [{"item": "1"}])
    cases = [
        (["import-sheet", empty, "--key", key], "no cell is filled in; nothing to read"),
        (["import-sheet", other, "--key", key], "no column from, into, source"),
        (["import-sheet", empty, empty, "--key", key], "a sheet is named twice"),
        (["import-sheet", empty], "no key of a sheet"),
        (["import-sheet", empty, "--key", str(store / "recipe.yaml")], "no key of a sheet"),
        (["export-sheet", "run:nobody", str(store / "x.csv")], "has no translate step of it"),
        (["export-sheet", "./folder", str(store / "x.csv")], "name a run, as run:quickstart"),
        (["export-sheet", "run:scripted", str(store / "x.csv"), "--against", "run:scripted"], "the same run"),
        (["export-sheet", "run:scripted", str(store / "x.csv"), "--sample", "0"], "at least one item"),
        (["compare", "run:scripted", "run:scripted"], "named twice; name two runs"),
    ]
    for arguments, message in cases:
        assert main(["measure", *arguments]) == 2
        assert message in capsys.readouterr().err


def test_two_translators_stand_side_by_side(store, capsys):
    assert main(["measure", "compare", "run:scripted", "run:external", "--json"]) == 0
    found = json.loads(capsys.readouterr().out)
    shares = {(s["run"], s["source"], s["status"]): s["value"] for s in found["statuses"]}
    assert shares["run:scripted", "de", "ok"] == 1.0
    assert shares["run:external", "de", "empty"] == 1.0
    assert {(row["source"], row["target"]) for row in found["likeness"]} == {("en", "es"), ("en", "de"), ("es", "en")}
    assert all(0 <= row["low"] < row["value"] < row["high"] < 100 for row in found["likeness"])
    assert main(["measure", "compare", "run:scripted@0.1.0/iter_1/translate", "run:external"]) == 0
    out = capsys.readouterr().out
    assert "Translations by status" in out
    assert "nothing: see `measure` in the recipes" in out


def test_what_each_run_measured_stands_in_the_comparison(store, capsys):
    folder = store / "runs" / "external" / "0.1.0" / "iter_2"
    accuracy = {"value": 0.7, "low": 0.6, "high": 0.8, "n": 90}
    number = {"test": "round_trip_chrf", "language": "es", "value": 61.0, "low": 55.0, "high": 67.0, "n": 50}
    reward = {"language": "es", "kind": "dominant", "referee": "gold", "accuracy": accuracy}
    (folder / "measure").mkdir()
    counts = {"numbers": [number], "reward_accuracy": [reward]}
    shutil.copy(folder / "translate" / "record.json", folder / "measure")
    rewritten(folder / "measure" / "record.json", step="measure", counts=counts)
    assert main(["measure", "compare", "run:scripted", "run:external"]) == 0
    out = capsys.readouterr().out
    assert re.search(r"run:external +round_trip_chrf +es +- +61.00 +55.00 to 67.00 +50", out)
    assert re.search(r"run:external +reward accuracy by gold +es +dominant +0.70 +0.60 to 0.80 +90", out)
