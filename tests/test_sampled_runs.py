"""A chain whose pairs are chosen by scores, from its prompts to its release and back: a tiny model answers, is scored
by its own likelihood, trained, published, traced, reproduced.
"""

from __future__ import annotations

import shutil
from pathlib import Path

import polars as pl
import pyarrow.parquet as pq
import pytest

import lidr
from lidr.errors import PlanError, RowError
from lidr.release.dataset_release import stage_dataset
from lidr.release.finished import Finished
from lidr.steps.score import SCORERS
from tests.adapters import lora, make_adapter
from tests.publishing import finished
from tests.scripted import TINY, write_world
from tests.steps.helpers import rows_of
from tests.tiny import tiny_model

SCORE = "score: {{implicit: {{reference: {folder}/before}}}}"
RECIPE = (
    TINY.replace("name: scripted", "name: sampled")
    .replace('  - prompts: "4:8"\n', "")
    .replace("generate: {{max_tokens: 12}}", "generate: {{max_tokens: 12, n: 3, temperature: 1.0}}")
    .replace(
        "translate: {{max_tokens: 12, check_language: false}}",
        "score: {{implicit: {{reference: {folder}/before, license: apache-2.0}}}}",
    )
    .replace(
        "pair: {{drop: independent, accept: [ok, unclosed_at_end, truncated]}}",
        "pair: {{from: scores, length_control: zero_mean, weight: margin}}\n  - filter: {{repetition: {{lines: 5}}}}",
    )
)


def sampled_world(folder: Path) -> Path:
    """The recipe, the policy, and the model that it was tuned from."""
    recipe = write_world(folder, RECIPE)
    tiny_model(folder / "model", "smollm2", seed=1)
    tiny_model(folder / "before", "smollm2", seed=2)
    return recipe


@pytest.fixture(scope="module")
def sampled(tmp_path_factory) -> Finished:
    return finished(sampled_world(tmp_path_factory.mktemp("sampled") / "w"), policy_licence="apache-2.0")


def test_the_reward_is_the_policys_likelihood_less_that_of_its_reference(sampled):
    """Against one forward pass of each answer alone, in this process."""
    import torch
    from transformers import AutoModelForCausalLM, AutoTokenizer

    folder = Path(sampled.recipe.file).parent
    rows = pl.DataFrame(sampled.written("answer_scores", 1).read()).filter(pl.col("value").is_not_null())
    on = ["prompt_id", "language", "sample"]
    answers = pl.DataFrame(sampled.written("responses", 1).read()).join(rows, on=on)
    prompts = pl.DataFrame(sampled.written("prompts", 1).read()).filter(language="en")
    asked = dict(prompts.select("prompt_id", "text").iter_rows())
    names = {"en": "", "es": "Answer in Spanish.\n\n", "de": "Answer in German.\n\n"}
    tokenizer = AutoTokenizer.from_pretrained(folder / "model")
    models = [AutoModelForCausalLM.from_pretrained(folder / name, dtype=torch.float32) for name in ("model", "before")]

    def nats(model, prompt: list[int], answer: list[int]) -> float:
        with torch.inference_mode():
            logits = model(torch.tensor([prompt + answer])).logits[0, len(prompt) - 1 : -1].log_softmax(-1)
        return float(logits[range(len(answer)), answer].sum())

    assert answers.height > 20
    for row in answers.sample(6, seed=0).iter_rows(named=True):
        user = {"role": "user", "content": names[row["language"]] + asked[row["prompt_id"]]}
        prompt = tokenizer.apply_chat_template([user], add_generation_prompt=True, tokenize=True)["input_ids"]
        said = {"role": "assistant", "content": row["text"].strip()}
        whole = tokenizer.apply_chat_template([user, said], tokenize=True)["input_ids"]
        end = max(i for i, token in enumerate(whole) if token == tokenizer.convert_tokens_to_ids("<|im_end|>"))
        policy, reference = (nats(model, prompt, whole[len(prompt) : end + 1]) for model in models)
        assert row["value"] == pytest.approx(policy - reference, abs=2e-3)


