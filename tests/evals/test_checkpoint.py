"""Any reference becomes a model that can be evaluated, and everything that is none is named."""

from __future__ import annotations

import json
import shutil

import pytest

from lidr.errors import EngineError, EvaluationError, HubError, PlanError
from lidr.evals.checkpoint import digest_of, find_checkpoint
from lidr.evals.harness.answer_process import answer
from lidr.evals.spec import Decoding
from lidr.hub import model_files
from lidr.steps import InitialPolicy
from lidr.store import folder_sha256
from lidr.store.artifact import ArtifactWriter
from tests.adapters import logits_of, lora, make_adapter
from tests.evals.asked import scripted_spec
from tests.tiny import tiny_model


@pytest.fixture(scope="module")
def model(tmp_path_factory):
    return tiny_model(tmp_path_factory.mktemp("models") / "policy", "smollm2")


@pytest.fixture(autouse=True)
def _store(tmp_path, monkeypatch):
    monkeypatch.setenv("LIDR_STORE", str(tmp_path / "store"))


def test_a_folder_is_recorded_as_it_was_given_and_known_by_its_content(model, tmp_path, monkeypatch):
    found = find_checkpoint(str(model))
    assert (found.folder, found.name, found.facts.reference) == (model, "policy", "./policy")
    copy = tmp_path / "elsewhere" / "policy"
    copy.mkdir(parents=True)
    for path in model.iterdir():
        (copy / path.name).write_bytes(path.read_bytes())
    monkeypatch.chdir(tmp_path)
    for given in ("elsewhere/policy", "./elsewhere/policy"):
        assert (find_checkpoint(given).name, find_checkpoint(given).facts.reference) == ("policy", given)
    monkeypatch.chdir(copy)
    assert find_checkpoint(".").facts.reference == "./policy"
    assert digest_of(copy) == found.facts.digest
    (copy / "config.json").write_text("{}", encoding="utf-8")
    assert digest_of(copy) != found.facts.digest


def test_a_models_two_digests_are_of_the_same_files_with_and_without_the_folders_name(model, tmp_path):
    """As docs/evaluation.md says it."""
    out = ArtifactWriter(tmp_path / "policy", InitialPolicy)
    shutil.copytree(model, out.folder / "model")
    files, digest = out.finish()
    hashes = {entry.path: entry.sha256 for entry in files if entry.path.startswith("model/")}
    assert digest == folder_sha256(hashes)
    read = {path.name for path in model_files(model)}
    bare = {path.removeprefix("model/"): sha for path, sha in hashes.items()}
    assert digest_of(model) == folder_sha256({name: sha for name, sha in bare.items() if name in read})


def test_a_server_is_asked_and_not_loaded():
    found = find_checkpoint("openai:gpt-x@http://127.0.0.1:9/v1")
    assert (found.folder, found.served, found.url) == (None, "gpt-x", "http://127.0.0.1:9/v1")
    assert found.name == "gpt-x"


def test_an_adapter_alone_is_no_model_and_says_how_to_give_it(tmp_path):
    (tmp_path / "adapter_config.json").write_text("{}", encoding="utf-8")
    with pytest.raises(PlanError, match=r"is an adapter and no model: .*eval run.* take --model BASE --adapter"):
        find_checkpoint(str(tmp_path))


def test_what_is_no_adapter_is_named(model, tmp_path):
    with pytest.raises(EvaluationError, match=r"has no adapter_config\.json; is it an adapter\?"):
        find_checkpoint(str(model), str(tmp_path))
    with pytest.raises(EvaluationError, match="a served model takes no adapter"):
        find_checkpoint("openai:x@http://127.0.0.1:9/v1", str(tmp_path))
    with pytest.raises(EvaluationError, match="must be a folder, a run's train step or a Hub repository"):
        find_checkpoint(str(model), "openai:x@http://127.0.0.1:9/v1")


def test_a_folder_that_is_not_there_is_said_to_be_missing_however_it_is_written(model, monkeypatch):
    def away(repo, revision):
        raise HubError(f"{repo}: the Hub did not give it")

    monkeypatch.setattr("lidr.evals.checkpoint.resolve", away)
    with pytest.raises(
        EvaluationError, match=r"--model: there is no folder out/my/model here, and .out/my/model. is no"
    ):
        find_checkpoint("out/my/model")
    for words, where in ((("out/model",), "--model"), ((str(model), "out/model"), "--adapter")):  # or a name on the Hub
        with pytest.raises(HubError, match=f"{where}: there is no folder out/model here, and out/model"):
            find_checkpoint(*words)


