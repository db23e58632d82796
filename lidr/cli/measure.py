"""`lidr measure export-sheet|import-sheet|compare`: translations judged by people, and two translators side by side.

What a run measures by itself is its step `measure`.
"""

from __future__ import annotations

import argparse
import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from lidr.cli.common import print_json, print_table, say, store_argument
from lidr.errors import EvaluationError
from lidr.intervals import FEW
from lidr.references import RunReference, parse_reference

if TYPE_CHECKING:
    from lidr.store import Artifact


def arguments(parser: argparse.ArgumentParser) -> None:
    """Options of the command."""
    actions = parser.add_subparsers(dest="action", metavar="ACTION", required=True)
    out = actions.add_parser("export-sheet", help="write a blind CSV of translations for people to judge")
    out.add_argument("run", metavar="RUN", help="run:NAME[@VERSION][/iter_K/translate]; without a step its last one")
    out.add_argument("out", type=Path, metavar="OUT.csv", help="the sheet; OUT.key.json beside it says what is what")
    out.add_argument("--against", metavar="RUN", help="a second run; raters then also say which one is better")
    out.add_argument("--sample", type=int, default=50, metavar="N", help="items of each direction (default 50)")
    out.add_argument("--seed", type=int, default=0, metavar="N", help="of the draw and of the order (default 0)")
    back = actions.add_parser("import-sheet", help="read filled sheets: scores and agreement, with intervals")
    back.add_argument("sheets", type=Path, nargs="+", metavar="SHEET.csv", help="one file for each rater")
    back.add_argument("--key", type=Path, metavar="KEY.json", help="default: SHEET.key.json beside the first sheet")
    back.add_argument("--out", type=Path, metavar="FILE", help="also write the result as JSON")
    both = actions.add_parser("compare", help="two runs that differ in who translates: failures, chrF, reward accuracy")
    both.add_argument("runs", nargs=2, metavar="RUN", help="as for export-sheet")
    for action in (out, back, both):
        store_argument(action)
        action.add_argument("--json", action="store_true", help="print one JSON object on standard output")


def main(options: argparse.Namespace) -> int:
    """Carry out one of the three."""
    return {"export-sheet": _export, "import-sheet": _import, "compare": _compare}[options.action](options)


def _export(options: argparse.Namespace) -> int:
    from lidr.report import export, translated

    key_file = options.out.with_suffix(".key.json")
    for path in (options.out, key_file):
        if path.exists():
            raise EvaluationError(f"{path} exists, and may hold somebody's work; give another name, or remove it first")
    if options.sample < 1:
        raise EvaluationError(f"--sample {options.sample}: at least one item of each direction")
    names = [options.run, *([options.against] if options.against else [])]
    if len(set(names)) < len(names):
        raise EvaluationError(f"--against {options.against}: the same run; name another one")
    artifacts = {name: _translate(name) for name in names}
    runs = {name: translated(artifact) for name, artifact in artifacts.items()}
    sheet = export(runs, sample=options.sample, seed=options.seed)
    digests = {name: artifact.record.digest for name, artifact in artifacts.items()}
    options.out.parent.mkdir(parents=True, exist_ok=True)
    options.out.write_text(sheet.text, encoding="utf-8-sig", newline="")  # the mark tells spreadsheets that it is UTF-8
    key_file.write_text(json.dumps({**sheet.key, "digests": digests}, indent=1) + "\n", encoding="utf-8")
    count = len(sheet.key["items"])
    if options.json:
        print_json("lidr.measure.export-sheet/1", {"sheet": str(options.out), "key": str(key_file), "items": count})
    say(f"{options.out}: {count} items; give each rater a copy of it. Keep {key_file} to yourself")
    say(f"then: lidr measure import-sheet RATER1.csv RATER2.csv --key {key_file}")
    return 0


