"""Runs of many iterations in a second: real steps on scripted answers, but for training and evaluation, whose outcomes
a test lays down: how good the policy of each iteration is in each language.

    scores = {0: {"en": 0.9, "es": 0.4, "de": 0.4}, 1: {...}}         iteration -> language -> accuracy
"""

from __future__ import annotations

import dataclasses
import random
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq

from lidr.evals.results import SAMPLES, SCORES
from lidr.rows import arrow_schema
from lidr.steps import STEPS
from lidr.steps.step_kind import Outcome
from lidr.store.record import Rate
from tests.evals.asked import write_rows
from tests.scripted import RECIPE, write_world

ITEMS = 300

CHAIN = """\
  - train: {{learning_rate: 1e-5, batch: 8}}
  - evaluate: {{tasks: [mgsm], data: [{folder}/rows], max_tokens: 32}}
  - gate: GATE
iterations: {{repeat: until_saturated, max: 5, prompts_each: 1}}
"""


def recipe(gate: str, iterations: str | None = None) -> str:
    """The scripted recipe with training, evaluation and a gate; `iterations` replaces the short form of five."""
    head = RECIPE.split("iterations:")[0].replace('"openai:canned@http://127.0.0.1:9"', "{folder}/model")
    tail = CHAIN.replace("GATE", gate)
    if iterations is not None:
        tail = tail.split("iterations:")[0] + f"iterations: {iterations}\n"
    return head + tail + "runtime:" + RECIPE.split("runtime:")[1]


def write_course(folder: Path, text: str) -> Path:
    """The recipe's world: prompts, answers, rows to evaluate, and a first policy that nobody opens."""
    path = write_world(folder, text)
    write_rows(folder / "rows")
    for code in ("es",):
        rows = (folder / "rows/word_problems/de.jsonl").read_text(encoding="utf-8")
        (folder / f"rows/word_problems/{code}.jsonl").write_text(rows, encoding="utf-8")
    (folder / "model").mkdir()
    for name in ("config.json", "model.safetensors"):
        (folder / "model" / name).write_text("{}")
    (folder / "model/chat_template.jinja").write_text("{% for turn in messages %}{{ turn.content }}{% endfor %}")
    return path


def lay_down(monkeypatch: Any, scores: Mapping[int, Mapping[str, float]], **more: Any) -> list[str]:
    """Replace training and evaluation; returns the list of places that they are then made at, in order.

    Args:
        scores: see the module.
        more: `history` of training (iteration -> NLL of each step), `answers` (iteration -> text of every answer),
            `off_target` (iteration -> share).
    """
    made: list[str] = []

    def train(run: Any) -> Outcome:
        made.append(f"iter_{run.iteration}/train from {run.inputs['policy'].record.place}")
        (run.out.folder / "model").mkdir(exist_ok=True)
        (run.out.folder / "model" / "model.safetensors").write_text(f"{run.iteration}{run.inputs['policy'].name}")
        history = [{"nll": nll} for nll in more.get("history", {}).get(run.iteration, [1.0] * 9)]
        numbers = dict.fromkeys(("loss", "dpo", "nll", "margin", "accuracy"), 0.0)
        counts = {"pairs": run.inputs["pairs"].rows, "steps": 9, **numbers, "history": history, "dropped": []}
        return Outcome(counts, Rate("pairs", 1, 0.1))

    def evaluate(run: Any) -> Outcome:
        made.append(f"iter_{run.iteration}/evaluate")
        table = scores_of(
            scores[run.iteration], seed=run.iteration, off_target=more.get("off_target", {}).get(run.iteration, 0.0)
        )
        run.out.data.write(table)
        answer = more.get("answers", {}).get(run.iteration, "The answer is written here in a line or so.")
        write_samples(run.out.folder / "results", table, answer)
        return Outcome({"tasks": [], "differences": []}, Rate("answers", 1, 0.1))

    for name, run in (("train", train), ("evaluate", evaluate)):
        monkeypatch.setitem(STEPS, name, dataclasses.replace(STEPS[name], run=run))
    return made


def scores_of(accuracy: Mapping[str, float], *, seed: int, items: int = ITEMS, off_target: float = 0.0) -> pa.Table:
    """Right and wrong answers: an item is as hard in every evaluation, and each one adds some luck of its own."""
    rows = []
    for code, share in accuracy.items():
        hard, luck = random.Random(f"hard/{code}"), random.Random(f"luck/{code}/{seed}")
        for item in range(items):
            shared, own = hard.random(), luck.random()
            value = shared if luck.random() < 0.8 else own
            kind = {"task": f"lidr_mgsm_{code}", "benchmark": "mgsm", "language": code, "item": str(item)}
            rows.append(kind | {"metric": "acc", "value": float(value < share)})
            rows.append(kind | {"metric": "off_target", "value": float(luck.random() < off_target)})
    return pa.Table.from_pylist(rows, arrow_schema(SCORES))


def write_samples(folder: Path, scores: pa.Table, answer: str) -> None:
    """The same answer to every item."""
    folder.mkdir(parents=True, exist_ok=True)
    keys = {(r["task"], r["benchmark"], r["language"], r["item"]) for r in scores.to_pylist()}
    names = ("task", "benchmark", "language", "item")
    rows = [
        {**dict(zip(names, key, strict=True)), "prompt": "?", "response": answer, "detail": "{}"}
        for key in sorted(keys)
    ]
    pq.write_table(pa.Table.from_pylist(rows, arrow_schema(SAMPLES)), folder / "samples.parquet")
