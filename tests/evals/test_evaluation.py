"""One evaluation from beginning to end, through lm-eval in its worker process."""

from __future__ import annotations

import dataclasses
import json
import shutil
from pathlib import Path

import pytest

from lidr.errors import EvaluationError
from lidr.evals import evaluation
from lidr.evals.benchmarks import task_specs
from lidr.evals.evaluation import Listener, evaluate, identity_of, load_all, totals
from lidr.evals.harness.answer_process import answer
from lidr.evals.results import read_results, read_samples, read_scores, write_results
from lidr.evals.scoring import write_scored
from tests.evals.asked import ANSWERS, FACTS, scripted_spec


@pytest.fixture(scope="module")
def done(tmp_path_factory):
    """One evaluation by canned answers, without a judge: its spec and its results folder."""
    folder = tmp_path_factory.mktemp("evaluated")
    spec = scripted_spec(folder)
    heard: list[int | str] = []
    out, listen = folder / "out", Listener(asked=heard.append, say=heard.append)
    evaluate(spec, FACTS, name="canned", out=out, log=folder / "log", judge=None, listen=listen)
    return spec, out, heard


def test_every_item_of_every_task_is_answered_once_and_counted(done):
    spec, out, heard = done
    assert totals(spec, load_all(spec)) == (10, 4)
    assert sum(count for count in heard if isinstance(count, int)) == 10
    samples = read_samples(out).to_pylist()
    assert len({(row["task"], row["item"]) for row in samples}) == len(samples) == 10
    assert {row["language"] for row in samples} == {"en", "de"}


def test_what_is_done_after_the_last_answer_is_said(done):
    _, out, heard = done
    first = next(place for place, what in enumerate(heard) if isinstance(what, str))
    assert sum(heard[:first]) == 10
    assert [str(said).partition(" ")[0] for said in heard[first:]] == ["all", "scoring"]
    assert heard[-1] == f"scoring 10 answers by lidr's own rules, with intervals; into {out}"


def test_scores_are_what_the_answers_deserve(done):
    tasks = {task.task: task for task in read_results(done[1]).tasks}
    english, german = tasks["lidr_mgsm_en"].scores, tasks["lidr_mgsm_de"].scores
    assert (english["acc"].value, english["acc"].n) == (pytest.approx(2 / 3), 3)
    assert german["acc"].value == pytest.approx(1 / 3)
    assert english["parsed"].value == pytest.approx(2 / 3)
    assert german["off_target"].value == pytest.approx(1 / 3)
    assert tasks["lidr_x_alpacaeval_de"].scores["off_target"].value == 100
    assert tasks["lidr_x_alpacaeval_de"].scores["win_rate"].value is None  # nobody judged: not a loss


def test_lm_evals_own_numbers_and_ours_are_equal(tmp_path):
    spec = scripted_spec(tmp_path)
    said = answer(spec, log=tmp_path / "log", on_answers=lambda count: None)
    out = tmp_path / "out"
    evaluate(spec, FACTS, name="x", out=out, log=tmp_path / "log", judge=None, listen=Listener())
    for task in read_results(out).tasks:
        for name, score in task.scores.items():
            theirs = said.metrics[task.task].get(name)
            if theirs is not None and score.value is not None:
                assert theirs == pytest.approx(score.value, abs=1e-9), (task.task, name)
        assert set(said.metrics[task.task]) & set(task.scores)


def test_a_result_says_what_was_asked_of_whom_and_how(done):
    results = read_results(done[1])
    task = results.tasks[0]
    assert (task.task, task.variant, task.data.rows, task.data.asked) == ("lidr_mgsm_en", "plain", 3, 3)
    assert task.data.source == "word_problems/en.jsonl"
    assert len(task.data.sha256) == len(task.prompt_sha256) == 64
    assert task.generation == {
        "max_tokens": 32,
        "temperature": 0.0,
        "repetition_penalty": 1.0,
        "system_prompt": None,
    }
    assert results.engine["kind"] == "scripted"
    assert "lm_eval" in results.versions
    text = (done[1] / "results.json").read_text(encoding="utf-8")
    assert str(done[1].parent) not in text  # no folder of this machine


