"""How much memory each step's process takes for further rows: its peak in a fresh process at two sizes, and the slope.

    python -m tests.benchmarks.memory [FEWER MORE]      rows of an answer; default 20000 100000

A scripted chain in two languages, texts of 200 characters; a row is one answer, so there are half as many prompts. The
goal: at most 200 bytes for each further row. Peaks are VmHWM, of the process that runs the step and no other.
"""

from __future__ import annotations

import json
import os
import random
import subprocess
import sys
import time
from collections.abc import Collection, Iterator
from functools import partial
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import NamedTuple

GOAL_BYTES = 200
"""For each further row."""

SIZES = (20_000, 100_000)
STEPS = ("generate", "translate", "pair", "filter", "measure", "publish")
"""Those of a run, in order. Looked at besides: `lineage` of one pair, and `tokenise`, which begins a training."""

_TEXTS = 1_000  # different answers in each language
_CHARACTERS = 200
_WORDS = {
    "en": "the bees make honey and wax in their hive because flowers open when it is warm and rain falls on old roofs",
    "es": "las abejas hacen miel y cera en su colmena porque las flores abren cuando hace calor y llueve en los techos",
}
_RECIPE = """\
schema: 1
name: memory
version: 0.1.0
languages: {{dominant: en, others: [es]}}
policy: {{model: "openai:canned@http://127.0.0.1:9"}}
prompts: {{source: {folder}/prompts, license: cc0-1.0}}
chain:
  - generate: {{max_tokens: 64}}
  - translate: {{max_tokens: 80, check_language: false}}
  - pair: {{drop: joint}}
  - filter: {{length_ratio: {{min: 0.2, max: 5.0}}, copied_source: true, duplicates: true}}
  - measure: {{}}
  - publish: {{pairs: lidr/memory}}
iterations:
  - prompts: "0:{prompts}"
runtime: {{engine: scripted, answers: {folder}/answers.jsonl, store: {folder}/runs, push: true, hub: embedded}}
"""

_PEAK = """
import sys
{batches}
{work}
peak = next(line for line in open("/proc/self/status") if line.startswith("VmHWM"))
print("PEAK", peak.split()[1], file=sys.stderr)
sys.exit(code)
"""
_SMALL_BATCHES = """
import lidr.store.artifact
lidr.store.artifact.ROWS_AT_ONCE = 200
import lidr.steps.filter, lidr.steps.pair.pair_step, lidr.release.candidates, lidr.release.dataset_release
lidr.steps.pair.pair_step.PROMPTS_PER_BATCH = 100
for module in (lidr.steps.filter, lidr.release.candidates, lidr.release.dataset_release):
    module.ROWS_PER_BATCH = 200
"""
_COMMAND = """
from lidr.cli.main import main
try:
    code = main(sys.argv[1:])
except SystemExit as end:
    code = end.code
"""
_TOKENISE = """
from tests.benchmarks.memory import tokenise
code = tokenise(sys.argv[1], sys.argv[2])
"""


class Peak(NamedTuple):
    """What one step took: bytes at its peak, and seconds."""

    bytes: int
    seconds: float


