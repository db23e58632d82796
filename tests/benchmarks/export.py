"""Speed and memory of filtering and exporting pairs on real-length texts: ratios within one run, never times.

    python -m tests.benchmarks.export [PAIRS ...]        default 100000 1000000; needs LIDR_DATA

Pairs are made from LIDR_DATA/llama3_m0 repeated, with margins. For every form, one process after the other:

    export   opens the pairs, keeps languages, kinds, iterations and a least margin (99% pass), writes the form
    bare     reads a Parquet file that holds the same columns of the same rows as the export, batch by batch, and writes
             them in the same format: pyarrow for Parquet, polars for JSON lines

Goals: export at most 1.3 x bare, and the same peak memory at both sizes.
"""

from __future__ import annotations

import json
import os
import resource
import shutil
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path

FORMS = ("trl", "llama-factory", "axolotl", "open-instruct", "jsonl")
REPEATS = 3


def make_pairs(folder: Path, pairs: int) -> None:
    """Write pairs as a release would stand: one Parquet file of rows.Pair for each 250,000."""
    import pyarrow as pa

    from lidr.rows import Pair
    from lidr.store.artifact import TableWriter

    data = Path(os.environ["LIDR_DATA"]) / "llama3_m0/en_to_fr.jsonl"
    rows = [json.loads(line) for line in data.read_text(encoding="utf-8").splitlines()]
    writer = TableWriter(folder / "all", Pair)
    for start in range(0, pairs, 4_000):
        block = []
        for n in range(start, min(start + 4_000, pairs)):
            row = rows[n % len(rows)]
            prompt, chosen, rejected = row["instruction"], row["response"], f"{row['en2fr_reponse']} {n}"
            block.append(
                {
                    "pair_id": f"1/p{n}/de-en/non_dominant", "prompt_id": f"p{n}", "language": ("de", "fr")[n % 2],
                    "other_language": "en", "kind": "non_dominant", "iteration": 1,
                    "prompt": [{"role": "user", "content": prompt}],
                    "chosen": [{"role": "assistant", "content": chosen}],
                    "rejected": [{"role": "assistant", "content": rejected}],
                    "prompt_text": prompt, "chosen_text": chosen, "rejected_text": rejected, "policy_in": "p@0",
                    "chosen_key": f"p{n}/en", "rejected_key": f"p{n}/de", "score_chosen": 1.0, "score_rejected": 0.0,
                    "margin": float(n % 100), "judge": "counted",
                }
            )  # fmt: skip
        writer.write(pa.Table.from_pylist(block, schema=Pair.schema))
    writer.close()
    for number, path in enumerate(writer.paths):
        path.rename(path.with_name(f"iter_1-{number:05d}-of-{len(writer.paths):05d}.parquet"))


def export(folder: Path, to: str) -> float:
    """Seconds of the whole export."""
    from lidr.preferences.export_forms import export_pairs
    from lidr.preferences.pair_source import open_pairs
    from lidr.preferences.query import PairQuery

    wanted = PairQuery(("de", "fr"), ("non_dominant",), (1,), 1.0)
    began = time.perf_counter()
    export_pairs(open_pairs(str(folder / "pairs")), wanted, to, folder / f"to-{to}")
    return time.perf_counter() - began


def make_same(folder: Path, to: str) -> None:
    """The columns and rows of an export as Parquet, for `bare` to read."""
    import pyarrow.parquet as pq

    from lidr.preferences.export_forms import FORMS as KNOWN
    from lidr.preferences.pair_source import open_pairs
    from lidr.preferences.query import PairQuery
    from lidr.preferences.read_pairs import pair_batches

    form, writer = KNOWN[to], None
    for batch in pair_batches(open_pairs(str(folder / "pairs")), 4_000, form.reads):
        shaped = form.shape(PairQuery(min_margin=1.0).of(batch))
        writer = writer or pq.ParquetWriter(folder / f"same-{to}.parquet", shaped.schema, compression="zstd")
        writer.write_batch(shaped)
    assert writer is not None
    writer.close()


def bare(folder: Path, to: str) -> float:
    """Seconds to read the same columns and rows and write them in the same format."""
    import polars as pl
    import pyarrow.parquet as pq

    began = time.perf_counter()
    with pq.ParquetFile(folder / f"same-{to}.parquet", pre_buffer=False) as file:
        if to == "trl":
            with pq.ParquetWriter(folder / "bare.parquet", file.schema_arrow, compression="zstd") as writer:
                for batch in file.iter_batches(4_000):
                    writer.write_batch(batch)
        else:
            with (folder / "bare.jsonl").open("wb") as out:
                for batch in file.iter_batches(4_000):
                    pl.DataFrame(batch).write_ndjson(out)
    return time.perf_counter() - began


def warm_up() -> None:
    """Do both on a handful of pairs, so that short runs do not measure imports."""
    with tempfile.TemporaryDirectory() as temporary:
        folder = Path(temporary)
        make_pairs(folder / "pairs", 8)
        for to in ("trl", "jsonl"):
            export(folder, to)
            make_same(folder, to)
            bare(folder, to)


def measure(what: str, to: str, folder: Path) -> dict[str, float]:
    """Run one in a process of its own; seconds and peak memory in MB."""
    line = [sys.executable, "-m", "tests.benchmarks.export", "--one", what, to, str(folder)]
    output = subprocess.run(line, check=True, capture_output=True, text=True).stdout
    return dict(json.loads(output.splitlines()[-1]))


def main(sizes: list[int]) -> None:
    """Print one line for each size and form."""
    with tempfile.TemporaryDirectory(dir=os.environ.get("TMPDIR")) as temporary:
        for size in sizes:
            folder = Path(temporary) / str(size)
            make_pairs(folder / "pairs", size)
            for to in FORMS:
                make_same(folder, to)
                ratios, cpu, ours = [], [], {"s": 0.0, "mb": 0.0}
                for _ in range(REPEATS):
                    shutil.rmtree(folder / f"to-{to}", ignore_errors=True)
                    ours, theirs = measure("export", to, folder), measure("bare", to, folder)
                    ratios.append(ours["s"] / theirs["s"])
                    cpu.append(ours["cpu"] / theirs["cpu"])
                spread = ", ".join(f"{ratio:.2f}" for ratio in ratios)
                print(
                    f"{size:>9,} pairs, {to:<13}: export / bare = {statistics.median(ratios):.2f} ({spread}), of CPU "
                    f"{statistics.median(cpu):.2f} (goal: at most 1.3); {size / ours['s']:,.0f} pairs/s; "
                    f"peak memory {ours['mb']:,.0f} MB",
                    flush=True,
                )
                for name in (f"to-{to}", f"same-{to}.parquet", "bare.parquet", "bare.jsonl"):
                    path = folder / name
                    shutil.rmtree(path) if path.is_dir() else path.unlink(missing_ok=True)
            shutil.rmtree(folder)


if __name__ == "__main__":
    if sys.argv[1:2] == ["--one"]:
        warm_up()
        before = time.process_time()
        seconds = {"export": export, "bare": bare}[sys.argv[2]](Path(sys.argv[4]), sys.argv[3])
        print(
            json.dumps(
                {
                    "s": seconds,
                    "cpu": time.process_time() - before,
                    "mb": resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024,
                }
            )
        )
    elif "LIDR_DATA" not in os.environ:
        sys.exit("set LIDR_DATA to the folder that holds llama3_m0")
    else:
        main([int(size) for size in sys.argv[1:]] or [100_000, 1_000_000])
