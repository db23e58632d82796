"""What an error of the Hub's client means: try again, wait, look what happened, or tell the user.

409, 412                 conflict   somebody committed in between: read the head again
429                      wait       as long as the Hub says
408, 5xx, no answer      lost       it may have happened: look before doing it again
anything else            final      a HubError that says what to do
"""

from __future__ import annotations

import json
import re
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Literal

from lidr import secrecy
from lidr.errors import HubError

if TYPE_CHECKING:
    import httpx2

Kind = Literal["conflict", "wait", "lost", "final"]

_SECRET = re.compile(r"(?i)(bearer|token|signature|authorization(?!: bearer)|x-amz-[a-z-]+)([=: ]+)[^\s&'\"]+")


@dataclass(frozen=True)
class Trouble:
    """One failed request.

    Args:
        after_s: how long the Hub asks to wait; None when it does not say.
        text: what the Hub or the network said, without secrets.
    """

    kind: Kind
    status: int | None
    after_s: float | None
    text: str
    is_unreachable: bool = False


def is_client_error(error: BaseException) -> bool:
    """Whether the error comes from talking to a Hub, and so is no bug of ours."""
    import httpx2
    from huggingface_hub.errors import HfHubHTTPError, LocalTokenNotFoundError, OfflineModeIsEnabled

    error = _cause(error)
    return isinstance(
        error,
        HfHubHTTPError
        | httpx2.HTTPError
        | httpx2.StreamError
        | OfflineModeIsEnabled
        | LocalTokenNotFoundError
        | OSError,
    ) or (isinstance(error, ValueError) and (_is_card_refused(error) or isinstance(error, json.JSONDecodeError)))


def _cause(error: BaseException) -> BaseException:
    """What is behind the plain RuntimeError that the client makes of a failed upload."""
    is_wrapped = isinstance(error, RuntimeError) and "Error while uploading" in str(error)
    return error.__cause__ if is_wrapped and error.__cause__ is not None else error


def _is_card_refused(error: BaseException) -> bool:
    return isinstance(error, ValueError) and "Invalid metadata in README.md" in str(error)


def read_trouble(error: BaseException, token: str | None = None) -> Trouble:
    """Sort an error of the client.

    >>> read_trouble(ConnectionError("reset")).kind
    'lost'
    """
    import httpx2
    from huggingface_hub.errors import HfHubHTTPError, LocalTokenNotFoundError, OfflineModeIsEnabled

    error = _cause(error)
    response = getattr(error, "response", None) if isinstance(error, HfHubHTTPError | httpx2.HTTPStatusError) else None
    status = None if response is None else int(response.status_code)
    text = without_secrets(_said(error), token)
    if status in (409, 412):
        return Trouble("conflict", status, None, text)
    if status == 429:
        return Trouble("wait", status, _asked_wait(response.headers) if response is not None else None, text)
    if isinstance(error, OfflineModeIsEnabled | LocalTokenNotFoundError) or _is_card_refused(error):
        return Trouble("final", status, None, text)
    if (status is not None and status != 408 and not 500 <= status < 600) or status == 507:
        return Trouble("final", status, None, text)
    after = _asked_wait(response.headers) if response is not None else None
    return Trouble("lost", status, after, text, is_unreachable=isinstance(error, httpx2.ConnectError))


def _said(error: BaseException) -> str:
    said = getattr(error, "server_message", None) or str(error) or type(error).__name__
    return " ".join(str(said).split())[:400]


def without_secrets(text: str, token: str | None = None) -> str:
    """Take tokens and signatures out of a message: upload addresses carry them.

    >>> without_secrets("PUT http://h/x?token=abc failed")
    'PUT http://h/x?token=*** failed'
    """
    if token:
        text = text.replace(token, secrecy.HIDDEN)
    return _SECRET.sub(rf"\1\2{secrecy.HIDDEN}", secrecy.without_secrets(text, token))


