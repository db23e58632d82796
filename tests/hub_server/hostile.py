"""Requests that mean no good, the same for the same seed: every route, every method, and values from a list of traps.

By hand, any number of them:    python -m tests.hub_server.hostile 100000
"""

# ruff: noqa: E501  # tables of traps
from __future__ import annotations

import base64
import contextlib
import gzip
import http.client
import json
import random
import sys
import tempfile
import time
from collections import Counter
from pathlib import Path
from typing import Any, NamedTuple
from urllib.parse import quote, urlsplit

import polars as pl

from lidr.hub_server import Hub, serve_in_background
from lidr.hub_server.api import API_ROUTES
from lidr.hub_server.pages import PAGE_ROUTES
from tests.hub_server.raw import client, commit, create, file

METHODS = ("GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS", "TRACE", "BREW")
DIGITS = "9" * 5000
DEEP = "[" * 50_000
LAUGHS = "a0: &a0 [x,x,x,x,x,x,x,x,x,x]\n" + "".join(
    f"a{i}: &a{i} [{','.join([f'*a{i - 1}'] * 10)}]\n" for i in range(1, 10)
)
TEXTS = (
    "", " ", "main", "HEAD", "v1", "refs/pr/1", "0" * 40, "f" * 64, "..", "../..", "a/../b", "%", "%2e%2e%2f", "\0", "\n",
    "\ud800", "\udfff\ud800", "é", "蜂", "²", "١٢٣", "\u202e", "\U0001f41d", "x" * 300, "a" * 4000, DIGITS[:400], "-1", "1.5",
    "1e999", "inf", "-inf", "nan", "NaN", "Infinity", "0x10", "1_000", "true", "null", "*" * 200 + "b", "(a+)+$", "[" * 200,
    "{{7*7}}", "<script>alert(1)</script>", "'; drop table x; --", "models", "datasets", "lidr/fuzz", "README.md",
    ".gitattributes", "data/train.parquet", "lidr/run.json", "refs/heads/x", "a\\b", "a//b", "/", "a/", ".git/config",
    "en" + "_a" * 40 + "!", "model", "dataset", "space", "paper", "1970-01-01", "hf_" + "a" * 30, "lfs", "x-" * 48,
)  # fmt: skip
JSON_VALUES: tuple[Any, ...] = (
    None, True, False, 0, -1, 3, 2**63, 10**400, -(10**400), 1e308, -0.0, [], {}, [[]], [{}], [None], {"a": {"b": [1]}},
    {"": ""}, "x" * 5000, list(range(300)), float("nan"), float("inf"), float("-inf"),
)  # fmt: skip
FIELDS = [
    "name",
    "organization",
    "type",
    "visibility",
    "fromRepo",
    "toRepo",
    "content",
    "repoType",
    "title",
    "namespace",
    "item",
    "note",
    "position",
    "paths",
    "expand",
    "startingPoint",
    "tag",
    "message",
    "files",
    "gitIgnore",
    "operation",
    "objects",
    "oid",
    "size",
    "grace_s",
    "private",
    "description",
    "theme",
    "id",
    "path",
    "sample",
    "sha256",
    "summary",
    "parentCommit",
    "encoding",
    "key",
    "value",
]
QUERIES = [
    "cursor",
    "limit",
    "start",
    "q",
    "config",
    "split",
    "language",
    "kind",
    "iteration",
    "step",
    "reason",
    "author",
    "search",
    "filter",
    "recursive",
    "expand",
    "size",
    "signature",
    "blobs",
    "include_prs",
    "expand[]",
    "create_pr",
    "owner",
    "item",
]
YAML = (
    LAUGHS, "a: &a [*a]\n", "a: &a {<<: *a}\n", "{a: b", "license: {a: b}\n", "license: [[x]]\n", "x: .nan\n", "x: [.inf, -.inf]\n",
    f"x: {DIGITS}\n", f"x: 0x{'F' * 5000}\n", f"x: {':'.join(['1'] * 2000)}\n", f"x: {':'.join(['1'] * 300)}.5\n",
    'tags: ["\\ud800"]\n', "tags: [!!binary aGVsbG8=, 2020-01-01, ~, .nan]\n", "? [a, b]\n: c\n", "? {a: b}\n: c\n", "!!set {a, b}\n",
    "2020-99-99: x\n", "x: 2020-99-99\n", "model-index: 5\n", "model-index: [{name: a, results: 5}]\n",
    "model-index: [{name: a, results: [{metrics: [5], task: 5, dataset: []}]}]\n", "configs: 5\n",
    "configs: [{config_name: a, data_files: 7}, {config_name: ~, data_files: [{split: [1], path: {a: b}}]}]\n", "configs: [~, 3, x]\n",
    "configs: [{config_name: a, data_files: '**/*.parquet'}, {config_name: b, data_files: [{split: ~, path: '*'}]}]\n",
    "datasets: {a: b}\n", "base_model: [[[]]]\n", "base_model_relation: []\n", "library_name: []\npipeline_tag: {}\n",
    f"x: {DEEP}\n", "- " * 2000, "a: |\n" + " x\n" * 500, "\t\t", "%YAML 9.9\n---\n", "a: !!python/object:os.system x\n", "a: *nobody\n",
    f"language: [{'en' + '_a' * 60}!]\n", "<<: [5]\n", "a: &x 1\nb: !!int ''\n", "&a a: *a\n", "x: !!float 'abc'\n", "x: !!timestamp zz\n",
)  # fmt: skip
BODIES = (
    "<!--" * 3000, "-->" * 3000, "[" * 5000, "![](" * 2000, "> " * 3000, "|a" * 2000 + "\n" + "|-" * 2000 + "\n|", "*a **b " * 2000,
    "`" * 5000, "<a " * 2000, "[a](//evil) [b](javascript:x) [c](\\\\x) ![d](data:x)", "[a]: <b\n" * 500, "---\n" * 1000, "\0\x01\x02",
    "[a](%ZZ)", "[x](http://[::1)", "<http://[>", "&#x110000; &#xd800; &#" + "9" * 50 + ";", "\r\r\n\x0b\x0c\x85", "# " * 500,
)  # fmt: skip
HOSTS = ("127.0.0.1", "localhost:1", "[::1]", "[::1", "::1", "127.0.0.1:x\"><b>", "evil.example", "", "localhost:" + "9" * 90, "[]", "]", ":")  # fmt: skip
RANGES = (
    f"bytes={DIGITS}-", f"bytes=-{DIGITS}", f"bytes=0-{DIGITS}", "bytes=-", "bytes=5-2", "bytes=0-0", "bytes=-0", "bytes=0-1,3-4",
    "bytes=٣-", "items=0-1", "bytes=0-18446744073709551616", "bytes =0-1", "bytes=" + "0" * 4000 + "-1",
)  # fmt: skip
RAW = (b"\xed\xa0\x80", b"\xff\xfe\x00", b"\x00", b"\xef\xbb\xbf{}", b'"\xed\xa0\x80"', '{"name": "\ud800"}'.encode("utf-16-le", "surrogatepass"))  # fmt: skip


