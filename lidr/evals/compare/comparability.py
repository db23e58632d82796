"""May two evaluations be compared? Only if they differ in the model alone: same data, prompts, decoding and judge.

What must be equal is looked at for each language; what differs is named with the value of each evaluation.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from typing import Any

from lidr.evals.reader import Evaluation
from lidr.evals.results import TaskResult

_MISSING = "nothing"
_SAME_ANSWERS = ("batch",)
"""Settings of an engine that are not worth a word."""


def conditions(task: TaskResult) -> dict[str, Any]:
    """Everything that a comparison needs to be equal, by name."""
    found: dict[str, Any] = {
        "data (SHA-256 of the rows)": task.data.sha256,
        "reference": task.data.reference,
        "reference (SHA-256 of the rows)": task.data.reference_sha256,
        "prompt (SHA-256 of its form)": task.prompt_sha256,
        "version of the scoring rules": task.rules,
        "gold answers compared as": (task.gold or "number") if task.benchmark == "mgsm" else None,
    }
    found |= {f"decoding {name}": value for name, value in task.generation.items()}
    if task.judge is not None:
        found |= {
            "judge": task.judge.model,
            "judge mode": task.judge.mode,
            "judge template": f"{task.judge.template} ({task.judge.template_sha256[:12]})",
            "judge seed": task.judge.seed,
            "judge rules of reading": task.judge.reading,
            **{f"judge {name}": value for name, value in task.judge.decoding.items()},
        }
        if task.judge.digest is not None:
            found["judge weights"] = task.judge.digest
    return found


def differing(evaluations: Sequence[Evaluation], benchmark: str, variant: str, languages: Sequence[str]) -> list[str]:
    """One line for each condition that is not the same in all, with the languages it concerns and every value.

    Judges are compared among those evaluations that have one: outputs that were not judged yet have no verdicts either.
    """
    found: dict[str, list[str]] = {}
    for language in languages:
        by_name = {e.name: conditions(e.tasks(benchmark, variant)[language]) for e in evaluations}
        for condition in dict.fromkeys(name for values in by_name.values() for name in values):
            have = {
                name: values.get(condition)
                for name, values in by_name.items()
                if condition in values or not condition.startswith("judge")
            }
            if len({json.dumps(value, sort_keys=True) for value in have.values()}) > 1:
                line = f"{condition}: {_each(have)}"
                found.setdefault(line, []).append(language)
    return [f"{benchmark} {variant}, {' '.join(where)}: {line}" for line, where in found.items()]


def _each(values: Mapping[str, Any]) -> str:
    """Evaluation and value; long hashes by their first digits."""
    return ", ".join(f"{name} has {_shown(value)}" for name, value in values.items())


def _shown(value: Any) -> str:
    if value is None:
        return _MISSING
    text = value if isinstance(value, str) else json.dumps(value, ensure_ascii=False)
    is_hash = isinstance(value, str) and len(value) == 64 and set(value) <= set("0123456789abcdef")
    return f"{text[:12]}..." if is_hash else f'"{text}"' if isinstance(value, str) else text


def remarks(evaluations: Sequence[Evaluation]) -> list[str]:
    """What differs in how the models were run and does not forbid a comparison: engine, versions, seeds."""
    parts = {
        "engine": [{k: v for k, v in e.results.engine.items() if k not in _SAME_ANSWERS} for e in evaluations],
        "version of": [e.results.versions for e in evaluations],
        "seed": [e.results.seeds for e in evaluations],
    }
    lines = []
    for what, values in parts.items():
        for key in dict.fromkeys(key for value in values for key in value):
            have = {e.name: value.get(key) for e, value in zip(evaluations, values, strict=True)}
            if len({json.dumps(value, sort_keys=True, default=str) for value in have.values()}) > 1:
                lines.append(f"{what} {key}: {_each(have)}")
    return lines
