"""How long a client may take. Whoever sends or reads next to nothing is cut off, and nobody else is held up.

A client has `patience_s` seconds for the head of a request, and the same and a second for every KiB for its body, and
again for taking the answer. While the Hub itself works, nothing is asked of it.
"""

from __future__ import annotations

import asyncio
from typing import Any, Literal

from starlette.types import Message, Receive
from uvicorn.protocols.http.h11_impl import H11Protocol

from lidr.hub_server.refusal import Refusal

SLOWEST = 1024  # bytes a second
MOST_CONNECTIONS = 512

Phase = Literal["idle", "head", "work", "answer"]


def patient(receive: Receive, patience_s: float) -> Receive:
    """The same, but a body that comes too slowly is refused with 408."""
    waited, taken = 0.0, 0

    async def in_time() -> Message:
        nonlocal waited, taken
        loop = asyncio.get_running_loop()
        began, left = loop.time(), patience_s + taken / SLOWEST - waited
        try:
            async with asyncio.timeout(min(left, patience_s)):
                message = await receive()
        except TimeoutError:
            raise Refusal(
                408,
                f"The request came too slowly: its body needs {patience_s:.0f} s, and a second for every KiB, at most",
                headers={"Connection": "close"},
            ) from None
        waited += loop.time() - began
        taken += len(message.get("body", b""))
        return message

    return in_time


class _Counted:
    """A transport that counts what is written to it."""

    def __init__(self, transport: Any) -> None:
        self._transport, self.written = transport, 0

    def write(self, data: bytes) -> None:
        self.written += len(data)
        self._transport.write(data)

    def __getattr__(self, name: str) -> Any:
        return getattr(self._transport, name)


def protocol(patience_s: float) -> type[H11Protocol]:
    """uvicorn's protocol, with an eye on clients that do not get on."""

    class PatientProtocol(H11Protocol):
        """One connection; looked at several times within the patience."""

        _look: asyncio.TimerHandle | None = None

        def connection_made(self, transport: Any) -> None:
            """Begin to look."""
            self._line = _Counted(transport)
            super().connection_made(self._line)  # type: ignore[arg-type]
            self._phase: Phase = "head"  # a client that connects has something to ask
            self._since, self._gone = self.loop.time(), 0
            self._has_sent = False
            self._look = self.loop.call_later(patience_s / 4, self._look_again)

        def connection_lost(self, exc: Exception | None) -> None:
            """Look no more."""
            if self._look is not None:
                self._look.cancel()
            super().connection_lost(exc)

        def data_received(self, data: bytes) -> None:
            """Note that something came."""
            self._has_sent = True
            super().data_received(data)

        def on_response_complete(self) -> None:
            """Begin anew: the client may rest, or ask again."""
            self._has_sent, self._phase = False, "idle"
            super().on_response_complete()

        def _now(self) -> Phase:
            if self._line.get_write_buffer_size() > 0:
                return "answer"
            if self.cycle is not None and not self.cycle.response_complete:
                return "work"
            return "head" if self._has_sent or self._phase == "head" else "idle"

        def _look_again(self) -> None:
            now, phase = self.loop.time(), self._now()
            gone = self._line.written - self._line.get_write_buffer_size()
            gets_on = phase == "answer" and gone - self._gone >= SLOWEST * patience_s / 4  # since the last look
            if phase != self._phase or gets_on:
                self._phase, self._since = phase, now
            self._gone = gone
            if phase in ("head", "answer") and now - self._since > patience_s:
                self._line.abort()  # close would wait until the client has read what it does not read
                return
            self._look = self.loop.call_later(patience_s / 4, self._look_again)

    return PatientProtocol
