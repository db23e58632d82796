"""Replicas opened, on a Ray that lets nobody else in where it is lidr's own.

Ray listens on all addresses of a machine, and asks nobody who comes for anything unless it is told to.
"""

from __future__ import annotations

import os
import secrets
import sys
from pathlib import Path

from lidr.engines.engine import Engine, EngineSpec


def open_replicas(spec: EngineSpec, *, log: Path) -> Engine:
    """Open the engine; arguments and errors as of `open_engine`."""
    if spec.cluster == "local":
        _ask_for_token()
    from lidr.engines.replicas.ray_engine import RayEngine

    return RayEngine(spec, log=log)


def _ask_for_token() -> None:
    """Have the Ray that this process starts ask for a token, which only what it starts knows, by its environment.

    Ray reads this when it is imported. Who uses Ray already, or has chosen, is left alone.
    """
    if "ray" not in sys.modules and "RAY_AUTH_MODE" not in os.environ:
        os.environ["RAY_AUTH_MODE"] = "token"
        os.environ.setdefault("RAY_AUTH_TOKEN", secrets.token_hex(32))