def test_a_release_has_the_weights_of_its_pairs_and_names_the_reference_as_a_parent(sampled, tmp_path):
    weights = dict(sampled.written("pairs", 1).read().select(["pair_id", "weight"]).to_pandas().to_numpy())
    assert all(weight > 0 for weight in weights.values())
    stage_dataset(sampled, tmp_path, "lidr/p")
    (file,) = (tmp_path / "all").glob("iter_1*.parquet")
    assert pq.read_schema(file).metadata[b"lidr.schema"] == b"2"
    assert dict(pq.read_table(file, columns=["pair_id", "weight"]).to_pandas().to_numpy()) == weights
    assert [(one.role, one.name, one.licence) for one in sampled.parents][1] == (
        "scorer",
        "<folder>/before",
        "apache-2.0",
    )
    assert sampled.parents[1].revision
    assert sampled.licence.identifier == "apache-2.0"
    config = SCORERS["implicit"].config(reference="org/model", license="mit")
    assert "license" not in SCORERS["implicit"].identity(config)


def test_every_slot_is_accounted_for_to_the_last_step(sampled):
    counts = [record.counts for record in sampled.records if record.iteration == 1]
    kept = sum(row["count"] for row in sampled.written("pairs", 1).record.counts["kept"])
    lost = sum(row["count"] for one in counts for what in ("dropped", "not_requested") for row in one.get(what, ()))
    pair = next(record for record in sampled.records if record.step == "pair")
    assert kept + lost - sum(row["count"] for row in sampled.trainings()[0].counts["dropped"]) == 4 * 3
    assert {one["language"] for one in pair.counts["length_control"]} == {"en", "es", "de"}


@pytest.mark.parametrize("reference", ["model", "copy"])
def test_a_reference_that_is_the_policy_is_refused_by_the_plan(tmp_path, reference):
    recipe = sampled_world(tmp_path)
    tiny_model(tmp_path / "copy", "smollm2", seed=1)
    (tmp_path / "copy/README.md").write_text("the same weights")
    setting = f"chain.score.implicit.reference={tmp_path}/{reference}"
    with pytest.raises(PlanError, match=r"score\.implicit\.reference: .* is the policy itself, so every value"):
        lidr.plan(lidr.load_recipe(recipe, overrides=[setting]))


def test_the_model_below_an_adapter_is_not_the_policy(tmp_path):
    """ICR's usual policy: an adapter that was tuned over the model which is the reference."""
    recipe = sampled_world(tmp_path)
    make_adapter(tmp_path / "before", tmp_path / "adapter", lora())
    policy = f"policy={{model: {tmp_path}/before, adapter: {tmp_path}/adapter}}"
    planned = lidr.plan(lidr.load_recipe(recipe, overrides=[policy]))
    assert next(step.state for step in planned.steps if step.name == "score") == "new"


def test_answers_that_are_all_too_long_for_the_models_are_no_sign_that_these_are_one(tmp_path):
    recipe = sampled_world(tmp_path)
    rows = rows_of(recipe, "iter_1/score", "chain.score.implicit.max_length=8", "iterations=[{prompts: '0:1'}]")
    said = {detail.partition(":")[0] for detail in rows["detail"]}
    assert rows["value"].null_count() == rows.height
    assert said <= {"prompt_too_long", "over_long", "empty_response"}
    assert said != {"empty_response"}


def test_a_reference_that_is_the_policy_in_other_files_is_found_out_by_its_likelihoods(tmp_path):
    from transformers import AutoModelForCausalLM

    recipe = sampled_world(tmp_path)
    parts = shutil.copytree(tmp_path / "model", tmp_path / "parts")
    (parts / "model.safetensors").unlink()
    AutoModelForCausalLM.from_pretrained(tmp_path / "model").save_pretrained(parts, max_shard_size="50KB")
    assert len([*parts.glob("*.safetensors")]) > 1
    with pytest.raises(RowError, match=r"score\.implicit\.reference: it is the policy, as both find every answer"):
        rows_of(recipe, "iter_1/score", f"chain.score.implicit.reference={parts}", "iterations=[{prompts: '0:1'}]")


def test_a_policy_behind_a_server_is_refused_by_the_plan_where_a_scorer_looks_into_it(tmp_path):
    recipe = sampled_world(tmp_path)
    changes = ['policy={model: "openai:m@http://127.0.0.1:9/v1"}', "chain.score={latent: {}}", "runtime.engine=openai"]
    with pytest.raises(PlanError, match=r"score\.latent: it looks into the policy, and one behind a server"):
        lidr.plan(lidr.load_recipe(recipe, overrides=changes))
