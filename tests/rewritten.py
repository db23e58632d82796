"""Records that say something else than lidr wrote, and are whole nevertheless: as if another run had written them."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from lidr.store.sealed_json import unsealed, write_json


def rewritten(path: Path, **changes: Any) -> dict[str, Any]:
    """Write a sealed file with other values, and a checksum of them; returns what it holds."""
    content = {**unsealed(json.loads(path.read_text(encoding="utf-8"))), **changes}
    write_json(path, content, sealed=True)
    return content
