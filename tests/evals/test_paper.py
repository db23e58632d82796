from __future__ import annotations

import math

import pytest

from lidr.errors import EvaluationError
from lidr.evals.paper import ITERATIONS, TABLES, binomial_error, check, impossible_cells, read_paper
from lidr.evals.results import DataFacts, JudgeFacts, Score, read_results
from tests.seeded import outcomes, values_of, write_folder

PAPER = read_paper()
ORIGINAL = JudgeFacts(
    model="gpt-4-1106-preview",
    mode="logprob",
    template="alpaca_eval_clf.txt",
    template_sha256=PAPER.tables["x_alpacaeval"].judge.template_sha256[0],
    served="server",
)
DECODING = {"max_tokens": 2048, "temperature": 0.0, "repetition_penalty": 1.1}
DECODING |= {"system_prompt": "You are a helpful assistant."}
M1 = {"en": 0.712, "de": 0.564}


def mgsm(tmp_path, shares=M1, items=250, **other):
    right = values_of(outcomes(shares, items, seed=1))
    return read_results(write_folder(tmp_path, "ours", {"mgsm": right}, **{"generation": DECODING, **other}))


def won(tmp_path, items=805, **other):
    right = values_of(outcomes({"en": 0.30, "de": 0.17}, items, seed=1), "win")
    return read_results(write_folder(tmp_path, "ours", {"x_alpacaeval": right}, **{"generation": DECODING, **other}))


def test_every_row_has_a_value_for_every_column_and_every_table_a_source():
    for name, table in PAPER.tables.items():
        assert table.source, name
        for row in table.rows.values():
            for values in (*row.values.values(), *row.errors.values()):
                assert len(values) == len(table.columns), (name, row.label)
            assert set(row.values) <= set(table.metrics)


def test_the_tables_hold_all_that_was_published():
    rows = {name: len(table.rows) for name, table in PAPER.tables.items()}
    assert rows == {
        "x_alpacaeval": 16,
        "x_alpacaeval_icr": 4,
        "x_alpacaeval_icr_low_resource": 3,
        "mgsm": 4,
        "head_to_head": 3,
        "mt_bench": 3,
        "tax": 3,
        "premise": 1,
    }


def test_every_printed_mean_is_the_mean_of_its_row():
    found = 0
    for table in PAPER.tables.values():
        for row in table.rows.values():
            for metric, mean in row.mean.items():
                values = row.values[metric]
                form = table.metrics[metric]
                assert sum(values) / len(values) == pytest.approx(mean, abs=0.5 * 10**-form.decimals + 1e-9), row.label
                found += 1
    assert found == 16 + 7 + 3 + 3


def test_the_gains_of_the_abstract_come_out():
    wins, accuracy = PAPER.tables["x_alpacaeval"].rows, PAPER.tables["mgsm"].rows
    assert wins["M2"].mean["win_rate"] - wins["M0"].mean["win_rate"] == pytest.approx(7.46)
    means = {row: sum(accuracy[row].values["acc"]) / 10 for row in ("M0", "M2")}
    assert means == pytest.approx({"M0": 0.4168, "M2": 0.5562})


def test_head_to_head_shares_add_up_to_a_hundred_within_their_digits():
    for row in PAPER.tables["head_to_head"].rows.values():
        for shares in zip(*row.values.values(), strict=True):
            assert sum(shares) == pytest.approx(100, abs=0.15)


def test_only_the_two_cells_that_n_rules_out_are_impossible():
    found = [(name, *cell) for name, table in PAPER.tables.items() for cell in impossible_cells(table)]
    assert found == [
        ("mgsm", "M2", "acc", "de", 0.57, pytest.approx(0.568), pytest.approx(0.572)),
        ("mgsm", "M2", "off_target", "sw", 0.002, 0.0, pytest.approx(0.004)),
    ]


def test_a_cell_is_possible_within_the_digits_that_were_printed():
    table = PAPER.tables["mgsm"]
    coarse = table.model_copy(update={"n": 3})
    assert ("M0", "en") not in {(c.row, c.column) for c in impossible_cells(table)}
    assert {c.column for c in impossible_cells(coarse) if c.metric == "acc" and c.row == "M0"} >= {"en"}
    form = table.metrics["acc"].model_copy(update={"decimals": 1})
    rounded = coarse.model_copy(update={"metrics": {**table.metrics, "acc": form}})
    assert "en" not in {c.column for c in impossible_cells(rounded) if c.metric == "acc" and c.row == "M0"}  # 2/3


def test_the_papers_errors_are_computed_from_n():
    assert binomial_error(0.6, 250) == pytest.approx(0.031, abs=5e-4)
    assert binomial_error(22.0, 805, 100.0) == pytest.approx(1.46, abs=5e-3)
    assert binomial_error(0.0, 250) == pytest.approx(0.0039, abs=1e-4)
    assert binomial_error(1.0, 250) == pytest.approx(0.0039, abs=1e-4)


def test_the_same_numbers_lie_inside_and_are_comparable(tmp_path):
    (one,) = (c for c in check(mgsm(tmp_path), "mgsm", ["M1"]) if c.metric == "acc")
    cell = one.cells[1]
    assert (cell.language, cell.ours, cell.paper, cell.n) == ("de", 0.564, 0.564, 250)
    assert cell.combined_error == pytest.approx(math.hypot(cell.our_error, cell.paper_error))
    assert cell.combined_error == pytest.approx(0.0444, abs=1e-4)
    assert cell.inside
    assert one.not_comparable == ()
    assert one.remarks == (
        "how the paper reads numbers and detects languages is not published: a difference may come from there",
    )


