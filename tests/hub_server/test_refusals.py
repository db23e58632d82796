"""What the Hub must not accept, and who must not see what."""

from __future__ import annotations

import errno
import json
from pathlib import Path
from urllib.parse import quote

import pytest

from lidr.hub_server.refusal import Refusal
from lidr.hub_server.storage import names
from lidr.hub_server.storage.objects import Incoming
from lidr.hub_server.storage.storage import Storage
from tests.hub_server.raw import client, commit, create, file


@pytest.fixture(scope="module")
def session(hub):
    with client(hub) as session:
        yield session


@pytest.fixture(scope="module")
def repo(session):
    return create(session, "lidr/refusals")


@pytest.mark.parametrize(
    "path",
    [
        "../x",
        "a/../../x",
        "/etc/passwd",
        "a//b",
        "./a",
        "a\\b",
        "a\0b",
        "a\nb",
        ".git/config",
        "",
        "..",
        "\ud800",
        "x" * 1025,
    ],
)
@pytest.mark.parametrize("key", ["file", "lfsFile", "deletedFile"])
def test_paths_that_lead_out_or_astray_are_refused(session, repo, path, key):
    value = {"path": path, "content": "", "encoding": "base64", "oid": "0" * 64}
    answer = commit(session, repo, {"key": key, "value": value})
    assert answer.status_code == 400, answer.text


@pytest.mark.parametrize(
    "path", ["../../../../etc/passwd", "%2e%2e/%2e%2e/hub.json", "..%2f..%2f..%2f..%2fhub.json", "a%00b"]
)
def test_downloads_do_not_leave_the_repository(hub, session, repo, path):
    answer = session.get(f"/{repo}/resolve/main/{path}")
    assert answer.status_code == 404
    assert hub.token not in answer.text
    assert "root:" not in answer.text


@pytest.mark.parametrize(
    "name", ["a--b", "-a", "a.", ".a", "a..b", "a.git", "a b", "a/b/c", "", "é", "x" * 97, "..", "a\0"]
)
def test_names_of_repositories_that_are_none_are_refused(session, name):
    answer = session.post("/api/repos/create", json={"type": "model", "organization": "lidr", "name": name})
    assert answer.status_code == 400, answer.text


@pytest.mark.parametrize(
    "ref", ["refs/heads/x", "a..b", "-a", "a b", "a\0", "HEAD", "a.lock", "/a", "a/", "a~1", "é", "@{"]
)
def test_names_of_refs_that_are_none_are_refused(session, repo, ref):
    assert session.post(f"/api/{repo}/branch/{quote(ref, safe='')}", json={}).status_code == 400
    assert session.post(f"/api/{repo}/tag/main", json={"tag": ref}).status_code == 400


def test_a_ref_that_looks_like_a_commit_is_refused(session, repo):
    assert session.post(f"/api/{repo}/branch/{'a' * 40}", json={}).status_code == 409
    assert session.post(f"/api/{repo}/tag/main", json={"tag": "b" * 40}).status_code == 409


def test_a_branch_and_a_tag_of_one_name_are_refused(session, repo):
    assert session.post(f"/api/{repo}/tag/main", json={"tag": "v1"}).status_code == 200
    assert session.post(f"/api/{repo}/branch/v1", json={}).status_code == 409
    assert session.post(f"/api/{repo}/tag/main", json={"tag": "main"}).status_code == 409


def test_a_commit_to_a_tag_or_to_a_commit_is_refused(session, repo):
    head = session.get(f"/api/{repo}").json()["sha"]
    session.post(f"/api/{repo}/tag/main", json={"tag": "fixed"})
    assert commit(session, repo, file("a", b"a"), revision="fixed").status_code == 400
    assert commit(session, repo, file("a", b"a"), revision=head).status_code == 400
    assert session.get(f"/api/{repo}").json()["sha"] == head


def test_main_stays(session, repo):
    assert session.delete(f"/api/{repo}/branch/main").status_code == 403


