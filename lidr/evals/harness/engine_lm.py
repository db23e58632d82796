"""lidr's engines behind lm-eval's interface: a server, canned answers, or several replicas of a model. Only generation;
a server gives no more.
"""

from __future__ import annotations

import json
import logging
from collections import Counter
from collections.abc import Sequence
from typing import Any, NoReturn

from lm_eval.api.instance import Instance
from lm_eval.api.model import LM

from lidr.engines import ChatRequest, Completion, Engine, Sampling
from lidr.errors import EvaluationError
from lidr.evals.results import Declined

MAX_TOKENS = "--max-tokens (in a recipe evaluate.max_tokens)"
"""The setting for how long answers may be, as messages name it."""


class EngineLM(LM):  # type: ignore[misc]  # lm-eval is untyped here
    """Asks an engine; conversations travel through lm-eval as JSON.

    An answer that was given is kept; a request that failed is asked again by the next run.
    """

    def __init__(self, engine: Engine, *, seed: int) -> None:
        super().__init__()
        self._engine, self._seed = engine, seed

    def generate_until(self, requests: Sequence[Instance], disable_tqdm: bool = False) -> list[str]:
        """Answer each request; each is (conversation as JSON, decoding).

        Raises:
            EvaluationError: a request was not answered, or each prompt is too long.
        """
        asked = [self._request(str(number), *request.args) for number, request in enumerate(requests)]
        answers: dict[str, str] = {}
        failed: list[str] = []
        declined: Counter[str] = Counter()
        too_long: list[str] = []
        for result in self._engine.generate(asked):
            if isinstance(result, Completion):
                answer = answers[result.key] = _answer_of(result)
                if result.finish_reason == "prompt_too_long":
                    too_long.append(result.key)
                    continue
                self.cache_hook.add_partial("generate_until", requests[int(result.key)].args, answer)
                if isinstance(answer, Declined):
                    declined[answer.said or answer.reason] += 1
            else:
                failed.append(result.error)
        if asked and len(too_long) == len(asked):
            raise EvaluationError(
                f"the server finds each of the {len(asked)} prompts too long: give a smaller {MAX_TOKENS}, or a larger "
                "context to the server"
            )
        for key in too_long:  # kept only now: where all are, nothing is to be kept
            self.cache_hook.add_partial("generate_until", requests[int(key)].args, answers[key])
            declined["prompt_too_long"] += 1
        if declined:
            said, _ = declined.most_common(1)[0]
            logging.getLogger("lidr.evals").warning(
                "%d of %d requests have no answer and count as they are, most often: %s",
                declined.total(),
                len(asked),
                said,
            )
        if failed:
            raise EvaluationError(
                f"{len(failed)} of {len(asked)} requests were not answered, the first because: {failed[0]}. The others "
                "are kept: run the same command again"
            )
        return [answers[request.key] for request in asked]

    def _request(self, key: str, conversation: str, decoding: dict[str, Any]) -> ChatRequest:
        sampling = Sampling(
            max_tokens=decoding["max_gen_toks"],
            temperature=decoding.get("temperature", 0.0),
            repetition_penalty=decoding.get("repetition_penalty", 1.0),
            seed=self._seed,
            stop=tuple(decoding.get("until") or ()),
        )
        return ChatRequest(key, tuple(json.loads(conversation)), sampling)

    def apply_chat_template(self, chat_history: list[dict[str, str]], add_generation_prompt: bool = True) -> str:
        """The engine applies the template; here the conversation is only written down."""
        return json.dumps(chat_history, ensure_ascii=False)

    @property
    def ran_on(self) -> dict[str, Any]:
        """For a record: how an engine of several replicas ran; empty for any other."""
        return dict(getattr(self._engine, "facts", {}))

    @property
    def tokenizer_name(self) -> str:
        """For lm-eval's caches: the engine has the tokenizer."""
        return "engine"

    def chat_template(self, chat_template: bool | str = False) -> str:
        """None of ours."""
        return ""

    def loglikelihood(self, requests: Sequence[Instance]) -> NoReturn:
        """Refuse: a chat server gives no log-likelihoods."""
        raise EvaluationError("this engine gives no log-likelihoods: evaluate these tasks with --engine hf or vllm")

    def loglikelihood_rolling(self, requests: Sequence[Instance]) -> NoReturn:
        """Refuse, for the same reason."""
        self.loglikelihood(requests)


def _answer_of(result: Completion) -> str:
    if result.finish_reason in ("stop", "length"):
        return result.text
    return Declined(result.text, result.finish_reason, result.said)
