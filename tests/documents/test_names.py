"""What README and docs name is there: files, links, commands, and the map of the repository."""

from __future__ import annotations

import re
import subprocess
from pathlib import Path

import pytest

from lidr.cli.main import COMMANDS

ROOT = Path(__file__).parents[2]
MAP = ROOT / "docs/architecture.md"
PAGES = sorted(
    path
    for pattern in ("*.md", "docs/**/*.md", ".github/*.md", "recipes/**/*.md", "tests/frozen/*.md")
    for path in ROOT.glob(pattern)
)
SPEAKS_FOR_ITSELF = {"README.md", ".gitignore", "pyproject.toml"}
"""At the top level, and not in the map."""
MADE_BY_YOU = "runs/"
"""In the map, and not in a clone."""


def test_every_command_named_exists():
    for page in ("README.md", "docs/commands.md"):
        text = (ROOT / page).read_text(encoding="utf-8")
        assert set(re.findall(r"`lidr ([a-z]+)", text)) <= set(COMMANDS)


def test_every_command_has_a_row():
    text = (ROOT / "docs/commands.md").read_text(encoding="utf-8")
    assert set(COMMANDS) - set(re.findall(r"lidr ([a-z]+)", text)) - {"help"} == set()


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.relative_to(ROOT).as_posix())
def test_every_link_into_the_project_leads_somewhere(page):
    links = re.findall(r"\]\(([^)]+)\)", page.read_text(encoding="utf-8"))
    inside = [link.partition("#")[0] for link in links if not link.startswith(("http", "#"))]
    assert [link for link in inside if not (page.parent / link).exists()] == []


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.relative_to(ROOT).as_posix())
def test_every_source_file_named_exists(page):
    files = r"\b(?:lidr|tests|recipes|evals|hub_cards|docs)/[\w/.-]*\w\.(?:py|md|jinja|yaml)\b"
    stand_for_names, in_a_release = re.compile("NAME|LANG|WORD|ACTION"), {"lidr/recipe.yaml"}
    named = set(re.findall(files, page.read_text(encoding="utf-8"))) - in_a_release
    assert sorted(name for name in named if not stand_for_names.search(name) and not (ROOT / name).exists()) == []


def mapped() -> dict[str, str]:
    """Path -> caption, of the map under "Where things are"."""
    (tree,) = re.findall(r"## Where things are\n\n```text\n(.*?)```", MAP.read_text(encoding="utf-8"), re.DOTALL)
    above, paths = "", {}
    for line in tree.splitlines():
        indent, name, caption = re.fullmatch(r"( *)(\S+)\s+(.*)", line).groups()
        if len(indent) > 2:  # a caption goes on
            continue
        above = above if indent else name
        paths[above + name if indent else name] = caption
    return paths


def test_the_map_names_every_folder_of_the_package():
    folders = {path.parent.name for path in (ROOT / "lidr").glob("*/__init__.py")}
    named = {
        name.removeprefix("lidr/").rstrip("/") for name in mapped() if name.startswith("lidr/") and name != "lidr/"
    }
    assert named == folders


def test_every_name_in_the_map_exists_and_has_a_caption():
    assert [name for name in mapped() if name != MADE_BY_YOU and not (ROOT / name).exists()] == []
    assert [name for name, caption in mapped().items() if not caption] == []


@pytest.mark.skipif(not (ROOT / ".git").exists(), reason="only a clone knows what is tracked")
def test_the_map_names_all_that_lies_at_the_top():
    tracked = subprocess.run(["git", "ls-files"], cwd=ROOT, capture_output=True, text=True, check=True).stdout
    top = {f"{path.split('/')[0]}/" if "/" in path else path for path in tracked.splitlines()}
    assert top - SPEAKS_FOR_ITSELF - set(mapped()) == set(), "name it under Where things are in docs/architecture.md"
