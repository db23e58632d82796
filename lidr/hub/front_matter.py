"""The README of a repository: metadata between --- lines, our text between markers, and whatever else people wrote.

---
license: cc0-1.0
anything_foreign: kept
---
<!-- lidr:begin ... -->
generated
<!-- lidr:end -->
Text that a person wrote: kept.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from typing import Any

import yaml

from lidr.errors import HubError
from lidr.hub.card_yaml import CardYamlError, load_card_yaml

BEGIN = "<!-- lidr:begin: generated, changed by every release; write above or below -->"
END = "<!-- lidr:end -->"
_OPENING = re.compile(r"\ufeff?---[ \t]*\r?\n")
_CLOSING = re.compile(r"^---[ \t]*+(?:\r?\n|\Z)", re.MULTILINE)
_OUR_BEGIN = re.compile(r"<!-- lidr:begin[^<>]{0,300}-->")
_UNITED = ("tags", "language", "datasets", "metrics")
"""Lists to which we add and from which we take nothing."""

SOURCE = "lidr"
"""Names our entries of `model-index`: those of an earlier release go, those of others stay."""


def compose(metadata: Mapping[str, Any], body: str, existing: str | None) -> str:
    """A README with our metadata and text, keeping what is foreign in the one that is there.

    Raises:
        HubError: the metadata that is there cannot be read.
    """
    old, rest = read_front_matter(existing or "")
    block = f"{BEGIN}\n{body.strip()}\n{END}"
    ours = _our_block(rest)
    parts = [rest[: ours[0]] + block + rest[ours[1] :]] if ours else [block, rest]
    text = "\n\n".join(part.strip() for part in parts if part.strip())
    front = yaml.safe_dump(merge(old, metadata), sort_keys=False, allow_unicode=True, width=120)
    return f"---\n{front}---\n\n{text}\n"


def _our_block(text: str) -> tuple[int, int] | None:
    """Where our text begins and ends: from the first begin that has an end after it."""
    begin = _OUR_BEGIN.search(text)
    end = text.find(END, begin.end()) if begin else -1
    return (begin.start(), end + len(END)) if begin and end >= 0 else None


def rename_config(text: str, old: str, new: str, *, note: str, files: Mapping[str, Sequence[str]] | None = None) -> str:
    """A README in which a configuration has another name, with a sentence that says so below everything else.

    Args:
        note: the sentence, Markdown; it is text of the repository's, so later releases keep it.
        files: split -> its files, written where the configuration names none; None: leave that as it is.
    """
    metadata, rest = read_front_matter(text)
    entries = _list(metadata.get("configs") or [])
    if not any(_is_named(entry, old) for entry in entries):
        entries.append({"config_name": old})
    metadata["configs"] = [_renamed(entry, new, files) if _is_named(entry, old) else entry for entry in entries]
    infos = metadata.get("dataset_info")
    if infos is not None:
        called = [_renamed(i, new) if _is_named(i, old, unnamed="default") else i for i in _list(infos)]
        metadata["dataset_info"] = called if isinstance(infos, list) else called[0]
    front = yaml.safe_dump(metadata, sort_keys=False, allow_unicode=True, width=120)
    return "\n\n".join(part for part in (f"---\n{front}---", rest.strip(), note) if part) + "\n"


def _is_named(entry: Any, name: str, *, unnamed: str | None = None) -> bool:
    return isinstance(entry, dict) and entry.get("config_name", unnamed) == name


def _renamed(entry: Mapping[str, Any], name: str, files: Mapping[str, Sequence[str]] | None = None) -> dict[str, Any]:
    renamed = {"config_name": name, **{key: value for key, value in entry.items() if key != "config_name"}}
    if files and not (entry.get("data_files") or entry.get("data_dir")):
        renamed["data_files"] = [{"split": split, "path": list(names)} for split, names in files.items()]
    return renamed


def config_names(text: str | None) -> tuple[list[str], list[str]]:
    """The configurations in a README: all of them, and those that an earlier release of ours wrote.

    Raises:
        HubError: an entry is none, so what it names cannot be known.
    """
    metadata, _ = read_front_matter(text or "")
    configs = metadata.get("configs") or []
    for entry in configs if isinstance(configs, list) else [configs]:
        if not isinstance(configs, list) or not isinstance(entry, dict) or "config_name" not in entry:
            raise HubError(
                f"the README.md that is there has configs that are none ({entry!r}); each is a mapping with a "
                "config_name in a list: mend or remove it"
            )
    said = metadata.get("lidr")
    written = _list(said.get("configs") or []) if isinstance(said, dict) else []
    return [str(entry["config_name"]) for entry in configs], [str(name) for name in written]


def read_front_matter(text: str) -> tuple[dict[str, Any], str]:
    """Metadata and body.

    Raises:
        HubError: the metadata is no YAML mapping.
    """
    block, body = split_front_matter(text)
    if block is None:
        return {}, text
    try:
        value = load_card_yaml(block) or {}
    except CardYamlError as error:
        raise HubError(f"the README.md that is there has broken metadata ({error}); mend or remove it") from None
    if not isinstance(value, dict):
        raise HubError("the README.md that is there has metadata that is no mapping; mend or remove it")
    return value, body


def split_front_matter(text: str) -> tuple[str | None, str]:
    """The YAML block of a README, None without one, and the text below it; in one pass over the text.

    >>> split_front_matter("---\\na: b\\n---\\nhello")
    ('a: b', 'hello')
    """
    opening = _OPENING.match(text)
    closing = _CLOSING.search(text, opening.end()) if opening else None
    if opening is None or closing is None:
        return None, text
    return text[opening.end() : closing.start()].removesuffix("\n").removesuffix("\r"), text[closing.end() :]


def merge(old: Mapping[str, Any], new: Mapping[str, Any]) -> dict[str, Any]:
    """Our keys over theirs; lists of names united; configurations of theirs that are not ours kept."""
    merged = {**old, **new}
    for key in _UNITED:
        if key in old and key in new:
            theirs = [value for value in _list(old[key]) if value not in new[key]]
            merged[key] = [*new[key], *theirs]
    if "configs" in new:
        merged["configs"] = [*new["configs"], *_foreign_configs(old, new)]
    if index := _merged_index(old.get("model-index"), new.get("model-index")):
        merged["model-index"] = index
    else:
        merged.pop("model-index", None)
    if "license_name" not in new:
        for key in ("license_name", "license_link"):
            merged.pop(key, None)
    return merged


def _list(value: Any) -> list[Any]:
    return list(value) if isinstance(value, list) else [value]


def _foreign_configs(old: Mapping[str, Any], new: Mapping[str, Any]) -> list[Any]:
    """Theirs, none of them the default: there can be only one."""
    ours = {config["config_name"] for config in new["configs"]}
    foreign = [c for c in _list(old.get("configs") or []) if isinstance(c, dict) and c.get("config_name") not in ours]
    said = old.get("lidr")
    written = _list(said.get("configs") or []) if isinstance(said, dict) else []
    kept = [config for config in foreign if config.get("config_name") not in written]
    return [{key: value for key, value in config.items() if key != "default"} for config in kept]


def _merged_index(old: Any, new: Any) -> list[Any]:
    """Our results now, and those that others wrote; none of ours from an earlier release."""
    theirs = [model for model in _list(old or []) if isinstance(model, dict)]
    foreign = [(model, [r for r in _list(model.get("results") or []) if not _is_ours(r)]) for model in theirs]
    if not new:
        return [{**model, "results": results} for model, results in foreign if results]
    return [{**new[0], "results": [*new[0]["results"], *(r for _, results in foreign for r in results)]}]


def _is_ours(result: Any) -> bool:
    source = result.get("source") if isinstance(result, dict) else None
    return isinstance(source, dict) and source.get("name") == SOURCE
