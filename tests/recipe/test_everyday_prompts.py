"""The project's own everyday prompts: parallel, each there once, in their language, bound to none, and held out."""

from __future__ import annotations

import json
import re
import unicodedata
from collections import Counter
from pathlib import Path

import polars as pl
import pytest
import yaml

from lidr.resources import shared
from lidr.transforms import Rule, detect, identify

FOLDER = shared("recipes") / "prompts"
CODES = ("en", "es", "fr", "de")
SETS = {"everyday": 200, "everyday_held_out": 48}
THRESHOLD = 0.8


def rows(folder: Path, code: str) -> list[dict[str, str]]:
    return [json.loads(line) for line in (folder / f"{code}.jsonl").read_text(encoding="utf-8").splitlines()]


def prompts(folder: Path, code: str) -> list[str]:
    return [row.get("instruction") or row["query"] for row in rows(folder, code)]


def normalised(text: str) -> str:
    """Letters and digits alone, without case and accents."""
    plain = unicodedata.normalize("NFKD", text).casefold()
    return " ".join(re.findall(r"\w+", "".join(letter for letter in plain if not unicodedata.combining(letter))))


def words(text: str) -> set[str]:
    """Those that say something: four letters and more."""
    return {word for word in normalised(text).split() if len(word) > 3}


def alike(one: set[str], other: set[str]) -> float:
    """Share of their words that two texts have in common, 0-1 (Jaccard)."""
    return len(one & other) / max(1, len(one | other))


@pytest.mark.parametrize(("name", "least"), SETS.items())
def test_each_set_is_parallel_and_whole(name, least):
    ids = [[row["id"] for row in rows(FOLDER / name, code)] for code in CODES]
    assert ids == [ids[0]] * 4
    assert len(set(ids[0])) == len(ids[0]) >= least
    fields = {"id", "instruction"} | ({"output"} if name == "everyday_held_out" else set())
    for code in CODES:
        for row in rows(FOLDER / name, code):
            assert set(row) == fields
            assert all(text == text.strip() != "" for text in row.values()), row
            assert all(unicodedata.is_normalized("NFC", text) for text in row.values()), row


@pytest.mark.parametrize("code", CODES)
def test_no_prompt_stands_twice_in_all_sets(code):
    said = [
        normalised(text) for folder in sorted(FOLDER.iterdir()) if folder.is_dir() for text in prompts(folder, code)
    ]
    assert len(said) > sum(SETS.values())
    assert [text for text, count in Counter(said).items() if count > 1] == []


@pytest.mark.parametrize("code", CODES)
def test_no_prompt_is_nearly_another(code):
    """No two share two thirds of their words, however short."""
    own = [(text, words(text)) for name in SETS for text in prompts(FOLDER / name, code)]
    others = [(text, words(text)) for text in prompts(FOLDER / "quickstart", code)]
    near = [
        (one, other)
        for number, (one, its) in enumerate(own)
        for other, theirs in (*own[:number], *others)
        if alike(its, theirs) >= 2 / 3
    ]
    assert near == []


@pytest.mark.parametrize("code", CODES)
@pytest.mark.parametrize("column", ["instruction", "output"])
def test_each_is_in_its_language_and_is_taken_for_no_other(code, column):
    table = [row for name in SETS for row in rows(FOLDER / name, code) if column in row]
    texts = pl.Series([row[column] for row in table])
    wanted = identify(texts, CODES, asked=code)["language"].to_list()
    assert [row for row, found in zip(table, wanted, strict=True) if found != code] == []
    unasked = identify(texts, CODES)["language"].to_list()
    assert [row for row, found in zip(table, unasked, strict=True) if found not in (None, code)] == []


@pytest.mark.parametrize("code", CODES)
def test_none_is_bound_to_a_language_by_the_lists(code):
    data = yaml.safe_load((shared("recipes") / f"data/language_bound/{code}.yaml").read_text(encoding="utf-8"))
    rules = [Rule(row["name"], row["class"], row["score"], row["pattern"]) for row in data["rules"]]
    texts = [text for name in SETS for text in prompts(FOLDER / name, code)]
    found = detect(pl.Series(texts), rules, threshold=THRESHOLD)
    assert [text for text, classes in zip(texts, found["classes"], strict=True) if len(classes)] == []


@pytest.mark.parametrize("code", CODES)
def test_reference_answers_are_one_or_two_sentences(code):
    for row in rows(FOLDER / "everyday_held_out", code):
        assert 1 <= len(re.findall(r"[.!?](?=\s|$)", row["output"])) <= 2, row
        assert 3 <= len(row["output"].split()) <= 45, row
