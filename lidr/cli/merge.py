"""`lidr merge --model BASE --adapter ADAPTER --out FOLDER`: an adapter of anybody's becomes a plain model folder.

A recipe's policy, a translator or another tool then takes the folder as any other model.
"""

from __future__ import annotations

import argparse
import shutil
from pathlib import Path

from lidr.cli.common import print_json, say, store_argument
from lidr.errors import EvaluationError


def arguments(parser: argparse.ArgumentParser) -> None:
    """Options of the command."""
    parser.add_argument(
        "--model", required=True, metavar="REF", help="the base: ./folder, org/name[@rev], run:NAME, dist:..."
    )
    parser.add_argument("--adapter", required=True, metavar="REF", help="an adapter of it (LoRA, DoRA, IA3, ...)")
    parser.add_argument(
        "--out", required=True, type=Path, metavar="FOLDER", help="the model folder to write; not there yet"
    )
    parser.add_argument("--trust-remote-code", action="store_true", help="run code that comes with the base")
    store_argument(parser)
    parser.add_argument("--json", action="store_true", help="print one JSON object on standard output")


def main(options: argparse.Namespace) -> int:
    """Merge, and say whose tokenizer it has and what was resized, untied or ignored."""
    from lidr.evals import find_checkpoint

    if options.out.exists():
        raise EvaluationError(f"--out {options.out}: exists already; choose another folder, or remove it")
    found = find_checkpoint(options.model, options.adapter, trust_remote_code=options.trust_remote_code)
    if found.folder is None:
        raise EvaluationError(f"--model {options.model}: a served model has no weights here to merge into")
    shutil.copytree(found.folder, options.out)
    if options.json:
        facts = found.facts.model_dump(mode="json")
        print_json("lidr.merge/1", {"folder": str(options.out), "notes": list(found.notes), **facts})
        return 0
    for note in found.notes:
        say(note)
    print(f"{options.out}: {found.facts.reference} with {found.facts.adapter}")
    return 0
