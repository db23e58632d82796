"""The results of a model card: rendered from the records of evaluate steps that real result folders were made for."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from huggingface_hub import ModelCard

from lidr.analysis.score_names import SHOWN
from lidr.evals.compare.iteration_differences import differences
from lidr.evals.results import DataFacts, read_results, read_scores
from lidr.hub_server.card_rules import validate
from lidr.intervals import wilson
from lidr.release.cards.render import model_card
from lidr.release.finished import Finished, run_json
from lidr.store.artifact import Artifact
from tests.release.cards.test_render import golden, pinned
from tests.seeded import joined, outcomes, values_of, write_folder

LANGUAGES = ("en", "es", "de")
SHA = "0123456789abcdef0123456789abcdef01234567"
RIGHT = {0: (0.70, 0.50, 0.40), 1: (0.72, 0.64, 0.56)}
WON = {0: (0.25, 0.18, 0.08), 1: (0.30, 0.22, 0.18)}


def folders(root: Path, *, judge: bool = True, **other: Any) -> list[Path]:
    """An evaluation before and after the one iteration of `trained`."""
    found = []
    for k in (0, 1):
        right = outcomes(dict(zip(LANGUAGES, RIGHT[k], strict=True)), 100, seed=k)
        off = outcomes(dict.fromkeys(LANGUAGES, 0.04 * (1 - k)), 100, seed=7 + k)
        benchmarks = {"mgsm": joined(values_of(right), values_of(off, "off_target"))}
        if judge:
            won = outcomes(dict(zip(LANGUAGES, WON[k], strict=True)), 120, seed=20 + k)
            benchmarks["x_alpacaeval"] = joined(values_of(won, "win"), values_of(won, "discrete_win"))
        found.append(write_folder(root / str(k), f"iter_{k}", benchmarks, **other))
    return found


def evaluated(run: Finished, places: list[Path]) -> Finished:
    """The run as it stands with an evaluate step in iterations 0 and 1."""
    policy = run.policy()
    added = []
    for k, place in enumerate(places):
        changes = (
            differences(read_scores(places[0]), read_scores(place), baseline="iter_0", resamples=2000) if k else []
        )
        counts = {
            "tasks": [task.model_dump(mode="json") for task in read_results(place).tasks],
            "differences": [one.as_json() for one in changes],
        }
        record = replace(policy.record, iteration=k, step="evaluate", writes="scores", counts=counts)
        added.append(Artifact(policy.folder, record))
    return replace(run, artifacts=(added[0], *run.artifacts, *added[1:]))  # iter_0/evaluate stands before iter_0/policy


def card(run: Finished, existing: str | None = None, **other: Any) -> str:
    return model_card(run, "lidr/tiny", (("lidr/tiny-prefs", SHA),), "0" * 64, existing, **other)


@pytest.fixture(scope="module")
def run(trained, tmp_path_factory) -> Finished:
    return evaluated(trained, folders(tmp_path_factory.mktemp("results")))


def test_the_results_of_a_card_are_the_golden_ones(run):
    text = card(pinned(run))
    front = text[text.index("metrics:") : text.index("lidr:\n  schema")]
    section = text[text.index("## Results") : text.index("## Settings and")]
    golden("model_results.md", front + "\n" + section)


def test_before_and_after_stand_in_one_row_with_intervals(run):
    low, high = wilson(0.64, 100)
    assert f"| 0.640 [{low:.3f}, {high:.3f}] | 100 |" in card(run)
    row = next(line for line in card(run).splitlines() if line.startswith("| accuracy | es | 0.500 ["))
    assert row.count("[") == 2


def test_paired_differences_stand_below_with_the_mean_over_languages(run):
    text = card(run)
    assert "| score | language | iter_1 - iter_0 | n |" in text
    lines = [line for line in text.splitlines() if line.startswith("| accuracy | mean |")]
    assert len(lines) == 1
    assert lines[0].endswith("] * | 100 |")


def test_the_judge_its_template_and_the_decoding_are_named(run):
    text = card(run)
    assert "Judge: `judge-1`, mode logprob_swap, template `lidr-1` (SHA-256 `abababababab`), against answers of" in text
    assert "Answers: max_tokens `2048`, repetition_penalty `1.1`, system_prompt none, temperature `0.0`." in text
    assert "`lidr/records/iter_0/evaluate.json`, `lidr/records/iter_1/evaluate.json`" in text


def test_the_metadata_pass_the_clients_own_types_and_the_rules_of_the_hub(run):
    text = card(run)
    assert validate(text, "model") == ([], [])
    data = ModelCard(text).data
    assert data.model_name == "tiny"
    assert data.metrics == ["accuracy", "off_target_rate", "win_rate"]
    found = {(r.dataset_name, r.metric_type): r for r in data.eval_results}
    one = found["MGSM, Spanish", "accuracy"]
    assert (one.metric_value, one.dataset_config, one.dataset_type) == (0.64, "es", "mgsm")
    assert one.metric_args["n"] == 100
    assert one.metric_args["interval_95"] == pytest.approx(wilson(0.64, 100), abs=1e-6)
    assert found["X-AlpacaEval, German", "win_rate"].metric_args["judge_model"] == "judge-1"
    assert all(r.source_name == "lidr" and r.source_url.endswith("lidr/records") for r in data.eval_results)


def test_rows_from_the_hub_are_named_by_repository_and_commit(trained, tmp_path):
    facts = DataFacts(source=f"juletxara/mgsm@{SHA}/mgsm_en.tsv", sha256="0" * 64, rows=250, asked=100)
    text = card(evaluated(trained, folders(tmp_path, judge=False, data=facts)))
    one = ModelCard(text).data.eval_results[0]
    assert (one.dataset_type, one.dataset_revision) == ("juletxara/mgsm", SHA)


def test_other_rows_in_the_form_of_a_benchmark_are_not_called_by_its_name(trained, tmp_path):
    facts = DataFacts(source="word_problems/en.jsonl", sha256="0" * 64, rows=16, asked=16)
    text = card(evaluated(trained, folders(tmp_path, judge=False, data=facts)))
    assert "### Word problems (in the form of MGSM)" in text
    assert "MGSM, Spanish" not in text
    assert ModelCard(text).data.eval_results[0].dataset_name.startswith("Word problems (in the form of MGSM), ")


def test_the_card_of_an_earlier_iteration_shows_what_was_known_then(run):
    first = replace(run, artifacts=tuple(a for a in run.artifacts if a.record.place != "iter_1/evaluate"))
    text = card(first)
    assert "| score | language | iter_0 | n |" in text
    assert "model-index" not in text  # nothing of this policy was measured yet


def test_without_an_evaluation_the_card_says_so(trained):
    text = card(trained)
    assert "Not evaluated yet" in text
    assert "model-index" not in text


def test_outputs_that_nobody_judged_are_said_to_be_so(trained, tmp_path):
    values = {code: {str(i): {"off_target": 0.0} for i in range(10)} for code in LANGUAGES}
    place = write_folder(tmp_path, "x", {"x_alpacaeval": values}, judge=None)
    assert "Not judged yet." in card(evaluated(trained, [place, place]))


def test_results_of_others_stay_and_ours_of_an_earlier_release_go(run, trained):
    mine = card(run)
    foreign = """  - task: {type: text-generation}
    dataset: {type: other, name: Other}
    metrics: [{type: bleu, value: 1.0}]
"""
    head, tail = mine.split("  results:\n", 1)
    both = f"{head}  results:\n{foreign}{tail}"
    again = card(run, both)
    names = [r.dataset_name for r in ModelCard(again).data.eval_results]
    assert names.count("Other") == 1
    assert names.count("MGSM, Spanish") == 2  # accuracy and off-target rate, once each
    assert card(run, again) == again
    assert card(run, mine) == mine
    later = ModelCard(card(trained, again)).data
    assert [r.dataset_name for r in later.eval_results] == ["Other"]
    assert "model-index" not in card(trained, mine)


def test_the_first_policy_is_found_whatever_else_stands_in_iteration_0(run):
    assert run.first_policy.step == "policy"
    assert run.parents[-1].revision == run.first_policy.digest


def test_scores_are_reproduced_within_their_intervals_not_byte_by_byte(run):
    classes = {step["place"]: step["class"] for step in run_json(run)["steps"]}
    assert classes["iter_1/evaluate"] == "statistical"


def test_every_score_that_a_card_shows_has_a_name_that_others_read_alike():
    for scores in SHOWN.values():
        assert len({score.type for score in scores}) == len(scores)
