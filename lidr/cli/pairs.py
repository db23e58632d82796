"""`lidr pairs show|compare|export`: look at preference pairs wherever they stand, say what changed between two sets,
and write them for other trainers.
"""

from __future__ import annotations

import argparse
import re
from collections.abc import Iterator
from dataclasses import asdict
from itertools import islice
from pathlib import Path
from typing import TYPE_CHECKING, Any

import lidr.report as report
from lidr import preferences
from lidr.cli.common import kept_recipe, print_json, print_table, say, store_argument
from lidr.cli.terminal import printable
from lidr.errors import LidrError, RowError
from lidr.rows import kind_said, language_heading
from lidr.store import Store

if TYPE_CHECKING:
    from lidr.preferences import Census, Mapped, PairQuery, PairSource

_LONGEST = 700
_REF = "org/name[@rev], run:NAME[@VERSION], ./folder or file"
_LANGS = (
    "only pairs of these non-dominant languages: de is the German pairs and the English ones compared with them; for "
    "pairs in the dominant language write --kind dominant"
)
_SHOWN = ("pair_id", "language", "other_language", "kind", "iteration", "prompt_text", "chosen_text", "rejected_text",
          "margin")  # fmt: skip


def arguments(parser: argparse.ArgumentParser) -> None:
    """Options of the command."""
    from lidr.preferences import FORMS

    actions = parser.add_subparsers(dest="action", metavar="ACTION", required=True)
    show = actions.add_parser("show", help="configuration, counts, licences, and a few pairs side by side")
    show.add_argument("--rows", type=int, default=2, metavar="N", help="pairs to show; default 2")
    compare = actions.add_parser("compare", help="what changed from one set or version to another: pairs and settings")
    compare.add_argument(
        "--rows", type=int, default=1, metavar="N", help="changed, added and removed pairs to show; default 1"
    )
    export = actions.add_parser("export", help="write pairs for a trainer, with their licence")
    export.add_argument("--to", required=True, choices=tuple(FORMS), help="whose form")
    export.add_argument("--name", help="what the trainer calls the set; default: from the reference")
    compare.add_argument("reference", metavar="BEFORE", help="the older set: as NAME of `lidr pairs show`")
    compare.add_argument("after", metavar="AFTER", help="the newer one")
    for action in (show, compare, export):
        if action is not compare:
            action.add_argument("reference", metavar="REF", help=_REF)
        action.add_argument("--config", metavar="NAME", help="configuration of a data set; default: its default")
        action.add_argument("--split", metavar="NAME", help="one split; default: all iterations, or the only split")
        action.add_argument("--langs", metavar="de,ru", help=_LANGS)
        action.add_argument("--kind", metavar="KIND", help="only dominant, non_dominant or sampled pairs")
        action.add_argument("--iteration", metavar="1,2", help="only pairs of these iterations")
        action.add_argument("--min-margin", type=float, metavar="X", help="only pairs scored at least so far apart")
        action.add_argument(
            "--columns", metavar="prompt=q,...", help="column map of a set that is not lidr's; prompt=- for none"
        )
        action.add_argument("--language", metavar="LANG", help="language of every row, where no column says it")
        store_argument(action)
        action.add_argument("--json", action="store_true", help="print one JSON object on standard output")
    export.add_argument("out", metavar="OUT", type=Path, help="folder to write; it must not be there yet")


def main(options: argparse.Namespace) -> int:
    """Carry out one of the two."""
    from lidr.preferences import PairQuery, open_pairs

    def opened(reference: str) -> PairSource:
        return open_pairs(reference, config=options.config, split=options.split)

    source = opened(options.reference)
    wanted = PairQuery(_list(options.langs), _list(options.kind), _numbers(options.iteration), options.min_margin)
    mapped = _mapped(options)
    if options.action == "compare":
        return _compare(source, opened(options.after), wanted, mapped, options)
    return {"show": _show, "export": _export}[options.action](source, wanted, mapped, options)


def _list(text: str | None) -> tuple[str, ...]:
    return tuple(part.strip() for part in (text or "").split(",") if part.strip())


def _numbers(text: str | None) -> tuple[int, ...]:
    try:
        return tuple(int(part) for part in _list(text))
    except ValueError:
        raise RowError(f'--iteration "{text}": write numbers, as 1,2') from None


def _mapped(options: argparse.Namespace) -> Mapped:
    from lidr.preferences import Mapped, column_map

    if options.columns is None:
        return Mapped(language=options.language)
    given: dict[str, str | None] = {}
    for entry in _list(options.columns):
        role, equals, name = entry.partition("=")
        if not equals or not name:
            raise RowError(f'--columns "{entry}": write role=COLUMN, as prompt=question,chosen=good')
        given[role] = None if name == "-" else name
    return Mapped(column_map(given), options.language)


