"""A whole release to the embedded Hub, read back by the genuine clients in fresh processes."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import polars as pl
import pytest

from lidr.cli.main import COMMANDS
from lidr.errors import HubError
from lidr.hub.client import HUGGING_FACE, target_of_environment
from lidr.hub_server import hub_for
from lidr.recipe.schema import Iteration
from lidr.release.cards.render import model_card
from lidr.release.dataset_release import configs_of, stage_dataset
from lidr.release.make_release import Destinations, release
from lidr.release.publish_staged import Published
from lidr.release.usage_lines import loading_lines
from lidr.store.artifact import Artifact
from tests.publishing import AT_ONCE, TOKEN


@pytest.fixture(scope="module")
def everything(trained, running):
    """Pairs and policy of the trained run, published."""
    to = Destinations("lidr/tiny-prefs", "lidr/tiny")
    return release(trained, to, target=running.target, patience=AT_ONCE)


def test_every_configuration_and_split_loads_by_tag_and_by_commit_as_the_runs_rows(world, hub, new_name, tmp_path):
    repo = new_name("prefs")
    (found,) = release(world, Destinations(repo, None), target=hub.target, patience=AT_ONCE)
    staged = stage_dataset(world, tmp_path / "staged", repo)
    code = f"""
from datasets import load_dataset
for revision in ("{found.tag}", "{found.sha}"):
    for config in {configs_of(world)!r}:
        for split, rows in load_dataset("{repo}", config, revision=revision).items():
            rows.to_parquet(f"{tmp_path}/{{revision}}-{{config}}-{{split}}.parquet")
assert load_dataset("{repo}", split="iter_1", revision="{found.tag}").num_rows
"""
    hub.run(code)
    for revision in (found.tag, found.sha):
        for config in configs_of(world):
            for k in world.iterations:
                mine = pl.concat(
                    pl.read_parquet(f) for p, f in staged.files.items() if p.startswith(f"{config}/iter_{k}-")
                )
                if mine.height:
                    assert pl.read_parquet(tmp_path / f"{revision}-{config}-iter_{k}.parquet").equals(mine)


def test_the_policys_card_names_the_data_by_commit(everything, running, tmp_path):
    pairs, policy = everything
    api = running.target.api()
    card = Path(api.hf_hub_download(policy.repo, "README.md", revision=policy.tag, cache_dir=tmp_path)).read_text()
    assert pairs.sha in card
    assert api.model_info(policy.repo).card_data.datasets == [pairs.repo]


def test_publishing_everything_again_changes_nothing(everything, trained, running):
    to = Destinations("lidr/tiny-prefs", "lidr/tiny")
    again = release(trained, to, target=running.target, patience=AT_ONCE)
    assert [found.state for found in again] == ["already there"] * 2
    assert [found.sha for found in again] == [found.sha for found in everything]


def test_the_policy_of_every_iteration_is_published_and_the_last_is_on_the_main_branch(trained, running):
    second = tuple(Artifact(a.folder, replace(a.record, iteration=2)) for a in trained.artifacts if a.record.iteration)
    iterations = (*trained.recipe.iterations, Iteration(prompts="4:8"))
    recipe = trained.recipe.model_copy(update={"name": "twice", "iterations": iterations})
    twice = replace(trained, recipe=recipe, artifacts=(*trained.artifacts, *second))
    to = Destinations(None, "lidr/twice")
    found = release(twice, to, target=running.target, patience=AT_ONCE)
    assert [(one.tag, one.state) for one in found] == [("v0.1.0-iter_1", "published"), ("v0.1.0", "published")]
    assert running.target.api().model_info("lidr/twice").sha == found[-1].sha
    assert "trained for 1 iteration" in model_card(twice.up_to(1), "lidr/twice", (), "0" * 64, None)
    again = release(twice, to, target=running.target, patience=AT_ONCE)
    assert [(one.sha, one.state) for one in again] == [(one.sha, "already there") for one in found]


def test_a_collection_ties_the_release_together(everything, running):
    api = running.target.api()
    (slug,) = [found.slug for found in api.list_collections(owner="lidr") if found.title == "tiny"]
    # Other tests publish the same run under other names, into the same collection.
    assert {item.item_id for item in api.get_collection(slug).items} >= {"lidr/tiny-prefs", "lidr/tiny"}


def test_pairs_alone_are_in_the_collection_of_their_run_with_what_they_are(world, hub, new_name):
    (found,) = release(world, Destinations(new_name("p"), None), target=hub.target, patience=AT_ONCE)
    api = hub.target.api()
    (slug,) = [one.slug for one in api.list_collections(owner="lidr") if one.title == "scripted"]
    (item,) = [one for one in api.get_collection(slug).items if one.item_id == found.repo]
    assert (item.item_type, item.note) == ("dataset", f"v0.1.0: {found.sha}")


def test_a_collection_that_fails_does_not_fail_the_release(world, hub, new_name):
    said: list[str] = []
    hub.faults({"match": "/api/collections", "status": 403, "times": None})
    (found,) = release(world, Destinations(new_name("p"), None), target=hub.target, patience=AT_ONCE, say=said.append)
    assert found.state == "published"
    assert "without its collection" in said[0]


def shell(lines: str, folder: Path) -> subprocess.CompletedProcess[str]:
    """Exactly these lines, in a fresh shell that knows nothing of a Hub."""
    names = ("HF_ENDPOINT", "HF_TOKEN", "HF_HOME", "HF_HUB_DISABLE_XET")
    surroundings = {name: value for name, value in os.environ.items() if name not in names}
    surroundings |= {"PATH": f"{Path(sys.executable).parent}:{os.environ['PATH']}", "HOME": str(folder)}
    stop = "\nstatus=$?; kill %1 2>/dev/null; wait 2>/dev/null; exit $status"
    return subprocess.run(["bash", "-c", lines + stop], cwd=folder, env=surroundings, text=True, capture_output=True)


def test_the_printed_lines_load_the_pairs_and_train_on_them(everything, running, tmp_path):
    if "hub" not in COMMANDS:
        pytest.skip("`lidr hub` is not among the commands yet")
    lines = loading_lines(everything, running.root)
    assert TOKEN not in lines
    done = shell(lines, tmp_path)
    assert done.returncode == 0, done.stderr[-3000:]
    assert "num_rows: 16" in done.stdout
    assert "train_loss" in done.stdout


def test_the_lines_for_another_hub_set_its_endpoint_and_a_cache_of_its_own(everything, running, tmp_path):
    lines = loading_lines(everything[:1])
    assert TOKEN not in lines
    done = shell(lines, tmp_path)
    assert done.returncode == 0, done.stderr[-3000:]
    assert "num_rows: 16" in done.stdout
    assert (tmp_path / ".cache/lidr-hub").is_dir()
    environment = lines.partition("python -")[0]
    assert shell(f"export HF_HOME=/as/set\n{environment}echo $HF_HOME", tmp_path).stdout == "/as/set\n"


def test_the_lines_for_huggingface_need_no_environment():
    found = Published("dataset", "a/b", "s" * 40, "v0.1.0", "d", HUGGING_FACE, "published")
    assert loading_lines([found]).startswith("python -")


def test_the_token_is_in_no_file_log_or_card(everything, running, trained, world):
    """Everything that a run, a release and the Hub wrote; hub.json alone holds it, for the Hub's own processes."""
    for root in (running.root, trained.folder.parents[2], world.folder.parents[2]):
        for path in root.rglob("*"):
            if path.is_file() and path.name != "hub.json":
                assert TOKEN.encode() not in path.read_bytes(), path


