"""Ask an engine many questions and keep each answer as it comes, so that an interrupted step goes on where it was."""

from __future__ import annotations

import hashlib
from collections import Counter
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping
from contextlib import ExitStack
from dataclasses import asdict
from itertools import chain
from types import TracebackType
from typing import Any

from lidr.engines import ChatRequest, Completion, Engine, EngineSpec, Failure, engine_row, text_arguments
from lidr.errors import EngineError
from lidr.reasoning import told_apart
from lidr.rows import UNANSWERED
from lidr.steps.step_kind import StepRun, Surroundings, scripted_answers
from lidr.store import Journal, file_sha256

ANSWER_FIELDS = ("system_prompt", "seed", "policy.dtype", "runtime.engine", "runtime.max_model_len")
"""Recipe fields that can change an answer of the policy."""


_OF_SERVERS = ("said", "served_by")
_OFTEN_EMPTY = (*_OF_SERVERS, "reasoning", "reasoning_tokens")


class Answering:
    """One engine start for all the questions of a step, and the journal of its answers.

    The engine is started at the first question without a stored answer, so a step whose answers are all there starts
    none. Questions go through one by one and answers lie on disk: of each only its place in the journal is held.
    """

    def __init__(self, run: StepRun, spec: Callable[[], EngineSpec] | None = None) -> None:
        """Open the journal of the step's unfinished try; `spec` describes another engine than the policy's."""
        self._run, self._spec = run, spec or run.engine_spec
        self._stack = ExitStack()
        self._any_thoughts = False
        self._journal = self._stack.enter_context(Journal(run.work / "answers.jsonl", keeps=self._keeps))
        self._engine: Engine | None = None

    def _keeps(self, key: str, row: Mapping[str, Any]) -> bool:
        """Whether a stored answer can be used, else it is asked again."""
        if not _fits(row) or self._has_thoughts(row):
            return False
        self._any_thoughts |= bool(row.get("reasoning") or row.get("reasoning_tokens"))
        return True

    def _has_thoughts(self, row: Mapping[str, Any]) -> bool:
        """Whether an answer that older rules stored holds what was thought, too."""
        reasoning = self._run.recipe.policy.reasoning
        is_cut = reasoning is None or reasoning.parser == "auto"
        return is_cut and told_apart(row.get("text", ""))[1:] != ("", False)

    def is_known(self, key: str) -> bool:
        """Whether a request has a stored answer."""
        return key in self._journal.rows

    def ask(
        self, requests: Iterable[ChatRequest | None], heard: Callable[[str, bool], None] = lambda _key, _answered: None
    ) -> None:
        """Answer every request; answers that an earlier try stored are not asked again.

        Args:
            requests: they may depend on answers that were given before, and None stands for: no more for now.
            heard: is told of each request that was asked whether it was answered, when the answer is stored.

        Raises:
            EngineError: some got no answer. Those that did are stored; the same command asks only the rest.
        """
        asked = failed = 0
        first: Failure | None = None

        def missing() -> Iterator[ChatRequest | None]:
            nonlocal asked
            for request in requests:
                asked += request is not None
                if request is None or request.key not in self._journal.rows:
                    yield request

        left = missing()
        for request in left:  # the first one: without it no engine is started
            for answer in self._start().generate(chain((request,), left)):
                if isinstance(answer, Failure):
                    first, failed = first or answer, failed + 1
                else:
                    self._store(answer)
                heard(answer.key, isinstance(answer, Completion))
        if first is not None:
            raise EngineError(
                f"{failed} of {asked} requests got no answer; the first, {first.key}: {first.error}. The others are "
                "kept: run the same command again to ask only these"
            )

    def ask_besides(self, requests: Collection[ChatRequest]) -> None:
        """Answer requests that are more than the step said it has to do; as `ask`."""
        self._run.progress.more(len(requests), sum(self.is_known(one.key) for one in requests))
        self.ask(requests)

    def _store(self, answer: Completion) -> None:
        texts = ("text", "reasoning", *_OF_SERVERS)
        row = asdict(answer) | {name: storable(getattr(answer, name)) for name in texts}
        for name in ("token_ids", *(name for name in _OFTEN_EMPTY if not row[name])):
            del row[name]
        self._journal.add(key := row.pop("key"), row)
        self._keeps(key, row)
        self._run.progress.add()

    def answer(self, key: str) -> Completion:
        """The answer to one request that was asked."""
        return Completion(key, **self._journal.rows[key])

    def have_thoughts(self, keys: Iterable[str]) -> bool:
        """Whether anything was thought before one of these answers."""
        return self._any_thoughts and any(is_thought(self.answer(key)) for key in keys)

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