class Probe(NamedTuple):
    """One request."""

    method: str
    path: str
    headers: dict[str, bytes]
    body: bytes


class Fuzzer:
    """Makes requests for a Hub that has a data set `lidr/fuzz`; `places` are the ids of what stands there."""

    def __init__(self, seed: int, token: str, places: dict[str, str]) -> None:
        self._random, self._token, self._places = random.Random(seed), token, places
        self._routes = [route for route in (*API_ROUTES, *PAGE_ROUTES) if "faults" not in route.pattern.pattern]

    def probe(self) -> Probe:
        """The next request."""
        pick = self._random
        route = pick.choice(self._routes)
        method = pick.choice(route.methods) if pick.random() < 0.85 else pick.choice(METHODS)
        path = self._path(route.pattern.pattern)
        if pick.random() < 0.5:
            path += "?" + "&".join(
                f"{quote(pick.choice(QUERIES))}={self._encoded()}" for _ in range(pick.randint(1, 4))
            )
        body = self._body(route.pattern.pattern) if method not in ("GET", "HEAD") or pick.random() < 0.05 else b""
        return Probe(method, path[:12_000], self._headers(method), body)

    def _text(self) -> str:
        return self._random.choice(TEXTS)

    def _encoded(self) -> str:
        pick = self._random.random()
        if pick < 0.1:
            return self._random.choice(("%FF", "%", "%ZZ", "%00", "%ED%A0%80", "%C0%AF", "+", "%2F" * 50))
        if pick < 0.15:
            return DIGITS
        return quote(self._text().encode("utf-8", "surrogatepass"), safe="/" if pick < 0.5 else "")

    def _path(self, pattern: str) -> str:
        """A path that fits the pattern, each place filled well three times in four."""
        out, at = "", 0
        while at < len(pattern):
            if pattern.startswith("(?:(?P<type>", at):
                out, at = (
                    out + self._random.choice(("datasets/", "datasets/", "", "spaces/")),
                    pattern.index("/)?", at) + 3,
                )
            elif pattern.startswith("(?P<", at):
                name = pattern[at + 4 : pattern.index(">", at)]
                out, at = out + self._part(name), self._after_group(pattern, at)
            elif pattern.startswith("(?!", at):
                at = self._after_group(pattern, at)
            elif pattern.startswith("(?:", at):
                end = self._after_group(pattern, at)
                out, at = out + self._random.choice(pattern[at + 3 : end - 1].split("|")), end
            elif pattern[at] == "\\":
                at += 1
            else:
                out, at = out + pattern[at], at + 1
        return out

    @staticmethod
    def _after_group(pattern: str, at: int) -> int:
        depth = 0
        for place in range(at, len(pattern)):
            depth += (pattern[place] == "(") - (pattern[place] == ")")
            if depth == 0:
                return place + 1
        raise AssertionError(pattern)

    def _part(self, name: str) -> str:
        good = {
            "type": "datasets", "namespace": "lidr", "name": "fuzz", "revision": "main", "branch": "b", "cached": "",
            "path": self._random.choice(("README.md", "data/train.parquet", "data", "lidr/run.json", "")), "write": "write",
            **self._places,
        }  # fmt: skip
        return good[name] if name in good and self._random.random() < 0.9 else self._encoded()

    def _headers(self, method: str) -> dict[str, bytes]:
        pick, headers = self._random, {}
        kind = pick.random()
        if kind < 0.75:
            headers["Authorization"] = b"Bearer " + self._token.encode()
        elif kind < 0.9:
            basic = base64.b64encode(b"x:" + self._token.encode())
            headers["Authorization"] = pick.choice(
                (b"Basic " + basic, b"Basic \xff\xfe", b"Basic !!!", b"Bearer", b"\xe9", b"Basic /w==")
            )
        if pick.random() < 0.2:
            headers["Range"] = pick.choice(RANGES).encode("latin-1", "replace")
        if pick.random() < 0.03:
            headers["Host"] = pick.choice(HOSTS).encode()
        if pick.random() < 0.4:
            headers["Content-Type"] = pick.choice(
                (
                    b"application/json",
                    b"application/x-www-form-urlencoded",
                    b"multipart/form-data",
                    b"\xff",
                    b"",
                    b"application/json; charset=utf-7",
                )
            )
        if pick.random() < 0.1:
            headers[
                pick.choice(("Accept-Encoding", "If-None-Match", "X-Forwarded-Host", "Cookie", "Content-Encoding"))
            ] = pick.choice((b"\xff" * 50, b"gzip", b'"' * 200, b"a" * 9000))
        return headers

    def _body(self, pattern: str) -> bytes:
        pick = self._random
        kind = pick.random()
        if kind < 0.05:
            return pick.choice(RAW)
        if kind < 0.08:
            return pick.choice(
                (
                    DEEP.encode(),
                    b'{"a":' * 20_000,
                    DIGITS.encode(),
                    b'{"size": %s}' % DIGITS.encode(),
                    b'{"size": 1e999}',
                )
            )
        if kind < 0.1:
            return gzip.compress(b"0" * 100_000)
        if "/commit/" in pattern:
            return self._commit()
        if "validate-yaml" in pattern and kind < 0.8:
            return json.dumps({"content": self._card(), "repoType": pick.choice(("model", "dataset", None))}).encode()
        if kind < 0.2:
            return "&".join(f"{name}={self._encoded()}" for name in pick.sample(FIELDS, 5)).encode()
        text = json.dumps({name: self._value(3) for name in pick.sample(FIELDS, pick.randint(0, len(FIELDS)))})
        return text.encode()

    def _value(self, depth: int) -> Any:
        pick = self._random
        kind = pick.random()
        if kind < 0.35 or depth == 0:
            return self._text()
        if kind < 0.6:
            return pick.choice(JSON_VALUES)
        if kind < 0.7:
            return pick.choice(
                (
                    "lidr/fuzz",
                    "f" * 64,
                    self._places["sha256"],
                    "dataset",
                    "upload",
                    "main",
                    {"id": "lidr/fuzz", "type": "dataset"},
                )
            )
        if kind < 0.85:
            return [self._value(depth - 1) for _ in range(pick.randint(0, 4))]
        return {name: self._value(depth - 1) for name in pick.sample(FIELDS, pick.randint(0, 6))}

    def _card(self) -> str:
        pick = self._random
        front = pick.choice(YAML) if pick.random() < 0.8 else "".join(pick.sample(YAML, 2))
        return (
            pick.choice(("---\n", "\ufeff---\r\n", "--- \t\n", ""))
            + front
            + pick.choice(("---\n", "---", "\n--- x\n", ""))
            + pick.choice(BODIES)
        )

    def _commit(self) -> bytes:
        pick = self._random
        lines = [
            json.dumps(
                {
                    "key": "header",
                    "value": {"summary": "x", "description": ""} if pick.random() < 0.8 else self._value(2),
                }
            ).encode()
        ]
        for _ in range(pick.randint(0, 3)):
            key = pick.choice(("file", "file", "lfsFile", "deletedFile", "deletedFolder", "header", "x"))
            value: Any = {
                "path": pick.choice(("README.md", "README.md", "lidr/run.json", "data/train.parquet", "data", self._text())),
                "content": pick.choice((self._card(), base64.b64encode(self._card().encode("utf-8", "replace")).decode(), self._value(1))),
                "encoding": pick.choice(("base64", "utf-8", None, 5)), "oid": pick.choice((self._places["sha256"], self._text())),
                "size": pick.choice((3, self._value(0), *JSON_VALUES)),
            }  # fmt: skip
            if value["path"] == "README.md":
                value["encoding"], value["content"] = "utf-8", self._card()
            if pick.random() < 0.1:
                value = self._value(2)
            lines.append(json.dumps({"key": key, "value": value}).encode())
        if pick.random() < 0.1:
            lines.append(pick.choice((*RAW, b"{", b"[]", DEEP.encode())))
        return pick.choice((b"\n", b"\n", b"\r\n", b"\n\n")).join(lines)


