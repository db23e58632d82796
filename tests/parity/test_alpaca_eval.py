"""Our numbers and alpaca_eval's, of the same rows: real outputs of two models in de and fr, one judge on loopback.

alpaca_eval 0.6.6 runs in `.venv/alpaca_eval` (it wants an old setuptools, and writes into site-packages).
"""

from __future__ import annotations

import json
import math
import os
import random
from pathlib import Path
from typing import Any, NamedTuple

import pytest

from lidr.evals.judge import Comparison, JudgeSettings, Verdict, judge
from lidr.evals.judge.answer_order import is_switched
from lidr.evals.win_rate import discrete_win_rate, lc_win_rate_minimal, win_rate
from tests.parity.judge_server import judge_server
from tests.parity.other_environment import TEMPLATE, require_alpaca_eval, run_alpaca_eval

# Judges that like the longer answer, as GPT-4 does, of a model that answers at half the reference's length.
LIKES_LENGTH = {"even": (1.0, -1.0), "close": (2.0, -0.3)}
# Where length explains little, or wins are rare, alpaca_eval's cross-validation shrinks the constant too.
SHRUNK = {"indifferent": (0.2, 0.2), "weak": (0.0, -2.0), "steep": (3.0, 0.0)}


class Parity(NamedTuple):
    """The rows that were asked, what we say and what alpaca_eval says."""

    asked: list[dict[str, str]]
    ours: list[Verdict]
    sets: dict[str, list[dict[str, Any]]]
    theirs: dict[str, Any]


def rows_of(data: Path, language: str) -> list[dict[str, str]]:
    """Real answers of gpt-3.5-turbo-0125 beside those of gpt-4-turbo-2024-04-09."""
    read = json.loads((data / f"x_alpacaeval/reference/{language}.json").read_text(encoding="utf-8"))
    reference = {row["instruction"]: row["output"] for row in read}
    read = json.loads((data / f"x_alpacaeval/gpt-3.5-turbo-0125/{language}.json").read_text(encoding="utf-8"))
    return [
        {"instruction": row["instruction"], "output_1": reference[row["instruction"]], "output_2": row["output"]}
        for row in read
    ]


def seeded(rows: list[dict[str, str]], name: str, slope: float, constant: float) -> list[dict[str, Any]]:
    """The rows with preferences of an invented judge; every fiftieth or so is missing."""
    draw = random.Random(name)
    differences = [len(row["output_1"]) - len(row["output_2"]) for row in rows]
    mean = sum(differences) / len(rows)
    spread = math.sqrt(sum((value - mean) ** 2 for value in differences) / (len(rows) - 1))
    found = []
    for row, difference in zip(rows, differences, strict=True):
        p = 1 / (1 + math.exp(slope * math.tanh(difference / spread) - constant - draw.gauss(0, 1.5)))
        preference = None if draw.random() < 0.02 else 1.5 if draw.random() < 0.02 else 1 + p
        found.append({**row, "preference": preference})
    return found


@pytest.fixture(scope="module")
def parity(tmp_path_factory) -> Parity:
    """Ask both once."""
    require_alpaca_eval()
    if not os.environ.get("LIDR_DATA"):
        pytest.fail("LIDR_DATA must be set in CI") if os.environ.get("CI") else pytest.skip("LIDR_DATA is not set")
    rows = {language: rows_of(Path(os.environ["LIDR_DATA"]), language) for language in ("de", "fr")}
    asked = [dict(row) for row in rows["de"][:50] + rows["fr"][50:80]]
    asked[3]["output_2"] = asked[3]["output_1"]
    asked[5]["output_2"] = ""
    asked[6]["output_2"] = "See {output_1} and {instruction} and \\1."
    sets = {
        f"{language} {name}": seeded(rows[language], f"{language} {name}", *judged)
        for language in rows
        for name, judged in (LIKES_LENGTH | SHRUNK).items()
    }
    folder = tmp_path_factory.mktemp("parity")
    with judge_server() as server:
        job = {"rows": asked, "base_url": server.url, "template": str(TEMPLATE), "seed": 0, "scored": sets}
        theirs = run_alpaca_eval(job, folder)
        settings = JudgeSettings(
            model="gpt-4-on-loopback", base_url=server.url, mode="logprob", template=str(TEMPLATE), retries=0
        )
        comparisons = [Comparison(str(place), **row) for place, row in enumerate(asked)]
        ours = judge(comparisons, settings)
    return Parity(asked, ours, sets, theirs)


