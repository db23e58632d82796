"""Options that several actions of `lidr eval` share: which judge, which languages."""

from __future__ import annotations

import argparse
import json
import os
from pathlib import Path
from typing import TYPE_CHECKING, Any

from lidr.engines import engines
from lidr.errors import EvaluationError
from lidr.language_tags import unknown_language
from lidr.languages import LANGUAGES

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
    group.add_argument(
        "--replicas",
        type=_replicas,
        default=1,
        metavar="N",
        help="models that share the questions, also those to a local judge: a number, or `all` that find a place",
    )
    group.add_argument(
        "--cluster",
        default="local",
        metavar="WHERE",
        help="where they run: local, auto (the Ray cluster of RAY_ADDRESS), or HOST:PORT; default local",
    )


def _replicas(text: str) -> int | str:
    """Of --replicas."""
    if text != "all" and (not text.isascii() or not text.isdigit() or int(text) < 1):
        raise argparse.ArgumentTypeError(f"{text}: a number of at least 1, or all")
    return text if text == "all" else int(text)


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
        where = {"replicas": options.replicas, "cluster": options.cluster}
        return judge_of(options.judge, settings, kind=options.judge_engine, log=log, dtype=dtype, **where)
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

    root = store_root()
    root.mkdir(parents=True, exist_ok=True)
    return root / ".judge.sqlite"


def template_argument(parser: argparse._ActionsContainer) -> None:
    """The option that gives the chat template its switches."""
    parser.add_argument(
        "--chat-template-kwargs",
        metavar="JSON",
        help="""switches of the chat template: '{"enable_thinking": false}'; a run's policy has its own""",
    )


def template_kwargs(options: argparse.Namespace) -> dict[str, Any] | None:
    """The switches; None where the option is not given.

    Raises:
        EvaluationError: it is no JSON object.
    """
    text = options.chat_template_kwargs
    try:
        found = json.loads(text) if text is not None else None
    except (ValueError, RecursionError):
        found = text
    if found is not None and not isinstance(found, dict):
        raise EvaluationError(
            f"""--chat-template-kwargs {text}: a JSON object is needed, as '{{"enable_thinking": false}}'"""
        )
    return found


def words(text: str, what: str) -> tuple[str, ...]:
    """A list written with commas.

    >>> words("en, de", "--langs")
    ('en', 'de')
    """
    found = tuple(dict.fromkeys(word.strip() for word in text.split(",") if word.strip()))
    if not found:
        raise EvaluationError(f"{what}: nothing named; write them with commas, as en,de,fr")
    return found


def language_codes(text: str) -> tuple[str, ...]:
    """The languages of --langs.

    Raises:
        EvaluationError: nothing named, or a code that lidr has no language for.
    """
    found = words(text, "--langs")
    for code in found:
        if code not in LANGUAGES:
            raise EvaluationError(f"--langs: {unknown_language(code)}")
    return found
