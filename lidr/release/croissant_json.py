"""croissant.json: a release in Croissant 1.1 with the keys of responsible AI and PROV, from its records alone.

Files and record sets are those of the release; `prov:wasDerivedFrom` are its parents, `prov:wasGeneratedBy` its steps,
each with the models that it asked. Message lists are left out of the fields: the columns `*_text` hold the same texts.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

from lidr.languages import LANGUAGES
from lidr.release.parents import HUB
from lidr.store import file_sha256

if TYPE_CHECKING:
    import pyarrow as pa

    from lidr.release.finished import Finished
    from lidr.release.parents import Parent
    from lidr.release.staging import DatasetFiles, RowFile
    from lidr.store import Record

FILE = "croissant.json"
_CONTEXT: dict[str, Any] = {
    "@language": "en", "@vocab": "https://schema.org/", "citeAs": "cr:citeAs", "column": "cr:column",
    "conformsTo": "dct:conformsTo", "containedIn": "cr:containedIn", "cr": "http://mlcommons.org/croissant/",
    "data": {"@id": "cr:data", "@type": "@json"}, "dataType": {"@id": "cr:dataType", "@type": "@vocab"},
    "dct": "http://purl.org/dc/terms/", "equivalentProperty": "cr:equivalentProperty",
    "examples": {"@id": "cr:examples", "@type": "@json"}, "extract": "cr:extract", "field": "cr:field",
    "fileObject": "cr:fileObject", "fileProperty": "cr:fileProperty", "fileSet": "cr:fileSet", "format": "cr:format",
    "includes": "cr:includes", "isLiveDataset": "cr:isLiveDataset", "jsonPath": "cr:jsonPath", "key": "cr:key",
    "md5": "cr:md5", "parentField": "cr:parentField", "path": "cr:path", "prov": "http://www.w3.org/ns/prov#",
    "rai": "http://mlcommons.org/croissant/RAI/", "recordSet": "cr:recordSet", "references": "cr:references",
    "regex": "cr:regex", "repeated": "cr:repeated", "replace": "cr:replace", "samplingRate": "cr:samplingRate",
    "sc": "https://schema.org/", "separator": "cr:separator", "source": "cr:source", "subField": "cr:subField",
    "transform": "cr:transform",
}  # fmt: skip
"""The context that the specification fixes."""


def croissant(run: Finished, folder: Path, repo: str, files: DatasetFiles) -> dict[str, Any]:
    """The description of a staged data set.

    Args:
        folder: where its files are staged.
        repo: its repository, org/name.
    """
    rows = [file for file in files.rows if file.rows]
    version = run.recipe.version
    return {
        "@context": _CONTEXT,
        "@type": "sc:Dataset",
        "conformsTo": ["http://mlcommons.org/croissant/1.1", "http://mlcommons.org/croissant/RAI/1.0"],
        "name": repo.rpartition("/")[2],
        "description": _description(run),
        "license": _licence(run),
        "url": f"{HUB}/datasets/{repo}",
        "version": version if version.count(".") == 2 else f"{version}.0",
        "creator": {"@type": "sc:Organization", "name": repo.partition("/")[0]},
        "datePublished": run.records[-1].finished,
        "citeAs": "arXiv:2410.08964",
        "inLanguage": list(run.recipe.languages.all),
        **_responsible(run),
        "prov:wasDerivedFrom": [_source(parent) for parent in run.parents],
        "prov:wasGeneratedBy": [_activity(record) for record in run.records],
        "distribution": [_file(folder, file) for file in rows],
        "recordSet": [_record_set(folder, file) for file in rows],
    }


def _description(run: Finished) -> str:
    names = ", ".join(LANGUAGES[code].name for code in run.recipe.languages.all)
    return f"Preference pairs in {names}, made by the recipe {run.recipe.name} {run.recipe.version} of lidr."


def _licence(run: Finished) -> str:
    """An address: the Hub's page of the identifier, or the release's own file where no identifier fits."""
    known = run.licence
    return known.link or (
        "LICENSE.md" if known.identifier == "other" else f"https://spdx.org/licenses/{known.identifier}"
    )


def _responsible(run: Finished) -> dict[str, Any]:
    """The keys of responsible AI, of what the records know; what nobody looked for is said to be unknown."""
    languages = run.recipe.languages
    dominant = LANGUAGES[languages.dominant].name
    is_made = run.recipe.prompts is not None
    signal = f"the only signal is that the policy is stronger in {dominant} than in the other languages"
    prefers = f"the method prefers what can be said in {dominant}"
    if run.recipe.are_pairs_sampled:
        signal = prefers = "the only signal is the scorer that the recipe names"
    checked = sorted({r.step for r in run.records if r.writes == "pairs" and r.counts.get("dropped")})
    return {
        "rai:hasSyntheticData": True if is_made else "unknown: the pairs come from other sets",
        "rai:dataLimitations": (
            f"Chosen does not mean good: {signal}. Translations may be wrong although they passed."
        ),
        "rai:dataBiases": (
            f"Answers carry the policy's mistakes, bias and style; {prefers}. "
            f"Slots were dropped by {', '.join(checked) or 'no step'}; `dropped` has each of them with its reason."
        ),
        "rai:personalSensitiveInformation": (
            "Not known: no step of this run looked for personal information in prompts or answers."
        ),
        "rai:dataUseCases": "Training (DPO and its relatives) and studying multilingual language models.",
        "rai:dataSocialImpact": (
            "Meant to narrow the gap between languages that a model serves well and others; it may also spread the "
            f"conventions of texts in {dominant} to other languages."
        ),
    }


def _source(parent: Parent) -> dict[str, Any]:
    link = {"sc:url": parent.link} if parent.link else {}
    revision = {"sc:version": parent.revision} if parent.revision else {}
    licence = {"sc:license": parent.licence or "unknown"}
    return {"@type": "prov:Entity", "prov:label": f"{parent.role}: {parent.name}", **link, **revision, **licence}


def _activity(record: Record) -> dict[str, Any]:
    """One step: when it ended, what it did, and the programs and models that did it."""
    engine = record.execution.get("engine")
    agents = [
        f"lidr {record.versions.get('lidr', '(version not recorded)')}",
        *([f"engine {engine}"] if engine else []),
    ]
    return {
        "@type": "prov:Activity",
        "@id": f"lidr/records/{record.place}.json",
        "prov:label": f"{record.place}: {record.rate.count:,} {record.rate.unit}",
        "prov:endedAtTime": record.finished,
        "prov:wasAssociatedWith": [{"@type": "prov:SoftwareAgent", "prov:label": agent} for agent in agents],
    }


def _file(folder: Path, file: RowFile) -> dict[str, Any]:
    return {
        "@type": "cr:FileObject",
        "@id": file.path,
        "name": file.path,
        "contentUrl": file.path,
        "encodingFormat": "application/x-parquet",
        "sha256": file_sha256(folder / file.path),
    }


def _record_set(folder: Path, file: RowFile) -> dict[str, Any]:
    import pyarrow.parquet as pq

    name = file.path.removesuffix(".parquet")
    return {
        "@type": "cr:RecordSet",
        "@id": name,
        "name": name,
        "description": f"Configuration {file.config}, split {file.split}: {file.rows:,} rows.",
        "field": list(_fields(name, file.path, pq.read_schema(folder / file.path))),
    }


def _fields(name: str, path: str, schema: pa.Schema) -> Iterator[dict[str, Any]]:
    import pyarrow.types as types

    kinds = ((types.is_string, "sc:Text"), (types.is_integer, "sc:Integer"), (types.is_floating, "sc:Float"))
    for column in schema:
        kind = next((kind for is_kind, kind in kinds if is_kind(column.type)), None)
        if kind is not None:
            yield {
                "@type": "cr:Field",
                "@id": f"{name}/{column.name}",
                "name": f"{name}/{column.name}",
                "dataType": kind,
                "source": {"fileObject": {"@id": path}, "extract": {"column": column.name}},
            }
