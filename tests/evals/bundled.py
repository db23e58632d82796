"""lm-eval's own tasks, built from its own files, with rows given by a test in the place of a data set on the Hub."""

from __future__ import annotations

import importlib.util
from collections.abc import Sequence
from pathlib import Path
from typing import Any


def bundled_task(path: str, splits: dict[str, Sequence[dict[str, Any]]]) -> Any:
    """The task of one of lm-eval's YAML files, `mgsm/direct/mgsm_direct_de.yaml`; its rows are `splits`."""
    from datasets import Dataset
    from lm_eval.api.task import ConfigurableTask
    from lm_eval.tasks._yaml_loader import load_yaml

    spec = importlib.util.find_spec("lm_eval")
    assert spec is not None
    assert spec.origin is not None
    config = load_yaml(Path(spec.origin).parent / "tasks" / path)
    rows = {name: Dataset.from_list(list(rows)) for name, rows in splits.items()}
    config |= {"dataset_path": None, "custom_dataset": lambda **_: rows}
    return ConfigurableTask(config=config)


def mgsm_task(kind: str, language: str, golds: Sequence[str]) -> Any:
    """mgsm_direct_XX, mgsm_native_cot_XX or mgsm_en_cot_XX with these golds, its questions being of no matter."""
    row = {"answer": None, "equation_solution": None}
    rows = [{"question": f"q{n}", "answer_number": gold, **row} for n, gold in enumerate(golds)]
    folder = {"direct": "direct", "native_cot": "native_cot", "en_cot": "en_cot"}[kind]
    return bundled_task(f"mgsm/{folder}/mgsm_{kind}_{language}.yaml", {"train": rows, "test": rows})


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
