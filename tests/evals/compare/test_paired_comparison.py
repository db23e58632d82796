from __future__ import annotations

import numpy as np
import pyarrow as pa
import pytest

from lidr.errors import EvaluationError, StoreError
from lidr.evals.compare.iteration_differences import differences
from lidr.evals.compare.paired_comparison import compare
from lidr.evals.compare.text_tables import heading, legend, tables
from lidr.evals.reader import in_order, open_evaluations, results_folder
from lidr.evals.results import JudgeFacts, read_scores
from lidr.evals.statistics import ALL
from lidr.steps.evaluate import Scores
from lidr.store.artifact import ArtifactWriter
from lidr.store.record import Rate, Record, write_record
from tests.seeded import DECODING, JUDGE, joined, outcomes, three_models, values_of, write_folder

ACCURACY = {"en": 0.7, "es": 0.5, "de": 0.4}
BETTER = {"en": 0.72, "es": 0.64, "de": 0.56}


def mgsm(shares=ACCURACY, *, items: int = 50, seed: int = 0):
    return {"mgsm": values_of(outcomes(shares, items, seed=seed))}


def won(items: int = 60, *, seed: int = 0):
    right = outcomes({"en": 0.4, "de": 0.2}, items, seed=seed)
    return {"x_alpacaeval": joined(values_of(right, "win"), values_of(right, "discrete_win"))}


def opened(*folders):
    return open_evaluations([str(folder) for folder in folders])


@pytest.fixture
def two(tmp_path):
    a = write_folder(tmp_path / "a", "before", mgsm())
    b = write_folder(tmp_path / "b", "after", mgsm(BETTER, seed=1))
    return opened(a, b)


def test_scores_differences_and_gaps_stand_side_by_side(two):
    section = compare(two).sections[0]
    assert (section.benchmark, section.metric.name, section.dominant) == ("mgsm", "acc", "en")
    assert section.items == {"en": 50, "es": 50, "de": 50}
    scores = {code: two[1].tasks("mgsm", "plain")[code].scores["acc"] for code in ACCURACY}
    for code, score in scores.items():
        mine = section.paired.scores["after"][code]
        assert (mine.value, mine.stderr, mine.n) == pytest.approx((score.value, score.stderr, score.n))
    difference = section.paired.differences["after"]["es"]
    assert difference.value == pytest.approx(scores["es"].value - two[0].results.tasks[1].scores["acc"].value)
    assert set(section.paired.gaps["before"]) == {"es", "de", ALL}


def test_the_order_of_rows_in_the_file_changes_nothing(tmp_path):
    right = outcomes(ACCURACY, 50, seed=0)
    turned = {code: dict(reversed(of.items())) for code, of in right.items()}
    after = write_folder(tmp_path / "b", "after", mgsm(BETTER, seed=1))
    found = [
        compare(opened(write_folder(tmp_path / name, "before", {"mgsm": values_of(of)}), after)).sections[0].paired
        for name, of in (("a", right), ("t", turned))
    ]
    assert found[0] == found[1]


def test_items_are_numbers_by_size_and_then_words():
    assert in_order(["10", "9", "b", "1", "a", "9"]) == ("1", "9", "10", "a", "b")


def test_win_rates_are_in_per_cent_and_name_their_judge(tmp_path):
    found = compare(opened(write_folder(tmp_path / "a", "a", won()), write_folder(tmp_path / "b", "b", won(seed=2))))
    assert [section.metric.name for section in found.sections] == ["win_rate", "discrete_win_rate"]
    assert found.sections[0].paired.scores["a"]["en"].value == pytest.approx(40.0)
    assert "judged by judge-1, logprob_swap, template lidr-1" in heading(found.sections[0])
    assert any("no value of off_target in a, b" in note for note in found.notes)


def judged(items: int, *, seed: int):
    """Preferences with lengths, as a judge that is never sure gives them."""
    random = np.random.default_rng(seed)
    return {
        code: {
            str(i): {
                "win": (p := float(random.uniform(0.45, 0.55))),
                "preference": 1 + p,
                "length": float(random.integers(50, 150)),
                "reference_length": float(random.integers(50, 150)),
            }
            for i in range(items)
        }
        for code in ("en", "de")
    }


