"""Publish a staged release so that it is there whole or not at all.

    1  a tag of this release with the same content: done; with other content: an error
    2  read the head; if the release was committed already (a lost answer, a killed process), go to 5
    3  merge the card over the one that is there; refuse what could not be loaded beside what others wrote
    4  one commit on top of that head; whatever goes wrong: wait as told, then 2 again
    5  compare every file at that commit with what was staged; load every configuration as others will
    6  tag it: only now is it released

A commit is found again by its title and its files when its answer was lost, even when others committed on top of it.
"""

from __future__ import annotations

import warnings
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING, Any, Literal, TypeVar

from lidr.errors import HubError
from lidr.hub import (
    ContentId,
    Patience,
    Target,
    check_repo,
    check_tag,
    config_names,
    patiently,
    plain_uploads,
    read_trouble,
    trouble_of,
)
from lidr.release.beside import DEFAULT, READ, Present, card_beside, check_card, check_released, faults, load
from lidr.release.bounded_rows import read_bounded
from lidr.release.staging import CONTENT, Staged
from lidr.store import row_digest

if TYPE_CHECKING:
    from huggingface_hub.hf_api import RepoFile

T = TypeVar("T")
State = Literal["published", "completed", "already there"]
CARD = "README.md"
_ROWS = (".parquet",)
_MODEL = (".safetensors", ".json", ".jinja", ".model", ".txt")
_LOOK_BACK = 200  # commits
_LOADS = 3  # tries: a Hub may be busy, and `datasets` says it in many ways


@dataclass(frozen=True)
class Published:
    """A release on a Hub.

    Args:
        state: published now; completed: committed by an earlier try, tagged now; already there: nothing to do.
    """

    repo_type: str
    repo: str
    sha: str
    tag: str
    digest: str
    endpoint: str
    state: State

    @property
    def url(self) -> str:
        """Its page."""
        kind = "datasets/" if self.repo_type == "dataset" else ""
        return f"{self.endpoint}/{kind}{self.repo}/tree/{self.tag}"


def publish(
    staged: Staged,
    repo: str,
    *,
    target: Target,
    private: bool = False,
    patience: Patience | None = None,
    rename_default: str | None = None,
) -> Published:
    """Send a release; calling it again completes what an interrupted call began.

    Args:
        rename_default: the name that a configuration `default` of others is to have, beside a data set's.

    Raises:
        HubError: refused, or out of patience; the message says what to do, and nothing is half-published.
    """
    check_repo(repo)
    check_tag(staged.tag)
    if not target.token:
        raise HubError(
            f"{repo}: publishing to {target.endpoint} needs a token; set HF_TOKEN to one with write access "
            "(for the embedded Hub: `lidr hub env`)"
        )
    sender = _Sender(staged, repo, target, patience or Patience(), rename_default)
    with plain_uploads(target):
        return sender.send(private)


