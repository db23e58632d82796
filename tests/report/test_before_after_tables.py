from __future__ import annotations

from pathlib import Path
from types import SimpleNamespace

from lidr.evals.compare.iteration_differences import differences
from lidr.evals.results import read_results, read_scores
from lidr.report.scores.before_after_tables import before_after
from tests.seeded import three_models


def records(tmp_path, languages=("en", "de")):
    """What the evaluate steps of three iterations leave."""
    places = three_models(tmp_path, languages)
    folders = [Path(place) for place in places]
    for k, folder in enumerate(folders):
        found = differences(read_scores(folders[0]), read_scores(folder), baseline="iter_0") if k else []
        yield SimpleNamespace(
            iteration=k,
            identity={"version": 2},
            writes="scores",
            place=f"iter_{k}/evaluate",
            counts={
                "tasks": [task.model_dump(mode="json") for task in read_results(folder).tasks],
                "differences": [one.as_json() for one in found],
            },
        )


def test_iterations_stand_side_by_side_and_each_change_has_its_interval(tmp_path):
    mgsm, alpaca = before_after(records(tmp_path))
    assert mgsm.title == "MGSM"
    assert mgsm.columns == (
        "score", "language", "iter_0", "iter_1", "iter_2", "iter_1 - iter_0", "iter_2 - iter_0", "n"
    )  # fmt: skip
    assert [row[:2] for row in mgsm.rows] == [
        (score, language) for score in ("accuracy", "off-target rate") for language in ("en", "de", "mean")
    ]
    assert mgsm.rows[0][2] == "0.700 ± 0.029"
    assert mgsm.rows[2][2:5] == ("", "", "")
    assert mgsm.rows[2][5].endswith("] *")
    assert "judged by judge-1 (logprob_swap) against gpt-4-turbo-2024-04-09" in alpaca.title


def test_the_order_of_records_does_not_matter_and_other_records_are_passed_over(tmp_path):
    found = list(records(tmp_path))
    other = SimpleNamespace(identity={"version": 2}, iteration=1, writes="pairs", counts={})
    assert before_after([found[2], other, found[0], found[1]]) == before_after(found)


def test_one_language_has_no_mean(tmp_path):
    assert {row[1] for row in before_after(records(tmp_path, ("de",)))[0].rows} == {"de"}


def test_nothing_evaluated_is_no_table():
    assert before_after([SimpleNamespace(identity={"version": 2}, iteration=0, writes="policy", counts={})]) == ()