def test_of_few_items_the_length_controlled_rate_is_as_unsure_as_the_win_rate(tmp_path):
    each = [
        write_folder(tmp_path / name, name, {"x_alpacaeval": judged(16, seed=seed)})
        for name, seed in (("a", 1), ("b", 2))
    ]
    plain, controlled = compare(opened(*each), metric=["win_rate", "lc_win_rate"]).sections
    for table in ("scores", "differences", "gaps"):
        widths = [
            [e.high - e.low for row in getattr(section.paired, table).values() for e in row.values()]
            for section in (plain, controlled)
        ]
        assert widths[1] == pytest.approx(widths[0], rel=0.1)


def test_other_rows_in_the_form_of_a_benchmark_are_not_called_by_its_name(tmp_path):
    from lidr.evals.results import DataFacts

    facts = DataFacts(source="word_problems/en.jsonl", sha256="0" * 64, rows=16, asked=16)
    folders = [write_folder(tmp_path / n, n, mgsm({"en": 0.5}, items=16), data=facts) for n in "ab"]
    assert heading(compare(opened(*folders)).sections[0]) == "Word problems (in the form of MGSM): accuracy"


@pytest.mark.parametrize(
    ("other", "said"),
    [
        ({"generation": {**DECODING, "max_tokens": 512}}, "decoding max_tokens: before has 2048, after has 512"),
        (
            {"generation": {**DECODING, "system_prompt": "You help."}},
            'decoding system_prompt: before has nothing, after has "You help."',
        ),
        ({"prompt_sha256": "99" * 32}, "prompt (SHA-256 of its form): before has efefefefefef..., after has 99999999"),
    ],
)
def test_what_differs_beside_the_model_is_refused_with_both_values(tmp_path, other, said):
    a = write_folder(tmp_path / "a", "before", mgsm())
    b = write_folder(tmp_path / "b", "after", mgsm(seed=1), **other)
    with pytest.raises(EvaluationError) as caught:
        compare(opened(a, b))
    assert said in str(caught.value)
    assert "mgsm plain, en es de: " in str(caught.value)


def test_other_rows_are_refused(tmp_path):
    a = write_folder(tmp_path / "a", "before", mgsm({"en": 0.5}))
    data = opened(a)[0].results.tasks[0].data.model_copy(update={"sha256": "77" * 32})
    b = write_folder(tmp_path / "b", "after", mgsm({"en": 0.5}), data=data)
    with pytest.raises(EvaluationError, match=r"data \(SHA-256 of the rows\): before has 6565.*after has 7777"):
        compare(opened(a, b))


@pytest.mark.parametrize(
    ("judge", "said"),
    [
        ({"model": "judge-2"}, 'judge: a has "judge-1", b has "judge-2"'),
        ({"mode": "text"}, 'judge mode: a has "logprob_swap", b has "text"'),
        (
            {"template_sha256": "00" * 32},
            'judge template: a has "lidr-1 (abababababab)", b has "lidr-1 (000000000000)"',
        ),
        ({"seed": 1}, "judge seed: a has 0, b has 1"),
    ],
)
def test_another_judge_is_refused(tmp_path, judge, said):
    a = write_folder(tmp_path / "a", "a", won())
    b = write_folder(tmp_path / "b", "b", won(seed=1), judge=JudgeFacts(**{**JUDGE.model_dump(), **judge}))
    with pytest.raises(EvaluationError) as caught:
        compare(opened(a, b))
    assert said in str(caught.value)


def test_the_weights_of_a_local_judge_are_compared_where_both_are_known(tmp_path):
    local = {**JUDGE.model_dump(), "served": "local"}
    folders = [
        write_folder(tmp_path / name, name, won(), judge=JudgeFacts(**{**local, "digest": digest}))
        for name, digest in (("a", "11" * 32), ("b", "22" * 32), ("c", None))
    ]
    with pytest.raises(EvaluationError, match=r"judge weights: a has 1111.*, b has 2222"):
        compare(opened(*folders[:2]))
    assert compare(opened(folders[0], folders[2])).sections


def test_outputs_that_nobody_judged_are_left_out_with_advice(tmp_path):
    a = write_folder(tmp_path / "a", "a", won())
    none = {code: {i: dict.fromkeys(v) for i, v in of.items()} for code, of in won()["x_alpacaeval"].items()}
    off = {code: {i: {"off_target": 0.0} for i in of} for code, of in none.items()}
    b = write_folder(tmp_path / "b", "b", {"x_alpacaeval": joined(none, off)}, judge=None)
    with pytest.raises(EvaluationError, match="no value of win_rate in b; judge its outputs: lidr eval judge"):
        compare(opened(a, b))
    c = write_folder(tmp_path / "c", "c", {"x_alpacaeval": joined(won()["x_alpacaeval"], off)})
    found = compare(opened(b, c))
    assert [section.metric.name for section in found.sections] == ["off_target"]


