"""The benchmarks that lidr's own tasks cover: one word -> the module that asks and scores."""

from __future__ import annotations

import difflib
import importlib
from collections.abc import Mapping, Sequence
from typing import Any, Protocol, cast

from lidr.errors import EvaluationError
from lidr.evals.alignment_tax import tax_tasks
from lidr.evals.results import Score, Scored
from lidr.evals.spec import TaskSpec
from lidr.language_tags import unknown_language
from lidr.languages import LANGUAGES

BENCHMARKS = {"mgsm": "lidr.evals.mgsm", "x_alpacaeval": "lidr.evals.x_alpacaeval"}
VARIANTS = {"mgsm": ("plain", "paper_instr", "instr"), "x_alpacaeval": ("plain",)}
"""Forms of the prompt; the first is the default."""

TAX = "tax"
"""lm-eval's own multilingual MMLU, HellaSwag, ARC and TruthfulQA: passed through, see lidr/evals/alignment_tax.py."""

JUDGED = ("x_alpacaeval",)


class BenchmarkModule(Protocol):
    """What a benchmark's module offers."""

    VERSION: int
    """Of its rules: goes up when a number would change."""

    def task_name(self, language: str, variant: str) -> str:
        """The name in lm-eval."""
        ...

    def prompt_of(self, row: Mapping[str, Any], language: str, variant: str) -> str:
        """What the user says."""
        ...

    def prompt_sha256(self, language: str, variant: str) -> str:
        """Identity of the form of the prompt."""
        ...

    def score(self, row: Mapping[str, Any], response: str, *, language: str, verdict: Any = None) -> Scored:
        """Score one answer."""
        ...

    def summarise(self, values: Sequence[Mapping[str, float | None]]) -> dict[str, Score]:
        """Scores of a task."""
        ...


def benchmark(name: str) -> BenchmarkModule:
    """The module of a benchmark."""
    return cast(BenchmarkModule, importlib.import_module(BENCHMARKS[name]))


def task_specs(names: Sequence[str], languages: Sequence[str], variant: str | None = None) -> tuple[TaskSpec, ...]:
    """The tasks of some benchmarks in some languages.

    Args:
        names: of BENCHMARKS, and `tax`.
        languages: codes.
        variant: form of MGSM's prompt; None is `plain`, the bare question.

    Raises:
        EvaluationError: no such benchmark, language or variant; nothing asked for.
    """
    if not names or not languages:
        raise EvaluationError("nothing to evaluate: name at least one task and one language")
    for name in names:
        if name not in (*BENCHMARKS, TAX):
            known = (*BENCHMARKS, TAX)
            near = next(iter(difflib.get_close_matches(name.lower(), (*known, "mt_bench"), n=1)), None)
            hint = f'; did you mean "{near}"?' if near else ""
            raise EvaluationError(f'unknown task "{name}"{hint} (allowed: {", ".join(known)}; mt_bench alone)')
    for language in languages:
        if language not in LANGUAGES:
            raise EvaluationError(unknown_language(language))
    if variant is not None and variant not in VARIANTS["mgsm"]:
        raise EvaluationError(f'unknown variant "{variant}"; allowed for mgsm: {", ".join(VARIANTS["mgsm"])}')
    specs = []
    for name in dict.fromkeys(names):
        if name == TAX:
            specs += [spec for language in dict.fromkeys(languages) for spec in _tax_specs(language)]
            continue
        form = variant if variant in VARIANTS[name] else None
        form = form or VARIANTS[name][0]
        for language in dict.fromkeys(languages):
            specs.append(TaskSpec(_task_name(name, language, form, is_one=len({*names}) == 1), name, form, language))
    return tuple(specs)


def _task_name(name: str, language: str, form: str, *, is_one: bool) -> str:
    try:
        return benchmark(name).task_name(language, form)
    except EvaluationError as error:
        way = f"Leave {language} out (--langs, or evaluate.languages)"
        other = "" if is_one else f", or {name} (--tasks, or evaluate.tasks)"
        raise EvaluationError(f"{error}. {way}{other}") from None


def _tax_specs(language: str) -> list[TaskSpec]:
    names = tax_tasks(language)
    return [TaskSpec(name, TAX, name.replace(f"_{language}", "", 1), language) for name in names]
