"""Publishing against the embedded Hub: whole or not at all, once, whatever goes wrong."""

from __future__ import annotations

import os
import random
import signal
import subprocess
import sys
import threading
import time
from dataclasses import replace
from pathlib import Path

import pyarrow.parquet as pq
import pytest
from huggingface_hub import CommitOperationAdd

from lidr.errors import HubError
from lidr.hub.client import Patience, Target, plain_uploads
from lidr.release.make_release import Destinations, release
from lidr.release.publish_staged import publish
from lidr.release.staging import Staged, files_below, owned_by, write_text
from tests.publishing import AT_ONCE, RunningHub

PUBLISHES = int(os.environ.get("LIDR_PROVE_PUBLISHES", "200"))
KILLS = int(os.environ.get("LIDR_PROVE_KILLS", "1"))


def small(folder: Path, *, tag: str = "v0.1.0", text: str = "rows") -> Staged:
    """A release of four files, one of them binary."""
    write_text(folder, "lidr/content.json", f'{{"tag": "{tag}", "text": "{text}"}}\n')
    write_text(folder, "lidr/manifest.json", f"{text}\n" * 3)
    write_text(folder, "all/iter_1.txt", text)
    (folder / "rows.parquet").write_bytes(b"\xff\x00PAR1" + text.encode() * 50)
    return Staged(
        repo_type="dataset",
        tag=tag,
        files=files_below(folder),
        digest="0" * 64,
        owned=owned_by(r"all/.*"),
        card=lambda existing: f"---\nlicense: mit\n---\n\n{tag} {text}\n" + _foreign(existing),
        title=f"release {text}",
    )


def _foreign(existing: str | None) -> str:
    return "".join(line for line in (existing or "").splitlines(keepends=True) if line.startswith("by hand"))


def send(staged: Staged, repo: str, hub: RunningHub, patience: Patience = AT_ONCE):
    return publish(staged, repo, target=hub.target, patience=patience)


def commits(hub: RunningHub, repo: str) -> list[str]:
    """Titles, without the first commit that makes the repository."""
    return [c.title for c in hub.target.api().list_repo_commits(repo, repo_type="dataset")][:-1]


def tags(hub: RunningHub, repo: str) -> dict[str, str]:
    refs = hub.target.api().list_repo_refs(repo, repo_type="dataset")
    return {tag.name: tag.target_commit for tag in refs.tags}


def files_at(hub: RunningHub, repo: str, revision: str) -> set[str]:
    return set(hub.target.api().list_repo_files(repo, repo_type="dataset", revision=revision)) - {".gitattributes"}


def test_a_release_is_one_commit_and_one_tag(hub, new_name, tmp_path):
    repo, staged = new_name("one"), small(tmp_path)
    found = send(staged, repo, hub)
    assert found.state == "published"
    assert commits(hub, repo) == ["v0.1.0: release rows"]
    assert tags(hub, repo) == {"v0.1.0": found.sha}
    assert files_at(hub, repo, "v0.1.0") == {*staged.files, "README.md"}


def test_the_same_release_again_is_no_commit(hub, new_name, tmp_path):
    repo, staged = new_name("twice"), small(tmp_path)
    first, again = send(staged, repo, hub), send(staged, repo, hub)
    assert (again.state, again.sha) == ("already there", first.sha)
    assert len(commits(hub, repo)) == 1


def test_other_content_under_a_released_version_is_refused_and_changes_nothing(hub, new_name, tmp_path):
    repo = new_name("changed")
    first = send(small(tmp_path / "a"), repo, hub)
    with pytest.raises(HubError, match="bump the recipe's version"):
        send(small(tmp_path / "b", text="other"), repo, hub)
    assert tags(hub, repo) == {"v0.1.0": first.sha}
    assert len(commits(hub, repo)) == 1


def moved(hub: RunningHub, repo: str, path: str, content: bytes) -> str:
    """Commit another content of a file on the main branch, and move the tag there."""
    api, where = hub.target.api(), {"repo_id": repo, "repo_type": "dataset"}
    with plain_uploads(hub.target):
        sha = api.create_commit(**where, operations=[CommitOperationAdd(path, content)], commit_message="Typos").oid
    api.delete_tag(**where, tag="v0.1.0")
    api.create_tag(**where, tag="v0.1.0", revision=sha)
    return sha


