"""A request as the endpoints see it, and the answers they give."""

from __future__ import annotations

import json
import math
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import parse_qs, quote, unquote

from starlette.requests import Request
from starlette.responses import JSONResponse, Response

from lidr.hub_server.access import Access
from lidr.hub_server.faults import Faults
from lidr.hub_server.refusal import Refusal, no_repository
from lidr.hub_server.storage import Repository, RepoType, Storage, checked_repo_type

LARGEST_BODY = 16 * 1024 * 1024
"""Of a request that is read as a whole; contents and commits are streamed."""
LARGEST_OF_STRANGERS = 1024 * 1024
"""The same for who has not brought the token."""
_MOST_FIELDS = 100_000  # of a form
_LONGEST_SAID, _LONGEST_HEADER = 2000, 500  # characters of a refusal, in the body and in its header


@dataclass(frozen=True)
class Context:
    """What the whole application shares; `patience_s`: how long a client may keep still."""

    storage: Storage
    access: Access
    faults: Faults = field(default_factory=Faults)
    redirect: bool = False
    patience_s: float = 60.0


@dataclass(frozen=True)
class Call:
    """One request: the named parts of its path, decoded, and its body unless the endpoint streams it."""

    context: Context
    request: Request
    parts: Mapping[str, str]
    body: bytes = b""

    @property
    def storage(self) -> Storage:
        """All repositories."""
        return self.context.storage

    @property
    def user(self) -> str:
        """Who holds the token."""
        return self.context.access.user

    @property
    def query(self) -> Mapping[str, str]:
        """The parameters after the question mark, the last of each name."""
        return dict(self.request.query_params)

    @property
    def base_url(self) -> str:
        """Where the client reached this server."""
        return f"{self.request.scope['scheme']}://{self.request.headers.get('host', '127.0.0.1')}"

    @property
    def is_owner(self) -> bool:
        """Did the request bring the token?"""
        return self.context.access.allows(self.request)

    def need_token(self) -> None:
        """Refuse whoever has not brought the token."""
        self.context.access.refuse_strangers(self.request)

    def json(self) -> dict[str, Any]:
        """The body as a JSON object; an empty body is an empty one."""
        value = parse(self.body or b"{}")
        if not isinstance(value, dict):
            raise Refusal(400, "The body must be a JSON object")
        return value

    def form(self) -> dict[str, list[str]]:
        """The body as a form, or as JSON with the same fields."""
        if self.request.headers.get("content-type", "").startswith("application/json"):
            return {key: value if isinstance(value, list) else [value] for key, value in self.json().items()}
        try:
            return parse_qs(self.body.decode("utf-8", "replace"), keep_blank_values=True, max_num_fields=_MOST_FIELDS)
        except ValueError:
            raise Refusal(413, f"The form has more than {_MOST_FIELDS} fields") from None

    @property
    def repo_type(self) -> RepoType:
        """The type that the path names; a path without one means a model."""
        return checked_repo_type(self.parts["type"].removesuffix("s") if self.parts.get("type") else None)

    @property
    def repository(self) -> Repository:
        """The repository that the path names, to a caller who may see it."""
        return self.find(self.repo_type, f"{self.parts['namespace']}/{self.parts['name']}")

    def find(self, type_: RepoType, repo_id: str) -> Repository:
        """A repository, to a caller who may see it; for others a private one is not there."""
        repository = self.storage.repository(type_, repo_id)
        if repository.is_private and not self.is_owner:
            raise no_repository(repo_id)
        return repository

    @property
    def writable(self) -> Repository:
        """The repository that the path names, to the holder of the token."""
        self.need_token()
        return self.repository


def parse(raw: bytes) -> Any:
    """JSON from outside; refused when it is none, or holds what none of our answers could repeat.

    That is half a character (which no file name or header can hold either), and numbers that are none: NaN, 1e999.
    """
    try:
        text = raw.decode("utf-8-sig")
        value = json.loads(text, parse_constant=_no_number, parse_float=_finite)
        if "\\ud" in text or "\\uD" in text:
            json.dumps(value, ensure_ascii=False).encode()
    except (ValueError, RecursionError):
        raise Refusal(400, "This is no JSON") from None
    return value


def _no_number(text: str) -> float:
    raise ValueError(text)