def write_world(folder: Path, rows: int) -> Path:
    """A scripted chain with so many answers, half of them in each language; returns its recipe."""
    draw = random.Random(7)
    (folder / "prompts").mkdir(parents=True)
    for code in _WORDS:
        with (folder / "prompts" / f"{code}.jsonl").open("w", encoding="utf-8") as file:
            for number in range(rows // 2):
                line = {"id": f"p{number:07d}", "instruction": f"{code} {number}: {_text(draw, code)}"}
                file.write(json.dumps(line, ensure_ascii=False) + "\n")
    texts = {code: [_text(draw, code) for _ in range(_TEXTS)] for code in _WORDS}
    rules = [
        {"match": f"into {name}\\.", "texts": [f"{text}\n</translated>" for text in texts[code]]}
        for code, name in (("en", "English"), ("es", "Spanish"))
    ]
    rules += [{"match": f"^{code} ", "texts": [f"{text}!" for text in texts[code]]} for code in _WORDS]
    with (folder / "answers.jsonl").open("w", encoding="utf-8") as file:
        file.writelines(json.dumps(rule, ensure_ascii=False) + "\n" for rule in rules)
    path = folder / "recipe.yaml"
    path.write_text(_RECIPE.format(folder=folder, prompts=rows // 2), encoding="utf-8")
    return path


def _text(draw: random.Random, code: str) -> str:
    words = _WORDS[code].split()
    text = ""
    while len(text) < _CHARACTERS:
        text += " ".join(draw.choices(words, k=8)).capitalize() + ". "
    return text[:_CHARACTERS].strip()


def peaks(recipe: Path, *, small_batches: bool = False, skip: Collection[str] = ()) -> Iterator[tuple[str, Peak]]:
    """Carry out all steps one after the other, each in a fresh process that reads what the last one stored.

    Args:
        recipe: of `write_world`.
        small_batches: what is held at a time is some hundred rows, so that a few thousand show what grows.
        skip: steps that were carried out and measured before.
    """
    store, run = recipe.parent / "runs", partial(_peak, _SMALL_BATCHES if small_batches else "")
    run(_COMMAND, "run", recipe, "--until", "prompts", "--quiet")
    commands: dict[str, tuple[object, ...]] = {
        **{step: (_COMMAND, "run", recipe, "--until", step, "--quiet") for step in STEPS},
        "lineage": (_COMMAND, "lineage", "run:memory/1/p0000001/en-es/dominant", "--store", store),
        "tokenise": (_TOKENISE, store / "memory/0.1.0/iter_1/filter/data", recipe.parent / "tokens"),
    }
    for step, command in commands.items():
        if step not in skip:
            yield step, run(*command)


def tokenise(pairs: str, folder: str) -> int:
    """What the training process does before its first step: pairs become token ids, and the run gets its name."""
    from transformers import AutoTokenizer

    from lidr.train.checkpoints import run_folder
    from lidr.train.training_run import token_pairs
    from tests.tiny import tiny_model
    from tests.train.runs import make_spec

    policy = str(tiny_model(Path(folder) / "policy", "smollm2"))
    files = tuple(str(file) for file in sorted(Path(pairs).glob("*.parquet")))
    spec = make_spec(Path(folder) / "run", policy=policy, initial=policy, pairs=files, max_length=1024)
    table, dropped = token_pairs(spec, AutoTokenizer.from_pretrained(policy))
    assert not dropped
    run_folder(spec, table)
    assert len(table.dataset(prompt_ids="prompt_ids")) == len(table)
    return 0


def _peak(batches: str, work: object, *arguments: object) -> Peak:
    began = time.monotonic()
    done = subprocess.run(
        [sys.executable, "-c", _PEAK.format(batches=batches, work=work), *map(str, arguments)],
        capture_output=True,
        text=True,
        check=False,
        env={**os.environ, "HF_HUB_OFFLINE": "0"},
    )
    said = [line for line in done.stderr.splitlines() if line.startswith("PEAK ")]
    if done.returncode or not said:
        raise RuntimeError(f"{' '.join(map(str, arguments))} ended with {done.returncode}:\n{done.stderr[-3000:]}")
    return Peak(1024 * int(said[-1].split()[1]), time.monotonic() - began)


def slopes(sizes: tuple[int, int], *, small_batches: bool = False) -> dict[str, tuple[Peak, Peak, float]]:
    """Of each step the two peaks, and bytes for each row more."""
    found: list[dict[str, Peak]] = []
    for rows in sizes:
        with TemporaryDirectory(prefix="lidr-memory-") as name:
            found.append(dict(peaks(write_world(Path(name), rows), small_batches=small_batches)))
    few, many = found
    return {step: (few[step], many[step], (many[step].bytes - few[step].bytes) / (sizes[1] - sizes[0])) for step in few}


def main(sizes: tuple[int, int]) -> bool:
    """Print the table; whether the goal is met."""
    print(f"peak MB at {sizes[0]:,} and {sizes[1]:,} rows, bytes a further row (at most {GOAL_BYTES}), seconds")
    found = slopes(sizes)
    for step, (few, many, slope) in found.items():
        print(f"  {step:10} {few.bytes / 1e6:7.0f} {many.bytes / 1e6:7.0f} {slope:8.0f} {many.seconds:7.0f}")
    return all(slope <= GOAL_BYTES for _, _, slope in found.values())


if __name__ == "__main__":
    given = [int(word) for word in sys.argv[1:3]] or [*SIZES]
    sys.exit(0 if main((given[0], given[1])) else 1)
