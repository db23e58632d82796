"""policy.merge: false: the engine answers with the adapter over the model; nothing takes the base for the policy."""

from __future__ import annotations

import json
import shutil

import pytest

import lidr
from lidr.cli.main import main
from lidr.errors import PlanError, RecipeError, StoreError
from lidr.evals.results import read_samples
from lidr.references import parse_reference
from lidr.store import Journal, folder_sha256, locate, read_record
from lidr.store.artifact import open_artifact
from tests.adapters import ADDED, TEMPLATE, lora, make_adapter
from tests.evals.asked import write_rows
from tests.scripted import TINY, write_world
from tests.tiny import tiny_model

UNTRAINED = TINY[: TINY.index("  - train:")] + TINY[TINY.index("iterations:") :]
"""The chain on a tiny model, from generate to pair."""


@pytest.fixture(scope="module")
def base(tmp_path_factory):
    return tiny_model(tmp_path_factory.mktemp("models") / "base", "llama3", seed=1)


@pytest.fixture(scope="module")
def adapter(base, tmp_path_factory):
    return make_adapter(base, tmp_path_factory.mktemp("adapters") / "plain", lora(), tokenizer=True).folder


def loaded(folder, base, adapter, *more, text=UNTRAINED):
    file = folder / "recipe.yaml" if folder.exists() else write_world(folder, text)
    over = [] if adapter is None else [f"policy.adapter={adapter}"]
    return lidr.load_recipe(file, overrides=[f"policy.model={base}", *over, *more])


def unmerged(folder, base, adapter, *more, text=UNTRAINED):
    return loaded(folder, base, adapter, "policy.merge=false", *more, text=text)


def texts(run):
    return open_artifact(run.version_folder / "iter_1/generate").read().column("text").to_pylist()


def test_a_run_answers_with_the_adapter_over_the_model_and_goes_on_where_it_was(tmp_path, base, adapter, monkeypatch):
    recipe = unmerged(tmp_path / "over", base, adapter)
    kept, add = [], Journal.add

    def ended(journal, key, row):
        if len(kept) == 3:
            raise KeyboardInterrupt
        kept.append(key)
        add(journal, key, row)

    monkeypatch.setattr(Journal, "add", ended)
    with pytest.raises(KeyboardInterrupt):
        lidr.run(recipe)
    monkeypatch.setattr(Journal, "add", add)
    assert [step.state for step in lidr.plan(recipe).steps if step.place == "iter_1/generate"] == ["resumes"]
    run = lidr.run(recipe)
    merged = lidr.run(loaded(tmp_path / "merged", base, adapter))
    without = lidr.run(loaded(tmp_path / "without", base, None))
    assert texts(run) == texts(merged)
    assert texts(run) != texts(without)
    policy = open_artifact(run.version_folder / "iter_0/policy")
    assert policy.record.counts["merge"] is False
    assert policy.record.counts["adapter"] == str(adapter)
    assert {entry.path for entry in policy.named("adapter")} == {
        "adapter/adapter_config.json",
        "adapter/adapter_model.safetensors",
    }
    assert (policy.folder / "base/model.safetensors").read_bytes() == (base / "model.safetensors").read_bytes()
    pairs = open_artifact(run.version_folder / "iter_2/pair")
    assert pairs.record.inputs["policy"]["place"] == "iter_0/policy"
    assert {step.state for step in lidr.plan(recipe).steps} == {"cached"}
    with pytest.raises(StoreError, match=r"iter_0/policy: this policy is an adapter over a model"):
        locate(parse_reference("run:scripted/iter_0/policy"), recipe).model  # noqa: B018
    with pytest.raises((PlanError, StoreError), match=r"iter_0/policy: this policy is an adapter over a model"):
        lidr.plan(loaded(tmp_path / "over", "run:scripted@0.1.0/iter_0/policy", None, "version=0.2.0"))


def test_an_evaluation_asks_it_with_the_adapter_over_the_model(tmp_path, base, adapter):
    step = "  - evaluate: {{tasks: [mgsm], data: [{folder}/rows], max_tokens: 8, languages: [en]}}\n"
    text = UNTRAINED[: UNTRAINED.index("  - translate")] + step + UNTRAINED[UNTRAINED.index("iterations:") :]
    found = {}
    for name, of, over in (("over", adapter, ["policy.merge=false"]), ("merged", adapter, []), ("without", None, [])):
        file = write_world(tmp_path / name, text)
        write_rows(tmp_path / name / "rows")
        said = [*([f"policy.adapter={of}"] if of else []), *over, f"policy.model={base}"]
        run = lidr.run(lidr.load_recipe(file, overrides=[*said, "iterations=[{prompts: '0:1'}]"]))
        found[name] = open_artifact(run.version_folder / "iter_0/evaluate").part("results")
    answers = {name: read_samples(folder).column("response").to_pylist() for name, folder in found.items()}
    assert answers["over"] == answers["merged"] != answers["without"]