def _finite(text: str) -> float:
    value = float(text)
    return value if math.isfinite(value) else _no_number(text)


def mappings(value: object, name: str) -> list[dict[str, Any]]:
    """A field that must be a list of objects; absent, it is an empty one."""
    if value is None:
        return []
    if not isinstance(value, list) or not all(isinstance(item, dict) for item in value):
        raise Refusal(400, f"{name} must be a list of objects")
    return value


def number(value: object, name: str, *, default: float) -> float:
    """A field that must be a number; absent, it is the default."""
    if value is None:
        return default
    try:
        found = float(value)  # type: ignore[arg-type]
    except (ValueError, TypeError, OverflowError):
        found = math.nan
    if not math.isfinite(found):
        raise Refusal(400, f"{name} must be a number, not {str(value)[:100]!r}")
    return found


def whole(text: str, most: int) -> int | None:
    """Plain digits as a number, cut at the most that makes a difference; None for anything else.

    >>> whole("12", 10**9), whole("9" * 5000, 10**9), whole("-1", 10**9), whole("\u00b2", 10**9)
    (12, 1000000000, None, None)
    """
    if not (text.isascii() and text.isdigit()):
        return None
    digits = text.lstrip("0") or "0"
    return most if len(digits) > len(str(most)) else min(int(digits), most)


Handler = Callable[[Call], Response]
StreamHandler = Callable[[Call], Awaitable[Response]]


def answer(value: Any, *, status: int = 200, headers: Mapping[str, str] | None = None) -> Response:
    """An answer in JSON."""
    return _Json(value, status_code=status, headers=dict(headers or {}))


class _Json(JSONResponse):
    """JSON of what is on the disk, whoever wrote it there: what UTF-8 cannot hold is replaced."""

    def render(self, content: Any) -> bytes:
        return json.dumps(content, ensure_ascii=False, allow_nan=False, separators=(",", ":")).encode(
            "utf-8", "replace"
        )


def refused(refusal: Refusal) -> Response:
    """An answer that says no."""
    return answer(
        {"error": shortened(refusal.message), **refusal.body}, status=refusal.status, headers=error_headers(refusal)
    )


def shortened(text: str, longest: int = _LONGEST_SAID) -> str:
    """A message that may repeat what a client sent, in bounds."""
    return text if len(text) <= longest else f"{text[:longest]} ..."


def error_headers(refusal: Refusal) -> dict[str, str]:
    """The headers of an answer that says no: the genuine clients read the message and the code there."""
    headers = {**refusal.headers, "X-Error-Message": one_line(shortened(refusal.message, _LONGEST_HEADER))}
    return {**headers, "X-Error-Code": refusal.code} if refusal.code else headers


def one_line(text: str) -> str:
    """A text that may stand in a header.

    >>> one_line("no ñ\\nhere: 蜂")
    'no ñ here: ?'
    """
    plain = " ".join("".join(character if character.isprintable() else " " for character in text).split())
    return plain.encode("latin-1", "replace").decode("latin-1")


def page(call: Call, items: list[Any], *, size: int, path: str, show: Callable[[Any], dict[str, Any]]) -> Response:
    """One page of a list, with the link to the next; `path` is where the list can be had again."""
    start, limit = (
        whole(call.query.get(key, default), 10**9) for key, default in (("cursor", "0"), ("limit", str(size)))
    )
    if start is None or limit is None:
        raise Refusal(400, "cursor and limit must be numbers")
    size = max(1, min(size, limit))
    headers = {}
    if start + size < len(items):
        kept = [(key, value) for key, value in call.request.query_params.multi_items() if key != "cursor"]
        query = "&".join(f"{quote(key)}={quote(value)}" for key, value in [*kept, ("cursor", str(start + size))])
        headers["Link"] = f'<{call.base_url}{path}?{query}>; rel="next"'
    return answer([show(item) for item in items[start : start + size]], headers=headers)


def decoded(parts: Mapping[str, str | None]) -> dict[str, str]:
    """The parts of a raw path, each percent-decoded by itself: a branch may contain a slash."""
    try:
        return {key: unquote(value, errors="strict") for key, value in parts.items() if value is not None}
    except UnicodeDecodeError:
        raise Refusal(400, "The path is no UTF-8") from None
