"""Tables of README and docs that list what the code has: columns of pairs, files and columns of a results folder."""

from __future__ import annotations

import re

from lidr.evals.benchmark_rows import load_rows
from lidr.evals.mgsm import mgsm_task
from lidr.evals.results import SAMPLES, SCORES
from lidr.evals.x_alpacaeval import x_alpacaeval_task
from lidr.resources import shared
from lidr.rows import SWITCHES, Pair
from tests.documents.blocks import ROOT
from tests.families import templates


def section(page: str, title: str) -> str:
    """What stands below a heading, up to the next."""
    text = (ROOT / page).read_text(encoding="utf-8")
    return text.partition(f"\n## {title}\n")[2].partition("\n## ")[0]


def first_cells(text: str) -> list[str]:
    """The code words in the first cell of each row."""
    return [word for cell in re.findall(r"^\|([^|]*)\|", text, re.M) for word in re.findall(r"`([^`]+)`", cell)]


def test_every_column_of_a_pair_has_its_row():
    named = first_cells(section("docs/walks/train.md", "The columns of a pair"))
    assert sorted(named) == sorted([*Pair.columns, *Pair.later, SWITCHES])


def test_every_column_of_a_results_folder_has_its_row():
    text = section("docs/evaluation.md", "The files of a results folder")
    columns = text.partition("| column | in |")[2].partition("\n\n")[0]
    assert set(first_cells(columns)) == {*SAMPLES, *SCORES}
    for name, where in re.findall(r"^\| `(\w+)` \| ([^|]+) \|", columns, re.M):
        files = {"samples.parquet": SAMPLES, "scores.parquet": SCORES}
        has = [file for file, schema in files.items() if name in schema]
        assert where == ("both" if len(has) == 2 else f"`{has[0]}`"), name


def test_every_key_of_a_detail_has_its_row():
    rows = load_rows("mgsm", "en", str(shared("recipes") / "prompts")).rows
    found = mgsm_task.score(rows[0], "The answer is 7.", language="en").detail
    asked = load_rows("x_alpacaeval", "en", str(shared("recipes") / "prompts")).rows
    judged = x_alpacaeval_task.score(asked[0], "Honey.", language="en", verdict=None).detail
    said = section("docs/evaluation.md", "The files of a results folder").partition("What stands in `detail`")[2]
    of = {one: set(re.findall(r"`(\w+)`", said.partition(f"| {one} |")[2].partition(f"| {after} |")[0]))
          for one, after in (("MGSM", "X-AlpacaEval"), ("X-AlpacaEval", "MT-Bench"))}  # fmt: skip
    assert set(found) <= of["MGSM"]
    assert set(judged) <= of["X-AlpacaEval"]


def test_what_is_shown_for_glm_4_is_what_its_proof_trains_with():
    text = (ROOT / "docs/models.md").read_text(encoding="utf-8")
    (shown,) = re.findall(r"```text\n(.*?)\n```", text.partition("### GLM-4's template for training")[2], re.S)[:1]
    assert templates.GLM4.replace("m['content'] -}}", "m['content'] -}}" + shown) == templates.GLM4_TRAINING