def test_that_it_is_not_merged_is_identity_and_so_are_the_adapter_s_files(tmp_path, base, adapter):
    def planned(folder, *more):
        return lidr.plan(loaded(tmp_path / "w", base, folder, *more)).steps

    apart, merged = planned(adapter, "policy.merge=false")[0], planned(adapter)[0]
    assert apart.identity["config"]["merge"] is False
    assert "merge" not in merged.identity["config"]
    assert planned(adapter, "policy.merge=true")[0].fingerprint == merged.fingerprint
    assert "merge_rules" not in apart.identity["outside"]["adapter"]
    assert set(apart.identity["outside"]["adapter"]["files"]) >= {"adapter_config.json", "adapter_model.safetensors"}
    other = shutil.copytree(adapter, tmp_path / "copy")
    assert planned(other, "policy.merge=false")[0].fingerprint == apart.fingerprint
    weights = bytearray((other / "adapter_model.safetensors").read_bytes())
    weights[-1] ^= 1
    (other / "adapter_model.safetensors").write_bytes(weights)
    assert planned(other, "policy.merge=false")[0].fingerprint != apart.fingerprint


def test_a_plan_says_that_it_is_not_merged(tmp_path, base, adapter, capsys):
    words = [f"policy.model={base}", f"policy.adapter={adapter}", "policy.merge=false"]
    assert main(["plan", str(write_world(tmp_path)), *(part for word in words for part in ("--set", word))]) == 0
    assert f"1 model with {adapter} over it, not merged" in capsys.readouterr().out


def test_it_is_refused_without_an_adapter(tmp_path, base):
    with pytest.raises(RecipeError, match=r"merge: false says how an adapter is used, and none is named; take it out"):
        unmerged(tmp_path / "w", base, None)


SCORED = UNTRAINED.replace("  - translate", "  - score: {{latent: {{}}}}\n  - translate")
MEASURED = UNTRAINED.replace("iterations:", "  - measure: {{margin: {{}}}}\niterations:")


@pytest.mark.parametrize(
    ("text", "message"),
    [
        (TINY, r"train: begins from one folder of weights.*policy\.merge: false.*take merge out of policy"),
        (SCORED, r"score\.latent: looks into the policy.*policy\.merge: false.*or take score\.latent out"),
        (MEASURED, r"measure\.margin: reads the policy's own log-probabilities.*policy\.merge: false"),
    ],
)
def test_what_needs_one_folder_of_weights_is_refused(tmp_path, base, adapter, text, message):
    with pytest.raises(PlanError, match=message):
        lidr.plan(unmerged(tmp_path / "w", base, adapter, text=text))
    words = [f"policy.model={base}", f"policy.adapter={adapter}", "policy.merge=false"]
    assert main(["validate", str(tmp_path / "w/recipe.yaml"), *(p for w in words for p in ("--set", w))]) == 2


@pytest.mark.parametrize(
    ("engine", "change", "message"),
    [
        ("transformers", {"peft_type": "IA3"}, r"policy\.merge: false: .*peft_type IA3.*take merge out of policy"),
        ("transformers", {"modules_to_save": ["lm_head"]}, r"policy\.merge: false: .*modules_to_save"),
        ("vllm", {"use_dora": True}, r"policy\.merge: false: .*vllm cannot put it over a model: use_dora \(DoRA\)"),
        ("vllm", {"r": 1024}, r"policy\.merge: false: .*rank 1024, and it takes at most 512"),
    ],
)
def test_adapters_that_the_engine_cannot_put_over_a_model_are_refused(tmp_path, base, adapter, engine, change, message):
    folder = shutil.copytree(adapter, tmp_path / "a")
    file = folder / "adapter_config.json"
    file.write_text(json.dumps({**json.loads(file.read_text()), **change}))
    if "modules_to_save" in change:
        folder = make_adapter(base, tmp_path / "saved", lora(**change)).folder
    with pytest.raises(PlanError, match=message):
        lidr.plan(unmerged(tmp_path / "w", base, folder, f"runtime.engine={engine}"))


def test_a_tokenizer_with_more_tokens_than_the_base_has_rows_is_refused(tmp_path, base):
    own = make_adapter(
        base, tmp_path / "own", lora(), added=ADDED, tokenizer=True, template=TEMPLATE, save_embedding_layers=True
    )
    with pytest.raises(PlanError, match=r"policy\.merge: false: .*tokens up to \d+, and the base has rows for \d+"):
        lidr.plan(unmerged(tmp_path / "w", base, own.folder))


def test_the_chat_template_beside_the_adapter_is_the_policy_s(tmp_path, base):
    template = "{%- for m in messages -%}{{ m['role'] }}: {{ m['content'] }}\n{%- endfor -%}assistant: "
    own = make_adapter(base, tmp_path / "own", lora(), tokenizer=True, template=template).folder
    made = lidr.run(unmerged(tmp_path / "w", base, own), until="policy").version_folder / "iter_0/policy/base"
    assert (made / "chat_template.jinja").read_text() == template
    assert (base / "chat_template.jinja").read_text() != template


def test_each_adapter_has_a_digest_of_its_own_also_where_it_is_not_merged(tmp_path, base, adapter):
    other = make_adapter(base, tmp_path / "adapters", lora(r=4), tokenizer=True).folder
    digests = set()
    for name, of in (("one", adapter), ("other", other)):
        run = lidr.run(unmerged(tmp_path / name, base, of), until="generate")
        record = read_record(run.version_folder / "iter_0/policy")
        content = {one.path: one.sha256 for one in record.files if one.path.startswith(("base/", "adapter/"))}
        assert {path.partition("/")[0] for path in content} == {"base", "adapter"}
        assert record.digest == folder_sha256(content)
        digests.add(record.digest)
    assert len(digests) == 2
