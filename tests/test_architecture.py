"""The house: imports point downward only, one word leads everywhere, rooms stay small."""

from __future__ import annotations

import ast
from collections.abc import Iterator
from pathlib import Path

import lidr
from lidr.steps import STEPS

PACKAGE = Path(lidr.__file__).parent

FLOORS = (
    ("errors", "extras", "intervals", "languages", "rows", "references", "resources", "retry", "version", "worker"),
    ("recipe",),
    ("store",),
    ("transforms", "engines", "train"),
    ("hub",),
    ("evals",),
    ("steps",),
    ("pipeline",),
    ("report", "miniature", "reproduce"),
    ("cli",),
)
TABLE = "lidr.engines.registry"
"""What engines there are, as a table that imports only lidr.errors: any room may read it."""
FLOOR = {room: number for number, rooms in enumerate(FLOORS) for room in rooms}


def modules() -> Iterator[Path]:
    return (path for path in PACKAGE.rglob("*.py") if "_share" not in path.parts)


def imported_rooms(tree: ast.AST) -> Iterator[str]:
    """Rooms of lidr that a module imports when it runs; imports for types alone do not count."""
    for node in ast.iter_child_nodes(tree):
        if isinstance(node, ast.If) and "TYPE_CHECKING" in ast.unparse(node.test):
            continue
        if isinstance(node, ast.ImportFrom) and node.module != TABLE and (node.module or "").startswith("lidr."):
            yield (node.module or "").split(".")[1]
        elif isinstance(node, ast.Import):
            yield from (name.name.split(".")[1] for name in node.names if name.name.startswith("lidr."))
        yield from imported_rooms(node)


def test_imports_point_downward():
    wrong = []
    for path in modules():
        room = path.relative_to(PACKAGE).parts[0].removesuffix(".py")
        if room == "__init__":
            continue
        for other in imported_rooms(ast.parse(path.read_text(encoding="utf-8"))):
            if FLOOR[other] > FLOOR[room]:
                wrong.append(f"{path.relative_to(PACKAGE)} imports {other}")
    assert wrong == []


def test_the_table_that_any_room_may_read_imports_nothing_but_errors():
    source = (PACKAGE.parent / f"{TABLE.replace('.', '/')}.py").read_text(encoding="utf-8")
    assert set(imported_rooms(ast.parse(source))) == {"errors"}


def test_one_word_leads_from_the_recipe_to_the_step_its_settings_its_function_and_its_test():
    for name, kind in STEPS.items():
        assert kind.config.__name__ == f"{name.title()}Config"
        assert kind.run.__name__ == f"run_{name}"
        assert f"{kind.run.__module__}.".startswith(f"lidr.steps.{name}.")
        assert (PACKAGE.parent / "tests" / "steps" / f"test_{name}.py").exists()


def test_no_function_is_longer_than_a_screen():
    long = [
        f"{path.relative_to(PACKAGE)}: {node.name}"
        for path in modules()
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8")))
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef)
        and node.end_lineno is not None
        and node.end_lineno - node.lineno >= 60
    ]
    assert long == []
