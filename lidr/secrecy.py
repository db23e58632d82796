"""What no text of lidr may hold: tokens, keys, and the user part of an address. The one place that cleans.

    known     values of variables whose names say that they are secret (HF_TOKEN, OPENAI_API_KEY, ...), the user part of
              addresses in variables (HF_ENDPOINT, HTTP_PROXY, ...), and what `keep_secret` was told: as they are, and
              as they look percent-encoded, in JSON, in HTML, and in base64, as in a Basic Authorization header
    by form   what stands between `://` and `@`, tokens that begin with hf_, and what follows Basic or Bearer

Who prints: `cleaned_output`. Who writes: `clean_data`, in `lidr.store.write_json` and where else a text becomes a file.
Errors: `str()` of a LidrError is clean.
"""

from __future__ import annotations

import base64
import contextlib
import html
import json
import os
import re
import sys
from collections.abc import Iterator
from functools import lru_cache
from typing import Any
from urllib.parse import quote, quote_plus, unquote

HIDDEN = "***"
_SHORTEST = 8
"""Characters of a value that is replaced wherever it stands; shorter ones are parts of other words too."""
_SHORTEST_WORD = 4
"""Characters of a value that is replaced in what is printed, where it stands as a word; not in data, which may hold it
by chance. What is shorter still is hidden in addresses and headers alone."""
_PLACEHOLDERS = frozenset(
    """none null nil empty dummy fake test token key secret local localhost unused placeholder anything whatever
    not-needed not_needed notneeded no-key no_key nokey no-key-needed no-key-required sk-no-key-required sk-none ollama
    lm-studio llama.cpp your-api-key your_api_key changeme true false""".split()  # noqa: SIM905  # a list of lines is no easier
)
"""Values that stand for no key at all, for servers that ask for none: words that any text may hold."""
_LONGEST_WORD = 20
"""Characters of letters alone, or of digits alone, that an answer may hold by chance: keys of services mix them."""
_SECRET_NAME = re.compile(r"(?i)(?:^|_)(?:TOKEN|API_?KEY|ACCESS_KEY|SECRET|PASSWORD|PASSWD)$")
_USER = re.compile(r"://[^/\s?#'\"<>\\]*@")
_TOKEN = re.compile(r"\bhf_[A-Za-z0-9]{8,}")
_HEADER = re.compile(
    r"(?i)\b(authorization['\"]?\s{0,3}[:=]\s{0,3}['\"]?(?:basic|bearer)|bearer)"
    r"(\s{1,3})[A-Za-z0-9._~+/=-]{6,}"
)
_ADDRESS = re.compile(r"[A-Za-z][A-Za-z0-9+.-]*://\S+")
_TOLD: set[str] = set()


def keep_secret(value: str | None) -> None:
    """Let no text of this process hold this value any more: a token of an option, a key from a file."""
    if value:
        _TOLD.add(value)


def without_user(address: str) -> str:
    """An address without its user part, which is kept secret from now on.

    >>> without_user("https://ada:lovelace@hub.example/x")
    'https://hub.example/x'
    """
    scheme, found, rest = address.partition("://")
    user = _user_of(rest) if found else None
    if user is None:
        return address
    keep_secret(user)
    return f"{scheme}://{rest[len(user) + 1 :]}"


def _user_of(rest: str) -> str | None:
    """What stands before the host of an address without its scheme; None where nothing does."""
    host = rest.partition("/")[0]
    if "@" in host:
        return host.rpartition("@")[0]
    # A slash in a password should be %2F. Where it is not, what looks like a port is none.
    is_torn = "@" in rest and not host.startswith("[") and not host.partition(":")[2].isdigit() and ":" in host
    return rest.rpartition("@")[0] if is_torn else None


def without_secrets(text: str, *more: str | None) -> str:
    """A text without anything secret; `more` are values that this text alone must not hold.

    >>> without_secrets("no Hub answers at http://ada:lovelace@127.0.0.1:9")
    'no Hub answers at http://***@127.0.0.1:9'
    """
    text = clean_data(without_known(text, *more))
    if words := _words(_known(_SHORTEST_WORD, more)):
        text = words.sub(HIDDEN, text)
    return _without_forms(text)


def clean_published(text: str) -> str:
    """The same for data that is to be published: tokens and headers by their form too, but no short word, which a
    recipe may hold by chance: a placeholder of five letters as a key must not change a setting.
    """
    return _without_forms(clean_data(text))


def _without_forms(text: str) -> str:
    return _HEADER.sub(rf"\1\2{HIDDEN}", _TOKEN.sub(HIDDEN, text))


def clean_data(text: str) -> str:
    """The same for what is written as data, JSON too: by the known values and the form of an address alone."""
    text = without_known(text)
    return _USER.sub(f"://{HIDDEN}@", text) if "://" in text else text


