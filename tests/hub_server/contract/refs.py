"""Branches, tags, history."""

from __future__ import annotations

from huggingface_hub.errors import HfHubHTTPError, RevisionNotFoundError

from tests.hub_server.contract.world import World, raises


def _upload(w: World, path: str, content: bytes, **more: str):
    return w.api.upload_file(path_or_fileobj=content, path_in_repo=path, repo_id=w.memo.repo, **more)


def a_branch_begins_at_main(w: World) -> None:
    w.memo.repo = w.create("refs")
    w.memo.first = _upload(w, "a.txt", b"one").oid
    w.api.create_branch(w.memo.repo, branch="work")
    assert w.api.model_info(w.memo.repo, revision="work").sha == w.memo.first


def a_branch_may_have_a_slash_and_begin_anywhere(w: World) -> None:
    w.memo.second = _upload(w, "a.txt", b"two").oid
    w.api.create_branch(w.memo.repo, branch="iter/1", revision=w.memo.first)
    assert w.api.model_info(w.memo.repo, revision="iter/1").sha == w.memo.first


def a_branch_exists_already(w: World) -> None:
    with raises(HfHubHTTPError, status=409):
        w.api.create_branch(w.memo.repo, branch="work")
    w.api.create_branch(w.memo.repo, branch="work", exist_ok=True)


def a_branch_cannot_begin_nowhere(w: World) -> None:
    with raises(RevisionNotFoundError):
        w.api.create_branch(w.memo.repo, branch="lost", revision="nowhere")


def a_commit_goes_to_its_branch_only(w: World) -> None:
    w.memo.on_branch = _upload(w, "b.txt", b"branch", revision="iter/1").oid
    assert w.api.file_exists(w.memo.repo, "b.txt", revision="iter/1")
    assert not w.api.file_exists(w.memo.repo, "b.txt")


def a_tag_names_a_commit(w: World) -> None:
    w.api.create_tag(w.memo.repo, tag="v0.1.0", tag_message="the first", revision=w.memo.first)
    assert w.api.model_info(w.memo.repo, revision="v0.1.0").sha == w.memo.first


def a_tag_of_a_branch_with_a_slash(w: World) -> None:
    w.api.create_tag(w.memo.repo, tag="on-branch", revision="iter/1")
    assert w.api.model_info(w.memo.repo, revision="on-branch").sha == w.memo.on_branch


def a_tag_exists_already(w: World) -> None:
    with raises(HfHubHTTPError, status=409):
        w.api.create_tag(w.memo.repo, tag="v0.1.0")
    w.api.create_tag(w.memo.repo, tag="v0.1.0", exist_ok=True)
    assert w.api.model_info(w.memo.repo, revision="v0.1.0").sha == w.memo.first


def all_refs_are_listed(w: World) -> None:
    refs = w.api.list_repo_refs(w.memo.repo)
    branches = {ref.name: ref.target_commit for ref in refs.branches}
    assert branches == {"main": w.memo.second, "work": w.memo.first, "iter/1": w.memo.on_branch}
    tags = {ref.name: (ref.ref, ref.target_commit) for ref in refs.tags}
    assert tags["v0.1.0"] == ("refs/tags/v0.1.0", w.memo.first)


def a_revision_exists_or_not(w: World) -> None:
    assert w.api.revision_exists(w.memo.repo, "v0.1.0")
    assert w.api.revision_exists(w.memo.repo, w.memo.first)
    assert not w.api.revision_exists(w.memo.repo, "v9")
    assert not w.api.revision_exists(w.memo.repo, "0" * 40)


def a_missing_revision_raises_its_own_error(w: World) -> None:
    with raises(RevisionNotFoundError):
        w.api.model_info(w.memo.repo, revision="v9")


def the_history_is_listed_newest_first(w: World) -> None:
    commits = w.api.list_repo_commits(w.memo.repo)
    assert [commit.commit_id for commit in commits[:2]] == [w.memo.second, w.memo.first]
    assert len(commits) == 3
    assert commits[0].title == "Upload a.txt with huggingface_hub"
    assert commits[0].authors
    assert commits[0].created_at >= commits[1].created_at


def the_history_has_a_formatted_form(w: World) -> None:
    commit = w.api.list_repo_commits(w.memo.repo, formatted=True)[0]
    assert commit.formatted_title is not None


def a_tag_is_deleted(w: World) -> None:
    w.api.delete_tag(w.memo.repo, tag="on-branch")
    assert not w.api.revision_exists(w.memo.repo, "on-branch")


def deleting_a_missing_tag_raises(w: World) -> None:
    with raises(RevisionNotFoundError):
        w.api.delete_tag(w.memo.repo, tag="on-branch")


def a_branch_is_deleted(w: World) -> None:
    w.api.delete_branch(w.memo.repo, branch="work")
    assert not w.api.revision_exists(w.memo.repo, "work")


def a_history_is_squashed_and_a_tag_keeps_its_commit(w: World) -> None:
    w.api.super_squash_history(w.memo.repo, branch="main", commit_message="one commit")
    assert [commit.title for commit in w.api.list_repo_commits(w.memo.repo)] == ["one commit"]
    assert w.api.model_info(w.memo.repo, revision="v0.1.0").sha == w.memo.first
    assert w.api.file_exists(w.memo.repo, "a.txt")
