"""What of a release is compared with what."""

from __future__ import annotations

from types import SimpleNamespace

import pytest

from lidr.reproduce.self_checks import _is_read, _weights


def release(form: str, sha256: str):
    file = SimpleNamespace(path=f"{form}/model.safetensors", sha256="a" * 64)
    content = {"form": "adapter" if form == "adapter" else "merged", "weights": {"model.safetensors": sha256}}
    return SimpleNamespace(content=content, records={"iter_1/train": SimpleNamespace(files=(file,))})


@pytest.mark.parametrize("form", ["model", "adapter"])
def test_weights_that_no_record_holds_are_named_although_manifest_and_content_agree(form):
    """Training again is compared with the record, so it says nothing of weights that were changed with the manifest."""
    assert list(_weights(release(form, "a" * 64))) == []
    (finding,) = _weights(release(form, "b" * 64))
    assert finding.path == "model.safetensors"
    assert "holds other weights (bbbbbbbbbbbb) than any record says that a step wrote" in finding.text


@pytest.mark.parametrize(
    ("path", "repo_type", "is_read"),
    [
        ("chat_template.jinja", "model", True),
        ("pytorch_model.bin", "model", True),
        ("modeling_bees.py", "model", True),
        ("additional_chat_templates/default.jinja", "model", True),
        ("docs/notes.txt", "model", False),
        ("notes.txt", "dataset", False),
        ("README.md", "model", False),
        ("en-de/more.parquet", "dataset", True),
        ("lidr/x", "dataset", True),
    ],
)
def test_a_file_that_was_added_counts_where_something_would_read_it(path, repo_type, is_read):
    assert _is_read(path, repo_type) is is_read
