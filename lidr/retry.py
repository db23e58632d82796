"""When to ask a server again, and how long to wait first."""

from __future__ import annotations

import random
import time
from collections.abc import Mapping
from dataclasses import dataclass
from email.utils import parsedate_to_datetime

TRANSIENT = frozenset({408, 409, 425, 429})
"""HTTP statuses below 500 that are worth another try."""


@dataclass(frozen=True)
class Retry:
    """How often and how patiently a server is asked.

    Args:
        attempts: tries in all, the first included.
        base_s: longest wait before the second try, seconds; it doubles with each further try.
        cap_s: longest wait, also when the server asks for more.
        timeout_s: how long one answer may take.
        told_after_s: so long nothing at all is answered before that is told; None: it never is.
    """

    attempts: int = 6
    base_s: float = 1.0
    cap_s: float = 60.0
    timeout_s: float = 600.0
    told_after_s: float | None = 60.0

    def wait_s(self, attempt: int, headers: Mapping[str, str]) -> float:
        """Return the seconds to wait after the given failed try, counted from 1.

        A server's Retry-After is kept to; otherwise the wait is random, so that parallel requests do not come back
        together.
        """
        asked = _retry_after_s(headers.get("retry-after"))
        return backoff_s(attempt, self.base_s, self.cap_s) if asked is None else min(asked, self.cap_s)


def backoff_s(failed: int, base_s: float, cap_s: float) -> float:
    """Return a random wait, seconds: up to `base_s` after the first failed try, twice that after each further one."""
    return random.uniform(0.5, 1.0) * min(cap_s, base_s * 2.0 ** (failed - 1))


def _retry_after_s(value: str | None) -> float | None:
    """Read a Retry-After header, which holds seconds or an HTTP date; None if it holds neither."""
    if value is None:
        return None
    try:
        return max(0.0, float(value))
    except ValueError:
        pass
    try:
        return max(0.0, parsedate_to_datetime(value).timestamp() - time.time())
    except ValueError:
        return None
