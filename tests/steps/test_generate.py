from __future__ import annotations

import polars as pl
import pyarrow.parquet as pq
import pytest

import lidr
from lidr.errors import PlanError, RecipeError
from lidr.recipe.runtime import Runtime
from lidr.rows import Response
from lidr.steps.answering import request_seed, vllm_identity
from lidr.steps.generate import STEP, GenerateConfig, conversation
from lidr.steps.step_kind import Surroundings
from lidr.store import Lock
from tests.scripted import TINY, write_answers, write_world
from tests.steps.helpers import record_of, rows_of
from tests.tiny import tiny_model


def test_every_prompt_is_answered_in_every_language_in_prompt_order(tmp_path):
    rows = rows_of(write_world(tmp_path), "iter_1/generate")
    assert rows.select("prompt_id", "language").rows() == [
        (f"p{i}", language) for i in range(4) for language in ("en", "es", "de")
    ]
    assert rows["text"][1] == "bees in Spanish."
    assert set(rows["finish_reason"]) == {"stop"}
    assert rows["policy"].n_unique() == 1


def test_truncated_and_empty_answers_are_marked_and_counted(tmp_path):
    recipe = write_world(tmp_path)
    write_answers(
        tmp_path / "answers.jsonl",
        first=(
            {"match": "Spanish: tell me about bees", "text": "bees in", "finish_reason": "length"},
            {"match": "German: tell me about rain", "text": " \n"},
        ),
    )
    rows = rows_of(recipe, "iter_1/generate")
    assert rows.filter(prompt_id="p0", language="es")["finish_reason"].item() == "length"
    counts = record_of(recipe, "iter_1/generate").counts["languages"]
    assert (counts["es"]["truncated"], counts["de"]["empty"], counts["en"]["truncated"]) == (1, 1, 0)


def test_a_system_prompt_comes_first_and_only_when_the_recipe_has_one():
    assert conversation(None, "Hi") == ({"role": "user", "content": "Hi"},)
    assert [turn["role"] for turn in conversation("Be brief.", "Hi")] == ["system", "user"]


def test_each_request_has_a_seed_of_its_own_that_is_the_same_on_every_machine():
    assert request_seed(42, "p0/en") == 4141031561
    assert len({request_seed(42, f"p{i}/en") for i in range(1000)}) == 1000


@pytest.mark.parametrize(
    ("answers", "message"),
    [
        ("null", "runtime.engine is scripted: name the file of canned answers in runtime.answers"),
        ("/nowhere.jsonl", "runtime.answers: no file /nowhere.jsonl; give a JSON-lines file of canned answers"),
    ],
)
def test_a_scripted_recipe_without_its_answers_is_refused(tmp_path, answers, message):
    with pytest.raises(PlanError, match=message):
        rows_of(write_world(tmp_path), "iter_1/generate", f"runtime.answers={answers}")


def test_half_a_surrogate_pair_of_a_server_is_stored_as_the_replacement_character(tmp_path):
    recipe = write_world(tmp_path)
    bad = {"match": "English: tell me about bees", "text": "wax \ud83d bees in English at length."}
    write_answers(tmp_path / "answers.jsonl", first=(bad,))
    assert rows_of(recipe, "iter_1/generate")["text"][0] == "wax \ufffd bees in English at length."


def sampled(n: int, max_tokens: int = 12) -> str:
    """A chain that asks each prompt so many times, and does nothing else."""
    return f"chain=[{{generate: {{n: {n}, temperature: 0.9, max_tokens: {max_tokens}}}}}]"


def test_several_answers_to_a_prompt_are_told_apart_by_their_number(tmp_path):
    rows = rows_of(write_world(tmp_path), "iter_1/generate", sampled(3))
    assert rows.select("prompt_id", "language", "sample").rows()[:5] == [
        ("p0", "en", 0),
        ("p0", "en", 1),
        ("p0", "en", 2),
        ("p0", "es", 0),
        ("p0", "es", 1),
    ]
    assert rows.height == 4 * 3 * 3
    file = next(tmp_path.glob("runs/scripted/*/iter_1/generate/data/*.parquet"))
    assert pq.read_schema(file).metadata[b"lidr.schema"] == b"2"


def test_one_answer_to_a_prompt_leaves_file_and_fingerprint_as_they_were(tmp_path):
    recipe = write_world(tmp_path)
    rows_of(recipe, "iter_1/generate")
    (file,) = tmp_path.glob("runs/scripted/*/iter_1/generate/data/*.parquet")
    before = file.read_bytes(), record_of(recipe, "iter_1/generate").fingerprint
    rows_of(recipe, "iter_1/generate", "chain.generate.n=1")
    assert (file.read_bytes(), record_of(recipe, "iter_1/generate", "chain.generate.n=1").fingerprint) == before
    schema = pq.read_schema(file)
    assert (schema.names, schema.metadata[b"lidr.schema"]) == (Response.schema.names, b"1")


def test_samples_of_a_model_differ_and_each_is_the_same_among_fewer_or_after_a_kill(tmp_path):
    recipe = write_world(tmp_path, TINY)
    tiny_model(tmp_path / "model", "smollm2")
    three = rows_of(recipe, "iter_1/generate", sampled(3), "version=0.2.0")
    two = rows_of(recipe, "iter_1/generate", sampled(2), "version=0.3.0")
    assert three.group_by("prompt_id", "language").agg(pl.col("text").n_unique())["text"].min() == 3
    both = three.join(two, on=["prompt_id", "language", "sample"])
    assert both.height == two.height
    assert both["text"].equals(both["text_right"])


def test_several_answers_at_temperature_0_would_all_be_the_same(tmp_path):
    with pytest.raises(RecipeError, match="n: 3 answers at temperature 0 are 3 times the same; raise temperature"):
        rows_of(write_world(tmp_path), "iter_1/generate", "chain.generate.n=3")


def test_new_ways_of_sampling_are_identity_and_recipes_without_them_keep_theirs():
    plain = GenerateConfig(max_tokens=8)
    assert not {"top_k", "min_p", "presence_penalty"} & {*STEP.identity(plain), *plain.model_dump(mode="json")}
    assert STEP.identity(GenerateConfig(max_tokens=8, top_k=20))["top_k"] == 20
    assert STEP.identity(GenerateConfig(max_tokens=8, min_p=0.1, presence_penalty=1.5))["presence_penalty"] == 1.5


@pytest.mark.parametrize(
    ("told", "identity"),
    [
        ({"engine": "vllm", "vllm": {"max_num_seqs": 8, "kv_cache_dtype": "fp8"}}, {"vllm": {"kv_cache_dtype": "fp8"}}),
        ({"engine": "vllm", "vllm": {"max_num_seqs": 8}}, {}),
        ({"engine": "transformers", "vllm": {"kv_cache_dtype": "fp8"}}, {}),
    ],
)
def test_what_vllm_is_told_is_identity_where_it_can_change_a_text(tmp_path, told, identity):
    recipe = lidr.load_recipe(write_world(tmp_path))
    told_so = recipe.model_copy(update={"runtime": Runtime(**told)})
    around = Surroundings(told_so, tmp_path, Lock({}, {}), tmp_path)
    assert vllm_identity(around) == identity
