"""docs/first_pairs.ipynb runs from top to bottom, in a kernel of its own, as a reader runs it."""

from __future__ import annotations

import json
import os
import subprocess
import sys

from tests.documents.blocks import ROOT

NOTEBOOK = ROOT / "docs/first_pairs.ipynb"


def test_it_runs_from_top_to_bottom(tmp_path):
    done = tmp_path / "done.ipynb"
    around = {name: value for name, value in os.environ.items() if not name.startswith(("LIDR_", "HF_"))}
    words = [sys.executable, "-m", "jupyter", "execute", str(NOTEBOOK), f"--output={done}"]
    ran = subprocess.run(words, env=around, cwd=ROOT, capture_output=True, text=True, check=False)
    assert ran.returncode == 0, ran.stderr[-3000:]
    cells = [cell for cell in json.loads(done.read_text(encoding="utf-8"))["cells"] if cell["cell_type"] == "code"]
    shown = [
        "".join(text for out in cell["outputs"] for text in out["data"]["text/plain"])
        for cell in cells
        if cell["outputs"]
    ]
    assert "iter_1/train" in shown[0]
    assert "chosen_text" in shown[1]
    assert "slots" in shown[2]
    assert "model.safetensors" in shown[3] or "config.json" in shown[3]
    assert "acc" not in shown[4] or "value" in shown[4]


def test_it_is_kept_without_outputs():
    cells = json.loads(NOTEBOOK.read_text(encoding="utf-8"))["cells"]
    assert [cell["id"] for cell in cells if cell.get("outputs") or cell.get("execution_count")] == []
