"""What all tests share."""

from __future__ import annotations

import os
from pathlib import Path

import pytest


@pytest.fixture(autouse=True)
def _no_store_from_outside(monkeypatch):
    monkeypatch.delenv("LIDR_STORE", raising=False)


@pytest.fixture
def data_folder() -> Path:
    """The folder of real data; absent, the test is skipped, and in CI it fails."""
    folder = os.environ.get("LIDR_DATA")
    if folder and Path(folder).is_dir():
        return Path(folder)
    if os.environ.get("CI"):
        pytest.fail("LIDR_DATA must be set in CI: these tests read real data")
    pytest.skip("LIDR_DATA is not set: real data are not here")
