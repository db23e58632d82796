"""The words of judging: what is compared, what one asked order said, what the verdict is, and who judges how.

Comparison --order.py--> one or two Orders --request.py, client.py, cache.py--> answers --verdict.py--> Verdict

A preference lies between 1 and 2, as alpaca_eval counts: 1 = output_1 (the reference) is better, 2 = output_2 (the
model) is better, 1.5 = a tie. Not judged is None, with the reason in `error`; it is never a loss.
"""

from __future__ import annotations

import os
import re
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Any, Literal

from pydantic import Field, ValidationError, field_validator

from lidr.errors import EvaluationError
from lidr.recipe.schema import Frozen

if TYPE_CHECKING:
    from lidr.evals.results import JudgeFacts

JudgeMode = Literal["logprob", "logprob_swap", "text", "score"]

TIE = 1.5


@dataclass(frozen=True)
class Comparison:
    """Two outputs for one instruction.

    Args:
        key: names it among the comparisons of one call; for people and tables, no part of the question.
        instruction: what was asked.
        output_1: the reference's answer.
        output_2: the model's answer.
    """

    key: str
    instruction: str
    output_1: str
    output_2: str


@dataclass(frozen=True)
class Order:
    """One question to the judge: the two outputs in one order, and what came back.

    Args:
        switched: whether output_2 was shown first.
        preference: 1 to 2 after unswitching (2 = output_2 is better), or None with an `error`.
        token: the identifier that the judge preferred, `m` (shown first) or `M` (shown second).
        p: probability of `m`, 0 to 1, before unswitching; None where the mode gives none.
        error: why there is no preference, as "reason: detail".
        cached: whether the answer came from the cache.
        prompt_tokens, completion_tokens: as the server counted; 0 where it did not.
        request_sha256: identity of the question, the key of the cache.
        scores: mode `score`: the two numbers, 0 to 10, of what was shown first and second.
        text: what the judge said, in the modes `text` and `score`.
    """

    switched: bool
    preference: float | None
    token: str | None = None
    p: float | None = None
    error: str | None = None
    cached: bool = False
    prompt_tokens: int = 0
    completion_tokens: int = 0
    request_sha256: str | None = None
    scores: tuple[float, float] | None = None
    text: str | None = None


@dataclass(frozen=True)
class Verdict:
    """What the judge says about one comparison: the mean of its orders, or why there is none.

    With two orders both must have been judged: half of a swap is biased by position, so it is no verdict.
    """

    key: str
    preference: float | None
    error: str | None = None
    identical: bool = False
    """Equal outputs are a tie, and nobody is asked."""
    orders: tuple[Order, ...] = ()

    def as_json(self) -> dict[str, Any]:
        """As stored in the details of a sample; `Verdict.from_json` reads it."""
        return asdict(self)

    @classmethod
    def from_json(cls, data: Mapping[str, Any]) -> Verdict:
        """Read what `as_json` wrote.

        Raises:
            EvaluationError: it is no verdict.
        """
        try:
            orders = tuple(
                Order(**{**order, "scores": tuple(order["scores"]) if order.get("scores") else None})
                for order in data["orders"]
            )
            return cls(**{**data, "orders": orders})
        except (TypeError, KeyError) as error:
            raise EvaluationError(f"no verdict of this lidr ({error}): judge again with `lidr eval judge`") from None


