"""Which path is answered by which function.

Paths are matched as they came over the wire (`scope["raw_path"]`): a branch `iter/1` arrives as `iter%2F1`, and
decoding first would make two segments of it.
"""

from __future__ import annotations

import inspect
import re
from collections.abc import Iterable
from dataclasses import dataclass

from lidr.hub_server.refusal import Refusal
from lidr.hub_server.wire import Handler, StreamHandler

_PLACEHOLDERS = {
    "type": "models|datasets|spaces",
    "prefix": "(?:(?P<type>datasets|spaces)/)?",
    "repo": r"(?P<namespace>[^/]+)/(?P<name>[^/]+?)",
    "path": ".*",
}


@dataclass(frozen=True, eq=False)
class Route:
    """Method and path; `{type}`, `{prefix}`, `{repo}` and `{path}` have meanings of their own, others are a segment."""

    methods: tuple[str, ...]
    pattern: re.Pattern[str]
    handler: Handler | StreamHandler

    @property
    def streams(self) -> bool:
        """Does the handler read the body itself?"""
        return inspect.iscoroutinefunction(self.handler)


def route(methods: str, path: str, handler: Handler | StreamHandler) -> Route:
    """A line of the table.

    >>> route("GET", "/api/{type}/{repo}/refs", lambda call: None).pattern.fullmatch("/api/datasets/a/b/refs")["name"]
    'b'
    """

    def placeholder(match: re.Match[str]) -> str:
        name = match[1]
        meaning = _PLACEHOLDERS.get(name, "[^/]+")
        return meaning if name in ("prefix", "repo") else f"(?P<{name}>{meaning})"

    return Route(tuple(methods.split()), re.compile(re.sub(r"\{(\w+)\}", placeholder, path)), handler)


class Table:
    """All routes; the first that fits wins."""

    def __init__(self, routes: Iterable[Route]) -> None:
        self._routes = tuple(routes)

    def find(self, method: str, path: str) -> tuple[Route, re.Match[str]]:
        """The route of a request.

        Raises:
            Refusal: 405 when only the method is wrong, else 404.
        """
        allowed: set[str] = set()
        for candidate in self._routes:
            match = candidate.pattern.fullmatch(path)
            if match and method in candidate.methods:
                return candidate, match
            if match:
                allowed |= set(candidate.methods)
        if allowed:
            raise Refusal(405, f"{method} is not allowed here", headers={"Allow": ", ".join(sorted(allowed))})
        raise Refusal(
            404, "Not Found", code="RepoNotFound" if re.match(r"/api/(models|datasets|spaces)/[^/]+$", path) else None
        )
