"""Where a recipe's prompts are: a folder, a file, a data set of the Hub, or a list of files that others publish."""

from __future__ import annotations

import os
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from lidr import preferences
from lidr.errors import PlanError
from lidr.hub import (
    PublishedPrompts,
    fetch_prompts,
    identity_of_prompts,
    is_published,
    local_copy,
    prompt_dataset,
    read_published,
)
from lidr.recipe import PromptsConfig
from lidr.references import HubReference
from lidr.resources import near_file, resolve_source
from lidr.steps.step_kind import Surroundings, Unresolved
from lidr.store import file_sha256
from lidr.tables import TABLE_FILES


@dataclass(frozen=True)
class PromptPlace:
    """Where the prompts of some languages are; nothing is read or asked for yet."""

    around: Surroundings
    config: PromptsConfig
    codes: tuple[str, ...]
    found: Path | PublishedPrompts | HubReference

    def identity(self) -> dict[str, Any]:
        """What fixes the content: of files their digests, of what is published its sums or its commit.

        Raises:
            Unresolved: a data set is unpinned.
        """
        if isinstance(self.found, Path):
            files = [self.found] if self.found.is_file() else [p for c in self.codes for p in _files_of(self.found, c)]
            return {"files": {path.name: file_sha256(path) for path in files}}
        if isinstance(self.found, HubReference):
            return {"dataset": self.found.repo, "revision": self._commit(self.found)}
        fixed = identity_of_prompts(self.found, self.codes, self.around.lock.commits)
        if fixed is None:
            names = ", ".join(sorted({part.dataset for _, part in self.found.parts(self.codes) if part.dataset}))
            raise Unresolved(
                f"prompts.source: the data set {names} is unpinned: `lidr lock RECIPE` fills its commit; or set "
                f"LIDR_DATA to a folder with {self.found.local}/LANG.jsonl for every language, or give --data FOLDER"
            )
        return {"files": fixed}

    def fetched(self) -> Path | Sequence[Path]:
        """The folder or the files, brought here where they are not: what is published comes into the store."""
        if isinstance(self.found, Path):
            return self.found
        if isinstance(self.found, HubReference):
            return self._of_hub(self.found)
        around = self.around
        downloads = around.store_root / ".downloads"
        return fetch_prompts(self.found, self.codes, around.lock.commits, downloads, allowed=around.allowed)

    def _commit(self, hub: HubReference) -> str:
        try:
            return self.around.commit_of(hub)
        except Unresolved as reason:
            raise Unresolved(
                f"prompts.source: no file or folder {self.config.source} here; as a data set of the Hub: {reason}"
            ) from None

    def _of_hub(self, hub: HubReference) -> Sequence[Path]:
        commit = self._commit(hub)
        reference = f"{hub.repo.removeprefix('datasets/')}@{commit}"
        digest = self.around.digest_of(hub.repo, commit)
        source = preferences.open_pairs(
            reference, config=self.config.config, split=self.config.split, commit=commit, digest=digest
        )
        self.around.keep_content(hub.repo, commit)
        return [path for _, path in source.files]


def place_of_prompts(around: Surroundings, config: PromptsConfig, codes: Sequence[str]) -> PromptPlace:
    """Find the prompts of some languages.

    Raises:
        Unresolved: they lie in LIDR_DATA, which is not set.
        PlanError: there is no such folder, file or data set.
    """
    return PromptPlace(around, config, tuple(codes), _find(around, config, codes))


def _files_of(folder: Path, language: str) -> list[Path]:
    """The file of a language, if there is one."""
    return [path for ending in TABLE_FILES if (path := folder / f"{language}{ending}").is_file()][:1]


def _find(around: Surroundings, config: PromptsConfig, codes: Sequence[str]) -> Path | PublishedPrompts | HubReference:
    path = resolve_source(config.source, around.recipe_folder)
    if path is None:
        raise Unresolved(
            f"prompts.source: {config.source}: set LIDR_DATA to the folder that holds them, or give --data FOLDER"
        )
    data = os.environ.get("LIDR_DATA", "")
    if config.source.startswith("$LIDR_DATA") and not Path(data).is_dir():
        raise PlanError(f"prompts.source: LIDR_DATA={data}: no such folder; set it to the one that holds the prompts")
    if (hub := prompt_dataset(around.recipe)) is not None:
        return hub
    if config.config is not None or config.split is not None:
        raise PlanError(f"prompts: config and split are of a Hub data set, and {config.source} is none; take them out")
    if is_published(path):
        published = read_published(path, codes)
        return local_copy(published, codes) or published
    if path.is_file() and path.name.lower().endswith(TABLE_FILES):
        return path
    if path.is_file():
        raise PlanError(f"prompts.source: {path}: a file of prompts ends with {', '.join(TABLE_FILES)}")
    if not path.is_dir():
        near = near_file(path) or near_file(around.recipe_folder / config.source)
        raise PlanError(
            f"prompts.source: no file or folder {path}{near}; give a folder with one LANG.jsonl for each "
            "language, one file with all languages (.csv, .jsonl, ...), or org/name on the Hub"
        )
    return path