class JudgeSettings(Frozen):
    """Who judges, and how. The key is read from the environment when it is needed, and stands nowhere."""

    model: str = Field(min_length=1)
    """Name of the model, as the server knows it."""
    base_url: str
    """Of an OpenAI-compatible server, as in http://localhost:8000/v1."""
    mode: JudgeMode = "logprob_swap"
    """logprob: one token and its probability, one random order (the paper's way); logprob_swap: both orders; text: the
    token is read from the answer; score: 0 to 10 for each output."""
    concurrency: int = Field(8, ge=1, le=1024)
    """Questions in flight at once."""
    template: str | None = None
    """A file, or `alpaca_eval[:NAME.txt]` for one of an installed alpaca_eval; by default lidr's own."""
    api_key_env: str = "LIDR_JUDGE_API_KEY"
    """Environment variable that holds the server's key."""
    seed: int = Field(0, ge=0)
    """Of the random order."""
    timeout_s: float | None = Field(None, gt=0)
    """How long one answer may take; by default 120 s, and an hour for a judge that lidr serves: asking that again
    would only make it slower."""
    retries: int = Field(5, ge=0)
    """Further tries of a question that met a passing fault."""
    cache: str | None = None
    """SQLite file that keeps every answer, shared by all processes; none: nothing is kept."""
    max_calls: int | None = Field(None, ge=0)
    """Most calls that may be made; more are refused before the first."""
    max_error_share: float = Field(0.05, ge=0, le=1)
    """Share of comparisons that may fail before the evaluation counts as failed."""
    temperature: float | None = Field(None, ge=0, le=2)
    """By default 1 where probabilities are read (some servers report them after the temperature), else 0."""
    max_tokens: int | None = Field(None, ge=1)
    """Longest answer; by default 1 for log-probabilities, 16 for text, 1024 for scores. Raise it for a judge that
    thinks first."""
    token_limit: Literal["max_tokens", "max_completion_tokens"] = "max_tokens"
    """What the server calls it: OpenAI's newer models want max_completion_tokens."""
    top_logprobs: int = Field(5, ge=2, le=20)
    """How many of the likeliest first tokens are looked at; 5 is the paper's. A token outside them counts as
    impossible, so a small judge may need 20."""
    repeat: int = Field(0, ge=0)
    """Ask again: another number is a new question to the cache, and the request's `seed`."""
    shown: str | None = None
    """What records call the model, where the server knows it by another name."""
    digest: str | None = None
    """Identity of a judge that lidr serves itself (weights, engine, number format); the cache then goes by it, because
    such a server has another port each time."""

    @field_validator("template", "cache", mode="before")
    @classmethod
    def _as_text(cls, value: Any) -> Any:
        return os.fspath(value) if isinstance(value, os.PathLike) else value

    @field_validator("base_url")
    @classmethod
    def _plain_url(cls, value: str) -> str:
        if not re.match(r"https?://[^/\s]+", value):
            raise ValueError(f"{value!r} is not a server's URL; write http://HOST:PORT/v1")
        host = value.split("//", 1)[1].split("/", 1)[0]
        if "@" in host or "?" in value or "#" in value:
            raise ValueError(
                f"the URL of {host.rpartition('@')[2].partition('?')[0]} holds a user, a password or a query, which "
                "would end up in records; give the key in the environment"
            )
        value = value.rstrip("/")
        return value if "/" in value.split("//", 1)[1] else f"{value}/v1"

    @classmethod
    def from_environment(cls, env: Mapping[str, str] | None = None) -> JudgeSettings | None:
        """Read LIDR_JUDGE_BASE_URL, _MODEL, _MODE, _CONCURRENCY, _CACHE, _TEMPLATE, _SEED, _MAX_CALLS, ...

        Every setting has its variable: `LIDR_JUDGE_` and the setting's name in capitals.

        Returns:
            The settings; None when neither the model nor the server is named: then nothing is judged.

        Raises:
            EvaluationError: only one of the two is named, or a value is none.
        """
        env = os.environ if env is None else env
        given = {name: env[variable] for name in cls.model_fields if (env.get(variable := _variable(name)))}
        if "model" not in given and "base_url" not in given:
            return None
        return cls.checked({name: value.strip() for name, value in given.items()}, say=_variable)

    @classmethod
    def checked(cls, values: Mapping[str, Any], *, say: Any = str) -> JudgeSettings:
        """Make settings of values from outside; `say` turns a setting's name into the user's word for it.

        Raises:
            EvaluationError: names every value that cannot be used.
        """
        try:
            return cls.model_validate(dict(values))
        except ValidationError as error:
            lines = [
                f"{say(str(found['loc'][0]))}: {found['msg'].removeprefix('Value error, ')}" for found in error.errors()
            ]
            raise EvaluationError("settings of the judge: " + "; ".join(lines)) from None

    @property
    def patience_s(self) -> float:
        """How long one answer may take."""
        return self.timeout_s or (120.0 if self.digest is None else 3600.0)

    @property
    def identity(self) -> str:
        """Where answers come from, for the cache."""
        return self.base_url if self.digest is None else f"local:{self.digest}"

    def facts(self) -> JudgeFacts:
        """Return what a result record says about the judge.

        Raises:
            EvaluationError: the template cannot be read.
        """
        from lidr.evals.judge.judge_template import comparing_template
        from lidr.evals.judge.question import decoding_of
        from lidr.evals.results import JudgeFacts

        template = comparing_template(self)
        return JudgeFacts(
            model=self.shown or self.model,
            mode=self.mode,
            template=template.name,
            template_sha256=template.sha256,
            served="server" if self.digest is None else "local",
            digest=self.digest,
            seed=self.seed,
            host=None if self.digest is not None else self.base_url.split("//", 1)[1].split("/", 1)[0],
            decoding=decoding_of(self),
        )


def _variable(name: str) -> str:
    return f"LIDR_JUDGE_{name.upper()}"
