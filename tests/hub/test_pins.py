"""What is written to recipe.lock.json, and what a refresh says; the Hub is the embedded one."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

import lidr
from lidr.cli.main import main
from lidr.errors import HubError, PlanError, StoreError
from lidr.evals.length_control import read_length_control
from lidr.hub.client import Target, plain_uploads
from lidr.hub.pin_changes import changes, moved
from lidr.hub.pins import keep_content, locked_for, pin, resolve
from lidr.hub.snapshot import content_digest, listing
from lidr.store.recipe_lock import Content, read_contents, read_lock, read_whole_lock, write_lock
from tests.publishing import finished
from tests.scripted import NAMES, RECIPE, TOPICS, write_world


@pytest.fixture
def model(hub, new_name, tmp_path, monkeypatch) -> str:
    """A repository with a tag, on the Hub of this process's environment."""
    repo = new_name("base")
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_CACHE", str(tmp_path / "cache"))
    monkeypatch.setattr("huggingface_hub.constants.ENDPOINT", hub.target.endpoint)
    template = f"{hub.target.endpoint}/{{repo_id}}/resolve/{{revision}}/{{filename}}"
    monkeypatch.setattr("huggingface_hub.constants.HUGGINGFACE_CO_URL_TEMPLATE", template)
    monkeypatch.setenv("HF_ENDPOINT", hub.target.endpoint)
    monkeypatch.setenv("HF_TOKEN", hub.target.token)
    hub.target.api().create_repo(repo)
    put(hub, repo, {"config.json": b"{}", "model.safetensors": b"\x00\x01"})
    hub.target.api().create_tag(repo, tag="v1")
    return str(repo)


def put(hub, repo: str, files: dict[str, bytes], repo_type: str = "model") -> str:
    from huggingface_hub import CommitOperationAdd

    with plain_uploads(hub.target):
        operations = [CommitOperationAdd(path, content) for path, content in files.items()]
        api = hub.target.api()
        return str(api.create_commit(repo, operations, commit_message="files", repo_type=repo_type).oid)


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
    assert read_whole_lock(folder).digest_of(model, first) == content.digest
    assert read_whole_lock(folder).digest_of(model, "1" * 40) is None


def test_another_tag_in_the_recipe_is_not_read_at_the_commit_of_the_old_one(model, hub, tmp_path):
    folder = tmp_path / "v"
    first = pin(recipe_of(tmp_path, f"{model}@v1"), folder)[model]
    put(hub, model, {"config.json": b"{1}"})
    hub.target.api().create_tag(model, tag="v2")
    overrides = [f"policy.model={model}@v2", "runtime.engine=transformers"]
    recipe = lidr.load_recipe(tmp_path / "w" / "recipe.yaml", overrides=overrides)
    assert locked_for(recipe, folder).commits == {}
    second = pin(recipe, folder)[model]
    assert second == resolve(model, "v2") != first
    assert {name: content.requested for name, content in read_contents(folder).items()} == {f"{model}@{second}": "v2"}
    assert pin(recipe, folder) == {model: second}


def test_a_lock_without_contents_is_taken_for_what_the_recipe_names(model, hub, tmp_path):
    recipe, folder = recipe_of(tmp_path, f"{model}@v1"), tmp_path / "v"
    sha = resolve(model, "v1")
    write_lock(folder, {model: sha}, {})
    hub.target.api().delete_tag(model, tag="v1")
    assert pin(recipe, folder) == {model: sha}
    assert read_contents(folder)[f"{model}@{sha}"].requested == "v1"


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


def test_the_files_of_a_length_control_are_locked_at_the_commit_that_the_hub_gives(model, hub, tmp_path, capsys):
    hub.target.api().create_repo(model, repo_type="dataset")
    hard = "index,instruction_difficulty\n" + "".join(f"{at},0.5\n" for at in range(805))
    gamed = "std_delta_len,instruction_difficulty,preference\n1.0,0.5,0.25\n"
    files = {"instruction_difficulty.csv": hard.encode(), "df_gamed.csv": gamed.encode()}
    sha = put(hub, model, files, repo_type="dataset")
    judge = '{model: "openai:j@http://127.0.0.1:9/v1"}'
    settings = f"{{tasks: [x_alpacaeval], judge: {judge}, length_control: {model}}}"
    step = "  - evaluate: " + settings.replace("{", "{{").replace("}", "}}")
    path = write_world(tmp_path / "w", RECIPE.replace("iterations:", f"{step}\niterations:"))
    assert main(["lock", str(path)]) == 0
    recipe = lidr.load_recipe(path)
    folder = Path(recipe.runtime.store) / recipe.name / recipe.version
    assert locked_for(recipe, folder).commits == {f"datasets/{model}": sha}
    put(hub, model, {"df_gamed.csv": b"moved"}, repo_type="dataset")
    assert pin(recipe, folder) == {f"datasets/{model}": sha}  # until `lidr lock` is asked again
    assert read_length_control(f"{model}@{sha}").gamed == ((1.0, 0.5, 0.25),)


