"""The lineage of a run in the store, published or not."""

from __future__ import annotations

import re
from dataclasses import asdict
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

from lidr.errors import StoreError
from lidr.lineage.graph import Graph, graph_of
from lidr.lineage.row_lineage import add_row
from lidr.release import parents_of_run
from lidr.store import RECORD_FILE, Record, Store, file_sha256, open_artifact, read_sealed

_RUN = re.compile(r"run:(?P<name>[\w.-]+)(?:@(?P<version>[^/\s]+))?(?:/(?P<pair>\d+/.+))?")


def lineage_of_run(text: str, store: Store) -> Graph:
    """The lineage of `run:NAME[@VERSION]`, or of one pair, `run:NAME@VERSION/PAIR_ID`.

    Raises:
        StoreError: no such form, run or version.
        HubError: no such pair.
    """
    match = _RUN.fullmatch(text)
    if match is None:
        raise StoreError(f'"{text}" is no run; write run:NAME, run:NAME@VERSION or run:NAME@VERSION/PAIR_ID')
    versions = store.versions(match["name"])
    version = match["version"] or (versions[-1] if versions else "")
    if version not in versions:
        have = ", ".join(versions) or "none"
        raise StoreError(f"{text}: the store {store.root} has no such run; versions of {match['name']}: {have}")
    records = [record for _, record in store.records_of(match["name"], version)]
    folder = store.version_folder(match["name"], version)
    graph = graph_of(_run(folder, match["name"], version, records), [asdict(r) for r in _in_order(records)])
    if match["pair"] is None:
        return graph
    with TemporaryDirectory(prefix="lidr-lineage-") as work:
        iteration = int(match["pair"].partition("/")[0])
        pairs = _pairs(folder, iteration, records)
        texts = _texts(folder, iteration, Path(work), _prompts_of(pairs, match["pair"]))
        return add_row(graph, match["pair"], pairs, texts, where=text)


def _in_order(records: list[Record]) -> list[Record]:
    """Each after what it was made from."""
    left = sorted(records, key=lambda r: (r.iteration, r.finished))
    found: list[Record] = []
    while left:
        known = {record.place for record in found}
        places = {record.place for record in left}
        ready = [r for r in left if not {said["place"] for said in r.inputs.values()} & places - known]
        found += ready or left
        left = [record for record in left if record not in found]
    return found


def _run(folder: Path, name: str, version: str, records: list[Record]) -> dict[str, Any]:
    """What a release's run.json would say, as far as a graph needs it."""
    path = folder / "run.json"
    try:
        recipe = read_sealed(path)["recipe"] if path.is_file() else {}
    except (ValueError, KeyError) as error:
        raise StoreError(f"{path}: damaged ({error}). `lidr run RECIPE` writes it again") from None
    parents = []
    if recipe.get("prompts"):
        parents.append(
            {"role": "prompts", "name": recipe["prompts"]["source"], "license": recipe["prompts"]["license"]}
        )
    if recipe.get("policy"):
        first = next((r for r in records if r.writes == "initial_policy"), None)
        revision = first.identity.get("outside", {}).get("revision") if first else None
        name_ = str(recipe["policy"]["model"]).partition("@")[0] if revision else recipe["policy"]["model"]
        if (adapter := recipe["policy"].get("adapter")) is not None:
            name_, revision = f"{recipe['policy']['model']} with {adapter}", first.digest if first else None
        licence = next((p.licence for p in parents_of_run(folder, name) if p.role == "policy"), None)
        parents.append({"role": "policy", "name": name_, "revision": revision, "license": licence})
    published = [r.counts["published"] for r in records if r.writes == "release"]
    siblings = {
        "pairs" if one["repo_type"] == "dataset" else "policy": one["repo"] for found in published for one in found
    }
    text = folder / "recipe.yaml"
    return {
        "recipe_sha256": file_sha256(text) if text.is_file() else None,
        "recipe": name,
        "version": version,
        "parents": parents,
        "license": {"id": None},  # of a release; that its card says
        "lidr": max((r.versions["lidr"] for r in records if "lidr" in r.versions), default=None),
        "release": {"siblings": siblings},
    }


def _pairs(folder: Path, iteration: int, records: list[Record]) -> list[Path]:
    places = [r.place for r in _in_order(records) if r.writes == "pairs" and r.iteration == iteration]
    return list(open_artifact(folder / places[-1]).tables) if places else []


def _prompts_of(pairs: list[Path], pair_id: str) -> list[str]:
    """The prompt of a pair; none where there is no such pair."""
    import polars as pl

    if not pairs:
        return []
    return pl.scan_parquet(pairs).filter(pair_id=pair_id).select("prompt_id").collect()["prompt_id"].to_list()


def _texts(folder: Path, iteration: int, work: Path, prompt_ids: list[str]) -> list[Path]:
    """Responses and translations of an iteration's prompts, in the columns in which they are published."""
    import polars as pl

    here = folder / f"iter_{iteration}"
    made = {name: here / name for name in ("prompts", "generate", "translate") if (here / name / RECORD_FILE).is_file()}
    if not {"prompts", "generate"} <= made.keys():
        return []

    def rows(name: str) -> pl.DataFrame:
        files = list(open_artifact(made[name]).tables)
        return pl.scan_parquet(files).filter(pl.col("prompt_id").is_in(prompt_ids)).collect()

    answered = rows("generate").join(
        rows("prompts").rename({"text": "prompt_text"}), on=("prompt_id", "language"), how="left"
    )
    frames = [answered.with_columns(kind=pl.lit("response"), status="finish_reason", source=pl.lit(None, pl.String))]
    if "translate" in made:
        frames.append(
            rows("translate")
            .rename({"target": "language"})
            .with_columns(kind=pl.lit("translation"), prompt_text=pl.lit(None, pl.String))
        )
    columns = ("prompt_id", "kind", "language", "source", "prompt_text", "text", "status", "policy")
    pl.concat([frame.select(columns) for frame in frames]).write_parquet(work / "texts.parquet")
    return [work / "texts.parquet"]
