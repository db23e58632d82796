"""What is written to recipe.lock.json, and what a refresh says; the Hub is the embedded one."""

from __future__ import annotations

import json

import pytest

import lidr
from lidr.cli.main import main
from lidr.errors import HubError, StoreError
from lidr.hub.client import plain_uploads
from lidr.hub.pins import changes, keep_content, locked_digest, pin
from lidr.hub.snapshot import content_digest, listing
from lidr.store.lock_file import Content, read_contents, read_lock, write_lock
from tests.scripted import RECIPE, write_world

pytestmark = pytest.mark.filterwarnings("ignore:Use 'content=")  # huggingface_hub 2.4's own upload with httpx2


@pytest.fixture
def model(hub, new_name, tmp_path, monkeypatch) -> str:
    """A repository with a tag, on the Hub of this process's environment."""
    repo = new_name("base")
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_CACHE", str(tmp_path / "cache"))
    monkeypatch.setattr("huggingface_hub.constants.ENDPOINT", hub.target.endpoint)
    monkeypatch.setenv("HF_ENDPOINT", hub.target.endpoint)
    monkeypatch.setenv("HF_TOKEN", hub.target.token)
    hub.target.api().create_repo(repo)
    put(hub, repo, {"config.json": b"{}", "model.safetensors": b"\x00\x01"})
    hub.target.api().create_tag(repo, tag="v1")
    return str(repo)


def put(hub, repo: str, files: dict[str, bytes]) -> str:
    from huggingface_hub import CommitOperationAdd

    with plain_uploads(hub.target):
        operations = [CommitOperationAdd(path, content) for path, content in files.items()]
        return str(hub.target.api().create_commit(repo, operations, commit_message="files").oid)


def recipe_of(tmp_path, model: str):
    return lidr.load_recipe(
        write_world(tmp_path / "w"), overrides=[f"policy.model={model}", "runtime.engine=transformers"]
    )


def test_a_reference_is_resolved_once_to_a_commit_and_a_content(model, hub, tmp_path):
    recipe, folder = recipe_of(tmp_path, f"{model}@v1"), tmp_path / "v"
    first = pin(recipe, folder)[model]
    hub.target.api().delete_tag(model, tag="v1")
    assert pin(recipe, folder) == {model: first}
    (name,) = read_contents(folder)
    assert name == f"{model}@{first}"
    content = read_contents(folder)[name]
    assert (content.requested, content.digest) == ("v1", content_digest(listing(model, first)))
    assert locked_digest(folder, model, first) == content.digest
    assert locked_digest(folder, model, "1" * 40) is None


def test_a_commit_that_the_recipe_names_is_locked_with_its_content_alone(model, hub, tmp_path):
    sha = str(hub.target.api().model_info(model).sha)
    assert pin(recipe_of(tmp_path, f"{model}@{sha}"), tmp_path / "v") == {}
    assert list(read_contents(tmp_path / "v")) == [f"{model}@{sha}"]


def test_a_judge_and_rows_of_an_evaluation_are_locked_with_their_content(model, hub, tmp_path):
    sha = str(hub.target.api().model_info(model).sha)
    hub.target.api().create_repo(model, repo_type="dataset")
    rows = str(hub.target.api().dataset_info(model).sha)
    settings = f"{{tasks: [mgsm], data: [{model}@{rows}], judge: {{model: {model}@{sha}}}}}"
    step = "  - evaluate: " + settings.replace("{", "{{").replace("}", "}}")
    recipe = lidr.load_recipe(write_world(tmp_path / "w", RECIPE.replace("iterations:", f"{step}\niterations:")))
    pin(recipe, tmp_path / "v")
    assert set(read_contents(tmp_path / "v")) == {f"{model}@{sha}", f"datasets/{model}@{rows}"}


def test_a_commit_that_was_read_is_kept_with_its_content(model, hub, tmp_path):
    sha = str(hub.target.api().model_info(model).sha)
    write_lock(tmp_path / "v", {"a/b": "1" * 40})
    keep_content(tmp_path / "v", model, sha)
    keep_content(tmp_path / "v", model, sha)
    assert read_lock(tmp_path / "v") == {"a/b": "1" * 40}
    assert locked_digest(tmp_path / "v", model, sha) == content_digest(listing(model, sha))


def test_a_refresh_shows_old_and_new_commit_and_the_files_that_differ(model, hub, tmp_path, capsys):
    file = write_world(tmp_path / "w")
    words = ["lock", str(file), "--set", f"policy.model={model}@main", "--set", "runtime.engine=transformers"]
    assert main(words) == 0
    old = read_lock(tmp_path / "w/runs/scripted/0.1.0")[model]
    assert f"{model}@main: unpinned -> {old}" in capsys.readouterr().out
    new = put(hub, model, {"config.json": b"{ }", "tokenizer.json": b"{}"})
    assert main([*words, "--check"]) == 2
    said = capsys.readouterr().err
    assert f"{model}: main was {old} when it was locked and is {new} now: it was moved" in said
    assert "`lidr lock RECIPE` takes the new ones, on purpose" in said
    assert main(words) == 0
    assert f"{model}@main: {old} -> {new} (~config.json, +tokenizer.json)" in capsys.readouterr().out
    assert main([*words, "--check"]) == 0
    assert "every tag and branch as it was when it was locked" in capsys.readouterr().out
    assert main([*words, "--json"]) == 0
    answer = json.loads(capsys.readouterr().out)
    assert answer["changes"][0]["files"] == []
    assert list(answer["contents"]) == [f"{model}@{new}"]


def test_an_old_commit_that_the_hub_has_forgotten_is_no_obstacle(model, tmp_path):
    write_lock(tmp_path / "v", {model: "1" * 40})
    recipe = recipe_of(tmp_path, model)
    pin(recipe, tmp_path / "v", refresh=True)
    (change,) = changes({model: "1" * 40}, tmp_path / "v")
    assert change.files is None


def test_a_model_that_was_changed_at_its_commit_is_refused(model, hub, tmp_path):
    """A Hub that gives something else for the same commit than when it was locked."""
    recipe = recipe_of(tmp_path, f"{model}@v1")
    folder = tmp_path / "w/runs/scripted/0.1.0"
    sha = pin(recipe, folder)[model]
    write_lock(folder, {model: sha}, {f"{model}@{sha}": Content("v1", "0" * 64, 2)})
    with pytest.raises(HubError, match=r"recipe\.lock\.json holds the content 000000000000 for this commit"):
        lidr.run(recipe, until="policy")


def test_a_lock_of_the_first_schema_is_read_and_one_of_a_later_lidr_is_refused(tmp_path):
    lock = tmp_path / "recipe.lock.json"
    lock.write_text(json.dumps({"schema": 1, "models": {"a/b": "1" * 40}}))
    assert (read_lock(tmp_path), read_contents(tmp_path)) == ({"a/b": "1" * 40}, {})
    lock.write_text(json.dumps({"schema": 3}))
    with pytest.raises(StoreError, match="schema 3, this lidr reads 1 to 2: update lidr"):
        read_lock(tmp_path)
    lock.write_text(json.dumps({"schema": 2, "contents": {"a/b": {"wax": 1}}}))
    with pytest.raises(StoreError, match="damaged, no JSON; remove it and run `lidr lock RECIPE` again"):
        read_contents(tmp_path)
