"""Two models against each other: what a tie is, how answers are joined, and what is written."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from lidr.errors import EvaluationError
from lidr.evals.compare.head_to_head_judging import head_to_head, outcome, summarise, write_head_to_head
from lidr.evals.judge import JudgeSettings, Order, Verdict
from lidr.evals.model_outputs import Output, OutputSet, pairs_of, read_outputs
from lidr.evals.results import read_results, read_samples, read_scores
from tests.parity.answered import answered
from tests.parity.judge_server import judge_server

LONG = "Das ist eine lange Antwort auf die Frage, und sie nennt mehr als einen Grund dafür."
SHORT = "Das ist eine kurze Antwort."


def swap(first: float, second: float) -> Verdict:
    """A verdict of two orders."""
    return Verdict("1", (first + second) / 2, orders=(Order(False, first), Order(True, second)))


@pytest.mark.parametrize(
    ("verdict", "expected"),
    [
        (swap(1.9, 1.8), "win"),
        (swap(1.1, 1.3), "lose"),
        (swap(1.9, 1.2), "tie"),  # the orders disagree, though the mean is 1.55
        (swap(1.95, 1.4), "tie"),  # they disagree, and the mean is far from 1.5
        (swap(1.5, 1.9), "win"),  # one order is undecided: no disagreement
        (swap(1.53, 1.56), "tie"),  # both prefer A by a hair
        (Verdict("1", 1.5, identical=True), "tie"),
        (Verdict("1", 2.0, orders=(Order(False, 2.0, token="M"),)), "win"),
        (Verdict("1", 1.45, orders=(Order(True, 1.45),)), "tie"),
        (Verdict("1", 1.44, orders=(Order(True, 1.44),)), "lose"),
        (Verdict("1", None, error="timeout: 120 s"), None),
    ],
)
def test_an_item_is_a_tie_where_the_orders_disagree_or_the_judge_is_undecided(verdict, expected):
    assert outcome(verdict) == expected


def test_the_margin_of_a_tie_can_be_set():
    assert outcome(swap(1.6, 1.7), margin=0.2) == "tie"
    assert outcome(swap(1.51, 1.51), margin=0.0) == "win"


def test_the_shares_add_up_to_100_and_errors_are_in_none():
    def values(preference, result):
        shares = {name: None if result is None else float(name == result) for name in ("win", "tie", "lose")}
        error = float(preference is None)
        return {"preference": preference, **shares, "judge_error": error, "length": 5.0, "reference_length": 9.0}

    rows = [values(1.9, "win"), values(1.5, "tie"), values(1.2, "lose"), values(2.0, "win"), values(None, None)]
    scores = summarise(rows)
    assert (scores["win"].value, scores["tie"].value, scores["lose"].value) == (50, 25, 25)
    assert scores["win"].stderr == pytest.approx(100 * (1 / 3) ** 0.5 / 2)  # sd of (1, 0, 0, 1), n - 1, over 2
    assert (scores["n_judged"].value, scores["judge_errors"].value, scores["judge_errors"].n) == (4, 1, 5)
    assert scores["win_rate"].value == pytest.approx(100 * (0.9 + 0.5 + 0.2 + 1) / 4)


def test_two_results_folders_are_judged_and_the_record_says_against_whom(tmp_path):
    longer = read_outputs(answered(tmp_path / "a", "longer", lambda row, _: LONG + row["item"], ["de", "fr"]))
    shorter = read_outputs(answered(tmp_path / "b", "shorter", lambda row, _: SHORT, ["fr", "de", "es"]))
    told = []
    with judge_server() as server:
        settings = JudgeSettings(model="judge", base_url=server.url, retries=0)
        found = head_to_head(longer, shorter, settings, progress=told.append)
        mirrored = head_to_head(shorter, longer, settings)
        assert len(server.bodies) == 4 * 32  # two languages, 16 items, two orders, both ways
    assert sum(told) == 32
    results = write_head_to_head(tmp_path / "out", longer, shorter, found)
    assert results == read_results(tmp_path / "out")
    assert results.name == "longer against shorter"
    assert [task.task for task in results.tasks] == ["lidr_head_to_head_de", "lidr_head_to_head_fr"]
    for task, mirror in zip(results.tasks, sorted(mirrored.tasks, key=lambda task: task.language), strict=True):
        assert task.data.reference == "shorter"
        assert task.judge.mode == "logprob_swap"
        assert task.generation == {"max_tokens": 64}
        total = sum(task.scores[name].value for name in ("win", "tie", "lose"))
        assert total == pytest.approx(100)
        assert task.scores["n_judged"].value + task.scores["judge_errors"].value == 16
        # whoever plays the reference, with both orders asked: the same questions, the same verdicts
        assert task.scores["win"].value == mirror.scores["lose"].value
        assert task.scores["win_rate"].value == pytest.approx(100 - mirror.scores["win_rate"].value)
    detail = json.loads(read_samples(tmp_path / "out").to_pylist()[0]["detail"])
    assert detail["against"] == SHORT
    assert Verdict.from_json(detail["verdict"]) == found.verdicts[0]
    metrics = set(read_scores(tmp_path / "out")["metric"].to_pylist())
    assert {"win", "tie", "lose", "preference", "judge_error"} <= metrics


def test_files_of_alpaca_eval_are_joined_by_instruction_whatever_their_order(tmp_path, data_folder):
    """The reference file of en has no ids; gpt-3.5's files have them."""
    theirs = read_outputs(data_folder / "x_alpacaeval" / "gpt-3.5-turbo-0125")
    reference = read_outputs(data_folder / "x_alpacaeval" / "reference")
    assert (theirs.name, reference.name) == ("gpt-3.5-turbo-0125", "gpt-4-turbo-2024-04-09")
    assert list(theirs.by_language) == ["de", "fr"]
    backwards = OutputSet("b", {"de": reference.by_language["de"][::-1]}, {"de": "de.json"})
    pairs = pairs_of(theirs, backwards, "de")
    assert len(pairs) == 805
    wanted = {output.instruction: output.text for output in reference.by_language["de"]}
    assert all(pair.b == wanted[pair.instruction] for pair in pairs)
    rows = json.loads((data_folder / "x_alpacaeval/reference/en.json").read_text(encoding="utf-8"))
    assert "id" not in rows[0]
    assert len(pairs_of(reference, reference, "en")) == 805


