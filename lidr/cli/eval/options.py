"""Options that several actions of `lidr eval` share: which judge, which languages."""

from __future__ import annotations

import argparse
import os
from pathlib import Path
from typing import TYPE_CHECKING, Any

from lidr.engines import engines
from lidr.errors import EvaluationError

if TYPE_CHECKING:
    from lidr.evals.judge import Judge

_SETTINGS = (
    "mode",
    "template",
    "concurrency",
    "max_calls",
    "max_error_share",
    "seed",
    "timeout_s",
    "retries",
    "temperature",
    "max_tokens",
    "token_limit",
    "top_logprobs",
)


def judge_arguments(parser: argparse.ArgumentParser) -> None:
    """Options that choose a judge and say how it is asked."""
    group = parser.add_argument_group("judge")
    group.add_argument(
        "--judge",
        metavar="REF",
        help="openai:MODEL@URL (its key in LIDR_JUDGE_API_KEY), or a local model: org/name@rev, ./folder, run:..., "
        "dist:...; by default the server of LIDR_JUDGE_BASE_URL and LIDR_JUDGE_MODEL; none leaves answers unjudged",
    )
    group.add_argument(
        "--judge-mode", choices=("logprob", "logprob_swap", "text", "score"), help="default logprob_swap"
    )
    group.add_argument(
        "--judge-template", metavar="FILE", help="another template; alpaca_eval:NAME.txt for an installed one"
    )
    group.add_argument("--judge-concurrency", type=int, metavar="N", help="questions in flight; default 8")
    group.add_argument(
        "--judge-max-calls", type=int, metavar="N", help="refuse before the first call if more are needed"
    )
    group.add_argument(
        "--judge-max-error-share", type=float, metavar="X", help="default 0.05; above it the exit code is 3"
    )
    group.add_argument("--judge-seed", type=int, metavar="N", help="of the order in which answers are shown; default 0")
    group.add_argument("--judge-timeout-s", type=float, metavar="S", help="for one answer; default 120")
    group.add_argument("--judge-retries", type=int, metavar="N", help="after a passing fault; default 5")
    group.add_argument("--judge-temperature", type=float, metavar="T")
    group.add_argument("--judge-max-tokens", type=int, metavar="N", help="longest answer of the judge")
    group.add_argument(
        "--judge-top-logprobs", type=int, metavar="N", help="tokens whose probability is read; default 5"
    )
    group.add_argument(
        "--judge-token-limit", choices=("max_tokens", "max_completion_tokens"), help="the server's word for it"
    )
    group.add_argument(
        "--judge-engine",
        choices=engines(lambda row: row.judge),
        default="transformers",
        help="what serves a local judge",
    )


def judge_from(options: argparse.Namespace, *, log: Path, dtype: str = "float32") -> Judge | None:
    """The judge that the options, or else the environment, name; None for none.

    Raises:
        EvaluationError: no such judge, or a setting that cannot be used.
    """
    from lidr.evals.judge import JudgeSettings, judge_of, served

    if options.judge == "none":
        return None
    settings = judge_settings(options)
    if options.judge:
        return judge_of(options.judge, settings, kind=options.judge_engine, log=log, dtype=dtype)
    found = JudgeSettings.from_environment()
    return served(JudgeSettings.checked({**found.model_dump(exclude_unset=True), **settings})) if found else None


def judge_settings(options: argparse.Namespace) -> dict[str, Any]:
    """Settings of the judge but for who it is: the command line's, else the environment's, else none."""
    given = {name: getattr(options, f"judge_{name}", None) for name in _SETTINGS}
    around = {name: os.environ.get(f"LIDR_JUDGE_{name.upper()}") for name in (*_SETTINGS, "cache")}
    settings: dict[str, Any] = {name: value for name, value in around.items() if value}
    settings |= {name: value for name, value in given.items() if value is not None}
    return {"cache": str(_cache()), **settings}


def _cache() -> Path:
    """Where judges' answers are kept: one file for the whole store."""
    from lidr.store import store_root

    root = store_root("runs")
    root.mkdir(parents=True, exist_ok=True)
    return root / ".judge.sqlite"


def words(text: str, what: str) -> tuple[str, ...]:
    """A list written with commas.

    >>> words("en, de", "--langs")
    ('en', 'de')
    """
    found = tuple(dict.fromkeys(word.strip() for word in text.split(",") if word.strip()))
    if not found:
        raise EvaluationError(f"{what}: nothing named; write them with commas, as en,de,fr")
    return found
