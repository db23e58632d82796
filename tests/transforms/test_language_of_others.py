"""The language of texts by someone who had not seen the rules; none of the short own ones is told wrongly."""

from __future__ import annotations

import json
from pathlib import Path

import polars as pl
import pytest

from lidr.transforms import identify
from lidr.transforms.language_id import language_of

FILE = Path(__file__).parents[1] / "data" / "language_table_others.jsonl"
ROWS = [json.loads(line) for line in FILE.read_text(encoding="utf-8").splitlines()]
CLOSE = 9  # taken for the asked language: gl twice, lb, ast, sco, rw, ne, ms and Meitei in Bengali script


def outcomes(*kinds: str) -> list[str]:
    rows = [row for row in ROWS if row["kind"] in kinds]
    texts, asked = ([row[name] for row in rows] for name in ("text", "prompt"))
    found = identify(pl.Series(texts), [], asked=pl.Series(asked))["language"].to_list()
    return [
        "undecided" if code is None else "right" if (code == row["prompt"]) == (row["language"] == row["prompt"])
        else "wrong" for row, code in zip(rows, found, strict=True)
    ]  # fmt: skip


@pytest.mark.parametrize(
    ("kinds", "right", "wrong"),
    [
        (("own",), 33, 0),  # of 33
        (("own2", "own3"), 26, 0),  # of 33, some of them one word beside a number
        (("mixed-own", "repeat", "titles", "late"), 32, 0),  # of 33
        (("english",), 12, 0),  # of 12
        (("english2",), 7, 0),  # of 12, two words beside a number
        (("near", "near2", "near3"), 83, CLOSE),  # of 103
        (("romanised",), 1, 0),  # of 8
    ],
)
def test_texts_of_others_are_told(kinds, right, wrong):
    found = outcomes(*kinds)
    assert (found.count("right") >= right, found.count("wrong") <= wrong) == (True, True), found


def test_what_cannot_be_known_of_others_is_no_alarm():
    rows = [row for row in ROWS if row["kind"] == "unknown"]
    found = [language_of(row["text"], [], asked=row["prompt"]) for row in rows]
    assert all(code in (None, row["prompt"]) for code, row in zip(found, rows, strict=True)), found


@pytest.mark.parametrize(
    "text", ["会社員", "写真十二枚", "来週月曜日", "他三名", "没収品八点", "返還額三千円", "合計四十二頁"]
)
def test_japanese_without_kana_is_no_chinese(text):
    assert language_of(text, [], asked="ja") == "ja"


@pytest.mark.parametrize("text", ["答案是18。", "這是答案", "没有了", "剩下十二個"])
def test_chinese_is_no_japanese_without_kana(text):
    assert language_of(text, [], asked="ja") == "zh"


def test_a_language_that_lingua_lacks_is_not_taken_for_its_relative():
    text = "O neno ten doce anos e a súa irmá ten quince."
    assert language_of(text, [], asked="es") == "gl"
