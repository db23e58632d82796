"""Every recipe that ships: read, planned, and run for one prompt on a tiny model."""

from __future__ import annotations

import json
import re
from pathlib import Path

import pytest
import torch

import lidr
from lidr.cli.main import main
from lidr.cli.recipe.ls import shipped
from lidr.languages import LANGUAGES
from lidr.recipe.yaml_positions import read_yaml
from lidr.references import HubReference, parse_reference
from lidr.release.parents.licences import Parent, strictest
from lidr.resources import shared
from tests.recipe.gpu_hours import gpu_hours, head, row
from tests.tiny import Family, tiny_model

ABLATIONS = (
    "authors_compat",
    "dominant_none",
    "dominant_one",
    "no_nll",
    "one_language",
    "reference_initial",
    "shuffled",
    "swapped",
)
METHODS = tuple(f"methods/{name}" for name in ("calm", "cm_align", "croco", "icr", "lacomsa", "lidr_n"))
"""Of other papers: tests/recipe/test_method_recipes.py."""
REAL = ("real_policy", "real_policy/sft", "real_policy/strict", "real_policy/swapped")
"""For two CPU cores: tests/methods/test_real_policy.py."""
PAPER = [
    *(f"ablations/{name}" for name in ABLATIONS),
    "gemma2-9b/instruct",
    "llama2-7b/chat",
    "llama2-7b/chat-asian",
    *(f"llama3-8b/{name}" for name in ("arithmetic", "external-translator", "instruct")),
    *(f"llama3-8b/{name}" for name in ("low-resource", "low-resource-external", "sft")),
    "mistral-7b/instruct",
    "qwen2-7b/instruct",
]
FAMILY: dict[str, Family] = {"gemma2-9b": "gemma", "qwen2-7b": "qwen2", "mistral-7b": "smollm2"}
NAMES = {code: LANGUAGES[code].name for code in ("en", "es", "ru", "de", "fr", "ja", "ko", "it", "th", "bn", "sw")}
README = (shared("recipes") / "README.md").read_text(encoding="utf-8")


def test_these_recipes_ship():
    assert sorted({*shipped()} - {"first", "quickstart", "miniature", *METHODS, *REAL}) == PAPER
    assert len(PAPER) == 19


@pytest.mark.parametrize("name", PAPER)
def test_each_is_one_screen_says_what_it_is_for_and_plans_on_any_machine(name, tmp_path, monkeypatch):
    monkeypatch.delenv("LIDR_DATA", raising=False)
    monkeypatch.setenv("LIDR_STORE", str(tmp_path))
    text = shipped()[name].read_text(encoding="utf-8")
    recipe = lidr.load_recipe(shipped()[name])
    opening = "".join(line for line in text.splitlines(keepends=True) if line.startswith("#"))
    assert len(text.splitlines()) <= 62
    assert max(map(len, text.splitlines())) <= 120
    for word in ("Launch:", "Aims at:", "Hardware:", "GPU hours by plan", "an estimate", "Not run by us"):
        assert word in opening
    (policy_license,) = [step.config.policy_license for step in recipe.chain if step.name == "publish"]
    parents = [Parent("prompts", "p", None, recipe.prompts.license), Parent("policy", "m", None, policy_license)]
    assert strictest(parents).identifier == "cc-by-nc-4.0"
    planned = lidr.plan(recipe)
    assert f"| [{name}]({name}.yaml) |" in README
    hours = gpu_hours(shipped()[name])
    assert head(hours) in opening
    assert row(name) == hours
    said = {step.name: " ".join(step.why) for step in planned.steps}
    assert "evaluate.data: $LIDR_DATA: set LIDR_DATA to the folder that holds it, or give --data" in said["evaluate"]
    model = parse_reference(recipe.policy.model)
    assert isinstance(model, HubReference)
    assert recipe.policy.revision == "unpinned"
    assert re.search(r"policy.model: .* is unpinned: `lidr lock RECIPE`", "".join(planned.steps[0].why))


@pytest.mark.parametrize("name", PAPER)
def test_what_is_not_the_papers_says_that_it_was_not_found(name):
    recipe = lidr.load_recipe(shipped()[name])
    number = next(i for i, step in enumerate(recipe.chain) if step.name == "train")
    for field in ("beta", "learning_rate", "epochs", "batch", "max_length", "warmup_ratio", "lr_scheduler"):
        given = recipe.provenance[f"chain[{number}].train.{field}"]
        assert given.provenance == ("ours" if field == "learning_rate" else "follow-up")
        assert (given.source or "").startswith("not found, chosen:")


