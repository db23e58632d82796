"""The worker that serves a local judge: `python -m lidr.evals.judge.local.judge_worker`, started by judge_server alone.

GET  /v1/models            the one model
POST /v1/chat/completions  max_tokens, temperature, seed, logprobs, top_logprobs; nothing else of the API
GET  /health

Requests that are there at the same time share a forward pass. A judge on several replicas has such a server on each,
and one here that hands on what it is asked (served_judge.py).
"""

from __future__ import annotations

import asyncio
import json
import queue
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Awaitable, Callable, Iterator, Sequence
from concurrent.futures import Future
from dataclasses import replace
from pathlib import Path
from pkgutil import resolve_name
from typing import Any, Literal

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from lidr.engines import (
    ChatRequest,
    ChatTokenizer,
    EngineSpec,
    Message,
    Sampling,
    engine_row,
    open_engine,
    set_environment,
)
from lidr.errors import EngineError
from lidr.evals.judge.local.logprob_engine import Answered, Asked, ScoringEngine
from lidr.evals.judge.local.served_judge import JudgeReplicas
from lidr.worker import serve

_WINDOW_S = 0.005  # so long a pass waits for company
_UP_WITHIN_S = 900.0
_LOOPBACK = "127.0.0.1"


class _Message(BaseModel):
    model_config = ConfigDict(extra="forbid")

    role: Literal["system", "user", "assistant"]
    content: str


class _Body(BaseModel):
    """What a request may hold; anything else is refused, because ignoring it would change the answer unseen."""

    model_config = ConfigDict(extra="forbid")

    model: str
    messages: list[_Message] = Field(min_length=1)
    max_tokens: int | None = Field(None, ge=1)
    max_completion_tokens: int | None = Field(None, ge=1)
    temperature: float = Field(1.0, ge=0, le=2)
    seed: int = 0
    logprobs: bool = False
    top_logprobs: int = Field(0, ge=0, le=20)
    n: Literal[1] = 1
    stream: Literal[False] = False

    def asked(self) -> Asked:
        """As the engine takes it."""
        limit = self.max_tokens or self.max_completion_tokens or 256
        sampling = Sampling(max_tokens=limit, temperature=self.temperature, seed=self.seed)
        messages = tuple(Message(role=message.role, content=message.content) for message in self.messages)
        request = ChatRequest("", messages, sampling)
        return Asked(request, self.top_logprobs if self.logprobs else None)


class _Desk:
    """Hands requests to the one thread that holds the model, as many together as there are."""

    def __init__(self, engine: ScoringEngine, batch: int) -> None:
        self._engine, self._batch = engine, batch
        self._inbox: queue.SimpleQueue[tuple[Asked, Future[Answered]]] = queue.SimpleQueue()
        threading.Thread(target=self._work, daemon=True).start()

    def ask(self, asked: Asked) -> Future[Answered]:
        future: Future[Answered] = Future()
        self._inbox.put((asked, future))
        return future

    def _work(self) -> None:
        while True:
            together = self._take()
            if not self._answer(together):
                for one in together:  # the fault is of one of them, and must not be that of the others
                    self._answer([one], is_last=True)

    def _answer(self, together: Sequence[tuple[Asked, Future[Answered]]], *, is_last: bool = False) -> bool:
        try:
            answers = self._engine.answer([asked for asked, _ in together])
        except Exception as error:
            if is_last:
                together[0][1].set_exception(error)
            return False
        for (_, future), answer in zip(together, answers, strict=True):
            future.set_result(answer)
        return True

    def _take(self) -> list[tuple[Asked, Future[Answered]]]:
        together = [self._inbox.get()]
        until = time.monotonic() + _WINDOW_S
        while len(together) < self._batch:
            try:
                together.append(self._inbox.get(timeout=max(0.0, until - time.monotonic())))
            except queue.Empty:
                break
        return together


def _app(answer: Callable[[bytes], Awaitable[Any]], name: str) -> Any:
    """The application; `answer` makes the response to the body of a question."""
    from starlette.applications import Starlette
    from starlette.requests import Request
    from starlette.responses import JSONResponse, PlainTextResponse, Response
    from starlette.routing import Route

    async def complete(request: Request) -> Response:
        found: Response = await answer(await request.body())
        return found

    async def models(_: Request) -> Response:
        return JSONResponse({"object": "list", "data": [{"id": name, "object": "model", "owned_by": "lidr"}]})

    async def health(_: Request) -> Response:
        return PlainTextResponse("ok")

    return Starlette(
        routes=[
            Route("/v1/chat/completions", complete, methods=["POST"]),
            Route("/v1/models", models),
            Route("/health", health),
        ]
    )


def _by_desk(desk: _Desk, name: str) -> Callable[[bytes], Awaitable[Any]]:
    """Answers of the model in this process."""
    from starlette.responses import JSONResponse, Response

    def refused(status: int, message: str) -> Response:
        error = {"message": message, "type": "invalid_request_error" if status < 500 else "server_error"}
        return JSONResponse({"error": error}, status_code=status)

    async def answer(body: bytes) -> Response:
        try:
            asked = _Body.model_validate_json(body).asked()
        except ValidationError as error:
            first = error.errors()[0]
            return refused(400, f"{'.'.join(map(str, first['loc']))}: {first['msg']}")
        try:
            answered = await asyncio.wrap_future(desk.ask(asked))
        except EngineError as error:
            return refused(400, str(error))
        except Exception as error:
            return refused(500, f"{type(error).__name__}: {error}")
        if answered.completion.finish_reason == "prompt_too_long":
            found = answered.completion.prompt_tokens + asked.request.sampling.max_tokens
            return refused(400, f"question and answer take {found} tokens, more than the model's context length")
        return JSONResponse(_completion(answered, name))

    return answer


