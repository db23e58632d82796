"""The Hub's genuine client, made patient: what can be tried again is, and every error that remains is a HubError.

The client reads HF_ENDPOINT when it is imported, so endpoint and token are given to it here, in so many words.
"""

from __future__ import annotations

import os
import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, TypeVar

from lidr.errors import HubError
from lidr.hub.hub_errors import Trouble, final_error, is_client_error, read_trouble
from lidr.retry import backoff_s
from lidr.secrecy import keep_secret, without_user

if TYPE_CHECKING:
    from huggingface_hub import HfApi

T = TypeVar("T")
HUGGING_FACE = "https://huggingface.co"


@dataclass(frozen=True)
class Target:
    """Which Hub, and as whom. The token is never shown, and an endpoint loses its user part: it would be shown.

    The client sends the token, and could not send a user and a password beside it.
    """

    endpoint: str
    token: str | None = field(default=None, repr=False)

    def __post_init__(self) -> None:
        object.__setattr__(self, "endpoint", without_user(self.endpoint))
        keep_secret(self.token)

    def api(self) -> HfApi:
        """The client for this Hub."""
        from huggingface_hub import HfApi

        return HfApi(endpoint=self.endpoint, token=self.token if self.token else False)


def target_of_environment() -> Target | None:
    """The Hub that HF_ENDPOINT and HF_TOKEN name; None when neither is set and nobody is logged in.

    A token that belongs to a log-in at huggingface.co is never sent to another endpoint.
    """
    endpoint = without_user(os.environ.get("HF_ENDPOINT", "").rstrip("/")) or HUGGING_FACE
    token = os.environ.get("HF_TOKEN") or None
    if token is None and endpoint == HUGGING_FACE:
        from huggingface_hub import get_token

        token = get_token()
    return None if token is None and endpoint == HUGGING_FACE else Target(endpoint, token)


def endpoint_of_environment() -> str | None:
    """The endpoint of `target_of_environment`, for who only says it: a log-in is looked for, and neither asked for a
    token nor renewed, which would be a request.
    """
    from huggingface_hub import constants

    endpoint = without_user(os.environ.get("HF_ENDPOINT", "").rstrip("/")) or HUGGING_FACE
    names = ("HF_TOKEN", "HUGGING_FACE_HUB_TOKEN", "HF_OIDC_RESOURCE")
    is_logged_in = any(map(os.environ.get, names)) or Path(constants.HF_TOKEN_PATH).is_file()
    return endpoint if is_logged_in or endpoint != HUGGING_FACE else None


class _ClientSettings:
    """The client's settings belong to the process, so threads that publish at once share one change of them."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._users = 0
        self._restore: Callable[[], None] = lambda: None

    def enter(self, *, without_xet: bool) -> None:
        from huggingface_hub import constants
        from huggingface_hub.utils.tqdm import are_progress_bars_disabled, disable_progress_bars, enable_progress_bars

        with self._lock:
            if self._users == 0:
                before, is_quiet = constants.HF_HUB_DISABLE_XET, are_progress_bars_disabled()

                def restore() -> None:
                    constants.HF_HUB_DISABLE_XET = before
                    if not is_quiet:
                        enable_progress_bars()

                self._restore = restore
                if not is_quiet and not sys.stderr.isatty():
                    disable_progress_bars()
            self._users += 1
            constants.HF_HUB_DISABLE_XET = constants.HF_HUB_DISABLE_XET or without_xet

    def leave(self) -> None:
        with self._lock:
            self._users -= 1
            if self._users == 0:
                self._restore()


_SETTINGS = _ClientSettings()


@contextmanager
def plain_uploads(target: Target) -> Iterator[None]:
    """Go by LFS where the Hub is not huggingface.co: the client takes Xet for granted and asks no server. Without a
    terminal, no bars.
    """
    _SETTINGS.enter(without_xet=target.endpoint != HUGGING_FACE)
    try:
        yield
    finally:
        _SETTINGS.leave()


@dataclass
class Patience:
    """How often and how long to try again.

    Args:
        tries: of the same request, the first included.
        longest_s: of one wait; a Hub that asks for more ends the try with an error that says so.
        sleep: how to wait.
    """

    tries: int = 10
    longest_s: float = 300.0
    base_s: float = 0.5
    sleep: Callable[[float], None] = time.sleep
    say: Callable[[str], None] = lambda text: None

    def wait(self, trouble: Trouble, failed: int, *, what: str, target: Target) -> None:
        """Wait before the next try.

        Raises:
            HubError: that was the last, or the Hub asks for more patience than there is.
        """
        asked = trouble.after_s
        if asked is not None and asked > self.longest_s:
            raise HubError(
                f"{what} on {target.endpoint}: the Hub asks to wait {asked:.0f} s; run the same command again after "
                "that"
            )
        if trouble.is_unreachable and failed >= min(4, self.tries):
            raise HubError(
                f"{what}: no Hub answers at {target.endpoint} ({trouble.text}). Start one with `lidr hub serve` and "
                'set it with eval "$(lidr hub env)", or '
                "check HF_ENDPOINT; then run the same command again"
            )
        if failed >= self.tries:
            raise HubError(
                f"{what} on {target.endpoint}: failed {failed} times, at last with {trouble.text}. Nothing is lost and "
                "nothing is half-published: run the same command again"
            )
        seconds = asked if asked is not None else backoff_s(failed, self.base_s, 30.0)
        self.say(f"{what}: {trouble.text}; trying again in {seconds:.1f} s")
        self.sleep(seconds)


def meet_hub(api: HfApi) -> None:
    """See that a Hub answers at all, before the client lists files: it tries that again for 23 s where none does.

    Raises:
        httpx2.ConnectError, httpx2.TimeoutException: none does, three times within some seconds.
    """
    import httpx2
    from huggingface_hub import get_session

    for failed in (1, 2, 3):
        try:
            get_session().head(api.endpoint, timeout=httpx2.Timeout(10.0, connect=5.0), follow_redirects=False)
            return
        except httpx2.ConnectError:
            if failed == 3:
                raise
        except httpx2.ReadTimeout:
            return  # one that is slow
        time.sleep(0.5 * failed)


def patiently(call: Callable[[], T], *, what: str, target: Target, patience: Patience) -> T:
    """Call something that may be called again, until it answers.

    Raises:
        HubError: it never did, or the answer is final.
    """
    failed = 0
    while True:
        try:
            return call()
        except HubError:
            raise
        except Exception as error:
            trouble = trouble_of(error, what=what, target=target)
        failed += 1
        patience.wait(trouble, failed, what=what, target=target)


def trouble_of(error: Exception, *, what: str, target: Target) -> Trouble:
    """What a failed request means, when it can be tried again.

    Raises:
        HubError: it cannot.
        Exception: it is a bug of ours, not an answer of a Hub.
    """
    if not is_client_error(error):
        raise error
    trouble = read_trouble(error, target.token)
    if trouble.kind == "final":
        raise final_error(trouble, repo=what, endpoint=target.endpoint) from None
    return trouble
