"""Preference pairs wherever they stand: a run in the store, a folder or file, or a Hub data set at a commit.

    run:NAME[@VERSION]                every iteration's last pairs: the filtered ones
    run:NAME@VERSION/iter_K/STEP      those of one step
    ./folder, ./pairs.parquet         a release, an export, or any files of rows: Parquet, JSON, CSV
    org/name@v1.0.0                   the tag is resolved once to a commit; what is read is that commit, file by file

Nothing is loaded whole: rows come in batches, only the columns that are asked for.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

from lidr.errors import HubError, RowError, StoreError
from lidr.hub import DATASETS, listing, read_snapshot, resolve
from lidr.preferences.dataset_configs import config_of
from lidr.references import FolderReference, HubReference, RunReference, parse_reference
from lidr.release import HUB, Licence, Parent, licence_of_run, parents_of_run, parents_of_set, read_card, strictest
from lidr.resources import near_file
from lidr.rows import SWITCHES, WEIGHT, Pair
from lidr.store import Record, Store, file_sha256, folder_sha256, open_artifact, read_record, store_root
from lidr.tables import TABLE_FILES, file_batches, file_schema, row_count

if TYPE_CHECKING:
    import pyarrow as pa

_ITERATION = re.compile(r"iter_(\d+)")


@dataclass(frozen=True)
class PairSource:
    """A set of pairs, found and named; nothing of it is read yet.

    Args:
        name: org/name, run:NAME@VERSION, or the folder's name.
        revision: the commit of a Hub data set; of a run or folder the digest of its files, or None before it is asked.
        config: configuration that the files belong to; None where there are none.
        files: of rows, by split, in order.
        parents: what the pairs were made from, as far as the set says it, the set itself first where it has a licence
            of its own.
        licence: of the set.
        asked: the tag or branch that was given for the commit; None where none was.
        switches: of the chat template, with which every pair of a run was made; a published set has them in its rows.
        run_file: what lidr wrote about the run that made them; None, or not there, for sets of others.
    """

    name: str
    revision: str | None
    config: str | None
    files: tuple[tuple[str, Path], ...]
    parents: tuple[Parent, ...]
    licence: Licence
    switches: Mapping[str, Any] = field(default_factory=dict)
    run_file: Path | None = None
    asked: str | None = None

    @property
    def said(self) -> str:
        """Its name, with the tag or branch that was given."""
        return self.name + (f"@{self.asked}" if self.asked else "")

    @property
    def splits(self) -> tuple[str, ...]:
        """Names of the splits, in order."""
        return tuple(dict.fromkeys(split for split, _ in self.files))

    @property
    def columns(self) -> tuple[str, ...]:
        """Names of the columns, of the first file."""
        return tuple(file_schema(self.files[0][1]).names)

    @property
    def rows(self) -> int:
        """How many rows the files have; of Parquet files no row is read."""
        return sum(row_count(path) for _, path in self.files)

    @property
    def is_ours(self) -> bool:
        """Whether the rows have lidr's own columns, so that no column map is needed."""
        return set(Pair.schema.names) <= set(self.columns)

    @property
    def weighted_files(self) -> tuple[Path, ...]:
        """The files, whatever their form, that have numbers in a column `weight`."""
        return tuple(path for _, path in self.files if _is_weighted(file_schema(path)))

    @property
    def switch_type(self) -> pa.DataType | None:
        """Type of the column `chat_template_kwargs`, where the rows have lidr's own columns and this one."""
        found = {
            schema.field(SWITCHES).type if SWITCHES in schema.names else None
            for schema in (file_schema(path) for _, path in self.files)
        }
        return found.pop() if self.is_ours and len(found) == 1 else None

    @property
    def digest(self) -> str:
        """SHA-256 over the files that are read, by content."""
        return folder_sha256({f"{split}/{path.name}": file_sha256(path) for split, path in self.files})

    def of_split(self, split: str) -> PairSource:
        """One split of it.

        Raises:
            HubError: it has no such split.
        """
        if split not in self.splits:
            raise HubError(f"{self.name}: no split {split!r}; its splits: {', '.join(self.splits)}")
        return replace(self, files=tuple(file for file in self.files if file[0] == split))

    def one_kind(self) -> PairSource:
        """Itself, if its splits can be read together: one alone, or a run's iterations.

        Raises:
            HubError: several others, which may hold other things.
        """
        if len(self.splits) == 1 or all(_ITERATION.fullmatch(split) for split in self.splits):
            return self
        raise HubError(
            f"{self.name} has the splits {', '.join(self.splits)}: say which one, as --split {self.splits[0]}"
        )

    def of_iterations(self, iterations: Sequence[int]) -> PairSource:
        """Without the files of other iterations, where the splits say which these are."""
        named = [(_ITERATION.fullmatch(split), (split, path)) for split, path in self.files]
        if not iterations or not all(match for match, _ in named):
            return self
        kept = tuple(file for match, file in named if match and int(match[1]) in iterations)
        if not kept:
            raise HubError(
                f"{self.name}: no iteration {', '.join(map(str, iterations))}; it has {', '.join(self.splits)}"
            )
        return replace(self, files=kept)

    def batches(self, rows: int, columns: Sequence[str] | None = None) -> Iterator[pa.RecordBatch]:
        """Yield the rows in order, all columns or some, in batches of at most `rows`, holding one at a time.

        Raises:
            RowError: a file that is not what its name says, or lacks a column.
        """
        for _, path in self.files:
            yield from file_batches(path, rows, columns)