def test_item_values_stand_beside_the_texts(done):
    values = read_scores(done[1]).to_pylist()
    acc = {row["item"]: row["value"] for row in values if row["task"] == "lidr_mgsm_en" and row["metric"] == "acc"}
    assert acc == {"0": 1.0, "1": 1.0, "2": 0.0}
    detail = json.loads(read_samples(done[1]).to_pylist()[0]["detail"])
    assert detail["rule"] == "prefix"


def test_the_same_evaluation_is_not_asked_again(done, monkeypatch):
    spec, out, _ = done
    monkeypatch.setattr(evaluation, "answer", lambda *_, **__: pytest.fail("asked again"))
    before = (out / "results.json").read_bytes()
    evaluate(spec, FACTS, name="canned", out=out, log=out / "log", judge=None, listen=Listener())
    assert (out / "results.json").read_bytes() == before


def test_a_folder_with_another_evaluation_is_left_alone(done):
    spec, out, _ = done
    other = dataclasses.replace(spec, limit=1)
    with pytest.raises(EvaluationError, match="holds the results of another evaluation"):
        evaluate(other, FACTS, name="canned", out=out, log=out / "log", judge=None, listen=Listener())


def test_batch_threads_and_work_folder_are_no_part_of_what_was_asked(done):
    spec = done[0]
    loaded = load_all(spec)
    same = dataclasses.replace(spec, batch=3, threads=1, work="/elsewhere")
    other = dataclasses.replace(spec, seed=1)
    assert identity_of(spec, FACTS, loaded) == identity_of(same, FACTS, loaded) != identity_of(other, FACTS, loaded)


@pytest.mark.parametrize(
    ("own", "is_other"),
    [
        ({"temperature": 0.7, "top_p": 0.8, "do_sample": True, "max_length": 4096}, False),
        ({"repetition_penalty": 1.0, "num_beams": 1, "no_repeat_ngram_size": 0, "pad_token_id": 5}, False),
        ({"repetition_penalty": 1.05}, True),
        ({"suppress_tokens": [7]}, True),
    ],
)
def test_old_results_of_a_model_that_decoded_its_own_way_are_not_those_of_today(done, tmp_path, own, is_other):
    """Before, transformers obeyed generation_config.json; vLLM never did."""
    loaded, found = load_all(done[0]), []
    for name, more in (("plain", {}), ("own", own)):
        (tmp_path / name).mkdir()
        (tmp_path / name / "generation_config.json").write_text(json.dumps({"eos_token_id": 2, **more}))
        spec = dataclasses.replace(done[0], model=str(tmp_path / name))
        found.append([identity_of(dataclasses.replace(spec, backend=one), FACTS, loaded) for one in ("hf", "vllm")])
    assert (found[0][0] != found[1][0]) == is_other
    assert found[0][1] == found[1][1]


def test_tasks_that_lm_eval_scores_itself_are_part_of_what_was_asked(done):
    spec = done[0]
    loaded = load_all(spec)
    german = dataclasses.replace(spec, tasks=(*spec.tasks, *task_specs(("tax",), ("de",))))
    french = dataclasses.replace(spec, tasks=(*spec.tasks, *task_specs(("tax",), ("fr",))))
    assert len({identity_of(one, FACTS, loaded) for one in (spec, german, french)}) == 3


def test_another_model_never_gets_the_answers_that_an_interrupted_try_left(tmp_path, monkeypatch):
    spec = scripted_spec(tmp_path)
    places = []

    def interrupted(asked, **_):
        places.append(asked.work)
        raise KeyboardInterrupt

    monkeypatch.setattr(evaluation, "answer", interrupted)
    for digest in ("0" * 64, "1" * 64, "0" * 64):
        model = FACTS.model_copy(update={"digest": digest})
        with pytest.raises(KeyboardInterrupt):
            evaluate(spec, model, name="x", out=tmp_path / "out", log=tmp_path / "log", judge=None, listen=Listener())
    assert places[0] == places[2] != places[1]


