"""CONTRIBUTING and docs/architecture: the files that they name are there, and what they say is enough is enough."""

from __future__ import annotations

import importlib.util
import json
import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import polars as pl
import pytest

import lidr
from lidr.preferences import FORMS, PairQuery, export_pairs, open_pairs
from lidr.preferences.export_forms import Form
from lidr.report.summary import summarise
from lidr.steps import CHAIN_STEPS, STEPS
from lidr.store import open_artifact
from tests.scripted import RECIPE, write_world
from tests.test_architecture import FLOORS

ROOT = Path(__file__).parents[1]
CONTRIBUTING = (ROOT / "CONTRIBUTING.md").read_text(encoding="utf-8")
ARCHITECTURE = (ROOT / "docs/architecture.md").read_text(encoding="utf-8")
PATHS = re.compile(r"`((?:lidr|tests|evals|hub_cards|recipes|docs)/[\w./-]+)`")

NEW_STEP = '''
"""longest: pairs whose chosen answer is longer than asked for go to the dropped rows."""

from __future__ import annotations

from lidr.recipe import Frozen
from lidr.rows import Pair
from lidr.steps.step_kind import Expected, Outcome, Scale, StepKind, StepRun
from lidr.steps.ledger import Ledger


class LongestConfig(Frozen):
    """How long a chosen answer may be."""

    characters: int


def run_longest(run: StepRun) -> Outcome:
    """Pass on what is short enough, and account for the rest."""
    import polars as pl

    run.progress.start(run.inputs[Pair.name].rows, "pairs")
    ledger = Ledger(run, ("too_long",))
    run.out.start_tables()
    frame = pl.DataFrame(run.inputs[Pair.name].read())
    is_short = pl.col("chosen_text").str.len_chars() <= run.config.characters
    kept, dropped = frame.filter(is_short), frame.filter(~is_short)
    run.out.data.write(kept.to_arrow(compat_level=pl.CompatLevel.oldest()))
    ledger.drop(dropped.with_columns(reason=pl.lit("too_long"), detail=pl.lit("")), step="longest")
    ledger.keep(kept)
    return Outcome(ledger.counts(), run.progress.rate())


def expect_longest(config: LongestConfig, scale: Scale) -> Expected:
    """At most every pair."""
    return Expected(scale.slots, "pairs")


STEP = StepKind(
    name="longest",
    config=LongestConfig,
    reads=(Pair,),
    writes=Pair,
    run=run_longest,
    expects=expect_longest,
    uses=("languages",),
)
'''


def section(title: str) -> list[str]:
    """The files that a section of CONTRIBUTING lists."""
    text = CONTRIBUTING.split(f"## {title}\n")[1].split("\n## ")[0]
    return [path for line in text.splitlines() if line.startswith("| `") for path in PATHS.findall(line.split("|")[1])]


@pytest.mark.parametrize("text", [CONTRIBUTING, ARCHITECTURE], ids=["CONTRIBUTING", "architecture"])
def test_every_file_that_is_named_is_there(text):
    named = [path for path in PATHS.findall(text) if "NAME" not in path]
    assert len(named) > 15
    assert [path for path in named if not (ROOT / path).exists()] == []


def test_the_short_paths_of_the_path_of_a_prompt_are_there():
    walk = ARCHITECTURE.split("## The path of one prompt")[1].split("\n## ")[0]
    named = [path for path in re.findall(r"`([a-z_]+/[\w./]*)`", walk) if not path.startswith(("prompts/", "tests/"))]
    assert len(named) > 20
    assert [path for path in named if not (ROOT / "lidr" / path).exists()] == []


@pytest.mark.parametrize(
    "what", ["an engine", "a step", "an export form", "a benchmark language", "a score", "a scorer"]
)
def test_what_is_added_often_takes_at_most_four_files(what):
    assert 1 < len(section(f"Add {what}")) <= 4


def test_what_is_changed_now_and_then_takes_at_most_four_files():
    table = ARCHITECTURE.split("## Where to change what")[1]
    rows = [line for line in table.splitlines() if line.startswith("| ") and "`" in line]
    assert len(rows) >= 10
    assert [row for row in rows if not 1 <= len(PATHS.findall(row)) <= 4] == []


