"""Servers that fail in every way known: each question answered once, or a row that says why not.

A trial asks a real server on this machine forty questions, eight at once, through the `openai` engine, or as the
`generate` step of a run whose rows are then read. By its seed half of the questions meet faults that pass, and some one
that does not.

    every key once    and each with the answer, or the reason, that the script of faults asks for
    missed            anything else
"""

from __future__ import annotations

import gzip
import json
import random
from collections import Counter
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import pytest

from lidr.engines.engine import ChatRequest, Completion, EngineSpec, Sampling
from lidr.engines.remote.openai import OpenAIEngine
from lidr.retry import Retry
from tests.damaged_files import Trial
from tests.engines.server import Reply, Server, completion

QUESTIONS, AT_ONCE, TRIES, MOST_FAULTS = 40, 8, 6, 4
WANTED = 220
"""Trials, with some fifty faulted calls each."""
RUN_EVERY = 10
_PATIENCE = Retry(attempts=TRIES, base_s=0.002, cap_s=0.02, timeout_s=3.0)


def _usage(**counts: object) -> Reply:
    answer = json.loads(completion().body)
    answer["usage"] |= counts
    return Reply(body=json.dumps(answer))


def _declined() -> Reply:
    answer = json.loads(completion(None).body)
    answer["choices"][0]["message"]["refusal"] = "I cannot."
    return Reply(body=json.dumps(answer))


_BOMB = gzip.compress(b" " * 70_000_000)
PASSING: dict[str, Reply] = {
    "500": Reply(500, "worker died"),
    "502, HTML": Reply(502, "<html>gateway</html>"),
    "503": Reply(503),
    "408": Reply(408),
    "429": Reply(429, "slow down", {"Retry-After": "0"}),
    "429, nonsense in Retry-After": Reply(429, "", {"Retry-After": "soon"}),
    "no choices": Reply(200, '{"choices": []}'),
    "no JSON": Reply(200, "<html>proxy</html>"),
    "nonsense JSON": Reply(200, '["nonsense"]'),
    "no bytes": Reply(200, ""),
    "cut body": Reply(200, '{"choices": [{"mess', cut=True),
    "no UTF-8": Reply(200, b"\xff\xfe\x00{"),
    "no message": Reply(200, '{"choices": [{"finish_reason": "stop"}]}'),
    "a message of numbers": completion(17),  # type: ignore[arg-type]
    "choices that are none": Reply(200, '{"choices": {"a": 1}}'),
    "tokens that no table holds": _usage(prompt_tokens=10**23),
    "infinite tokens": Reply(200, _usage().body.replace("11", "1e999")),  # type: ignore[arg-type]
    "less than no tokens": _usage(completion_tokens=-1),
    "half a token": _usage(completion_tokens=0.5),
    "deep JSON": Reply(200, "[" * 20_000),
    "a number of 5,000 digits": Reply(200, _usage().body.replace("11", "1" * 5000)),  # type: ignore[arg-type]
    "another compression than it says": Reply(200, "{}", {"Content-Encoding": "gzip"}),
    "an unknown compression": Reply(200, "{}", {"Content-Encoding": "br"}),
}
RARE: dict[str, Reply] = {
    "a packed body of 70 MB": Reply(200, _BOMB, {"Content-Encoding": "gzip"}),
    "no answer in time": completion(delay_s=3.3),
    "drips": completion("x" * 100, drip_s=0.05),
}
LASTING: dict[str, tuple[Reply, str]] = {
    "a filter, as status": (Reply(400, '{"error": {"code": "content_filter", "message": "no"}}'), "content_filter"),
    "a filter, as finish_reason": (completion("Mi", "content_filter"), "content_filter"),
    "a policy": (Reply(400, '{"error": {"code": "content_policy_violation"}}'), "content_filter"),
    "a refusal": (Reply(400, '{"error": {"message": "we do not speak of this", "code": "invalid_prompt"}}'), "refused"),
    "a refusal, as field": (_declined(), "refused"),
    "too long": (Reply(400, '{"error": {"code": "context_length_exceeded"}}'), "prompt_too_long"),
    "tools": (completion("Mi", "tool_calls"), "unreadable"),
    "never readable": (Reply(200, "<html>this page</html>"), "unreadable"),
}


