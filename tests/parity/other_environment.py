"""alpaca_eval's own environment, `.venv/alpaca_eval`: made by the Makefile from tests/requirements-alpaca-eval.txt."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

_FOLDER = Path(sys.prefix) / "alpaca_eval"
PYTHON = _FOLDER / "bin" / "python"
_PACKAGE = _FOLDER / "lib" / f"python{sys.version_info[0]}.{sys.version_info[1]}" / "site-packages" / "alpaca_eval"
TEMPLATE = _PACKAGE / "evaluators_configs" / "alpaca_eval_clf_gpt4_turbo" / "alpaca_eval_clf.txt"
"""What alpaca_eval's judge is asked, without the sentence on languages that the paper's authors added."""


def require_alpaca_eval() -> None:
    """Skip the test where the environment is not installed; in CI that is a failure."""
    if PYTHON.is_file():
        return
    if os.environ.get("CI"):
        pytest.fail(f"CI needs alpaca_eval's environment: {PYTHON} is not there (make test installs it)")
    pytest.skip("alpaca_eval's environment is not installed: make test installs it")


def run_alpaca_eval(job: dict[str, Any], folder: Path) -> dict[str, Any]:
    """Run the other environment's script."""
    (folder / "job.json").write_text(json.dumps(job), encoding="utf-8")
    script = Path(__file__).with_name("alpaca_eval_check.py")
    command = [str(PYTHON), str(script), str(folder / "job.json"), str(folder / "out.json")]
    environment = {"PATH": os.environ["PATH"], "HOME": str(folder), "OMP_NUM_THREADS": "1"}
    done = subprocess.run(command, capture_output=True, text=True, timeout=300, env=environment, cwd=folder)
    assert done.returncode == 0, done.stderr[-2000:]
    return json.loads((folder / "out.json").read_text(encoding="utf-8"))
