"""Speed of the item-clustered bootstrap: a ratio to a plain loop in one run, and its memory.

    python -m tests.benchmarks.statistics

805 items in 5 languages of two models, a tenth of the values missing, as `lidr eval compare` asks for them: scores,
paired differences and language gaps from 10,000 resamples. The loop draws items, takes the same means with numpy for
each resample on its own, and does the 500 resamples that it has time for; its time is scaled to 10,000.

Goals: about 2 s, at least five times as fast as the loop, under 64 MB besides the values.
"""

from __future__ import annotations

import os
import time
import tracemalloc
import warnings

import numpy as np

ITEMS, LANGUAGES, RESAMPLES, LOOP = 805, ("en", "es", "ru", "de", "fr"), 10_000, 500


def values() -> np.ndarray:
    """Two models, (models, items, languages), a tenth not scored."""
    random = np.random.default_rng(0)
    drawn = random.random((2, ITEMS, len(LANGUAGES)))
    return np.where(random.random(drawn.shape) < 0.1, np.nan, drawn)


def loop(drawn: np.ndarray, resamples: int) -> list[float]:
    """Differences and gaps, one resample after the other."""
    random, found = np.random.default_rng(0), []
    for _ in range(resamples):
        some = drawn[:, random.integers(0, ITEMS, ITEMS)]
        means = np.nanmean(some, axis=1)
        differences = np.nanmean(some[1] - some[0], axis=0)
        gaps = means[:, 0] - means[:, 1:].mean(axis=1)
        found += [float(differences.mean()), float(1 - gaps[1] / gaps[0])]
    return found


def main() -> None:
    """Print one line."""
    from lidr.evals.statistics import Panel, paired, resampled_means

    drawn = values()
    panel = Panel(("a", "b"), LANGUAGES, tuple(map(str, range(ITEMS))), drawn)
    paired(panel, baseline="a", dominant="en", resamples=100)
    began = time.perf_counter()
    paired(panel, baseline="a", dominant="en", resamples=RESAMPLES)
    ours = time.perf_counter() - began
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", RuntimeWarning)
        began = time.perf_counter()
        loop(drawn, LOOP)
    theirs = (time.perf_counter() - began) * RESAMPLES / LOOP
    tracemalloc.start()
    resampled_means(drawn.transpose(1, 0, 2).reshape(ITEMS, -1), resamples=RESAMPLES)
    peak = tracemalloc.get_traced_memory()[1] / 2**20
    tracemalloc.stop()
    print(
        f"{RESAMPLES:,} resamples of {ITEMS} x {len(LANGUAGES)} x 2: {ours:.2f} s (goal: about 2); loop / ours = "
        f"{theirs / ours:.1f} (goal: at least 5); peak memory {peak:.0f} MB (goal: under 64); {os.cpu_count()} cores"
    )


if __name__ == "__main__":
    main()
