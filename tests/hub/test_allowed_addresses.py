"""Which addresses of a release are asked, hop by hop."""

from __future__ import annotations

import hashlib
import json
import socket
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest

from lidr.errors import HubError, PlanError
from lidr.hub.allowed_addresses import AllowedAddresses
from lidr.hub.client import Target
from lidr.hub.prompt_sources import download, fetch_prompts, read_published

HUB = Target("http://127.0.0.1:9", "hf_" + "x" * 20)
BODY = b'{"id": "1", "instruction": "hi"}\n'
SUM = hashlib.sha256(BODY).hexdigest()
HOSTILE = Path(__file__).parents[1] / "reproduce/data/hostile_prompts.json"


class Site:
    """Answers with BODY, or sends elsewhere; remembers what was asked, with the headers."""

    def __init__(self) -> None:
        self.asked: list[tuple[str, dict[str, str]]] = []
        self.moved: dict[str, str] = {}
        site = self

        class Handler(BaseHTTPRequestHandler):
            def do_GET(self) -> None:
                site.asked.append((self.path, dict(self.headers.items())))
                to = site.moved.get(self.path)
                self.send_response(302 if to else 200)
                if to:
                    self.send_header("Location", to)
                self.send_header("Content-Length", "0" if to else str(len(BODY)))
                self.end_headers()
                if not to:
                    self.wfile.write(BODY)

            def log_message(self, *arguments: object) -> None:
                pass

        self.server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.port = self.server.server_port
        threading.Thread(target=self.server.serve_forever, daemon=True).start()


@pytest.fixture
def site(monkeypatch) -> Iterator[Site]:
    for name in ("LIDR_DATA", "HTTP_PROXY", "HTTPS_PROXY", "ALL_PROXY", "http_proxy", "https_proxy", "all_proxy"):
        monkeypatch.delenv(name, raising=False)
    found = Site()
    yield found
    found.server.shutdown()
    found.server.server_close()


def names(monkeypatch, **hosts: str) -> None:
    """Let names of hosts lead where a test wants them."""
    found = {name.replace("_", "."): address for name, address in hosts.items()}
    genuine = socket.getaddrinfo
    monkeypatch.setattr(
        socket, "getaddrinfo", lambda host, *more, **named: genuine(found.get(host, host), *more, **named)
    )


def test_a_list_of_a_release_leaves_neither_its_folder_nor_the_hub(tmp_path):
    with pytest.raises(PlanError, match=r"local must stay below \$LIDR_DATA"):
        read_published(HOSTILE)
    mended = {**json.loads(HOSTILE.read_text()), "local": "inside"}
    (tmp_path / "list.json").write_text(json.dumps(mended))
    with pytest.raises(
        HubError, match=r"names the host 127\.0\.0\.1:8499, which is neither the Hub .*--allow-host 127"
    ):
        fetch_prompts(
            read_published(tmp_path / "list.json"), ["en"], {}, tmp_path / "in/d", allowed=AllowedAddresses(HUB)
        )
    assert sorted(path.name for path in tmp_path.iterdir()) == ["in", "list.json"]


@pytest.mark.parametrize(
    ("key", "value"),
    [
        ("local", "/etc"),
        ("local", "a\0b"),
        ("local", "%2e%2e/x"),
        ("local", "\uff0e\uff0e/x"),
        ("root", "file:///etc"),
        ("root", "ftp://x/y"),
        ("root", "https://ada:pw@example.org/x"),
        ("root", "https://example.org\\@127.0.0.1/x"),
        ("root", "http://example.org/?a"),
        ("languages", {"en": [{"path": "x", "sha256": "../../../outside"}]}),
        ("languages", {"en": [{"path": "x%2f..%2f..", "sha256": "0" * 64}]}),
        ("languages", {"en": [{"path": "x", "dataset": "../../x"}]}),
        ("languages", {"en": [{"path": "x", "sha256": "0" * 64}] * 1001}),
    ],
)
def test_no_field_of_a_list_leads_out(tmp_path, key, value):
    content = {**json.loads(HOSTILE.read_text()), "local": "inside", key: value}
    (tmp_path / "list.json").write_text(json.dumps(content))
    with pytest.raises(PlanError, match=f"is no list of published files: {key}"):
        read_published(tmp_path / "list.json")


def test_a_list_that_is_nested_without_end_is_a_list_that_cannot_be_read(tmp_path):
    (tmp_path / "list.json").write_text("[" * 100_000)
    with pytest.raises(PlanError, match="is no list of published files"):
        read_published(tmp_path / "list.json")


def test_a_link_in_the_downloads_is_not_written_through(tmp_path):
    (tmp_path / "d").mkdir()
    (tmp_path / "elsewhere").mkdir()
    content = {**json.loads(HOSTILE.read_text()), "local": "inside"}
    (tmp_path / "list.json").write_text(json.dumps(content))
    published = read_published(tmp_path / "list.json")
    (tmp_path / "d" / published.languages["en"][0].sha256).symlink_to(tmp_path / "elsewhere/x")
    with pytest.raises(HubError, match="a link on the way leads out"):
        fetch_prompts(published, ["en"], {}, tmp_path / "d", allowed=AllowedAddresses(HUB, ("127.0.0.1:8499",)))
    assert list((tmp_path / "elsewhere").iterdir()) == []


