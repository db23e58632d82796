"""Addresses that others wrote: which of them are asked, and how.

A release may say where its prompts are. Asked are the Hub that it came from, hosts that the user allows by name, and
the places that lists shipped with lidr name. Each hop of a redirect is checked anew, no credentials go along, and a
name that leads to a private network is refused: whoever reads a release must not be made to knock at doors inside.
"""

from __future__ import annotations

import ipaddress
import json
import re
import socket
from dataclasses import dataclass
from functools import cache
from typing import TYPE_CHECKING

from lidr.errors import HubError, PlanError
from lidr.hub.client import Target
from lidr.resources import shared

if TYPE_CHECKING:
    import httpx

_PORTS = {"http": 80, "https": 443}
Address = ipaddress.IPv4Address | ipaddress.IPv6Address


@dataclass(frozen=True)
class AllowedAddresses:
    """What may be asked on behalf of a release.

    Args:
        hub: the Hub that it came from.
        hosts: names or IP addresses that the user allows, each with a port where it is not 80 or 443.
    """

    hub: Target
    hosts: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        for host in self.hosts:
            if _host_and_port(f"http://{host}/") is None or re.search(r"[\s/@?#*\\]", host):
                raise PlanError(f'--allow-host "{host}": write a host, as data.example.org or 10.0.0.5:8080')

    def way_to(self, url: httpx.URL) -> str | None:
        """See that an address may be asked; the IP address that must be asked then, None for the Hub or by a proxy.

        Raises:
            HubError: it may not; the message says how to allow it.
        """
        if url.scheme not in _PORTS or not url.host:
            raise HubError(f"{_shown(url)}: only http and https addresses are asked")
        if url.userinfo:
            raise HubError(f"{_shown(url)}: an address in a release holds no user and no password")
        port = url.port or _PORTS[url.scheme]
        if (url.scheme, url.host, port) == self._hub:
            return None
        if not self._is_named(url.host, port) and not _is_shipped(str(url)):
            name = url.host if port in _PORTS.values() else f"{_bracketed(url.host)}:{port}"
            raise HubError(
                f"{_shown(url)}: the release names the host {name}, which is neither the Hub that it came from nor "
                f"allowed. If you trust it: --allow-host {name}"
            )
        if _is_proxied(url):
            return None
        return self._resolved(url, port)

    @property
    def _hub(self) -> tuple[str, str, int]:
        import httpx

        hub = httpx.URL(self.hub.endpoint)
        return hub.scheme, hub.host, hub.port or _PORTS.get(hub.scheme, 0)

    def _is_named(self, host: str, port: int) -> bool:
        named = [_host_and_port(f"http://{entry}/") for entry in self.hosts]
        return any(
            entry is not None and entry[0] == host and (port == entry[1] if entry[1] else port in _PORTS.values())
            for entry in named
        )

    def _resolved(self, url: httpx.URL, port: int) -> str:
        """Where the name leads; asked is what was looked at, so that a second answer cannot lead elsewhere."""
        try:
            found = [str(entry[4][0]) for entry in socket.getaddrinfo(url.host, port, type=socket.SOCK_STREAM)]
        except (OSError, UnicodeError) as error:
            raise HubError(f"{_shown(url)}: no such host ({error})") from None
        for text in found:
            address = _plain(ipaddress.ip_address(text.partition("%")[0]))
            if not address.is_global and not self._is_named(str(address), port) and url.host != "localhost":
                raise HubError(
                    f"{_shown(url)}: the host leads to {address}, which is on this machine or in a private network. If "
                    f"that is meant: --allow-host {_bracketed(str(address))}:{port}"
                )
        return found[0]


def _host_and_port(address: str) -> tuple[str, int | None] | None:
    import httpx

    try:
        url = httpx.URL(address)
    except (httpx.InvalidURL, ValueError):
        return None
    return (url.host, url.port) if url.host and (url.port is None or 0 < url.port < 65536) else None


def _plain(address: Address) -> Address:
    """IPv4 in the clothes of IPv6 is IPv4."""
    mapped = address.ipv4_mapped if isinstance(address, ipaddress.IPv6Address) else None
    return mapped or address


def _bracketed(host: str) -> str:
    return f"[{host}]" if ":" in host else host


def _shown(url: httpx.URL) -> str:
    return str(url.copy_with(userinfo=b"", query=None, fragment=None))[:300]


def _is_proxied(url: httpx.URL) -> bool:
    """Whether a proxy is asked, which looks the name up itself."""
    import urllib.request

    found = urllib.request.getproxies()
    return bool(found.get(url.scheme) or found.get("all")) and not urllib.request.proxy_bypass(url.host)


def _is_shipped(url: str) -> bool:
    """Whether it is below a place that a list shipped with lidr names; files there have a sha256."""
    return any(url.startswith(f"{root}/") for root in _shipped_roots())


@cache
def _shipped_roots() -> tuple[str, ...]:
    lists = (json.loads(path.read_text(encoding="utf-8")) for path in shared("recipes").glob("data/*.json"))
    return tuple(str(content["root"]).rstrip("/") for content in lists if "root" in content)
