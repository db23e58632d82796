"""policy.adapter: an adapter of anybody is merged into the recipe's model, and is part of what the run is known by."""

from __future__ import annotations

import json
import shutil

import pytest

import lidr
from lidr.cli.main import main
from lidr.engines.merging.merge_worker import MERGE_RULES
from lidr.errors import EngineError, PlanError, RecipeError, StoreError
from lidr.hub.pins import _commits
from lidr.release.parents.model_parents import base_model, policy_parent
from lidr.store import kept_sha256
from lidr.store.artifact import open_artifact
from tests.adapters import ADDED, TEMPLATE, logits_of, lora, make_adapter
from tests.scripted import write_world
from tests.tiny import tiny_model

SHA = "1" * 40


@pytest.fixture(scope="module")
def base(tmp_path_factory):
    return tiny_model(tmp_path_factory.mktemp("models") / "base", "smollm2")


@pytest.fixture(scope="module")
def adapter(base, tmp_path_factory):
    return make_adapter(base, tmp_path_factory.mktemp("adapters") / "plain", lora())


def loaded(folder, base, adapter):
    said = [f"policy.model={base}", f"policy.adapter={adapter}", "runtime.engine=transformers"]
    return lidr.load_recipe(folder / "recipe.yaml" if folder.exists() else write_world(folder), overrides=said)


def test_the_policy_is_the_model_with_its_adapter(tmp_path, base, adapter):
    import torch

    made = open_artifact(
        lidr.run(loaded(tmp_path / "w", base, adapter.folder), until="policy").version_folder / "iter_0/policy"
    )
    assert torch.allclose(logits_of(made.model), adapter.logits, atol=1e-4)
    assert not torch.allclose(logits_of(base), adapter.logits, atol=1e-2)
    assert made.record.counts["adapter_shift"] > 0
    planned = lidr.plan(loaded(tmp_path / "w", base, adapter.folder))
    assert planned.steps[0].state == "cached"
    assert planned.steps[0].identity["outside"]["adapter"]["merge_rules"] == MERGE_RULES


def test_model_and_adapter_are_identity_and_their_places_are_not(tmp_path, base, adapter):
    other = shutil.copytree(adapter.folder, tmp_path / "copy")

    def fingerprint(folder):
        return lidr.plan(loaded(tmp_path / "w", base, folder)).steps[0].fingerprint

    before = fingerprint(adapter.folder)
    assert fingerprint(other) == before
    config = json.loads((other / "adapter_config.json").read_text())
    (other / "adapter_config.json").write_text(json.dumps({**config, "lora_alpha": 3}))
    assert fingerprint(other) != before
    without = lidr.load_recipe(tmp_path / "w/recipe.yaml", overrides=[f"policy.model={base}"])
    assert "adapter" not in lidr.plan(without).steps[0].identity["outside"]
    assert "adapter" not in lidr.plan(without).steps[0].identity["config"]


def test_a_plan_says_that_it_is_merged(tmp_path, base, adapter, capsys):
    recipe = write_world(tmp_path)
    words = ["--set", f"policy.model={base}", "--set", f"policy.adapter={adapter.folder}"]
    assert main(["plan", str(recipe), *words]) == 0
    assert f"1 model with {adapter.folder} merged into it" in capsys.readouterr().out


def test_prompts_are_looked_at_with_the_template_beside_the_adapter(tmp_path, base):
    own = make_adapter(
        base,
        tmp_path / "own",
        lora(),
        added=ADDED,
        tokenizer=True,
        template=TEMPLATE.replace("{{ m['role'] }}", "{{ strftime_now('%Y') }}"),
        save_embedding_layers=True,
    )
    planned = lidr.plan(loaded(tmp_path / "w", base, own.folder)).steps[0]
    assert planned.identity["outside"]["template_date"] == "2026-01-01"  # the base's template writes none


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"peft_type": "PREFIX_TUNING"}, r"policy\.adapter: .* PREFIX_TUNING adds virtual tokens before the prompt"),
        ({"task_type": "SEQ_CLS"}, r"policy\.adapter: .* task_type SEQ_CLS; lidr takes adapters of causal"),
        (None, r"policy\.adapter: .* is no adapter: no adapter_config\.json in it"),
    ],
)
def test_a_plan_refuses_what_cannot_be_merged(tmp_path, base, adapter, change, message):
    folder = shutil.copytree(adapter.folder, tmp_path / "a")
    file = folder / "adapter_config.json"
    config = json.loads(file.read_text())
    file.unlink() if change is None else file.write_text(json.dumps({**config, **change}))
    with pytest.raises(PlanError, match=message):
        lidr.plan(loaded(tmp_path / "w", base, folder))


