"""Questions of MT-Bench from files and from the Hub."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from lidr.errors import EvaluationError
from lidr.evals.mt_bench.questions import load_questions
from tests.evals.mt_bench.mt_bench_world import write_questions


@pytest.fixture
def questions(tmp_path) -> Path:
    return write_questions(tmp_path)


@pytest.mark.parametrize(
    ("line", "message"),
    [
        ('{"question_id": 1, "turns": ["a"]}', r"de\.jsonl:1: no question"),
        ('{"turns": ["a", "b"]}', "no question: needs"),
        ('{"question_id": 1, "turns": ["a", ""]}', "no question"),
        ('{"question_id": 1, "turns": ["a", "b"], "reference": ["x"]}', "no question"),
        ("[1]", "no question"),
        ("{", "no question"),
        ("", "no questions"),
        ('{"question_id": 1, "turns": ["a", "b"]}\n{"question_id": 1, "turns": ["c", "d"]}', "more than once: 1"),
    ],
)
def test_a_file_that_holds_no_questions_is_refused(tmp_path, line, message):
    (tmp_path / "de.jsonl").write_text(line)
    with pytest.raises(EvaluationError, match=message):
        load_questions(str(tmp_path), ["de"])


@pytest.mark.parametrize(
    ("source", "languages", "message"),
    [
        ("{}", ["fra"], 'did you mean "fr"'),
        ("{}", ["ru"], r"no ru\.jsonl; languages there: de, fr"),
        ("{}/de.jsonl", ["de", "fr"], "one file for 2 languages"),
        ("{}/nowhere", ["de"], "no such folder"),
        ("./nowhere", ["de"], "no such folder"),
    ],
)
def test_a_source_that_has_no_such_questions_is_refused(questions, source, languages, message):
    with pytest.raises(EvaluationError, match=message):
        load_questions(source.format(questions), languages)


def test_questions_come_from_a_data_set_on_the_hub_at_its_commit(questions, tmp_path):
    from lidr.hub_server import serve_in_background

    code = f"""
from huggingface_hub import HfApi
from lidr.evals.mt_bench.questions import load_questions
HfApi().create_repo("lidr/mt", repo_type="dataset")
HfApi().upload_file(path_or_fileobj={str(questions / "de.jsonl")!r}, path_in_repo="data/de.jsonl", repo_id="lidr/mt",
                    repo_type="dataset")
found = load_questions("lidr/mt", ["de"])["de"]
print(len(found.rows), found.facts.source, HfApi().dataset_info("lidr/mt").sha)
try:
    load_questions("lidr/mt", ["fr"])
except Exception as error:
    print(error)
"""
    with serve_in_background(tmp_path / "hub", token="tok-questions") as hub:
        environment = {**os.environ, **hub.environment}
        done = subprocess.run([sys.executable, "-c", code], env=environment, text=True, capture_output=True)
    assert done.returncode == 0, done.stderr[-2000:]
    first, refusal = done.stdout.strip().splitlines()
    rows, source, sha = first.split()
    assert (rows, source) == ("12", f"lidr/mt@{sha}/data/de.jsonl")
    assert refusal == f"lidr/mt@{sha}: no fr.jsonl in it"


def test_one_file_is_enough_for_one_language(questions):
    assert len(load_questions(str(questions / "fr.jsonl"), ["fr"])["fr"].rows) == 12
