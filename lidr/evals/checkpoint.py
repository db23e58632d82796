"""Which model is evaluated: any reference, made into a local folder or a served name, with its digest.

org/name[@rev]  ./folder  run:NAME[@VERSION][/iter_K/STEP]  dist:PACKAGE/FILE.gguf  openai:MODEL@URL
"""

from __future__ import annotations

import shutil
from dataclasses import dataclass
from pathlib import Path

from lidr.disk_faults import locked
from lidr.engines import MERGE_RULES, AdapterFolder, bring_tokenizer, merge_adapter, read_merged
from lidr.errors import EvaluationError, HubError
from lidr.evals.results import ModelFacts
from lidr.hub import check_model_folder, converted, dist_file, model_files, model_snapshot, resolve
from lidr.references import (
    DistReference,
    FolderReference,
    HubReference,
    Reference,
    RunReference,
    ServerReference,
    parse_reference,
)
from lidr.store import fingerprint, folder_sha256, kept_sha256, locate, store_root


@dataclass(frozen=True)
class Checkpoint:
    """A model ready to be loaded or asked.

    Args:
        folder: of safetensors; the adapter, where one is given, is merged into it. None for a served model.
        served, url: a served model's name and base URL.
        facts: what a result says of it.
        notes: what the user should know of the adapter: whose tokenizer is used, what was resized or ignored.
        adapter: the folder of an adapter that was not merged, and is put over the model where it is asked.
    """

    facts: ModelFacts
    folder: Path | None = None
    served: str | None = None
    url: str | None = None
    notes: tuple[str, ...] = ()
    adapter: Path | None = None

    @property
    def name(self) -> str:
        """A short name for tables and folders."""
        reference = self.facts.reference
        base = reference.removeprefix("dist:").removeprefix("run:").removeprefix("openai:").split("@http")[0]
        return base.strip("./").removesuffix(".gguf").rpartition("/")[2] if "iter_" not in base else base


def find_checkpoint(
    model: str,
    adapter: str | None = None,
    *,
    dtype: str = "float32",
    where: str = "--model",
    trust_remote_code: bool = False,
    merges: bool = True,
) -> Checkpoint:
    """Resolve a model; an adapter over it is merged into it, once for the same files, in the store.

    Args:
        model: a reference.
        adapter: a reference to a folder or Hub repository with adapter_config.json.
        dtype: of the weights that a GGUF file is turned into.
        where: what named the model; it opens the messages.
        trust_remote_code: run code that comes with the model, where an adapter is merged into it.
        merges: False leaves the adapter as it is: a plain LoRA alone.

    Raises:
        EvaluationError: no reference, an adapter without its base, an adapter over a server.
        PlanError, HubError, StoreError, EngineError: the model is not there or cannot be read, or the adapter does not
            fit over it.
    """
    reference = _parse(model, where)
    if isinstance(reference, ServerReference):
        if adapter:
            raise EvaluationError("--adapter: a served model takes no adapter here; let the server load it")
        facts = ModelFacts(reference=str(reference))
        return Checkpoint(facts, served=reference.model, url=reference.url)
    folder, revision = _folder(reference, dtype, where)
    facts = ModelFacts(reference=_as_given(reference), revision=revision, digest=digest_of(folder))
    if not adapter:
        return Checkpoint(facts, folder=folder)
    over = find_adapter(adapter)
    facts = facts.model_copy(
        update={"adapter": _shown(_parse(adapter, "--adapter")), "adapter_digest": digest_of(over)}
    )
    if not merges:
        AdapterFolder(over).check_unmerged()
        return Checkpoint(facts, folder=folder, notes=_other_base(reference, folder, over), adapter=over)
    of = fingerprint({"base": facts.digest, "adapter": facts.adapter_digest, "rules": MERGE_RULES})
    into = store_root() / ".models" / f"{folder.name}-with-{over.name}-{of[:16]}"
    into.parent.mkdir(parents=True, exist_ok=True)
    with locked(Path(f"{into}.lock"), on_wait=lambda: None):  # another process may be merging the same
        if (merged := read_merged(into)) is None:
            log = into.parent / "merge.log"
            merged = merge_adapter(folder, over, into, log=log, trust_remote_code=trust_remote_code)
    facts = facts.model_copy(update={"adapter_shift": merged.shift})
    return Checkpoint(facts, folder=into, notes=(*merged.notes, *_other_base(reference, folder, over)))