def _is_weighted(schema: pa.Schema) -> bool:
    import pyarrow as pa

    kind = schema.field(WEIGHT).type if WEIGHT in schema.names else None
    return kind is not None and (pa.types.is_floating(kind) or pa.types.is_integer(kind))


def open_pairs(
    reference: str,
    *,
    config: str | None = None,
    split: str | None = None,
    store: Path | None = None,
    base: Path | None = None,
    commit: str | None = None,
    digest: str | None = None,
    licence: str | None = None,
) -> PairSource:
    """Find pairs.

    Args:
        reference: see the head of this module.
        config: configuration of a data set; None: its default.
        split: one split; None: all iterations, or the only split.
        store: folder of the store; None: LIDR_STORE, else ./runs.
        base: where a relative folder is also looked for: beside a recipe.
        commit, digest: of a Hub data set, where it was resolved before: its commit, and its content by the lock.
        licence: what is said of a set whose card says nothing: a Hub identifier.

    Raises:
        HubError, StoreError: they are not there; the message says what is.
        RowError: the reference is none of pairs.
    """
    try:
        found = parse_reference(reference)
    except ValueError as error:
        raise RowError(f"{error}. Pairs are org/name[@rev], run:NAME[@VERSION], or a folder or file: ./x") from None
    if isinstance(found, HubReference):
        source = _on_hub(found, config, commit, digest)
    elif isinstance(found, RunReference):
        source = _of_run(found, Store(store or store_root()))
        if config in _NO_PAIRS:
            raise HubError(f"{source.name}: {_NO_PAIRS[config].what}, no pairs; {_in_store(source, config)}")
        source = _without_config(source, "run", config)
    elif isinstance(found, FolderReference):
        source = _in_folder(_looked_for(found.path, base), config)
    else:
        raise RowError(f"{reference} names a model, not pairs; give org/name[@rev], run:NAME[@VERSION], or ./folder")
    if config in _NO_PAIRS and _NO_PAIRS[config].columns <= set(source.columns):
        place = f'"{source.name}"' if source.revision else f'"{reference}"'
        revision = f', revision="{source.revision}"' if source.revision else ""
        raise HubError(
            f"{reference}: {_NO_PAIRS[config].what}, no pairs; to look at it: "
            f'datasets.load_dataset({place}, "{config}"{revision})'
        )
    source = source.of_split(split) if split else source.one_kind()
    return source if licence is None else _said(source, licence)


class _NoPairs(NamedTuple):
    """A configuration of a release that is no set of pairs: what is in it, and columns that tell."""

    what: str
    columns: frozenset[str]


_NO_PAIRS = {
    "candidates": _NoPairs(
        "configuration candidates holds every answer and translation with its status",
        frozenset({"prompt_id", "kind", "status"}),
    ),
    "dropped": _NoPairs(
        "configuration dropped holds what was dropped, and why",
        frozenset({"prompt_id", "kind", "reason"}),
    ),
}


def _in_store(source: PairSource, config: str) -> str:
    """How to look at what a run made besides pairs."""
    version = source.files[0][1].parents[3]
    parts = ("*/dropped",) if config == "dropped" else ("generate/data", "translate/data")
    lines = [f'polars.read_parquet("{version}/iter_*/{part}/*.parquet")' for part in parts]
    return f"to look at it: {', and '.join(lines)}"


def _without_config(source: PairSource, what: str, config: str | None) -> PairSource:
    if config is not None:
        raise HubError(f"{source.name}: no configuration {config!r}: a {what} has none; leave it out")
    return source


def _said(source: PairSource, licence: str) -> PairSource:
    """With a licence that a person says, where the set itself says none."""
    first, *others = source.parents
    if first.role != "pairs" or first.licence is not None:
        return source
    said = replace(first, licence=licence)
    return replace(source, parents=(said, *others), licence=strictest([said]))


def _looked_for(text: str, base: Path | None) -> Path:
    path = Path(text).expanduser()
    beside = base / path if base is not None and not path.is_absolute() else path
    return path if path.exists() or not beside.exists() else beside


