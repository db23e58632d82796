from __future__ import annotations

from pathlib import Path

import pytest

from lidr import evals
from lidr.analysis import evaluated
from lidr.evals.compare import compare
from lidr.report.html.gaps_closed import gaps_closed
from tests.report.test_before_after_tables import records

LANGUAGES = ("en", "es", "de")


def asked(tmp_path: Path, folders: tuple[Path, Path]):
    one = next(iter(evaluated(records(tmp_path, LANGUAGES))))
    score = one.shown[0]
    scores = {code: (cells[0]["value"], cells[1]["value"]) for shown, code, cells in one.scores() if shown is score}
    return gaps_closed(one, score, "en", folders, scores)


def test_the_shares_of_a_report_are_those_of_compare_with_their_intervals(tmp_path):
    list(records(tmp_path, LANGUAGES))
    folders = [file.parent for file in sorted(tmp_path.rglob("results.json"))][:2]
    places = [str(folder) for folder in folders]
    found = compare(evals.open_evaluations(places), benchmark="mgsm", metric="acc", dominant="en")
    (section,) = found.sections
    theirs = section.paired.closed[section.models[-1]]
    assert asked(tmp_path, (folders[0], folders[1])) == theirs
    assert set(theirs) == {"es", "de", "all"}
    assert any(share.low is not None for share in theirs.values())


def test_without_the_items_the_shares_are_the_same_and_have_no_interval(tmp_path):
    list(records(tmp_path, LANGUAGES))
    folders = [file.parent for file in sorted(tmp_path.rglob("results.json"))][:2]
    theirs = asked(tmp_path, (folders[0], folders[1]))
    bare = asked(tmp_path, (tmp_path / "nothing", tmp_path / "nothing"))
    assert {code: share.value for code, share in bare.items()} == pytest.approx(
        {code: share.value for code, share in theirs.items()}
    )
    assert {share.low for share in bare.values()} == {None}