def test_the_hub_itself_is_asked_without_its_token(tmp_path, site):
    hub = Target(f"http://127.0.0.1:{site.port}", HUB.token)
    download(f"{hub.endpoint}/x", SUM, tmp_path / "x", allowed=AllowedAddresses(hub))
    ((path, headers),) = site.asked
    assert path == "/x"
    assert "authorization" not in {name.lower() for name in headers}


@pytest.mark.parametrize(
    "url",
    [
        "http://127.0.0.1:{port}/x",
        "http://localhost:{port}/x",
        "http://2130706433:{port}/x",
        "http://0x7f.1:{port}/x",
        "http://[::ffff:127.0.0.1]:{port}/x",
        "http://\uff11\uff12\uff17.0.0.1:{port}/x",
        "http://allowed.example.evil:{port}/x",
        "https://127.0.0.1:9/x",
        "http://127.0.0.1:22/x",
        "http://169.254.169.254/latest/meta-data",
        "file:///etc/passwd",
    ],
)
def test_nothing_else_is_asked(tmp_path, site, url):
    allowed = AllowedAddresses(HUB, ("allowed.example",))
    with pytest.raises(HubError, match=r"--allow-host|only http and https|cannot be downloaded"):
        download(url.format(port=site.port), SUM, tmp_path / "d/x", allowed=allowed)
    assert site.asked == []
    assert [*(tmp_path / "d").iterdir()] == []


def test_a_host_that_the_user_allows_is_asked_under_its_name(tmp_path, site, monkeypatch):
    names(monkeypatch, data_example="127.0.0.1")
    named = (f"data.example:{site.port}", f"127.0.0.1:{site.port}")
    download(f"http://data.example:{site.port}/x", SUM, tmp_path / "x", allowed=AllowedAddresses(HUB, named))
    ((_, headers),) = site.asked
    assert headers["Host"] == f"data.example:{site.port}"


def test_a_name_that_leads_into_a_private_network_is_refused_though_it_is_allowed(tmp_path, site, monkeypatch):
    names(monkeypatch, data_example="127.0.0.1")
    allowed = AllowedAddresses(HUB, (f"data.example:{site.port}",))
    with pytest.raises(HubError, match=rf"leads to 127\.0\.0\.1, .*--allow-host 127\.0\.0\.1:{site.port}"):
        download(f"http://data.example:{site.port}/x", SUM, tmp_path / "x", allowed=allowed)
    assert site.asked == []


def test_each_hop_of_a_redirect_is_looked_at_anew(tmp_path, site):
    allowed = AllowedAddresses(HUB, (f"127.0.0.1:{site.port}",))
    site.moved = {
        "/in": "/x",
        "/out": f"http://localhost:{site.port}/x",
        "/file": "file:///etc/passwd",
        "/user": f"http://ada:pw@127.0.0.1:{site.port}/x",
        "/round": "/round",
    }
    at = f"http://127.0.0.1:{site.port}"
    download(f"{at}/in", SUM, tmp_path / "x", allowed=allowed)
    for path, said in (
        ("/out", "names the host localhost"),
        ("/file", "only http and https"),
        ("/user", "no user and no password"),
        ("/round", "more than 5 redirects"),
    ):
        with pytest.raises(HubError, match=said):
            download(f"{at}{path}", SUM, tmp_path / "y", allowed=allowed)
    assert [path for path, _ in site.asked].count("/x") == 1


def test_what_is_in_a_netrc_goes_to_nobody(tmp_path, site, monkeypatch):
    (tmp_path / "netrc").write_text("machine 127.0.0.1 login ada password lovelace\n")
    (tmp_path / "netrc").chmod(0o600)
    monkeypatch.setenv("NETRC", str(tmp_path / "netrc"))
    allowed = AllowedAddresses(HUB, (f"127.0.0.1:{site.port}",))
    download(f"http://127.0.0.1:{site.port}/x", SUM, tmp_path / "x", allowed=allowed)
    assert "authorization" not in {name.lower() for name in site.asked[0][1]}


def test_what_ships_with_lidr_is_no_address_of_others():
    import httpx

    from lidr.hub import allowed_addresses as module

    (root, *_) = module._shipped_roots()
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(socket, "getaddrinfo", lambda *a, **k: [(0, 0, 0, "", ("140.82.112.3", 443))])
        patch.setattr(module, "_is_proxied", lambda url: False)
        assert AllowedAddresses(HUB).way_to(httpx.URL(f"{root}/data/de.jsonl")) == "140.82.112.3"
        for url in (f"{root}/../evil/x", root.replace("bd9764e", "0000000") + "/x", f"{root}.evil/x"):
            with pytest.raises(HubError, match=r"--allow-host raw\.githubusercontent\.com"):
                AllowedAddresses(HUB).way_to(httpx.URL(url))


@pytest.mark.parametrize("host", ["", "http://x", "a/b", "a@b", "*", "a b", "x:99999"])
def test_an_option_that_names_no_host_is_said(host):
    with pytest.raises(PlanError, match="--allow-host"):
        AllowedAddresses(HUB, (host,))
