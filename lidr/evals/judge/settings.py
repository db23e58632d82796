"""Who judges, and how: settings of the judge, from a recipe, the command line or the environment."""

from __future__ import annotations

import os
import re
from collections.abc import Callable, Mapping
from contextlib import AbstractContextManager
from typing import Any, ClassVar, Literal

from pydantic import Field, ValidationError, field_validator

from lidr.errors import EvaluationError
from lidr.evals.judge.verdicts import JudgeMode
from lidr.recipe import Frozen
from lidr.retry import Retry

MOST_AT_ONCE = 1024
"""Questions in flight."""


class JudgeSettings(Frozen):
    """Who judges, and how. The key is read from the environment when it is needed, and stands nowhere."""

    numbers_as_text: ClassVar[bool] = True

    model: str = Field(min_length=1)
    """Name of the model, as the server knows it."""
    base_url: str
    """Of an OpenAI-compatible server, as in http://localhost:8000/v1."""
    mode: JudgeMode = "logprob_swap"
    """logprob: one token and its probability, one random order (the paper's way); logprob_swap: both orders; text: the
    token is read from the answer; score: 0 to 10 for each output."""
    concurrency: int = Field(8, ge=1, le=MOST_AT_ONCE)
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
    def patience(self) -> Retry:
        """How long one answer may take, and how often it is asked for. That lidr's own server is slow is not told."""
        if self.digest is not None:
            return Retry(self.retries + 1, timeout_s=self.timeout_s or 3600.0, told_after_s=None)
        return Retry(self.retries + 1, timeout_s=self.timeout_s or 120.0)

    @property
    def identity(self) -> str:
        """Where answers come from, for the cache."""
        return self.base_url if self.digest is None else f"local:{self.digest}"


def _variable(name: str) -> str:
    return f"LIDR_JUDGE_{name.upper()}"


Judge = Callable[[], AbstractContextManager[JudgeSettings]]
"""Opens a judge: a server that is there, or one that lidr starts and ends."""