def clean_answer(text: str) -> str:
    """What a model answered without the secrets that are known, should its server repeat them; else as it is.

    An answer is data: a key that is a word or a number (`password`, `12345678`), or shorter than eight characters,
    hides nothing of it, since a model may well write that.
    """
    pattern = _pattern(frozenset(value for value in _known(_SHORTEST, ()) if not _is_word(value)))
    return pattern.sub(HIDDEN, text) if pattern else text


def _is_word(value: str) -> bool:
    return len(value) <= _LONGEST_WORD and (value.isalpha() or value.isdigit())


def without_known(text: str, *more: str | None) -> str:
    """A text without the secrets that are known, and otherwise as it is."""
    pattern = _pattern(_known(_SHORTEST, more))
    return pattern.sub(HIDDEN, text) if pattern else text


def _known(shortest: int, more: tuple[str | None, ...]) -> frozenset[str]:
    told = {value for value in (*_TOLD, *more) if value and value.strip().casefold() not in _PLACEHOLDERS}
    return frozenset({*_from_environment(shortest), *told})


def _from_environment(shortest: int) -> Iterator[str]:
    for name, value in os.environ.items():
        if len(value) >= shortest and _SECRET_NAME.search(name) and value.strip().casefold() not in _PLACEHOLDERS:
            yield value
        is_address = "@" in value and (name.upper().endswith("_PROXY") or _ADDRESS.fullmatch(value))
        if is_address and (user := _user_of(value.partition("://")[2] or value)):
            yield user


@lru_cache(maxsize=64)
def _pattern(values: frozenset[str]) -> re.Pattern[str] | None:
    forms = {form for value in values for part in _parts(value) for form in _forms(part) if len(form) >= _SHORTEST}
    return re.compile(_any_of(forms)) if forms else None


@lru_cache(maxsize=64)
def _words(values: frozenset[str]) -> re.Pattern[str] | None:
    """Values that are too short to be looked for within words."""
    parts = {part for value in values for part in _parts(value) if _SHORTEST_WORD <= len(part) < _SHORTEST}
    forms = {form for part in parts for form in _forms(part) if len(form) >= _SHORTEST_WORD}
    return re.compile(rf"(?<!\w)(?:{_any_of(forms)})(?!\w)") if forms else None


def _any_of(forms: set[str]) -> str:
    return "|".join(map(re.escape, sorted(forms, key=len, reverse=True)))


def _parts(value: str) -> set[str]:
    """A value, and of `user:password` each half."""
    return {part for whole in (value, unquote(value)) for part in (whole, *whole.split(":", 1))}


def _forms(value: str) -> Iterator[str]:
    """How a value may look in a text."""
    for plain in {value, value.strip()}:
        encoded = {quote(plain, safe=""), quote(plain), quote_plus(plain)}
        yield from (
            plain,
            *encoded,
            *(re.sub("%[0-9A-F]{2}", lambda match: match[0].lower(), text) for text in encoded),
        )
        yield from (json.dumps(plain)[1:-1], json.dumps(plain, ensure_ascii=False)[1:-1], repr(plain)[1:-1])
        yield html.escape(plain)
        raw = plain.encode("utf-8", "surrogateescape")
        for before in range(3):  # base64 looks another way after one or two bytes of something else
            text = base64.b64encode(bytes(before) + raw).decode()[(0, 2, 3)[before] : (before + len(raw)) * 8 // 6]
            yield from (text, text.replace("+", "-").replace("/", "_"))


class _CleanStream:
    """A stream that lets nothing secret through."""

    def __init__(self, stream: Any) -> None:
        self.uncleaned = stream

    def write(self, text: str) -> int:
        """Write what may be seen."""
        self.uncleaned.write(without_secrets(text))
        return len(text)

    def writelines(self, lines: Any) -> None:
        """Write several."""
        for line in lines:
            self.write(line)

    def __getattr__(self, name: str) -> Any:
        return getattr(self.uncleaned, name)


@contextlib.contextmanager
def cleaned_output() -> Iterator[None]:
    """Nothing secret reaches standard output and standard error, whoever prints: we, a library, a traceback."""
    before = sys.stdout, sys.stderr
    sys.stdout, sys.stderr = (s if isinstance(s, _CleanStream) or s is None else _CleanStream(s) for s in before)
    try:
        yield
    finally:
        sys.stdout, sys.stderr = before


@contextlib.contextmanager
def shown_on_purpose() -> Iterator[None]:
    """For the commands whose purpose is to show the token of a Hub on this machine to its owner."""
    before = sys.stdout, sys.stderr
    sys.stdout, sys.stderr = (getattr(stream, "uncleaned", stream) for stream in before)
    try:
        yield
    finally:
        sys.stdout, sys.stderr = before
