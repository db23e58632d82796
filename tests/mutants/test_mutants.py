"""The mutation run: that it changes what it should, tells what is noticed, goes on where it was, and what it found."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections import Counter

import pytest

from tests.mutants import operators, results
from tests.mutants.operators import Mutant
from tests.mutants.table import MODULES
from tests.mutants.trial import ROOT

MODULE = '''\
"""Ends with 1 > 0."""
from typing import Literal
A: Literal["x"] = "x"

@cached(size=3)
def f(x: list[int], *, é: bool = True) -> "int | None":
    """Not 1 < 2."""
    assert x is not None
    if any(x) and not x[0] < 1:
        return f"{x[1] + 1}"
    raise ValueError("at most " + 9)
'''


def changes(text: str) -> list[tuple[int, str, str, str]]:
    return [(one.line, one.operator, one.before, one.after) for one in operators.mutants_of(text)]


def test_code_is_changed_and_types_messages_decorators_and_texts_are_not():
    assert changes(MODULE) == [
        (3, "constant", "'x'", "'x~'"),
        (6, "boolean", "True", "False"),
        (9, "any, all, min, max", "any(x)", "all(x)"),
        (9, "boolean", "any(x) and (not x[0] < 1)", "any(x)"),
        (9, "boolean", "any(x) and (not x[0] < 1)", "any(x) or not x[0] < 1"),
        (9, "boolean", "any(x) and (not x[0] < 1)", "not x[0] < 1"),
        (9, "boolean", "not x[0] < 1", "x[0] < 1"),
        (9, "comparison", "x[0] < 1", "x[0] <= 1"),
        (9, "off by one", "0", "1"),
        (9, "off by one", "1", "0"),
        (9, "off by one", "1", "2"),
        (10, "return", "return f'{x[1] + 1}'", "return None"),
        (11, "dropped call", "raise ValueError('at most ' + 9)", "pass"),
    ]


@pytest.mark.parametrize(
    ("code", "changed"),
    [
        ("x = a < b <= c", ["x = (a <= b <= c)", "x = (a < b < c)"]),
        ("x = ('é', a\n  == b)", ["x = ('é~', a\n  == b)", "x = ('é', (a != b))"]),
        ("x = min(a,\n        b).strip()", ["x = (max(a, b)).strip()", "x = (min(a, b))"]),
        ("x = sorted(a, key=f)", ["x = (a)"]),
        ("x = -a * 0.5", ["x = (-a / 0.5)", "x = (a) * 0.5", "x = -a * 1.0"]),
        ("x = folder / 'name'", ["x = folder / 'name~'"]),
        ("f(x)", ["pass"]),
        ("for x in a:\n    continue", ["for x in a:\n    break"]),
        ("def f():\n    return None", ["def f():\n    return True"]),
        ("match x:\n    case 1:\n        f()", ["match x:\n    case 1:\n        pass"]),
        ("if TYPE_CHECKING:\n    x = 1", []),
        ("open(x, encoding='utf-8').read('a b')", ["pass"]),
    ],
)
def test_a_change_stands_where_the_code_stood(code, changed):
    assert sorted(one.text for one in operators.mutants_of(code)) == sorted(changed)


def test_a_draw_takes_every_operator_in_turn_and_is_the_same_for_the_same_seed():
    found = operators.mutants_of((ROOT / "lidr/transforms/pairs.py").read_text(encoding="utf-8"))
    drawn = operators.drawn(found, 21, "seed")
    assert drawn == operators.drawn(found, 21, "seed") == sorted(drawn)
    assert drawn != operators.drawn(found, 21, "another seed")
    assert set(drawn) <= set(found)
    assert max(Counter(one.operator for one in drawn).values()) <= 4
    assert operators.drawn(found[:5], 9, "seed") == sorted(found[:5])
    assert operators.drawn([], 9, "seed") == []


def test_results_are_appended_a_torn_line_is_cut_off_and_survivors_are_tried_again_with_other_tests(tmp_path):
    path, mutant = tmp_path / "mutants.jsonl", Mutant(3, 4, "constant", "1", "2", "x = 2")
    line = {"file": "a.py", "line": 3, "column": 4, "operator": "constant", "before": "1", "after": "2"}
    line["code"] = "x = 1"
    results.Results(path).append({**line, "outcome": "survived", "source": "s", "tests": "t"})
    path.write_text(path.read_text() + '{"file": "a.p')
    written = results.Results(path)
    assert written.is_known("a.py", mutant, "s", "t")
    assert not written.is_known("a.py", mutant, "s", "other tests")
    assert not written.is_known("a.py", mutant, "other text", "t")
    assert not written.is_known("a.py", mutant._replace(after="3"), "s", "t")
    explained = {("a.py", "x = 1", "1", "2"): "why", ("b.py", "", "", ""): "why"}
    assert results.counted(written, {}) == {"a.py": results.Counts(1, 0, 0, 0, 1)}
    assert results.counted(written, explained) == {"a.py": results.Counts(1, 0, 0, 1, 0)}
    assert [one["after"] for one in results.survivors(written, {})] == ["2"]
    assert results.survivors(written, explained) == []
    assert results.unused(written, explained) == [("b.py", "", "", "")]
    written.append({**line, "outcome": "failed", "source": "s", "tests": "other tests"})
    assert results.Results(path).is_known("a.py", mutant, "s", "more tests")
    assert results.counted(results.Results(path), {}) == {"a.py": results.Counts(1, 1, 0, 0, 0)}
    written.append({**line, "outcome": "time", "source": "other text", "tests": "t"})
    assert results.counted(results.Results(path), {}) == {"a.py": results.Counts(1, 0, 1, 0, 0)}
    assert results.by_operator(written) == {"constant": 1}


SMALL = "def biggest(a, b):\n    return max(a, b)\n\ndef spin(n):\n    while n > 0:\n        n = n - 1\n    return n\n"
NOTICES = (
    "from lidr.small import biggest, spin\n\ndef test_biggest():\n    assert biggest(1, 2) == 2\n\n"
    "def test_spin():\n    spin(3)\n"
)
RUN = """
import sys
from pathlib import Path
from tests.mutants import __main__ as tool, results, trial
from tests.mutants.table import Module
tool._AT_LEAST_S, tool._SLOWEST = 3.0, 2.0
root = Path(sys.argv[1])
written = results.Results(root / "mutants.jsonl")
with trial.work_copy(root, ()) as copied:
    tool.try_file("lidr/small.py", Module(("tests/test_small.py",), 99), written, copied)