def is_thought(answer: Completion) -> bool:
    """Whether something was thought before an answer."""
    return bool(answer.reasoning or answer.reasoning_tokens)


class Tally:
    """What is counted of answers, one after the other: which cannot be used and why, who gave them, what was thought.

    Each is counted once.
    """

    def __init__(self) -> None:
        self.asked = 0
        self._declined: dict[tuple[str, str], tuple[Any, ...]] = {}  # count, and of the first: its place and key
        self._served: Counter[str] = Counter()
        self._thoughts: Counter[str] = Counter()

    def add(self, answer: Completion, at: tuple[int, ...] = ()) -> None:
        """Count one answer; `at` is its place, where they do not come in their order."""
        self.asked += 1
        self._served[answer.served_by] += 1
        if answer.finish_reason in UNANSWERED and answer.said:
            count, *first = self._declined.get((answer.finish_reason, answer.said), (0, at, answer.key))
            if at < first[0]:
                first = [at, answer.key]
            self._declined[answer.finish_reason, answer.said] = (count + 1, *first)
        if is_thought(answer):
            is_unclosed = int(answer.finish_reason == "length" and not answer.text)
            self._thoughts.update(answers=1, unclosed=is_unclosed, tokens=answer.reasoning_tokens)

    @property
    def unanswered(self) -> list[dict[str, Any]]:
        """Which requests have no answer to use, and what the server said: {finish_reason, said, count, first}, the
        most frequent first, at most ten.
        """
        ordered = sorted(self._declined.items(), key=lambda item: (-item[1][0], item[0]))
        return [
            {"finish_reason": reason, "said": said, "count": count, "first": first}
            for (reason, said), (count, _, first) in ordered[:10]
        ]

    @property
    def served(self) -> dict[str, dict[str, int]]:
        """How many of the answers are of which model, in the server's words; empty where none says so."""
        return {"served": dict(sorted(self._served.items()))} if any(self._served) else {}

    @property
    def thoughts(self) -> dict[str, int]:
        """How many of the answers had thoughts, how many ended in one, and the tokens of all; empty where none had
        any.
        """
        return dict(self._thoughts)


def _fits(row: Mapping[str, Any]) -> bool:
    """Whether a stored answer has numbers that a table can hold; servers have sent others."""
    return all(0 <= row.get(name, 0) < 2**31 for name in ("prompt_tokens", "completion_tokens", "reasoning_tokens"))


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
    """Canned answers are identity by the content of their file; a second BOS token and what vLLM is told, where there
    is such.
    """
    found: dict[str, Any] = {"double_bos": True} if around.recipe.policy.double_bos else {}
    found |= vllm_identity(around)
    if engine_row(around.recipe.runtime.engine).model == "script":
        found["answers"] = file_sha256(scripted_answers(around))
    return found


def vllm_identity(around: Surroundings) -> dict[str, Any]:
    """What the recipe tells vLLM that can change a text; nothing where another engine answers, or nothing is told."""
    runtime = around.recipe.runtime
    told = text_arguments(runtime.vllm) if runtime.engine == "vllm" else {}
    return {"vllm": told} if told else {}


def budget_identity(around: Surroundings) -> dict[str, Any]:
    """The longest thought, for a step whose answers had none before; nothing where there is none."""
    reasoning = around.recipe.policy.reasoning
    return {"thinking_budget": reasoning.budget} if reasoning is not None and reasoning.budget is not None else {}
