"""A Hub for the tests of this folder."""

from __future__ import annotations

import pytest

from lidr.hub_server import serve_in_background


@pytest.fixture(scope="module")
def hub(tmp_path_factory):
    with serve_in_background(tmp_path_factory.mktemp("hub")) as running:
        yield running
        said = (running.root / "server.log").read_text(encoding="utf-8")
    assert said == "", f"the server met bugs of its own:\n{said}"
