"""`lidr lineage REF`: what a pair, a release, a model or a run was made from, and what was made from it.

org/name@v1.0.0            a release, or any model or data set on the Hub
org/name@v1.0.0/PAIR_ID    one pair of it
run:NAME[@VERSION]         a run of the store; run:NAME@VERSION/PAIR_ID one pair of it
"""

from __future__ import annotations

import argparse
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING

from lidr.cli.common import other_hub, print_json, say, store_argument
from lidr.cli.terminal import printable
from lidr.errors import NegativeVerdict
from lidr.lineage import svg
from lidr.secrecy import clean_data

if TYPE_CHECKING:
    from lidr.lineage import Graph, Node


def arguments(parser: argparse.ArgumentParser) -> None:
    """Options of the command."""
    parser.add_argument("reference", metavar="REF", help="org/name[@v1.0.0[/PAIR_ID]] or run:NAME[@VERSION[/PAIR_ID]]")
    parser.add_argument("--endpoint", metavar="URL", help="the Hub; default $HF_ENDPOINT, else huggingface.co")
    parser.add_argument("--svg", type=Path, metavar="FILE", help="draw it")
    store_argument(parser)
    parser.add_argument("--json", action="store_true", help="print one JSON object on standard output")


def main(options: argparse.Namespace) -> int:
    """Print the graph, and draw it.

    Raises:
        NegativeVerdict: rows that were read are not as they were published.
    """
    if options.endpoint:
        other_hub(options.endpoint.rstrip("/"))
    from lidr.release import target_or_public

    if options.reference.startswith("run:"):
        from lidr.lineage import lineage_of_run
        from lidr.store import Store, store_root

        graph, endpoint = lineage_of_run(options.reference, Store(store_root())), None
    else:
        from lidr.lineage import lineage

        target = target_or_public()
        with TemporaryDirectory(prefix="lidr-lineage-") as work:
            graph, endpoint = lineage(options.reference, target, Path(work)), target.endpoint
    if options.svg:
        _draw(graph, options.svg, endpoint)
    if options.json:
        print_json("lidr.lineage/1", graph.as_json())
    else:
        print(printable(graph.text()))
    if graph.differences:
        raise NegativeVerdict(
            f"{options.reference}: not as it was published: {graph.differences[0]}. A tag may still name the release "
            "itself; `lidr reproduce` says everything that was touched"
        )
    return 0


def _draw(graph: Graph, file: Path, endpoint: str | None) -> None:
    def link(node: Node) -> str | None:
        return f"{endpoint}/{node.repo}/tree/{node.revision or 'main'}" if endpoint and node.repo else None

    file.parent.mkdir(parents=True, exist_ok=True)
    file.write_text(clean_data(svg(graph, link)), encoding="utf-8")
    say(f"drawn: {file}")