def test_a_commit_that_was_read_is_kept_with_its_content(model, hub, tmp_path):
    sha = str(hub.target.api().model_info(model).sha)
    write_lock(tmp_path / "v", {"a/b": "1" * 40})
    keep_content(tmp_path / "v", model, sha)
    keep_content(tmp_path / "v", model, sha)
    assert read_lock(tmp_path / "v") == {"a/b": "1" * 40}
    assert read_whole_lock(tmp_path / "v").digest_of(model, sha) == content_digest(listing(model, sha))


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


def test_files_that_are_new_gone_or_other_between_two_commits_are_marked(model, hub, tmp_path):
    old = resolve(model)
    with plain_uploads(hub.target):
        hub.target.api().delete_file("model.safetensors", model)
    new = put(hub, model, {"config.json": b"{ }", "a.json": b"{}"})
    write_lock(tmp_path, {model: new, "a/other": new}, {f"{model}@{new}": Content("main", "0" * 64, 2)})
    first, second = changes({model: old}, tmp_path)
    assert (first.repo, first.requested, first.old, first.new) == ("a/other", None, None, new)
    assert (second.repo, second.requested, second.old, second.new) == (model, "main", old, new)
    assert (first.files, second.files) == ((), ("+a.json", "~config.json", "-model.safetensors"))


def test_a_tag_that_moved_or_is_gone_is_said_and_a_hub_that_is_away_is_an_error(model, hub):
    sha, other = resolve(model, "v1"), "1" * 40
    locked = {f"{model}@{sha}": Content("v1", "0" * 64, 2), f"{model}@{other}": Content(None, "0" * 64, 2)}
    assert moved(locked, target=hub.target) == []
    assert moved({f"{model}@{other}": Content("v1", "0" * 64, 2)}, target=hub.target) == [
        f"{model}: v1 was {other} when it was locked and is {sha} now: it was moved"
    ]
    hub.target.api().delete_tag(model, tag="v1")
    assert moved(locked, target=hub.target) == [f"{model}: v1 is gone; it was {sha} when it was locked"]
    with pytest.raises(HubError):
        moved(locked, target=Target("http://127.0.0.1:9", hub.target.token))


@pytest.mark.parametrize("revision", ["v1", "commit"])
def test_a_wrong_content_in_the_lock_is_named_by_check_and_mended_by_lock(revision, model, hub, tmp_path, capsys):
    """Whether the recipe names a tag or the commit; a listing that was kept wrongly is asked for anew too."""
    sha = str(hub.target.api().model_info(model).sha)
    named = sha if revision == "commit" else revision
    words = ["lock", str(write_world(tmp_path / "w")), "--set", f"policy.model={model}@{named}"]
    words += ["--set", "runtime.engine=transformers"]
    folder = tmp_path / "w/runs/scripted/0.1.0"
    assert main(words) == 0
    locked, (name,) = read_lock(folder), read_contents(folder)
    true = read_contents(folder)[name]
    write_lock(folder, locked, {name: Content(true.requested, "0" * 64, true.files)})
    (kept,) = (tmp_path / "cache/.lidr-listings").rglob(f"{sha}.json")
    kept.write_text(kept.read_text().replace("config.json", "other.json"))
    capsys.readouterr()
    assert main([*words, "--check"]) == 2
    said = capsys.readouterr().err
    assert f"{name}: its content was locked as 000000000000, and the Hub lists {true.digest[:12]}" in said
    assert "so these are not read; `lidr lock RECIPE` writes what it has now, on purpose" in said
    assert main(words) == 0
    said = capsys.readouterr().out
    assert f"its content was locked as 000000000000, and the Hub has {true.digest[:12]})" in said
    assert "(as before)" not in said
    assert read_contents(folder)[name] == true
    assert content_digest(listing(model, sha)) == true.digest
    assert main([*words, "--check"]) == 0
    assert main([*words, "--json"]) == 0
    assert json.loads(capsys.readouterr().out.partition("Hub has it\n")[2])["mended"] == {}


def test_a_locked_commit_that_the_hub_does_not_have_is_named_by_check(model, tmp_path, capsys):
    words = ["lock", str(write_world(tmp_path / "w")), "--check"]
    write_lock(tmp_path / "w/runs/scripted/0.1.0", {}, {f"{model}@{'1' * 40}": Content(None, "0" * 64, 1)})
    assert main(words) == 2
    assert f"{model}@{'1' * 40}: the Hub has no such commit any more" in capsys.readouterr().err