RUN = {
    "recipe": "x", "version": "1", "license": {"id": "mit"}, "parents": [], "steps": [{"place": "iter_1/pair"}], "lidr": "0",
}  # fmt: skip


def prepare(hub: Hub) -> dict[str, str]:
    """What the requests are about: a data set with a card, rows, a run, a tag, a collection; returns their ids."""
    with client(hub) as session:
        repo = create(session, "lidr/fuzz")
        with tempfile.TemporaryDirectory() as folder:
            frame = pl.DataFrame({"language": ["en", "es"], "text": ["a", "b"], "score": [1.0, float("nan")]})
            frame.write_parquet(Path(folder) / "t.parquet")
            rows = (Path(folder) / "t.parquet").read_bytes()
        made = commit(
            session,
            repo,
            file("README.md", b"# hi"),
            file("data/train.parquet", rows),
            file("lidr/run.json", json.dumps(RUN).encode()),
        )
        made.raise_for_status()
        slug = session.post("/api/collections", json={"title": "fuzz"}).json()["slug"]
        item = {"item": {"type": "dataset", "id": "lidr/fuzz"}}
        item_id = session.post(f"/api/collections/{slug}/items", json=item).json()["items"][0]["_id"]
        info = session.get(f"/api/{repo}").json()["sha"]
        body = {"operation": "upload", "objects": [{"oid": "2" * 64, "size": 5}]}
        session.post(f"/{repo}.git/info/lfs/objects/batch", json=body).raise_for_status()
    return {"slug": slug.partition("/")[2], "item": item_id, "sha": info, "sha256": "f" * 64}


