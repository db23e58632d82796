"""What the Hub says no to. The code in `X-Error-Code` decides which exception the genuine client raises."""

from __future__ import annotations

from typing import Any, Literal

Code = Literal["RepoNotFound", "RevisionNotFound", "EntryNotFound", "GatedRepo"]


class Refusal(Exception):
    """An answer that is an error; `body` joins the message in the JSON."""

    def __init__(
        self,
        status: int,
        message: str,
        *,
        code: Code | None = None,
        body: dict[str, Any] | None = None,
        headers: dict[str, str] | None = None,
    ) -> None:
        super().__init__(message)
        self.status, self.message, self.code = status, message, code
        self.body, self.headers = body or {}, headers or {}


def no_repository(repo_id: str) -> Refusal:
    """The same answer for a repository that is not there and for one that may not be seen."""
    return Refusal(404, f"Repository not found: {repo_id}", code="RepoNotFound")


def no_revision(revision: str) -> Refusal:
    """No branch, tag, pull request or commit of that name."""
    return Refusal(404, f"Invalid rev id: {revision}", code="RevisionNotFound")


def no_entry(path: str, commit: str | None = None) -> Refusal:
    """No such file. The commit goes along: clients remember per commit which files are missing."""
    headers = {"X-Repo-Commit": commit} if commit else {}
    return Refusal(404, f"Entry not found: {path}", code="EntryNotFound", headers=headers)
