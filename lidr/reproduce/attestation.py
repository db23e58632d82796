"""A reproduction, published beside the release: who, when, on what, and what came out. One file, one commit."""

from __future__ import annotations

import hashlib
import json
from dataclasses import dataclass
from typing import Any

from lidr.errors import HubError
from lidr.hub import HUGGING_FACE, Patience, Target, clean, patiently, plain_uploads, target_of_environment
from lidr.reproduce.verdict import Reproduction

SCHEMA = "lidr.attestation/1"
FOLDER = "lidr/attestations"


@dataclass(frozen=True)
class Attested:
    """Where a verdict stands."""

    repo: str
    path: str
    sha: str

    def __str__(self) -> str:
        return f"{self.repo}/{self.path} at {self.sha}"


def attestation(done: Reproduction, who: str) -> dict[str, Any]:
    """What is published: nothing of this machine's folders in it."""
    cleaned: dict[str, Any] = clean({"schema": SCHEMA, "who": who, **done.as_json()})
    return cleaned


def attest(done: Reproduction, repo: str | None = None) -> Attested:
    """Commit the verdict to the release's repository, or to a data set repository.

    Args:
        repo: org/name of a data set repository; None is the release's own.

    Raises:
        HubError: no token, or the Hub refuses.
    """
    from huggingface_hub import CommitOperationAdd

    target = target_of_environment()
    if target is None or not target.token or target.endpoint != done.release["endpoint"]:
        raise HubError(
            f"--attest writes to {done.release['endpoint']}: set HF_ENDPOINT to it and HF_TOKEN to a token with write "
            "access (for the embedded Hub: `lidr hub env`). The verdict itself is written already"
        )
    kind = "dataset" if repo else done.release["type"]
    name = repo or done.release["repo"]
    text = json.dumps(attestation(done, _who(target)), ensure_ascii=False, indent=1, sort_keys=True) + "\n"
    day = done.finished[:19].replace(":", "").replace("-", "")
    path = f"{FOLDER}/{day}-{hashlib.sha256(text.encode()).hexdigest()[:8]}.json"
    tag = done.release["tag"] or done.release["sha"][:10]

    def commit() -> str:
        operations = [CommitOperationAdd(path, text.encode())]
        title = f"Reproduced {done.release['repo']} {tag}: {done.said}"
        return str(target.api().create_commit(name, operations, commit_message=title, repo_type=kind).oid)

    with plain_uploads(target):
        sha = patiently(commit, what=name, target=target, patience=Patience(tries=3))
    return Attested(name, path, sha)


def _who(target: Target) -> str:
    name = patiently(lambda: str(target.api().whoami()["name"]), what="whoami", target=target, patience=Patience(3))
    return name if target.endpoint != HUGGING_FACE else f"https://huggingface.co/{name}"
