"""Speed and memory of `clean` on real-length texts: exact and near repetitions, and benchmark questions.

    python -m tests.benchmarks.dedupe [PAIRS ...]        default 20000 100000; needs LIDR_DATA

Pairs are those of tests/benchmarks/export.py, a fifth of them repeated with a word changed: what is found of these is
printed too. There is no goal but that memory grows by less than 1 kB a pair.
"""

from __future__ import annotations

import json
import os
import resource
import subprocess
import sys
import tempfile
import time
from pathlib import Path

from tests.benchmarks.tables_in import artifact_in

SETTINGS = {
    "exact": {"exact": True},
    "near": {"exact": True, "near": {"threshold": 0.8}},
    "decontaminate": {"decontaminate": {"against": ["mgsm", "x_alpacaeval"]}},
}


def make_pairs(folder: Path, pairs: int) -> int:
    """Write pairs of which every fifth nearly repeats another, and say how many these are."""
    import pyarrow as pa

    from lidr.rows import Pair
    from lidr.store.artifact import TableWriter

    data = Path(os.environ["LIDR_DATA"]) / "llama3_m0/en_to_fr.jsonl"
    rows = [json.loads(line) for line in data.read_text(encoding="utf-8").splitlines()]
    writer, repeated = TableWriter(folder / "pairs/data", Pair), 0
    for start in range(0, pairs, 4_000):
        block = []
        for n in range(start, min(start + 4_000, pairs)):
            is_again = n % 5 == 4 and n >= len(rows)
            row, copy = rows[n % len(rows)], (n - 1 if is_again else n) // len(rows)
            source = rows[(n - 1) % len(rows)] if is_again else row
            # every copy of a row is another text: each word carries the copy's number
            texts = [" ".join(f"{word}{copy}" for word in source[name].split())
                     for name in ("instruction", "response", "en2fr_reponse")]  # fmt: skip
            if is_again:
                repeated, texts[2] = repeated + 1, texts[2] + " encore"
            prompt, chosen, rejected = texts
            block.append(dict.fromkeys(Pair.schema.names) | {
                "pair_id": f"1/p{n}/fr-en/non_dominant", "prompt_id": f"p{n}", "language": "fr", "other_language": "en",
                "kind": "non_dominant", "iteration": 1, "prompt_text": prompt, "chosen_text": chosen,
                "rejected_text": rejected})  # fmt: skip
        writer.write(pa.Table.from_pylist(block, schema=Pair.schema))
    writer.close()
    return repeated


def clean(folder: Path, what: str) -> dict[str, float]:
    """Run the step itself; seconds, and how many pairs it dropped."""
    from types import SimpleNamespace

    from lidr.recipe.schema import Languages
    from lidr.rows import Pair
    from lidr.steps.clean import CleanConfig, run_clean
    from lidr.store.artifact import ArtifactWriter

    recipe = SimpleNamespace(languages=Languages(dominant="en", others=("de", "es", "fr", "ru")))
    out = ArtifactWriter(folder / what, Pair)
    run = SimpleNamespace(
        recipe=recipe,
        around=SimpleNamespace(recipe=recipe, recipe_folder=folder),
        config=CleanConfig.model_validate(SETTINGS[what]),
        iteration=1,
        inputs={Pair.name: artifact_in(folder / "pairs")},
        out=out,
        work=folder / f"work-{what}",
        progress=SimpleNamespace(start=lambda *a: None, add=lambda *a: None, rate=lambda: None),
    )
    began = time.perf_counter()
    run_clean(run)
    for table in (out.data, out.dropped):
        table.close()
    return {"s": time.perf_counter() - began, "dropped": out.dropped.rows}


def measure(what: str, folder: Path) -> dict[str, float]:
    """Run one in a process of its own; seconds, dropped pairs and peak memory in MB."""
    line = [sys.executable, "-m", "tests.benchmarks.dedupe", "--one", what, str(folder)]
    output = subprocess.run(line, check=True, capture_output=True, text=True).stdout
    return dict(json.loads(output.splitlines()[-1]))


def main(sizes: list[int]) -> None:
    """Print one line for each size and setting."""
    for size in sizes:
        with tempfile.TemporaryDirectory(dir=os.environ.get("TMPDIR")) as temporary:
            folder = Path(temporary)
            repeated = make_pairs(folder, size)
            (folder / "rows.json").write_text(json.dumps(size))
            for what in SETTINGS:
                found = measure(what, folder)
                print(
                    f"{size:>9,} pairs, {what:<13}: {size / found['s']:,.0f} pairs/s; {found['dropped']:,} dropped "
                    f"({repeated:,} nearly repeat another); peak memory {found['mb']:,.0f} MB",
                    flush=True,
                )


if __name__ == "__main__":
    if sys.argv[1:2] == ["--one"]:
        found = clean(Path(sys.argv[3]), sys.argv[2])
        print(json.dumps({**found, "mb": resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024}))
    elif "LIDR_DATA" not in os.environ:
        sys.exit("set LIDR_DATA to the folder that holds llama3_m0")
    else:
        main([int(size) for size in sys.argv[1:]] or [20_000, 100_000])
