"""X-AlpacaEval: one answer, one task, and lm-eval with a judge on loopback."""

from __future__ import annotations

import json
import math
import re
import time

import pytest

from lidr.errors import EvaluationError
from lidr.evals.benchmark_rows import load_rows
from lidr.evals.judge import Order, Verdict
from lidr.evals.x_alpacaeval import x_alpacaeval_task as bench
from lidr.languages import LANGUAGES
from lidr.resources import shared
from tests.parity.canned import CannedLM, canned_answer
from tests.parity.judge_server import judge_server

OWN = str(shared("recipes") / "prompts")
ROW = {
    "item": "3",
    "instruction": "Was ist der Unterschied zwischen Honig und Wachs?",
    "reference": "Honig ist Nahrung, Wachs ist Baustoff.",
    "generator": "someone",
    "dataset": "ours",
}
GERMAN = "Bienen machen Honig, um im Winter davon zu leben, und bauen Waben aus Wachs."
ENGLISH = "Bees make honey to live on in winter, and they build combs of wax for it."


@pytest.fixture
def no_judge(monkeypatch):
    """Only what a test sets is set."""
    for name in ("MODEL", "BASE_URL", "MODE", "CACHE", "TEMPLATE", "MAX_CALLS", "CONCURRENCY"):
        monkeypatch.delenv(f"LIDR_JUDGE_{name}", raising=False)
    monkeypatch.setenv("LIDR_DATA", OWN)
    return monkeypatch


def evaluated(tasks: list[str], limit: int | None = None) -> dict:
    """Run lm-eval on our task files."""
    from lm_eval.evaluator import simple_evaluate
    from lm_eval.tasks import TaskManager

    manager = TaskManager(include_path=[str(shared("evals"))], include_defaults=False)
    return simple_evaluate(model=CannedLM(), tasks=tasks, task_manager=manager, limit=limit, bootstrap_iters=0)


def test_a_verdict_becomes_a_win_a_tie_or_a_loss():
    won = bench.score(ROW, GERMAN, language="de", verdict=Verdict("3", 1.75)).values
    assert (won["preference"], won["win"], won["discrete_win"], won["tie"], won["judge_error"]) == (1.75, 0.75, 1, 0, 0)
    tied = bench.score(ROW, GERMAN, language="de", verdict=Verdict("3", 1.5)).values
    assert (tied["win"], tied["discrete_win"], tied["tie"]) == (0.5, 0.5, 1)


def test_a_failed_judgement_is_an_error_and_no_loss():
    scored = bench.score(ROW, GERMAN, language="de", verdict=Verdict("3", None, error="timeout: 120 s"))
    assert scored.values["judge_error"] == 1
    assert [scored.values[name] for name in ("preference", "win", "discrete_win", "tie")] == [None] * 4
    assert scored.detail["verdict"]["error"] == "timeout: 120 s"


def test_an_answer_that_nobody_judged_is_neither_error_nor_loss():
    values = bench.score(ROW, GERMAN, language="de").values
    assert values["judge_error"] is None
    assert values["preference"] is None
    scores = bench.summarise([values])
    assert scores["win_rate"].value is None
    assert (scores["n_judged"].value, scores["judge_errors"].value) == (0, 0)


@pytest.mark.parametrize(
    ("response", "language", "off_target", "undecided"),
    [
        (GERMAN, "de", 0, 0),
        (ENGLISH, "de", 1, 0),
        (ENGLISH, "en", 0, 0),
        (GERMAN, "en", 1, 0),
        ("", "de", None, 1),
        ("  \n", "de", None, 1),
        ("42", "fr", None, 1),
        ("\ud83d" + GERMAN, "de", 0, 0),
        ("蜜蜂は冬を越すために蜂蜜を作ります。", "zh", 1, 0),
        ("Le api producono il miele per vivere durante l'inverno e costruiscono i favi.", "it", 0, 0),
    ],
)
def test_the_language_of_an_answer_is_on_target_off_target_or_undecided(response, language, off_target, undecided):
    values = bench.score(ROW, response, language=language).values
    assert (values["off_target"], values["undecided"]) == (off_target, undecided)