def find_rendering(model: str, adapter: str | None, scratch: Path) -> tuple[Path | None, tuple[str, ...]]:
    """What prompts are rendered with: a folder with tokenizer and chat template, without loading or merging weights.

    Args:
        model, adapter: as in `find_checkpoint`.
        scratch: an empty folder, which may receive them.

    Returns:
        The folder, None for a served model; and what the user should know of the adapter.

    Raises:
        As `find_checkpoint`; of the adapter what its configuration and the names and shapes of its tensors tell.
    """
    if not adapter:
        return find_checkpoint(model).folder, ()
    reference = _parse(model, "--model")
    if isinstance(reference, ServerReference):
        raise EvaluationError("--adapter: a served model takes no adapter here; let the server load it")
    base, _ = _folder(reference, "float32", "--model")
    over = find_adapter(adapter)
    AdapterFolder(over).check()
    shutil.copyfile(base / "config.json", scratch / "config.json")
    notes = bring_tokenizer(base, over, scratch)
    return scratch, (*notes, *_other_base(reference, base, over))


def _other_base(reference: Reference, base: Path, adapter: Path) -> tuple[str, ...]:
    """What to say where the adapter names another model than it is put over; names of folders elsewhere tell little."""
    named = AdapterFolder(adapter).base_name
    given = reference.repo if isinstance(reference, HubReference) else base.name
    last = (named or "").rstrip("/").rpartition("/")[2]
    if not named or last.casefold() in (given.rpartition("/")[2].casefold(), base.name.casefold()):
        return ()
    return (f"the adapter says that it was trained over {named}; here it goes over {given}",)


def digest_of(folder: Path) -> str:
    """Of the files that are read of a model folder: 64 hex digits; the same for the same content anywhere."""
    root = store_root()
    return folder_sha256({path.name: kept_sha256(path, root) for path in model_files(folder)})


def _parse(text: str, where: str) -> Reference:
    if Path(text).is_dir():  # `--model runs/my/model` is what people type
        return FolderReference(text)
    try:
        return parse_reference(text)
    except ValueError as error:
        missing = "" if ":" in text else f"there is no folder {text} here, and "
        raise EvaluationError(f"{where}: {missing}{error}") from None


def _as_given(reference: Reference) -> str:
    """A reference as it was written; of an absolute folder the name alone, without this machine's folders."""
    path = Path(reference.path) if isinstance(reference, FolderReference) else None
    is_inside = path is not None and not path.is_absolute() and path.name not in ("", "..")
    return str(reference) if is_inside else _shown(reference)


def _shown(reference: Reference) -> str:
    """A reference without folders above the last."""
    return f"./{Path(reference.path).resolve().name}" if isinstance(reference, FolderReference) else str(reference)


def _folder(reference: Reference, dtype: str, where: str) -> tuple[Path, str | None]:
    if isinstance(reference, HubReference):
        folder, revision = _from_hub(reference, where)
        return check_model_folder(folder, where), revision
    if isinstance(reference, RunReference):
        return check_model_folder(locate(reference).model, where), None
    if isinstance(reference, DistReference):
        root = store_root()
        return converted(dist_file(reference, where), root, dtype=dtype, log=root / ".models" / "convert.log"), None
    assert isinstance(reference, FolderReference)
    return check_model_folder(Path(reference.path), where), None


def _from_hub(reference: HubReference, where: str) -> tuple[Path, str]:
    """The snapshot and its commit. A folder that is not there, written without `./`, reads like a name on the Hub."""
    try:
        revision = str(reference.revision) if reference.is_pinned else resolve(reference.repo, reference.revision)
        folder = model_snapshot(reference.repo, revision)
    except HubError as error:
        raise HubError(f"{where}: there is no folder {reference.repo} here, and {error}") from None
    return folder, revision


def find_adapter(text: str, where: str = "--adapter") -> Path:
    """The folder of an adapter.

    Raises:
        EvaluationError: what is named is none.
    """
    reference = _parse(text, where)
    if isinstance(reference, HubReference):
        path, _ = _from_hub(reference, where)
    elif isinstance(reference, RunReference):
        path = locate(reference).part("adapter")
    elif isinstance(reference, FolderReference):
        path = Path(reference.path)
    else:
        raise EvaluationError(f"{where}: {text} must be a folder, a run's train step or a Hub repository")
    if not (path / "adapter_config.json").is_file():
        raise EvaluationError(
            f"{where}: {path} has no adapter_config.json; is it an adapter? Give a folder with adapter_config.json and "
            f"adapter_model.safetensors"
        )
    return path
