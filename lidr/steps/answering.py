"""Ask an engine many questions and keep each answer as it comes, so that an interrupted step goes on where it was."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Sequence
from contextlib import ExitStack
from dataclasses import asdict
from types import TracebackType
from typing import Any

from lidr.engines import ChatRequest, Completion, Engine, EngineSpec, Failure, engine_row
from lidr.errors import EngineError
from lidr.steps.step_kind import StepRun, Surroundings, scripted_answers
from lidr.store import Journal, file_sha256

ANSWER_FIELDS = ("system_prompt", "seed", "policy.dtype", "runtime.engine", "runtime.max_model_len")
"""Recipe fields that can change an answer of the policy."""


class Answering:
    """One engine start for all the questions of a step, and the journal of its answers.

    The engine is started at the first question without a stored answer, so a step whose answers are all there starts
    none.
    """

    def __init__(self, run: StepRun, spec: Callable[[], EngineSpec] | None = None) -> None:
        """Open the journal of the step's unfinished try; `spec` describes another engine than the policy's."""
        self._run, self._spec = run, spec or run.engine_spec
        self._stack = ExitStack()
        self._journal = self._stack.enter_context(Journal(run.work / "answers.jsonl"))
        self._engine: Engine | None = None

    def known(self, requests: Sequence[ChatRequest]) -> int:
        """How many of these have a stored answer."""
        return sum(request.key in self._journal.rows for request in requests)

    def ask(self, requests: Sequence[ChatRequest]) -> dict[str, Completion]:
        """Answer every request; answers that an earlier try stored are not asked again.

        Raises:
            EngineError: some got no answer. Those that did are stored; the same command asks only the rest.
        """
        missing = [request for request in requests if request.key not in self._journal.rows]
        failures: list[Failure] = []
        if missing:
            for answer in self._start().generate(missing):
                if isinstance(answer, Failure):
                    failures.append(answer)
                    continue
                row = asdict(answer) | {"text": storable(answer.text)}
                del row["token_ids"]
                self._journal.add(row.pop("key"), row)
                self._run.progress.add()
        if failures:
            raise EngineError(
                f"{len(failures)} of {len(requests)} requests got no answer; the first, {failures[0].key}: "
                f"{failures[0].error}. The others are kept: run the same command again to ask only these"
            )
        return {request.key: Completion(request.key, **self._journal.rows[request.key]) for request in requests}

    def _start(self) -> Engine:
        if self._engine is None:
            self._engine = self._stack.enter_context(self._run.engine(self._spec()))
        return self._engine

    def __enter__(self) -> Answering:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, value: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._stack.close()


def storable(text: str) -> str:
    """The text with U+FFFD for each half of a surrogate pair, which a server can send and UTF-8 cannot hold.

    >>> storable("wax \\ud83d!")
    'wax �!'
    """
    return text.encode("utf-16", "surrogatepass").decode("utf-16", "replace")


def request_seed(seed: int, key: str) -> int:
    """A seed of its own for each request, the same on every machine and in any order (32 bits)."""
    return int.from_bytes(hashlib.sha256(f"{seed}/{key}".encode()).digest()[:4], "big")


def outside_answers(around: Surroundings, config: Any) -> dict[str, Any]:
    """Canned answers are identity by the content of their file; a second BOS token, where there is one."""
    found: dict[str, Any] = {"double_bos": True} if around.recipe.policy.double_bos else {}
    if engine_row(around.recipe.runtime.engine).model == "script":
        found["answers"] = file_sha256(scripted_answers(around))
    return found
