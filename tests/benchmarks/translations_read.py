"""How fast translations are held against their sources: many at once against one at a time, on one core.

    python -m tests.benchmarks.translations_read [ROWS]      default 600; needs LIDR_DATA

Real answers of some 1,500 characters and their translations, and the first 200 characters of each. The goals, with the
same statuses: many at once at least three times as fast, by processor time, since other work may run beside it; and two
processes (lidr/steps/translate/readers.py) at least 1.6 times as fast as one, by the clock, on two idle cores.
"""

from __future__ import annotations

import json
import os
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

os.environ["POLARS_MAX_THREADS"] = "1"

CODES = ("en", "es", "fr")
FOR_EACH = 4
"""Replicas whose answers one process reads, as lidr/steps/translate/readers.py has it."""


def main(rows: int) -> None:
    from lidr.transforms.against_source import untranslated, untranslated_all

    file = Path(os.environ["LIDR_DATA"]) / "llama3_m0/en_to_fr.jsonl"
    read = [json.loads(line) for line in file.read_text(encoding="utf-8").splitlines()[:rows]]
    whole = [(row["en2fr_reponse"].removeprefix("<translated>").strip(), row["response"], "fr") for row in read]
    untranslated(*whole[0], CODES)  # loads the detectors
    for name, texts in (("whole", whole), ("200 characters", [(t[:200], s[:200], to) for t, s, to in whole])):
        clear()
        alone, each_s = timed(lambda texts=texts: [untranslated(*text, CODES) for text in texts])
        clear()
        at_once, all_s = timed(lambda texts=texts: untranslated_all(texts, CODES))
        assert at_once == alone
        ratio = each_s / all_s
        print(f"{name}: {len(texts) / all_s:,.0f} a second, {ratio:.1f} times as fast as one at a time")
        assert ratio >= 3, "many at once must be at least three times as fast"
        shared(name, texts)


def shared(name: str, texts: list[tuple[str, str, str]]) -> None:
    """Say how much faster two processes are than one, each starting with texts that it has not seen."""
    from lidr.steps.translate.readers import Readers
    from lidr.transforms import Unchecked

    half = len(texts) // 2
    parts = [[Unchecked(text, "ok", source) for text, source, _ in texts[start:][: 2 * half : 2]] for start in (0, 1)]
    targets = [to for _, _, to in texts[:half]]
    with tempfile.TemporaryDirectory() as folder, Readers(Path(folder, "log")) as readers:
        readers.checked(parts[0][:64], targets[:64], CODES, replicas=2 * FOR_EACH)  # starts the other one
        clear()
        alone, one_s = timed(lambda: readers.checked(parts[0], targets, CODES), time.monotonic)
        clear()
        _, two_s = timed(lambda: readers.checked(parts[1], targets, CODES, replicas=2 * FOR_EACH), time.monotonic)
    ratio = one_s / two_s
    print(f"{name}: {half / one_s:,.0f} a second, {half / two_s:,.0f} by two processes: {ratio:.2f} times as many")
    assert len(alone) == half
    assert ratio >= 1.6, "two processes must read at least 1.6 times as many"


def clear() -> None:
    """Forget what was told of texts before."""
    from lidr.transforms.detection import decide_language, detectors

    detectors.by_fasttext.cache_clear()
    decide_language._decide_part.cache_clear()


def timed(work: Callable[[], list[Any]], clock: Callable[[], float] = time.process_time) -> tuple[list[Any], float]:
    began = clock()
    return work(), clock() - began


if __name__ == "__main__":
    main(int(sys.argv[1]) if len(sys.argv) > 1 else 600)
