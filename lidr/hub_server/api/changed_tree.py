"""The files of a commit while they are changed: folders in folders, so that to remove one is one step."""

from __future__ import annotations

from dataclasses import dataclass, field

from lidr.hub_server.refusal import Refusal, no_entry
from lidr.hub_server.storage import File

MOST_FILES = 200_000
MOST_FOLDERS = 200_000
LONGEST_PATHS = 32 * 1024 * 1024
"""Characters of all paths together: each commit keeps them all."""


@dataclass(slots=True)
class _Folder:
    files: dict[str, File] = field(default_factory=dict)
    folders: dict[str, _Folder] = field(default_factory=dict)


class Tree:
    """All files of a repository. A name may be a file and a folder for a while; `files` refuses it at the end."""

    def __init__(self, commit: str) -> None:
        """An empty tree; `commit` is what messages name."""
        self._root, self._commit, self._made = _Folder(), commit, 0

    def file(self, path: str) -> File | None:
        """The file at a path."""
        *folders, name = path.split("/")
        found = self._find(folders)
        return found.files.get(name) if found else None

    def put(self, path: str, file: File) -> None:
        """Add or replace a file.

        Raises:
            Refusal: 413: there would be too many folders.
        """
        *folders, name = path.split("/")
        here = self._root
        for folder in folders:
            if folder not in here.folders:
                here.folders[folder] = _Folder()
                self._made += 1
                if self._made > MOST_FOLDERS:
                    raise Refusal(413, f"A commit makes at most {MOST_FOLDERS} folders")
            here = here.folders[folder]
        here.files[name] = file

    def remove(self, path: str) -> None:
        """Remove a file, or, where the path ends in a slash, a folder and all in it.

        Raises:
            Refusal: 404: it is not there.
        """
        *folders, name = path.rstrip("/").split("/")
        found = self._find(folders)
        if path.endswith("/"):
            is_gone = found is not None and _has_files(found.folders.pop(name, None))
        else:
            is_gone = found is not None and found.files.pop(name, None) is not None
        if not is_gone:
            raise no_entry(path, self._commit)

    def files(self) -> dict[str, File]:
        """Path -> file.

        Raises:
            Refusal: 400: a path is a file and a folder at once; 413: there are too many.
        """
        found: dict[str, File] = {}
        letters = 0
        waiting: list[tuple[_Folder, str, str | None]] = [(self._root, "", None)]
        while waiting:
            folder, begin, clash = waiting.pop()
            if clash is not None and folder.files:
                raise Refusal(400, f"{clash} would be a file and a folder at once")
            for name, file in folder.files.items():
                found[begin + name] = file
                letters += len(begin) + len(name)
            if len(found) > MOST_FILES or letters > LONGEST_PATHS:
                raise Refusal(
                    413, f"A repository has at most {MOST_FILES} files, with paths of {LONGEST_PATHS} characters in all"
                )
            for name, inner in folder.folders.items():
                path = begin + name
                waiting.append((inner, f"{path}/", path if clash is None and name in folder.files else clash))
        return found

    def _find(self, folders: list[str]) -> _Folder | None:
        here: _Folder | None = self._root
        for folder in folders:
            if here is None:
                break
            here = here.folders.get(folder)
        return here


def _has_files(folder: _Folder | None) -> bool:
    """Whether there is a file in it, however deep; each folder that is looked at was taken out, so it is once."""
    waiting = [folder] if folder else []
    while waiting:
        here = waiting.pop()
        if here.files:
            return True
        waiting += here.folders.values()
    return False
