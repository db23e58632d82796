"""Large files go through the server, not into its memory."""

from __future__ import annotations

import hashlib
import re
import shutil
from pathlib import Path

import pytest

from lidr.hub_server import serve_in_background
from tests.hub_server.raw import client, commit, create

GIBIBYTE = 1024**3
_BLOCK = bytes(range(256)) * 4096  # 1 MiB


def _peak_megabytes(pid: int) -> float:
    status = Path(f"/proc/{pid}/status").read_text(encoding="ascii")
    match = re.search(r"VmHWM:\s+(\d+) kB", status)
    assert match
    return int(match[1]) / 1024


@pytest.fixture
def roomy(tmp_path):
    """pytest keeps the folders of three runs; not this one's gibibyte."""
    yield tmp_path
    shutil.rmtree(tmp_path / "objects", ignore_errors=True)


@pytest.mark.skipif(not Path("/proc/self/status").exists(), reason="no /proc: the peak of memory cannot be read")
def test_a_gibibyte_goes_up_and_down_with_under_80_megabytes_of_server(roomy):
    digest = hashlib.sha256()
    for _ in range(1024):
        digest.update(_BLOCK)
    sha256 = digest.hexdigest()
    with serve_in_background(roomy) as hub, client(hub) as session:
        repo = create(session, "lidr/large")
        body = {"operation": "upload", "objects": [{"oid": sha256, "size": GIBIBYTE}]}
        batch = session.post(f"/{repo}.git/info/lfs/objects/batch", json=body).json()["objects"][0]
        up = session.put(
            batch["actions"]["upload"]["href"],
            content=(_BLOCK for _ in range(1024)),
            headers={"Content-Length": str(GIBIBYTE), "Authorization": ""},
        )
        assert up.status_code == 200, up.text
        assert commit(session, repo, {"key": "lfsFile", "value": {"path": "x", "oid": sha256}}).status_code == 200
        back = hashlib.sha256()
        with session.stream("GET", f"/{repo}/resolve/main/x") as down:
            for chunk in down.iter_bytes():
                back.update(chunk)
        assert back.hexdigest() == sha256
        assert _peak_megabytes(hub.pid) < 80
