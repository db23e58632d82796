"""Results folders from seeded numbers, written as an evaluation writes them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from lidr.evals.results import (
    DataFacts,
    JudgeFacts,
    ModelFacts,
    Results,
    Score,
    TaskResult,
    mean_score,
    samples_table,
    scores_table,
    write_results,
)

JUDGE = JudgeFacts(
    model="judge-1", mode="logprob_swap", template="lidr-1", template_sha256="ab" * 32, served="server", seed=0
)
DECODING = {"max_tokens": 2048, "repetition_penalty": 1.1, "system_prompt": None, "temperature": 0.0}


def outcomes(
    shares: Mapping[str, float], items: int, *, seed: int, noise: float = 0.5
) -> dict[str, dict[str, float | None]]:
    """Right or wrong in each language; a hard item (the same for every seed) is hard in all of them."""
    hard = np.random.default_rng(7).standard_normal(items)
    random = np.random.default_rng(seed)
    found: dict[str, dict[str, float | None]] = {}
    for language, share in shares.items():
        ease = hard + noise * random.standard_normal(items)
        right = ease > np.quantile(ease, 1 - share) if share else np.zeros(items, bool)
        found[language] = {str(i): float(value) for i, value in enumerate(right)}
    return found


def values_of(right: Mapping[str, Mapping[str, float | None]], name: str = "acc") -> dict[str, Any]:
    """Language -> item -> {metric: value}."""
    return {code: {item: {name: value} for item, value in of.items()} for code, of in right.items()}


def joined(*parts: Mapping[str, Any]) -> dict[str, Any]:
    """Several metrics of the same items."""
    return {
        code: {item: {k: v for part in parts for k, v in part[code][item].items()} for item in parts[0][code]}
        for code in parts[0]
    }


SCALE = {"win": ("win_rate", 100.0), "discrete_win": ("discrete_win_rate", 100.0)}


def task_result(
    benchmark: str, language: str, values: Mapping[str, Mapping[str, float | None]], **other: Any
) -> TaskResult:
    """What a task's record says of these values."""
    judged = benchmark == "x_alpacaeval"
    variant = other.pop("variant", "plain")
    metrics = list(next(iter(values.values())))
    scores: dict[str, Score] = {}
    for metric in metrics:
        name, scale = SCALE.get(metric, (metric, 100.0 if judged else 1.0))
        found = mean_score([value[metric] for value in values.values()])
        stderr = None if found.stderr is None else found.stderr * scale
        scores[name] = Score(value=None if found.value is None else found.value * scale, stderr=stderr, n=found.n)
    facts: dict[str, Any] = {
        "task": f"lidr_{benchmark}_{language}" + ("" if variant == "plain" else f"_{variant}"),
        "benchmark": benchmark,
        "variant": variant,
        "language": language,
        "data": DataFacts(
            source=f"{benchmark}/{language}.jsonl",
            sha256=f"{ord(language[0]):02x}" * 32,
            rows=805 if judged else 250,
            asked=len(values),
            reference="gpt-4-turbo-2024-04-09" if judged else None,
            reference_sha256="cd" * 32 if judged else None,
        ),
        "prompt_sha256": "ef" * 32,
        "generation": dict(DECODING),
        "judge": JUDGE if judged else None,
        "scores": scores,
    }
    return TaskResult.model_validate({**facts, **other})


def write_folder(
    folder: Path,
    name: str,
    benchmarks: Mapping[str, Mapping[str, Mapping[str, Mapping[str, float | None]]]],
    *,
    engine: Mapping[str, Any] | None = None,
    **other: Any,
) -> Path:
    """Write results, samples and scores.

    Args:
        benchmarks: benchmark -> language -> item -> metric -> value.
        other: fields of every task that are to differ from the usual ones.
    """
    tasks, samples, scores = [], [], []
    for benchmark, languages in benchmarks.items():
        for language, items in languages.items():
            task = task_result(benchmark, language, items, **other)
            tasks.append(task)
            at = {"task": task.task, "benchmark": benchmark, "language": language}
            for item, metrics in items.items():
                samples.append({**at, "item": item, "prompt": "?", "response": "!", "detail": {}})
                scores += [{**at, "item": item, "metric": metric, "value": v} for metric, v in metrics.items()]
    results = Results(
        name=name,
        model=ModelFacts(reference=f"./{name}", digest="12" * 32),
        engine=dict(engine or {"kind": "hf", "dtype": "float32", "batch": 16}),
        versions={"lidr": "0.1.0"},
        seeds={"generation": 42},
        created="2026-11-24T00:00:00Z",
        tasks=tuple(tasks),
    )
    write_results(folder, results, samples_table(samples), scores_table(scores))
    return folder


def three_models(folder: Path, languages: Sequence[str] = ("en", "es", "ru", "de", "fr")) -> list[str]:
    """M0, M1 and M2 on both benchmarks, with accuracies and win rates about as published."""
    accuracy = {"M0": (0.70, 0.456, 0.488, 0.468, 0.464), "M1": (0.712, 0.616, 0.604, 0.564, 0.596)}
    accuracy["M2"] = (0.72, 0.64, 0.62, 0.57, 0.608)
    wins = {"M0": (0.249, 0.18, 0.078, 0.087, 0.142), "M1": (0.301, 0.218, 0.18, 0.169, 0.175)}
    wins["M2"] = (0.341, 0.212, 0.193, 0.16, 0.203)
    places = []
    for number, name in enumerate(accuracy):
        shares = dict(zip(languages, accuracy[name], strict=False))
        right = values_of(outcomes(shares, 250, seed=number))
        off = values_of(outcomes(dict.fromkeys(shares, 0.012 * (2 - number)), 250, seed=9 + number), "off_target")
        won = outcomes(dict(zip(languages, wins[name], strict=False)), 805, seed=20 + number, noise=1.0)
        both = joined(values_of(won, "win"), values_of(won, "discrete_win"))
        places.append(str(write_folder(folder / name, name, {"mgsm": joined(right, off), "x_alpacaeval": both})))
    return places
