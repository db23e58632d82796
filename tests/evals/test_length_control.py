"""AlpacaEval's version 1: its fit against scikit-learn's, its files, and where it is refused."""

from __future__ import annotations

import hashlib
import json

import numpy as np
import pytest

from lidr.cli.main import main
from lidr.errors import EvaluationError
from lidr.evals import length_control
from lidr.evals.length_control import ROWS, check_conditions, lc_win_rate_v1, length_controlled, read_length_control
from lidr.evals.results import TaskResult
from tests.seeded import JUDGE, task_result, write_folder


@pytest.fixture
def files(tmp_path):
    """Both files, of made-up numbers."""
    rng = np.random.default_rng(0)
    hard = rng.normal(0, 1.5, ROWS)
    lines = [f"{i},{value}" for i, value in enumerate(hard)]
    (tmp_path / "instruction_difficulty.csv").write_text("index,instruction_difficulty\n" + "\n".join(lines), "utf-8")
    rows = []
    for model, shift in (("concise", 1.0), ("verbose", -0.6)):
        x = rng.normal(shift, 1, ROWS)
        p = 1 / (1 + np.exp(-(-1.6 * np.tanh(x) + 0.8 * hard)))
        rows += [f"{model},{i},{p[i]},{x[i]},{hard[i]},False" for i in range(ROWS)]
    head = "model,index,preference,std_delta_len,instruction_difficulty,not_gamed_baseline\n"
    (tmp_path / "df_gamed.csv").write_text(head + "\n".join(rows), "utf-8")
    return tmp_path


def items(constant: float):
    rng = np.random.default_rng(1)
    reference = rng.integers(500, 3000, ROWS).astype(float)
    lengths = np.maximum(1, reference - 900 + rng.normal(0, 600, ROWS))
    d = reference - lengths
    p = 1 / (1 + np.exp(-(-1.6 * np.tanh(d / d.std(ddof=1)) + constant + rng.normal(0, 1, ROWS))))
    return (1 + p).tolist(), lengths.tolist(), reference.tolist()


def test_the_fit_is_scikit_learns_with_the_gamed_rows_at_a_tenth(files):
    from sklearn.linear_model import LogisticRegression

    preferences, lengths, reference = items(-2.0)
    control = read_length_control(str(files))
    d = np.array(reference) - np.array(lengths)
    hard, gamed = np.array(control.difficulty), np.array(control.gamed)
    own = np.column_stack([np.tanh(d / d.std(ddof=1)), hard, np.ones(ROWS)])
    z = np.vstack([own, np.column_stack([np.tanh(gamed[:, 0]), gamed[:, 1], np.zeros(len(gamed))])])
    y = np.concatenate([np.array(preferences) - 1, gamed[:, 2]])
    w = np.concatenate([np.ones(ROWS), np.full(2 * ROWS, 0.1)])
    fit = LogisticRegression(C=1e9, fit_intercept=False, tol=1e-10, max_iter=1000)
    fit.fit(np.vstack([z, z]), [1] * len(y) + [0] * len(y), sample_weight=np.concatenate([w * y, w * (1 - y)]))
    theirs = 100 * np.mean(1 / (1 + np.exp(-(fit.coef_[0][1] * hard + fit.coef_[0][2]))))
    found = lc_win_rate_v1(preferences, lengths, reference, control)
    assert (found.value, found.stderr, found.n) == (pytest.approx(theirs, abs=1e-3), None, ROWS)
    assert found.value != pytest.approx(100 * np.mean(np.array(preferences) - 1), abs=1)


def english(**changes) -> TaskResult:
    task = task_result("x_alpacaeval", "en", {"k0": {"win": 1.0}}, judge=JUDGE)
    data = task.data.model_copy(update={"reference": "gpt4_1106_preview"})
    return task.model_copy(update={"data": data, **changes})


