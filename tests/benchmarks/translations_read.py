"""How fast translations are held against their sources: many at once against one at a time, on one core.

    python -m tests.benchmarks.translations_read [ROWS]      default 600; needs LIDR_DATA

Real answers of some 1,500 characters and their translations, and the first 200 characters of each. The goal: many at
once at least three times as fast, with the same statuses. Processor time, since other work may run beside it.
"""

from __future__ import annotations

import json
import os
import sys
import time
from collections.abc import Callable
from pathlib import Path

os.environ["POLARS_MAX_THREADS"] = "1"

CODES = ("en", "es", "fr")


def main(rows: int) -> None:
    from lidr.transforms.against_source import untranslated, untranslated_all

    file = Path(os.environ["LIDR_DATA"]) / "llama3_m0/en_to_fr.jsonl"
    read = [json.loads(line) for line in file.read_text(encoding="utf-8").splitlines()[:rows]]
    whole = [(row["en2fr_reponse"].removeprefix("<translated>").strip(), row["response"], "fr") for row in read]
    untranslated(*whole[0], CODES)  # loads the detectors
    for name, texts in (("whole", whole), ("200 characters", [(t[:200], s[:200], to) for t, s, to in whole])):
        alone, each_s = timed(lambda texts=texts: [untranslated(*text, CODES) for text in texts])
        at_once, all_s = timed(lambda texts=texts: untranslated_all(texts, CODES))
        assert at_once == alone
        ratio = each_s / all_s
        print(f"{name}: {len(texts) / all_s:,.0f} a second, {ratio:.1f} times as fast as one at a time")
        assert ratio >= 3, "many at once must be at least three times as fast"


def timed(work: Callable[[], list[str | None]]) -> tuple[list[str | None], float]:
    began = time.process_time()
    return work(), time.process_time() - began


if __name__ == "__main__":
    main(int(sys.argv[1]) if len(sys.argv) > 1 else 600)