def test_what_another_evaluation_left_there_is_not_removed_with_what_is_done(tmp_path):
    spec, other, said = scripted_spec(tmp_path), Path(tmp_path / "out/work/0123"), []
    spec = dataclasses.replace(spec, work=str(other.parent))
    other.mkdir(parents=True)
    (other / "answers.jsonl").write_text("{}\n")
    how = {"name": "x", "out": tmp_path / "out", "log": tmp_path / "log", "judge": None}
    evaluate(spec, FACTS, **how, listen=Listener(say=said.append))
    assert [path.name for path in other.parent.iterdir()] == ["0123"]
    assert "an evaluation of another model or with other settings was interrupted in this folder" in said[0]
    assert "as NEW/work, and run its command with --out NEW" in said[-1]


def test_what_an_earlier_try_of_the_same_evaluation_left_is_not_another_ones(tmp_path):
    spec, said = dataclasses.replace(scripted_spec(tmp_path), work=str(tmp_path / "out/work")), []
    (tmp_path / "out/work" / identity_of(spec, FACTS, load_all(spec))[:16]).mkdir(parents=True)
    how = {"name": "x", "out": tmp_path / "out", "log": tmp_path / "log", "judge": None}
    evaluate(spec, FACTS, **how, listen=Listener(say=said.append))
    assert not [one for one in said if "interrupted" in one]


def test_a_file_where_results_should_stand_is_said(tmp_path):
    (tmp_path / "out").write_text("x")
    for out in (tmp_path / "out", tmp_path / "out/below"):
        how = {"name": "x", "out": out, "log": tmp_path / "log", "judge": None}
        with pytest.raises(
            EvaluationError, match="results are a folder, and a file stands there; choose another --out"
        ):
            evaluate(scripted_spec(tmp_path), FACTS, **how, listen=Listener())
    assert (tmp_path / "out").read_text() == "x"


def test_a_full_disk_while_results_are_written_again_leaves_the_old_ones(done, tmp_path, monkeypatch):
    shutil.copytree(done[1], tmp_path / "copy")
    before = {path.name: path.read_bytes() for path in sorted((tmp_path / "copy").glob("[a-z]*"))}
    results, samples = read_results(tmp_path / "copy"), read_samples(tmp_path / "copy")

    def full(*_, **__):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("pyarrow.parquet.write_table", full)
    with pytest.raises(OSError, match="No space"):
        write_results(tmp_path / "copy", results, samples, read_scores(tmp_path / "copy"))
    assert {path.name: path.read_bytes() for path in sorted((tmp_path / "copy").glob("[a-z]*"))} == before


def test_a_result_says_which_rules_scored_it_and_how_gold_answers_were_compared(done, tmp_path):
    found = {(task.benchmark, task.rules, task.gold) for task in read_results(done[1]).tasks}
    assert found == {("mgsm", 2, "number"), ("x_alpacaeval", 2, None)}
    spec = scripted_spec(tmp_path, gold="text")
    loaded = load_all(spec)
    answers = {task: {row["item"]: "5" for row in loaded[task.task].rows} for task in spec.tasks}
    shell = read_results(done[1])
    written = write_scored(tmp_path / "out", shell, {}, loaded, answers, {}, None)
    assert {task.gold for task in written.of("mgsm")} == {"text"}


def test_answers_that_were_given_before_a_failure_are_not_asked_for_again(tmp_path: Path):
    spec = scripted_spec(tmp_path)
    broken = [{"match": "Himmel", "error": "the server is on fire"}, *ANSWERS]
    answers = Path(spec.model)
    answers.write_text("".join(json.dumps(rule) + "\n" for rule in broken), encoding="utf-8")
    counted: list[int] = []
    kept: list[int] = []
    listen = Listener(asked=counted.append, kept=kept.append)
    how = {"name": "canned", "out": tmp_path / "out", "log": tmp_path / "log", "judge": None, "listen": listen}
    with pytest.raises(
        EvaluationError, match="1 of 10 requests were not answered, the first because: the server is on"
    ):
        evaluate(spec, FACTS, **how)
    assert (sum(counted), sum(kept)) == (9, 0)
    answers.write_text("".join(json.dumps(rule) + "\n" for rule in ANSWERS), encoding="utf-8")
    evaluate(spec, FACTS, **how)
    assert (sum(counted), sum(kept)) == (10, 9)
    assert not Path(spec.work).exists()
    evaluate(spec, FACTS, **how)  # the results stand
    assert (sum(counted), sum(kept)) == (10, 19)
