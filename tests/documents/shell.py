"""The lines of a page in a shell of their own, in a clone after `make quickstart`."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path

from lidr.resources import shared
from tests.documents.blocks import ROOT

MODEL = "recipes/miniature/skewed-1"
"""Stands for the reader's own model."""


def make_clone(folder: Path) -> Path:
    """What a clone has, as far as the pages need it; the home is empty."""
    (folder / "home").mkdir(parents=True)
    for name in ("recipes", "evals"):
        (folder / name).symlink_to(shared(name))
    (folder / "docs").symlink_to(ROOT / "docs")
    return folder


def run(lines: str, clone: Path, replaced: Mapping[str, str] = {}, around: Mapping[str, str] = {}) -> str:
    """Run lines in a shell of their own, which ends what it started.

    Args:
        replaced: what stands for the reader's own things, and nothing else.
        around: further variables of the environment.

    Returns:
        What they print.
    """
    for old, new in replaced.items():
        assert old in lines
        lines = lines.replace(old, new)
    passed_on = ("LANG", "LD_LIBRARY_PATH", "PYTHONPATH")
    kept = {name: os.environ[name] for name in passed_on if name in os.environ}
    own = {
        "PATH": f"{Path(sys.executable).parent}:{os.environ['PATH']}",
        "HOME": str(clone / "home"),
        "HF_HOME": str(clone / "home" / "hf"),
        "OMP_NUM_THREADS": "1",
    }
    done = subprocess.run(
        ["bash", "-ec", f"trap 'kill $(jobs -p) 2> /dev/null || true' EXIT\n{lines}"],
        cwd=clone,
        env={**kept, **own, **around},
        text=True,
        capture_output=True,
        check=False,
    )
    assert done.returncode == 0, done.stdout[-2000:] + done.stderr[-3000:]
    return done.stdout
