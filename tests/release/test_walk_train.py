"""The page "Train on pushed pairs without lidr": every line of it, on a small run that was really pushed."""

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
from tests.preferences.trainer_forms import VALIDATORS
from tests.publishing import AT_ONCE

pytestmark = pytest.mark.filterwarnings("ignore:Use 'content=")  # huggingface_hub 2.4's own upload with httpx2

TITLE = "## Train on pushed pairs without lidr"
README = Path(__file__).parents[2] / "README.md"


def page() -> str:
    """The section of the README."""
    text = README.read_text(encoding="utf-8")
    return re.split(r"\n## ", text[text.index(TITLE) + 3 :])[0]


@pytest.fixture(scope="module")
def pushed(trained, running) -> None:
    release(trained, Destinations("lidr/quickstart-prefs", None), target=running.target, patience=AT_ONCE)


def test_every_line_of_the_page_does_what_it_says(pushed, trained, running, tmp_path):
    (tmp_path / "your-model").symlink_to(trained.recipe.policy.model)
    (tmp_path / "recipes").symlink_to(shared("recipes"))
    text = page().replace("path/to/your-model", "your-model").replace("[es, fr]", "[es, de]")
    (python,) = re.findall(r"```python\n(.*?)```", text, re.DOTALL)
    lines = f"python - <<'CODE'\n{python}CODE\n" + "\n".join(re.findall(r"```sh\n(.*?)```", text, re.DOTALL))
    around = {
        **os.environ,
        **running.environment,
        "PATH": f"{Path(sys.executable).parent}:{os.environ['PATH']}",
    }
    done = subprocess.run(["bash", "-ec", lines], cwd=tmp_path, env=around, text=True, capture_output=True)
    assert done.returncode == 0, done.stderr[-3000:]
    assert "train_loss" in done.stdout
    assert "lidr/quickstart-prefs at " in done.stdout
    for to in ("llama-factory", "axolotl", "open-instruct"):
        assert list(VALIDATORS[to](tmp_path / f"for-{to}")) == []
    record = json.loads((tmp_path / "runs/mix/0.1.0/iter_1/pairs/record.json").read_text())
    assert [(one["taken"], one["license"]) for one in record["counts"]["sets"]] == [(16, "apache-2.0"), (8, "mit")]
    assert (tmp_path / "runs/mix/0.1.0/iter_1/train/model/model.safetensors").is_file()