def _import(options: argparse.Namespace) -> int:
    from lidr.report import judged, read_key, read_sheet

    key = read_key(options.key or options.sheets[0].with_suffix(".key.json"))
    if len({path.resolve() for path in options.sheets}) < len(options.sheets):
        raise EvaluationError("a sheet is named twice; each rater has a file of his or her own")
    found = judged({str(path): read_sheet(path, key) for path in options.sheets}, key)
    if options.out:
        options.out.write_text(json.dumps({"schema": "lidr.judged/1", **found}, indent=1) + "\n", encoding="utf-8")
    if options.json:
        print_json("lidr.measure.import-sheet/1", found)
        return 0
    print_table(
        ("direction", "aspect", "run", "value", "95% interval", "items"),
        [(_direction(row), row["aspect"], row["run"], *_cells(row)) for row in found["scores"]],
        left=3,
    )
    print()
    if found["agreement"]:
        rows = [(row["aspect"], row["measure"].replace("_", " "), *_cells(row)) for row in found["agreement"]]
        print_table(("agreement on", "measure", "value", "95% interval", "items"), rows, left=2)
        if any(row["value"] is not None and row["low"] is None for row in found["agreement"]):
            print(f"No interval of agreement on fewer than {FEW} items: what so few hold does not show how sure it is.")
    else:
        print("One rater: no agreement can be said. Two raters or more show whether the scores mean anything.")
    return 0


def _compare(options: argparse.Namespace) -> int:
    from lidr.report import compared

    if len(set(options.runs)) < 2:
        raise EvaluationError(f"{options.runs[0]}: named twice; name two runs")
    translations = {name: _translate(name) for name in options.runs}
    measures = {name: counts for name, one in translations.items() if (counts := _measure_beside(one)) is not None}
    found = compared(translations, measures)
    if options.json:
        print_json("lidr.measure.compare/1", found)
        return 0
    heads = ("value", "95% interval", "n")
    _block("Translations by status", ("run", "direction", "status", *heads),
           [(row["run"], _direction(row), row["status"], *_cells(row)) for row in found["statuses"]], 3)  # fmt: skip
    _block("How alike they are: chrF, 0-100, of the second against the first", ("direction", *heads),
           [(_direction(row), *_cells(row)) for row in found["likeness"]], 1)  # fmt: skip
    _block("Measured", ("run", "test", "language", "kind", *heads),
           [(row["run"], row["test"], row["language"], row["kind"] or "-", *_cells(row)) for row in found["measured"]],
           4)  # fmt: skip
    return 0


def _block(title: str, columns: Sequence[str], rows: Sequence[Sequence[str]], left: int) -> None:
    print(title)
    if rows:
        print_table(columns, rows, left=left)
    else:
        print("nothing: see `measure` in the recipes, and whether both runs translated the same answers")
    print()


def _translate(text: str) -> Artifact:
    """The translate step that a reference names; without a step the last iteration's."""
    from lidr.store import Store, open_artifact, store_root

    try:
        reference = parse_reference(text)
    except ValueError as error:
        raise EvaluationError(str(error)) from None
    if not isinstance(reference, RunReference):
        raise EvaluationError(f"{text}: name a run, as run:quickstart or run:quickstart@0.1.0/iter_1/translate")
    store = Store(store_root())
    versions = store.versions(reference.name)
    version = reference.version or (versions[-1] if versions else None)
    found = [
        (record.iteration, folder)
        for folder, record in (store.records_of(reference.name, version) if version else ())
        if record.step == "translate"
        and (reference.step is None or (reference.iteration, reference.step) == (record.iteration, record.step))
    ]  # fmt: skip
    if not found:
        raise EvaluationError(f"{text}: the store {store.root} has no translate step of it (LIDR_STORE names another)")
    return open_artifact(max(found)[1])


def _measure_beside(translate: Artifact) -> dict[str, Any] | None:
    from lidr.store import read_record

    record = read_record(translate.folder.parent / "measure")
    return None if record is None else record.counts


def _direction(row: Mapping[str, Any]) -> str:
    return f"{row['source']} -> {row['target']}" if row["source"] else "all"


def _cells(row: Mapping[str, Any]) -> tuple[str, str, str]:
    if row["value"] is None:
        return ("-", "-", str(row["n"]))
    interval = "-" if row["low"] is None else f"{row['low']:.2f} to {row['high']:.2f}"
    return (f"{row['value']:.2f}", interval, str(row["n"]))