def ask(connection: http.client.HTTPConnection, probe: Probe) -> tuple[int, bytes]:
    """Send a request as it is; the status and the body of the answer, 0 when the connection was closed."""
    try:
        connection.putrequest(probe.method, probe.path, skip_host="Host" in probe.headers, skip_accept_encoding=True)
        for name, value in probe.headers.items():
            connection.putheader(name, value)
        connection.putheader("Content-Length", str(len(probe.body)))
        connection.endheaders(probe.body)
        answer = connection.getresponse()
        return answer.status, answer.read()
    except (http.client.HTTPException, OSError, ValueError):
        connection.close()
        return 0, b""


def attack(hub: Hub, requests: int, seed: int) -> tuple[Counter[int], list[str], float]:
    """Send so many requests; how often each status came, what went wrong, and the longest time of one in seconds."""
    fuzzer = Fuzzer(seed, hub.token, prepare(hub))
    connection = http.client.HTTPConnection(urlsplit(hub.url).netloc, timeout=60)
    seen: Counter[int] = Counter()
    wrong, longest = [], 0.0
    with contextlib.closing(connection):
        for number in range(requests):
            probe = fuzzer.probe()
            began = time.monotonic()
            status, said = ask(connection, probe)
            longest = max(longest, time.monotonic() - began)
            seen[status] += 1
            if status == 0 or status >= 500:
                wrong.append(
                    f"{number}: {status} {probe.method} {probe.path[:200]} {probe.headers} {probe.body[:300]!r}: {said[:200]!r}"
                )
            if probe.method == "DELETE" or "move" in probe.path or number % 100 == 0:
                restore(connection, hub.token)
    return seen, wrong, longest


def restore(connection: http.client.HTTPConnection, token: str) -> None:
    """Make the data set again where a request has taken it away."""
    who = {"Authorization": f"Bearer {token}".encode()}
    body = b'{"type": "dataset", "organization": "lidr", "name": "fuzz"}'
    ask(connection, Probe("POST", "/api/repos/create", who, body))  # 409 where it is there


def main() -> int:
    """Attack a new Hub and tell what happened."""
    requests, seed = int(sys.argv[1]), int(sys.argv[2]) if len(sys.argv) > 2 else 0
    with tempfile.TemporaryDirectory() as root, serve_in_background(Path(root)) as hub:
        began = time.monotonic()
        seen, wrong, longest = attack(hub, requests, seed)
        print(
            f"{requests} requests in {time.monotonic() - began:.1f} s, the longest {longest:.2f} s: {dict(sorted(seen.items()))}"
        )
        print("\n".join(wrong[:30]))
        print((hub.root / "server.log").read_text(encoding="utf-8")[-6000:])
    return 1 if wrong else 0


if __name__ == "__main__":
    sys.exit(main())
