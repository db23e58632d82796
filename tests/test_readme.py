"""What the README says, tried."""

from __future__ import annotations

import re
from pathlib import Path

import lidr
from lidr.cli.main import COMMANDS
from lidr.recipe.yaml_positions import read_yaml
from lidr.resources import shared

README = Path(__file__).parent.parent / "README.md"
TEXT = README.read_text(encoding="utf-8")


def blocks(language: str) -> list[str]:
    return re.findall(rf"```{language}\n(.*?)```", TEXT, re.DOTALL)


def test_the_recipe_shown_is_the_shipped_one(tmp_path):
    (shown,) = blocks("yaml")
    (tmp_path / "shown.yaml").write_text(shown, encoding="utf-8")
    assert read_yaml(tmp_path / "shown.yaml").data == read_yaml(shared("recipes") / "quickstart.yaml").data


def test_every_command_named_exists():
    assert set(re.findall(r"`lidr ([a-z]+)", TEXT)) <= set(COMMANDS)


def test_every_link_into_the_project_leads_somewhere():
    links = [link for link in re.findall(r"\]\(([^)]+)\)", TEXT) if not link.startswith("http")]
    assert links
    assert [link for link in links if not (README.parent / link).exists()] == []


def test_the_python_lines_run_up_to_the_run_itself(tmp_path, monkeypatch, capsys):
    monkeypatch.setenv("LIDR_STORE", str(tmp_path))
    monkeypatch.chdir(README.parent)
    ran = []
    monkeypatch.setattr(lidr, "run", lambda recipe, **options: ran.append(recipe.name))
    exec(blocks("python")[0], {})
    assert ran == ["quickstart"]
    assert "iter_2/train" in capsys.readouterr().out