def test_a_tag_that_is_not_there_is_named_with_those_that_are(model, hub, tmp_path):
    with pytest.raises(HubError) as error:
        resolve(model, "v2")
    assert str(error.value) == (
        f"{model}: no tag, branch or commit v2: never there, or deleted. It has tags v1; branches main"
    )
    hub.target.api().delete_tag(model, tag="v1")
    with pytest.raises(HubError, match=r"no tag, branch or commit v1: never there, or deleted\. It has no tags"):
        pin(recipe_of(tmp_path, f"{model}@v1"), tmp_path / "v")
    for number in range(14):
        hub.target.api().create_tag(model, tag=f"w{number:02}")
    with pytest.raises(HubError, match=r"It has tags w02, w03, .*, w13 and 2 more; branches main"):
        resolve(model, "v1")
    with pytest.raises(HubError, match=f"{model}@{'1' * 40}: the Hub has {model}, and no revision {'1' * 40} in it"):
        listing(model, "1" * 40)


def test_a_tag_that_a_data_set_does_not_have_is_named_with_those_that_it_has(model, hub, new_name):
    hub.target.api().create_repo(repo := new_name("rows"), repo_type="dataset")
    hub.target.api().create_tag(repo, tag="v1", repo_type="dataset")
    with pytest.raises(HubError, match=f"^datasets/{repo}: no tag, .* v2: never there, or deleted. It has tags v1; br"):
        resolve(f"datasets/{repo}", "v2")


def test_a_tag_that_is_not_there_is_named_also_where_the_hub_does_not_list_its_tags(model, monkeypatch):
    def nothing(*args: object, **more: object) -> None:
        raise OSError("away")

    monkeypatch.setattr("huggingface_hub.HfApi.list_repo_refs", nothing)
    with pytest.raises(HubError, match=f"^{model}: no tag, branch or commit v2; write another one$"):
        resolve(model, "v2")


QUESTION = "A dress takes two balls of blue wool and half as many of white, so how many balls of wool is that in all?"


def decontaminated(tmp_path, *against: str, pairs: str = ""):
    """A recipe that takes out what holds the questions of sets; one of its three pairs does."""
    texts = ["One?", f"Say: {QUESTION}", "Two?"]
    rows = [{"prompt": text, "chosen": "yes", "rejected": "no"} for text in texts]
    (tmp_path / "set.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    (tmp_path / "r.yaml").write_text(
        f"""\
schema: 1
name: clean
version: 0.1.0
languages: {{dominant: en, others: [de]}}
policy: {{model: "openai:canned@http://127.0.0.1:9"}}
chain:
  - pairs: {pairs or f"{{dataset: {tmp_path}/set.jsonl}}"}
  - clean: {{decontaminate: {{against: [{", ".join(f"'{name}'" for name in against)}]}}}}
runtime: {{engine: scripted, answers: {tmp_path}/set.jsonl, store: {tmp_path}/runs}}
"""
    )
    return lidr.load_recipe(tmp_path / "r.yaml")


@pytest.fixture
def questions(model, hub) -> str:
    """A set of questions with a tag, which its main branch has left."""
    api = hub.target.api()
    api.create_repo(model, repo_type="dataset")
    put(hub, model, {"en.jsonl": json.dumps({"question": QUESTION}).encode() + b"\n"}, "dataset")
    api.create_tag(model, tag="v1", repo_type="dataset")
    put(hub, model, {"en.jsonl": b'{"question": "Another one?"}\n'}, "dataset")
    return model


def test_a_set_to_decontaminate_against_is_locked_and_read_by_its_lock(questions, tmp_path):
    folder = tmp_path / "runs/clean/0.1.0"
    recipe = decontaminated(tmp_path, f"{questions}@v1")
    with pytest.raises(PlanError, match=f"datasets/{questions}@v1 is no commit: `lidr lock RECIPE` writes the one"):
        lidr.run(recipe)
    sha = pin(recipe, folder)[f"datasets/{questions}"]
    name = f"datasets/{questions}@{sha}"
    assert read_contents(folder)[name].requested == "v1"
    planned = lidr.run(recipe)
    record = json.loads((planned.version_folder / "iter_1/clean/record.json").read_text())
    assert {row["reason"]: row["count"] for row in record["counts"]["dropped"] if row["count"]} == {"contaminated": 1}
    write_lock(folder, read_lock(folder), {name: Content("v1", "0" * 64, 1)})
    with pytest.raises(HubError, match=r"recipe\.lock\.json holds the content 000000000000 for this commit"):
        lidr.plan(recipe)