def test_a_number_far_away_lies_outside(tmp_path):
    (one,) = (c for c in check(mgsm(tmp_path, {"de": 0.4}), "mgsm", ["M1"]) if c.metric == "acc")
    assert one.cells[0].inside is False
    assert one.cells[0].difference == pytest.approx(0.4 - 0.564)


def test_all_three_iterations_are_shown_unless_one_is_named(tmp_path):
    assert tuple(dict.fromkeys(c.row for c in check(mgsm(tmp_path), "mgsm"))) == ITERATIONS
    assert {c.row for c in check(mgsm(tmp_path), "mgsm", ["Multilingual Alignment"])} == {"Multilingual Alignment"}


def test_the_impossible_cell_is_flagged_beside_ours(tmp_path):
    (one,) = (c for c in check(mgsm(tmp_path), "mgsm", ["M2"]) if c.metric == "acc")
    assert [cell.impossible for cell in one.cells] == [False, True]
    assert [wrong.column for wrong in one.impossible] == ["de"]


def test_another_form_of_prompt_is_not_comparable(tmp_path):
    for one in check(mgsm(tmp_path, variant="instr"), "mgsm", ["M1"]):
        assert one.not_comparable == ('form of prompt "instr"; the paper asks the bare question ("plain")',)
        assert one.cells


def test_other_data_and_a_part_of_the_data_are_not_comparable(tmp_path):
    facts = DataFacts(source="word_problems/en.jsonl", sha256="0" * 64, rows=16, asked=16)
    other = check(mgsm(tmp_path / "a", {"en": 0.5}, 16, data=facts), "mgsm", ["M1"])[0]
    assert other.not_comparable == ("other data: 16 rows; the paper has 250",)
    part = check(mgsm(tmp_path / "b", {"en": 0.5}, 20), "mgsm", ["M1"])[0]
    assert part.not_comparable == ("only 20 of 250 items were asked",)


def test_the_published_judge_is_comparable_and_every_other_one_is_not(tmp_path):
    assert check(won(tmp_path / "o", judge=ORIGINAL), "x_alpacaeval", ["M1"])[0].not_comparable == ()
    found = check(won(tmp_path / "x"), "x_alpacaeval", ["M1"])[0]
    assert found.not_comparable == (
        "judge judge-1; the paper's is gpt-4-1106-preview",
        "judge mode logprob_swap; the paper's is logprob",
        "judge template lidr-1 (abababababab); the paper's is "
        "weighted_alpaca_eval_gpt4_turbo_multilingual/alpaca_eval_clf.txt",
    )
    assert found.cells[0].inside is not None  # still shown


def test_outputs_that_nobody_judged_are_shown_without_a_number(tmp_path):
    right = {"en": {str(i): {"win": None} for i in range(805)}}
    folder = write_folder(tmp_path, "ours", {"x_alpacaeval": right}, judge=None)
    one = check(read_results(folder), "x_alpacaeval", ["M1"])[0]
    assert one.not_comparable == ("not judged yet: lidr eval judge",)
    assert (one.cells[0].ours, one.cells[0].inside) == (None, None)


def test_another_reference_is_not_comparable(tmp_path):
    facts = DataFacts(source="x", sha256="0" * 64, rows=805, asked=805, reference="gpt-4o", reference_sha256="1" * 64)
    one = check(won(tmp_path, judge=ORIGINAL, data=facts), "x_alpacaeval", ["M1"])[0]
    assert one.not_comparable == ("compared with answers of gpt-4o; the paper with those of gpt-4-turbo-2024-04-09",)


def test_other_decoding_is_remarked(tmp_path):
    one = check(mgsm(tmp_path, generation={**DECODING, "repetition_penalty": 1.0}), "mgsm", ["M1"])[0]
    assert one.remarks[0] == "repetition_penalty is 1.0; the authors' code has 1.1"
    assert one.not_comparable == ()


def test_a_language_without_a_published_number_is_remarked_and_only_those_are_an_error(tmp_path):
    one = check(mgsm(tmp_path / "a", {"en": 0.7, "te": 0.2}), "mgsm", ["M1"])[0]
    assert [cell.language for cell in one.cells] == ["en"]
    assert "te: not in the paper's table" in one.remarks
    with pytest.raises(EvaluationError, match=r"the paper's table of mgsm has en es ru .* the results have te"):
        check(mgsm(tmp_path / "b", {"te": 0.2}), "mgsm")


def test_rows_and_benchmarks_that_are_not_there_are_refused(tmp_path):
    with pytest.raises(EvaluationError, match='--row "M3": the paper\'s table has M0, Multilingual Alignment, M1, M2'):
        check(mgsm(tmp_path), "mgsm", ["M3"])
    with pytest.raises(EvaluationError, match="ours has no results of x_alpacaeval: lidr eval run --tasks"):
        check(mgsm(tmp_path), "x_alpacaeval")
    assert set(TABLES) <= set(PAPER.tables)


def test_no_rate_of_ours_stands_beside_a_length_controlled_rate_whose_fit_is_not_published(tmp_path):
    right = values_of(outcomes({"en": 0.30, "de": 0.17}, 805, seed=1), "win")
    results = read_results(write_folder(tmp_path, "ours", {"x_alpacaeval": right}))
    ours = {"lc_win_rate": Score(value=23.48, stderr=1.0, n=805), "lc_win_rate_v1": Score(value=23.48, n=805)}
    tasks = tuple(task.model_copy(update={"scores": {**task.scores, **ours}}) for task in results.tasks)
    (found,) = check(results.model_copy(update={"tasks": tasks}), "x_alpacaeval_icr", ["Llama-3-8B-Instruct"])
    assert {cell.ours for cell in found.cells} == {None}
    assert {cell.inside for cell in found.cells} == {None}
    assert any("which fit gives the paper's length-controlled rate is not published" in r for r in found.not_comparable)
