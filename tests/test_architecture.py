"""The house: imports point downward only, packages have faces, one word leads everywhere, rooms stay small.

docs/architecture.md says why. Each message says what to do.
"""

from __future__ import annotations

import ast
import importlib
from collections import Counter
from pathlib import Path

import pytest

import lidr
from lidr.lazy import homes
from lidr.steps import STEPS
from tests.house import House, Import, circles

HOUSE = House(Path(lidr.__file__).parent)
ROOT = HOUSE.package.parent

FLOORS = (
    ("secrecy", "warned"),
    (
        "errors",
        "languages",
        "rows",
        "references",
        "resources",
        "confined",
        "intervals",
        "drawing",
        "retry",
        "version",
        "lazy",
    ),
    ("extras", "language_tags", "tables", "worker", "disk_faults", "markup", "reasoning", "weights"),
    ("engines", "train", "costs"),
    ("recipe", "transforms"),
    ("store",),
    ("analysis", "hub"),
    ("release", "evals"),
    ("preferences", "lineage"),
    ("hub_server",),
    ("steps",),
    ("pipeline",),
    ("reproduce", "report", "miniature", "doctor"),
    ("api",),
    ("cli",),
)
FLOOR = {room: number for number, rooms in enumerate(FLOORS) for room in rooms}

MOST_MODULES = 16
LONGEST_FUNCTION = 60


def place(module: str, one: Import) -> str:
    """Where an import stands, as editors open it."""
    return f"{HOUSE.paths[module].relative_to(ROOT)}:{one.line}: {one}"


def wing(module: str) -> str:
    """The part of lidr that a module belongs to."""
    return module.split(".")[1]


def test_imports_point_downward():
    wrong = [
        place(module, one)
        for module in HOUSE.paths
        if module != "lidr"
        for one, _ in HOUSE.our_imports(module)
        if one.module == "lidr" or (wing(one.module) != wing(module) and FLOOR[wing(one.module)] >= FLOOR[wing(module)])
    ]
    assert wrong == [], (
        "these import a wing beside or above their own: move what they need down, or the caller up (FLOORS)"
    )


def test_every_wing_stands_on_a_floor():
    assert {wing(module) for module in HOUSE.paths if module != "lidr"} == set(FLOOR), "give it its floor in FLOORS"


def test_no_module_imports_itself_by_way_of_others():
    assert circles(HOUSE.edges) == [], "a circle: move what both need into a module of its own, below them"


@pytest.mark.parametrize("package", sorted(HOUSE.packages))
def test_no_circle_among_the_rooms_of_a_package(package):
    found = circles(HOUSE.rooms_of(package))
    assert found == [], "a circle between modules and packages of one package: what both need belongs below them"


def test_outside_a_package_only_its_face_is_imported():
    wrong = [
        place(module, one)
        for module in HOUSE.paths
        for one in HOUSE.imports[module]
        if one.module in HOUSE.paths.keys() - HOUSE.packages
        and not f"{HOUSE.room(module)}.".startswith(f"{HOUSE.room(one.module)}.")
    ]
    assert wrong == [], "import from the package, and name it in the package's __init__: TYPE_CHECKING and __all__"


@pytest.mark.parametrize("package", sorted(HOUSE.packages))
def test_a_face_says_what_flows_and_holds_nothing_but_names(package):
    tree = HOUSE.trees[package]
    said = ast.get_docstring(tree) or ""
    assert package == "lidr" or ("In:" in said and "Out:" in said) or " -> " in said, (
        f"{package}: its docstring says what flows in and out: In: ... Out: ..., or rows -> step -> rows"
    )
    allowed = (ast.Import, ast.ImportFrom, ast.If, ast.Assign, ast.AnnAssign, ast.Expr)
    others = [type(node).__name__ for node in tree.body if not isinstance(node, allowed)]
    assert others == [], f"{package}: an __init__ holds imports and names; functions and classes go into a module"
    named = next(
        ast.literal_eval(node.value)
        for node in tree.body
        if isinstance(node, ast.Assign | ast.AnnAssign) and node.value is not None and "__all__" in ast.unparse(node)
    )
    handed_out = set(HOUSE.homes[package])
    if handed_out:
        at_the_top = {one.name for one in HOUSE.imports[package] if one.where == "at the top" and one.name in named}
        assert handed_out | at_the_top == set(named), f"{package}: TYPE_CHECKING and __all__ name the same"


@pytest.mark.parametrize("package", sorted(HOUSE.packages))
def test_a_face_hands_out_what_its_syntax_tree_names(package):
    importlib.import_module(package)
    assert homes(package) == HOUSE.homes[package]


def test_no_name_of_a_face_is_the_name_of_a_module_beside_it():
    wrong = [
        f"{package}.{name}"
        for package in HOUSE.packages
        for name in HOUSE.homes[package]
        if f"{package}.{name}" in HOUSE.paths
        and f'callable_as(__name__, "{name}")' not in HOUSE.paths[f"{package}.{name}"].read_text(encoding="utf-8")
    ]
    assert wrong == [], "once the module is loaded, Python gives it for the name: rename one of the two"


