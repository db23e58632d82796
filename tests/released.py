"""The least that a file of a release holds, for tests that write one by hand."""

from __future__ import annotations

from typing import Any


def run_of(*places: str, **changes: Any) -> dict[str, Any]:
    """run.json of a run of these steps, with other entries."""
    step = {"writes": "pairs", "fingerprint": "", "digest": "", "class": "exact"}
    return {
        "schema": 1, "recipe": "r", "version": "0.1.0", "tag": "v0.1.0", "recipe_sha256": "", "parents": [],
        "license": {"id": "mit", "reason": "so"}, "steps": [{"place": place, **step} for place in places], **changes,
    }  # fmt: skip
