from __future__ import annotations

import polars as pl
import pytest

from lidr.errors import PlanError, RowError
from lidr.rows import Pair
from lidr.steps import side_by_side
from lidr.steps.pair import pair_step
from tests.scripted import write_answers, write_world
from tests.steps.helpers import record_of, rows_of


def test_the_rows_are_what_trl_reads_and_carry_their_source_keys(tmp_path):
    rows = rows_of(write_world(tmp_path), "iter_1/pair")
    assert rows.columns == Pair.schema.names
    row = rows.filter(pair_id="1/p1/en-de/dominant").row(0, named=True)
    assert row["prompt"] == [{"role": "user", "content": "English: tell me about rain"}]
    assert row["chosen"] == [{"role": "assistant", "content": row["chosen_text"]}]
    assert row["rejected"] == [{"role": "assistant", "content": row["rejected_text"]}]
    assert (row["chosen_key"], row["rejected_key"]) == ("p1/en", "p1/de->en")
    assert (row["score_chosen"], row["margin"], row["judge"]) == (None, None, None)


def test_a_system_prompt_is_part_of_the_prompt_that_is_trained_on(tmp_path):
    rows = rows_of(write_world(tmp_path), "iter_1/pair", "system_prompt=Be brief.")
    for row in rows.iter_rows(named=True):
        assert row["prompt"] == [
            {"role": "system", "content": "Be brief."},
            {"role": "user", "content": row["prompt_text"]},
        ]


def test_small_batches_give_the_same_rows_as_one(tmp_path, monkeypatch):
    recipe = write_world(tmp_path)
    whole = rows_of(recipe, "iter_1/pair")
    monkeypatch.setattr(pair_step, "PROMPTS_PER_BATCH", 1)
    batched = rows_of(recipe, "iter_1/pair", "version=0.2.0", "seed=43")
    assert batched.drop("policy_in").equals(whole.drop("policy_in"))
    assert batched.height == 16


def test_prompts_bound_to_a_language_come_from_a_file_and_are_identity(tmp_path):
    recipe = write_world(tmp_path)
    ids = tmp_path / "ids.txt"
    ids.write_text("# bound\np1\n\n")
    bound = f"chain.pair.translation_type={{policy: keep_source, ids: {ids}}}"
    rows = rows_of(recipe, "iter_1/pair", bound)
    kept = rows.filter(pl.col("kind") == "non_dominant", pl.col("prompt_id") == "p1")
    assert set(kept["chosen_text"]) == {"rain in English at length."}
    before = record_of(recipe, "iter_1/pair", bound).fingerprint
    ids.write_text("p2\n")
    from lidr import load_recipe, plan

    again = plan(load_recipe(recipe, overrides=["iterations=[{prompts: '0:4'}]", bound]))
    assert next(step for step in again.steps if step.name == "pair").fingerprint != before


def test_a_missing_list_of_bound_prompts_is_said(tmp_path):
    recipe = write_world(tmp_path)
    with pytest.raises(
        PlanError, match=r"pair.translation_type.ids: no file .*none.txt; give a text file with one prompt"
    ):
        rows_of(recipe, "iter_1/pair", f"chain.pair.translation_type={{ids: {tmp_path}/none.txt}}")


def test_not_requested_slots_are_counted_with_their_setting(tmp_path):
    recipe = write_world(tmp_path)
    rows = rows_of(recipe, "iter_1/pair", "chain.pair.dominant_pairs=none")
    assert set(rows["kind"]) == {"non_dominant"}
    counts = record_of(recipe, "iter_1/pair", "chain.pair.dominant_pairs=none").counts
    assert counts["not_requested"] == [
        {"language": "de", "kind": "dominant", "reason": "dominant_pairs: none", "count": 4},
        {"language": "es", "kind": "dominant", "reason": "dominant_pairs: none", "count": 4},
    ]


def test_a_run_in_which_no_pair_survives_ends_with_its_account(tmp_path):
    recipe = write_world(tmp_path)
    write_answers(tmp_path / "answers.jsonl", first=({"match": "Please translate", "text": "no tag"},))
    with pytest.raises(RowError, match=r"0 of 16 slots are kept (?s:.*)look at pair\.accept"):
        rows_of(recipe, "iter_1/pair")
    assert rows_of(recipe, "iter_1/pair", "chain[2].pair.min_kept=0").height == 0
    assert rows_of(recipe, "iter_1/pair", "chain[2].pair.min_kept=0", part="dropped").height == 16


def test_tables_out_of_prompt_order_are_refused():
    import pyarrow as pa

    class Table:
        record = type("R", (), {"place": "iter_1/generate"})

        def __init__(self, ids):
            self._ids = ids

        def batches(self, rows, columns):
            yield pa.record_batch({"prompt_id": pa.array(self._ids)})

    inputs = [Table(["a", "b"]), Table(["b", "a"]), Table(["a", "b"])]
    with pytest.raises(RowError, match=r"iter_1/generate has rows of the prompt a, which is not in prompt order"):
        list(side_by_side.aligned(inputs, 1))


def test_a_list_of_bound_prompts_in_real_data_that_are_not_here_is_said(tmp_path, monkeypatch):
    monkeypatch.delenv("LIDR_DATA", raising=False)
    with pytest.raises(
        PlanError, match=r"iter_1/pair: pair.translation_type.ids: \$LIDR_DATA/ids.txt: set LIDR_DATA to the folder"
    ):
        rows_of(write_world(tmp_path), "iter_1/pair", "chain.pair.translation_type={ids: $LIDR_DATA/ids.txt}")


def test_a_list_of_bound_prompts_that_is_not_utf8_is_said(tmp_path):
    (tmp_path / "ids.txt").write_bytes(b"p1\xff")
    recipe = write_world(tmp_path / "w")
    with pytest.raises(RowError, match=r"ids.txt: not UTF-8 at byte 2; save the file as UTF-8"):
        rows_of(recipe, "iter_1/pair", f"chain.pair.translation_type={{ids: {tmp_path}/ids.txt}}")