def test_a_plan_and_the_check_before_it_each_read_the_lock_once(questions, hub, tmp_path, monkeypatch):
    pairs = new_set(hub, f"{questions}-pairs")
    recipe = decontaminated(tmp_path, f"{questions}@v1", pairs=f"{{dataset: {pairs}, revision: main}}")
    pin(recipe, tmp_path / "runs/clean/0.1.0")
    reads, read_text = [], Path.read_text

    def counted(path: Path, *args: Any, **options: Any) -> str:
        if path.name == "recipe.lock.json":
            reads.append(path)
        return read_text(path, *args, **options)

    monkeypatch.setattr(Path, "read_text", counted)
    assert main(["plan", str(tmp_path / "r.yaml")]) == 0
    assert len(reads) == 2


def new_set(hub, repo: str) -> str:
    """A set of pairs on the Hub."""
    hub.target.api().create_repo(repo, repo_type="dataset")
    row = json.dumps({"prompt": "One?", "chosen": "yes", "rejected": "no"})
    put(hub, repo, {"train.jsonl": row.encode() + b"\n"}, "dataset")
    return repo


def test_a_set_named_by_its_commit_is_the_same_step_locked_or_not_and_is_kept_when_read(questions, hub, tmp_path):
    sha = str(hub.target.api().dataset_info(questions, revision="v1").sha)
    recipe, folder = decontaminated(tmp_path, f"{questions}@{sha}"), tmp_path / "runs/clean/0.1.0"
    planned = lidr.run(recipe)
    assert read_whole_lock(folder).digest_of(f"datasets/{questions}", sha)
    pin(recipe, folder, refresh=True)
    assert list(read_contents(folder)) == [f"datasets/{questions}@{sha}"]
    assert {step.state for step in planned.steps} == {step.state for step in lidr.plan(recipe).steps} == {"cached"}
    outside = json.loads((folder / "iter_1/clean/record.json").read_text())["identity"]["outside"]
    assert list(outside["against"]) == [f"{questions}@{sha}/en"]


def test_a_data_set_at_two_revisions_of_one_recipe_is_refused(tmp_path):
    recipe = decontaminated(tmp_path, "org/x@v1", "org/x")
    with pytest.raises(PlanError, match="datasets/org/x stands in the recipe at two revisions, v1 and its main branch"):
        pin(recipe, tmp_path / "v")
    mixed = decontaminated(tmp_path, "org/x@v1", pairs="{dataset: org/x, revision: v2}")
    write_lock(tmp_path / "runs/clean/0.1.0", {"datasets/org/x": "1" * 40})
    with pytest.raises(PlanError, match="two revisions, v2 and v1; a lock holds one: name the other by its commit"):
        lidr.plan(mixed)


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
    with pytest.raises(
        StoreError, match="damaged, no lock as lidr writes it; remove it and run `lidr lock RECIPE` again"
    ):
        read_contents(tmp_path)


def test_prompts_of_a_data_set_are_locked_and_stand_in_its_release_with_their_commit(model, hub, tmp_path):
    prompts = [{code: f"{name}: tell me about {topic}" for code, name in NAMES.items()} for topic in TOPICS]
    rows = "".join(json.dumps({"id": f"p{i}"} | row) + "\n" for i, row in enumerate(prompts))
    hub.target.api().create_repo(model, repo_type="dataset")
    sha = put(hub, model, {"train.jsonl": rows.encode()}, "dataset")
    file = write_world(tmp_path / "w")
    file.write_text(file.read_text().replace(f"{tmp_path}/w/prompts", model))
    recipe = lidr.load_recipe(file)
    with pytest.raises(PlanError, match=f"no file or folder {model} here; as a data set of the Hub: "):
        lidr.run(recipe)
    folder = lidr.plan(recipe).version_folder
    assert pin(recipe, folder) == {f"datasets/{model}": sha}
    planned = lidr.run(recipe)
    assert planned.steps[1].identity["outside"] == {"dataset": f"datasets/{model}", "revision": sha}
    parent = finished(file).parents[0]
    assert (parent.role, parent.name, parent.revision, parent.licence) == ("prompts", model, sha, "cc0-1.0")


@pytest.mark.parametrize("name", ["nobody/model", "datasets/nobody/set"])
def test_a_repository_that_a_running_hub_does_not_have_is_no_trouble_of_the_network(model, hub, name):
    with pytest.raises(HubError, match=f"{name}: the Hub {hub.target.endpoint} answers, and has no such") as refused:
        resolve(name)
    assert "lidr hub ls" in str(refused.value)
    assert "network" not in str(refused.value)