class _Sender:
    """One release on its way to one repository."""

    def __init__(
        self, staged: Staged, repo: str, target: Target, patience: Patience, rename_default: str | None
    ) -> None:
        self._staged, self._repo, self._target, self._patience = staged, repo, target, patience
        self._rename = rename_default
        self._on = f"{repo} on {target.endpoint}"
        self._api = target.api()
        self._ids = {path: ContentId(file) for path, file in staged.files.items()}
        self._where: dict[str, Any] = {"repo_id": repo, "repo_type": staged.repo_type}

    def send(self, private: bool) -> Published:
        self._find_or_create(private)
        tagged = self._tags().get(self._staged.tag)
        if tagged is not None:
            self._same_or_refuse(tagged)
            if self._staged.configs:
                check_released(self._staged, self._present(tagged, self._there(tagged)))
            return self._published(tagged, "already there")
        sha, state = self._commit()
        self._verify(sha)
        if self._staged.configs:
            if state == "completed":  # what an earlier try sent may have been checked by other rules
                present = self._present(sha, self._there(sha))
                check_card(self._staged, present, present.card or "")
            self._load(sha)
        return self._published(self._tag(sha), state)

    def _published(self, sha: str, state: State) -> Published:
        staged = self._staged
        return Published(staged.repo_type, self._repo, sha, staged.tag, staged.digest, self._target.endpoint, state)

    def _ask(self, call: Callable[..., T], **arguments: Any) -> T:
        """Ask something that changes nothing, until it is answered."""
        return patiently(
            partial(call, **self._where, **arguments),
            what=self._repo,
            target=self._target,
            patience=self._patience,
        )

    def _find_or_create(self, private: bool) -> None:
        from huggingface_hub.errors import GatedRepoError, RepositoryNotFoundError

        failed = taken = 0
        while True:
            try:
                self._api.repo_info(**self._where)
                return
            except RepositoryNotFoundError as error:
                if taken > 2 or isinstance(error, GatedRepoError):
                    trouble_of(error, what=self._repo, target=self._target)
            except Exception as error:
                failed = self._failed(error, failed)
                continue
            try:
                self._api.create_repo(**self._where, private=private)
                return
            except Exception as error:
                taken += read_trouble(error).status == 409  # by somebody else, and hidden from us?
                failed = self._failed(error, failed)

    def _failed(self, error: Exception, failed: int) -> int:
        """Wait after a failed try; the number of those so far."""
        trouble = trouble_of(error, what=self._repo, target=self._target)
        self._patience.wait(trouble, failed + 1, what=self._repo, target=self._target)
        return failed + 1

    def _tags(self) -> dict[str, str]:
        refs = self._ask(self._api.list_repo_refs)
        return {tag.name: tag.target_commit for tag in refs.tags}

    def _same_or_refuse(self, sha: str) -> None:
        """A release that is there stays as it is.

        Raises:
            HubError: it holds other content than ours, by its own word or in its files.
        """
        there, tag = self._there(sha), self._staged.tag
        if CONTENT not in there or not self._ids[CONTENT].match(there[CONTENT]):
            raise HubError(
                f"{self._on}: {tag} is released already, with other content. A release "
                "never changes: bump the recipe's version and publish that"
            )
        if changed := self._changed(sha, there):
            kind = " --repo-type dataset" if self._staged.repo_type == "dataset" else ""
            raise HubError(
                f"{self._on}: {tag} names commit {sha}, which does not hold what this run released: other content in "
                f"{', '.join(changed[:3])}. The tag was moved: `hf repos tag delete {self._repo} {tag}{kind}`, and run "
                "this command again: it puts the tag back on the commit that it was released as"
            )

    def _changed(self, sha: str, there: Mapping[str, RepoFile]) -> list[str]:
        """What of a release is loaded as rows or as a model, and has another content at a commit. Pictures and records
        are not compared: another machine draws, and another lidr writes them otherwise.
        """
        loaded = _ROWS if self._staged.repo_type == "dataset" else _MODEL
        found = [p for p in self._differing(there) if not p.startswith("lidr/") and Path(p).suffix in loaded]
        return [path for path in found if path not in there or not self._same_rows(path, sha)]

    def _same_rows(self, path: str, sha: str) -> bool:
        """Whether a table has our rows at a commit, whatever wrote its file."""
        if not path.endswith(".parquet"):
            return False
        with TemporaryDirectory() as cache:
            file = Path(self._ask(self._api.hf_hub_download, filename=path, revision=sha, cache_dir=cache))
            try:
                tables = [read_bounded([one]) for one in (file, self._staged.files[path])]
            except HubError:  # no Parquet any more
                return False
        theirs, ours = (row_digest([table] if table is not None else []) for table in tables)
        return theirs == ours

    def _tree(self, revision: str) -> list[RepoFile]:
        from huggingface_hub.hf_api import RepoFile

        def read(**arguments: Any) -> list[RepoFile]:
            entries = self._api.list_repo_tree(recursive=True, revision=revision, **arguments)
            return [entry for entry in entries if isinstance(entry, RepoFile)]

        return self._ask(read)

    def _there(self, revision: str) -> dict[str, RepoFile]:
        return {file.path: file for file in self._tree(revision)}

    def _commit(self) -> tuple[str, State]:
        """Commit once; the commit, and whether it is of this call."""
        failed = 0
        while True:
            head = self._ask(self._api.repo_info, revision="main").sha or ""
            there = self._there(head)
            landed = self._landed(head, there)
            if landed is not None and not self._is_to_rename(landed):
                return landed, "published" if failed else "completed"
            operations = list(self._operations(head, there))
            try:
                with warnings.catch_warnings():  # the rows beside a model are meant to be there
                    warnings.filterwarnings("ignore", message="It seems that you are about to commit a data file")
                    info = self._api.create_commit(
                        **self._where,
                        operations=operations,
                        commit_message=self._title,
                        commit_description=f"lidr release {self._staged.digest}",
                        parent_commit=head or None,
                    )
                return str(info.oid), "published"
            except Exception as error:
                failed = self._failed(error, failed)

    @property
    def _title(self) -> str:
        return f"{self._staged.tag}: {self._staged.title}"

    def _landed(self, head: str, there: Mapping[str, RepoFile]) -> str | None:
        """The commit that an earlier try made, at the head or below it."""
        if self._differing(there) == [] and CARD in there:
            return head
        if CONTENT not in there:  # nobody ever published here
            return None
        commits = self._ask(self._api.list_repo_commits, revision=head)
        ours = [c.commit_id for c in commits[:_LOOK_BACK] if c.title == self._title]
        return next((sha for sha in ours if not self._differing({f.path: f for f in self._tree(sha)})), None)

    def _differing(self, there: Mapping[str, RepoFile]) -> list[str]:
        """Files of the release that are not there, or not the same."""
        return [path for path, ids in self._ids.items() if path not in there or not ids.match(there[path])]

    def _is_to_rename(self, sha: str) -> bool:
        """Whether a commit of ours lacks what the caller wants: it was made beside a `default` of others."""
        return self._rename is not None and DEFAULT in config_names(self._text(CARD, sha))[0]

    def _operations(self, head: str, there: Mapping[str, RepoFile]) -> Iterator[Any]:
        from huggingface_hub import CommitOperationAdd, CommitOperationDelete

        gone = {path for path in set(there) - set(self._staged.files) - {CARD} if self._staged.owned(path)}
        if self._staged.configs:
            present = self._present(head, there)
            card, gone = card_beside(self._staged, present, self._rename), gone & present.released()
        else:
            card = self._staged.card(self._text(CARD, head) if CARD in there else None)
        yield CommitOperationAdd(CARD, card.encode())
        for path, file in self._staged.files.items():
            yield CommitOperationAdd(path, str(file))
        for path in sorted(gone):
            yield CommitOperationDelete(path)

    def _present(self, revision: str, there: Mapping[str, RepoFile]) -> Present:
        same = {path: path in self._ids and self._ids[path].match(file) for path, file in there.items()}
        texts = {path: self._text(path, revision) for path in READ if path in there}
        return Present(self._repo, self._on, same, texts)

    def _text(self, path: str, revision: str) -> str:
        with TemporaryDirectory() as cache:  # the usual cache is keyed by repository, not by Hub
            found = self._ask(self._api.hf_hub_download, filename=path, revision=revision, cache_dir=cache)
            return Path(found).read_text(encoding="utf-8")

    def _load(self, sha: str) -> None:
        """Load every configuration as others will, from the commit and with an empty cache.

        Raises:
            HubError: one of the release cannot be loaded, or one of others no longer; nothing is tagged.
        """
        release, is_there = self._staged.configs, partial(self._text, CARD, sha)
        configs = dict.fromkeys((*release, *config_names(self._text(CARD, sha))[0]))
        for failed in range(1, _LOADS + 1):
            wrong = faults(load(self._repo, sha, configs, self._target, is_there), release)
            if theirs := [config for config in wrong if config not in release]:
                broken = faults(load(self._repo, self._before(sha), theirs, self._target, is_there), {})
                wrong = {config: why for config, why in wrong.items() if config not in broken}  # before us as well
            if not wrong:
                return
            if failed < _LOADS:
                self._patience.sleep(failed)
        config, why = next(iter(wrong.items()))
        raise HubError(
            f"{self._on}: commit {sha} holds every file of {self._staged.tag}, but `datasets` does not load "
            f"configuration {config} from it ({why}), so it is not released. If the Hub was only busy, run the same "
            "command again; else mend README.md on its main branch, and run it then"
        )

    def _before(self, sha: str) -> str:
        commits = [commit.commit_id for commit in self._ask(self._api.list_repo_commits, revision=sha)]
        return commits[1] if len(commits) > 1 else sha

    def _verify(self, sha: str) -> None:
        """Compare what the Hub holds with what was staged.

        Raises:
            HubError: a file differs; nothing is tagged.
        """
        differing = self._differing(self._there(sha))
        if differing:
            raise HubError(
                f"{self._repo} on {self._target.endpoint}: commit {sha} does not hold what was sent "
                f"({', '.join(differing[:3])}), so it is not released. Run the same command again"
            )

    def _tag(self, sha: str) -> str:
        """Release the commit; the commit that the tag names in the end."""
        failed = 0
        while True:
            tagged = self._tags().get(self._staged.tag)
            if tagged is not None:
                if tagged != sha:
                    self._same_or_refuse(tagged)
                return tagged
            try:
                self._api.create_tag(**self._where, tag=self._staged.tag, revision=sha, tag_message=self._staged.title)
            except Exception as error:
                failed = self._failed(error, failed)
