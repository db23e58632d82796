"""The YAML files in evals/: current, complete, and as lm-eval reads them."""

from __future__ import annotations

import json
import math
from pathlib import Path
from typing import Any

import pytest

from lidr.errors import EvaluationError
from lidr.evals.harness.task_files import task_files, write_task_files
from lidr.evals.mgsm import mgsm_task
from lidr.resources import shared

pytestmark = pytest.mark.filterwarnings("ignore::DeprecationWarning")


@pytest.fixture
def manager(data_folder):
    from lm_eval.tasks import TaskManager

    return TaskManager(
        include_path=[str(shared("evals"))], include_defaults=False, metadata={"lidr_data": str(data_folder)}
    )


def test_the_files_in_evals_are_those_that_the_generator_writes():
    folder = shared("evals")
    files = task_files()
    there = {path.relative_to(folder).as_posix() for path in folder.glob("*/lidr_*.yaml")}
    assert there == {name for name in files if name.endswith(".yaml")}, "run python -m lidr.evals.harness.task_files"
    stale = [name for name, text in files.items() if (folder / name).read_text(encoding="utf-8") != text]
    assert stale == [], "run python -m lidr.evals.harness.task_files"


def test_writing_again_changes_nothing_and_takes_old_task_files_away(tmp_path: Path):
    written = write_task_files(tmp_path)
    (tmp_path / "mgsm" / "lidr_mgsm_xx.yaml").write_text("task: lidr_mgsm_xx\n")
    (tmp_path / "mgsm" / "notes.txt").write_text("mine")
    assert write_task_files(tmp_path) == written
    assert {path for path in tmp_path.rglob("*") if path.is_file()} == {*written, tmp_path / "mgsm" / "notes.txt"}


def test_lm_eval_finds_every_task_and_group_of_mgsm(manager):
    names = {
        mgsm_task.task_name(language, variant) for language in mgsm_task.LANGUAGES for variant in mgsm_task.VARIANTS
    }
    assert names <= set(manager.all_subtasks)
    assert {"lidr_mgsm", "lidr_mgsm_paper_instr", "lidr_mgsm_instr"} <= set(manager.all_groups)


@pytest.mark.parametrize("variant", mgsm_task.VARIANTS)
def test_a_task_asks_greedily_in_one_turn_and_stops_at_no_blank_line(manager, variant):
    name = mgsm_task.task_name("de", variant)
    task = manager.load([name])["tasks"][name]
    doc = task.eval_docs[0]
    assert task.doc_to_text(doc) == mgsm_task.prompt_of(doc, "de", variant)
    assert task.config.generation_kwargs == {"until": [], "do_sample": False, "max_gen_toks": 2048}
    assert task.config.num_fewshot == 0
    assert len(task.eval_docs) == 250
    assert [one.name for one in task._filters] == ["lidr"]


def test_a_group_whose_data_are_not_all_there_says_which_are(manager):
    with pytest.raises(EvaluationError, match=r'no mgsm rows for "bn".*languages there: de, en'):
        manager.load(["lidr_mgsm"])


@pytest.mark.filterwarnings("ignore")
def test_a_group_is_the_unweighted_mean_of_all_eleven_languages(tmp_path):
    from lm_eval.evaluator import simple_evaluate
    from lm_eval.tasks import TaskManager

    (tmp_path / "word_problems").mkdir()
    for place, language in enumerate(mgsm_task.LANGUAGES):
        rows = [{"id": f"w{n}", "query": "1 + 1?", "response": "2"} for n in range(1 + place)]
        text = "".join(json.dumps(row) + "\n" for row in rows)
        (tmp_path / "word_problems" / f"{language}.jsonl").write_text(text)
    manager = TaskManager(
        include_path=[str(shared("evals"))], include_defaults=False, metadata={"lidr_data": str(tmp_path)}
    )
    found = simple_evaluate(
        model=_right_in_english(), tasks=["lidr_mgsm_instr"], task_manager=manager, bootstrap_iters=1
    )
    assert found["n-samples"]["lidr_mgsm_te_instr"]["effective"] == len(mgsm_task.LANGUAGES)
    assert found["results"]["lidr_mgsm_en_instr"]["acc,lidr"] == 1.0
    group = found["groups"]["lidr_mgsm_instr"]
    assert group["acc,lidr"] == pytest.approx(1 / len(mgsm_task.LANGUAGES))  # by size it would be less
    assert (group["parsed,lidr"], group["undecided,lidr"]) == (1.0, 1.0)
    assert math.isnan(group["off_target,lidr"])


def _right_in_english() -> Any:
    """A model that knows that 1 + 1 is 2 when it is told so in English."""
    from lm_eval.api.model import LM

    class RightInEnglish(LM):
        def generate_until(self, requests):
            return ["2" if request.args[0].startswith("Solve") else "3" for request in requests]

        def loglikelihood(self, requests):
            raise NotImplementedError

        loglikelihood_rolling = loglikelihood

    return RightInEnglish()