def _asked_wait(headers: Any) -> float | None:
    """Seconds from `RateLimit: "api";r=0;t=55` or `Retry-After: 55`."""
    match = re.search(r";\s*t=(\d+)", headers.get("ratelimit", ""))
    given = match[1] if match else headers.get("retry-after", "")
    return float(given) if re.fullmatch(r"\d+(\.\d+)?", given) else None


def final_error(trouble: Trouble, *, repo: str, endpoint: str) -> HubError:
    """The HubError that says what the user can do about a final trouble."""
    return HubError(f"{repo} on {endpoint}: {_advice(trouble)}. The Hub said: {trouble.text}")


def _advice(trouble: Trouble) -> str:
    text = trouble.text.lower()
    if "offline" in text and trouble.status is None:
        return "HF_HUB_OFFLINE is set, so nothing can be published; unset it"
    if trouble.status == 401:
        return "the token is unknown there; set HF_TOKEN to a token of this Hub with write access (`lidr hub env`)"
    if "gated" in text:
        return "the repository is gated; ask its owner for access, or publish under a name of your own"
    if trouble.status in (402, 413, 507) or "quota" in text or "storage limit" in text:
        return "no room left: the storage quota is used up; free some space or publish to another organisation"
    if trouble.status == 403:
        return "this token may not write here; use a token with write access, or a name in an organisation of yours"
    if trouble.status == 404:
        return "not found, or private and not visible to this token; check the name and HF_TOKEN"
    if "invalid metadata in readme" in text:
        return "the card's metadata is refused; mend the front matter of the README.md there, or remove it"
    if trouble.status is None:
        return "HF_TOKEN is not set; set it to a token of this Hub with write access (`lidr hub env`)"
    return f"the Hub refused the request ({trouble.status})"


def away(repo: str, error: Exception) -> HubError:
    """Say that the Hub did not give a repository, or a revision of it (org/name@revision), and what to look at."""
    import httpx2
    from huggingface_hub.errors import (
        GatedRepoError,
        OfflineModeIsEnabled,
        RepositoryNotFoundError,
        RevisionNotFoundError,
    )

    name, _, revision = repo.partition("@")
    if revision and isinstance(error, RevisionNotFoundError):
        return HubError(
            f"{repo}: the Hub has {name}, and no revision {revision} in it: never there, or deleted. "
            "Name one that it has; in a recipe `lidr lock` pins a tag or branch at its commit"
        )
    if isinstance(error, RepositoryNotFoundError) and not isinstance(error, GatedRepoError):
        asked = re.match(r"https?://[^/]+", str(error.response.url))
        return HubError(
            f"{repo}: the Hub{f' {asked[0]}' if asked else ''} answers, and has no such repository, or none that your "
            "token may see. Check the name (`lidr hub ls` lists what the Hub on this machine has) and HF_TOKEN; "
            "HF_ENDPOINT names another Hub"
        )
    if isinstance(error, OfflineModeIsEnabled):
        return HubError(
            f"{repo}: not on this machine, and HF_HUB_OFFLINE is set, so no Hub is asked; unset it, or bring it here "
            "first"
        )
    if isinstance(error, httpx2.ConnectError | httpx2.ConnectTimeout):
        return HubError(
            f"{repo}: the Hub did not give it ({type(error).__name__}): nothing answers at {_address(error)}. Check "
            "your network, its proxy and HF_ENDPOINT, which names the Hub; with HF_HUB_OFFLINE=1 none is asked, and "
            "what is on this machine is used. For a Hub on this machine: `lidr hub serve`, then "
            'eval "$(lidr hub env)"'
        )
    return HubError(
        f"{repo}: the Hub did not give it ({type(error).__name__}). Check the name, your network and HF_ENDPOINT; for "
        "a gated model accept its licence on the Hub and run `hf auth login`; for a Hub on this machine: "
        'eval "$(lidr hub env)"'
    )


def _address(error: httpx2.TransportError) -> str:
    """Whom a request that found nobody was for, without its path."""
    from huggingface_hub import constants

    try:
        url = str(error.request.url)
    except RuntimeError:
        url = constants.ENDPOINT
    return "/".join(url.split("/")[:3])