def test_what_is_no_model_is_named(tmp_path):
    with pytest.raises(EvaluationError, match=r'--model: "openai:m" is no reference; allowed forms.*; its URL begins'):
        find_checkpoint("openai:m")
    with pytest.raises(PlanError, match=r"the judge: .*no config\.json"):
        find_checkpoint(str(tmp_path), where="the judge")


def test_an_adapter_is_merged_once_for_the_same_files_and_says_what_it_changed(model, tmp_path, monkeypatch):
    import torch

    made = make_adapter(model, tmp_path / "over", lora(modules_to_save=["lm_head"]))
    found = find_checkpoint(str(model), str(made.folder))
    torch.testing.assert_close(logits_of(found.folder), made.logits, rtol=1e-4, atol=1e-4)
    assert (found.facts.digest, found.facts.adapter) == (digest_of(model), "./over")
    assert found.facts.adapter_shift > 0.01
    assert found.notes == (
        "the adapter changes one of two tied tensors (embedding and head): the merged model has them apart",
    )
    monkeypatch.setattr("lidr.evals.checkpoint.merge_adapter", None)
    assert find_checkpoint(str(model), str(made.folder)) == found
    (made.folder / "chat_template.jinja").write_text("{{ messages[0]['content'] }}", encoding="utf-8")
    with pytest.raises(TypeError):  # another template is another model: it would be merged anew
        find_checkpoint(str(model), str(made.folder))


def test_an_adapter_that_names_another_base_is_said_and_one_that_does_not_fit_is_refused(model, tmp_path):
    adapter = make_adapter(model, tmp_path / "over", lora()).folder
    file = adapter / "adapter_config.json"
    file.write_text(json.dumps({**json.loads(file.read_text()), "base_model_name_or_path": "org/other"}))
    assert find_checkpoint(str(model), str(adapter)).notes == (
        "the adapter says that it was trained over org/other; here it goes over policy",
    )
    larger = tiny_model(tmp_path / "larger", "qwen2")
    config = {**json.loads(file.read_text()), "target_modules": ["c_attn"]}
    file.write_text(json.dumps(config))
    with pytest.raises(EngineError, match=r"does not fit over .*it says that it was trained over org/other"):
        find_checkpoint(str(larger), str(adapter))


def test_a_plain_lora_may_stay_unmerged_and_gives_the_answers_of_the_merged_model(model, tmp_path):
    adapter = make_adapter(model, tmp_path / "over", lora()).folder
    merged, alone = (find_checkpoint(str(model), str(adapter), merges=merges) for merges in (True, False))
    assert (alone.folder, alone.adapter, merged.adapter) == (model, adapter, None)
    assert (alone.facts.adapter, alone.facts.adapter_digest) == (merged.facts.adapter, merged.facts.adapter_digest)
    said = {}
    for name, found in (("merged", merged), ("alone", alone), ("base", find_checkpoint(str(model)))):
        over = str(found.adapter) if found.adapter else None
        spec = scripted_spec(
            tmp_path / name, backend="hf", model=str(found.folder), adapter=over, decoding=Decoding(max_tokens=8)
        )
        said[name] = answer(spec, log=tmp_path / f"{name}.log", on_answers=lambda count: None).responses
    assert said["alone"] == said["merged"] != said["base"]


@pytest.mark.parametrize(
    ("more", "files", "message"),
    [
        ({"modules_to_save": ["lm_head"]}, (), "modules_to_save: such an adapter is used merged; leave --no-merge out"),
        ({}, ("chat_template.jinja",), r"chat_template\.jinja beside it: such an adapter is used merged"),
    ],
)
def test_an_adapter_that_is_right_only_when_merged_is_refused_unmerged(model, tmp_path, more, files, message):
    adapter = make_adapter(model, tmp_path / "over", lora(**more)).folder
    for name in files:
        (adapter / name).write_text("{{ messages[0]['content'] }}", encoding="utf-8")
    with pytest.raises(EngineError, match=message):
        find_checkpoint(str(model), str(adapter), merges=False)
