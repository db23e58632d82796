"""The files that a repository shows to strangers: citation, forms, workflows, hooks."""

from __future__ import annotations

import re
from typing import Any

import pytest
import yaml

import lidr
from tests.documents.blocks import ROOT, blocks

WORKFLOWS = sorted((ROOT / ".github/workflows").glob("*.yml"))


def read(name: str) -> Any:
    return yaml.safe_load((ROOT / name).read_text(encoding="utf-8"))


def test_the_citation_is_of_this_version_and_names_the_papers_authors():
    citation = read("CITATION.cff")
    assert (citation["version"], citation["license"]) == (lidr.__version__, "Apache-2.0")
    (paper,) = citation["references"]
    names = [f"{one['family-names']}, {one['given-names']}" for one in paper["authors"]]
    (bibtex,) = blocks("README.md", "bibtex")
    assert re.findall(r"author += \{(.*)\}", bibtex.text) == [" and ".join(names)]
    assert paper["title"] in bibtex.text


@pytest.mark.parametrize("card", ["dataset.md", "model.md"])
def test_cards_cite_the_paper_with_the_entry_of_the_readme(card):
    (bibtex,) = blocks("README.md", "bibtex")
    golden = (ROOT / "tests/release/cards/golden" / card).read_text(encoding="utf-8")
    assert f"```bibtex\n{bibtex.text.strip()}\n```" in golden


@pytest.mark.parametrize("file", WORKFLOWS, ids=lambda file: file.name)
def test_a_workflow_says_that_it_never_ran_and_runs_targets_of_the_makefile(file):
    text = file.read_text(encoding="utf-8")
    assert "never run there" in text.splitlines()[0]
    targets = set(re.findall(r"^([a-z]+):", (ROOT / "Makefile").read_text(encoding="utf-8"), re.M))
    steps = [step for job in yaml.safe_load(text)["jobs"].values() for step in job["steps"]]
    commands = [step["run"].split() for step in steps if "run" in step]
    assert commands
    assert [words for words in commands if words[0] != "make" or words[1] not in targets] == []


def test_the_tests_workflow_runs_what_ci_runs():
    assert "exec make check" in (ROOT / ".ci/run").read_text(encoding="utf-8")
    assert "run: make check" in (ROOT / ".github/workflows/tests.yml").read_text(encoding="utf-8")


def test_the_hooks_are_a_part_of_make_check():
    makefile = (ROOT / "Makefile").read_text(encoding="utf-8")
    check = makefile[makefile.index("\ncheck:") :].split("\n\n")[0].replace("$(BIN)", ".venv/bin")
    (repository,) = read(".pre-commit-config.yaml")["repos"]
    for hook in repository["hooks"]:
        assert hook["entry"].removesuffix(" --force-exclude") in check


@pytest.mark.parametrize("name", ["bug", "idea"])
def test_the_forms_have_what_github_asks_for(name):
    form = read(f".github/ISSUE_TEMPLATE/{name}.yml")
    assert {"name", "description", "body"} <= set(form)
    assert all(part["attributes"]["label"] and part["id"] for part in form["body"])
