"""A Hub, or a client, that does something else than it was asked for."""

from __future__ import annotations

from types import SimpleNamespace

import pytest
from huggingface_hub import HfApi

from lidr.errors import HubError
from lidr.hub.pins import resolve
from lidr.release.publish_staged import publish
from tests.publishing import AT_ONCE
from tests.release.test_publish_staged import small, tags


def test_an_answer_without_a_commit_pins_nothing(hub, monkeypatch):
    monkeypatch.setattr(HfApi, "model_info", lambda api, name, revision=None: SimpleNamespace(sha=None))
    said = r"^a/b: the Hub answered without a commit; try again, or write the revision into the recipe$"
    with pytest.raises(HubError, match=said):
        resolve("a/b", target=hub.target)


def test_a_commit_that_lost_a_file_is_named_and_not_released(hub, new_name, tmp_path, monkeypatch):
    repo, whole = new_name("lost"), HfApi.create_commit

    def lossy(api, *words, operations, **named):
        kept = [one for one in operations if one.path_in_repo != "all/iter_1.txt"]
        return whole(api, *words, operations=kept, **named)

    monkeypatch.setattr(HfApi, "create_commit", lossy)
    said = (
        rf"^{repo} on {hub.target.endpoint}: commit [0-9a-f]{{40}} does not hold what was sent \(all/iter_1\.txt\), "
        r"so it is not released\. Run the same command again$"
    )
    with pytest.raises(HubError, match=said):
        publish(small(tmp_path), repo, target=hub.target, patience=AT_ONCE)
    assert tags(hub, repo) == {}
    monkeypatch.undo()
    again = publish(small(tmp_path), repo, target=hub.target, patience=AT_ONCE)
    assert tags(hub, repo) == {"v0.1.0": again.sha}