def test_every_condition_that_does_not_hold_is_named():
    other = english().data.model_copy(update={"reference": "gpt-4o"})
    with pytest.raises(EvaluationError) as refused:
        check_conditions(english(language="de", judge=None, data=other), ["a", "b"])
    for part in (
        "x_alpacaeval in de",
        "nothing was judged",
        "those of gpt-4o, needed",
        "2 instructions were asked, needed",
    ):
        assert part in str(refused.value)


def instructions(monkeypatch, prompts: list[str]) -> list[str]:
    """Let these be AlpacaEval's."""
    found = hashlib.sha256(json.dumps(prompts).encode()).hexdigest()
    monkeypatch.setattr(length_control, "INSTRUCTIONS_SHA256", found)
    return prompts


@pytest.mark.parametrize(
    ("changes", "asked", "said"),
    [
        ({"benchmark": "mt_bench"}, ROWS, "the task is mt_bench in en, needed is x_alpacaeval in en"),
        ({"language": "de"}, ROWS, "the task is x_alpacaeval in de, needed is x_alpacaeval in en"),
        ({"judge": None}, ROWS, "nothing was judged"),
        ({}, ROWS - 1, "804 instructions were asked, needed are all 805"),
    ],
)
def test_one_condition_that_does_not_hold_is_enough(monkeypatch, changes, asked, said):
    prompts = instructions(monkeypatch, [f"What is {number}?" for number in range(ROWS)])
    check_conditions(english(), prompts)
    with pytest.raises(EvaluationError, match=f"version 1: {said}\\. It stands"):
        check_conditions(english(**changes), prompts[:asked])


def test_the_rate_of_a_results_folder_is_that_of_its_items_where_the_conditions_hold(monkeypatch, files, tmp_path):
    columns, control = items(-2.0), read_length_control(str(files))
    names = ("preference", "length", "reference_length")
    rows = {str(at): dict(zip(names, row, strict=True)) for at, row in enumerate(zip(*columns, strict=True))}
    folder = write_folder(tmp_path / "results", "m", {"x_alpacaeval": {"en": rows}}, data=english().data)
    with pytest.raises(EvaluationError, match="the instructions are others than AlpacaEval's"):
        length_controlled(folder, control)
    instructions(monkeypatch, ["?"] * ROWS)
    assert length_controlled(folder, control) == lc_win_rate_v1(*columns, control)


def test_other_instructions_or_another_order_are_refused(data_folder):
    rows = json.loads((data_folder / "x_alpacaeval/prompts/en.json").read_text("utf-8"))
    prompts = [row["instruction"] for row in rows]
    check_conditions(english(), prompts)
    for others in (prompts[::-1], [*prompts[:-1], "What else?"]):
        with pytest.raises(EvaluationError, match="others than AlpacaEval's, or in another order"):
            check_conditions(english(), others)


@pytest.mark.parametrize(
    ("name", "text", "said"),
    [
        ("df_gamed.csv", None, "not there; put instruction_difficulty.csv and df_gamed.csv"),
        ("df_gamed.csv", "index,preference\n0,0.5", "needs a column std_delta_len of numbers, found None"),
        ("df_gamed.csv", "index,preference\n", "holds no row"),
        ("instruction_difficulty.csv", "index,instruction_difficulty\n0,1.0", "has 1 instructions, needs the 805"),
        ("instruction_difficulty.csv", "index,instruction_difficulty\n0,nan", "of numbers, found 'nan'"),
    ],
)
def test_files_that_are_not_those_are_named(files, capsys, name, text, said):
    (files / name).unlink() if text is None else (files / name).write_text(text, "utf-8")
    assert main(["eval", "lc", str(files), "--files", str(files)]) == 2
    assert said in capsys.readouterr().err


def test_a_data_set_without_a_commit_is_refused(capsys):
    assert main(["eval", "lc", "x", "--files", "tatsu-lab/alpaca_eval"]) == 2
    assert "not at a commit" in capsys.readouterr().err
