"""The recipes of methods that followed: what they change of the LIDR recipe, and one prompt of each on tiny models."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import polars as pl
import pytest

import lidr
from lidr.cli.recipe.ls import shipped
from lidr.recipe.yaml_positions import read_yaml
from lidr.references import HubReference, parse_reference
from lidr.resources import shared
from lidr.store import open_artifact
from tests.recipe.gpu_hours import gpu_hours, head, row
from tests.recipe.test_shipped import METHODS, NAMES, tiny, train_here
from tests.tiny_rewards import tiny_reward_model

MOST = 12
MADE = {"calm": 5_000, "cm_align": 4_000, "croco": 5_000, "icr": 5_000, "lacomsa": 4_000, "lidr_n": 8_000}
"""Slots of 1,000 prompts: without the dominant language's where that only measures, two for each other of LIDR."""


def settings(name: str) -> dict[str, Any]:
    """Dotted name -> value of every setting that can change a result; publishing is none."""
    recipe = lidr.load_recipe(shipped()[name])
    data = recipe.model_dump(mode="json", include={"policy", "system_prompt", "seed"})
    data["chain"] = {
        step.name: step.config.model_dump(mode="json", by_alias=True) for step in recipe.chain if step.name != "publish"
    }
    return dict(leaves(data))


def base_of(name: str) -> str:
    """The recipe of language imbalance that it changes."""
    said = read_yaml(shipped()[name]).data["base"]
    return str(said).removeprefix("../").removesuffix(".yaml")


def leaves(value: Any, path: str = "") -> Iterator[tuple[str, Any]]:
    if isinstance(value, dict):
        for key, child in value.items():
            yield from leaves(child, f"{path}.{key}".strip("."))
    else:
        yield path, value


@pytest.mark.parametrize("name", METHODS)
def test_each_changes_at_most_twelve_settings_of_the_recipe_of_language_imbalance(name):
    base, its = settings(base_of(name)), settings(name)
    dropped = ("chain.measure.", "chain.pair.translation_type.", "chain.gate.artefacts.")
    if "chain.translate.max_tokens" not in its:
        dropped += ("chain.translate.",)
    changed = {key for key in {*base, *its} if base.get(key) != its.get(key) and not key.startswith(dropped)}
    defaults = {
        "chain.score.implicit.prompt", "chain.score.implicit.prefix", "chain.score.implicit.max_length",
        "chain.score.reward_model.label", "chain.score.reward_model.max_length",
        "chain.score.latent.max_length", "chain.score.latent.alpha", "chain.score.latent.gamma",
        "chain.score.latent.most",
        "chain.score.implicit.revision", "chain.score.reward_model.revision", "chain.pair.translation_type",
        "chain.gate.artefacts",
    }  # fmt: skip
    assert len(changed - defaults) <= MOST, changed - defaults


@pytest.mark.parametrize("name", METHODS)
def test_each_says_what_it_is_for_and_plans_on_any_machine(name, tmp_path, monkeypatch):
    monkeypatch.delenv("LIDR_DATA", raising=False)
    monkeypatch.setenv("LIDR_STORE", str(tmp_path))
    path = shipped()[name]
    opening = "".join(
        line for line in path.read_text(encoding="utf-8").splitlines(keepends=True) if line.startswith("#")
    )
    for word in (
        "Launch:",
        "Aims at:",
        "Hardware:",
        "GPU hours by plan",
        "an estimate",
        "Not run by us",
        "Ours" if name.endswith("lidr_n") else "Theirs",
    ):
        assert word in opening
    planned = lidr.plan(recipe := lidr.load_recipe(path))
    hours = gpu_hours(path)
    assert head(hours) in opening
    assert row(name) == hours
    (scored,) = [step.config for step in recipe.chain if step.name == "score"]
    assert all(isinstance(parse_reference(model.model), HubReference) for model in scored.models)
    assert all(model.revision == "unpinned" for model in scored.models)
    said = {step.name: " ".join(step.why) for step in planned.steps}
    assert ("is unpinned: `lidr lock RECIPE`" in said["score"]) == bool(scored.models)
    pair = next(step for step in planned.steps if step.place == "iter_1/pair")
    assert pair.expected.count == MADE[name.split("/")[1]]


KEYS = {"generate.n": "n", "generate.temperature": "temperature", "pair.select": "select",
        "pair.dominant_pairs": "dominant_pairs", "score.latent.layer": "layer", "score.majority.ties": "ties",
        "train.learning_rate": "learning_rate", "train.warmup_ratio": "warmup_ratio",
        "train.nll.weight": "nll_weight", "train.weight_decay": "weight_decay"}  # fmt: skip
WORDS = {"nearest_sigma": "mean_minus_2sigma"}
KNOWN = {"authors-code": ("script", "data", "readme", "inferred"), "follow-up": ("secondary",), "ours": ("not_found",)}


