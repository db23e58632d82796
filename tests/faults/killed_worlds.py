"""What is killed: small recipes that together have every kind of step, finished once without disturbance.

scripted   every step but `pairs` and `clean`; canned answers, a policy of 3,000 parameters that is really trained
mixture    pairs of others from files, cleaned
model      the transformers engine and real training on a tiny random model of two layers
sampled    several answers of such a model to each prompt, scored by its own likelihood, and pairs of them
"""

from __future__ import annotations

import hashlib
import json
import os
import re
import shutil
import urllib.request
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import pyarrow.parquet as pq

from lidr.store.artifact import open_artifact
from lidr.store.index_file import INDEX_FILE
from lidr.store.store import has_finished_rows, partial_folder
from tests.frozen import make
from tests.scripted import TINY, write_world
from tests.tiny import tiny_model

DATASET, MODEL = "lidr/killed-prefs", "lidr/killed"
_NAMES_COMMIT = ("README.md", "lidr/run.json", "lidr/manifest.json")
SCRIPTED = """\
schema: 1
name: scripted
version: 0.1.0
languages: {dominant: en, others: [es]}
policy: {model: ./base}
prompts: {source: prompts, license: cc0-1.0}
seed: 7
chain:
  - generate:  {max_tokens: 64}
  - translate: {max_tokens: 80, check_language: false, retry: {times: 1, statuses: [truncated]}}
  - pair:      {drop: independent, dominant_pairs: all}
  - filter:    {repetition: {lines: 5}, length_ratio: {min: 0.2, max: 5.0}}
  - measure:   {gold: prompts, round_trip: {max_tokens: 80}}
  - weigh:     {uncertain: thin}
  - train:     {learning_rate: 1.0e-2, batch: 2, epochs: 1, lora: {rank: 2}, reference: initial, max_length: 400}
  - evaluate:
      tasks: [mgsm, x_alpacaeval]
      data: [rows]
      max_tokens: 48
      judge: {model: "openai:judge@JUDGE"}
  - gate:      {dominant_worse: {act: warn}, no_gain: {act: warn}, artefacts: {act: warn}}
  - publish:   {pairs: lidr/killed-prefs, policy: lidr/killed, policy_license: cc0-1.0}
iterations:
  - prompts: "0:8"
runtime: {engine: scripted, answers: answers.jsonl, threads: 1, save_steps: 1, micro_batch: 2, store: store, push: true}
"""
SAMPLED = {
    "generate: {{max_tokens: 12}}": "generate: {{max_tokens: 12, n: 3, temperature: 1.0}}",
    "translate: {{max_tokens: 12, check_language: false}}":
        "score: {{language: {{}}, implicit: {{reference: {folder}/before}}}}",
    "pair: {{drop: independent, accept: [ok, unclosed_at_end, truncated]}}": "pair: {{from: scores, by: implicit}}",
}  # fmt: skip
MIXTURE = """\
schema: 1
name: mixture
version: 0.1.0
languages: {dominant: en, others: [es]}
policy: {model: "openai:nobody@http://127.0.0.1:9/v1"}
prompts: null
chain:
  - pairs:
      sets:
        - {dataset: ./others.jsonl, columns: {prompt: question, chosen: good, rejected: bad}, language: en,
           license: cc0-1.0, weight: 2}
        - {dataset: ./more.jsonl, columns: {prompt: question, chosen: good, rejected: bad}, language: en,
           license: cc0-1.0, weight: 1, cap: 40}
  - clean: {exact: true, near: {threshold: 0.9}, decontaminate: {against: [./rows/word_problems]}}
iterations:
  - {}
runtime: {engine: openai, store: store}
"""


@dataclass(frozen=True)
class Kind:
    """A kind of step in a world.

    Args:
        name: as it is reported.
        world: whose recipe has it.
        place: of its artifact.
        is_real: a model answers or is trained.
    """

    name: str
    world: str
    place: str
    is_real: bool = False

    @property
    def step(self) -> str:
        """The recipe's word for it."""
        return self.place.split("/")[1]


_CHAIN = (
    *("prompts", "generate", "translate", "pair", "filter", "measure", "weigh"),
    *("train", "evaluate", "gate", "publish"),
)
KINDS = (
    Kind("policy", "scripted", "iter_0/policy"),
    *(Kind(name, "scripted", f"iter_1/{name}", name == "train") for name in _CHAIN),
    Kind("pairs", "mixture", "iter_1/pairs"),
    Kind("clean", "mixture", "iter_1/clean"),
    Kind("generate on a model", "model", "iter_1/generate", True),
    Kind("translate on a model", "model", "iter_1/translate", True),
    Kind("train on a model's answers", "model", "iter_1/train", True),
    Kind("generate several answers", "sampled", "iter_1/generate", True),
    Kind("score", "sampled", "iter_1/score", True),
    Kind("pair from scores", "sampled", "iter_1/pair"),
)


