"""Answers as models phrase them: how many are read right, by language and rule; and GSM8K's solutions."""

from __future__ import annotations

import json
import re
from collections import Counter, defaultdict
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest

from lidr.evals.mgsm import mgsm_task
from lidr.evals.mgsm.number_reading import read_number
from lidr.evals.mgsm.words.language_words import WORDS

DATA = Path(__file__).parents[2] / "data"


def rows(name: str) -> list[dict[str, Any]]:
    return [json.loads(line) for line in (DATA / name).read_text(encoding="utf-8").splitlines()]


def is_right(row: dict[str, Any]) -> bool:
    return read_number(row["text"], row["language"]).number == Decimal(row["gold"])


@pytest.mark.parametrize("row", rows("mgsm_misses.jsonl"), ids=lambda row: f"{row['language']}-{row['kind']}")
def test_what_the_first_rules_misread_is_read_right(row):
    assert read_number(row["text"], row["language"]).number == Decimal(row["gold"])


@pytest.mark.parametrize(("held_back", "share"), [(False, 0.99), (True, 0.95)])
def test_the_table_of_answers_is_read_right(held_back, share):
    table = [row for row in rows("mgsm_answers.jsonl") if row["held_back"] is held_back]
    wrong = [(row["language"], row["kind"], row["text"], row["gold"]) for row in table if not is_right(row)]
    assert len(wrong) <= (1 - share) * len(table), wrong


def test_no_language_is_read_worse_than_by_the_last_number():
    ours, flexible, counts = Counter[str](), Counter[str](), Counter[str]()
    for row in rows("mgsm_answers.jsonl"):
        counts[row["language"]] += 1
        ours[row["language"]] += is_right(row)
        flexible[row["language"]] += mgsm_task._is_flexibly_right(row["text"], row["gold"])
    assert set(counts) == set(WORDS)
    assert min(counts.values()) >= 30
    assert all(ours[language] >= flexible[language] for language in WORDS)


def test_every_rule_is_mostly_right():
    found: dict[str, list[bool]] = defaultdict(list)
    for row in rows("mgsm_answers.jsonl"):
        found[read_number(row["text"], row["language"]).rule].append(is_right(row))
    assert set(found) == {"boxed", "prefix", "last"}
    assert all(sum(right) >= 0.95 * len(right) for right in found.values())


def worked_solutions(folder: Path) -> list[tuple[str, str]]:
    file = folder / "gsm8k" / "test.jsonl"
    if not file.is_file():
        pytest.skip(f"{file} is not here: the file of that name in openai/grade-school-math")
    lines = [json.loads(line)["answer"] for line in file.read_text(encoding="utf-8").splitlines()]
    return [tuple(re.sub("<<.*?>>", "", answer).rsplit("\n#### ", 1)) for answer in lines]  # type: ignore[misc]


@pytest.mark.parametrize("form", ["{steps}\n{last}\n#### {gold}", "{steps}\n{last}", "{steps}\n**Answer:** {last}"])
def test_worked_solutions_are_read_right(data_folder, form):
    right = []
    solutions = worked_solutions(data_folder)
    for solution, gold in solutions:
        steps, _, last = solution.rpartition("\n")
        text = form.format(steps=steps, last=last, gold=gold)
        right.append(read_number(text, "en").number == Decimal(gold.replace(",", "")))
    assert len(solutions) == 1319
    assert sum(right) >= 0.98 * len(right)
