"""A release where others have written: what can be loaded is loaded by the genuine client, what cannot is refused."""

from __future__ import annotations

import io
import json
import os
import subprocess
import sys
from dataclasses import dataclass, field, replace
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from huggingface_hub import CommitOperationAdd

from lidr.errors import HubError
from lidr.hub import Target, plain_uploads, read_front_matter
from lidr.release.beside.load_check import load
from lidr.release.beside.load_rules import readable
from lidr.release.dataset_release import configs_of, stage_dataset
from lidr.release.make_release import Destinations, release
from lidr.release.publish_staged import publish
from tests.publishing import AT_ONCE


def parquet() -> bytes:
    """Two rows of others."""
    out = io.BytesIO()
    pq.write_table(pa.table({"prompt": ["a", "b"]}), out)
    return out.getvalue()


FILE = "data/train-00000-of-00001.parquet"
PUSHED = (Path(__file__).parent / "card_push_to_hub.md").read_text()
"""What `Dataset.push_to_hub` wrote into a card."""


@dataclass(frozen=True)
class Others:
    """A repository before a release: the metadata of its card, None for no card, and its files."""

    card: str | None
    files: dict[str, bytes] = field(default_factory=lambda: {FILE: parquet()})

    def push(self, hub, repo: str) -> dict[str, bytes]:
        """Put it on the Hub; the files."""
        card = {} if self.card is None else {"README.md": f"---\n{self.card}\n---\n\n# By hand\n".encode()}
        files = {name.replace("NAME", repo.split("/")[1]): content for name, content in (card | self.files).items()}
        hub.target.api().create_repo(repo, repo_type="dataset")
        commit(hub, repo, files)
        return files


def commit(hub, repo: str, files: dict[str, bytes]) -> None:
    with plain_uploads(hub.target):
        hub.target.api().create_commit(
            repo, [CommitOperationAdd(*file) for file in files.items()], commit_message="theirs", repo_type="dataset"
        )


def config(name: str, path: str = "data/train-*", *, more: str = "") -> str:
    return f"configs:\n- config_name: {name}\n  data_files:\n  - {{split: train, path: '{path}'}}{more}\n"


INFO = "dataset_info: [{{config_name: {}, features: [{{name: {}, dtype: string}}]}}]\n"
INFOS = {name: {"features": {"x": {"dtype": "string", "_type": "Value"}}} for name in ("all", "theirs")}

REFUSED = {
    "the card of push_to_hub": (Others(PUSHED.split("---\n")[1]), "--rename-default NAME"),
    "rows without a configuration": (
        Others("license: mit"),
        r"no configuration names \(data/train-0.*--rename-default",
    ),
    "no card": (Others(None), "--rename-default NAME"),
    "our name for all pairs": (Others(config("all")), "configuration all that no release wrote"),
    "our name for a pair of languages": (Others(config("en-es")), "configuration en-es that no release wrote"),
    "features of ours": (Others(INFO.format("all", "x") + config("theirs")), "declares features or splits of .*all"),
    "features of ours beside the card": (
        Others(config("theirs"), {FILE: parquet(), "dataset_infos.json": json.dumps(INFOS).encode()}),
        "dataset_infos.json declares features or splits of .*all",
    ),
    "features that are none": (
        Others(INFO.format("theirs", "x").replace("string", "none") + config("theirs")),
        "no configuration",
    ),
    "a pattern that takes our rows": (Others(config("theirs", "**/*.parquet")), "data_files name its own files"),
    "rows of CSV": (Others(config("theirs", "a.csv"), {"a.csv": b"prompt\na\n"}), "in one format.*Convert"),
    "rows of JSON lines": (Others(config("theirs", "a.jsonl"), {"a.jsonl": b'{"prompt": "a"}\n'}), "in one format"),
    "configurations beside the card": (
        Others("license: mit", {FILE: parquet(), ".huggingface.yaml": config("theirs").encode()}),
        "Move its configs into README.md",
    ),
    "a script": (Others("license: mit", {"NAME.py": b"1"}), "could load no configuration.*scripts"),
    "a folder that is not there": (Others("configs: [{config_name: x, data_dir: gone}]"), "'x'.*Mend it there"),
    "data_files that are none": (Others("configs: [{config_name: x, data_files: {train: y}}]"), "Mend it there"),
    "a file among ours": (
        Others(config("theirs", "all/iter_1-x.*"), {"all/iter_1-x.parquet": parquet()}),
        "all/iter_1-x.parquet would be read as rows of configuration all",
    ),
    "a shard among ours": (
        Others(config("theirs", "all/*"), {"all/iter_1-00001-of-00002.parquet": parquet()}),
        "all/iter_1-00001-of-00002.parquet would be read as rows",
    ),
    "a file in the place of ours": (Others("license: mit", {"dataset_info.json": b"{}"}), "Move yours to another name"),
}


