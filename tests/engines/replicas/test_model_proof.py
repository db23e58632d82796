from pathlib import Path

import pytest

from lidr.engines.replicas import model_proof
from lidr.engines.replicas.model_proof import digests_of, fault, stamps_of
from lidr.engines.replicas.replica import Replica
from lidr.errors import EngineError


@pytest.fixture
def model(tmp_path: Path) -> Path:
    folder = tmp_path / "model"
    folder.mkdir()
    (folder / "config.json").write_text("{}")
    (folder / "model.safetensors").write_bytes(b"weights")
    return folder


def meant(model: Path) -> tuple[dict[str, int], dict[str, str]]:
    return {name: size for name, (size, _) in stamps_of(model).items()}, digests_of(model)


def test_the_model_that_is_meant_has_no_fault(model: Path) -> None:
    assert fault(model, *meant(model)) is None
    assert fault(model / "config.json", *meant(model / "config.json")) is None


def test_every_difference_is_named_with_its_file(model: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    said = meant(model)
    (model / "model.safetensors").write_bytes(b"weighty")
    assert fault(model, *said) == f"{model}/model.safetensors has other bytes than the one that is meant"
    (model / "adapter.bin").write_bytes(b"x")
    monkeypatch.setattr(model_proof, "_sha256", None)  # sizes and names are enough; nothing is read
    assert fault(model, *said) == f"{model}/adapter.bin is no file of the model that is meant"
    (model / "model.safetensors").write_bytes(b"weight")
    assert fault(model, *said) == f"{model}/model.safetensors has 6 bytes, 7 are meant"
    (model / "config.json").unlink()
    assert fault(model, *said) == f"no {model}/config.json"
    assert fault(model.parent / "nowhere", *said) == f"no {model.parent}/nowhere"


def test_a_model_that_is_not_here_has_no_stamps(tmp_path: Path) -> None:
    with pytest.raises(EngineError, match=r"no .*/nowhere"):
        stamps_of(tmp_path / "nowhere")


def test_a_replica_proves_the_adapter_over_the_model_too(model: Path, tmp_path: Path) -> None:
    adapter = tmp_path / "adapter"
    adapter.mkdir()
    (adapter / "adapter_model.safetensors").write_bytes(b"weights")
    folders = [model_proof.meant(model), model_proof.meant(adapter)]
    assert Replica().prove(folders) == (None, stamps_of(model))
    (adapter / "adapter_model.safetensors").write_bytes(b"weighty")
    wrong, _ = Replica().prove(folders)
    assert wrong == f"{adapter}/adapter_model.safetensors has other bytes than the one that is meant"