def outputs(name: str, *rows: tuple[str | None, str, str]) -> OutputSet:
    return OutputSet(name, {"de": tuple(Output(*row) for row in rows)}, {"de": "de.json"})


def test_items_that_only_one_has_are_refused_and_the_first_five_named():
    a = outputs("a", *[(str(i), f"Frage {i}", "x") for i in range(8)])
    b = outputs("b", ("0", "Frage 0", "y"))
    with pytest.raises(
        EvaluationError, match=r"7 items are not in both a \(8\) and b \(1\): '1'; '2'; '3'; '4'; '5'; \.\.\."
    ):
        pairs_of(a, b, "de")


def test_the_same_id_with_another_instruction_is_refused():
    a, b = outputs("a", ("1", "Was ist Honig?", "x")), outputs("b", ("1", "Was ist Wachs?", "y"))
    with pytest.raises(
        EvaluationError, match=r"1 items have another instruction in a than in b: '1'\. Compare answers"
    ):
        pairs_of(a, b, "de")


def test_an_item_that_stands_twice_is_refused():
    a = outputs("a", ("1", "Was ist Honig?", "x"), ("1", "Was ist Honig?", "y"))
    with pytest.raises(EvaluationError, match="1 items stand more than once in a: '1'"):
        pairs_of(a, a, "de")


def test_models_without_a_language_in_common_are_refused():
    with pytest.raises(EvaluationError, match="a has answers in de, b in fr: no language in common"):
        head_to_head(
            outputs("a", ("1", "Was?", "x")),
            OutputSet("b", {"fr": (Output("1", "Quoi?", "y"),)}, {"fr": "fr.json"}),
            JudgeSettings(model="judge", base_url="http://127.0.0.1:9/v1"),
        )


@pytest.mark.parametrize(
    ("name", "content", "message"),
    [
        ("outputs.json", "[]", "which language"),
        ("model_outputs_xx.json", "[]", "which language"),
        ("model_outputs_de.json", "[]", "must be a list of objects"),
        ("model_outputs_de.json", "{", "cannot be read as outputs"),
        (
            "model_outputs_de.json",
            '[{"instruction": "Was?", "output": null}]',
            "row 0: needs `instruction` and `output`",
        ),
        (
            "model_outputs_de.json",
            json.dumps([{"instruction": name, "output": "", "generator": name} for name in "xy"]),
            "outputs of 2 generators: x, y",
        ),
    ],
)
def test_a_file_that_holds_no_outputs_of_one_model_is_refused(tmp_path, name, content, message):
    (tmp_path / name).write_text(content)
    with pytest.raises(EvaluationError, match=message):
        read_outputs(tmp_path / name)


def test_a_folder_without_outputs_is_refused(tmp_path):
    with pytest.raises(EvaluationError, match=r"no results\.json and no outputs"):
        read_outputs(tmp_path)


def test_a_language_that_does_not_exist_is_refused(tmp_path: Path):
    (tmp_path / "outputs.json").write_text("[]")
    with pytest.raises(EvaluationError, match='did you mean "fr"'):
        read_outputs(tmp_path / "outputs.json", "fra")


def test_a_results_folder_without_open_instructions_is_refused(tmp_path):
    answered(tmp_path / "a", "none", lambda row, _: "", ["de"], limit=0)
    with pytest.raises(EvaluationError, match="holds no x_alpacaeval answers"):
        read_outputs(tmp_path / "a")
