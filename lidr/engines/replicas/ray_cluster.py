"""Reaching a Ray cluster: one of lidr's own on this machine, which ends with lidr, or the user's.

A process has one connection. It ends with the last engine that uses it; one that was there before lidr came stays.
"""

from __future__ import annotations

import contextlib
import logging
import os
import shutil
import subprocess
import tempfile
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import psutil  # type: ignore[import-untyped]
import ray

from lidr.engines.replicas.warden import watch
from lidr.errors import EngineError

_ENVIRONMENT = {"RAY_USAGE_STATS_ENABLED": "0"}
_TRIES = 3
"""Of starting one: on a busy machine Ray's agents do not come up within the 15 s that it gives them."""
_STORE_BYTES = 256 * 2**20
"""Of Ray's shared memory: only questions and answers pass through it."""
_FOLDER = "lidr-ray-"
"""Ray's files lie in /tmp: the paths of its sockets may have 107 bytes."""


@dataclass
class _Connection:
    """The one of this process; `folder` is that of our own cluster, None where it was there before, and `warden` ends
    it with us.
    """

    cluster: str
    folder: Path | None
    is_ours: bool
    users: int = 0
    warden: subprocess.Popen[bytes] | None = None


_OPEN: list[_Connection] = []


@dataclass(frozen=True)
class Needs:
    """What one replica takes of a node. One without a model needs next to nothing, and still a node that works."""

    cpus: float
    gpus: int

    @property
    def is_little(self) -> bool:
        """Whether a node has room for any number."""
        return self.cpus < 1 and not self.gpus

    def fit(self, resources: Mapping[str, float]) -> int:
        """How many a node with so much has room for; of those that need little, one for each CPU."""
        cpus, gpus = resources.get("CPU", 0), resources.get("GPU", 0)
        return int(min(cpus // max(1, self.cpus), gpus // self.gpus if self.gpus else float("inf")))


def connect(cluster: str) -> None:
    """Reach the cluster, or use the connection that is there.

    Args:
        cluster: `local`, `auto`, or HOST:PORT.

    Raises:
        EngineError: it cannot be reached, or this process is connected to another one.
    """
    if not _OPEN and ray.is_initialized():
        _OPEN.append(_Connection(cluster, None, is_ours=False))
    if _OPEN:
        here = _OPEN[0]
        if here.is_ours and here.cluster != cluster:
            raise EngineError(f"runtime.cluster: {cluster}: this process is connected to {here.cluster} already")
        here.users += 1
        return
    for name, value in _ENVIRONMENT.items():
        os.environ.setdefault(name, value)
    for left in reversed(range(_TRIES if cluster == "local" else 1)):
        folder = _own_folder() if cluster == "local" else None
        before = children()
        try:
            ray.init(**_options(cluster, folder))
        except (Exception, SystemExit) as error:
            with contextlib.suppress(Exception):
                ray.shutdown()
            end_children(before)
            if folder is not None:
                shutil.rmtree(folder, ignore_errors=True)
            if not left:
                raise EngineError(f"runtime.cluster: {cluster}: {_why(cluster, error)}") from error
        else:
            warden = watch(children() - before) if folder is not None else None
            _OPEN.append(_Connection(cluster, folder, is_ours=True, users=1, warden=warden))
            return


def disconnect() -> None:
    """Let go; with its last user a cluster of our own ends, and nothing of it lives on."""
    here = _OPEN[0]
    here.users -= 1
    if here.users:
        return
    _OPEN.clear()
    if here.is_ours:
        ray.shutdown()
    if here.warden is not None:
        here.warden.communicate()
    if here.folder is not None:
        shutil.rmtree(here.folder, ignore_errors=True)


def children() -> set[int]:
    """Processes that this one has started."""
    return {child.pid for child in psutil.Process().children(recursive=True)}


def end_children(but: set[int]) -> None:
    """End what this process has started but for these: of a cluster that did not come up, Ray leaves some."""
    left = [child for child in psutil.Process().children(recursive=True) if child.pid not in but]
    for child in left:
        with contextlib.suppress(psutil.NoSuchProcess):
            child.kill()
    psutil.wait_procs(left, timeout=10)


def nodes() -> dict[str, Mapping[str, float]]:
    """Node, in Ray's words -> what it has in all, for those that are there."""
    return {node["NodeID"]: node["Resources"] for node in ray.nodes() if node["Alive"]}


def _options(cluster: str, folder: Path | None) -> dict[str, Any]:
    usual = {"log_to_driver": False, "logging_level": logging.ERROR, "include_dashboard": False}
    if folder is not None:
        return {
            **usual,
            "address": "local",
            "num_cpus": os.cpu_count() or 1,
            "object_store_memory": _STORE_BYTES,
            "_temp_dir": str(folder),
            "_node_ip_address": "127.0.0.1",  # its servers listen elsewhere, too: see own_ray
        }
    address = os.environ.get("RAY_ADDRESS") if cluster == "auto" else cluster
    if not address:
        raise EngineError("RAY_ADDRESS is not set: start lidr on a node of the cluster, or give HOST:PORT")
    del usual["include_dashboard"]
    return {**usual, "address": address}


def _own_folder() -> Path:
    """A new one; those that killed processes of ours have left are removed."""
    root = Path("/tmp")
    for left in root.glob(f"{_FOLDER}*"):
        pid = left.name.removeprefix(_FOLDER).partition("-")[0]
        with contextlib.suppress(OSError):
            if pid.isdigit() and left.stat().st_uid == os.getuid() and not psutil.pid_exists(int(pid)):
                shutil.rmtree(left, ignore_errors=True)
    return Path(tempfile.mkdtemp(prefix=f"{_FOLDER}{os.getpid()}-", dir=root))


def _why(cluster: str, error: BaseException) -> str:
    if isinstance(error, EngineError):
        return str(error)
    said = f"Ray {ray.__version__} says: {type(error).__name__}: {error}"
    if cluster == "local":
        return f"the cluster on this machine does not start. {said}"
    return f"cannot be reached; lidr must run on a node of it, with the same versions of Ray and Python. {said}"