def test_lengths_are_characters_and_an_empty_answer_has_none():
    values = bench.score(ROW, "Über", language="de").values
    assert (values["length"], values["reference_length"]) == (4, len(ROW["reference"]))
    assert bench.score(ROW, "", language="de").values["length"] == 0


def test_an_empty_answer_is_put_before_the_judge():
    asked = bench.comparison(ROW, "")
    assert (asked.output_1, asked.output_2) == (ROW["reference"], "")


def test_what_the_user_says_is_the_bare_instruction():
    assert bench.prompt_of(ROW, "de") == ROW["instruction"]
    assert bench.prompt_sha256("de") == bench.prompt_sha256("fr")


def test_a_summary_counts_what_it_rests_on():
    preferences = [1.0, 1.25, 1.5, 2.0, None]
    values = [
        bench.score(ROW, GERMAN[: 20 + 9 * i], language="de", verdict=Verdict(str(i), p, None if p else "no")).values
        for i, p in enumerate(preferences)
    ]
    scores = bench.summarise(values)
    assert scores["win_rate"].value == pytest.approx(100 * 1.75 / 4)
    assert scores["discrete_win_rate"].value == pytest.approx(100 * 1.5 / 4)
    assert (scores["n_judged"].value, scores["n_judged"].n) == (4, 5)
    assert (scores["judge_errors"].value, scores["n_ties"].value) == (1, 1)
    assert scores["avg_reference_length"].value == len(ROW["reference"])
    assert scores["off_target"].value == 0


def test_805_answers_are_scored_in_seconds(data_folder):
    rows = load_rows("x_alpacaeval", "de", str(data_folder)).rows
    bench.score(rows[0], rows[0]["reference"], language="de")
    start = time.monotonic()
    values = [bench.score(row, row["reference"], language="de").values for row in rows]
    assert time.monotonic() - start < 20
    assert bench.summarise(values)["off_target"].value < 2  # the references are German but where English was asked for


def test_every_language_of_the_package_that_has_a_task_file_is_known_and_the_files_are_current():
    assert set(bench.LANGUAGES) <= set(LANGUAGES)
    assert len(set(bench.LANGUAGES)) == len(bench.LANGUAGES)
    for name, text in bench.task_files().items():
        assert (shared("evals") / name).read_text(encoding="utf-8") == text, (
            f"python -m lidr.evals.harness.task_files ({name})"
        )


def test_every_task_file_loads_or_says_which_languages_there_are(no_judge):
    from lm_eval.tasks import TaskManager

    manager = TaskManager(include_path=[str(shared("evals"))], include_defaults=False)
    for language in bench.LANGUAGES:
        name = bench.task_name(language)
        if language in ("de", "en", "es", "fr"):
            task = manager.load([name])["tasks"][name]
            assert len(task.test_docs()) == 16
            assert task.config.generation_kwargs == {"until": [], "do_sample": False, "max_gen_toks": 2048}
            assert task.doc_to_text(task.test_docs()[0]) == bench.prompt_of(task.test_docs()[0], language)
        else:
            with pytest.raises(
                EvaluationError, match=f'no x_alpacaeval rows for "{language}".*languages there: de, en'
            ):
                manager.load([name])


def test_lm_evals_numbers_are_ours(no_judge):
    with judge_server() as server:
        no_judge.setenv("LIDR_JUDGE_BASE_URL", server.url)
        no_judge.setenv("LIDR_JUDGE_MODEL", "judge")
        found = evaluated(["lidr_x_alpacaeval_de", "lidr_x_alpacaeval_fr"])
    for language in ("de", "fr"):
        task = bench.task_name(language)
        rows = {row["item"]: row for row in load_rows("x_alpacaeval", language, OWN).rows}
        values = []
        for sample in found["samples"][task]:
            row, judgement = rows[sample["doc"]["item"]], sample["judgement"]
            assert judgement["item"] == row["item"]
            response = sample["resps"][0][0] or ""
            assert response == (canned_answer(row["instruction"]) or "")
            verdict = Verdict.from_json(judgement["verdict"])
            assert len(verdict.orders) == (0 if verdict.identical else 2)
            values.append(bench.score(row, response, language=language, verdict=verdict).values)
        assert len(values) == len(rows)
        theirs = found["results"][task]
        for name, score in bench.summarise(values).items():
            assert theirs[f"{name},judge"] == pytest.approx(score.value, abs=1e-9), name
            if f"{name}_se,judge" in theirs:
                assert theirs[f"{name}_se,judge"] == pytest.approx(score.stderr, abs=1e-9)
        assert theirs["judgement,judge"] == len(rows)
        assert 0 < theirs["judge_errors,judge"] < len(rows)  # this judge sometimes says neither m nor M
    json.dumps(found["samples"], default=str, allow_nan=False)