@pytest.mark.parametrize("name", PAPER)
def test_an_adapter_is_trained_at_a_rate_that_outlives_its_merge_into_the_papers_number_format(name):
    recipe = lidr.load_recipe(shipped()[name])
    train = next(step.config for step in recipe.chain if step.name == "train")
    assert recipe.policy.dtype == "bfloat16"
    assert train.lora is not None
    torch.manual_seed(0)
    wide, steps = 4096, 125  # of a layer of 8B; 8,000 pairs in batches of 64
    weights = (torch.randn(64, wide) * 0.02).bfloat16().float()
    a = (torch.rand(train.lora.rank, wide) * 2 - 1) / wide**0.5  # as peft begins
    b = torch.randn(64, train.lora.rank).sign() * train.learning_rate * steps / 2  # the most that Adam can move it

    def kept(factor):
        update = factor * train.lora.alpha / train.lora.rank * (b @ a)
        saved = (weights + update).bfloat16().float() - weights
        return float((saved * update).sum() / (update * update).sum())

    assert kept(1.0) > 0.9
    assert kept(0.1) < 0.5  # at the follow-up's 1e-6, which is for all weights


def test_the_paper_recipe_plans_the_papers_counts(tmp_path, monkeypatch):
    monkeypatch.setenv("LIDR_STORE", str(tmp_path))
    planned = lidr.plan(lidr.load_recipe(shipped()["llama3-8b/instruct"]))
    counts = {step.place: step.expected.count for step in planned.steps}
    assert counts["iter_1/generate"] == 5_000
    assert counts["iter_2/translate"] == 8_000
    assert counts["iter_1/pair"] == 8_000


def test_an_ablation_differs_from_the_main_recipe_in_what_it_is_named_after():
    base = lidr.load_recipe(shipped()["llama3-8b/instruct"])
    for name in ABLATIONS:
        recipe = lidr.load_recipe(shipped()[f"ablations/{name}"])
        differ = {step.name for step in recipe.chain if step not in base.chain} - {"publish"}
        expected = {"dominant_none": {"pair"}, "dominant_one": {"pair"}, "one_language": {"filter"}}
        if name != "authors_compat":
            assert differ == expected.get(name, {"train"}), name
            assert recipe.policy == base.policy


def test_validate_shows_the_recipe_as_it_counts(capsys):
    path = str(shipped()["ablations/no_nll"])
    assert main(["validate", path, "--resolved", "--set", "chain.train.epochs=3"]) == 0
    text = capsys.readouterr().out
    assert text.startswith("# Ablation: no NLL term")
    assert "epochs: 3\n" in text
    assert "weight: 0.0\n" in text
    assert "base:" not in text
    assert main(["validate", path, "--resolved", "--json"]) == 0
    assert "learning_rate" in json.loads(capsys.readouterr().out)["resolved"]


@pytest.mark.parametrize("name", ["quickstart", *PAPER])
def test_a_copy_stands_alone_and_is_the_same(name, tmp_path, monkeypatch):
    copy = tmp_path / "elsewhere" / "mine.yaml"
    assert main(["cp", name, str(copy)]) == 0
    monkeypatch.chdir(tmp_path)
    assert lidr.load_recipe(copy).model_dump() == lidr.load_recipe(shipped()[name]).model_dump()
    assert "base" not in read_yaml(copy).data


def test_the_json_schema_accepts_every_shipped_recipe_and_refuses_a_misspelt_one():
    import jsonschema

    from lidr.recipe.json_schema import recipe_json_schema
    from lidr.steps import CHAIN_STEPS

    schema = recipe_json_schema(CHAIN_STEPS)
    jsonschema.Draft202012Validator.check_schema(schema)
    validator = jsonschema.Draft202012Validator(schema)
    for path in shipped().values():
        data = read_yaml(path).data
        validator.validate(data)
        wrong = [{**data, "chian": []}, {**data, "seed": "x"}, {k: v for k, v in data.items() if k != "name"}]
        for faulty in [*wrong, {**data, "chain": [{"train": {"epoch": 1}}]}]:
            with pytest.raises(jsonschema.ValidationError):
                validator.validate(faulty)
    over = {"base": "x.yaml", "name": "y", "chain": [{"train": {"epochs": 2}}], "without": ["gate"]}
    validator.validate(over)