def test_a_tag_that_was_moved_to_other_rows_is_refused_and_comes_back_when_it_is_deleted(hub, new_name, tmp_path):
    repo, staged = new_name("moved"), small(tmp_path)
    first = send(staged, repo, hub)
    forged = moved(hub, repo, "rows.parquet", b"\xff\x00PAR1" + b"forged")
    with pytest.raises(HubError, match=f"names commit {forged}, which does not hold .* in rows.parquet.*tag delete"):
        send(staged, repo, hub)
    hub.target.api().delete_tag(repo, tag="v0.1.0", repo_type="dataset")
    again = send(staged, repo, hub)
    assert (again.sha, again.state, tags(hub, repo)) == (first.sha, "completed", {"v0.1.0": first.sha})


def test_the_same_rows_in_another_encoding_are_the_same_release(world, hub, new_name, tmp_path):
    to = Destinations(repo := new_name("encoded"), None)
    release(world, to, target=hub.target, patience=AT_ONCE)
    path = "all/iter_1-00000-of-00001.parquet"
    api = hub.target.api()
    rows = pq.read_table(api.hf_hub_download(repo, path, repo_type="dataset", revision="v0.1.0", cache_dir=tmp_path))
    for table, is_ours in ((rows, True), (rows.slice(1), False)):
        pq.write_table(table, tmp_path / "rows.parquet", compression="gzip")
        sha = moved(hub, repo, path, (tmp_path / "rows.parquet").read_bytes())
        if is_ours:
            (found,) = release(world, to, target=hub.target, patience=AT_ONCE)
            assert (found.sha, found.state) == (sha, "already there")
        else:
            with pytest.raises(HubError, match=f"other content in {path}"):
                release(world, to, target=hub.target, patience=AT_ONCE)


def test_the_next_version_replaces_what_is_ours_and_keeps_what_is_not(hub, new_name, tmp_path):
    repo = new_name("next")
    old = small(tmp_path / "a")
    write_text(tmp_path / "a", "all/iter_2.txt", "gone in the next version")
    old = replace(old, files=files_below(tmp_path / "a"))
    first = send(old, repo, hub)
    by_hand = [
        CommitOperationAdd("notes.txt", b"mine"),
        CommitOperationAdd("README.md", b"---\nlicense: mit\n---\nby hand\n"),
    ]
    hub.target.api().create_commit(repo, by_hand, commit_message="by hand", repo_type="dataset")
    second = send(small(tmp_path / "b", tag="v0.2.0", text="new"), repo, hub)
    assert files_at(hub, repo, "v0.2.0") == {
        *small(tmp_path / "b", tag="v0.2.0", text="new").files,
        "README.md",
        "notes.txt",
    }
    assert "all/iter_2.txt" in files_at(hub, repo, first.sha)
    assert tags(hub, repo) == {"v0.1.0": first.sha, "v0.2.0": second.sha}
    card = hub.target.api().hf_hub_download(
        repo, "README.md", repo_type="dataset", revision="v0.2.0", cache_dir=tmp_path / "c"
    )
    assert "by hand" in Path(card).read_text()


WHERE = {
    "commit": ("/commit/main", "POST"),
    "preupload": ("/preupload/", "POST"),
    "batch": ("/objects/batch", "POST"),
    "info": ("/api/datasets/", "GET"),
    "create": ("/api/repos/create", "POST"),
    "card check": ("/api/validate-yaml", "POST"),
    "tag": ("/tag/", "POST"),
    "refs": ("/refs", "GET"),
    "tree": ("/tree/", "GET"),
}
WHAT = {
    "409": {"status": 409},
    "412": {"status": 412},
    "429": {"status": 429, "headers": {"RateLimit": '"api";r=0;t=1'}},
    "429 retry-after": {"status": 429, "headers": {"Retry-After": "1"}},
    "500": {"status": 500},
    "503": {"status": 503, "body": "<html>busy</html>"},
    "lost": {"status": 500, "after": True},
    "cut": {"drop_after": 0},
    "lost and cut": {"drop_after": 1},
}


@pytest.fixture
def no_waiting(monkeypatch):
    """The client's own waits between its tries, not made."""
    import huggingface_hub.utils._http as http

    monkeypatch.setattr(http.time, "sleep", lambda seconds: None)


@pytest.mark.parametrize("where", WHERE)
@pytest.mark.parametrize("what", WHAT)
def test_one_fault_anywhere_is_survived_and_the_release_lands_once(where, what, hub, new_name, tmp_path, no_waiting):
    match, method = WHERE[where]
    hub.faults({"match": match, "method": method, **WHAT[what]})
    repo = new_name("fault")
    staged = small(tmp_path)
    try:
        found = send(staged, repo, hub)
    except HubError:
        if what not in ("409", "412"):  # a request that knows no conflicts, refused twice
            raise
        found = send(staged, repo, hub)
    assert commits(hub, repo) == ["v0.1.0: release rows"]
    assert tags(hub, repo) == {"v0.1.0": found.sha}


