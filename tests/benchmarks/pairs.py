"""Speed and memory of the pair step on real-length texts: ratios within one run, never times.

    python -m tests.benchmarks.pairs [PAIRS ...]        default 100000 1000000; needs LIDR_DATA

Inputs are made from LIDR_DATA/llama3_m0 repeated (en answers, and their French translations in the place of every other
language: 4 others, so 8 pairs a prompt). Compared in the same process, one after the other:

    step     the pair step of lidr: reads the three tables, joins, writes the pairs
    bare     pyarrow reads the pairs that came out, batch by batch, and writes them again, same compression
    naive    JSON lines into dictionaries, joined by id, and out again as JSON lines (on at most 20,000 pairs)

Goals: step at most 1.3 x bare, at least twice as fast as naive, peak memory under 1 GB and the same at both sizes.
"""

from __future__ import annotations

import json
import os
import resource
import shutil
import subprocess
import sys
import tempfile
import time
from pathlib import Path

from tests.benchmarks.tables_in import artifact_in

OTHERS = ("es", "ru", "de", "fr")
ROWS_OF_A_PAIR = 2 * len(OTHERS)


def make_inputs(folder: Path, prompts: int) -> None:
    """Write prompts, responses and translations as finished artifacts would stand."""
    import pyarrow as pa

    from lidr.rows import Prompt, Response, Translation
    from lidr.store.artifact import TableWriter

    data = Path(os.environ["LIDR_DATA"]) / "llama3_m0"
    rows = [json.loads(line) for line in (data / "en_to_fr.jsonl").read_text(encoding="utf-8").splitlines()]
    writers = {t.name: TableWriter(folder / t.name / "data", t) for t in (Prompt, Response, Translation)}
    languages = ("en", *OTHERS)
    for start in range(0, prompts, 1000):
        block = [(f"p{start + i}", row) for i, row in enumerate(rows[: min(1000, prompts - start)])]
        texts = {"en": [r["response"] for _, r in block], "xx": [r["en2fr_reponse"] for _, r in block]}
        p, r, t = [], [], []
        for n, (prompt_id, row) in enumerate(block):
            for language in languages:
                p.append((prompt_id, language, row["instruction"]))
                text = texts["en" if language == "en" else "xx"][n] + " " + language
                r.append((prompt_id, language, text, "stop", 40, 300, "iter_0/policy@0"))
            for other in OTHERS:
                into, back = texts["xx"][n] + " into " + other, texts["en"][n] + " back from " + other
                t.append((prompt_id, "en", other, into, into + "</translated>", "ok", 1, "iter_0/policy@0"))
                t.append((prompt_id, other, "en", back, back + "</translated>", "ok", 1, "iter_0/policy@0"))
        for table, values in ((Prompt, p), (Response, r), (Translation, t)):
            arrays = [pa.array(c, f.type) for c, f in zip(zip(*values, strict=True), table.schema, strict=True)]
            writers[table.name].write(pa.table(arrays, schema=table.schema))
    for writer in writers.values():
        writer.close()


def step(folder: Path) -> float:
    """Run the pair step itself; seconds."""
    from types import SimpleNamespace

    from lidr.recipe.schema import Languages
    from lidr.rows import Pair
    from lidr.steps.pair import PairConfig, run_pair
    from lidr.steps.step_kind import Surroundings
    from lidr.store.artifact import ArtifactWriter
    from lidr.store.recipe_lock import Lock

    inputs = {n: artifact_in(folder / n) for n in ("prompts", "responses", "translations")}
    recipe = SimpleNamespace(languages=Languages(dominant="en", others=OTHERS), seed=0, system_prompt=None)
    silent = SimpleNamespace(start=lambda *a, **k: None, add=lambda *a: None, rate=lambda: None)
    out = ArtifactWriter(folder / "pairs", Pair)
    run = SimpleNamespace(
        recipe=recipe,
        around=Surroundings(recipe, folder, Lock({}, {}), folder),
        config=PairConfig(),
        iteration=1,
        inputs={**inputs, "policy": SimpleNamespace(name="iter_0/policy@0")},
        out=out,
        progress=silent,
    )
    began = time.perf_counter()
    run_pair(run)
    for table in (out.data, out.dropped):
        table.close()
    return time.perf_counter() - began


def bare(folder: Path) -> float:
    """Read the pairs and write them again with pyarrow alone; seconds."""
    import pyarrow as pa

    from lidr.rows import Pair
    from lidr.store.artifact import TableWriter

    pairs = artifact_in(folder / "pairs")
    began = time.perf_counter()
    writer = TableWriter(folder / "bare", Pair)
    for batch in pairs.batches(4000):
        writer.write(pa.Table.from_batches([batch]))
    writer.close()
    return time.perf_counter() - began


