"""lm-eval's own tasks, built from its own files, with rows given by a test in the place of a data set on the Hub."""

from __future__ import annotations

import importlib.util
from collections.abc import Sequence
from pathlib import Path
from typing import Any

MGSM_LANGUAGES = ("en", "de", "es", "fr", "ja", "ru", "th", "zh", "bn", "sw", "te")
"""Those that lm-eval has tasks of MGSM for."""


def bundled_config(path: str) -> dict[str, Any]:
    """What one of lm-eval's YAML files says, as lm-eval reads it: `mgsm/direct/mgsm_direct_de.yaml`."""
    from lm_eval.tasks._yaml_loader import load_yaml

    spec = importlib.util.find_spec("lm_eval")
    assert spec is not None
    assert spec.origin is not None
    config = load_yaml(Path(spec.origin).parent / "tasks" / path)
    config.pop("tag", None)
    return config


def bundled_task(path: str, **instead: Any) -> Any:
    """The task of one of lm-eval's YAML files, with some of its settings replaced, such as where its rows are."""
    from lm_eval.api.task import ConfigurableTask

    return ConfigurableTask(config=bundled_config(path) | instead)


def mgsm_task(kind: str, language: str, golds: Sequence[str]) -> Any:
    """mgsm_direct_XX, mgsm_native_cot_XX or mgsm_en_cot_XX with these golds, its questions being of no matter."""
    from datasets import Dataset

    row = {"answer": None, "equation_solution": None}
    rows = [{"question": f"q{n}", "answer_number": gold, **row} for n, gold in enumerate(golds)]
    data = {"train": Dataset.from_list(rows), "test": Dataset.from_list(rows)}
    path = f"mgsm/{kind}/mgsm_{kind}_{language}.yaml"
    return bundled_task(path, dataset_path=None, custom_dataset=lambda **_: data)


def read_by(task: Any, responses: Sequence[str]) -> dict[str, list[tuple[str, float]]]:
    """What each filter of a task reads from responses, and what the task's own metric makes of it."""
    from lm_eval.api.instance import Instance

    docs = list(task.test_docs())
    task._instances = [
        Instance(request_type="generate_until", doc=doc, arguments=("", {}), idx=0, metadata=("t", n, 1), resps=[text])
        for n, (doc, text) in enumerate(zip(docs, responses, strict=True))
    ]
    task.apply_filters()
    return {
        name: [
            (one.filtered_resps[name], task.process_results(one.doc, [one.filtered_resps[name]])["exact_match"])
            for one in task._instances
        ]
        for name in task._instances[0].filtered_resps
    }