def test_many_publishes_under_random_faults_each_land_exactly_once(hub, new_name, tmp_path, no_waiting):
    seed = random.randrange(1 << 30)
    draw = random.Random(seed)
    refused: list[str] = []
    for number in range(PUBLISHES):
        faults = []
        for _ in range(draw.choice((1, 2, 3, 5, 12))):
            match, method = draw.choice(list(WHERE.values()))
            fault = dict(draw.choice(list(WHAT.values())), match=match, method=method, skip=draw.choice((0, 0, 1, 2)))
            faults.append({**fault, "delay": draw.choice((0, 0, 0, 0.02)), "times": draw.choice((1, 1, 2, 4))})
        hub.no_faults()
        hub.faults(*faults)
        repo, staged = new_name("random"), small(tmp_path / str(number), text=f"n{number}")
        try:
            found = send(staged, repo, hub, Patience(tries=6, sleep=lambda seconds: None))
        except HubError as error:
            refused.append(str(error))
            hub.no_faults()
            found = send(staged, repo, hub)
        hub.no_faults()
        assert commits(hub, repo) == [f"v0.1.0: release n{number}"], (seed, number, faults)
        assert tags(hub, repo) == {"v0.1.0": found.sha}, (seed, number, faults)
        assert files_at(hub, repo, found.sha) == {*staged.files, "README.md"}
    assert all(any(advice in text for advice in ("again", "check", "refused")) for text in refused), refused
    print(f"{PUBLISHES} publishes, {len(refused)} needed the second call (seed {seed})")


def test_ten_writers_at_once_all_land_and_nothing_is_lost(hub, new_name, tmp_path):
    repo = new_name("writers")
    staged = [small(tmp_path / str(n), tag=f"v0.{n}.0", text=f"w{n}") for n in range(10)]
    failures: list[Exception] = []

    def write(release: Staged) -> None:
        try:
            send(release, repo, hub, Patience(tries=60, base_s=0.02))
        except Exception as error:
            failures.append(error)

    threads = [threading.Thread(target=write, args=(release,)) for release in staged]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert failures == []
    assert sorted(commits(hub, repo)) == [f"v0.{n}.0: release w{n}" for n in range(10)]
    assert len(set(tags(hub, repo).values())) == 10
    for n in range(10):
        where = {"repo_id": repo, "repo_type": "dataset", "revision": f"v0.{n}.0", "cache_dir": tmp_path / "c"}
        assert Path(hub.target.api().hf_hub_download(filename="all/iter_1.txt", **where)).read_text() == f"w{n}"


def test_a_lost_answer_under_a_foreign_commit_is_found_again(hub, new_name, tmp_path, monkeypatch):
    """The commit lands, its answer is lost, somebody else commits on top: no second commit of ours."""
    repo, staged = new_name("buried"), small(tmp_path)
    send(small(tmp_path / "old", tag="v0.0.1", text="old"), repo, hub)
    hub.faults({"match": "/commit/main", "method": "POST", "status": 500, "after": True})

    def others(seconds: float) -> None:
        operation = CommitOperationAdd("lidr/manifest.json", b"theirs")
        hub.target.api().create_commit(repo, [operation], commit_message="theirs", repo_type="dataset")

    found = send(staged, repo, hub, Patience(sleep=others))
    assert commits(hub, repo) == ["theirs", "v0.1.0: release rows", "v0.0.1: release old"]
    assert tags(hub, repo)["v0.1.0"] == found.sha
    assert found.sha == hub.target.api().list_repo_commits(repo, repo_type="dataset")[1].commit_id


CLIENT = """
import sys
from pathlib import Path
sys.path.insert(0, sys.argv[4])
from lidr.hub.client import Target
from lidr.release.publish_staged import publish
from tests.release.test_publish_staged import small
import os
print("ready", flush=True)
sys.stdin.readline()
publish(small(Path(sys.argv[2])), sys.argv[1], target=Target(sys.argv[3], os.environ["HF_TOKEN"]))
"""


