"""What the files below `lidr/` of a release must hold to be read; anything may stand beside it.

A release is others' text. Its shape is checked once, where it is read, so that whoever uses it can rely on it.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from pydantic import BaseModel, ConfigDict, Field, ValidationError


class _Shape(BaseModel):
    model_config = ConfigDict(extra="allow", strict=True)


class _Parent(_Shape):
    role: str
    name: str
    revision: str | None = None
    license: str | None = None


class _Licence(_Shape):
    id: str
    name: str | None = None
    link: str | None = None
    reason: str


class _Step(_Shape):
    place: str
    writes: str
    fingerprint: str
    digest: str
    class_: str = Field(alias="class")


class _Side(_Shape):
    setting: str
    path: str


class _Measured(_Shape):
    digest: str


class _Repository(_Shape):
    repo: str
    sha: str


class _Links(_Shape):
    repo: str | None = None
    datasets: list[_Repository] = []
    siblings: dict[str, str] = {}


class _Outcome(_Shape):
    iterations: int
    result: int
    last_step: str | None = None
    why: str | None = None


class _Written(_Shape):
    provenance: str
    source: str | None = None


class _Recipe(_Shape):
    chain: list[dict[str, Any]]


class _Resolved(_Recipe):
    runtime: dict[str, Any]
    iterations: list[Any]


class Run(_Shape):
    """lidr/run.json. What only newer releases hold has a default."""

    recipe: str
    version: str
    tag: str
    recipe_sha256: str
    parents: list[_Parent]
    license: _Licence
    steps: list[_Step]
    lidr: str | None = None
    resolved: _Resolved | None = None
    written: _Recipe | None = None
    files: list[_Side] = []
    rows: dict[str, dict[str, _Measured]] = {}
    provenance: dict[str, _Written] = {}
    outcome: _Outcome | None = None
    release: _Links = _Links()


class _File(_Shape):
    path: str
    bytes: int
    sha256: str
    rows: int | None = None
    row_digest: str | None = None


class Manifest(_Shape):
    """lidr/manifest.json."""

    files: list[_File]


class Content(_Shape):
    """lidr/content.json: rows of a data set, or weights of a model."""

    rows: dict[str, _Measured] = {}
    weights: dict[str, str] = {}
    form: str | None = None


class Environment(_Shape):
    """lidr/environment.json."""

    versions: dict[str, str | None] = {}


class PublishedParents(_Shape):
    """Of lidr/run.json only whose work a set of pairs is made from."""

    parents: list[_Parent] = []


class _SplitFiles(_Shape):
    split: str | int | bool | float
    path: str | list[str]


class _Config(_Shape):
    config_name: str | int | bool | float
    data_files: str | _SplitFiles | list[str | _SplitFiles] | None = None
    data_dir: str | None = None


class CardConfigs(_Shape):
    """Configurations in a card; names are what YAML makes of them, so `no` is a boolean."""

    configs: list[_Config]


def fault(shape: type[BaseModel], content: Mapping[str, Any]) -> str | None:
    """What is wrong with the content, by its place in the file; None where nothing is."""
    try:
        shape.model_validate(content)
    except ValidationError as error:
        first = error.errors(include_url=False)[0]
        return f"{'.'.join(map(str, first['loc']))}: {first['msg']}"
    return None
