"""What was made from what, by lidr's own records alone.

In: a run in the store, or a release on a Hub. Out: a graph of prompts, models, steps, rows and releases, followed both
ways, as text or as a picture.
"""

from typing import TYPE_CHECKING

from lidr.lazy import lazily

if TYPE_CHECKING:
    from lidr.lineage.graph import Graph, Node, foreign_graph, graph_of, release_node
    from lidr.lineage.picture import Link, svg
    from lidr.lineage.release_lineage import lineage
    from lidr.lineage.run_lineage import lineage_of_run

__all__ = [
    "Graph",
    "Link",
    "Node",
    "foreign_graph",
    "graph_of",
    "lineage",
    "lineage_of_run",
    "release_node",
    "svg",
]
__getattr__ = lazily(__name__)
