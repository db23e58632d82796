from __future__ import annotations

import re

from lidr.evals.compare.paired_comparison import compare
from lidr.evals.reader import open_evaluations
from lidr.report.scores.score_text import scores_text
from tests.seeded import outcomes, values_of, write_folder


def test_where_all_answers_say_the_same_the_interval_of_compare_is_printed_too(tmp_path):
    for i, items in enumerate((60, 8)):
        half = outcomes({"en": 0.5, "de": 0.5}, items, seed=1)
        right = {"mgsm": values_of({**half, "en": dict.fromkeys(half["en"], 1.0)})}
        folders = [str(write_folder(tmp_path / f"{i}{n}", n, right)) for n in "ab"]
        found = open_evaluations(folders)
        said = scores_text(found[0].results)
        bound = compare(found).sections[0].paired.scores["a"]["en"]
        assert "1.000 ± 0.000" in said
        assert f"1.000 of {items}: [{bound.low:.3f}, {bound.high:.3f}]" in said
        assert len(re.findall(r"of \d+: \[", said)) == 1


def test_nothing_is_said_where_answers_differ(tmp_path):
    right = {"mgsm": values_of(outcomes({"en": 0.5}, 60, seed=1))}
    found = open_evaluations([str(write_folder(tmp_path / "a", "a", right))])
    assert "no bound" not in scores_text(found[0].results)
