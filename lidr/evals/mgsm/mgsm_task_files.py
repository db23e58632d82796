"""The YAML files of MGSM's tasks: what all share, one for each language and form of the prompt, and three groups.

A group is the unweighted mean over all eleven languages; where some have no data, name the tasks one by one. A group's
standard error, as lm-eval prints it, takes languages for independent, which parallel items are not: `lidr eval compare`
gives intervals.
"""

from __future__ import annotations

from lidr.evals.mgsm.mgsm_task import LANGUAGES, METRICS, VARIANTS, VERSION, task_name

_GENERATED = "# Written by lidr.evals.harness.task_files.\n"
_CODE = "lidr.evals.mgsm"

_BASE = f"""{_GENERATED}# What every task shares. No `until`: lm-eval would stop an answer at its first empty line.
custom_dataset: !function {_CODE}.load
test_split: test
output_type: generate_until
doc_to_text: prompt
doc_to_target: "{{{{gold}}}}"
num_fewshot: 0
generation_kwargs: {{until: [], do_sample: false, max_gen_toks: 2048}}
filter_list:
  - name: lidr
    filter:
      - {{function: custom, filter_fn: !function {_CODE}.read_answers}}
process_results: !function {_CODE}.process_results
metadata: {{version: {VERSION}}}
metric_list:
"""


def task_files() -> dict[str, str]:
    """The files, by their path in evals/."""
    files = {"mgsm/_base": _BASE + "".join(_metric(name) for name in METRICS) + _READING}
    for variant in VARIANTS:
        name = "lidr_mgsm" + ("" if variant == "plain" else f"_{variant}")
        files[f"mgsm/{name}.yaml"] = _group(name, variant)
        for language in LANGUAGES:
            task = task_name(language, variant)
            kwargs = f"{{lidr_language: {language}, lidr_variant: {variant}}}"
            files[f"mgsm/{task}.yaml"] = f"{_GENERATED}include: _base\ntask: {task}\ndataset_kwargs: {kwargs}\n"
    return files


def _metric(name: str) -> str:
    how = f"!function {_CODE}.mean_of_decided" if name == "off_target" else "mean"
    better = "true" if METRICS[name] else "false"
    return f"  - metric: {name}\n    aggregation: {how}\n    higher_is_better: {better}\n"


_READING = f"""  - metric: reading
    aggregation: !function {_CODE}.count_readings
    higher_is_better: null
"""


def _group(name: str, variant: str) -> str:
    tasks = "".join(f"  - {task_name(language, variant)}\n" for language in LANGUAGES)
    metrics = "".join(f"  - {{metric: {metric}, aggregation: mean, weight_by_size: false}}\n" for metric in METRICS)
    return (
        f"{_GENERATED}group: {name}\ntask:\n{tasks}aggregate_metric_list:\n{metrics}metadata: {{version: {VERSION}}}\n"
    )
