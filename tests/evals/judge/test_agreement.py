"""How far a judge can be trusted: known judges give known numbers."""

from __future__ import annotations

import json
import random
import statistics
from pathlib import Path

import pytest

from lidr.errors import EvaluationError
from lidr.evals.judge import Comparison
from lidr.evals.judge.agreement import calls_of, check_judge, items_of
from lidr.evals.judge.agreement_statistics import Asked, across, of_language
from lidr.resources import shared
from tests.engines.server import Reply, Server
from tests.evals.judge.answers import likes, said, settings, user_text

OWN = shared("recipes") / "prompts"


def asked(item: int, given: float | None, turned: float | None, again: float | None, longer: int = 0) -> Asked:
    return Asked(str(item), given, turned, again, 100, 100 + longer)


def test_the_numbers_of_a_small_table_are_those_worked_by_hand():
    found = of_language(
        [
            asked(0, 1.9, 1.7, 1.9, 10),
            asked(1, 1.2, 1.6, 1.2, -10),
            asked(2, 1.5, 1.5, 1.4, 0),
            asked(3, None, 1.3, None, 0),
        ]
    )
    assert found["order_agreement"].value == pytest.approx(2 / 3)
    assert found["order_gap"].value == pytest.approx((0.2 + 0.4 + 0.0) / 3)
    assert found["first_shown"].value == pytest.approx((0.4 + 0.7 + 0.5) / 3)
    assert found["self_agreement"].value == pytest.approx(2 / 3)
    assert found["self_gap"].value == pytest.approx(0.1 / 3)
    assert found["win"].value == pytest.approx((0.8 + 0.4 + 0.5) / 3)
    assert found["length_slope"].value == pytest.approx(0.2)  # 0.4 of win over 20 characters; their spread is 10
    assert {name: estimate.n for name, estimate in found.items()} == dict.fromkeys(found, 3)
    assert all(e.low is not None and e.value is not None and e.low <= e.value <= e.high for e in found.values())


def test_a_length_slope_is_found_again_inside_its_interval():
    draw = random.Random(5)
    rows = []
    for item in range(400):
        longer = draw.gauss(0, 200)
        win = min(1.0, max(0.0, 0.5 + 0.1 * longer / 200 + draw.gauss(0, 0.05)))
        rows.append(asked(item, 1 + win, 1 + win, 1 + win, round(longer)))
    slope = of_language(rows)["length_slope"]
    assert slope.low is not None
    assert slope.high is not None
    spread = statistics.stdev(row.length_2 - row.length_1 for row in rows)
    lengths, wins = [row.length_2 - row.length_1 for row in rows], [row.mean or 0 for row in rows]
    assert slope.value == pytest.approx(statistics.linear_regression(lengths, wins).slope * spread)
    assert slope.low < 0.1 * spread / 200 < slope.high
    assert slope.high - slope.low < 0.02


def test_what_was_not_judged_has_no_number():
    found = of_language([asked(0, None, None, None), asked(1, None, 1.5, None)])
    assert {(estimate.value, estimate.n) for estimate in found.values()} == {(None, 0)}
    assert of_language([])["win"].value is None


def test_two_languages_are_compared_on_the_items_that_both_have():
    german = [asked(i, p, p, p) for i, p in enumerate((1.9, 1.8, 1.2, 1.5))]
    french = [asked(i, p, p, p) for i, p in ((3, 1.5), (1, 1.7), (2, 1.6), (9, 1.1), (0, 1.95))]
    (pair,) = across({"de": german, "fr": french})
    assert (pair.a, pair.b, pair.agreement.n) == ("de", "fr", 4)
    assert pair.agreement.value == pytest.approx(3 / 4)
    assert pair.by_chance == pytest.approx((2 * 3 + 1 * 1 + 1 * 0) / 16)
    assert pair.correlation.value == pytest.approx(0.8)  # ranks 4 3 1 2 and 4 3 2 1
    (same,) = across({"de": german, "again": german})
    assert same.correlation.value == pytest.approx(1.0)
    assert across({"de": german}) == []
    (none,) = across({"de": german, "xx": [asked(77, 1.0, 1.0, 1.0)]})
    assert (none.agreement.value, none.by_chance) == (None, None)


def items(count: int) -> dict[str, list[Comparison]]:
    return {
        code: [
            Comparison(str(i), f"{code} {i}?", f"{code} GOOD {i}.", f"{code} BAD {i} " + "x" * i) for i in range(count)
        ]
        for code in ("de", "fr")
    }


