"""Every step of the contract is a test: against the embedded Hub, its redirect mode, and a live Hub when asked."""

from __future__ import annotations

import functools
import json
import os
import subprocess
import sys
import tempfile
from pathlib import Path

import pytest

from lidr.hub_server import serve_in_background
from tests.hub_server.contract.groups import GROUPS, steps

ROOT = Path(__file__).parents[2]
STEPS = [(group, step) for group in GROUPS for step in steps(group)]
REDIRECTED = ("files", "filesystem", "data", "models")  # the groups that download


def _run(group: str, environment: dict[str, str]) -> dict[str, str | None]:
    """Run a group in a process of its own; step -> what went wrong."""
    command = [sys.executable, "-W", "ignore", "-m", "tests.hub_server.contract", group]
    surroundings = {name: value for name, value in os.environ.items() if not name.startswith(("HF_", "LIDR_"))}
    done = subprocess.run(
        command,
        cwd=ROOT,
        env={**surroundings, **environment, "HF_DATASETS_DISABLE_PROGRESS_BARS": "1", "OMP_NUM_THREADS": "1"},
        capture_output=True,
        text=True,
        timeout=600,
    )
    lines = [line.removeprefix("STEP ") for line in done.stdout.splitlines() if line.startswith("STEP ")]
    results = {record["name"]: record["problem"] for record in map(json.loads, lines)}
    missing = f"was not reached:\n{done.stdout[-2000:]}\n{done.stderr[-4000:]}"
    return {step: results.get(step, missing) for step in steps(group)}


@functools.cache
def _embedded(group: str, redirect: bool = False) -> dict[str, str | None]:
    with tempfile.TemporaryDirectory() as root, serve_in_background(Path(root), redirect=redirect) as hub:
        results = _run(group, hub.environment)
        said = (hub.root / "server.log").read_text(encoding="utf-8")
        return {step: problem or said or None for step, problem in results.items()}


@functools.cache
def _live(group: str) -> dict[str, str | None]:
    with tempfile.TemporaryDirectory() as home:
        environment = {
            "HF_ENDPOINT": os.environ.get("LIDR_LIVE_HUB_ENDPOINT", "https://huggingface.co"),
            "HF_TOKEN": os.environ["LIDR_LIVE_HUB_TOKEN"],
            "HF_HOME": home,
            "HF_HUB_DISABLE_XET": "1",
            "HF_HUB_DISABLE_TELEMETRY": "1",
        }
        return _run(group, environment)


def test_the_contract_has_at_least_eighty_steps():
    assert len(STEPS) >= 80
    assert len(set(STEPS)) == len(STEPS)


@pytest.mark.parametrize(("group", "step"), STEPS)
def test_embedded(group, step):
    problem = _embedded(group)[step]
    assert problem is None, problem


@pytest.mark.parametrize(("group", "step"), [pair for pair in STEPS if pair[0] in REDIRECTED])
def test_embedded_with_redirects(group, step):
    problem = _embedded(group, redirect=True)[step]
    assert problem is None, problem


@pytest.mark.network
@pytest.mark.skipif("LIDR_LIVE_HUB_TOKEN" not in os.environ, reason="LIDR_LIVE_HUB_TOKEN is not set")
@pytest.mark.parametrize(("group", "step"), STEPS)
def test_live(group, step):
    problem = _live(group)[step]
    assert problem is None, problem
