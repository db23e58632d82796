from __future__ import annotations

import json
import re

import polars as pl
import pytest

from lidr.errors import RowError
from lidr.rows import Prompt, Response, Translation
from lidr.transforms.bias import prompt_kind, selection_bias
from tests.transforms.released import read_released, units_of_translations


def write(path, *rows):
    path.write_text("".join(json.dumps(row) + "\n" for row in rows), encoding="utf-8")
    return path


ROW = {"id": "a", "prompt": "What?", "instruction": "What?", "response": "Honey.", "en2fr_reponse": "Du miel."}


def test_released_rows_become_our_tables(tmp_path):
    failed = ROW | {"id": "b", "en2fr_reponse": "Translation Error"}
    prompts, responses, translations = read_released(
        write(tmp_path / "r.jsonl", ROW, failed), source="en", target="fr", policy="m0"
    )
    for frame, rows in ((prompts, Prompt), (responses, Response), (translations, Translation)):
        assert frame.columns == rows.schema.names
    assert prompts.rows() == [("a", "en", "What?"), ("b", "en", "What?")]
    assert (
        responses.select("text", "finish_reason", "prompt_tokens", "policy").rows()
        == [("Honey.", "stop", None, "m0")] * 2
    )
    assert translations.drop("policy", "attempts").rows() == [
        ("a", "en", "fr", "Du miel.", None, "ok"),
        ("b", "en", "fr", "", None, "failed_upstream"),
    ]


@pytest.mark.parametrize(
    ("line", "message"),
    [
        ("{", "r.jsonl:1: not JSON"),
        ("[]", "r.jsonl:1: lacks an object as text; found: list"),
        (json.dumps({"id": "a", "prompt": "?"}), "r.jsonl:1: lacks response, en2fr_reponse as text; found: id, prompt"),
    ],
)
def test_a_line_that_is_no_released_row_is_named(tmp_path, line, message):
    (tmp_path / "r.jsonl").write_text(line)
    with pytest.raises(RowError, match=re.escape(message)):
        read_released(tmp_path / "r.jsonl", source="en", target="fr", policy="m0")


def test_the_78_failures_of_the_authors_sample_are_those_of_long_answers(data_folder):
    """The numbers of design page `method`, section 4: 7.8%; by fifth of length 2.5, 3, 11, 11 and 11.5%."""
    file = data_folder / "llama3_m0" / "en_to_fr.jsonl"
    released = read_released(file, source="en", target="fr", policy="Llama-3-8B-Instruct")
    counts = dict(released.translations["status"].value_counts().rows())
    assert counts == {"ok": 922, "failed_upstream": 78}
    kinds = released.prompts.select("prompt_id", prompt_kind=prompt_kind(pl.col("text"), pl.lit(False)))
    units = units_of_translations(released.translations, kinds, released.responses, dominant="en")
    report = selection_bias(units)
    assert [row["dropped"] for row in report["length"]] == [5, 6, 22, 22, 23]
    assert [row["share"] for row in report["length"]] == [0.025, 0.03, 0.11, 0.11, 0.115]
    assert report["characters"] == {"kept": 1345.2, "dropped": 1943.3}
    assert report["language"] == [{"name": "fr", "slots": 1000, "dropped": 78, "share": 0.078}]
    assert sum(row["slots"] for row in report["prompt_kind"]) == 1000
