from __future__ import annotations

import csv

import pytest

from lidr.evals.compare.paired_comparison import compare
from lidr.evals.compare.paper_tables import as_csv, as_latex, as_markdown
from lidr.evals.compare.text_tables import tables
from lidr.evals.reader import open_evaluations
from tests.seeded import outcomes, values_of, write_folder


@pytest.fixture
def comparison(tmp_path):
    """Of two models whose names hold what LaTeX and Markdown take for their own."""
    folders = []
    for i, (name, shares) in enumerate((("a_1 & b", {"en": 0.8, "de": 0.3}), ("50%|c", {"en": 0.8, "de": 0.6}))):
        folders.append(write_folder(tmp_path / str(i), name, {"mgsm": values_of(outcomes(shares, 60, seed=i))}))
    return compare(open_evaluations([str(folder) for folder in folders]))


def test_markdown_has_the_cells_of_the_text_escaped(comparison):
    said = as_markdown(comparison)
    first = next(tables(comparison))
    lines = said.splitlines()
    assert lines[0] == f"**{first.title}**"
    assert lines[2] == r"| language | items | a\_1 & b | 50%\|c | 50%\|c - a\_1 & b |"
    assert lines[3] == "| :-- | --: | --: | --: | --: |"
    for row, line in zip(first.rows, lines[4:], strict=False):
        assert line == f"| {' | '.join(cell.strip() for cell in row)} |".replace("*", r"\*")
    assert "whole items resampled" in said


def test_latex_has_the_cells_of_the_text_escaped_between_the_rules_of_booktabs(comparison):
    said = as_latex(comparison)
    assert r"language & items & a\_1 \& b & 50\%$|$c & 50\%$|$c $-$ a\_1 \& b \\" in said
    assert (
        said.count(r"\toprule")
        == said.count(r"\midrule")
        == said.count(r"\bottomrule")
        == len(list(tables(comparison)))
    )
    cells = next(tables(comparison)).rows[1]
    value, error = cells[2].split(" ± ")
    assert f"{value} $\\pm$ {error} & " in said
    assert "±" not in "".join(line for line in said.splitlines() if not line.startswith("%"))


def captions(comparison):
    return [line.removeprefix(r"\caption{") for line in as_latex(comparison).splitlines() if r"\caption" in line]


def test_every_caption_says_what_was_asked_in_which_languages_of_how_many_items_and_how_intervals_are_made(comparison):
    scores, gaps = captions(comparison)
    assert scores.startswith("MGSM: accuracy. ")
    assert gaps.startswith("MGSM: language gap in accuracy. ")
    for said in (scores, gaps):
        assert "60 items in each language (en, de)" in said
        assert r"[95\% interval], whole items resampled 10,000 times in all languages and models at once" in said
        assert "Student's" not in said
    assert r"$\pm$ one standard error" in scores
    assert r"$\pm$" not in gaps  # no cell has it


def test_a_caption_counts_the_items_of_each_language_where_they_differ_and_says_how_few_are_treated(tmp_path):
    folders = []
    for i, name in enumerate(("a", "b")):
        values = outcomes({"en": 0.8}, 60, seed=i) | outcomes({"de": 0.5}, 20, seed=i)
        folders.append(write_folder(tmp_path / str(i), name, {"mgsm": values_of(values)}))
    said, _ = captions(compare(open_evaluations([str(folder) for folder in folders])))
    assert ". Items: 60 en, 20 de. " in said
    assert "Of fewer than 50 items the interval is Student's" in said


@pytest.mark.parametrize(
    ("cell", "said"),
    [
        ("-0.3 [-1.0, +0.4]", "$-$0.3 [$-$1.0, +0.4]"),
        ("run-2 * ~^\\{}#$", r"run-2 $^{*}$ \textasciitilde{}\textasciicircum{}\textbackslash{}\{\}\#\$"),
        ("[x]", "{}[x]"),
        ("<a|b>", "$<$a$|$b$>$"),
    ],
)
def test_every_sign_of_latex_is_escaped(cell, said):
    from lidr.evals.compare.paper_tables import _latex

    assert _latex(cell) == said


def test_csv_has_every_number_of_the_tables_unrounded(comparison):
    rows = list(csv.DictReader(as_csv(comparison).splitlines()))
    section = comparison.sections[0]
    found = {(r["metric"], r["what"], r["model"], r["language"]): r for r in rows}
    e = section.paired.differences["50%|c"]["de"]
    row = found["acc", "difference", "50%|c", "de"]
    assert [float(row[name]) for name in ("value", "stderr", "low", "high", "n")] == [
        e.value,
        e.stderr,
        e.low,
        e.high,
        60,
    ]
    assert row["baseline"] == "a_1 & b"
    assert {row["what"] for row in rows} == {"score", "difference", "gap", "closed"}