@pytest.mark.parametrize("name", [name for name in METHODS if not name.endswith("lidr_n")])
def test_what_stands_in_a_recipe_is_what_is_known_of_the_method(name):
    data = json.loads((shared("recipes") / "data/methods.json").read_text(encoding="utf-8"))
    facts = data["methods"][name.split("/")[1]]["settings"]
    recipe, base = lidr.load_recipe(shipped()[name]), lidr.load_recipe(shipped()[base_of(name)])
    of_base = {key.partition("].")[2]: said for key, said in base.provenance.items()}
    checked = []
    for number, step in enumerate(recipe.chain):
        values = dict(leaves(step.config.model_dump(mode="json", by_alias=True), step.name))
        for key in KEYS.keys() & values.keys():
            given = recipe.provenance.get(f"chain[{number}].{key}")
            if given is None or given == of_base.get(key) or (fact := facts.get(KEYS[key])) is None:
                continue
            assert fact["known"] in KNOWN[given.provenance], key
            if fact["value"] is not None:
                assert fact["value"] == WORDS.get(values[key], values[key]), key
            checked.append(key)
    assert len(checked) >= 2
    (score,) = [step.config for step in recipe.chain if step.name == "score"]
    if score.models and "reward_model" in facts:
        assert score.models[0].model == facts["reward_model"]["value"]
    if score.models and "scorer_reference" in facts:
        assert score.models[0].model == facts["scorer_reference"]["value"]


@pytest.fixture(scope="module")
def world(tmp_path_factory) -> Path:
    """One prompt in every language, and answers of which the seed of a request picks one; some state a number."""
    folder = tmp_path_factory.mktemp("world")
    for place, prompt_id in (("alpagasus", "alpagasus-0"), ("gsm8k", "gsm8k_0")):
        (folder / place).mkdir()
        for code, name in NAMES.items():
            row_id = code + prompt_id if place == "gsm8k" and code != "en" else prompt_id
            row = {"id": row_id, "instruction": f"{name}: what do bees make?"}
            (folder / f"{place}/{code}.jsonl").write_text(json.dumps(row) + "\n")
    said = ("Wax 4", "Honey and wax 4", "Honey", "Nothing at all: 5", "Honey, wax and food for the winter: 4")
    rules = [{"match": f"into {name}\\.", "text": f"Honey, in {name}.\n</translated>"} for name in NAMES.values()]
    rules += [{"match": f"{name}: what", "texts": [f"{one}, {name}." for one in said]} for name in NAMES.values()]
    (folder / "answers.jsonl").write_text("".join(json.dumps(rule) + "\n" for rule in rules))
    return folder


@pytest.mark.parametrize("name", METHODS)
def test_each_runs_for_one_prompt_and_trains_a_tiny_model(name, world, tmp_path, monkeypatch):
    monkeypatch.setenv("LIDR_DATA", str(world))
    monkeypatch.setenv("LIDR_STORE", str(tmp_path))
    train_here(monkeypatch)
    policy, before = tiny(world, "llama3"), tiny(world, "smollm2")
    scorer, its = {
        "icr": ("implicit", f"reference: {before}, max_length: 600"),
        "lacomsa": ("latent", "layer: 1, max_length: 600"),
        "calm": ("majority", "ties: first"),
        "cm_align": ("majority", "voters: dominant, ties: first"),
    }.get(name.split("/")[1], ("reward_model", f"model: {world}/reward, max_length: 600"))
    if scorer == "reward_model":
        tiny_reward_model(world / "reward", "llama3")
    changes = [
        f"policy={{model: {policy}, dtype: float32}}",
        "iterations=[{prompts: '0:1'}]",
        f"chain.score={{{scorer}: {{{its}}}}}",
        "chain.train.max_length=600",
        "chain.train.lora={rank: 2}",
        "chain.evaluate.data=[recipes/prompts]",
        "chain.evaluate.languages=[en]",
        "chain.gate={collapse: {act: warn}}",
        f"runtime={{engine: scripted, answers: {world}/answers.jsonl, threads: 1}}",
    ]
    if name.endswith("lidr_n"):
        changes += [
            "chain.measure={sample: 1}",
            "chain.translate.check_language=false",
            "chain.translate.max_tokens=64",
        ]
    planned = lidr.run(lidr.load_recipe(shipped()[name], overrides=changes), until="train")
    folder = next(planned.folder(step) for step in planned.steps if step.name == "pair")
    rows = pl.DataFrame(open_artifact(folder).read())
    trained = next(step for step in planned.steps if step.name == "train")
    counts = json.loads((planned.folder(trained) / "record.json").read_text())["counts"]
    assert counts["pairs"] == rows.height
    if name.endswith("lidr_n"):
        assert rows.height == 8
        assert set(rows["kind"]) == {"dominant", "non_dominant"}
        return
    asked = ["de", "en", "es", "fr", "ru"]
    assert set(rows["language"]) <= set(asked) - ({"en"} if MADE[name.split("/")[1]] == 4_000 else set())
    assert rows.height >= (2 if scorer == "majority" else MADE[name.split("/")[1]] // 1_000)
    assert (rows["margin"] > 0).all()
    assert set(rows["judge"]) == {scorer}
    if scorer == "majority":
        stated = {side: set(rows[f"{side}_text"].str.extract(r"(\d)")) for side in ("chosen", "rejected")}
        assert len(stated["chosen"]) == 1
        assert stated["rejected"] == {"4", "5"} - stated["chosen"]