@pytest.fixture(scope="module")
def world(tmp_path_factory) -> Path:
    """One prompt in every language, canned answers and translations, and tiny models made when asked for."""
    folder = tmp_path_factory.mktemp("world")
    texts = {code: f"{name}: what do bees make?" for code, name in NAMES.items()}
    for place, prefix in (("alpagasus", "alpagasus-0"), ("low_resource", "p0"), ("gsm8k", "gsm8k_0")):
        (folder / place).mkdir()
        for code, text in texts.items():
            row = {"id": prefix if place != "gsm8k" or code == "en" else code + prefix, "instruction": text}
            (folder / place / f"{code}.jsonl").write_text(json.dumps(row) + "\n")
    into = [{"match": f"into {name}\\.", "text": f"Honey, in {name}.\n</translated>"} for name in NAMES.values()]
    asked = [{"match": f"{name}: what do bees", "text": f"Wax, {name}."} for name in NAMES.values()]
    (folder / "answers.jsonl").write_text("".join(json.dumps(rule) + "\n" for rule in [*into, *asked]))
    rows = [
        {"prompt_id": i, "source": a, "target": b, "text": f"Honey, in {NAMES[b]}."}
        for i in ("alpagasus-0", "p0")
        for a in NAMES
        for b in NAMES
        if a != b
    ]
    (folder / "translations.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    return folder


def overrides(name: str, world: Path, model: Path) -> list[str]:
    translate = "{max_tokens: 64, check_language: false}"
    if "external" in name:
        translate = f"{{by: {{file: {world}/translations.jsonl}}, check_language: false}}"
    return [
        f"policy={{model: {model}, dtype: float32, double_bos: {str('compat' in name).lower()}}}",
        "iterations=[{prompts: '0:1'}]",
        f"chain.translate={translate}"
        if name != "ablations/authors_compat"
        else "chain.translate.check_language=false",
        "chain.measure={sample: 1}",
        "chain.train.max_length=600",
        "chain.train.lora={rank: 2}",
        "chain.evaluate.data=[recipes/prompts]",
        "chain.evaluate.languages=[en]",
        f"runtime={{engine: scripted, answers: {world}/answers.jsonl, threads: 1}}",
    ]


@pytest.mark.parametrize("name", PAPER)
def test_each_runs_for_one_prompt_and_trains_a_tiny_model(name, world, tmp_path, monkeypatch):
    monkeypatch.setenv("LIDR_DATA", str(world))
    monkeypatch.setenv("LIDR_STORE", str(tmp_path))
    train_here(monkeypatch)
    model = tiny(world, FAMILY.get(name.split("/")[0], "llama3"))
    changes = [*overrides(name, world, model), "chain.gate={artefacts: {act: warn}}"]  # only English is evaluated
    planned = lidr.run(recipe := lidr.load_recipe(shipped()[name], overrides=changes), until="train")
    trained = next(step for step in planned.steps if step.name == "train")
    record = json.loads((planned.folder(trained) / "record.json").read_text())
    others = len(recipe.languages.others)
    expected = {"ablations/dominant_none": others, "ablations/dominant_one": others + 1, "ablations/one_language": 2}
    expected["ablations/authors_compat"] = others + 1
    assert record["counts"]["pairs"] == expected.get(name, 2 * others)


def tiny(world: Path, family: Family) -> Path:
    """The tiny model of a family, made once."""
    model = world / family
    if not model.exists():
        from transformers import AutoTokenizer

        from tests.tiny import split_newlines_as_llama3_does

        tiny_model(model, family, max_positions=640)
        if family == "llama3":
            tokenizer = AutoTokenizer.from_pretrained(model)
            split_newlines_as_llama3_does(tokenizer)
            tokenizer.save_pretrained(model)
    return model


def train_here(monkeypatch) -> None:
    """Train in this process: the libraries are then imported once, not once for each recipe."""
    import lidr.train.train_process

    def train(spec, *, log, on_step, say):
        from lidr.train.training_run import run

        return run(spec, on_step)

    monkeypatch.setattr(lidr.train.train_process, "train", train)


def test_one_runs_whole_with_the_tiny_model_answering_evaluated_and_gated(world, tmp_path, monkeypatch):
    monkeypatch.setenv("LIDR_DATA", str(world))
    monkeypatch.setenv("LIDR_STORE", str(tmp_path))
    train_here(monkeypatch)
    statuses = "[ok, unclosed_at_end, truncated, wrong_language, copied_source, refused]"
    changes = [
        *overrides("qwen2-7b/instruct", world, tiny(world, "qwen2")),
        "languages.others=[es]",
        "chain.generate.max_tokens=8",
        "chain.translate.max_tokens=8",
        f"chain.pair={{drop: independent, accept: {statuses}}}",
        "chain.evaluate={tasks: [mgsm], languages: [en, es], data: [recipes/prompts], limit: 1, max_tokens: 4}",
        "runtime={engine: transformers, threads: 1}",
    ]
    planned = lidr.run(lidr.load_recipe(shipped()["qwen2-7b/instruct"], overrides=changes))
    assert {step.state for step in planned.steps if step.name != "publish"} == {"cached"}
    gate = next(step for step in planned.steps if step.name == "gate")
    counts = json.loads((planned.folder(gate) / "record.json").read_text())["counts"]
    assert {*counts["quiet"]} | {one["signature"] for one in counts["fired"]} == {
        "dominant_worse", "no_gain", "artefacts", "collapse"}  # fmt: skip