@pytest.mark.parametrize("what", REFUSED)
def test_what_could_not_be_loaded_beside_a_release_is_refused_before_anything_is_sent(what, hub, new_name, world):
    others, said = REFUSED[what]
    repo = new_name("refused")
    others.push(hub, repo)
    api = hub.target.api()
    head = api.repo_info(repo, repo_type="dataset").sha
    with pytest.raises(HubError, match=f"(?s){repo} on http.*{said}.*--pairs org/name"):
        release(world, Destinations(repo, None), target=hub.target, patience=AT_ONCE)
    assert api.repo_info(repo, repo_type="dataset").sha == head
    assert api.list_repo_refs(repo, repo_type="dataset").tags == []


LOAD = """
import json, sys
from datasets import load_dataset
for repo, configs in json.loads(sys.stdin.read()).items():
    for config in configs:
        try:
            rows = {str(split): found.num_rows for split, found in load_dataset(repo, *filter(None, [config])).items()}
        except Exception as error:
            rows = type(error).__name__
        print("@", json.dumps([repo, config, rows]))
"""


def loaded(hub, wanted: dict[str, list[str | None]], cache: Path) -> dict[tuple[str, str | None], object]:
    """The rows of each split of each configuration, all of them loaded in a fresh process with an empty cache."""
    surroundings = {**os.environ, **hub.environment, "HF_HOME": str(cache)}
    command = [sys.executable, "-c", LOAD]
    done = subprocess.run(
        command, input=json.dumps(wanted), env=surroundings, text=True, capture_output=True, check=True
    )
    found = [json.loads(line[2:]) for line in done.stdout.splitlines() if line.startswith("@ ")]
    return {(repo, name): rows for repo, name, rows in found}


def rows_of(run, config: str, staged) -> dict[str, int]:
    files = {split: [staged.files[name] for name in names] for split, names in staged.configs[config].items()}
    return {split: sum(pq.read_metadata(file).num_rows for file in names) for split, names in files.items()}


KEPT = {
    "a folder": Others("configs: [{config_name: theirs, data_dir: data}]"),
    "another default": Others(config("theirs", more="\n  default: true")),
    "features that fit": Others(INFO.format("theirs", "prompt") + config("theirs")),
    "a split of a name as ours": Others(config("theirs", "x/iter_1-*"), {"x/iter_1-00000-of-00001.parquet": parquet()}),
}


def test_beside_what_can_stay_both_are_loaded_and_nothing_of_others_is_gone(hub, new_name, world, tmp_path):
    repos = {what: new_name("kept") for what in KEPT}
    pushed = {what: others.push(hub, repos[what]) for what, others in KEPT.items()}
    for repo in repos.values():
        release(world, Destinations(repo, None), target=hub.target, patience=AT_ONCE)
    ours = stage_dataset(world, tmp_path / "staged", "lidr/x")
    found = loaded(hub, {repo: [None, *configs_of(world), "theirs"] for repo in repos.values()}, tmp_path / "cache")
    for what, repo in repos.items():
        assert found[repo, "theirs"] == {"train": 2}, what
        assert found[repo, None] == found[repo, "all"], what
        assert {name: found[repo, name] for name in ours.configs} == {n: rows_of(world, n, ours) for n in ours.configs}
        assert set(pushed[what]) <= set(hub.target.api().list_repo_files(repo, repo_type="dataset")), what
    card = card_of(hub, repos["another default"], tmp_path)
    assert "the default is no longer `theirs`" in card  # what they wrote is not taken back without a word


def test_rows_without_a_configuration_that_are_no_parquet_are_loaded_as_the_card_says(hub, new_name, world, tmp_path):
    repo = new_name("csv")
    Others("license: mit", {"a.csv": b"prompt\na\nb\n"}).push(hub, repo)
    release(world, Destinations(repo, None), target=hub.target, patience=AT_ONCE)
    line = f'load_dataset("{repo}", data_files="a.csv")'
    text = read_front_matter(card_of(hub, repo, tmp_path))[1]
    assert f"`{line}`" in text.split("<!-- lidr:end -->")[1]
    assert hub.run(f"from datasets import load_dataset\nprint({line}['train']['prompt'][:])").stdout == "['a', 'b']\n"