def test_a_judge_that_takes_the_first_is_seen_through(tmp_path: Path):
    with Server(lambda body, _: likes(0.8)) as server:
        asked_of = settings(server, cache=tmp_path / "c")
        assert calls_of(items(6), asked_of) == 36
        report = check_judge(items(6), asked_of)
        assert calls_of(items(6), asked_of) == 0
    assert len(server.bodies) == 36
    assert sorted(body.get("seed", 0) for body in server.bodies) == [0] * 24 + [1] * 12
    german = report.numbers["de"]
    assert german["first_shown"].value == pytest.approx(0.8)
    assert german["order_agreement"].value == 0.0
    assert german["self_agreement"].value == 1.0
    assert (german["order_agreement"].low, german["order_agreement"].high) == (0.0, pytest.approx(0.459, abs=1e-3))
    assert report.error_share == 0


def test_a_judge_that_knows_is_trusted():
    def reply(body: dict, _: int) -> Reply:
        text = user_text(body)
        return likes(0.9 if text.index("GOOD") < text.index("BAD") else 0.1)

    with Server(reply) as server:
        report = check_judge(items(6), settings(server))
    assert report.numbers["fr"]["order_agreement"].value == 1.0
    assert report.numbers["fr"]["first_shown"].value == pytest.approx(0.5)
    assert report.numbers["fr"]["win"].value == pytest.approx(0.1)
    assert report.across[0].agreement.value == 1.0
    json.dumps(report.as_json())


def test_failures_are_counted_by_language():
    def reply(body: dict, _: int) -> Reply:
        return said({"The": -0.1}) if "fr 2?" in user_text(body) else likes(0.6)

    with Server(reply) as server:
        report = check_judge(items(4), settings(server))
    assert report.as_json()["languages"]["fr"]["errors"] == 3
    assert report.as_json()["languages"]["fr"]["reasons"].startswith("3 x neither m nor M")
    assert report.numbers["fr"]["order_agreement"].n == 3
    assert report.error_share == pytest.approx(3 / 24)


def outputs(folder: Path, name: str, change: str = "") -> Path:
    """A model's answers to our own open instructions, in alpaca_eval's form."""
    folder.mkdir(exist_ok=True)
    for code in ("de", "fr"):
        lines = (OWN / "open_instructions" / f"{code}.jsonl").read_text(encoding="utf-8").splitlines()
        rows = [json.loads(line) for line in lines]
        found = [
            {"instruction": row["instruction"], "output": f"{name} {at}{change}", "generator": name}
            for at, row in enumerate(rows)
        ]
        (folder / f"model_outputs_{code}.json").write_text(json.dumps(found))
    return folder


def test_raw_outputs_are_joined_with_the_reference_answers(tmp_path: Path):
    found = items_of(outputs(tmp_path / "a", "a"), against=None, data=str(OWN), limit=3)
    assert {code: len(its) for code, its in found.items()} == {"de": 3, "fr": 3}
    assert [one.key for one in found["de"]] == [one.key for one in found["fr"]]
    assert found["de"][1].output_2 == "a 1"
    assert found["de"][1].output_1


def test_outputs_are_judged_against_those_of_another_model(tmp_path: Path):
    ours, theirs = outputs(tmp_path / "a", "a"), outputs(tmp_path / "b", "b")
    found = items_of(ours, against=theirs, data=None, limit=2, languages=["fr"])
    assert [(one.output_1, one.output_2) for one in found["fr"]] == [("b 0", "a 0"), ("b 1", "a 1")]
    with pytest.raises(EvaluationError, match="no answers in ru; languages there: de, fr"):
        items_of(ours, against=theirs, data=None, limit=2, languages=["ru"])
    with pytest.raises(EvaluationError, match="no two different answers to judge"):
        items_of(ours, against=ours, data=None, limit=None)


def test_real_outputs_are_read(data_folder: Path):
    real = data_folder / "x_alpacaeval" / "gpt-3.5-turbo-0125"
    found = items_of(real, against=None, data=str(data_folder), limit=None)
    assert {code: len(its) for code, its in found.items()} == {"de": 789, "fr": 787}  # of 805; the rest are equal
    assert len({one.key for one in found["de"]} & {one.key for one in found["fr"]}) > 750
