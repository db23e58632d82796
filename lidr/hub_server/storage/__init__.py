"""Where the embedded Hub keeps what it serves.

In: bytes, and commit requests that were checked. Out: repositories, commits and file contents. From the bottom up:

disk         files that are there whole or not at all, also after a power cut
names        which names of repositories, paths and refs are allowed
git_ids      git's own ids of blobs, trees and commits
objects      all file contents, by sha256
history      one repository: its commits and refs
storage      all repositories under one folder; garbage: what nothing refers to any more
"""

from typing import TYPE_CHECKING

from lidr.lazy import lazily

if TYPE_CHECKING:
    from lidr.hub_server.storage.disk import read_json, write_json
    from lidr.hub_server.storage.garbage import GRACE_S, collect, remove_unfinished
    from lidr.hub_server.storage.git_ids import lfs_pointer
    from lidr.hub_server.storage.history import Commit, File, Headline, Refs, Repository, iso
    from lidr.hub_server.storage.names import (
        REPO_TYPES,
        RepoType,
        checked_path,
        checked_ref,
        checked_repo_id,
        checked_repo_type,
        checked_sha256,
    )
    from lidr.hub_server.storage.objects import Incoming, Objects
    from lidr.hub_server.storage.storage import Storage

__all__ = [
    "GRACE_S",
    "REPO_TYPES",
    "Commit",
    "File",
    "Headline",
    "Incoming",
    "Objects",
    "Refs",
    "RepoType",
    "Repository",
    "Storage",
    "checked_path",
    "checked_ref",
    "checked_repo_id",
    "checked_repo_type",
    "checked_sha256",
    "collect",
    "iso",
    "lfs_pointer",
    "read_json",
    "remove_unfinished",
    "write_json",
]
__getattr__ = lazily(__name__)
