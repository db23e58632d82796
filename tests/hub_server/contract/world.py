"""What the steps of a group share."""

from __future__ import annotations

import os
import uuid
from contextlib import contextmanager
from pathlib import Path
from types import SimpleNamespace
from typing import TYPE_CHECKING, Any

import pytest

if TYPE_CHECKING:
    from huggingface_hub import HfApi


class World:
    """A client, a folder for files, names that no other run uses, and `memo` for what a later step needs."""

    def __init__(self, api: HfApi, folder: Path) -> None:
        self.api, self.folder, self.memo = api, folder, SimpleNamespace()
        self.namespace = os.environ.get("LIDR_CONTRACT_NAMESPACE") or api.whoami()["name"]
        self._run = uuid.uuid4().hex[:8]
        self._made: list[tuple[str, str]] = []

    def id(self, name: str) -> str:
        return f"{self.namespace}/lidr-contract-{self._run}-{name}"

    def create(self, name: str, kind: str = "model") -> str:
        """A new private repository, which is removed at the end."""
        self._made.append((self.id(name), kind))
        self.api.create_repo(self.id(name), repo_type=kind, private=True)
        return self.id(name)

    def remember(self, name: str, kind: str = "model") -> str:
        """A name that a step creates by other means, to be removed at the end."""
        self._made.append((self.id(name), kind))
        return self.id(name)

    def clean(self) -> None:
        for repo_id, kind in self._made:
            self.api.delete_repo(repo_id, repo_type=kind, missing_ok=True)


@contextmanager
def raises(expected: Any, *, status: int | None = None):
    """The block raises exactly that exception; with a status, for that answer of the server."""
    with pytest.raises(expected) as caught:
        yield
    if status is not None:
        found = caught.value.response.status_code
        assert found == status, f"status {found}, expected {status}: {caught.value}"