def _export(source: PairSource, wanted: PairQuery, mapped: Mapped, options: argparse.Namespace) -> int:
    from lidr.preferences import export_pairs, unread_said

    found = export_pairs(source, wanted, options.to, options.out, mapped=mapped, name=options.name)
    if found.unread:
        say(f"{source.name}: {unread_said(found.unread)}")
    if options.json:
        content = {"folder": str(found.folder), "file": found.file.name, "rows": found.rows, "license": found.licence}
        print_json("lidr.pairs.export/1", {**content, "unread": found.unread, "chat_template_kwargs": found.switches})
    else:
        print(f"{found.file}: {found.rows:,} pairs for {options.to}, licence {found.licence}")
        say(f"how to train on them, and whose they are: {found.folder / 'README.md'}")
    if any(found.switches):
        made = " or ".join(preferences.switches_said(one) or "none" for one in found.switches)
        say(f"made with switches of the chat template, which training must set too: {made}; the README.md says how")
    return 0


def _show(source: PairSource, wanted: PairQuery, mapped: Mapped, options: argparse.Namespace) -> int:
    from lidr.preferences import census, unread_said

    source = source.of_iterations(wanted.iterations)
    counted = census(source, wanted, mapped)
    samples = list(islice(_samples(source, wanted, mapped, options.rows), max(options.rows, 0)))
    if options.json:
        content = {**_facts(source), "counts": counted.wanted, "unread": counted.unread, "pairs": samples}
        print_json("lidr.pairs.show/1", content)
        return 0
    _print_facts(source, counted)
    for line in _account(source):
        print(printable(f"\n{line}"))
    if counted.unread:
        print(f"\n{unread_said(counted.unread)}")
    if counted.largest is not None and not counted.rows:
        print(f"\nno pair has a margin of at least {wanted.min_margin:g}; the largest is {counted.largest:g}")
    for pair in samples:
        _print_pair(pair)
    return 0


def _compare(
    before: PairSource, after: PairSource, wanted: PairQuery, mapped: Mapped, options: argparse.Namespace
) -> int:
    from lidr.preferences import compare_sets, settings_changed

    found = compare_sets(before, after, wanted, mapped, first=max(options.rows, 0))
    settings = settings_changed(before, after)
    if options.json:
        sets = {name: {"name": one.name, "asked": one.asked, "revision": one.revision} for name, one in
                (("before", before), ("after", after))}  # fmt: skip
        print_json("lidr.pairs.compare/1", {**sets, "settings": settings, **asdict(found)})
        return 0
    print(printable(f"{_at(before, 12)}  ->  {_at(after, 12)}\n"))
    names = ("before", "after", "same", "changed", "added", "removed")
    rows = [(str(row["iteration"]), row["language"], row["kind"], *(f"{row[name]:,}" for name in names))
            for row in found.counts]  # fmt: skip
    total = ("all", "", "", *(f"{found.total(name):,}" for name in names))
    language = language_heading(row["kind"] for row in found.counts)
    print_table(("iteration", language, "kind", *names), [*rows, total], left=3)
    if parts := [f"{part} in {count:,}" for part, count in found.parts.items() if count]:
        print(f"\nof the changed pairs another {', '.join(parts)}")
    for what, ids in (("added", found.added), ("removed", found.removed)):
        if ids:
            print(printable(f"{what}: {', '.join(ids)}{' ...' if len(ids) < found.total(what) else ''}"))
    if found.total("removed") and after.name.startswith("run:"):
        run = after.files[0][1].parents[3]
        print(printable(f"what a step dropped has its reason in {run}/iter_*/*/dropped/*.parquet, by prompt_id"))
    _print_settings(settings)
    for pair in found.changed:
        _print_changed(pair["before"], pair["after"])
    for what, pairs in (("added: ", found.added_pairs), ("removed: ", found.removed_pairs)):
        for pair in pairs:
            _print_pair(pair, what)
    return 0


def _at(source: PairSource, most: int | None = None) -> str:
    """What it is, and the commit or digest that its name stands for, or so many characters of that."""
    if not source.revision:
        return source.said
    revision = source.revision[:most]
    return f"{source.said} ({revision})" if source.asked else f"{source.said} at {revision}"


def _print_settings(settings: list[str] | None) -> None:
    if settings is None:
        print("\nsettings: unknown: a set does not say by which recipe it was made")
        return
    print("\nsettings that changed" + (":" if settings else ": none"))
    for line in settings:
        print(printable(f"  {line}"))


