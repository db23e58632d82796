"""`.eval_results/*.yaml` of a model: what the last policy scored, for benchmarks that the Hub has registered.

The Hub shows such a file on the model's page and on the benchmark's leaderboard. Of any other benchmark, MGSM and
X-AlpacaEval among them, it would show nothing: those numbers stand in `model-index` and in the card.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

from lidr.analysis import evaluated

if TYPE_CHECKING:
    from lidr.release.finished import Finished

REGISTERED = {"openai/gsm8k": ("gsm8k", "acc")}
"""Data set of a benchmark -> id of its task there, and the name of our score that it asks for."""

_SOURCE = re.compile(r"(?P<repo>[\w.-]+/[\w.-]+)@(?P<revision>[0-9a-f]{40})(/.*)?")


def eval_result_files(run: Finished, url: str) -> dict[str, str]:
    """Path in the model's repository -> content.

    Args:
        url: where the full numbers stand.

    Returns:
        Nothing where no registered benchmark was asked as a whole.
    """
    import yaml
    from huggingface_hub import EvalResultEntry, eval_result_entries_to_yaml

    files = {}
    for one in evaluated(record for record in run.records if record.iteration <= run.result):
        for task in one.last.values() if one.records[-1].iteration == run.result else ():
            data, source = task["data"], _SOURCE.fullmatch(task["data"]["source"])
            if source is None or source["repo"] not in REGISTERED or data["asked"] != data["rows"]:
                continue
            name, metric = REGISTERED[source["repo"]]
            if (score := task["scores"].get(metric)) is None or score["value"] is None:
                continue
            entry = EvalResultEntry(
                dataset_id=source["repo"],
                task_id=name,
                value=round(score["value"], 6),
                dataset_revision=source["revision"],
                date=one.records[-1].finished[:10],
                source_url=url,
                source_name="lidr",
                notes=f"{one.form[1]} prompt, n {score['n']:,}",
            )
            text = yaml.safe_dump(eval_result_entries_to_yaml([entry]), sort_keys=False)
            files[f".eval_results/{name}.yaml"] = text
    return files