def card_of(hub, repo: str, folder: Path) -> str:
    where = {"repo_type": "dataset", "cache_dir": folder / "cards"}
    return Path(hub.target.api().hf_hub_download(repo, "README.md", **where)).read_text()


def test_a_default_of_others_is_renamed_in_the_same_commit_and_every_configuration_loads(
    hub, new_name, world, tmp_path
):
    real, card, bare = (new_name("pushed") for _ in range(3))
    code = f"from datasets import Dataset; Dataset.from_dict({{'prompt': ['a', 'b']}}).push_to_hub('{real}')"
    hub.run(code)  # the genuine client wrote this one
    Others(PUSHED.split("---\n")[1]).push(hub, card)
    Others(None).push(hub, bare)
    api = hub.target.api()
    before = {repo: blobs(api, repo) for repo in (real, card, bare)}
    for repo in before:
        commits = len(api.list_repo_commits(repo, repo_type="dataset"))
        to = Destinations(repo, None, rename_default="theirs")
        states = [release(world, to, target=hub.target, patience=AT_ONCE)[0].state for _ in range(2)]
        assert states == ["published", "already there"]
        assert len(api.list_repo_commits(repo, repo_type="dataset")) == commits + 1
        after = blobs(api, repo)
        assert {name: after[name] for name in before[repo] if name != "README.md"} == {
            name: blob for name, blob in before[repo].items() if name != "README.md"
        }
        metadata, text = read_front_matter(card_of(hub, repo, tmp_path))
        assert [entry["config_name"] for entry in metadata["configs"]] == [*configs_of(world), "theirs"]
        assert f'`default` here is `theirs`: `load_dataset("{repo}", "theirs")`' in text.split("<!-- lidr:end -->")[1]
    assert metadata["configs"][-1]["data_files"] == [{"split": "train", "path": [FILE]}]
    found = loaded(hub, {repo: [None, *configs_of(world), "theirs"] for repo in before}, tmp_path / "cache")
    ours = stage_dataset(world, tmp_path / "staged", "lidr/x")
    for repo in before:
        assert found[repo, "theirs"] == {"train": 2}
        assert found[repo, None] == rows_of(world, "all", ours)
        assert {name: found[repo, name] for name in ours.configs} == {n: rows_of(world, n, ours) for n in ours.configs}

    next_one = replace(world, recipe=world.recipe.model_copy(update={"version": "0.2.0"}))
    release(next_one, Destinations(card, None), target=hub.target, patience=AT_ONCE)  # and it stays so
    metadata, text = read_front_matter(card_of(hub, card, tmp_path))
    assert metadata["configs"][-1]["config_name"] == metadata["dataset_info"]["config_name"] == "theirs"
    assert "Since `v0.1.0` the configuration that was `default` here is `theirs`" in text


def blobs(api, repo: str) -> dict[str, str]:
    tree = api.list_repo_tree(repo, repo_type="dataset", recursive=True)
    return {entry.path: entry.blob_id for entry in tree if hasattr(entry, "blob_id")}


@pytest.mark.parametrize(
    ("name", "card", "said"),
    [
        ("en-es", config("default"), "a configuration en-es is there or in the release"),
        ("old", INFO.format("old", "x") + config("default"), "a configuration old is there"),
        ("default", config("default"), "a configuration default is there"),
        ("new", config("theirs"), "no configuration `default` to rename, it has theirs"),
        ("a/b", config("default"), '"a/b" cannot be a configuration'),
    ],
)
def test_a_new_name_that_would_not_do_is_refused(name, card, said, hub, new_name, world):
    repo = new_name("name")
    Others(card).push(hub, repo)
    with pytest.raises(HubError, match=said):
        release(world, Destinations(repo, None, rename_default=name), target=hub.target, patience=AT_ONCE)


def test_a_new_name_without_a_data_set_is_refused():
    with pytest.raises(HubError, match=r"--rename-default is about a data set.*--pairs org/name"):
        Destinations(None, "lidr/x", rename_default="y").check()


@pytest.fixture
def unchecked(hub, new_name, world, tmp_path):
    """A release beside a `default` of others, as it was made when nothing was checked."""
    repo = new_name("unchecked")
    Others(config("default")).push(hub, repo)
    staged = stage_dataset(world, tmp_path / "unchecked", repo)
    return publish(replace(staged, configs={}), repo, target=hub.target, patience=AT_ONCE)


