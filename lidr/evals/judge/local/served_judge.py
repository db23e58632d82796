"""A judge on several replicas: what each replica runs, and what stands before all of them.

    JudgeClient --HTTP--> server of JudgeReplicas --Ray--> ServedJudge --HTTP, loopback--> the server of one judge
                                                           one on each replica, in its worker process

A question travels as it was asked, in a message of a ChatRequest, and its answer as the server gave it, in the text of
a Completion: so each replica answers as one judge alone does, whichever engine serves it.
"""

from __future__ import annotations

import json
import queue
import threading
from collections.abc import Iterable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor, as_completed
from pkgutil import resolve_name
from typing import Any

from lidr.engines import ChatRequest, Completion, Engine, EngineSpec, Failure, Message, Sampling, engine_row
from lidr.errors import EngineError

SERVED = "judge"
"""What the server of a local judge calls it: a name that no folder can change, since it is part of each question."""
_AT_ONCE = 256
"""Questions that a replica's server has at once: a chunk has no more."""

Served = tuple[int, str]
"""Status and content of a server's answer."""


class ServedJudge(Engine):
    """The server of one judge, in this process group, asked as an engine. Runs inside a worker process."""

    def __init__(self, spec: EngineSpec) -> None:
        """Load the model and start its server.

        Raises:
            EngineError: the model cannot be served as a judge.
        """
        import httpx

        if (server := engine_row(spec.kind).judge) is None:
            raise EngineError(f"the engine {spec.kind} serves no judge")
        port = resolve_name(server)(spec, SERVED, "that of the replica, beside the step's own")
        self._client = httpx.Client(
            base_url=f"http://127.0.0.1:{port}/v1",
            timeout=None,
            trust_env=False,
            limits=httpx.Limits(max_connections=_AT_ONCE),
        )

    def generate(self, requests: Iterable[ChatRequest | None]) -> Iterator[Completion | Failure]:
        """Ask all of them, and give each answer as soon as the server does; what it refuses is an answer, too."""
        with ThreadPoolExecutor(_AT_ONCE) as pool:
            asked = [pool.submit(self._ask, request) for request in requests if request is not None]
            for answered in as_completed(asked):
                yield answered.result()

    def close(self) -> None:
        """Close the connections; the server ends with this process."""
        self._client.close()

    def _ask(self, request: ChatRequest) -> Completion:
        body = {**json.loads(request.messages[0]["content"]), "model": SERVED}
        answer = self._client.post("/chat/completions", json=body)
        text = json.dumps([answer.status_code, answer.text])
        return Completion(request.key, text, "stop", prompt_tokens=0, completion_tokens=0)


class JudgeReplicas:
    """Hands questions to an engine of replicas as they come, and answers back; used by many threads."""

    def __init__(self, engine: Any) -> None:
        """Begin to listen; `engine` is one of replicas whose specification judges."""
        self._engine = engine
        self._inbox: queue.SimpleQueue[ChatRequest | None] = queue.SimpleQueue()
        self._waiting: dict[str, Future[Served]] = {}
        self._lock, self._fault, self._asked = threading.Lock(), "", 0
        self._thread = threading.Thread(target=self._work, daemon=True)
        self._thread.start()

    def ask(self, body: dict[str, Any]) -> Future[Served]:
        """The server's answer, when it is there; where no replica could answer, a refusal that says why."""
        future: Future[Served] = Future()
        with self._lock:
            if self._fault:
                future.set_result(_refused(self._fault))
                return future
            key, self._asked = str(self._asked), self._asked + 1
            self._waiting[key] = future
        message = Message(role="user", content=json.dumps(body))
        self._inbox.put(ChatRequest(key, (message,), Sampling(max_tokens=1)))
        return future

    @property
    def wanted(self) -> int:
        """How many replicas there are to be."""
        return int(self._engine.replicas[1])

    @property
    def facts(self) -> dict[str, Any]:
        """How the replicas ran, for a record."""
        return dict(self._engine.facts)

    def close(self) -> None:
        """Ask nothing more, and end the replicas."""
        self._inbox.put(None)
        self._thread.join()
        self._engine.close()

    def _work(self) -> None:
        try:
            for answer in self._engine.generate(self._questions()):
                with self._lock:
                    future = self._waiting.pop(answer.key)
                if isinstance(answer, Failure):
                    future.set_result(_refused(answer.error))
                else:
                    status, content = json.loads(answer.text)
                    future.set_result((status, content))
        except Exception as error:
            self._give_up(str(error) if isinstance(error, EngineError) else f"{type(error).__name__}: {error}")

    def _questions(self) -> Iterator[ChatRequest | None]:
        while True:
            try:
                question = self._inbox.get_nowait()
            except queue.Empty:
                yield None
                continue
            if question is None:
                return
            yield question

    def _give_up(self, why: str) -> None:
        """Refuse what waits, and whatever is asked from now on."""
        with self._lock:
            self._fault, waiting = why, [*self._waiting.values()]
            self._waiting.clear()
        for future in waiting:
            future.set_result(_refused(why))


def _refused(why: str) -> Served:
    return 400, json.dumps({"error": {"message": why, "type": "server_error"}})