def naive(folder: Path) -> float:
    """JSON lines, dictionaries, JSON lines of the same columns; seconds. The input lines are written beforehand."""
    from lidr.rows import Pair

    for name in ("prompts", "responses", "translations"):
        with (folder / f"{name}.jsonl").open("w", encoding="utf-8") as file:
            for batch in artifact_in(folder / name).batches(4000):
                file.writelines(json.dumps(row, ensure_ascii=False) + "\n" for row in batch.to_pylist())
    began = time.perf_counter()
    tables = {}
    for name in ("prompts", "responses", "translations"):
        with (folder / f"{name}.jsonl").open(encoding="utf-8") as file:
            tables[name] = [json.loads(line) for line in file]
    prompts = {(r["prompt_id"], r["language"]): r["text"] for r in tables["prompts"]}
    answers = {(r["prompt_id"], r["language"]): r["text"] for r in tables["responses"]}
    moved = {(r["prompt_id"], r["source"], r["target"]): r["text"] for r in tables["translations"]}
    with (folder / "naive.jsonl").open("w", encoding="utf-8") as out:
        for prompt_id in dict.fromkeys(r["prompt_id"] for r in tables["prompts"]):
            for xx in OTHERS:
                for own, other, kind, chosen, rejected in (
                    ("en", xx, "dominant", answers[prompt_id, "en"], moved[prompt_id, xx, "en"]),
                    (xx, "en", "non_dominant", moved[prompt_id, "en", xx], answers[prompt_id, xx]),
                ):
                    row = dict.fromkeys(Pair.schema.names)
                    row |= {"pair_id": f"1/{prompt_id}/{own}-{other}/{kind}", "language": own, "kind": kind}
                    row |= {"prompt_id": prompt_id, "prompt_text": prompts[prompt_id, own], "other_language": other}
                    row |= {"chosen_key": f"{prompt_id}/{own}", "rejected_key": f"{prompt_id}/{other}", "iteration": 1}
                    row |= {"chosen_text": chosen, "rejected_text": rejected}
                    sides = (("prompt", "user", row["prompt_text"]), ("chosen", "assistant", chosen))
                    for side, role, text in (*sides, ("rejected", "assistant", rejected)):
                        row[side] = [{"role": role, "content": text}]
                    out.write(json.dumps(row, ensure_ascii=False) + "\n")
    return time.perf_counter() - began


def warm_up() -> None:
    """Import what the three need, so that the short runs do not measure imports."""
    import polars
    import pyarrow.parquet  # noqa: F401

    import lidr.steps.ledger
    import lidr.transforms.pairs  # noqa: F401

    polars.DataFrame({"a": [1]}).join(polars.DataFrame({"a": [1]}), on="a")


def measure(what: str, folder: Path) -> dict[str, float]:
    """Run one of the three in a process of its own; seconds and peak memory in MB."""
    output = subprocess.run(
        [sys.executable, "-m", "tests.benchmarks.pairs", "--one", what, str(folder)],
        check=True,
        capture_output=True,
        text=True,
    ).stdout
    return dict(json.loads(output.splitlines()[-1]))


def main(sizes: list[int]) -> None:
    """Print one line for each size, and the naive comparison."""
    with tempfile.TemporaryDirectory(dir=os.environ.get("TMPDIR")) as temporary:
        small = Path(temporary) / "naive"
        make_inputs(small, 100_000 // ROWS_OF_A_PAIR)
        ours, theirs = measure("step", small), measure("naive", small)
        print(f"{100_000:>9,} pairs: naive / step = {theirs['s'] / ours['s']:.2f} (goal: at least 2)")
        shutil.rmtree(small)
        for size in sizes:
            folder = Path(temporary) / str(size)
            make_inputs(folder, size // ROWS_OF_A_PAIR)
            ours, theirs = measure("step", folder), measure("bare", folder)
            print(
                f"{size:>9,} pairs: step / bare = {ours['s'] / theirs['s']:.2f} (goal: at most 1.3); "
                f"{size / ours['s']:,.0f} pairs/s; peak memory {ours['mb']:,.0f} MB (goal: under 1,000)",
                flush=True,
            )
            shutil.rmtree(folder)


if __name__ == "__main__":
    if sys.argv[1:2] == ["--one"]:
        warm_up()
        seconds = {"step": step, "bare": bare, "naive": naive}[sys.argv[2]](Path(sys.argv[3]))
        peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
        print(json.dumps({"s": seconds, "mb": peak}))
    elif "LIDR_DATA" not in os.environ:
        sys.exit("set LIDR_DATA to the folder that holds llama3_m0")
    else:
        main([int(size) for size in sys.argv[1:]] or [100_000, 1_000_000])
