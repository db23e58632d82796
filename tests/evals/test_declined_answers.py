"""Answers that are none: scored as they are, counted by their reason, and kept like any other."""

from __future__ import annotations

import dataclasses
import json
import re

import pytest
from lm_eval.api.instance import Instance

from lidr.engines.engine import EngineSpec
from lidr.engines.remote.openai import OpenAIEngine
from lidr.errors import EvaluationError, StoreError
from lidr.evals.evaluation import Listener, evaluate
from lidr.evals.harness.engine_lm import EngineLM
from lidr.evals.harness.kept_answers import kept_answers
from lidr.evals.results import Declined, TaskResult, read_results, read_samples
from lidr.report.scores.score_text import scores_text
from lidr.retry import Retry
from tests.engines.server import Reply, Server, completion
from tests.evals.asked import ANSWERS, FACTS, scripted_spec

REFUSED = Reply(400, '{"error": {"message": "we do not speak of cups", "code": "invalid_prompt"}}')
TOO_LONG = Reply(400, '{"error": {"code": "context_length_exceeded", "message": "too long"}}')


def reply(body, number):
    asked = body["messages"][-1]["content"]
    if "cups" in asked:
        return REFUSED
    if "eggs" in asked:
        return completion("", "content_filter")
    if "half" in asked:
        return Reply(body=completion("a X b").body.replace("X", "\\ud800"))
    if "Tassen" in asked:
        return TOO_LONG
    return completion(next(rule["text"] for rule in ANSWERS if re.search(rule.get("match", ""), asked)))


def test_they_are_counted_in_the_results_and_stand_with_the_samples(tmp_path):
    with Server(reply) as server:
        spec = dataclasses.replace(scripted_spec(tmp_path), backend="openai", model="m", url=server.url, batch=1)
        out = tmp_path / "out"
        evaluate(spec, FACTS, name="m", out=out, log=tmp_path / "log", judge=None, listen=Listener())
    results = read_results(out)
    tasks = {task.task: task for task in results.tasks}
    assert tasks["lidr_mgsm_en"].declined == {"content_filter": 1, "refused": 1}
    assert tasks["lidr_mgsm_de"].declined == {"prompt_too_long": 1}
    assert tasks["lidr_x_alpacaeval_en"].declined == {}
    assert tasks["lidr_mgsm_en"].scores["acc"].n == 3  # none of them is left out
    written = {task["task"]: task for task in json.loads((out / "results.json").read_text(encoding="utf-8"))["tasks"]}
    assert "declined" not in written["lidr_x_alpacaeval_en"]  # as an earlier lidr wrote it
    assert TaskResult.model_validate(written["lidr_mgsm_en"]) == tasks["lidr_mgsm_en"]
    details = [json.loads(row["detail"]) for row in read_samples(out).to_pylist()]
    (refused,) = [detail for detail in details if detail.get("declined") == "refused"]
    assert "we do not speak of cups" in refused["said"]
    assert "without an answer, and scored as they are: en 1 content_filter, en 1 refused, de 1 prompt_too_long" in (
        scores_text(results)
    )


def requests(*texts):
    talks = [json.dumps([{"role": "user", "content": text}]) for text in texts]
    return [Instance("generate_until", {}, (talk, {"max_gen_toks": 8}), n) for n, talk in enumerate(talks)]


@pytest.fixture
def asked(tmp_path):
    """Ask through a journal, each time as a new process would; what was told of new answers."""
    with Server(reply) as server:
        spec = EngineSpec("openai", model="m", url=server.url, batch=1, api_key_env="NO_SUCH_KEY")

        def ask(*texts):
            told = []
            with OpenAIEngine(spec, retry=Retry(attempts=1)) as engine:
                lm = EngineLM(engine, seed=0)
                with kept_answers(lm, tmp_path / "iter_1/evaluate.partial/work/answers.jsonl", told.append):
                    return lm.generate_until(requests(*texts)), sum(told), len(server.bodies)

        yield ask


def test_what_is_kept_is_not_asked_again_and_keeps_its_reason(asked):
    first = asked("What is 9 - 2?", "How many cups?")
    assert asked("half a character")[0] == ["a ? b"]
    again = asked("How many cups?", "What is 9 - 2?", "Name a fruit.")
    assert (first[1], again[1]) == (2, 1)
    assert again[2] == 4
    assert again[0][:2] == first[0][::-1]
    assert isinstance(again[0][0], Declined)
    assert again[0][0].reason == "refused"
    assert not isinstance(again[0][1], Declined)


def test_where_every_prompt_is_too_long_the_setting_is_at_fault_and_nothing_is_kept(asked):
    with pytest.raises(EvaluationError, match=r"each of the 2 prompts too long: give a smaller --max-tokens \(in "):
        asked("Tassen eins", "Tassen zwei")
    assert asked("Tassen eins", "What is 9 - 2?")[1] == 2


def test_a_flipped_letter_of_a_kept_answer_is_found(asked, tmp_path):
    asked("What is 9 - 2?")
    journal = tmp_path / "iter_1/evaluate.partial/work/answers.jsonl"
    journal.write_text(journal.read_text(encoding="utf-8").replace("sorry", "sorrz"), encoding="utf-8")
    with pytest.raises(StoreError, match=r"answers\.jsonl:1: damaged line.*--rebuild iter_1/evaluate"):
        asked("What is 9 - 2?")
