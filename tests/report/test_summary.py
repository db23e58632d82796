"""The account holds every row that the records count, whatever its language."""

from __future__ import annotations

import json
import re
from dataclasses import replace

import pytest

import lidr
from lidr.cli.main import main
from lidr.cli.run import show
from lidr.report.html.html_page import page
from lidr.report.report_text import head_lines
from lidr.report.run_state import run_state_of
from lidr.report.sections import _policies
from lidr.report.summary import OUTSIDE, Column, summarise
from lidr.store.artifact import open_artifact


@pytest.fixture(scope="module")
def mixture(tmp_path_factory):
    """A finished run from two sets: rows in the dominant language alone, and rows in de, fr and two others.

    Of `a` one row is empty, one has two equal sides, two repeat others; of `b` most are over the cap.
    """
    folder = tmp_path_factory.mktemp("mixture")
    rows = [{"prompt": f"Question {n}?", "chosen": f"Good {n}.", "rejected": f"Bad {n}."} for n in range(20)]
    rows += [{**rows[3], "chosen": ""}, {**rows[4], "rejected": rows[4]["chosen"]}, rows[5], rows[6]]
    (folder / "a.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    codes = ["de", "fr", "sv", "de", "it"]
    others = [{**row, "prompt": f"Frage {n}?", "lang": codes[n % 5]} for n, row in enumerate(rows[:20])]
    (folder / "b.jsonl").write_text("".join(json.dumps(row) + "\n" for row in others))
    (folder / "r.yaml").write_text(
        f"""\
schema: 1
name: mix
version: 0.1.0
languages: {{dominant: en, others: [de, fr]}}
policy: {{model: "openai:canned@http://127.0.0.1:9"}}
chain:
  - pairs:
      sets:
        - {{dataset: {folder}/a.jsonl, language: en}}
        - {{dataset: {folder}/b.jsonl, columns: {{language: lang}}, cap: 5}}
  - clean: {{exact: true}}
runtime: {{engine: scripted, answers: {folder}/a.jsonl, store: {folder}/runs}}
"""
    )
    planned = lidr.run(lidr.load_recipe(folder / "r.yaml"))
    return folder / "r.yaml", planned, [open_artifact(planned.folder(step)).record for step in planned.steps]


def counted(record, what: str) -> int:
    return sum(row["count"] for row in record.counts[what])


def test_every_line_of_the_account_sums_to_what_the_records_count(mixture):
    _, planned, (_, pairs, clean) = mixture
    summary = summarise(planned)
    account = {row.label: sum(row.counts) for row in summary.account}
    expected: dict[str, int] = {}
    for record in (pairs, clean):
        for what in ("dropped", "not_requested"):
            for row in record.counts[what]:
                name = row["reason"] if what == "dropped" else f"not requested ({row['reason']})"
                label = f"{record.step}: {name}"
                expected[label] = expected.get(label, 0) + row["count"]
    requested, *gone, kept = summary.account
    assert {row.label: sum(row.counts) for row in gone} == expected
    assert account["rows of the sets"] == sum(one["rows"] for one in pairs.counts["sets"]) == 44
    assert account["kept"] == counted(clean, "kept") == 20 + 5
    assert (account["pairs: empty"], account["pairs: identical"], account["clean: exact_duplicate"]) == (1, 1, 2)
    assert account["pairs: other_language"] == 8
    for number, total in enumerate(requested.counts):
        assert total == sum(row.counts[number] for row in (*gone, kept))


def test_a_run_from_sets_of_others_claims_no_pairs_of_the_method(mixture, capsys):
    file, planned, _ = mixture
    assert main(["run", str(file), "--quiet"]) == 0
    out = capsys.readouterr().out
    assert "Pairs by language and iteration\n" in out
    assert "dominant" not in out
    summary = replace(
        summarise(planned), groups=tuple(("iter_1/train", *group, "9", "+0.1", "0.9") for group in GROUPS)
    )
    show(planned, summary, 1.0)
    rows = [re.split("  +", line) for line in capsys.readouterr().out.splitlines() if line.startswith("iter_1/train")]
    assert [row[1:3] for row in rows] == [["en", "in the dominant language"], ["de", "in another language"]]
    run = run_state_of(lidr.load_recipe(file))
    assert [row[1:3] for row in _policies(run, summary_trained(summary)).tables[1].rows] == [
        ("en", "in the dominant language"),
        ("de", "in another language"),
    ]
    assert 'data-kind="-"' in page(run)
    assert "dominant pair" not in page(run)


GROUPS = (("en", "dominant"), ("de", "non_dominant"))


def summary_trained(summary):
    """As if the policy had been trained."""
    (first,) = summary.policies
    return replace(summary, policies=(replace(first, pairs=9, loss=0.5, dpo=0.4, nll=0.1, margin=0.2, accuracy=0.7),))


def test_the_numbers_of_training_are_said_to_be_those(mixture, capsys):
    file, planned, _ = mixture
    summary = summarise(planned)
    show(planned, summary, 1.0)
    assert "\nPolicies\n" in capsys.readouterr().out, "nothing was trained"
    show(planned, summary_trained(summary), 1.0)
    said = "Policies (loss, dpo, nll, margin and accuracy are measured during training, on its last batch alone)"
    assert f"\n{said}\n" in capsys.readouterr().out
    run = run_state_of(lidr.load_recipe(file))
    assert _policies(run, summary_trained(summary)).tables[0].title == said


def test_the_dominant_language_and_those_outside_the_recipe_have_columns_where_rows_are_in_them(mixture):
    _, planned, _ = mixture
    assert summarise(planned).columns == tuple(Column(1, name) for name in ("en", "de", "fr", OUTSIDE))


def test_the_end_of_a_run_and_the_report_say_what_the_records_count(mixture, capsys):
    file, _, _ = mixture
    assert main(["run", str(file), "--quiet"]) == 0
    lines = {line.split("  ")[0]: line.split()[-4:] for line in capsys.readouterr().out.splitlines() if line}
    assert lines["clean: exact_duplicate"] == ["2", "0", "0", "0"]
    assert lines["pairs: other_language"] == ["0", "0", "0", "8"]
    run = run_state_of(lidr.load_recipe(file))
    (said,) = [line for line in head_lines(run) if line.startswith("Pairs: ")]
    assert said == (
        "Pairs: 25 of 37 rows of the sets asked for (68%) are kept; gone: pairs: other_language 8, clean: "
        "exact_duplicate 2, pairs: identical 1, pairs: empty 1"
    )
    (never,) = re.findall(r"\d+ reasons that were looked for never came up: [^.<]*", page(run))
    assert "clean: near_duplicate" in never
    seen = ("pairs: empty", "pairs: identical", "pairs: other_language", "exact_duplicate", "not requested")
    assert not [reason for reason in seen if reason in never]
