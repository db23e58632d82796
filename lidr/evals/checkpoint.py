"""Which model is evaluated: any reference, made into a local folder or a served name, with its digest.

org/name[@rev]  ./folder  run:NAME[@VERSION][/iter_K/STEP]  dist:PACKAGE/FILE.gguf  openai:MODEL@URL
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from lidr.engines import convert
from lidr.errors import EvaluationError, HubError
from lidr.evals.results import ModelFacts
from lidr.hub import check_model_folder, dist_file, model_files, model_snapshot, resolve
from lidr.references import (
    DistReference,
    FolderReference,
    HubReference,
    Reference,
    RunReference,
    ServerReference,
    parse_reference,
)
from lidr.store import folder_sha256, kept_sha256, locate, store_root


@dataclass(frozen=True)
class Checkpoint:
    """A model ready to be loaded or asked.

    Args:
        folder: of safetensors; None for a served model.
        served, url: a served model's name and base URL.
        adapter: folder of a LoRA adapter that goes over it.
        facts: what a result says of it.
    """

    facts: ModelFacts
    folder: Path | None = None
    served: str | None = None
    url: str | None = None
    adapter: Path | None = None

    @property
    def name(self) -> str:
        """A short name for tables and folders."""
        reference = self.facts.reference
        base = reference.removeprefix("dist:").removeprefix("run:").removeprefix("openai:").split("@http")[0]
        return base.strip("./").removesuffix(".gguf").rpartition("/")[2] if "iter_" not in base else base


def find_checkpoint(
    model: str, adapter: str | None = None, *, dtype: str = "float32", where: str = "--model"
) -> Checkpoint:
    """Resolve a model, and the adapter over it.

    Args:
        model: a reference.
        adapter: a reference to a folder or Hub repository with adapter_config.json.
        dtype: of the weights that a GGUF file is turned into.
        where: what named the model; it opens the messages.

    Raises:
        EvaluationError: no reference, an adapter without its base, an adapter over a server.
        PlanError, HubError, StoreError, EngineError: the model is not there or cannot be read.
    """
    reference = _parse(model, where)
    if isinstance(reference, ServerReference):
        if adapter:
            raise EvaluationError("--adapter: a served model takes no adapter here; let the server load it")
        facts = ModelFacts(reference=str(reference))
        return Checkpoint(facts, served=reference.model, url=reference.url)
    folder, revision = _folder(reference, dtype, where)
    over = _adapter(adapter) if adapter else None
    facts = ModelFacts(
        reference=_shown(reference),
        revision=revision,
        digest=digest_of(folder),
        adapter=_shown(_parse(adapter, "--adapter")) if adapter else None,
        adapter_digest=digest_of(over) if over else None,
    )
    return Checkpoint(facts, folder=folder, adapter=over)


def digest_of(folder: Path) -> str:
    """Of the files that are read of a model folder: 64 hex digits; the same for the same content anywhere."""
    root = store_root("runs")
    return folder_sha256({path.name: kept_sha256(path, root) for path in model_files(folder)})


def _parse(text: str, where: str) -> Reference:
    if Path(text).is_dir():  # `--model runs/my/model` is what people type
        return FolderReference(text)
    try:
        return parse_reference(text)
    except ValueError as error:
        missing = "" if ":" in text else f"there is no folder {text} here, and "
        raise EvaluationError(f"{where}: {missing}{error}") from None


def _shown(reference: Reference) -> str:
    """A reference without this machine's folders."""
    return f"./{Path(reference.path).resolve().name}" if isinstance(reference, FolderReference) else str(reference)


def _folder(reference: Reference, dtype: str, where: str) -> tuple[Path, str | None]:
    if isinstance(reference, HubReference):
        return _from_hub(reference, where)
    if isinstance(reference, RunReference):
        return check_model_folder(locate(reference).model, where), None
    if isinstance(reference, DistReference):
        return converted(dist_file(reference, where), dtype), None
    assert isinstance(reference, FolderReference)
    path = Path(reference.path)
    if (path / "adapter_config.json").is_file() and not (path / "config.json").is_file():
        raise EvaluationError(f"{where}: {path} is an adapter: give --model BASE --adapter {path}")
    return check_model_folder(path, where), None


def _from_hub(reference: HubReference, where: str) -> tuple[Path, str]:
    """The snapshot and its commit. A folder that is not there, written without `./`, reads like a name on the Hub."""
    try:
        revision = str(reference.revision) if reference.is_pinned else resolve(reference.repo, reference.revision)
        return model_snapshot(reference.repo, revision), revision
    except HubError as error:
        raise HubError(f"{where}: there is no folder {reference.repo} here, and {error}") from None


def converted(gguf: Path, dtype: str) -> Path:
    """The folder that a GGUF file becomes; made once in the store, kept by the file's digest."""
    root = store_root("runs") / ".models"
    folder = root / f"{gguf.stem}-{dtype}-{kept_sha256(gguf, root.parent)[:16]}"
    if not folder.is_dir():
        convert(gguf, folder, dtype=dtype, log=root / "convert.log")
    return folder


def _adapter(text: str) -> Path:
    reference = _parse(text, "--adapter")
    if isinstance(reference, HubReference):
        path, _ = _from_hub(reference, "--adapter")
    elif isinstance(reference, RunReference):
        path = locate(reference).folder / "adapter"
    elif isinstance(reference, FolderReference):
        path = Path(reference.path)
    else:
        raise EvaluationError(f"--adapter: {text} must be a folder, a run's train step or a Hub repository")
    if not (path / "adapter_config.json").is_file() or not list(path.glob("*.safetensors")):
        raise EvaluationError(f"--adapter: {path} has no adapter_config.json with *.safetensors; is it a LoRA adapter?")
    return path
