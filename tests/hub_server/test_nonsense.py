"""Nonsense from a client is the client's error: never a 500, never a change."""

from __future__ import annotations

import json

import pytest

from tests.hub_server.raw import client, create

_SHA256 = "0" * 64
ENDPOINTS = [
    ("POST", "/api/repos/create"),
    ("DELETE", "/api/repos/delete"),
    ("POST", "/api/repos/move"),
    ("POST", "/api/validate-yaml"),
    ("POST", "/api/collections"),
    ("PATCH", "/api/collections/lidr/none-0"),
    ("POST", "{collection}/items"),
    ("PATCH", "{collection}"),
    ("PATCH", "{collection}/items/{item}"),
    ("PUT", "/api/{repo}/settings"),
    ("POST", "/api/{repo}/paths-info/main"),
    ("POST", "/api/{repo}/branch/b"),
    ("POST", "/api/{repo}/tag/main"),
    ("POST", "/api/{repo}/super-squash/none"),
    ("POST", "/api/{repo}/preupload/main"),
    ("POST", "/api/{repo}/commit/main"),
    ("POST", "/api/{repo}/lfs-files/duplicate"),
    ("POST", "/{repo}.git/info/lfs/objects/batch"),
    ("POST", "/{repo}.git/info/lfs/objects/verify"),
    ("PUT", f"/lidr/lfs/{_SHA256}?size=x&signature=é"),
    ("POST", "/lidr/faults"),
    ("POST", "/lidr/collect"),
]
VALUES = [None, 3, -1, "text", "\ud800", [], [3], [[]], {}, [None], [{}], {"a": [1]}, 1e308, True, "x" * 5000]
FIELDS = (
    "name organization type visibility fromRepo toRepo content repoType title namespace item note position paths "
    "expand startingPoint tag message files gitIgnore operation objects oid size grace_s key value match times "
    "delay private"
)


@pytest.fixture(scope="module")
def session(hub):
    with client(hub) as session:
        yield session


@pytest.fixture(scope="module")
def places(session):
    repo = create(session, "lidr/nonsense")
    slug = session.post("/api/collections", json={"title": "nonsense"}).json()["slug"]
    collection = f"/api/collections/{slug}"
    item = {"item": {"type": "dataset", "id": "lidr/nonsense"}}
    made = session.post(f"{collection}/items", json=item).json()["items"][0]["_id"]
    return {"repo": repo, "collection": collection, "item": made}


@pytest.mark.parametrize(("method", "path"), ENDPOINTS)
def test_no_body_breaks_the_server(session, places, method, path):
    bodies = [b"", b"{", b"\xff\xfe", b"[" * 5000, *(json.dumps(value).encode() for value in VALUES)]
    bodies += [json.dumps(dict.fromkeys(FIELDS.split(), value)).encode() for value in VALUES]
    bodies += [json.dumps({name: [value] for name in FIELDS.split()}).encode() for value in VALUES]
    bodies += [
        json.dumps({name: [{"oid": v, "size": v, "path": v, "sha256": v}] for name in FIELDS.split()}).encode()
        for v in VALUES
    ]
    bodies += [
        json.dumps({"item": {"type": "dataset", "id": value}, "operation": "upload"}).encode() for value in VALUES
    ]
    for body in bodies:
        answer = session.request(
            method, path.format(**places), content=body, headers={"Content-Type": "application/json"}
        )
        session.delete("/lidr/faults")
        assert answer.status_code < 500, f"{body[:200]!r}: {answer.text}"


@pytest.mark.parametrize("key", ["header", "file", "lfsFile", "deletedFile", "deletedFolder"])
def test_no_line_of_a_commit_breaks_the_server(session, places, key):
    for value in VALUES:
        for field in (
            {"path": "p", "content": value, "oid": value, "size": value, "encoding": "base64"},
            {"path": value},
        ):
            line = json.dumps({"key": key, "value": {**field, "summary": value, "parentCommit": value}})
            body = "\n".join([json.dumps({"key": "header", "value": {"summary": "x", "parentCommit": "stale"}}), line])
            answer = session.post(f"/api/{places['repo']}/commit/main", content=body)
            assert answer.status_code < 500, f"{line[:200]}: {answer.text}"


@pytest.mark.parametrize(
    "path",
    [
        "/api/{repo}/tree/main?cursor=x",
        "/api/{repo}/tree/main?limit=-5",
        "/api/{repo}/tree/%FF",
        "/api/{repo}/revision/%00",
        "/api/{repo}/commits/main?cursor=999999999999999999999",
        "/api/models?limit=99999999999&filter=%00",
        "/{repo}/resolve/main/%FF",
        "/lidr/cdn/" + _SHA256 + "?signature=%C3%A9",
        "/{repo}/rows/main?start=99999999999999999999&q=%00",
        "//", "/%2e%2e", "/a", "/a/b/c/d/e", "/api", "/api/x", "/datasets", "/datasets/x", "/lidr", "/favicon.ico",
    ],
)  # fmt: skip
def test_no_address_breaks_the_server(session, places, path):
    assert session.get(path.format(**places)).status_code < 500


@pytest.mark.parametrize(
    "wanted", ["bytes=5-2", "bytes=-0", "bytes=99999999999-", "bytes=a-b", "lines=1-2", "bytes=1-2,4-5"]
)
def test_odd_ranges_are_answered(session, places, wanted):
    answer = session.get(f"/{places['repo']}/resolve/main/.gitattributes", headers={"Range": wanted})
    assert answer.status_code in (200, 206, 416)
