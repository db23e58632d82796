"""Who may do what. There is one token; whoever has it may do everything, others may read what is public."""

from __future__ import annotations

import base64
import hashlib
import hmac
from dataclasses import dataclass

from starlette.requests import Request

from lidr.hub_server.refusal import Refusal


@dataclass(frozen=True)
class Access:
    """The token, and the name of its holder."""

    token: str
    user: str = "lidr"

    def allows(self, request: Request) -> bool:
        """Did the request bring the token? A browser may bring it as a password, and then only reads."""
        kind, _, value = request.headers.get("authorization", "").partition(" ")
        if kind.lower() == "bearer":
            return self._is_token(value.strip())
        if kind.lower() == "basic" and request.method in ("GET", "HEAD"):
            try:
                return self._is_token(base64.b64decode(value).partition(b":")[2].decode())
            except ValueError:
                return False
        return False

    def _is_token(self, text: str) -> bool:
        return hmac.compare_digest(text.encode("utf-8", "replace"), self.token.encode())

    def refuse_strangers(self, request: Request) -> None:
        """Refuse a request without the token."""
        if not self.allows(request):
            raise Refusal(
                401,
                "Invalid username or password: this Hub asks for its own token, which `lidr hub env` prints",
                headers={"WWW-Authenticate": "Bearer"},
            )

    def signature(self, *parts: object) -> str:
        """What makes a link usable without the token; it holds after a restart with the same token."""
        return hmac.new(self.token.encode(), repr(parts).encode(), hashlib.sha256).hexdigest()

    def refuse_forged(self, signature: str, *parts: object) -> None:
        """Refuse a link that this server has not signed."""
        if not hmac.compare_digest(signature.encode("utf-8", "replace"), self.signature(*parts).encode()):
            raise Refusal(403, "The signature of this link is wrong")