def test_without_a_judge_the_answers_are_there_to_be_judged_later(no_judge):
    found = evaluated(["lidr_x_alpacaeval_es"])
    theirs = found["results"]["lidr_x_alpacaeval_es"]
    assert math.isnan(theirs["win_rate,judge"])
    assert theirs["n_judged,judge"] == theirs["judge_errors,judge"] == theirs["judgement,judge"] == 0
    assert theirs["avg_length,judge"] > 0
    assert all(sample["judgement"]["verdict"] is None for sample in found["samples"]["lidr_x_alpacaeval_es"])


@pytest.mark.parametrize(
    ("settings", "error"),
    [
        ({"MODEL": "judge", "BASE_URL": "http://127.0.0.1:9/v1", "MODE": "guess"}, "unusable: .*LIDR_JUDGE_MODE"),
        ({"MODEL": "judge"}, "unusable: .*LIDR_JUDGE_BASE_URL"),
        ({"MODEL": "judge", "BASE_URL": "http://127.0.0.1:9/v1", "TEMPLATE": "/no/template"}, "not asked: .*template"),
        ({"MODEL": "judge", "BASE_URL": "http://127.0.0.1:9/v1", "MAX_CALLS": "1"}, "not asked: "),
    ],
    ids=["mode", "half", "template", "calls"],
)
def test_a_judge_that_cannot_be_used_costs_no_answer(no_judge, settings, error):
    for name, value in settings.items():
        no_judge.setenv(f"LIDR_JUDGE_{name}", value)
    docs = [dict(row, language="de") for row in load_rows("x_alpacaeval", "de", OWN).rows[:4]]
    answers = [["Ja."], [None], [""], ["Nein.", "Nein."]]  # a rank that is padded answers its last prompt twice
    found = bench.judge_filter(answers, docs)
    assert [one["response"] for one in found] == ["Ja.", "", "", "Nein."]
    assert [one["item"] for one in found] == [doc["item"] for doc in docs]
    for doc, one in zip(docs, found, strict=True):
        metrics = bench.process_results(doc, [one])
        assert metrics["judge_errors"]["judge_error"] == 1
        assert re.match(error, metrics["judgement"]["verdict"]["error"], re.DOTALL)


def test_no_language_is_a_designed_error():
    with pytest.raises(EvaluationError, match='did you mean "fr"'):
        bench.load(lidr_language="fra", lidr_data=OWN)


def test_a_reference_to_other_instructions_is_refused(tmp_path):
    for folder in ("prompts", "reference"):
        (tmp_path / "x_alpacaeval" / folder).mkdir(parents=True)
    (tmp_path / "x_alpacaeval/prompts/de.json").write_text('[{"id": 1, "instruction": "Was ist Honig?"}]')
    (tmp_path / "x_alpacaeval/reference/de.json").write_text('[{"instruction": "Was ist Wachs?", "output": "Fett."}]')
    with pytest.raises(EvaluationError, match="row 0 answers another instruction"):
        bench.load(lidr_language="de", lidr_data=str(tmp_path))


def test_an_order_survives_the_way_through_json():
    verdict = Verdict("3", 1.75, orders=(Order(True, 1.75, token="m", p=0.75),))
    detail = json.loads(json.dumps(bench.score(ROW, GERMAN, language="de", verdict=verdict).detail))
    assert Verdict.from_json(detail["verdict"]) == verdict
    assert detail["detected"] == "de"