class Script:
    """What the server does at each try of each question: drawn by the question, whatever the order of asking."""

    def __init__(self, seed: str) -> None:
        self._seed = seed
        self.met: Counter[str] = Counter()
        self._tries: Counter[str] = Counter()

    def plan(self, text: str) -> tuple[list[tuple[str, Reply]], str | None]:
        """The faults that pass, and the name of the one that lasts."""
        draw = random.Random(f"{self._seed} {text}")
        count = draw.choice((0, 1, 2, 3, MOST_FAULTS)) if draw.random() < 0.6 else 0
        named = [*(RARE if draw.random() < 0.02 else PASSING).items()]
        lasting = draw.choice([*LASTING]) if draw.random() < 0.12 else None
        if lasting == "never readable":  # that is said only where no try met anything else
            count = 0
        return [draw.choice(named) for _ in range(count)], lasting

    def reply(self, body: dict[str, Any], number: int) -> Reply:
        """As the server of the tests calls it."""
        text = body["messages"][-1]["content"]
        if text == "Hello!":  # what the engine asks where it has had no answer yet
            return completion("Hi.")
        faults, lasting = self.plan(text)
        at, self._tries[text] = self._tries[text], self._tries[text] + 1
        if at < len(faults):
            self.met[faults[at][0]] += 1
            return faults[at][1]
        if lasting:
            self.met[lasting] += 1
            return LASTING[lasting][0]
        return completion(f"To {text}: yes.")

    def expected(self, text: str) -> tuple[str, str]:
        """Finish reason and text of the row."""
        _, lasting = self.plan(text)
        if lasting is None:
            return "stop", f"To {text}: yes."
        reply, reason = LASTING[lasting]
        return reason, "Mi" if '"Mi"' in str(reply.body) else ""


def trials(folder: Path, numbers: Sequence[int]) -> Iterator[Trial]:
    """Trials by their numbers."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("NO_PROXY", "127.0.0.1")
        patch.setattr("lidr.engines.remote.openai.Retry", lambda **_: _PATIENCE)
        for number in numbers:
            script = Script(f"calls {number}")
            with Server(script.reply) as server:
                kind, asked = "calls", _asked
                if number % RUN_EVERY == 0:
                    kind, asked = "calls of a run", _ran
                try:
                    odd = asked(script, server, folder / str(number))
                except Exception as error:
                    odd = f"{type(error).__name__}: {str(error)[:300]}"
                calls, faulted = len(server.bodies), sum(script.met.values())
            yield Trial(kind, "missed" if odd else "every key once", f"{calls} calls, {faulted} faulted", odd)


def _asked(script: Script, server: Server, folder: Path) -> str:
    """Straight through the engine; what is wrong."""
    spec = EngineSpec("openai", model="bee-1", url=server.url, batch=AT_ONCE, api_key_env="NO_SUCH_KEY")
    texts = {f"k{n}": f"question {n}" for n in range(QUESTIONS)}
    requests = [ChatRequest(key, ({"role": "user", "content": text},), Sampling(max_tokens=16), None)
                for key, text in texts.items()]  # fmt: skip
    with OpenAIEngine(spec) as engine:
        found = [*engine.generate(requests)]
    if sorted(result.key for result in found) != sorted(texts):
        return f"keys: {Counter(result.key for result in found).most_common(3)}, {len(found)} of {len(texts)}"
    for result in found:
        if not isinstance(result, Completion):
            return f"{result}"
        wanted = script.expected(texts[result.key])
        if (result.finish_reason, result.text) != wanted:
            return f"{result} is not {wanted}"
        if result.finish_reason in ("content_filter", "refused", "unreadable") and not result.said:
            return f"{result} does not say why"
    return ""


def _ran(script: Script, server: Server, folder: Path) -> str:
    """Through a run; its rows are read from the store."""
    import lidr
    from lidr.store.artifact import open_artifact
    from tests.scripted import NAMES, RECIPE, TOPICS, write_world

    recipe = RECIPE.replace("canned@http://127.0.0.1:9", f"canned@{server.url}").replace(
        "engine: scripted, answers: {folder}/answers.jsonl", f"engine: openai, engine_batch: {AT_ONCE}"
    )
    loaded = lidr.load_recipe(write_world(folder, recipe), overrides=["iterations=[{prompts: '0:8'}]"])
    planned = lidr.run(loaded, until="generate")
    rows = open_artifact(planned.version_folder / "iter_1/generate").read().to_pylist()
    found = {(row["prompt_id"], row["language"]): (row["finish_reason"], row["text"]) for row in rows}
    wanted = {
        (f"p{i}", code): script.expected(f"{name}: tell me about {topic}")
        for code, name in NAMES.items()
        for i, topic in enumerate(TOPICS)
    }
    if len(rows) != len(wanted):
        return f"{len(rows)} rows for {len(wanted)} questions"
    wrong = [(key, found.get(key), row) for key, row in wanted.items() if found.get(key) != row]
    return str(wrong[:3]) if wrong else ""
