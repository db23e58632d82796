import pytest

from lidr.hub.client import Target
from lidr.release.release_reader import Found
from lidr.reproduce import environment
from lidr.reproduce.environment import differences, machine, missing_engine, too_large


class Release:
    """As much of a release as is looked at."""

    def __init__(self, folder, versions, **execution):
        record = type("Record", (), {"execution": execution})()
        self.found = Found(Target("http://127.0.0.1:9"), "dataset", "a/b", "v1", "0" * 40)
        self.folder, self.records, self._versions = folder, {"iter_1/train": record}, versions

    @property
    def environment(self):
        return {"versions": self._versions}


@pytest.fixture
def here(monkeypatch):
    monkeypatch.setattr(environment, "package_versions", lambda: {"python": "3.11.7", "torch": "2.13.0"})
    monkeypatch.setattr(environment, "has_gpu", lambda: False)


def test_packages_machine_and_engine_that_differ_are_listed(here, tmp_path):
    release = Release(
        tmp_path, {"python": "3.11.7", "torch": "2.12.0", "vllm": "0.9"}, engine="vllm", machine="riscv64"
    )
    lines = differences(release, ("iter_1/train",))
    assert "torch: 2.12.0 -> 2.13.0" in lines
    assert "vllm: 0.9 -> not installed" in lines
    assert any(line.startswith("machine: riscv64 -> ") for line in lines)
    assert "engine vllm: vLLM is not installed: pip install 'lidr[vllm]'" in lines
    assert not any(line.startswith("python") for line in lines)


def test_what_an_engine_lacks_is_said(here, monkeypatch):
    assert missing_engine("scripted") is None
    assert "pip install 'lidr[train]'" in str(missing_engine("transformers"))
    assert "no pin" in str(missing_engine("openai"))
    monkeypatch.setattr(environment, "package_versions", lambda: {"vllm": "0.9"})
    assert "needs a GPU" in str(missing_engine("vllm"))


def test_a_model_that_does_not_fit_is_told_by_the_size_of_its_files(here, monkeypatch):
    monkeypatch.setattr(environment, "memory_gib", lambda: 24.0)
    assert too_large("responses", 16 << 30) is None
    assert "hardware: about 52 GB of memory or a GPU; this machine has 26 GB and no GPU" in str(
        too_large("policy", 16 << 30)
    )
    monkeypatch.setattr(environment, "has_gpu", lambda: True)
    assert too_large("policy", 16 << 30) is None


def test_the_machine_has_no_name():
    import socket

    assert socket.gethostname() not in str(machine())