def test_the_layers_of_the_page_are_those_of_the_tests():
    table = ARCHITECTURE.split("## The packages, from the bottom up")[1].split("\n## ")[0]
    floors: list[set[str]] = []
    for floor, wings in re.findall(r"^\| (\d*) *\| ((?:`\w+/?` ?)+)\|", table, re.MULTILINE):
        if floor:
            assert int(floor) == len(floors) + 1
            floors.append(set())
        floors[-1] |= {wing.rstrip("/") for wing in re.findall(r"`(\w+/?)`", wings)}
    assert floors == [set(wings) for wings in FLOORS]


def new_step(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Lay down the step's file, as if it stood in lidr/steps, and put its STEP into the tuple."""
    file = folder / "longest.py"
    file.write_text(NEW_STEP, encoding="utf-8")
    spec = importlib.util.spec_from_file_location("lidr.steps.longest", file)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    monkeypatch.setitem(sys.modules, spec.name, module)
    spec.loader.exec_module(module)
    monkeypatch.setitem(STEPS, "longest", module.STEP)
    monkeypatch.setitem(CHAIN_STEPS, "longest", module.STEP.config)


def test_a_step_is_its_file_and_its_line_in_the_tuple(tmp_path, monkeypatch):
    new_step(tmp_path, monkeypatch)
    text = RECIPE.replace("iterations:", "  - longest: {{characters: 40}}\niterations:")
    recipe = lidr.load_recipe(write_world(tmp_path / "w", text))
    assert [step.state for step in lidr.plan(recipe).steps if step.name == "longest"] == ["new", "new"]
    planned = lidr.run(recipe)
    artifact = open_artifact(planned.version_folder / "iter_1/longest")
    kept, dropped = pl.DataFrame(artifact.read()), pl.DataFrame(artifact.read("dropped"))
    assert kept["chosen_text"].str.len_chars().max() <= 40
    assert kept.height + dropped.height == open_artifact(planned.version_folder / "iter_1/filter").rows
    assert set(dropped["reason"]) <= {"too_long"}
    assert "longest" in str(summarise(planned).as_json())
    assert {step.state for step in lidr.plan(recipe).steps} == {"cached"}
    shorter = lidr.load_recipe(tmp_path / "w/recipe.yaml", overrides=["chain.longest.characters=20"])
    assert {step.name for step in lidr.plan(shorter).in_state("drifted")} == {"longest"}


def test_a_mistake_in_the_new_steps_settings_is_named_with_its_place(tmp_path, monkeypatch):
    new_step(tmp_path, monkeypatch)
    text = RECIPE.replace("iterations:", "  - longest: {{character: 40}}\niterations:")
    path = write_world(tmp_path / "w", text)
    with pytest.raises(lidr.RecipeError, match=r'recipe\.yaml:\d+:\d+ .*did you mean "characters"'):
        lidr.load_recipe(path)


def test_an_export_form_is_its_row(world, tmp_path, monkeypatch, capsys):
    import pyarrow as pa

    from lidr.cli.main import main

    def shape(batch: pa.RecordBatch) -> pa.RecordBatch:
        return pa.record_batch([batch["prompt_text"], batch["chosen_text"]], names=["question", "answer"])

    form = Form("sft.jsonl", ("prompt_text", "chosen_text"), shape, lambda name: f"Train on {name}.")
    monkeypatch.setitem(FORMS, "sft", form)
    source = open_pairs(str(world.folder / "iter_1/filter/data"))
    found = export_pairs(source, PairQuery(), "sft", tmp_path / "out", name="mine")
    first = pl.read_ndjson(found.file).row(0, named=True)
    assert set(first) == {"question", "answer"}
    assert "Train on mine." in (tmp_path / "out/README.md").read_text(encoding="utf-8")
    with pytest.raises(SystemExit):
        main(["pairs", "export", "--help"])
    assert "sft" in capsys.readouterr().out


NEW_SCORER = '''"""brevity: the fewer characters an answer has, the better."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from pydantic import Field

from lidr.recipe import Frozen
from lidr.steps.score.scorer import Answer, Scored, Scorer, World


class BrevityScorer(Frozen):
    """How short an answer is."""

    most: int = Field(1000, ge=1)
    """Characters from which an answer is worth nothing."""


def score_brevity(world: World, config: BrevityScorer, asked: Sequence[Answer]) -> Iterator[Scored]:
    """1 less the share of `most` that an answer takes."""
    for answer in asked:
        yield Scored(answer, max(0.0, 1.0 - len(answer.text) / config.most))


BREVITY = Scorer("brevity", BrevityScorer, score_brevity)
'''
ROW = "    BREVITY,\n)\n"
IMPORT = "from lidr.steps.score.scorers.brevity_scorer import BREVITY\n"
LATER = '    least: int = Field(0, exclude_if=lambda value: value == 0)\n    """Characters that cost nothing."""\n'
SCORE_AND_PAIR = """
import json, sys
import lidr
from lidr.recipe import recipe_json_schema
from lidr.steps import CHAIN_STEPS
from lidr.store import open_artifact
from tests.documents.recipe_reference import page

more = sys.argv[2:]
chain = "chain=[{generate: {n: 3, max_tokens: 64, temperature: 1.0}}, {score: {language: {}, brevity: {most: 100"
chain += ", ".join(["", *more]) + "}}}, {pair: {from: scores, by: brevity}}]"
recipe = lidr.load_recipe(sys.argv[1], overrides=["iterations=[{prompts: '0:4'}]", chain])
planned = lidr.plan(recipe)
told = {"states": {step.name: step.state for step in planned.steps}}
if not more:
    folder = lidr.run(recipe).version_folder / "iter_1"
    told["rows"] = {name: open_artifact(folder / name).read().to_pylist() for name in ("generate", "score", "pair")}
    told["schema"] = "brevity" in json.dumps(recipe_json_schema(CHAIN_STEPS))
    told["page"] = [line for line in page().splitlines() if "brevity" in line]
print(json.dumps(told))
"""


def as_the_page_says(folder: Path) -> Path:
    """A copy of the package with the scorer's file and its row at the end of the table."""
    shutil.copytree(ROOT / "lidr", folder / "lidr", ignore=shutil.ignore_patterns("__pycache__"))
    for shared in ("recipes", "evals", "hub_cards"):
        (folder / shared).symlink_to(ROOT / shared)
    scorers = folder / "lidr/steps/score/scorers"
    (scorers / "brevity_scorer.py").write_text(NEW_SCORER, encoding="utf-8")
    table = (scorers / "__init__.py").read_text(encoding="utf-8")
    table, rows = re.subn(r"(_ALL = \(\n(?: {4}\w+,\n)+)\)\n", rf"\g<1>{ROW}", table)
    assert rows == 1, "the rows of scorers stand one to a line in _ALL"
    first = "from lidr.steps.score.scorers.consistency_scorer"
    (scorers / "__init__.py").write_text(table.replace(first, f"{IMPORT}{first}", 1), encoding="utf-8")
    return scorers / "brevity_scorer.py"


def told(folder: Path, *more: str) -> dict:
    """What a process with that copy says of a recipe that names the scorer, with `more` settings."""
    environment = {**os.environ, "PYTHONPATH": f"{folder}{os.pathsep}{ROOT}", "PYTHONDONTWRITEBYTECODE": "1"}
    words = [sys.executable, "-c", SCORE_AND_PAIR, str(folder / "w/recipe.yaml"), *more]
    done = subprocess.run(words, cwd=folder, env=environment, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout.splitlines()[-1])


def test_a_scorer_is_its_file_and_its_row_and_a_later_setting_keeps_what_was_made(tmp_path):
    file = as_the_page_says(tmp_path)
    rules = [{"match": "tell me about", "texts": ["Honey.", "Bees make honey.", "Honey, and wax."]}]
    write_world(tmp_path / "w")
    (tmp_path / "w/answers.jsonl").write_text("".join(json.dumps(rule) + "\n" for rule in rules), encoding="utf-8")
    first = told(tmp_path)
    assert set(first["states"].values()) == {"new"}
    assert first["schema"]
    assert any("`brevity.most` (integer >= 1; default `1000`): Characters from which" in line for line in first["page"])
    rows = first["rows"]
    texts = {(one["prompt_id"], one["language"], one["sample"]): one["text"] for one in rows["generate"]}
    assert [one["scorer"] for one in rows["score"][:2]] == ["language", "brevity"]  # in the order of the table
    for one in rows["score"]:
        if one["scorer"] == "brevity":
            length = len(texts[one["prompt_id"], one["language"], one["sample"]])
            assert one["value"] == pytest.approx(1 - length / 100)
    assert rows["pair"]
    assert all(len(one["chosen_text"]) < len(one["rejected_text"]) for one in rows["pair"])
    file.write_text(NEW_SCORER.replace("\n\n\ndef", f"\n{LATER}\n\ndef"), encoding="utf-8")
    assert set(told(tmp_path, "least: 0")["states"].values()) == {"cached"}
    given = told(tmp_path, "least: 3")["states"]
    assert (given["generate"], given["score"]) == ("cached", "drifted")
