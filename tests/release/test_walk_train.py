"""The walk docs/walks/train.md: every line of it, on a small run that was really pushed."""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

from lidr.release.make_release import Destinations, release
from lidr.resources import shared
from tests.documents.blocks import script
from tests.preferences.trainer_forms import VALIDATORS
from tests.publishing import AT_ONCE

PAGE = "docs/walks/train.md"


@pytest.fixture(scope="module")
def pushed(trained, running) -> None:
    release(trained, Destinations("lidr/first-prefs", None), target=running.target, patience=AT_ONCE)


def test_every_line_of_the_page_does_what_it_says(pushed, trained, running, tmp_path):
    (tmp_path / "your-model").symlink_to(trained.recipe.policy.model)
    (tmp_path / "recipes").symlink_to(shared("recipes"))
    lines = script(PAGE).replace("path/to/your-model", "your-model")
    around = {
        **os.environ,
        **running.environment,
        "PATH": f"{Path(sys.executable).parent}:{os.environ['PATH']}",
    }
    done = subprocess.run(["bash", "-ec", lines], cwd=tmp_path, env=around, text=True, capture_output=True)
    assert done.returncode == 0, done.stderr[-3000:]
    assert "train_loss" in done.stdout
    assert re.search(r"lidr/first-prefs(@\S+)? (at|\()", done.stdout)
    assert re.search(r"iter_1/train: +0%.*starting: loading libraries and the model", done.stderr)
    for to in ("trl", "llama-factory", "axolotl", "open-instruct"):
        assert list(VALIDATORS[to](tmp_path / f"for-{to}")) == []
    record = json.loads((tmp_path / "runs/mix/0.1.0/iter_1/pairs/record.json").read_text())
    assert [(one["taken"], one["license"]) for one in record["counts"]["sets"]] == [(16, "apache-2.0"), (8, "mit")]
    assert (tmp_path / "runs/mix/0.1.0/iter_1/train/model/model.safetensors").is_file()