def test_missing_languages_are_refused_and_left_out_when_asked(tmp_path):
    a = write_folder(tmp_path / "a", "a", mgsm())
    b = write_folder(tmp_path / "b", "b", mgsm({"en": 0.7, "es": 0.5}))
    with pytest.raises(EvaluationError, match=r"b lacks de; .*\(2 of 3 languages\) with --common"):
        compare(opened(a, b))
    found = compare(opened(a, b), common=True)
    assert found.sections[0].languages == ("en", "es")
    assert "mgsm plain: 2 of 3 languages are in all (b lacks de)" in found.notes


def test_missing_items_are_refused_and_left_out_when_asked(tmp_path):
    a = write_folder(tmp_path / "a", "a", mgsm({"en": 0.5, "de": 0.5}))
    right = outcomes({"en": 0.5, "de": 0.5}, 50, seed=0)
    short = {"en": right["en"], "de": dict(list(right["de"].items())[:40])}
    b = write_folder(tmp_path / "b", "b", {"mgsm": values_of(short)})
    with pytest.raises(EvaluationError, match=r"mgsm plain, de: 40 of 50 items are in all \(a 50, b 40\)"):
        compare(opened(a, b))
    found = compare(opened(a, b), common=True)
    assert found.sections[0].items == {"en": 50, "de": 40}
    assert found.sections[0].paired.scores["a"]["de"].n == 40
    assert any("40 of 50 items" in note for note in found.notes)


def test_nothing_in_common_is_an_error_also_with_common(tmp_path):
    a = write_folder(tmp_path / "a", "a", mgsm({"en": 0.5}))
    b = write_folder(tmp_path / "b", "b", mgsm({"de": 0.5}))
    with pytest.raises(EvaluationError, match="0 of 2 languages"):
        compare(opened(a, b), common=True)
    c = write_folder(tmp_path / "c", "c", won())
    with pytest.raises(EvaluationError, match="a has mgsm plain; c has x_alpacaeval plain"):
        compare(opened(a, c))


def test_another_form_of_prompt_is_another_benchmark(tmp_path):
    a = write_folder(tmp_path / "a", "a", mgsm({"en": 0.5}))
    b = write_folder(tmp_path / "b", "b", mgsm({"en": 0.5}), variant="instr")
    with pytest.raises(EvaluationError, match="a has mgsm plain; b has mgsm instr"):
        compare(opened(a, b))


def test_what_only_some_have_is_left_out_with_a_note(tmp_path):
    a = write_folder(tmp_path / "a", "a", {**mgsm(), **won()})
    b = write_folder(tmp_path / "b", "b", mgsm())
    found = compare(opened(a, b))
    assert {section.benchmark for section in found.sections} == {"mgsm"}
    assert "x_alpacaeval plain is not in all evaluations and was left out" in found.notes


def test_engines_versions_and_seeds_that_differ_are_said(tmp_path):
    a = write_folder(tmp_path / "a", "a", mgsm())
    b = write_folder(tmp_path / "b", "b", mgsm(), engine={"kind": "vllm", "dtype": "float32", "batch": 99})
    assert 'engine kind: a has "hf", b has "vllm"' in compare(opened(a, b)).notes


def test_any_metric_of_the_items_can_be_asked_for_and_one_that_is_not_there_is_refused(tmp_path, two):
    right = outcomes(ACCURACY, 50, seed=0)
    both = {"mgsm": joined(values_of(right), values_of(right, "parsed"))}
    folders = [write_folder(tmp_path / name, name, both) for name in ("p", "q")]
    assert compare(opened(*folders), metric="parsed").sections[0].metric.label == "parsed"
    with pytest.raises(EvaluationError, match="nothing to compare: no benchmark has a metric parsed") as refused:
        compare(two, metric="parsed")
    assert str(refused.value).endswith("--metric for mgsm: acc")
    with pytest.raises(EvaluationError, match=r"--metric for mgsm: acc, parsed$"):
        compare(opened(*folders), metric="accuracy")