def _by_replicas(replicas: JudgeReplicas) -> Callable[[bytes], Awaitable[Any]]:
    """Answers of the judges on replicas, as their servers gave them."""
    from starlette.responses import Response

    async def answer(body: bytes) -> Response:
        status, content = await asyncio.wrap_future(replicas.ask(json.loads(body)))
        return Response(content, status, media_type="application/json")

    return answer


def _completion(answered: Answered, name: str) -> dict[str, Any]:
    completion = answered.completion
    logprobs = None
    if answered.steps is not None:
        logprobs = {
            "content": [
                {**_entry(step.token, step.logprob), "top_logprobs": [_entry(*top) for top in step.top]}
                for step in answered.steps
            ]
        }
    choice = {
        "index": 0,
        "message": {"role": "assistant", "content": completion.text},
        "finish_reason": completion.finish_reason,
        "logprobs": logprobs,
    }
    usage = {
        "prompt_tokens": completion.prompt_tokens,
        "completion_tokens": completion.completion_tokens,
        "total_tokens": completion.prompt_tokens + completion.completion_tokens,
    }
    return {"object": "chat.completion", "model": name, "choices": [choice], "usage": usage}


def _entry(token: str, logprob: float) -> dict[str, Any]:
    return {"token": token, "logprob": logprob, "bytes": list(token.encode())}


def serve_transformers(spec: EngineSpec, name: str, log: str) -> int:
    """Serve by the engine of transformers, in this process; returns the port."""
    return _listen(_app(_by_desk(_Desk(ScoringEngine(spec), spec.batch), name), name))


def _serve_replicas(spec: EngineSpec, name: str, log: str) -> int:
    """Serve by a judge on each replica; returns the port."""
    replicas = JudgeReplicas(open_engine(replace(spec, judges=True), log=Path(log)))
    _REPLICAS.append(replicas)
    return _listen(_app(_by_replicas(replicas), name))


_REPLICAS: list[JudgeReplicas] = []
"""Those of this process, at most one."""


def _listen(app: Any) -> int:
    """Serve on a free port of this machine, in a thread; returns the port."""
    import uvicorn

    listening = socket.socket()
    listening.bind((_LOOPBACK, 0))
    config = uvicorn.Config(app, log_level="warning", lifespan="off", access_log=False)
    server = uvicorn.Server(config)
    thread = threading.Thread(target=server.run, kwargs={"sockets": [listening]}, daemon=True)
    thread.start()
    while not server.started:
        if not thread.is_alive():
            raise EngineError("the judge's server ended at once; its log says why")
        time.sleep(0.01)
    return int(listening.getsockname()[1])


def serve_vllm(spec: EngineSpec, name: str, log: str) -> int:
    """Start vLLM's own server in this worker's process group, which ends it whatever happens; returns the port."""
    ChatTokenizer.load(spec.model)  # vLLM would notice a missing chat template only when it is asked
    set_environment(spec.threads)
    port = _free_port()
    process = subprocess.Popen(_vllm_command(spec, name, port), stdin=subprocess.DEVNULL)
    _wait_until_up(process, port, log)
    return port


def _vllm_command(spec: EngineSpec, name: str, port: int) -> list[str]:
    options = {
        "--model": spec.model,
        "--served-model-name": name,
        "--host": _LOOPBACK,
        "--port": str(port),
        "--dtype": spec.dtype,
        "--generation-config": "vllm",  # not the model's own: the request alone decides on sampling
    }
    if spec.max_model_len is not None:
        options["--max-model-len"] = str(spec.max_model_len)
    flat = [word for option in options.items() for word in option]
    # `vllm serve` asks for metadata that the CPU build has under another name. Compiling takes longer than it saves.
    return [sys.executable, "-m", "vllm.entrypoints.openai.api_server", *flat, "--enforce-eager"]


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind((_LOOPBACK, 0))
        return int(probe.getsockname()[1])


def _wait_until_up(process: subprocess.Popen[bytes], port: int, log: str) -> None:
    import httpx

    deadline = time.monotonic() + _UP_WITHIN_S
    while time.monotonic() < deadline:
        if process.poll() is not None:
            raise EngineError(f"vLLM's server ended early (exit status {process.returncode}); its log is {log}")
        try:
            url = f"http://{_LOOPBACK}:{port}/health"
            if httpx.get(url, timeout=5.0, trust_env=False).status_code == 200:
                return
        except httpx.HTTPError:
            pass
        time.sleep(0.2)
    raise EngineError(f"vLLM's server did not come up within {_UP_WITHIN_S:.0f} s; its log is {log}")


def handle(message: dict[str, Any]) -> Iterator[dict[str, Any]]:
    """Start the server that the parent wants, and reply with its port; or say how replicas ran."""
    if "facts" in message:
        yield {"facts": [replicas.facts for replicas in _REPLICAS]}
        return
    spec = EngineSpec(**message["serve"])
    try:
        if (server := engine_row(spec.kind).judge) is None:
            raise EngineError(f"the engine {spec.kind} serves no judge")
        serves = resolve_name(server) if spec.replicas == 1 else _serve_replicas
        port = serves(spec, message["name"], message["log"])
        yield {"port": port, "replicas": sum(replicas.wanted for replicas in _REPLICAS)}
    except EngineError:
        raise
    except Exception as error:
        raise EngineError(f"{spec.kind} cannot serve {spec.model}: {type(error).__name__}: {error}") from error


if __name__ == "__main__":  # vLLM's processes import this module under another name
    serve(handle)
    for served in _REPLICAS:
        served.close()