def test_a_file_cannot_be_a_folder_too(session, repo):
    answer = commit(session, repo, file("both", b"1"), file("both/inside", b"2"))
    assert answer.status_code == 400
    assert "both" in answer.json()["error"]


@pytest.mark.parametrize(
    "line", [b"{", b"[]", b'{"key": "file"}', b'{"key": "fly", "value": {}}', b'{"key":"file","value":3}']
)
def test_malformed_commits_are_refused(session, repo, line):
    body = b'{"key":"header","value":{"summary":"x"}}\n' + line
    assert session.post(f"/api/{repo}/commit/main", content=body).status_code == 400


def test_a_commit_without_a_header_is_refused(session, repo):
    assert session.post(f"/api/{repo}/commit/main", content=json.dumps(file("a", b"a"))).status_code == 400


@pytest.mark.parametrize(
    ("card", "said"),
    [
        ("---\nlicense: [a\n---\n", "YAML"),
        (f"---\nlicense: {'[' * 5000}\n---\n", "YAML parse error: it is nested too deep"),
        ("---\n- a\n---\n", "mapping"),
        ("---\nlicense: nolicense\n---\n", "license"),
        ("---\nlanguage: [en, no way]\n---\n", "language"),
        ("---\nlanguage: [no]\n---\n", "quoted"),
        ("---\ntags: {a: b}\n---\n", "tags"),
        ("---\nconfigs:\n- config_name: en/de\n---\n", "en/de"),
        ("---\nconfigs:\n- config_name: a\n- config_name: a\n---\n", "twice"),
    ],
)
def test_cards_that_the_hub_does_not_accept_are_refused_twice(session, repo, card, said):
    checked = session.post("/api/validate-yaml", json={"content": card, "repoType": "dataset"})
    assert checked.status_code == 400
    assert said in checked.json()["errors"][0]["message"]
    answer = commit(session, repo, file("README.md", card.encode()))
    assert answer.status_code == 400
    assert said in answer.json()["error"]


def _index(**changes):
    result = {
        "task": {"type": "text-generation"},
        "dataset": {"type": "mgsm", "name": "MGSM", "config": "es"},
        "metrics": [{"type": "accuracy", "value": 0.5}],
    }
    content = json.dumps({"model-index": [{"name": "m", "results": [{**result, **changes}]}]})
    return f"---\n{content}\n---\n"


def test_results_of_evaluations_are_checked(session):
    def errors(card):
        answer = session.post("/api/validate-yaml", json={"content": card, "repoType": "model"})
        return [error["message"] for error in answer.json()["errors"]]

    assert errors(_index()) == []
    assert "config" in errors(_index(dataset={"type": "mgsm", "name": "MGSM", "config": {"a": 1}}))[0]
    assert "metrics" in errors(_index(metrics=[]))[0]
    assert "task.type" in errors(_index(task={}))[0]


def test_a_large_file_that_never_came_is_refused(session, repo):
    answer = commit(session, repo, {"key": "lfsFile", "value": {"path": "x", "oid": "0" * 64, "size": 3}})
    assert answer.status_code == 400
    assert "LFS pointer" in answer.json()["error"]


def test_an_upload_with_other_content_than_announced_is_refused(session, repo):
    body = {"operation": "upload", "objects": [{"oid": "1" * 64, "size": 5}]}
    actions = session.post(f"/{repo}.git/info/lfs/objects/batch", json=body).json()["objects"][0]["actions"]
    assert session.put(actions["upload"]["href"], content=b"other").status_code == 422
    assert session.put(actions["upload"]["href"], content=b"far too long").status_code == 413
    assert session.post(actions["verify"]["href"], json={"oid": "1" * 64, "size": 5}).status_code == 404


