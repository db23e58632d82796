"""Evaluation rows from a data set on the Hub, always at a commit."""

from __future__ import annotations

from functools import lru_cache
from pathlib import Path

from lidr.errors import EvaluationError
from lidr.hub import DATASETS, away, listing, read_file
from lidr.references import HubReference

_ANSWER_S = 10.0
"""Longest wait for a Hub that says nothing."""


@lru_cache(maxsize=32)
def commit_of(repo: str, revision: str | None) -> str:
    """The commit that a branch or tag of a data set has now; a commit stays what it is."""
    from huggingface_hub import HfApi

    if (reference := HubReference(repo, revision)).is_pinned:
        return str(reference.revision)
    try:
        sha = HfApi().dataset_info(repo, revision=revision, timeout=_ANSWER_S).sha
    except Exception as error:  # the client has changed its HTTP library: its errors share no name
        raise away(f"data set {repo}", error) from error
    if sha is None:
        raise EvaluationError(f"data set {repo}: the Hub answered without a commit; give --data {repo}@COMMIT")
    return sha


@lru_cache(maxsize=32)
def files_at(repo: str, commit: str) -> tuple[str, ...]:
    """Paths of the files of a data set at a commit."""
    return tuple(entry.path for entry in listing(f"{DATASETS}{repo}", commit))


def file_at(repo: str, commit: str, name: str) -> Path:
    """One file of a data set at a commit, in the cache, compared with what the Hub has there."""
    return read_file(f"{DATASETS}{repo}", commit, name)
