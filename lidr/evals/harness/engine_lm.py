"""lidr's engines behind lm-eval's interface: a server, or canned answers. Only generation; a server gives no more."""

from __future__ import annotations

import json
from collections.abc import Sequence
from typing import Any, NoReturn

from lm_eval.api.instance import Instance
from lm_eval.api.model import LM

from lidr.engines import ChatRequest, Completion, Engine, Sampling
from lidr.errors import EvaluationError


class EngineLM(LM):  # type: ignore[misc]  # lm-eval is untyped here
    """Asks an engine; conversations travel through lm-eval as JSON.

    An answer that was given stays in lm-eval's cache; a request that failed is asked again by the next run.
    """

    def __init__(self, engine: Engine, *, seed: int) -> None:
        super().__init__()
        self._engine, self._seed = engine, seed

    def generate_until(self, requests: Sequence[Instance], disable_tqdm: bool = False) -> list[str]:
        """Answer each request; each is (conversation as JSON, decoding).

        Raises:
            EvaluationError: a request was not answered.
        """
        asked = [self._request(str(number), *request.args) for number, request in enumerate(requests)]
        answers: dict[str, str] = {}
        failed: list[str] = []
        for result in self._engine.generate(asked):
            if isinstance(result, Completion) and result.finish_reason != "prompt_too_long":
                answers[result.key] = result.text
                self.cache_hook.add_partial("generate_until", requests[int(result.key)].args, result.text)
            else:
                failed.append("the prompt is too long" if isinstance(result, Completion) else result.error)
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
