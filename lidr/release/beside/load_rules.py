"""What `datasets` would load from a repository, told from its card and the names of its files by `datasets`' own rules.

A card belongs to everybody who writes into a repository, and `datasets` reads it as a whole:

what others wrote                                      what it does to a release beside it
a configuration named `default`                        it counts as the default one, so there are two: nothing loads
one of our names; `dataset_info` of one                which of the two is meant? rows are cast to what others declared
`configs` in .huggingface.yaml; a script NAME.py       the card's configurations are not read; nothing loads
a folder that is not there, a feature that is none     nothing loads, not only the configuration that says so
a file below our folders, of a name as ours            it is read as rows of the release
rows without a configuration                           nothing names them any more
a configuration of CSV or JSON                         all are read in the first one's format, so as Parquet
a pattern as `**/*.parquet`                            it takes the rows of the release as its own

Only empty files of the same names are made, in a folder that is gone afterwards; no row and no Hub is read.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

from lidr.errors import HubError
from lidr.hub import compose, read_front_matter

Splits = Mapping[str, tuple[str, ...]]
CARD = "README.md"
SIDE_FILES = (CARD, ".huggingface.yaml", "dataset_infos.json")
"""What `datasets` reads beside the rows."""
ELSEWHERE = "or publish into another repository: --pairs org/name"


@dataclass(frozen=True)
class Readable:
    """What `datasets` finds.

    Args:
        fault: why nothing of the repository can be loaded; None where something can.
        form: the one format in which all files are read, as `parquet`.
        configs: configuration -> split -> files; of one whose files are not there, no splits.
        described: configurations whose features or splits are declared, by the card or a file beside it.
        default: the configuration of `load_dataset(repo)`.
        is_unnamed: nobody wrote configurations; the one that is found is every file with rows.
    """

    fault: str | None = None
    form: str | None = None
    configs: Mapping[str, Splits] = field(default_factory=dict)
    described: frozenset[str] = frozenset()
    default: str | None = None
    is_unnamed: bool = False


def readable(repo: str, names: Iterable[str], texts: Mapping[str, str]) -> Readable:
    """What `datasets` would find in a repository of these files.

    Args:
        repo: org/name.
        names: every file.
        texts: the content of those of `SIDE_FILES` that are there.
    """
    script = f"{repo.split('/')[-1]}.py"
    names = set(names)
    if script in names:
        return Readable(fault=f"Dataset scripts are no longer supported, but found {script}")
    with TemporaryDirectory(prefix="lidr-card-") as made:
        folder = Path(made).resolve()
        for name in sorted(names - set(texts)):
            if not (folder / name).resolve().is_relative_to(folder):
                continue  # no name that a Hub gives out
            (folder / name).parent.mkdir(parents=True, exist_ok=True)
            (folder / name).touch()
        for name, text in texts.items():
            if (shown := _without_addresses(text) if name == CARD else text) is not None:
                (folder / name).write_text(shown, encoding="utf-8")
        try:
            return _found(folder)
        except Exception as error:  # whatever it is, load_dataset raises it as well
            return Readable(fault=" ".join(str(error).replace(str(folder), repo).split())[:400])


def _without_addresses(card: str) -> str | None:
    """A card without the configurations whose rows are elsewhere, which files here cannot touch; None: no metadata."""
    metadata, _ = read_front_matter(card)
    configs = metadata.get("configs")
    if isinstance(configs, list) and any("://" in str(entry) for entry in configs):
        metadata["configs"] = [entry for entry in configs if "://" not in str(entry)]
        return compose(metadata, "", None)
    return card if metadata else None


def _found(folder: Path) -> Readable:
    from datasets.load import LocalDatasetModuleFactory

    module = LocalDatasetModuleFactory(str(folder)).get_module()
    said = module.builder_configs_parameters
    configs = {str(found.name): _files(found.data_files, folder) for found in said.builder_configs or ()}
    return Readable(
        form=module.module_path.rsplit(".", 1)[-1],
        configs=configs,
        described=frozenset(module.dataset_infos or ()),
        default=said.default_config_name,
        is_unnamed=not said.metadata_configs,
    )


def _files(data_files: Any, folder: Path) -> Splits:
    """The files of each split; none where a pattern fits no file."""
    from datasets.data_files import DataFilesPatternsDict

    if isinstance(data_files, DataFilesPatternsDict):
        try:
            data_files = data_files.resolve(str(folder))
        except FileNotFoundError:
            return {}
    found = {str(split): [Path(name) for name in names] for split, names in (data_files or {}).items()}
    return {
        split: tuple(sorted(p.relative_to(folder).as_posix() if p.is_relative_to(folder) else str(p) for p in paths))
        for split, paths in found.items()
    }


def refuse_unloadable(where: str, release: Mapping[str, Splits], before: Readable, after: Readable) -> None:
    """Refuse a card beside or under which something cannot be loaded that should be.

    Args:
        release: configuration -> split -> files, as staged.
        before: what could be loaded; a `Readable()` where nothing was there.
        after: what can be loaded with the release.

    Raises:
        HubError: what it is, and what to do.
    """
    if after.fault is not None:
        raise HubError(
            f"{where}: with what others wrote there, `datasets` could load no configuration, the release's neither: "
            f"{after.fault}. Mend it there, {ELSEWHERE}"
        )
    for config, splits in release.items():
        _refuse_other_rows(where, config, splits, after)
    theirs = {name: splits for name, splits in before.configs.items() if name not in release and splits}
    if before.is_unnamed:
        return
    if theirs and before.form != after.form:
        raise HubError(
            f"{where}: configuration {', '.join(theirs)} is read as {before.form}, and `datasets` reads all of a "
            f"repository in one format, a release's as {after.form}. Convert the files to Parquet, {ELSEWHERE}"
        )
    for config, splits in theirs.items():
        if (now := after.configs.get(config)) is not None and now != splits:
            taken = sorted(set(_all(now)) ^ set(_all(splits)))
            raise HubError(
                f"{where}: README.md: configuration {config} would no longer be the same files beside the release: "
                f"{', '.join(taken[:3])}. Make its data_files name its own files only, as "
                f"{_all(splits)[0]}, {ELSEWHERE}"
            )


def _refuse_other_rows(where: str, config: str, splits: Splits, after: Readable) -> None:
    """Refuse what makes a configuration of the release something else."""
    if config not in after.configs:
        raise HubError(
            f"{where}: .huggingface.yaml says other configurations ({', '.join(after.configs)}), and `datasets` reads "
            f"them in place of the card's, so {config} could not be loaded. Move its configs into README.md, "
            f"{ELSEWHERE}"
        )
    if config in after.described:
        raise HubError(
            f"{where}: dataset_info of README.md or dataset_infos.json declares features or splits of a configuration "
            f"{config}, which is one of the release's with other rows. Remove that entry, {ELSEWHERE}"
        )
    if extra := sorted(set(_all(after.configs[config])) - set(_all(splits))):
        raise HubError(
            f"{where}: {', '.join(extra[:3])} would be read as rows of configuration {config}, and no release wrote "
            f"it. Move it to another folder, {ELSEWHERE}"
        )
    if after.configs[config] != splits:
        raise HubError(f"{where}: configuration {config} would be {after.configs[config]}, not {splits}")


def _all(splits: Splits) -> list[str]:
    return [name for names in splits.values() for name in names]