def write_worlds(folder: Path, judge: str) -> dict[str, Path]:
    """The recipes, and all that they name; `judge` is the judge's address."""
    (work := folder / "scripted").mkdir(parents=True)
    make.write_sources(work)
    make.small_policy(work / "base")
    more = [{"question": f"How much is {n} and 1?", "good": f"It is {n + 1}.", "bad": "None."} for n in range(60)]
    make.write(work / "more.jsonl", more)
    recipes = {"scripted": work / "killed.yaml", "mixture": work / "mixture.yaml"}
    recipes["scripted"].write_text(SCRIPTED.replace("JUDGE", judge), encoding="utf-8")
    recipes["mixture"].write_text(MIXTURE, encoding="utf-8")
    tiny = TINY.replace('  - prompts: "4:8"\n', "").replace("threads: 1", "threads: 1, engine_batch: 2, save_steps: 2")
    recipes["model"] = write_world(folder / "model", tiny.replace("name: scripted", "name: model"))
    tiny_model(folder / "model/model", "smollm2")
    sampled = tiny.split("  - train")[0].replace("name: scripted", "name: sampled")
    for was, now in SAMPLED.items():
        assert was in sampled
        sampled = sampled.replace(was, now)
    recipes["sampled"] = write_world(folder / "sampled", sampled + tiny[tiny.index("iterations:") :])
    tiny_model(folder / "sampled/model", "smollm2", seed=1)
    tiny_model(folder / "sampled/before", "smollm2", seed=2)
    return recipes


def put_before(finished: Path, store: Path, kind: Kind, order: list[str]) -> None:
    """A store as it is before the step is made: a copy of the finished one, without that and what comes after."""
    shutil.rmtree(store, ignore_errors=True)
    shutil.copytree(finished, store, ignore=shutil.ignore_patterns(".hub", INDEX_FILE + "*", ".judge.sqlite*"))
    version = next(store.glob(f"{kind.world}/*"))
    for place in order[order.index(kind.place) :]:
        shutil.rmtree(version / place, ignore_errors=True)
    (version / "run.json").unlink(missing_ok=True)


def left_by(folder: Path) -> str:
    """How far a killed try had come."""
    if (folder / "record.json").exists():
        return "after its record"
    partial = partial_folder(folder)
    if not partial.exists():
        return "before its folder"
    if (partial / "record.json").exists():
        return "between record and rename"
    return "with finished rows" if has_finished_rows(folder) else "begun"


def content_of(folder: Path) -> dict[str, Any]:
    """What a step made, without the facts of how it was carried out: times, rates, commits of a Hub, what
    a cache answered.
    """
    artifact = open_artifact(folder)
    artifact.verified()
    record = asdict(artifact.record)
    for name in ("execution", "rate", "finished"):
        del record[name]
    for at in list(record["counts"].get("published", ())):
        at.pop("sha", None)
    files = {entry["path"]: entry["sha256"] for entry in record.pop("files")}
    for name in ("results/results.json", "release.json"):
        if name in files:
            found = json.loads((folder / name).read_text(encoding="utf-8"))
            found.pop("created", None)
            for at in found.get("published", ()):
                at.pop("sha", None)
            files[name] = hashlib.sha256(json.dumps(found, sort_keys=True).encode()).hexdigest()
    if (samples := folder / "results/samples.parquet").exists():
        files["results/samples.parquet"] = _without_cached(samples)
    if artifact.record.writes == "release":
        del record["digest"]
    return {"record": record, "files": files}


def _without_cached(samples: Path) -> str:
    """Digest of the samples' rows without whether a judge's answer was asked for in this try or in one before."""
    rows = json.dumps(pq.read_table(samples).to_pylist(), sort_keys=True)
    return hashlib.sha256(re.sub(r'\\"cached\\": (true|false)', "", rows).encode()).hexdigest()


def published() -> dict[str, Any]:
    """What the Hub of the environment holds of the releases: commits by their titles, tags, every file's digest."""
    found: dict[str, Any] = {}
    for repo in (f"datasets/{DATASET}", f"models/{MODEL}"):
        files = _hub("GET", f"/api/{repo}/tree/v0.1.0?recursive=true")
        commits = _hub("GET", f"/api/{repo}/commits/main?limit=50")
        found[repo] = {
            "files": {at["path"]: (at.get("lfs") or at)["oid"] for at in files if at["type"] == "file"},
            "commits": [commit["title"] for commit in commits],
            "tags": sorted(tag["name"] for tag in _hub("GET", f"/api/{repo}/refs")["tags"]),
        }
    (commit,) = {_hub("GET", f"/api/datasets/{DATASET}/revision/v0.1.0")["sha"]}
    for path in _NAMES_COMMIT:  # the policy's release names the commit of its pairs, which a Hub makes of the time
        text = _hub("GET", f"/{MODEL}/resolve/v0.1.0/{path}", is_text=True).replace(commit, "COMMIT")
        if path == "lidr/manifest.json":
            manifest = json.loads(text)
            manifest["files"] = [entry for entry in manifest["files"] if entry["path"] not in _NAMES_COMMIT]
            text = json.dumps(manifest)
        found[f"models/{MODEL}"]["files"][path] = hashlib.sha256(text.encode()).hexdigest()
    return found


def unpublish() -> None:
    """Remove the releases."""
    for kind, repo in (("dataset", DATASET), ("model", MODEL)):
        organization, name = repo.split("/")
        try:
            _hub("DELETE", "/api/repos/delete", {"organization": organization, "name": name, "type": kind})
        except urllib.error.HTTPError as error:
            if error.code != 404:
                raise


def _hub(method: str, path: str, body: Mapping[str, Any] | None = None, *, is_text: bool = False) -> Any:
    request = urllib.request.Request(
        os.environ["HF_ENDPOINT"] + path,
        data=None if body is None else json.dumps(body).encode(),
        method=method,
        headers={"Authorization": f"Bearer {os.environ['HF_TOKEN']}", "Content-Type": "application/json"},
    )
    with urllib.request.urlopen(request) as answer:
        content = answer.read()
    if is_text:
        return content.decode()
    return json.loads(content) if content.strip().startswith((b"{", b"[")) else None
