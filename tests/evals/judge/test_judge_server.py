"""A judge that lidr serves itself: a real model, a real server on loopback, nothing left behind."""

from __future__ import annotations

import contextlib
import importlib.util
import json
import os
import subprocess
import sys
import threading
from collections.abc import Iterator
from pathlib import Path

import httpx
import pytest

from lidr.engines.engine import ChatRequest, EngineSpec, Sampling
from lidr.errors import EngineError, MissingExtraError
from lidr.evals.judge import Comparison, check_errors, judge
from lidr.evals.judge.local.judge_server import LocalJudge, local_judge
from lidr.evals.judge.local.judge_worker import handle
from lidr.evals.judge.question import facts_of
from tests.engines.helpers import members, wait_until_empty
from tests.evals.judge.answers import comparisons
from tests.tiny import tiny_model

ROOT = Path(__file__).resolve().parents[3]
HELLO = {"model": "any", "messages": [{"role": "user", "content": "Bees make"}], "max_tokens": 1, "temperature": 0}


@pytest.fixture(scope="module")
def tiny(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tiny_model(tmp_path_factory.mktemp("tiny") / "judge-tiny", "qwen2", seed=3, max_positions=4096)


@pytest.fixture(scope="module")
def local(tiny: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[LocalJudge]:
    with local_judge(tiny, log=tmp_path_factory.mktemp("log") / "judge.log", threads=1) as served:
        yield served


def ask(local: LocalJudge, **body: object) -> httpx.Response:
    return httpx.post(f"{local.url}/chat/completions", json={**HELLO, **body}, timeout=60)


def test_it_says_what_the_model_itself_gives(local: LocalJudge, tiny: Path):
    import torch
    from transformers import AutoModelForCausalLM, AutoTokenizer

    answer = ask(local, logprobs=True, top_logprobs=5, max_tokens=3).json()["choices"][0]
    tokenizer, model = AutoTokenizer.from_pretrained(tiny), AutoModelForCausalLM.from_pretrained(tiny)
    ids = tokenizer.apply_chat_template(HELLO["messages"], add_generation_prompt=True, return_tensors="pt")["input_ids"]
    with torch.inference_mode():
        for step in answer["logprobs"]["content"]:
            top = model(ids).logits[0, -1].log_softmax(-1).topk(5)
            assert [entry["token"] for entry in step["top_logprobs"]] == [tokenizer.decode([i]) for i in top.indices]
            found = [entry["logprob"] for entry in step["top_logprobs"]]
            assert found == pytest.approx(top.values.tolist(), abs=1e-4)
            assert (step["token"], step["logprob"]) == (step["top_logprobs"][0]["token"], found[0])  # greedy
            ids = torch.cat([ids, top.indices[:1, None]], dim=1)


def test_log_probabilities_are_those_before_the_temperature(local: LocalJudge):
    cold, warm = (ask(local, logprobs=True, top_logprobs=5, temperature=t, seed=5).json() for t in (0, 2))
    tops = [answer["choices"][0]["logprobs"]["content"][0]["top_logprobs"] for answer in (cold, warm)]
    assert [entry["token"] for entry in tops[0]] == [entry["token"] for entry in tops[1]]
    assert [e["logprob"] for e in tops[0]] == pytest.approx([e["logprob"] for e in tops[1]], abs=1e-4)


def test_company_does_not_change_an_answer(local: LocalJudge):
    texts = [f"{'Bees make honey. ' * i}What {i}?" for i in range(1, 13)]

    def top(text: str) -> list[float]:
        body = {"messages": [{"role": "user", "content": text}], "logprobs": True, "top_logprobs": 5}
        content = ask(local, **body).json()["choices"][0]["logprobs"]["content"]
        return [entry["logprob"] for entry in content[0]["top_logprobs"]]

    alone = [top(text) for text in texts]
    together: dict[str, list[float]] = {}
    threads = [threading.Thread(target=lambda text=text: together.update({text: top(text)})) for text in texts]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    for text, found in zip(texts, alone, strict=True):
        assert together[text] == pytest.approx(found, abs=1e-4)


def test_a_random_model_judges_in_every_mode_and_fails_countably(local: LocalJudge, tmp_path: Path):
    for mode in ("logprob", "logprob_swap", "text", "score"):
        settings = local.settings(mode=mode, cache=tmp_path / "c", max_tokens=8 if mode == "score" else None)
        verdicts = judge(comparisons(3), settings)
        assert all((verdict.preference is None) == (verdict.error is not None) for verdict in verdicts)
        assert all(order.prompt_tokens > 100 for verdict in verdicts for order in verdict.orders)
    assert facts_of(settings).served == "local"
    assert facts_of(settings).digest == local.digest


def test_the_cache_goes_by_the_weights_and_not_by_the_port(local: LocalJudge, tiny: Path, tmp_path: Path):
    judge(comparisons(2), local.settings(mode="logprob", cache=tmp_path / "c"))
    elsewhere = LocalJudge("http://127.0.0.1:9/v1", local.model, local.digest)
    again = judge(comparisons(2), elsewhere.settings(mode="logprob", cache=tmp_path / "c"))
    assert all(order.cached for verdict in again for order in verdict.orders)


def test_a_question_that_does_not_fit_is_a_counted_error(local: LocalJudge):
    long = Comparison("long", "Why?", "a" * 20000, "b")
    (verdict,) = judge([long], local.settings(mode="logprob"))
    assert (verdict.error or "").startswith("too long: the question does not fit the judge: ")


@pytest.mark.parametrize(
    ("body", "message"),
    [
        ({"stop": ["x"]}, "stop: Extra inputs are not permitted"),
        ({"n": 2}, "n: Input should be 1"),
        ({"messages": []}, "messages: List should have at least 1 item"),
        ({"top_logprobs": 21}, "top_logprobs: Input should be less than or equal to 20"),
        ({"messages": [{"role": "user", "content": [{"type": "text"}]}]}, "messages.0.content: Input should be"),
    ],
)
def test_what_it_does_not_know_it_refuses(local: LocalJudge, body, message):
    answer = ask(local, **body)
    assert answer.status_code == 400
    assert answer.json()["error"]["message"].startswith(message)


def test_one_refused_conversation_does_not_spoil_the_others(tmp_path: Path):
    from lidr.evals.judge.local.judge_worker import _Desk
    from lidr.evals.judge.local.logprob_engine import Asked, ScoringEngine

    folder = tiny_model(tmp_path / "gemma", "gemma")  # its template refuses a system message
    desk = _Desk(ScoringEngine(EngineSpec("transformers", str(folder), threads=1)), batch=3)
    user, system = {"role": "user", "content": "m or M?"}, {"role": "system", "content": "Be short."}
    futures = [
        desk.ask(Asked(ChatRequest("", messages, Sampling(max_tokens=1)), top=5))
        for messages in ((user,), (system, user), (user,))
    ]
    with pytest.raises(EngineError, match="System role not supported"):
        futures[1].result(60)
    first, last = futures[0].result(60).steps, futures[2].result(60).steps
    assert first is not None
    assert first == last


def test_it_listens_on_loopback_only_and_names_its_model(local: LocalJudge):
    assert local.url.startswith("http://127.0.0.1:")
    assert httpx.get(f"{local.url}/models").json()["data"][0]["id"] == local.model == "judge-tiny"


def test_a_model_without_a_chat_template_is_an_error_for_either_server(tmp_path: Path):
    folder = tiny_model(tmp_path / "plain", "qwen2")
    (folder / "chat_template.jinja").unlink()
    for kind in ("transformers", "vllm"):
        serve = {"serve": {"kind": kind, "model": str(folder)}, "name": "plain", "log": "judge.log"}
        with pytest.raises(EngineError, match="has no chat template"):
            next(handle(serve))


def test_a_folder_that_is_no_model_is_an_error(tmp_path: Path):
    with pytest.raises(EngineError, match="no such model folder"), local_judge(tmp_path / "no", log=tmp_path / "log"):
        pass


def test_a_missing_package_names_the_extra(tiny: Path, tmp_path: Path, monkeypatch):
    monkeypatch.setattr("importlib.util.find_spec", lambda name: None if name == "uvicorn" else object())
    with pytest.raises(MissingExtraError, match=r"a local judge .* 'uvicorn'"), local_judge(tiny, log=tmp_path / "l"):
        pass


_HOLDER = """
import sys, time
from pathlib import Path
from lidr.evals.judge.local import judge_server as server
started = []
class Worker(server.Worker):
    def __init__(self, *a, **k):
        super().__init__(*a, **k)
        started.append(self.pid)
server.Worker = Worker
with server.local_judge(Path(sys.argv[1]), log=Path(sys.argv[2]), threads=1):
    print(started[0], flush=True)
    time.sleep(600)
"""


def test_nothing_outlives_a_parent_that_is_killed(tiny: Path, tmp_path: Path):
    command = [sys.executable, "-c", _HOLDER, str(tiny), str(tmp_path / "log")]
    parent = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True, cwd=ROOT)
    try:
        assert parent.stdout is not None
        group = int(parent.stdout.readline())
        assert members(group)
    finally:
        parent.kill()
        parent.communicate()
    wait_until_empty(group)


def shortest(data_folder: Path, language: str, count: int) -> list[Comparison]:
    """The items whose two real outputs are the shortest."""
    folder = data_folder / "x_alpacaeval"
    ours, theirs = (
        json.loads((folder / name / f"{language}.json").read_text()) for name in ("gpt-3.5-turbo-0125", "reference")
    )
    pairs = [
        Comparison(str(a["id"]), a["instruction"], b["output"], a["output"]) for a, b in zip(ours, theirs, strict=True)
    ]
    different = [pair for pair in pairs if pair.output_1 != pair.output_2]
    return sorted(different, key=lambda pair: len(pair.instruction + pair.output_1 + pair.output_2))[:count]


@pytest.mark.slow
def test_a_real_model_judges_real_outputs(smollm2: Path, data_folder: Path, tmp_path: Path):
    asked = shortest(data_folder, "de", 8)
    with local_judge(smollm2, log=tmp_path / "log") as served:
        settings = served.settings(mode="logprob_swap", top_logprobs=20, cache=tmp_path / "c")
        verdicts = judge(asked, settings)
        check_errors(verdicts, settings)
        assert all(order.cached for verdict in judge(asked, settings) for order in verdict.orders)
    preferences = [verdict.preference for verdict in verdicts if verdict.preference is not None]
    assert len(preferences) == 8
    assert all(1 <= preference <= 2 for preference in preferences)
    first = [order.p for verdict in verdicts for order in verdict.orders]
    assert 0.0 < min(first) < sum(first) / 16 < 0.5  # this small model leans to what is shown second


@pytest.mark.slow
@pytest.mark.skipif(importlib.util.find_spec("vllm") is None, reason="vLLM is not installed")
def test_vllm_judges_as_transformers_does_and_leaves_nothing_behind(smollm2: Path, data_folder: Path, tmp_path: Path):
    asked = shortest(data_folder, "de", 2)
    found = []
    for kind in ("transformers", "vllm"):
        with local_judge(smollm2, log=tmp_path / f"{kind}.log", kind=kind, max_model_len=2048) as served:
            found.append(judge(asked, served.settings(mode="logprob_swap", top_logprobs=20)))
    ours, theirs = ([order.p for verdict in verdicts for order in verdict.orders] for verdicts in found)
    assert theirs == pytest.approx(ours, abs=1e-3)
    assert not [line for group in psutil_groups("vllm.entrypoints") for line in members(group)]


def psutil_groups(word: str) -> set[int]:
    """Process groups that hold a command line with this word and were started below this process."""
    import psutil

    found = set()
    for child in psutil.Process().children(recursive=True):
        with contextlib.suppress(psutil.NoSuchProcess, ProcessLookupError):  # it has just ended, or is a zombie
            if word in str(child.cmdline()):
                found.add(os.getpgid(child.pid))
    return found
