"""`lidr ls`: the recipes that ship with lidr, each with what it is for."""

from __future__ import annotations

import argparse
from pathlib import Path

from lidr.cli.common import print_json, print_table
from lidr.resources import shared


def arguments(parser: argparse.ArgumentParser) -> None:
    """Options of the command."""
    parser.add_argument("--json", action="store_true", help="print one JSON object on standard output")


def main(options: argparse.Namespace) -> int:
    """Print name and first comment line of each shipped recipe."""
    rows = [(name, _purpose(path)) for name, path in shipped().items()]
    if options.json:
        print_json("lidr.ls/1", {"recipes": [{"name": name, "purpose": purpose} for name, purpose in rows]})
    else:
        print_table(("recipe", "what it is for"), rows, left=2)
    return 0


def shipped() -> dict[str, Path]:
    """Name -> file of every recipe that ships with lidr; what stands in data/ and prompts/ is read by recipes."""
    folder = shared("recipes")
    names = {path.relative_to(folder).with_suffix("").as_posix(): path for path in sorted(folder.rglob("*.yaml"))}
    return {name: path for name, path in names.items() if not name.startswith(("data/", "prompts/"))}


def _purpose(path: Path) -> str:
    first = path.read_text(encoding="utf-8").splitlines()[0]
    return first.removeprefix("#").strip()