"""


def test_a_change_that_a_test_notices_fails_one_that_none_notices_survives_and_an_endless_one_is_ended(tmp_path):
    for path, text in {"lidr/__init__.py": "", "lidr/small.py": SMALL, "tests/test_small.py": NOTICES}.items():
        (tmp_path / path).parent.mkdir(exist_ok=True)
        (tmp_path / path).write_text(text)
    environment = {**os.environ, "PYTHONPATH": str(ROOT)}

    def run() -> str:
        words = [sys.executable, "-c", RUN, str(tmp_path)]
        return subprocess.run(words, cwd=ROOT, env=environment, capture_output=True, text=True, check=True).stdout

    assert ", 0 to try" not in run()
    found = {one["after"]: one for one in map(json.loads, (tmp_path / "mutants.jsonl").read_text().splitlines())}
    assert found["min(a, b)"]["by"] == "tests/test_small.py::test_biggest"
    outcomes = {after: one["outcome"] for after, one in found.items()}
    assert (outcomes["min(a, b)"], outcomes["n >= 0"], outcomes["n + 1"]) == ("failed", "survived", "time")
    assert (tmp_path / "lidr" / "small.py").read_text() == SMALL
    assert ", 0 to try" in run()


def test_at_least_two_hundred_mutants_were_tried_and_every_survivor_is_explained():
    written, explained = results.Results(), results.explanations()
    counts = results.counted(written, explained)
    tried = sum(count.tried for count in counts.values())
    assert tried >= 200
    assert set(counts) <= set(MODULES)
    few = {file: count.tried for file, count in counts.items() if count.tried < 10}
    assert not few
    assert results.survivors(written, explained) == []
    assert results.unused(written, explained) == []
    assert sum(count.explained for count in counts.values()) <= results.MOST_EXPLAINED * tried


@pytest.mark.skipif(not os.environ.get("LIDR_PROVE"), reason="takes an hour: make prove")
def test_no_mutant_of_the_code_as_it_is_survives():
    environment = {**os.environ, "PYTHONPATH": str(ROOT)}
    assert subprocess.run([sys.executable, "-m", "tests.mutants"], cwd=ROOT, env=environment).returncode == 0
