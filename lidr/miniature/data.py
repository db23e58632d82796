"""Write the rows of the miniature world: python -m lidr.miniature.data --prompts 800 --held-out 400 FOLDER

    FOLDER/prompts/LANG.jsonl          {"id", "instruction"}          what iterations ask
    FOLDER/word_problems/LANG.jsonl    {"id", "query", "response"}    held-out problems, and the gold answers
    FOLDER/gold/en.jsonl               {"id", "response"}             gold answers of the prompts, for `measure`

An id is the content of its problem, so no two of the three splits can share one.
"""

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Iterable
from itertools import islice
from pathlib import Path

from lidr.miniature.words import LANGUAGES
from lidr.miniature.world import problems


def write_rows(folder: Path, *, prompts: int, held_out: int, seed: int = 1) -> None:
    """Write the three folders.

    Args:
        folder: is created.
        prompts: how many problems iterations may ask.
        held_out: how many an evaluation asks.
        seed: equal seeds give equal rows, and fewer rows are the first of more.
    """
    asked, kept = list(islice(problems("prompts", seed), prompts)), list(islice(problems("held_out", seed), held_out))
    for language in LANGUAGES:
        rows = ({"id": one.id, "instruction": one.question(language)} for one in asked)
        _write(folder / "prompts" / f"{language}.jsonl", rows)
        rows = ({"id": one.id, "query": one.question(language), "response": str(one.result)} for one in kept)
        _write(folder / "word_problems" / f"{language}.jsonl", rows)
    _write(folder / "gold" / f"{LANGUAGES[0]}.jsonl", ({"id": one.id, "response": str(one.result)} for one in asked))


def _write(path: Path, rows: Iterable[dict[str, str]]) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text("".join(json.dumps(row, ensure_ascii=False) + "\n" for row in rows), encoding="utf-8")


def main(words: list[str] | None = None) -> int:
    """Write rows."""
    parser = argparse.ArgumentParser(prog="python -m lidr.miniature.data", description=(__doc__ or "").split("\n")[0])
    parser.add_argument("folder", type=Path, metavar="FOLDER", help="where the rows go")
    parser.add_argument("--prompts", type=int, default=800)
    parser.add_argument("--held-out", type=int, default=400)
    parser.add_argument("--seed", type=int, default=1)
    options = parser.parse_args(words)
    write_rows(options.folder, prompts=options.prompts, held_out=options.held_out, seed=options.seed)
    return 0


if __name__ == "__main__":
    sys.exit(main())