def _on_hub(reference: HubReference, config: str | None, commit: str | None, digest: str | None) -> PairSource:
    """Read the card and lidr's own records first, then only the files of the configuration."""
    repo = f"{DATASETS}{reference.repo}"
    sha = commit or (str(reference.revision) if reference.is_pinned else resolve(repo, reference.revision))
    names = [entry.path for entry in listing(repo, sha)]
    about = [name for name in names if name in ("README.md", "lidr/run.json")]
    folder = read_snapshot(repo, sha, patterns=about) if about else Path()
    card = read_card(folder / "README.md") if "README.md" in about else {}
    chosen, splits = config_of(f"{reference.repo}@{sha[:12]}", card, names, config)
    wanted = [name for _, name in splits]
    folder = read_snapshot(repo, sha, patterns=wanted, digest=digest)
    about_run = folder / "lidr/run.json"
    parents = parents_of_set(reference.repo, sha, card, about_run, f"{HUB}/datasets/{reference.repo}")
    files = tuple((split, folder / name) for split, name in splits)
    asked = None if reference.is_pinned else reference.revision
    licence = strictest(parents[:1])
    return PairSource(reference.repo, sha, chosen, files, parents, licence, run_file=about_run, asked=asked)


def _in_folder(path: Path, config: str | None) -> PairSource:
    if path.is_file() and path.name.lower().endswith(TABLE_FILES):
        parents: tuple[Parent, ...] = (Parent("pairs", path.name, None, None),)
        source = PairSource(path.name, None, None, (("train", path),), parents, strictest(parents))
        return _without_config(source, "file", config)
    if path.is_file():
        raise HubError(
            f"{path}: a file of rows ends with {', '.join(TABLE_FILES)}, and this one with "
            f"{path.suffix or 'nothing'!r}. Write it in one of these forms; `datasets` does it: "
            "load_dataset(...).to_parquet(...)"
        )
    if not path.is_dir():
        raise HubError(f"{path}: no such folder, and no such file{near_file(path)}")
    if (path / "record.json").is_file():
        whole = path.absolute()  # the run is looked for above it
        return _without_config(_of_artifact(whole, whole.name), "step", config)
    names = sorted(p.relative_to(path).as_posix() for p in path.rglob("*") if p.is_file())
    card = read_card(path / "README.md")
    chosen, splits = config_of(str(path), card, names, config)
    about_run = path / "lidr/run.json"
    parents = parents_of_set(path.resolve().name, None, card, about_run, None)
    files = tuple((split, path / name) for split, name in splits)
    return PairSource(path.resolve().name, None, chosen, files, parents, strictest(parents[:1]), run_file=about_run)


def _of_artifact(folder: Path, name: str) -> PairSource:
    artifact = open_artifact(folder)
    if artifact.record.writes != Pair.name:
        raise StoreError(
            f"{artifact.record.place} holds {artifact.record.writes}, not pairs; name a step that writes pairs"
        )
    version = folder.parents[1]
    parents = parents_of_run(version, name)
    files = tuple((f"iter_{artifact.record.iteration}", path) for path in artifact.tables)
    switches = _switches_of_run(version)
    about = version / "run.json"
    licence = licence_of_run(version, parents)
    return PairSource(name, artifact.record.digest, None, files, parents, licence, switches, about)


def _switches_of_run(version: Path) -> dict[str, Any]:
    """With which switches of the chat template a run was made, by the record of its first policy."""
    record = read_record(version / "iter_0/policy", is_checked=False)
    said = record.identity.get("config", {}).get("chat_template", {}) if record is not None else {}
    return dict(said.get("kwargs", {}))


def _of_run(reference: RunReference, store: Store) -> PairSource:
    versions = store.versions(reference.name)
    if not versions:
        raise StoreError(
            f"{reference}: the store {store.root} has no run {reference.name}; it has "
            f"{', '.join(store.runs()) or 'none'}. --store FOLDER or LIDR_STORE names another"
        )
    version = reference.version or versions[-1]
    if version not in versions:
        raise StoreError(f"{reference}: {reference.name} has the versions {', '.join(versions)}")
    name = f"run:{reference.name}@{version}"
    if reference.step is not None:
        place = f"iter_{reference.iteration}/{reference.step}"
        return _of_artifact(store.folder(reference.name, version, place), f"{name}/{place}")
    found = [(f, r) for f, r in store.records_of(reference.name, version) if r.writes == Pair.name]
    last = _last_of_each([record for _, record in found])
    if not last:
        raise StoreError(f"{name} has no pairs yet: run its recipe at least until pair")
    sources = [_of_artifact(folder, name) for folder, record in found if record.place in last]
    sources.sort(key=lambda source: int(source.splits[0].removeprefix("iter_")))
    files = tuple(file for source in sources for file in source.files)
    digest = folder_sha256({source.splits[0]: str(source.revision) for source in sources})
    return replace(sources[0], files=files, revision=digest)


def _last_of_each(records: Sequence[Record]) -> set[str]:
    """Places of the pairs that no later step of the same iteration has passed on."""
    passed_on = {entry["place"] for record in records for entry in record.inputs.values()}
    return {record.place for record in records} - passed_on
