"""X-AlpacaEval as its authors publish it: fetched by address and sha256 on first use, so no copy of it is here.

Files are kept in `lidr/x_alpacaeval` of Hugging Face's cache (HF_HOME), each named by its sha256; one with another sum
is never used.
"""

from __future__ import annotations

import json
import sys
from functools import lru_cache
from pathlib import Path
from typing import Any

from lidr.errors import HubError, NoRowsError
from lidr.hub import download
from lidr.resources import shared
from lidr.store import file_sha256

_LIST = "data/x_alpacaeval.json"


@lru_cache(maxsize=1)
def _published() -> dict[str, Any]:
    found: dict[str, Any] = json.loads((shared("recipes") / _LIST).read_text(encoding="utf-8"))
    return found


def published_languages() -> tuple[str, ...]:
    """Languages that have both instructions and reference answers."""
    return tuple(_published()["languages"])


def published_name() -> str:
    """As a result names it: the repository and the commit."""
    owner, name, commit = str(_published()["root"]).split("/")[-3:]
    return f"{owner}/{name}@{commit}"


def fetch_published(language: str) -> list[Path]:
    """The files of instructions and of references in one language, downloaded where they are not here.

    Raises:
        NoRowsError: the language was not published.
        HubError: no network, or another file than was published.
    """
    check_published(language)
    return [_kept(language, what) for what in ("prompts", "reference")]


def check_published(language: str) -> None:
    """Refuse what is known not to be there.

    Raises:
        NoRowsError: the language was not published.
    """
    if language not in published_languages():
        raise NoRowsError(
            f'X-AlpacaEval was not published in "{language}"; it has {", ".join(published_languages())}. Leave '
            f"{language} out (--langs, evaluate.languages), or give a folder of your own (--data, evaluate.data): "
            "x_alpacaeval/prompts/LANG.json and x_alpacaeval/reference/LANG.json"
        )


def _kept(language: str, what: str) -> Path:
    from huggingface_hub import constants

    one = _published()["languages"][language][what]
    target = Path(constants.HF_HOME) / "lidr" / "x_alpacaeval" / f"{one['sha256']}.json"
    if target.is_file() and file_sha256(target) == one["sha256"]:
        return target
    licence = _published()["license"]
    print(
        f"X-AlpacaEval ({language}, {what}, {licence}): fetching from {published_name()}", file=sys.stderr, flush=True
    )
    try:
        download(f"{_published()['root']}/{one['path']}", one["sha256"], target)
    except HubError as error:
        raise HubError(
            f"no rows of X-AlpacaEval in {language}: {error}: x_alpacaeval/prompts/{language}.json and "
            f"x_alpacaeval/reference/{language}.json"
        ) from None
    return target
