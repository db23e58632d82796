"""Translators, judges and evaluations on replicas say what they say in one process. One real Ray serves all tests."""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import httpx
import psutil
import pytest

import lidr
from lidr import evals
from lidr.evals.evaluation import Listener
from lidr.evals.judge import Comparison, JudgeSettings, judge, judge_of
from lidr.evals.judge.verdicts import JudgeMode, Verdict
from lidr.evals.results import read_samples
from lidr.store.artifact import Artifact, open_artifact
from tests.engines.replicas.simulated import Simulated
from tests.evals.asked import ANSWERS, FACTS, scripted_spec, write_rows
from tests.evals.judge.answers import comparisons
from tests.scripted import RECIPE, write_answers, write_world
from tests.tiny import tiny_model
from tests.tiny_m2m import tiny_m2m

pytestmark = pytest.mark.slow

EVALUATE = "  - evaluate: {{tasks: [mgsm], languages: [en, de], data: [{folder}/rows]}}\n"
TRANSLATED = (
    RECIPE.replace('  - prompts: "4:8"\n', "")
    .replace("max_tokens: 80,", "max_tokens: 12, by: {{model: {folder}/translator, engine: seq2seq}},")
    .replace("{{drop: joint}}", "{{drop: independent, accept: [ok, truncated], min_kept: 0}}")
    .replace(
        "iterations:\n", "  - evaluate: {{tasks: [mgsm], languages: [en, de], data: [{folder}/rows]}}\niterations:\n"
    )
)


@pytest.fixture(scope="module")
def cluster() -> Iterator[Simulated]:
    started = Simulated()
    started.of(2)
    yield started
    started.close()


def made(recipe: Path, store: str, *overrides: str) -> dict[str, Artifact]:
    loaded = lidr.load_recipe(recipe, overrides=[f"runtime.store={recipe.parent / store}", *overrides])
    planned = lidr.run(loaded)
    return {step.place: open_artifact(planned.version_folder / step.place) for step in planned.steps}


def test_a_translation_model_and_an_evaluation_in_a_run_make_what_one_process_makes_and_their_records_say_where(
    cluster: Simulated, tmp_path: Path
) -> None:
    recipe = write_world(tmp_path / "world", TRANSLATED)
    tiny_m2m(recipe.parent / "translator")
    write_rows(recipe.parent / "rows")
    write_answers(recipe.parent / "answers.jsonl", first=(*ANSWERS[:-1],))
    alone = made(recipe, "alone")
    shared = made(recipe, "shared", "runtime.replicas=2", f"runtime.cluster={cluster.address}")
    assert len(set(alone["iter_1/translate"].read()["text"].to_pylist())) > 4
    assert {place: one.record.digest for place, one in shared.items() if "policy" not in place} == {
        place: one.record.digest for place, one in alone.items() if "policy" not in place
    }
    for place in ("iter_0/evaluate", "iter_1/generate", "iter_1/translate", "iter_1/evaluate"):
        execution = shared[place].record.execution
        assert (execution["replicas_started"], execution["replicas_died"]) == (2, 0)
        assert "replicas_started" not in alone[place].record.execution
    assert "replicas_started" not in shared["iter_1/pair"].record.execution


def started() -> Iterator[tuple[str, psutil.Process]]:
    """What this process has started and is at work: its name, as it may call itself, and it."""
    for one in psutil.Process().children(recursive=True):
        with contextlib.suppress(psutil.NoSuchProcess):  # it has just ended, or is a zombie
            yield next(iter(one.cmdline()), "").rpartition("/")[2] or one.name(), one


def answers_of(folder: Path) -> dict[tuple[str, str], str]:
    return {(row["task"], row["item"]): row["response"] for row in read_samples(folder).to_pylist()}


def test_a_model_evaluated_on_replicas_gives_the_answers_and_scores_of_lm_evals_own_back_end(
    cluster: Simulated, tmp_path: Path
) -> None:
    model = tiny_model(tmp_path / "model", "llama3", seed=1)
    ran: dict[str, Any] = {}
    found = {}
    for name, more in (("alone", {}), ("shared", {"replicas": 2, "cluster": cluster.address})):
        out = tmp_path / name
        spec = scripted_spec(tmp_path, backend="hf", model=str(model), work=str(out / "work"), threads=1, **more)
        listen = Listener(ran_on=ran.update)
        found[name] = evals.evaluate(spec, FACTS, name="tiny", out=out, log=out / "log", judge=None, listen=listen)
    assert answers_of(tmp_path / "shared") == answers_of(tmp_path / "alone")
    assert len({*answers_of(tmp_path / "alone").values()}) > 5
    assert [task.scores for task in found["shared"].tasks] == [task.scores for task in found["alone"].tasks]
    assert found["shared"].identity == found["alone"].identity
    assert ran == {"replicas_started": 2, "replicas_died": 0, "nodes": 2}