def test_the_baseline_may_be_named_and_must_be_one_of_them(two):
    assert compare(two, baseline="after").sections[0].baseline == "after"
    assert compare(two, baseline=two[1].place).sections[0].baseline == "after"
    with pytest.raises(EvaluationError, match='--baseline "best" is none of them: before, after'):
        compare(two, baseline="best")


def test_the_dominant_language_must_be_there(two):
    assert compare(two, dominant="de").sections[0].dominant == "de"
    with pytest.raises(EvaluationError, match='--dominant "fr" was not evaluated; languages: en, es, de'):
        compare(two, dominant="fr")


def test_a_comparison_needs_two(two):
    with pytest.raises(EvaluationError, match="two evaluations at least"):
        compare(two[:1])


def test_equal_names_are_told_apart_by_their_place_and_one_place_twice_is_refused(tmp_path):
    a, b = (write_folder(tmp_path / n, "same", mgsm()) for n in "ab")
    assert [e.name for e in opened(a, b)] == [f"same ({a})", f"same ({b})"]
    with pytest.raises(EvaluationError, match="is named twice"):
        opened(a, a)


def test_a_step_of_the_store_and_its_results_folder_and_file_are_the_same_evaluation(tmp_path):
    inner = write_folder(tmp_path / "evaluate" / "results", "x", mgsm())
    for place in (inner, inner.parent, inner / "results.json"):
        assert results_folder(str(place)) == inner


def test_a_reference_to_a_run_must_name_a_step(tmp_path, monkeypatch):
    monkeypatch.setenv("LIDR_STORE", str(tmp_path))
    with pytest.raises(EvaluationError, match="name an evaluate step of the run, as run:x/iter_1/evaluate"):
        results_folder("run:x")
    with pytest.raises(EvaluationError, match="is no reference"):
        results_folder("run:x/1")
    with pytest.raises(StoreError, match="has no run x"):
        results_folder("run:x/iter_1/evaluate")


def test_a_step_of_a_run_is_found_in_the_store(tmp_path, monkeypatch):
    monkeypatch.setenv("LIDR_STORE", str(tmp_path))
    for k in (0, 1):
        step = tmp_path / "x" / "0.1.0" / f"iter_{k}" / "evaluate"
        write_folder(step / "results", f"x/iter_{k}", mgsm(seed=k))
        facts = {"recipe": "x", "version": "0.1.0", "iteration": k, "step": "evaluate", "writes": "scores"}
        files, digest = ArtifactWriter(step, Scores).finish()
        rest = {"fingerprint": "", "identity": {}, "execution": {}, "inputs": {}, "files": files, "digest": digest}
        rate, finished = Rate("answers", 1, 1.0), "2026-11-24T00:00:00Z"
        write_record(step, Record(**facts, **rest, counts={}, rate=rate, finished=finished, versions={}))
    found = open_evaluations(["run:x/iter_0/evaluate", "run:x@0.1.0/iter_1/evaluate"])
    assert [e.name for e in found] == ["x/iter_0", "x/iter_1"]
    assert compare(found, baseline="run:x/iter_0/evaluate").sections[0].baseline == "x/iter_0"


def test_two_values_of_one_item_are_refused(tmp_path):
    folders = [write_folder(tmp_path / n, n, mgsm({"en": 0.5})) for n in "ab"]
    first, second = opened(*folders)
    doubled = type(first)(first.name, first.place, first.results, pa.concat_tables([first.scores, first.scores]))
    with pytest.raises(EvaluationError, match='item "0" of lidr_mgsm_en has two values of acc'):
        compare([doubled, second])


def test_the_tables_say_everything(tmp_path):
    found = compare(open_evaluations(three_models(tmp_path)))
    scores, gaps, *rest = tables(found)
    assert scores.title == "MGSM: accuracy"
    assert scores.columns == ("language", "items", "M0", "M1", "M1 - M0", "M2", "M2 - M0")
    assert [row[0] for row in scores.rows] == ["en", "es", "ru", "de", "fr", "mean"]
    assert scores.rows[1][2:5] == ("0.456 ± 0.032", "0.616 ± 0.031", "+0.160 [+0.108, +0.212] *")
    assert gaps.title == "MGSM: language gap in accuracy"
    assert gaps.rows[-1][0] == "mean of the others"
    assert gaps.rows[0][3].startswith("61% [")
    titles = [table.title for table in rest]
    assert not any("gap in off-target" in title for title in titles)
    assert "resampled 10,000 times" in legend(found)[1]


