"""The chat template of a model on the Hub, here the embedded one: checked by `plan` where the Hub's cache has it."""

from __future__ import annotations

from pathlib import Path

import pytest
from huggingface_hub import snapshot_download

from lidr.cli.main import main
from lidr.hub.client import plain_uploads
from tests.engines.templates.shapes import HYBRID, OPEN_THOUGHT, shaped
from tests.publishing import ONE_ITERATION
from tests.scripted import write_world

NOT_CHECKED = "not checked: the Hub's cache does not have it at the recipe's commit; the step policy checks it"
TOKENIZER = ["tokenizer*", "chat_template.jinja"]


@pytest.fixture
def plan(hub, new_name, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]):
    """Push a tiny model with a template; what `plan` and `validate` say of it, with some of its files in the cache."""
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_CACHE", str(tmp_path / "cache"))
    api, repo = hub.target.api(), new_name("shaped")
    file = write_world(tmp_path / "w", ONE_ITERATION)

    def said(template: str, cached: list[str], *, ends: bool = True) -> tuple[int, list[str]]:
        api.create_repo(repo)
        with plain_uploads(hub.target):
            commit = api.upload_folder(repo_id=repo, folder_path=shaped(tmp_path / "m", template, ends=ends)).oid
        if cached:
            snapshot_download(
                repo,
                revision=commit,
                allow_patterns=cached,
                cache_dir=tmp_path / "cache",
                endpoint=hub.target.endpoint,
                token=hub.target.token,
            )
        words = [str(file), "--set", f"policy.model={repo}", "--set", f"policy.revision={commit}"]
        codes, texts = [], []
        for command in ("plan", "validate"):
            codes.append(main([command, *words]))
            shown = capsys.readouterr()
            texts.append(shown.out + shown.err)
        assert codes[0] == codes[1]
        return codes[0], texts

    return said


@pytest.mark.parametrize("cached", [[], ["config.json"], ["tokenizer_config.json"]])
def test_without_it_in_the_cache_it_is_said_once_that_it_was_not_checked(plan, cached: list[str]) -> None:
    code, texts = plan(OPEN_THOUGHT, cached)
    assert code == 0
    assert [text.count(NOT_CHECKED) for text in texts] == [1, 1]


def test_with_it_in_the_cache_it_is_refused_as_one_in_a_folder_is(plan) -> None:
    code, texts = plan(OPEN_THOUGHT, TOKENIZER)
    assert code == 2
    assert ["`training: auto` trains them after an empty thought" in text for text in texts] == [True, True]


def test_with_it_in_the_cache_it_is_said_where_an_answer_ends(plan) -> None:
    code, texts = plan(HYBRID, TOKENIZER, ends=False)
    assert code == 0
    said = "an answer ends at <|im_end|>, which the model's own files do not name"
    assert [text.count(said) for text in texts] == [1, 1]
    assert not any(NOT_CHECKED in text for text in texts)
