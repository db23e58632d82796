"""Is the metadata of a README what the Hub accepts? Rules ported from the Hub's public documentation.

The real Hub's own check is not public; this one refuses what the documentation says it refuses, and no more.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from itertools import chain, islice
from typing import Any, NamedTuple

from lidr.hub import CardYamlError, load_card_yaml, plain, split_front_matter
from lidr.hub_server.refusal import Refusal
from lidr.hub_server.storage import RepoType

_IDENTIFIERS = """
apache-2.0 mit openrail bigscience-openrail-m creativeml-openrail-m bigscience-bloom-rail-1.0 bigcode-openrail-m
afl-3.0 artistic-2.0 bsl-1.0 bsd bsd-2-clause bsd-3-clause bsd-3-clause-clear c-uda cc cc0-1.0 cc-by-2.0 cc-by-2.5
cc-by-3.0 cc-by-4.0 cc-by-sa-3.0 cc-by-sa-4.0 cc-by-nc-2.0 cc-by-nc-3.0 cc-by-nc-4.0 cc-by-nd-4.0 cc-by-nc-nd-3.0
cc-by-nc-nd-4.0 cc-by-nc-sa-2.0 cc-by-nc-sa-3.0 cc-by-nc-sa-4.0 cdla-sharing-1.0 cdla-permissive-1.0
cdla-permissive-2.0 wtfpl ecl-2.0 epl-1.0 epl-2.0 etalab-2.0 eupl-1.1 eupl-1.2 agpl-3.0 gfdl gpl gpl-2.0 gpl-3.0
lgpl lgpl-2.1 lgpl-3.0 isc h-research intel-research lppl-1.3c ms-pl apple-ascl apple-amlr mpl-2.0 odc-by odbl
openmdw-1.0 openrail++ osl-3.0 postgresql ofl-1.1 ncsa unlicense zlib pddl lgpl-lr deepfloyd-if-license
fair-noncommercial-research-license llama2 llama3 llama3.1 llama3.2 llama3.3 llama4 grok2-community gemma unknown other
"""
LICENSES = frozenset(_IDENTIFIERS.split())
"""The identifiers of hub-docs, repositories-licenses, and the families of models that came after its stored copy."""

_STRING_LISTS = ("tags", "task_categories", "task_ids", "source_datasets", "annotations_creators", "size_categories")
_LANGUAGE = re.compile(r"[A-Za-z]{2,10}(?:[-_][^\W_]+)*")
_MOST, _LONGEST = 50, 400  # errors that are told, and characters of one
_RELATIONS = ("adapter", "merge", "quantized", "finetune")


class Verdict(NamedTuple):
    """What is wrong (the card is refused) and what is only worth a word."""

    errors: list[str]
    warnings: list[str]


def metadata(content: str) -> dict[str, Any]:
    """The metadata of a README, as JSON can hold it; empty when there is none or it does not parse."""
    text, _ = split_front_matter(content)
    try:
        value = plain(load_card_yaml(text)) if text else None
    except CardYamlError:
        return {}
    return value if isinstance(value, dict) else {}


def validate(content: str, type_: RepoType) -> Verdict:
    """Check a README as a whole."""
    text, _ = split_front_matter(content)
    if text is None or not text.strip():
        return Verdict([], ["empty or missing yaml metadata in repo card"])
    try:
        value = load_card_yaml(text)
    except CardYamlError as error:
        return Verdict([f"YAML parse error: {error}"], [])
    if not isinstance(value, dict):
        return Verdict(["The metadata must be a mapping of keys to values"], [])
    errors = chain(_common(value), _dataset(value) if type_ == "dataset" else _model(value))
    return Verdict(
        [error if len(error) <= _LONGEST else f"{error[:_LONGEST]} ..." for error in islice(errors, _MOST)], []
    )


def refuse_invalid(content: bytes, type_: RepoType) -> None:
    """Refuse a README whose metadata the Hub would not accept."""
    try:
        errors = validate(content.decode("utf-8"), type_).errors
    except UnicodeDecodeError:
        errors = ["README.md is no UTF-8"]
    if errors:
        raise Refusal(400, "Invalid metadata in README.md: " + "; ".join(errors))


def _common(value: dict[str, Any]) -> Iterator[str]:
    licenses = value.get("license")
    for license_ in licenses if isinstance(licenses, list) else [licenses]:
        if license_ is not None and not (isinstance(license_, str) and license_ in LICENSES):
            yield f'"license" must be one of the Hub\'s identifiers, not {license_!r}; for another one write other'
    languages = value.get("language", value.get("languages"))
    for language in languages if isinstance(languages, list) else [languages]:
        if language is not None and not (isinstance(language, str) and _LANGUAGE.fullmatch(language)):
            yield f'"language" must be ISO 639 codes, not {language!r} (in YAML, no must be quoted: "no")'
    for key in _STRING_LISTS:
        if key in value and not _is_strings(value[key]):
            yield f'"{key}" must be a list of strings'


def _is_strings(value: object) -> bool:
    return isinstance(value, str) or (isinstance(value, list) and all(isinstance(item, str) for item in value))


def _dataset(value: dict[str, Any]) -> Iterator[str]:
    configs = value.get("configs", [])
    if not isinstance(configs, list) or not all(isinstance(config, dict) for config in configs):
        yield '"configs" must be a list of mappings'
        return
    names = [config.get("config_name") for config in configs]
    for name in names:
        if not isinstance(name, str) or not re.fullmatch(r"[A-Za-z0-9._-]+", name):
            yield f'"configs": {name!r} is no name of a config; allowed are letters, digits, ".", "_" and "-"'
    if len(set(map(str, names))) != len(names):
        yield '"configs": a name is there twice'
    if sum(bool(config.get("default")) for config in configs) > 1:
        yield '"configs": more than one is the default'


def _model(value: dict[str, Any]) -> Iterator[str]:
    for key in ("base_model", "datasets", "metrics"):
        if key in value and value[key] is not None and not _is_strings(value[key]):
            yield f'"{key}" must be a string or a list of strings'
    if value.get("base_model_relation", "adapter") not in _RELATIONS:
        yield f'"base_model_relation" must be one of {", ".join(_RELATIONS)}'
    for key in ("library_name", "pipeline_tag"):
        if not isinstance(value.get(key, ""), str):
            yield f'"{key}" must be a string'
    yield from _model_index(value.get("model-index") or [])


def _model_index(index: Any) -> Iterator[str]:
    """`model-index`: each model has a name and results; each result a task, a data set and metrics with values."""
    if not isinstance(index, list):
        yield '"model-index" must be a list'
        return
    for i, model in enumerate(index):
        where = f'"model-index[{i}]'
        if not isinstance(model, dict) or not isinstance(model.get("name"), str):
            yield f'{where}.name" is required'
            continue
        results = model.get("results") or []
        if not isinstance(results, list):
            yield f'{where}.results" must be a list'
            continue
        for j, result in enumerate(results):
            yield from _result(result, f"{where}.results[{j}]")


def _result(result: Any, where: str) -> Iterator[str]:
    if not isinstance(result, dict):
        yield f'{where}" must be a mapping'
        return
    parts: dict[str, dict[str, Any]] = {}
    for key in ("task", "dataset"):
        parts[key] = result[key] if isinstance(result.get(key), dict) else {}
    for key, fields in (("task", ("type",)), ("dataset", ("type", "name"))):
        for field in fields:
            if not isinstance(parts[key].get(field), str):
                yield f'{where}.{key}.{field}" is required and must be a string'
    for field in ("config", "split", "revision"):
        if not isinstance(parts["dataset"].get(field, ""), str):
            yield f'{where}.dataset.{field}" must be a string'
    metrics = result.get("metrics")
    if not isinstance(metrics, list) or not metrics:
        yield f'{where}.metrics" is required'
        return
    for k, metric in enumerate(metrics):
        if not isinstance(metric, dict) or not isinstance(metric.get("type"), str) or "value" not in metric:
            yield f'{where}.metrics[{k}]" needs a type and a value'