def _samples(source: PairSource, wanted: PairQuery, mapped: Mapped, most: int) -> Iterator[dict[str, Any]]:
    """The first pair of each kind and language, then the others in order."""
    from lidr.preferences import pair_batches

    seen: set[tuple[Any, ...]] = set()
    later: list[dict[str, Any]] = []
    for batch in pair_batches(source, 200, _SHOWN, mapped):
        for pair in wanted.of(batch).to_pylist():
            if (key := (pair["kind"], pair["language"], pair["other_language"])) not in seen:
                seen.add(key)
                yield pair
            elif len(later) < most:
                later.append(pair)
    yield from later


def _facts(source: PairSource) -> dict[str, Any]:
    return {
        "name": source.name,
        "asked": source.asked,
        "revision": source.revision,
        "config": source.config,
        "splits": list(source.splits),
        "license": {"id": source.licence.identifier, "reason": source.licence.reason},
        "parents": [asdict(parent) for parent in source.parents],
    }


def _print_facts(source: PairSource, counted: Census) -> None:
    print(printable(_at(source)))
    print(printable(f"configuration {source.config or '-'}; splits {', '.join(source.splits)}"))
    print(printable(f"licence {source.licence.identifier}: {source.licence.reason}\n"))
    parents = [(p.role, p.name, (p.revision or "-")[:12], p.licence or "unknown") for p in source.parents]
    print_table(("made from", "name", "revision", "licence"), parents, left=4)
    counts, kinds = counted.wanted, counted.kinds_said
    numbers = [name for name in ("pairs", "scored") if name == "pairs" or any(row[name] for row in counts)]
    rows = [
        (str(row["iteration"]), str(row["language"]), kind, *(f"{row[name]:,}" for name in numbers))
        for row, kind in zip(counts, kinds, strict=True)
    ]
    total = ("all", "", "", *(f"{sum(row[name] for row in counts):,}" for name in numbers))
    print()
    print_table(("iteration", language_heading(kinds), "kind", *numbers), [*rows, total], left=3)


def _account(source: PairSource) -> tuple[str, ...]:
    """What became of all slots of a run in the store, as its report says it; nothing for one step of it."""
    if source.run_file is None or not re.fullmatch(r"run:[^/]+", source.name):
        return ()
    folder = source.run_file.parent
    try:
        recipe = kept_recipe(folder)
        run = recipe and report.run_state_of(recipe, Store(folder.parents[1]), is_compared=False)
    except LidrError:  # the pairs themselves can be read
        return ()
    return report.kept_lines(run.recipe, run.records) if run else ()


def _print_pair(pair: dict[str, Any], outcome: str = "") -> None:
    """The prompt above, chosen and rejected side by side; what is long is cut and says so."""
    from rich.console import Console
    from rich.table import Table
    from rich.text import Text

    margin = "" if pair["margin"] is None else f", margin {pair['margin']:g}"
    kind = kind_said(pair["kind"], pair["language"], pair["other_language"])
    languages = f"{pair['language']} against {pair['other_language']}"
    what = pair["language"] if kind == "-" else f"{kind}, {languages}"
    about = printable(f"{outcome}{pair['pair_id']}  {what}{margin}")
    shown = Table(title=Text(about), caption=None, title_justify="left", expand=True, show_lines=True)
    shown.add_column("chosen", ratio=1, overflow="fold")
    shown.add_column("rejected", ratio=1, overflow="fold")
    shown.add_row(Text(_cut(pair["chosen_text"])), Text(_cut(pair["rejected_text"])))
    console = Console()
    console.print()
    console.print(Text(f"prompt: {_cut(pair['prompt_text'])}"))
    console.print(shown)


def _print_changed(before: dict[str, Any], after: dict[str, Any]) -> None:
    """Both forms of a pair side by side: the parts that differ."""
    from rich.console import Console
    from rich.table import Table
    from rich.text import Text

    shown = Table(
        title=Text(printable(f"changed: {after['pair_id']}")), title_justify="left", expand=True, show_lines=True
    )
    shown.add_column("")
    shown.add_column("before", ratio=1, overflow="fold")
    shown.add_column("after", ratio=1, overflow="fold")
    for part in ("prompt_text", "chosen_text", "rejected_text", "margin"):
        if before[part] != after[part]:
            texts = (_cut("-" if one[part] is None else str(one[part])) for one in (before, after))
            shown.add_row(part.removesuffix("_text"), *map(Text, texts))
    console = Console()
    console.print()
    console.print(shown)


def _cut(text: str) -> str:
    return printable(text if len(text) <= _LONGEST else f"{text[:_LONGEST]} ... ({len(text):,} characters)")