def test_a_log_in_at_huggingface_is_never_sent_to_another_endpoint(monkeypatch):
    monkeypatch.delenv("HF_TOKEN", raising=False)
    monkeypatch.setattr("huggingface_hub.get_token", lambda: "a-token-of-its-own")
    monkeypatch.setenv("HF_ENDPOINT", "http://elsewhere")
    assert target_of_environment().token is None
    monkeypatch.delenv("HF_ENDPOINT")
    assert target_of_environment().token == "a-token-of-its-own"
    monkeypatch.setattr("huggingface_hub.get_token", lambda: None)
    assert target_of_environment() is None


def test_without_endpoint_and_token_the_embedded_hub_is_used(tmp_path, monkeypatch):
    for name in ("HF_TOKEN", "HF_ENDPOINT"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setattr("huggingface_hub.get_token", lambda: None)
    with hub_for(tmp_path) as (target, root):
        assert target.api().whoami()["name"]
        assert root == tmp_path / ".hub"


def test_nothing_to_publish_is_said():
    with pytest.raises(HubError, match="--pairs org/name"):
        Destinations(None, None).check()


@pytest.mark.parametrize(
    ("to", "said"),
    [
        (Destinations("lidr", None), "lidr"),
        (Destinations("lidr/p", "not a/name"), "not a/name"),
        (Destinations("lidr/p", None, rename_default="not a name"), "not a name"),
        (Destinations(None, "lidr/m", rename_default="theirs"), "--rename-default is about a data set repository"),
    ],
)
def test_names_that_a_hub_refuses_are_refused_before_anything_is_computed(to, said):
    with pytest.raises(HubError, match=said):
        to.check()


def test_names_that_a_hub_takes_are_taken():
    for to in (Destinations("lidr/p", None, rename_default="theirs"), Destinations(None, "lidr/m")):
        to.check()


def test_trl_reads_the_pairs_as_they_are(everything, running, tmp_path):
    pairs, policy = everything
    code = f"""
import json
from datasets import load_dataset
from transformers import AutoModelForCausalLM, AutoTokenizer
from trl import DPOConfig, DPOTrainer
pairs = load_dataset("{pairs.repo}", "en-es", split="iter_1", revision="{pairs.tag}")
where = dict(pretrained_model_name_or_path="{policy.repo}", revision="{policy.tag}")
args = DPOConfig(output_dir="{tmp_path}", report_to="none", max_steps=1, save_strategy="no", bf16=False)
trainer = DPOTrainer(AutoModelForCausalLM.from_pretrained(**where), args=args, train_dataset=pairs,
                     processing_class=AutoTokenizer.from_pretrained(**where))
print(json.dumps([trainer.train_dataset.num_rows, trainer.train().global_step]))
"""
    assert json.loads(running.run(code).stdout.splitlines()[-1]) == [8, 1]