@contextlib.contextmanager
def judging(folder: Path, ran: dict[str, Any], **more: Any) -> Iterator[JudgeSettings]:
    """A judge that is being served; when the block has ended, `ran` says how its replicas ran."""
    settings = {"mode": "text", "max_tokens": 6, "max_error_share": 1}
    log = folder.parent / "log"
    with judge_of(str(folder), settings, kind="transformers", log=log, ran_on=ran.update, **more)() as opened:
        yield opened


def verdicts_of(
    folder: Path, asked: list[Comparison], progress: Callable[[int], None] | None = None, **more: Any
) -> tuple[list[Verdict], dict[str, Any]]:
    ran: dict[str, Any] = {}
    with judging(folder, ran, **more) as settings:
        body = {"model": "judge", "messages": [{"role": "user", "content": "m or M?"}], "logprobs": True}
        answer = httpx.post(f"{settings.base_url}/chat/completions", json=body | {"top_logprobs": 5}, timeout=300)
        assert len(answer.json()["choices"][0]["logprobs"]["content"][0]["top_logprobs"]) == 5
        refused = httpx.post(f"{settings.base_url}/chat/completions", json={**body, "stop": "x"}, timeout=300)
        assert (refused.status_code, refused.json()["error"]["type"]) == (400, "invalid_request_error")
        verdicts = judge(asked, settings, progress=progress)
    return verdicts, ran


def test_a_local_judge_on_replicas_says_what_one_says_and_a_killed_replica_loses_no_question(
    cluster: Simulated, tmp_path: Path
) -> None:
    model = tiny_model(tmp_path / "judge", "qwen2", seed=3, max_positions=4096)
    asked = comparisons(60)
    killed: list[int] = []

    def kill_one(_: int) -> None:
        if not killed:
            replica = next(one for name, one in started() if name.startswith("ray::Replica"))
            killed.append(replica.pid)
            replica.kill()

    alone, ran = verdicts_of(model, asked)
    assert ran == {}
    shared, ran = verdicts_of(model, asked, kill_one, replicas=2, cluster=cluster.address)
    texts = [[order.text for order in one.orders] for one in alone]
    assert len({text for one in texts for text in one}) > 5
    assert [[order.text for order in one.orders] for one in shared] == texts
    assert ran["replicas_died"] == 1
    assert ran["replicas_started"] in (2, 3)  # the others may be done before another one is there


def test_a_judge_that_reads_log_probabilities_gives_on_replicas_the_verdicts_of_one(
    cluster: Simulated, smollm2: Path
) -> None:
    """A real model, since a random one gives the two letters next to nothing."""
    asked = comparisons(12)
    found: list[dict[str, list[Verdict]]] = []
    ran: dict[str, Any] = {}
    for more in ({}, {"replicas": 2, "cluster": cluster.address}):
        with judging(smollm2, ran, **more) as opened:
            modes: tuple[JudgeMode, ...] = ("logprob", "logprob_swap")
            reads = {"max_tokens": None, "top_logprobs": 20}
            found.append({mode: judge(asked, opened.model_copy(update={"mode": mode, **reads})) for mode in modes})
    alone, shared = found
    assert ran == {"replicas_started": 2, "replicas_died": 0, "nodes": 2}
    for mode, verdicts in alone.items():
        assert [one.key for one in shared[mode]] == [one.key for one in verdicts]
        for verdict, other in zip(verdicts, shared[mode], strict=True):
            assert other.preference == pytest.approx(verdict.preference, abs=1e-5)
            for order, same in zip(verdict.orders, other.orders, strict=True):
                assert same.p == pytest.approx(order.p, abs=1e-5)
                assert replace(same, p=None, preference=None) == replace(order, p=None, preference=None)
    assert {len(one.orders) for one in alone["logprob"]} == {1}
    apart = [order.p for one in alone["logprob_swap"] for order in one.orders if order.p is not None]
    assert len({round(p, 4) for p in apart}) > 20  # so many of 24 would be noticed if two were exchanged


def test_a_local_judge_on_a_ray_of_lidrs_own_leaves_nothing_behind(tmp_path: Path) -> None:
    model = tiny_model(tmp_path / "judge", "qwen2", seed=3, max_positions=4096)
    before = {*psutil.Process().children(recursive=True)}
    seen: list[tuple[str, psutil.Process]] = []

    def look(_: int) -> None:
        if not seen:
            seen.extend((name, one) for name, one in started() if one not in before)

    verdicts, ran = verdicts_of(model, comparisons(8), look, replicas=2)
    assert all(verdict.orders for verdict in verdicts)
    assert ran == {"replicas_started": 2, "replicas_died": 0, "nodes": 1}
    pids = {str(one.pid) for _, one in seen}
    assert [one for one in Path("/tmp").glob("lidr-ray-*") if one.name.split("-")[2] in pids] == []
    assert "raylet" in {name for name, _ in seen}
    _, alive = psutil.wait_procs([one for name, one in seen if name in ("raylet", "gcs_server")], timeout=10)
    assert [one for one in alive if one.is_running() and one.status() != psutil.STATUS_ZOMBIE] == []
