"""References to models and data: one type and one parser for recipes, the command line, the API and records.

    org/name[@rev]                                  a repository on the Hub
    ./folder  or  /absolute/folder                  a folder on this machine
    run:NAME[@VERSION][/iter_K/STEP]                an artifact in the store
    dist:PACKAGE/FILE.gguf                          a file inside an installed Python distribution
    openai:MODEL@URL                                a model behind an OpenAI-compatible server

>>> parse_reference("org/name@v1.0.0")
HubReference(repo='org/name', revision='v1.0.0')
>>> str(parse_reference("run:quickstart@0.1.0/iter_1/train"))
'run:quickstart@0.1.0/iter_1/train'
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any
from urllib.parse import urlsplit

FORMS = "org/name[@rev], ./folder, /folder, run:NAME[@VERSION][/iter_K/STEP], dist:PACKAGE/FILE.gguf, openai:MODEL@URL"

UNPINNED = "unpinned"

_NAME = r"[A-Za-z0-9][A-Za-z0-9._-]*"
_HUB = re.compile(rf"(?P<repo>{_NAME}/{_NAME})(?:@(?P<revision>[^\s@]+))?")
_PLAIN = re.compile(r"[\w .-]+(?:/[\w .-]+)*")
_REPOSITORY = re.compile(r"[A-Za-z0-9][\w.-]*/[A-Za-z0-9][\w.-]*")
_RUN = re.compile(rf"run:(?P<name>{_NAME})(?:@(?P<version>[^/\s]+))?(?:/iter_(?P<iteration>\d+)/(?P<step>[a-z_]+))?")
_DIST = re.compile(rf"dist:(?P<package>{_NAME})/(?P<file>[^/\\\s][^\\\s]*\.gguf)")
_OPENAI = re.compile(r"openai:(?P<model>[^@\s]+)@(?P<url>https?://\S+)")


@dataclass(frozen=True)
class HubReference:
    """A repository on the Hub. `revision` None means that none was given; only a 40-hex SHA is a pin."""

    repo: str
    revision: str | None = None

    @property
    def is_pinned(self) -> bool:
        """Whether the revision is a commit and so cannot move."""
        return bool(self.revision and re.fullmatch(r"[0-9a-f]{40}", self.revision))

    def __str__(self) -> str:
        return self.repo + (f"@{self.revision}" if self.revision else "")


@dataclass(frozen=True)
class FolderReference:
    """A folder on this machine, relative to where the command runs, or absolute."""

    path: str

    def __str__(self) -> str:
        return self.path


@dataclass(frozen=True)
class RunReference:
    """An artifact in the store: the whole run, or one step of one iteration."""

    name: str
    version: str | None = None
    iteration: int | None = None
    step: str | None = None

    def __str__(self) -> str:
        version = f"@{self.version}" if self.version else ""
        step = f"/iter_{self.iteration}/{self.step}" if self.step else ""
        return f"run:{self.name}{version}{step}"


@dataclass(frozen=True)
class DistReference:
    """A file inside an installed Python distribution, found without importing it."""

    package: str
    file: str

    def __str__(self) -> str:
        return f"dist:{self.package}/{self.file}"


@dataclass(frozen=True)
class ServerReference:
    """A model behind an OpenAI-compatible server. It can answer; it cannot be trained."""

    model: str
    url: str

    @property
    def address(self) -> str:
        """Where it is, written in one way; a reference holds no user, password or query.

        >>> parse_reference("openai:m@http://Host:8000/v1/").address
        'http://host:8000/v1'
        """
        parts = urlsplit(self.url)
        return f"{parts.scheme}://{parts.netloc.lower()}{parts.path.rstrip('/')}"

    def __str__(self) -> str:
        return f"openai:{self.model}@{self.url}"


Reference = HubReference | FolderReference | RunReference | DistReference | ServerReference


def parse_reference(text: str) -> Reference:
    """Read a reference.

    Raises:
        ValueError: the text has none of the five forms; the message lists them.
    """
    if text.startswith(("./", "../", "/")) or text in (".", ".."):
        return FolderReference(text)
    if match := _RUN.fullmatch(text):
        iteration = match["iteration"]
        return RunReference(match["name"], match["version"], int(iteration) if iteration else None, match["step"])
    if match := _DIST.fullmatch(text):
        if ".." in match["file"].split("/"):
            raise ValueError(f'"{text}": a dist: reference must not leave its package; write dist:PACKAGE/FILE.gguf')
        return DistReference(match["package"], match["file"])
    if match := _OPENAI.fullmatch(text):
        if set("@?#") & set(match["url"]):
            raise ValueError(
                "an openai: reference must hold no user name, password or query, which would end up in records; the "
                "key comes from the environment"
            )
        return ServerReference(match["model"], match["url"].rstrip("/"))
    if match := _HUB.fullmatch(text):
        return HubReference(match["repo"], match["revision"])
    variable = "; variables are not filled in here: write the path itself" if "$" in text else ""
    here = f"; a file or folder of this machine is ./{text}" if _PLAIN.fullmatch(text) else ""
    address = "; its URL begins with http:// or https://, as http://127.0.0.1:8000/v1" if text[:7] == "openai:" else ""
    raise ValueError(f'"{text}" is no reference{variable}; allowed forms: {FORMS}{here}{address}')


def repository_of(parent: Mapping[str, Any]) -> str | None:
    """Where a parent is on a Hub, as `org/name` or `datasets/org/name`; None where it is a folder, a file, a server."""
    name = str(parent["name"])
    if not _REPOSITORY.fullmatch(name) or not re.fullmatch(r"[0-9a-f]{40}", str(parent.get("revision") or "")):
        return None
    return name if parent["role"] == "policy" else f"datasets/{name}"