def test_an_import_inside_a_function_spares_something_heavy():
    wrong = [
        place(module, one)
        for module in HOUSE.paths
        for one in HOUSE.imports[module]
        if one.where == "in a function" and not HOUSE.spares(module, one)
    ]
    assert wrong == [], (
        "nothing heavy (tests/house.py: HEAVY) is spared: import it at the top. If that makes quick commands slower, "
        "import the package (`from lidr import evals`) and say `evals.evaluate` where it is used"
    )


def test_no_folder_holds_more_modules_than_one_looks_through():
    counted = Counter(HOUSE.room(module) for module in HOUSE.paths if module not in HOUSE.packages)
    full = {room: n for room, n in counted.items() if n > MOST_MODULES}
    assert full == {}, "make a package of those that belong together"


def test_a_file_name_stands_once():
    """A command is named by its word, so the files of cli/ are left out."""
    names = Counter(
        module.rpartition(".")[2]
        for module in HOUSE.paths
        if module not in HOUSE.packages and wing(module) != "cli" and not module.endswith("__main__")
    )
    assert [name for name, n in names.items() if n > 1] == [], "name each file after what it alone holds"


def test_one_word_leads_from_the_recipe_to_the_step_its_settings_its_function_and_its_test():
    for name, kind in STEPS.items():
        assert kind.config.__name__ == f"{name.title()}Config"
        assert kind.run.__name__ == f"run_{name}"
        assert f"{kind.run.__module__}.".startswith(f"lidr.steps.{name}.")
        assert (ROOT / "tests" / "steps" / f"test_{name}.py").exists()


def test_no_function_is_longer_than_a_screen():
    long = [
        f"{HOUSE.paths[module].relative_to(ROOT)}:{node.lineno}: {node.name}"
        for module, tree in HOUSE.trees.items()
        for node in ast.walk(tree)
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef)
        and node.end_lineno is not None
        and node.end_lineno - node.lineno >= LONGEST_FUNCTION
    ]
    assert long == [], "make two of it"


def write_house(folder: Path, files: dict[str, str]) -> House:
    """A package of a few lines."""
    for name, text in files.items():
        path = folder / "h" / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)
    return House(folder / "h")


FACE = "from typing import TYPE_CHECKING\nif TYPE_CHECKING:\n    from h.{0}.inner import Thing\n__all__ = ['Thing']\n"


def test_the_house_finds_circles_by_way_of_faces_functions_and_types(tmp_path):
    house = write_house(
        tmp_path,
        {
            "__init__.py": "",
            "a/__init__.py": FACE.format("a"),
            "a/inner.py": "def late():\n    from h.b import Thing\n",
            "b/__init__.py": FACE.format("b"),
            "b/inner.py": "from typing import TYPE_CHECKING\nif TYPE_CHECKING:\n    from h.a import Thing\n",
            "b/other.py": "from h.b.inner import x\n",
        },
    )
    assert circles(house.edges) == [["h.a", "h.a.inner", "h.b", "h.b.inner"]]
    assert circles(house.rooms_of("h")) == [["h.a", "h.b"]]
    assert circles(house.rooms_of("h.b")) == []


def test_the_house_knows_what_a_module_loads(tmp_path):
    house = write_house(
        tmp_path,
        {
            "__init__.py": "",
            "a/__init__.py": FACE.format("a"),
            "a/inner.py": "import torch\nclass Thing: ...\n",
            "light.py": "def late():\n    from h.a import Thing\n    import json, torch.nn\n    from h import other\n",
            "heavy.py": "import torch\ndef late():\n    from h.a import Thing\n",
            "other.py": "from h import a\n",
        },
    )
    assert house.heavy_of("h.light") == set()
    assert house.heavy_of("h.other") == set(), "a face alone loads nothing"
    assert house.heavy_of("h.heavy") == {"torch"}
    spared = {str(one): house.spares("h.light", one) for one in house.imports["h.light"]}
    assert spared == {
        "from h.a import Thing": True,
        "import json": False,
        "import torch.nn": True,
        "import h.other": False,
    }
    assert [house.spares("h.heavy", one) for one in house.imports["h.heavy"] if one.where == "in a function"] == [False]


def test_whoever_loads_a_model_says_whether_its_code_may_run() -> None:
    """Unsaid, transformers asks on standard input where a model has code of its own: a worker then waits for ever."""
    silent = []
    for path in sorted((ROOT / "lidr").rglob("*.py")):
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            if not (isinstance(node, ast.Call) and isinstance(node.func, ast.Attribute)):
                continue
            of = node.func.value
            if node.func.attr != "from_pretrained" or not (isinstance(of, ast.Name) and of.id.startswith("Auto")):
                continue
            said = {word.arg or (word.value.id if isinstance(word.value, ast.Name) else "") for word in node.keywords}
            if not said & {"trust_remote_code", "trusted"}:
                silent.append(f"{path.relative_to(ROOT)}:{node.lineno}")
    assert silent == []
