"""Any reference becomes a model that can be evaluated, and everything that is none is named."""

from __future__ import annotations

import pytest

from lidr.errors import EvaluationError, HubError, PlanError
from lidr.evals.checkpoint import digest_of, find_checkpoint
from tests.tiny import tiny_model


@pytest.fixture(scope="module")
def model(tmp_path_factory):
    return tiny_model(tmp_path_factory.mktemp("models") / "policy", "smollm2")


@pytest.fixture(autouse=True)
def _store(tmp_path, monkeypatch):
    monkeypatch.setenv("LIDR_STORE", str(tmp_path / "store"))


def test_a_folder_is_named_by_its_last_part_and_known_by_its_content(model, tmp_path):
    found = find_checkpoint(str(model))
    assert (found.folder, found.name, found.facts.reference) == (model, "policy", "./policy")
    copy = tmp_path / "elsewhere" / "policy"
    copy.mkdir(parents=True)
    for path in model.iterdir():
        (copy / path.name).write_bytes(path.read_bytes())
    assert digest_of(copy) == found.facts.digest
    (copy / "config.json").write_text("{}", encoding="utf-8")
    assert digest_of(copy) != found.facts.digest


def test_a_server_is_asked_and_not_loaded():
    found = find_checkpoint("openai:gpt-x@http://127.0.0.1:9/v1")
    assert (found.folder, found.served, found.url) == (None, "gpt-x", "http://127.0.0.1:9/v1")
    assert found.name == "gpt-x"


def test_an_adapter_alone_is_no_model_and_says_how_to_give_it(tmp_path):
    (tmp_path / "adapter_config.json").write_text("{}", encoding="utf-8")
    with pytest.raises(EvaluationError, match=r"is an adapter: give --model BASE --adapter"):
        find_checkpoint(str(tmp_path))


def test_what_is_no_adapter_is_named(model, tmp_path):
    with pytest.raises(EvaluationError, match=r"has no adapter_config\.json with \*\.safetensors"):
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
    with pytest.raises(EvaluationError, match=r'--model: "openai:m" is no reference; allowed forms'):
        find_checkpoint("openai:m")
    with pytest.raises(PlanError, match=r"the judge: .*no config\.json"):
        find_checkpoint(str(tmp_path), where="the judge")