def test_items_without_a_value_are_counted_in_the_table(tmp_path):
    values = won()["x_alpacaeval"]
    for item in list(values["de"])[:7]:
        values["de"][item] = dict.fromkeys(values["de"][item])
    a, b = (write_folder(tmp_path / n, n, {"x_alpacaeval": values}) for n in "ab")
    table = next(tables(compare(opened(a, b))))
    assert "a, de: 7 of 60 items not scored" in table.remarks


def test_a_gap_that_cannot_be_told_from_nothing_is_said_to_have_no_share(tmp_path):
    same = {"mgsm": values_of(dict.fromkeys(("en", "es", "de"), outcomes({"en": 0.5}, 40, seed=1)["en"]))}
    gaps = list(tables(compare(opened(*(write_folder(tmp_path / n, n, same) for n in "ab")))))[1]
    assert gaps.rows[0][3] == "-"
    assert gaps.remarks == ("es, de, mean of the others: no share, a's gap cannot be told from 0",)


def test_differences_for_a_record_are_those_of_the_comparison(two):
    before, after = (e.scores for e in two)
    found = differences(before, after, baseline="iter_0")
    section = compare(two).sections[0].paired.differences["after"]
    assert [one.language for one in found] == ["en", "es", "de", ALL]
    for one in found:
        e = section[one.language]
        assert (one.value, one.low, one.high, one.n) == (e.value, e.low, e.high, e.n)
        assert (one.benchmark, one.group, one.metric, one.baseline) == ("mgsm", "lidr_mgsm", "acc", "iter_0")
    assert set(found[0].as_json()) >= {"benchmark", "metric", "language", "baseline", "value", "low", "high", "n"}


def test_differences_keep_forms_of_prompt_apart_and_leave_out_what_one_side_lacks(tmp_path):
    plain = write_folder(tmp_path / "a", "a", mgsm({"en": 0.5, "de": 0.4}))
    form = write_folder(tmp_path / "b", "b", mgsm({"en": 0.5, "de": 0.4}, seed=1), variant="instr")
    both = pa.concat_tables([read_scores(plain), read_scores(form)])
    assert {one.group for one in differences(both, both, baseline="x")} == {"lidr_mgsm", "lidr_mgsm_instr"}
    assert {one.group for one in differences(read_scores(plain), both, baseline="x")} == {"lidr_mgsm"}
    assert differences(read_scores(plain), read_scores(form), baseline="x") == []


def test_differences_pair_items_and_leave_unscored_ones_out(tmp_path):
    right = outcomes({"en": 0.5}, 20, seed=0)
    holes = {"en": {i: (None if int(i) < 5 else v) for i, v in right["en"].items()}}
    a = write_folder(tmp_path / "a", "a", {"mgsm": values_of(right)})
    b = write_folder(tmp_path / "b", "b", {"mgsm": values_of(holes)})
    one = differences(read_scores(a), read_scores(b), baseline="x")[0]
    assert (one.value, one.n, one.language) == (0.0, 15, "en")
    assert np.isfinite([one.low, one.high]).all()


def language_measures(*names: str, seed: int):
    right = outcomes(ACCURACY, 50, seed=seed)
    return {"mgsm": joined(*(values_of(right, name) for name in ("acc", *names)))}


def test_off_target_of_all_answers_and_the_undecided_stand_beside_off_target(tmp_path):
    names = ("off_target", "off_target_all", "undecided")
    folders = [write_folder(tmp_path / name, name, language_measures(*names, seed=at)) for at, name in enumerate("ab")]
    found = compare(opened(*folders))
    assert [section.metric.name for section in found.sections] == ["acc", *names]
    assert not any("off_target" in note or "undecided" in note for note in found.notes)


def test_results_of_before_there_was_a_metric_get_no_note_of_it(tmp_path):
    folders = [write_folder(tmp_path / name, name, language_measures("off_target", seed=3)) for name in "ab"]
    found = compare(opened(*folders))
    assert [section.metric.name for section in found.sections] == ["acc", "off_target"]
    assert not any("off_target_all" in note or "undecided" in note for note in found.notes)
    later = write_folder(tmp_path / "c", "c", language_measures("off_target", "off_target_all", seed=4))
    assert any("no value of off_target_all in a" in note for note in compare(opened(folders[0], later)).notes)
