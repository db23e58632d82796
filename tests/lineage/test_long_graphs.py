"""Graphs that no run makes, and a hostile release may."""

from __future__ import annotations

import time

from lidr.lineage.graph import Graph, Node
from lidr.lineage.release_lineage import _upward


def test_a_chain_of_twenty_thousand_steps_is_written_and_narrowed_down():
    graph = Graph("0")
    for number in range(20_000):
        graph.add(Node(str(number), "step", str(number)))
        graph.join(str(number), str(number - 1))
    started = time.process_time()
    assert graph.text().count("\n") == 20_004
    assert len(graph.around().nodes) == 20_000
    assert time.process_time() - started < 5


def test_parents_that_name_each_other_are_asked_once(monkeypatch):
    asked = []

    def run_json(repo, revision, target, work):
        asked.append(repo)
        return {"parents": [parent(one) for one in "abc"]}

    def parent(name):
        return {"role": "policy", "name": f"x/{name}", "revision": "0" * 40, "license": None}

    monkeypatch.setattr("lidr.lineage.release_lineage._run_json", run_json)
    graph = Graph("f", {"f": Node("f", "model", "f")})
    _upward(graph, {"parents": [parent("a")]}, None, None, 8)
    assert sorted(asked) == ["x/a", "x/b", "x/c"]