def test_an_upload_link_is_good_for_its_object_only(session, repo):
    body = {"operation": "upload", "objects": [{"oid": "2" * 64, "size": 5}]}
    href = session.post(f"/{repo}.git/info/lfs/objects/batch", json=body).json()["objects"][0]["actions"]["upload"][
        "href"
    ]
    assert session.put(href.replace("2" * 64, "3" * 64), content=b"12345").status_code == 403
    assert session.put(href.partition("?")[0], content=b"12345").status_code == 403


@pytest.mark.parametrize("token", [None, "hf_wrong"])
def test_strangers_read_what_is_public_and_write_nothing(hub, session, repo, token):
    with client(hub, token=token) as stranger:
        assert stranger.get(f"/api/{repo}").status_code == 200
        assert commit(stranger, repo, file("a", b"a")).status_code == 401
        assert stranger.post("/api/repos/create", json={"name": "x"}).status_code == 401
        assert (
            stranger.request("DELETE", "/api/repos/delete", json={"name": "refusals", "type": "dataset"}).status_code
            == 401
        )
        assert stranger.put(f"/api/{repo}/settings", json={"visibility": "private"}).status_code == 401
        assert stranger.post("/api/collections", json={"title": "t"}).status_code == 401
        assert stranger.post("/lidr/collect").status_code == 401


@pytest.mark.parametrize("token", [None, "hf_wrong"])
def test_strangers_do_not_see_what_is_private(hub, session, token):
    hidden = create(session, f"lidr/hidden-{token}", visibility="private")
    with client(hub, token=token) as stranger:
        for path in (f"/api/{hidden}", f"/api/{hidden}/refs", f"/{hidden}/resolve/main/.gitattributes", f"/{hidden}"):
            answer = stranger.get(path)
            assert answer.status_code == 404, path
            assert answer.headers.get("x-error-code") in ("RepoNotFound", None)
        assert hidden.split("/", 1)[1] not in stranger.get("/api/datasets").text
        assert hidden.split("/", 1)[1] not in stranger.get("/").text


def test_another_host_name_is_not_answered(session):
    """A web page may resolve its own name to 127.0.0.1; the browser then sends that name."""
    assert session.get("/api/models", headers={"Host": "evil.example:80"}).status_code == 421
    assert session.get("/api/models", headers={"Host": "localhost:1"}).status_code == 200


def test_a_full_disk_is_told_and_changes_nothing(session, repo, tmp_path, monkeypatch):
    storage = Storage(tmp_path)

    def full(descriptor):
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr("os.fsync", full)
    with pytest.raises(OSError):
        storage.create("model", "lidr/full", private=False, author="lidr")
    monkeypatch.undo()
    with pytest.raises(Refusal):
        storage.repository("model", "lidr/full")
    assert not list((tmp_path / "objects" / "incoming").iterdir())
    assert storage.create("model", "lidr/full", private=False, author="lidr").resolve("main").files


def test_unfinished_content_has_no_name(tmp_path):
    incoming = Incoming(Storage(tmp_path).objects)
    incoming.write(b"half")
    assert not any(path.name for path in (tmp_path / "objects").glob("??/*"))
    incoming.abandon()


def test_types_and_ids_are_checked():
    with pytest.raises(Refusal):
        names.checked_repo_type("kernel")
    with pytest.raises(Refusal):
        names.checked_sha256("../../etc/passwd")


def test_the_token_is_in_one_file_that_only_its_owner_reads(hub, session, repo):
    commit(session, repo, file("z.txt", b"z"))
    holders = [path for path in Path(hub.root).rglob("*") if path.is_file() and hub.token.encode() in path.read_bytes()]
    assert [path.name for path in holders] == ["hub.json"]
    assert holders[0].stat().st_mode & 0o777 == 0o600


@pytest.mark.parametrize("name", ["login", "health", "faults", "collect", "lfs", "cdn"])
def test_the_hubs_own_paths_are_no_repositories(session, name):
    answer = session.post("/api/repos/create", json={"name": name, "organization": "lidr", "type": "model"})
    assert answer.status_code == 400
    assert "is a path of the Hub itself" in answer.json()["error"]
