"""README and docs: every block is run, read, or says why not; and what is written from the code is fresh."""

from __future__ import annotations

import re
from pathlib import Path

import pyarrow.parquet as pq
import pytest
import yaml
from pydantic import TypeAdapter

import lidr
from lidr.recipe.schema import Recipe
from lidr.resources import shared
from lidr.steps import CHAIN_STEPS
from tests.documents import costs, recipe_reference
from tests.documents.blocks import ROOT, SHOWN, WALKS, Block, blocks, pages, script, to_run
from tests.documents.shell import make_clone, run

RUNNING = [page for page in pages() if to_run(page) and page not in WALKS]
PARTS = [block for page in pages() for block in blocks(page, "yaml")]


@pytest.mark.parametrize("page", pages())
def test_every_block_is_run_or_says_why_not(page):
    spared = [block for block in blocks(page) if block.language not in (*SHOWN, "sh", "python") and block.why is None]
    assert [(block.line, block.language) for block in spared] == []


def test_every_fence_is_a_block():
    """A fence that the reader of blocks misses would be run by nobody."""
    for page in pages():
        fences = re.findall(r"^ *```", (ROOT / page).read_text(encoding="utf-8"), re.M)
        assert len(fences) == 2 * len(blocks(page)), page


@pytest.mark.parametrize(("page", "test"), WALKS.items())
def test_the_test_of_a_walk_reads_its_page(page, test):
    assert page in (ROOT / test).read_text(encoding="utf-8")


@pytest.mark.parametrize("page", RUNNING)
def test_the_blocks_of_a_page_run(page, tmp_path):
    run(script(page), make_clone(tmp_path / "clone"))


@pytest.mark.parametrize("block", PARTS, ids=lambda block: f"{block.page}:{block.line}")
def test_every_recipe_shown_is_one_and_every_part_fits_one(block: Block, tmp_path):
    part = yaml.safe_load(block.text)
    if "schema" in part or "base" in part:
        file = tmp_path / "shown.yaml"
        file.write_text(block.text.replace("base: ", f"base: {shared('recipes').parent}/"), encoding="utf-8")
        assert lidr.load_recipe(file).name == part["name"]
        return
    for step in part.pop("chain", ()):
        ((name, config),) = step.items()
        CHAIN_STEPS[name].model_validate(config)
    for name, value in part.items():
        TypeAdapter(Recipe.model_fields[name].annotation).validate_python(value)


def test_the_recipe_reference_is_fresh():
    assert recipe_reference.PAGE.read_text(encoding="utf-8") == recipe_reference.page(), "make docs"


def test_every_setting_says_what_it_is():
    unsaid = re.findall(r"^ *- `([^`]+)` \([^\n]*\)$", recipe_reference.page(), re.M)
    assert [name for name in unsaid if ".columns." not in f".{name}"] == []


@pytest.mark.parametrize("page", costs.PAGES)
def test_what_it_costs_is_fresh(page, tmp_path, monkeypatch):
    monkeypatch.setenv("LIDR_STORE", str(tmp_path))
    monkeypatch.delenv("LIDR_DATA", raising=False)
    assert (ROOT / page).read_text(encoding="utf-8") == costs.written(page), "make docs"


def test_every_message_of_the_troubleshooting_page_is_one_of_ours():
    text = (ROOT / "docs/troubleshooting.md").read_text(encoding="utf-8")
    headings = re.findall(r"^### `(.+)`$", text, re.M)
    assert len(headings) > 20
    sources = [path.read_text(encoding="utf-8") for path in (*(ROOT / "lidr").rglob("*.py"), ROOT / "Makefile")]
    assert [said for said in headings if not any(said in source for source in sources)] == []


def test_every_page_is_in_the_site():
    nav = (ROOT / "mkdocs.yml").read_text(encoding="utf-8")
    assert [page for page in pages()[1:] if f": {page.removeprefix('docs/')}\n" not in nav] == []


def test_the_readmes_recipe_gives_the_account_and_the_pair_that_it_shows(tmp_path):
    clone = make_clone(tmp_path / "clone")
    (recipe,) = blocks("README.md", "yaml")
    (clone / "sums.yaml").write_text(recipe.text, encoding="utf-8")
    ran = run("lidr run sums.yaml --quiet", clone)
    pair, account = (block.text for block in blocks("README.md", "text"))
    for row, count in re.findall(r"^(.+?) {2,}(\d+)\b", account, re.M):
        assert re.search(rf"^{re.escape(row)} +{count}$", ran, re.M), row
    files = clone.glob("runs/sums/0.1.0/iter_1/pair/data/*.parquet")
    made = [row for file in files for row in pq.read_table(file).to_pylist()]
    shown = dict(re.findall(r"^(\w+) +(.+?)(?: {2,}.*)?$", pair, re.M))
    assert shown in [{side: row[f"{side}_text"].replace("\n", " ") for side in shown} for row in made]


def test_the_readme_is_short():
    assert len((ROOT / "README.md").read_text(encoding="utf-8").splitlines()) <= 150


def test_the_picture_is_there_in_both_forms():
    folder = Path(ROOT / "docs/images")
    assert (folder / "first.png").read_bytes().startswith(b"\x89PNG")
    assert "95% intervals" in (folder / "first.svg").read_text(encoding="utf-8")
