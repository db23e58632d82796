"""Failures on request do what they are told, and the genuine client meets them as it meets the real ones."""

from __future__ import annotations

import time

import httpx
import pytest
from huggingface_hub import CommitOperationAdd, HfApi, constants, hf_hub_download
from huggingface_hub.errors import HfHubHTTPError

from tests.hub_server.raw import client, commit, create, file

pytestmark = [
    pytest.mark.usefixtures("_plain_lfs"),
    # huggingface_hub 2.4 uploads with an argument that its httpx2 2.16 calls deprecated.
    pytest.mark.filterwarnings("ignore:Use 'content=:DeprecationWarning"),
]


@pytest.fixture
def _plain_lfs(monkeypatch):
    monkeypatch.setattr(constants, "HF_HUB_DISABLE_XET", True)


@pytest.fixture
def session(hub):
    with client(hub) as session:
        yield session
        session.delete("/lidr/faults")


@pytest.fixture(scope="module")
def repo(hub):
    with client(hub) as session:
        create(session, "lidr/faulty")
    return "lidr/faulty"


@pytest.fixture
def api(hub):
    return HfApi(endpoint=hub.url, token=hub.token)


def _inject(session, *faults):
    session.post("/lidr/faults", json=list(faults)).raise_for_status()


def _upload(api, repo, content=b"x", path="a.txt"):
    operations = [CommitOperationAdd(path, content)]
    return api.create_commit(repo, operations, commit_message="m", repo_type="dataset")


def _content(label: str) -> bytes:
    return f"{label} {time.time_ns()}".encode()


def test_a_status_is_answered_as_often_as_told(session):
    _inject(session, {"match": "whoami", "status": 503, "times": 2, "headers": {"X-Why": "rehearsal"}, "body": "busy"})
    first = session.get("/api/whoami-v2")
    assert (first.status_code, first.text, first.headers["x-why"]) == (503, "busy", "rehearsal")
    assert [session.get("/api/whoami-v2").status_code for _ in range(2)] == [503, 200]
    assert session.get("/lidr/faults").json()[0]["hits"] == 2


def test_some_requests_may_pass_first(session):
    _inject(session, {"match": "whoami", "status": 500, "skip": 1})
    assert [session.get("/api/whoami-v2").status_code for _ in range(3)] == [200, 500, 200]


def test_only_the_method_that_is_told(session, repo):
    _inject(session, {"match": "faulty", "method": "HEAD", "status": 500})
    assert session.get(f"/api/datasets/{repo}").status_code == 200
    assert session.head(f"/datasets/{repo}/resolve/main/.gitattributes").status_code == 500


def test_chance_is_drawn_from_a_seed(session):
    draws = []
    for _ in range(2):
        _inject(session, {"match": "whoami", "status": 500, "times": None, "chance": 0.5, "seed": 7})
        draws.append([session.get("/api/whoami-v2").status_code for _ in range(12)])
        session.delete("/lidr/faults")
    assert draws[0] == draws[1]
    assert set(draws[0]) == {200, 500}


def test_an_answer_is_delayed(session):
    _inject(session, {"match": "whoami", "delay": 0.3})
    start = time.monotonic()
    assert session.get("/api/whoami-v2").status_code == 200
    assert time.monotonic() - start >= 0.3


def test_a_lost_answer_is_of_work_that_is_done(session, api, repo):
    content = _content("lost")
    _inject(session, {"match": "/commit/", "status": 500, "after": True})
    with pytest.raises(HfHubHTTPError):
        _upload(api, repo, content)
    head = api.dataset_info(repo).sha
    assert session.get(f"/datasets/{repo}/resolve/main/a.txt").content == content
    assert _upload(api, repo, content).oid == head


@pytest.mark.parametrize("status", [409, 412, 429, 500, 503])
def test_a_commit_that_is_refused_changes_nothing(session, api, repo, status):
    before = api.dataset_info(repo).sha
    _inject(session, {"match": "/commit/", "status": status})
    with pytest.raises(HfHubHTTPError) as caught:
        _upload(api, repo, _content("refused"))
    assert caught.value.response.status_code == status
    assert api.dataset_info(repo).sha == before


def test_the_client_waits_as_long_as_it_is_told(session, api, repo):
    _inject(session, {"match": "/preupload/", "status": 429, "headers": {"Retry-After": "1"}})
    start = time.monotonic()
    _upload(api, repo, _content("limited"))
    assert time.monotonic() - start >= 1


def test_the_client_sends_a_large_file_again(session, api, repo):
    _inject(session, {"match": "^/lidr/lfs/", "status": 500}, {"match": "objects/batch", "status": 503})
    content = b"\0" + _content("large")
    _upload(api, repo, content, "large.bin")
    assert session.get(f"/datasets/{repo}/resolve/main/large.bin").content == content


def test_a_download_that_is_cut_goes_on_where_it_stopped(session, api, hub, repo, tmp_path):
    content = _content("cut") * 40_000
    _upload(api, repo, content, "cut.bin")
    _inject(session, {"match": "resolve.*cut.bin", "method": "GET", "drop_after": len(content) // 3})
    path = hf_hub_download(repo, "cut.bin", repo_type="dataset", endpoint=hub.url, token=hub.token, cache_dir=tmp_path)
    assert session.get("/lidr/faults").json()[0]["hits"] == 1
    with open(path, "rb") as file_:
        assert file_.read() == content


def test_a_cut_is_seen_by_whoever_does_not_go_on(session, api, repo):
    _upload(api, repo, _content("seen") * 10_000, "seen.bin")
    _inject(session, {"match": "seen.bin", "drop_after": 1000})
    with pytest.raises(httpx.RemoteProtocolError):
        session.get(f"/datasets/{repo}/resolve/main/seen.bin")


def test_faults_need_the_token(hub, session):
    with client(hub, token=None) as stranger:
        assert stranger.post("/lidr/faults", json={"status": 500}).status_code == 401
        assert stranger.get("/lidr/faults").status_code == 401
    assert session.get("/lidr/faults").json() == []


@pytest.mark.parametrize("wrong", [{"stauts": 500}, {"match": "("}, {"times": "x"}, {"status": 7}, "text", 3])
def test_what_is_no_fault_is_refused(session, wrong):
    assert session.post("/lidr/faults", json=wrong).status_code == 400


def test_other_requests_go_on_meanwhile(session, hub, repo):
    _inject(session, {"match": "/refs", "status": 500, "times": None})
    assert commit(session, f"datasets/{repo}", file("b.txt", _content("b"))).status_code == 200