def test_a_release_that_is_there_and_cannot_be_loaded_is_no_success(unchecked, hub, world):
    with pytest.raises(HubError, match=r"released already, with the same content, but .* several default .* bump"):
        release(world, Destinations(unchecked.repo, None), target=hub.target, patience=AT_ONCE)


def test_a_commit_that_was_not_released_yet_is_completed_with_the_other_name(unchecked, hub, world, tmp_path):
    repo = unchecked.repo
    hub.target.api().delete_tag(repo, tag=unchecked.tag, repo_type="dataset")
    with pytest.raises(HubError, match="--rename-default NAME"):
        release(world, Destinations(repo, None), target=hub.target, patience=AT_ONCE)
    assert hub.target.api().list_repo_refs(repo, repo_type="dataset").tags == []
    to = Destinations(repo, None, rename_default="theirs")
    (found,) = release(world, to, target=hub.target, patience=AT_ONCE)
    assert found.state == "published"
    rows = loaded(hub, {repo: ["all", "theirs"]}, tmp_path / "cache")
    assert rows[repo, "theirs"] == {"train": 2}
    assert set(rows[repo, "all"]) == {"iter_1", "iter_2"}


def test_what_only_loading_shows_is_not_released_until_it_is_mended(hub, new_name, world, tmp_path, monkeypatch):
    repo = new_name("loading")
    Others(INFO.format("all", "x") + config("theirs")).push(hub, repo)
    with monkeypatch.context() as patch:
        patch.setattr(
            "lidr.release.beside.beside_others.refuse_unloadable", lambda *_: None
        )  # as if no rule knew of it
        with pytest.raises(HubError, match=r"does not load configuration all from it .*so it is not released"):
            release(world, Destinations(repo, None), target=hub.target, patience=AT_ONCE)
    assert hub.target.api().list_repo_refs(repo, repo_type="dataset").tags == []
    card = card_of(hub, repo, tmp_path)
    commit(hub, repo, {"README.md": card.replace("dataset_info:", "mended:").encode()})
    (found,) = release(world, Destinations(repo, None), target=hub.target, patience=AT_ONCE)
    assert found.state == "completed"


def test_rows_of_others_that_could_not_be_loaded_before_hold_nothing_up(hub, new_name, world):
    repo = new_name("broken")
    Others(config("theirs"), {FILE: b"no rows"}).push(hub, repo)
    (found,) = release(world, Destinations(repo, None), target=hub.target, patience=AT_ONCE)
    assert found.state == "published"


@pytest.mark.parametrize(("times", "state"), [(1, "published"), (2, "published"), (None, "completed")])
def test_a_hub_that_is_busy_while_the_release_is_loaded_is_asked_again(times, state, hub, new_name, world):
    to = Destinations(new_name("busy"), None)
    hub.faults({"match": "all/iter_1-", "method": "GET", "status": 404, "times": times})
    if times is None:
        with pytest.raises(HubError, match=r"so it is not released. If the Hub was only busy, run the same command"):
            release(world, to, target=hub.target, patience=AT_ONCE)
        hub.no_faults()
    (found,) = release(world, to, target=hub.target, patience=AT_ONCE)
    assert found.state == state


def test_without_the_manifest_of_an_earlier_release_nothing_is_taken_for_ours(hub, new_name, world):
    repo = new_name("manifest")
    release(world, Destinations(repo, None), target=hub.target, patience=AT_ONCE)
    commit(hub, repo, {"lidr/manifest.json": b"theirs"})
    next_one = replace(world, recipe=world.recipe.model_copy(update={"version": "0.2.0"}))
    with pytest.raises(
        HubError, match=r"manifest.json of the earlier release cannot be read .* as the last tag has it"
    ):
        release(next_one, Destinations(repo, None), target=hub.target, patience=AT_ONCE)


def test_the_rules_touch_nothing_outside_and_ask_nobody(tmp_path):
    card = "---\nconfigs: [{config_name: x, data_files: 'http://127.0.0.1:1/x.parquet'}, {config_name: y}]\n---\n"
    found = readable("a/b", ["README.md", "../../escaped.parquet", "data/train.parquet"], {"README.md": card})
    assert found.fault is None
    assert found.configs == {"y": {"train": ("data/train.parquet",)}}


def test_a_hub_that_is_gone_is_known_at_the_first_configuration_and_not_looked_for_in_each():
    asked = []

    def is_there():
        asked.append(len(asked))
        raise HubError("no Hub answers")

    with pytest.raises(HubError, match="no Hub answers"):
        load("me/pairs", "main", ["a", "b", "c"], Target("http://127.0.0.1:9"), is_there)
    assert asked == [0]
