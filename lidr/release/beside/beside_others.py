"""A data set release in a repository where others have written: what of theirs is kept, and what is refused.

Theirs is every file that no earlier release lists in its manifest, and every configuration in the card that no earlier
release names. Nothing of it is overwritten, removed or shadowed: where the release cannot stand beside it, it is
refused before anything is sent. Their configuration `default` can be given another name, and then both load.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass

from lidr.errors import HubError
from lidr.hub import config_names, rename_config
from lidr.release.beside.load_rules import ELSEWHERE, SIDE_FILES, Readable, readable, refuse_unloadable
from lidr.release.file_schemas import Manifest, fault
from lidr.release.release_reader import MANIFEST
from lidr.release.staging import CONTENT, Staged

READ = (*SIDE_FILES, MANIFEST)
"""The files of a repository whose content decides."""
DEFAULT = "default"


@dataclass(frozen=True)
class Present:
    """A repository before a release.

    Args:
        repo: org/name.
        where: names it in messages.
        same: every file -> whether it is, byte for byte, the one that is staged under its name.
        texts: the content of those of `READ` that are there.
    """

    repo: str
    where: str
    same: Mapping[str, bool]
    texts: Mapping[str, str]

    @property
    def card(self) -> str | None:
        """The README that is there."""
        return self.texts.get("README.md")

    def readable(self) -> Readable:
        """What can be loaded now."""
        texts = {name: text for name, text in self.texts.items() if name in SIDE_FILES}
        return readable(self.repo, self.same, texts) if set(self.same) - {".gitattributes"} else Readable()

    def released(self) -> frozenset[str]:
        """Files that an earlier release wrote.

        Raises:
            HubError: there was a release, and its manifest cannot be read.
        """
        if MANIFEST not in self.texts:
            if CONTENT not in self.same:
                return frozenset()
            wrong: str | None = "it is not there"
        else:
            try:
                manifest = json.loads(self.texts[MANIFEST])
                wrong = fault(Manifest, manifest) if isinstance(manifest, dict) else "no mapping"
            except (ValueError, RecursionError) as error:
                wrong = str(error)
            if wrong is None:
                return frozenset({MANIFEST, *(entry["path"] for entry in manifest["files"])})
        raise HubError(
            f"{self.where}: {MANIFEST} of the earlier release cannot be read ({wrong}), so its files cannot be told "
            f"from those of others. Put it back as the last tag has it, {ELSEWHERE}"
        )


def card_beside(staged: Staged, present: Present, rename: str | None) -> str:
    """The README to send, over the one that is there.

    Args:
        rename: the name that the configuration `default` of others is to have.

    Raises:
        HubError: the release and what others wrote cannot both be kept and loaded.
    """
    released = present.released()
    _refuse_overwriting(staged, present, released)
    if not set(present.same) - {".gitattributes"}:
        if rename is not None:
            raise HubError(f"{present.where}: no configuration `default` to rename: leave --rename-default out")
        return staged.card(present.card)
    before = present.readable()
    _refuse_our_names(staged, present)
    existing = _without_default(staged, present, before, rename)
    card = staged.card(existing)
    check_card(staged, present, card, before=before, removed=released - set(staged.files))
    return card


def check_card(
    staged: Staged,
    present: Present,
    card: str,
    *,
    before: Readable | None = None,
    removed: frozenset[str] = frozenset(),
) -> None:
    """Refuse a card under which the release, or what could be loaded before, cannot be loaded.

    Raises:
        HubError: what cannot, and what to do.
    """
    texts = {name: text for name, text in present.texts.items() if name in SIDE_FILES} | {"README.md": card}
    names = (set(present.same) - removed) | set(staged.files) | {"README.md"}
    after = readable(present.repo, names, texts)
    if DEFAULT in config_names(card)[0]:
        raise HubError(_refused_default(present, None))
    refuse_unloadable(present.where, staged.configs, before or Readable(), after)


def check_released(staged: Staged, present: Present) -> None:
    """Say of a release that is there already, with the same content, when it cannot be loaded.

    Raises:
        HubError: no configuration can be, or one cannot.
    """
    found = present.readable()
    missing = [config for config in staged.configs if not found.configs.get(config)]
    if found.fault or missing:
        raise HubError(
            f"{present.where}: {staged.tag} is released already, with the same content, but `datasets` does not load "
            f"{', '.join(missing)} from it: {found.fault or 'no files of it'}. A release never changes: bump the "
            "recipe's version and publish that; it says what to do with what others wrote there"
        )


def _refuse_overwriting(staged: Staged, present: Present, released: frozenset[str]) -> None:
    taken = [name for name in staged.files if not present.same.get(name, True) and name not in released]
    if taken:
        raise HubError(
            f"{present.where}: {', '.join(taken[:3])} is there, no release wrote it, and this one has a file of that "
            f"name. Move yours to another name, {ELSEWHERE}"
        )


def _refuse_our_names(staged: Staged, present: Present) -> None:
    there, written = config_names(present.card)
    taken = [name for name in there if name in staged.configs and name not in written]
    if taken:
        raise HubError(
            f"{present.where}: README.md has a configuration {', '.join(taken)} that no release wrote, and this "
            f"release has one of that name with other rows (its names: {', '.join(staged.configs)}). Give yours "
            f"another config_name in README.md, {ELSEWHERE}"
        )


def _without_default(staged: Staged, present: Present, before: Readable, rename: str | None) -> str | None:
    """The README that is there, its configuration `default` renamed if it has one."""
    there, written = config_names(present.card)
    was, card = before.default, present.card or ""
    is_unnamed = before.is_unnamed and before.form == "parquet"
    if DEFAULT not in there and not is_unnamed:
        if rename is not None and rename not in there:
            raise HubError(
                f"{present.where}: no configuration `default` to rename, it has {', '.join(there) or 'none'}: leave "
                "--rename-default out"
            )
        if before.is_unnamed and before.form not in (None, "text") and (files := _files(before)):
            return card.rstrip() + "\n\n" + _unnamed_note(staged, present, files[0]) + "\n"
        if was is None or was not in there or was in (*staged.configs, *written):
            return present.card
        return rename_config(card, was, was, note=_note(staged, present, f"the default is no longer `{was}`", was))
    if rename is None:
        raise HubError(_refused_default(present, before if is_unnamed else None))
    if taken := {DEFAULT, *there, *staged.configs, *(before.described - {DEFAULT})} & {rename}:
        raise HubError(
            f"{present.where}: --rename-default {rename}: a configuration {', '.join(taken)} is there or in the "
            "release; choose another name"
        )
    note = _note(staged, present, f"the configuration that was `default` here is `{rename}`", rename)
    return rename_config(card, DEFAULT, rename, note=note, files=before.configs.get(DEFAULT))


def _note(staged: Staged, present: Present, what: str, name: str) -> str:
    """A sentence for people who loaded what is there; as it is in the text of others, later releases keep it."""
    return (
        f'Since `{staged.tag}` {what}: `load_dataset("{present.repo}", "{name}")`. Its files are unchanged; '
        f'`load_dataset("{present.repo}")` gives the release.'
    )


def _unnamed_note(staged: Staged, present: Present, file: str) -> str:
    """For rows without a configuration that are no Parquet: with one, `datasets` would read them as Parquet."""
    return (
        f'Since `{staged.tag}` `load_dataset("{present.repo}")` gives the release. The files that it gave before are '
        f'unchanged: `load_dataset("{present.repo}", data_files="{file}")`.'
    )


def _files(found: Readable) -> list[str]:
    """The files that no configuration names."""
    return [name for names in found.configs.get(DEFAULT, {}).values() for name in names]


def _refused_default(present: Present, unnamed: Readable | None) -> str:
    """Why a `default` of others is refused, and the option that solves it."""
    found = (
        "there is a configuration `default` of others in README.md, and `datasets` loads nothing where there are two "
    )
    found += "defaults, this release's `all` and that one"
    if unnamed is not None:
        files = [name for names in unnamed.configs.get(DEFAULT, {}).values() for name in names]
        found = (
            f"others have rows there that no configuration names ({', '.join(files[:3])}), so `datasets` calls them "
        )
        found += "`default`; beside the release's configurations it would not find them any more"
    return (
        f"{present.where}: {found}. `--rename-default NAME` of `lidr publish` gives theirs the name NAME in the same "
        f"commit: its files stay, the card says so, and both load; {ELSEWHERE}"
    )