def test_the_judge_is_shown_the_outputs_in_the_same_order(parity):
    assert [is_switched(row["instruction"], 0) for row in parity.asked] == parity.theirs["switched"]
    assert 20 < sum(parity.theirs["switched"]) < 60


def test_the_same_answers_are_read_as_the_same_preferences(parity):
    theirs = parity.theirs["preferences"]
    assert [verdict.preference is None for verdict in parity.ours] == [value is None for value in theirs]
    judged = [(a.preference, b) for a, b in zip(parity.ours, theirs, strict=True) if b is not None]
    assert (
        max(abs(a - b) for a, b in judged) < 1e-12
    )  # the last bits of exp and log: two environments, each with its own numpy
    assert [a == 1.5 for a, _ in judged] == [b == 1.5 for _, b in judged]
    assert 60 < len(judged) < len(theirs)
    assert sum(b == 1.5 for _, b in judged) > 3


def test_an_empty_output_is_judged_in_both(parity):
    assert parity.asked[5]["output_2"] == ""
    assert parity.ours[5].preference is not None


@pytest.mark.parametrize("language", ["de", "fr"])
@pytest.mark.parametrize("name", [*LIKES_LENGTH, *SHRUNK])
def test_win_rate_its_error_and_the_discrete_one_are_equal(parity, language, name):
    preferences, theirs = of(parity, f"{language} {name}")[0], parity.theirs["scores"][f"{language} {name}"]
    score = win_rate(preferences)
    assert score.value == pytest.approx(theirs["win_rate"], abs=1e-9)
    assert score.stderr == pytest.approx(theirs["standard_error"], abs=1e-9)
    assert discrete_win_rate(preferences).value == pytest.approx(theirs["discrete_win_rate"], abs=1e-9)
    assert score.n == theirs["n_total"]
    assert sum(p == 1.5 for p in preferences) == theirs["n_draws"] > 0


@pytest.mark.parametrize("language", ["de", "fr"])
@pytest.mark.parametrize("name", LIKES_LENGTH)
def test_the_length_controlled_rate_is_within_04_points(parity, language, name):
    ours, theirs = lc_win_rate_minimal(*of(parity, f"{language} {name}")), parity.theirs["scores"][f"{language} {name}"]
    assert ours.value == pytest.approx(theirs["length_controlled_winrate"], abs=0.4)
    assert theirs["lc_standard_error"] == pytest.approx(0, abs=1e-9)  # no error of the estimate: ours is
    assert 1 < ours.stderr < 4


@pytest.mark.parametrize("language", ["de", "fr"])
@pytest.mark.parametrize("name", [*LIKES_LENGTH, *SHRUNK])
def test_without_alpaca_evals_penalty_the_fits_are_one(parity, language, name):
    ours, theirs = lc_win_rate_minimal(*of(parity, f"{language} {name}")), parity.theirs["scores"][f"{language} {name}"]
    assert ours.value == pytest.approx(theirs["unshrunk"], abs=1e-4)


def of(parity: Parity, name: str) -> tuple[list[float | None], list[int], list[int]]:
    """Preferences, the model's lengths and the reference's."""
    rows = parity.sets[name]
    return (
        [row["preference"] for row in rows],
        [len(row["output_2"]) for row in rows],
        [len(row["output_1"]) for row in rows],
    )