@pytest.mark.parametrize("number", range(KILLS))
def test_a_client_killed_at_any_moment_leaves_all_or_nothing_and_a_second_call_completes(
    number, hub, new_name, tmp_path
):
    repo, moment = new_name("killed"), random.uniform(0, 0.25)
    hub.faults({"match": repo, "times": None, "delay": 0.01})
    command = [sys.executable, "-c", CLIENT, repo, str(tmp_path / "a"), hub.target.endpoint, str(Path.cwd())]
    process = subprocess.Popen(
        command, env={**os.environ, **hub.environment}, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    )
    with process:
        assert process.stdout.readline() == "ready\n"
        process.stdin.write("\n")
        process.stdin.flush()
        time.sleep(moment)
        process.send_signal(signal.SIGKILL)
        process.wait()
    hub.no_faults()
    api = hub.target.api()
    if api.repo_exists(repo, repo_type="dataset"):
        there = files_at(hub, repo, "main")
        assert there in (set(), {*small(tmp_path / "a").files, "README.md"}), moment
    found = send(small(tmp_path / "a"), repo, hub)
    assert commits(hub, repo) == ["v0.1.0: release rows"]
    assert tags(hub, repo) == {"v0.1.0": found.sha}


def test_a_commit_without_its_tag_is_completed_by_the_next_call(hub, new_name, tmp_path):
    repo, staged = new_name("half"), small(tmp_path)
    waited: list[float] = []
    hub.faults({"match": "/tag/", "method": "POST", "times": None, "status": 500})
    with pytest.raises(HubError, match="run the same command again"):
        send(staged, repo, hub, Patience(tries=3, sleep=waited.append))
    assert len(waited) == 2
    assert tags(hub, repo) == {}
    hub.no_faults()
    assert send(staged, repo, hub).state == "completed"
    assert len(commits(hub, repo)) == 1


@pytest.mark.parametrize(
    ("fault", "said"),
    [
        ({"match": "/commit/", "status": 403, "body": {"error": "no"}}, "may not write"),
        ({"match": "/commit/", "status": 403, "body": {"error": "storage quota exceeded"}}, "quota"),
        ({"match": "/commit/", "status": 507}, "quota"),
        ({"match": "/commit/", "status": 429, "headers": {"Retry-After": "3600"}}, "wait 3600 s"),
        ({"match": "/api/validate-yaml", "status": 400, "body": {"errors": [{"message": "licence"}]}}, "front matter"),
        (
            {
                "match": "/api/datasets/",
                "status": 403,
                "headers": {"X-Error-Code": "GatedRepo", "X-Error-Message": "gated"},
            },
            "gated",
        ),
        ({"match": "/api/repos/create", "status": 409, "times": None}, "private"),
    ],
)
def test_what_cannot_be_tried_again_says_what_to_do_and_publishes_nothing(fault, said, hub, new_name, tmp_path):
    repo, staged = new_name("refused"), small(tmp_path)
    hub.faults(fault)
    with pytest.raises(HubError, match=said) as caught:
        send(staged, repo, hub)
    assert hub.target.token not in str(caught.value)
    hub.no_faults()
    if hub.target.api().repo_exists(repo, repo_type="dataset"):
        assert commits(hub, repo) == []
    assert send(staged, repo, hub).state == "published"


def test_an_unknown_token_and_none_are_told_apart(hub, new_name, tmp_path):
    staged = small(tmp_path)
    with pytest.raises(HubError, match="needs a token"):
        publish(staged, new_name("x"), target=Target(hub.target.endpoint, None))
    with pytest.raises(HubError, match="token") as caught:
        publish(staged, new_name("x"), target=Target(hub.target.endpoint, "wrong-one"), patience=AT_ONCE)
    assert "wrong-one" not in str(caught.value)


def test_a_hub_that_is_away_is_named(tmp_path):
    with pytest.raises(HubError, match=r"no Hub answers at http://127\.0\.0\.1:9"):
        publish(small(tmp_path), "a/b", target=Target("http://127.0.0.1:9", "x"), patience=AT_ONCE)


def test_a_bad_name_is_refused_before_anything_is_asked(tmp_path):
    with pytest.raises(HubError, match="cannot be a repository"):
        publish(small(tmp_path), "a--b/c", target=Target("http://127.0.0.1:9", "x"))


def test_the_token_is_not_in_the_targets_text():
    assert "secret" not in repr(Target("http://h", "secret"))


def test_waits_as_long_as_it_is_told(hub, new_name, tmp_path):
    waited: list[float] = []
    hub.faults({"match": "/commit/", "status": 429, "headers": {"RateLimit": '"api";r=0;t=17'}})
    send(small(tmp_path), new_name("told"), hub, Patience(sleep=waited.append))
    assert waited == [17.0]


def test_rows_beside_a_model_are_sent_without_a_warning(hub, new_name, tmp_path, recwarn):
    staged = replace(small(tmp_path), repo_type="model")
    send(staged, repo := new_name("policy"), hub)
    assert "rows.parquet" in hub.target.api().list_repo_files(repo, revision="v0.1.0")
    assert not [one for one in recwarn if "data file" in str(one.message)]