def test_a_packed_model_is_refused_beside_an_adapter(tmp_path, base, adapter):
    packed = shutil.copytree(base, tmp_path / "packed")
    config = json.loads((packed / "config.json").read_text())
    (packed / "config.json").write_text(json.dumps({**config, "quantization_config": {"quant_method": "awq"}}))
    with pytest.raises(
        PlanError, match=r"policy\.adapter: .* is quantised \(awq\); .*adapters merged as plain numbers"
    ):
        lidr.plan(loaded(tmp_path / "w", packed, adapter.folder))


@pytest.mark.parametrize("spoilt", ["model.safetensors", "adapter_model.safetensors"])
def test_what_is_merged_is_what_was_planned(tmp_path, base, adapter, monkeypatch, spoilt):
    """The index that remembers digests is made to miss the change, as it may where a disk rots."""
    model, beside = shutil.copytree(base, tmp_path / "base"), shutil.copytree(adapter.folder, tmp_path / "adapter")
    kept = {path: kept_sha256(path, tmp_path) for folder in (model, beside) for path in folder.iterdir()}
    for module in ("policy", "policy_files"):
        monkeypatch.setattr(f"lidr.steps.{module}.kept_sha256", lambda path, _root: kept[path])
    (file,) = (folder / spoilt for folder in (model, beside) if (folder / spoilt).exists())
    content = bytearray(file.read_bytes())
    content[-1] ^= 1
    file.write_bytes(content)
    with pytest.raises(StoreError, match=rf"{spoilt}: has another content than when it was planned"):
        lidr.run(loaded(tmp_path / "w", model, beside), until="policy")


def test_an_adapter_that_does_not_fit_is_refused_when_it_is_merged(tmp_path, base, adapter):
    folder = shutil.copytree(adapter.folder, tmp_path / "a")
    config = json.loads((folder / "adapter_config.json").read_text())
    (folder / "adapter_config.json").write_text(json.dumps({**config, "r": 8}))
    with pytest.raises(EngineError, match="does not fit over"):
        lidr.run(loaded(tmp_path / "w", base, folder), until="policy")


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (
            ["policy.model=org/m", "runtime.engine=transformers", "policy.adapter=org/a"],
            r"adapter: org/a is not pinned; write org/a@COMMIT",
        ),
        (
            ["policy.model=org/m", "runtime.engine=transformers", "policy.adapter=dist:x/y.gguf"],
            "adapter: dist:x/y.gguf cannot be one; name ./folder, org/name@COMMIT or run:NAME/iter_K/train",
        ),
        (
            ["policy.adapter=./a", "policy.model=openai:m@http://127.0.0.1:9/v1", "runtime.engine=openai"],
            "adapter: a server has no weights here to merge it into",
        ),
    ],
)
def test_a_recipe_names_an_adapter_that_cannot_move(tmp_path, words, message):
    with pytest.raises(RecipeError, match=message):
        lidr.load_recipe(write_world(tmp_path), overrides=words)


def test_an_adapter_of_the_hub_is_locked_by_its_commit_and_is_no_base_model(tmp_path, base, adapter):
    recipe = loaded(tmp_path / "w", "org/base@" + SHA, f"org/a@{SHA}")
    assert f"org/a@{SHA}" in _commits(recipe, {})
    record = type("Record", (), {"identity": {"outside": {"revision": SHA}}, "digest": "d" * 64})()
    assert base_model(recipe, record) is None
    parent = policy_parent(recipe, record, None)
    assert (parent.name, parent.licence) == (f"org/base@{SHA} with org/a@{SHA}", None)
