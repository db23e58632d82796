"""A real Ray cluster on this machine: a head without CPUs, where the driver is, and nodes that come and go."""

from __future__ import annotations

import contextlib
import os
import shutil
import tempfile
import time
from pathlib import Path
from typing import Any

import psutil

from lidr.engines.replicas.ray_cluster import _ENVIRONMENT, children, end_children, nodes

_NODE: dict[str, Any] = {"object_store_memory": 100 * 2**20}
_TRIES = 4


class Simulated:
    """Each node is a raylet of its own; they share the machine's files."""

    def __init__(self) -> None:
        """Start the head, and connect this process to it."""
        for name, value in _ENVIRONMENT.items():
            os.environ.setdefault(name, value)
        import ray
        from ray.cluster_utils import Cluster

        self._folder = tempfile.mkdtemp(prefix="lr-", dir="/tmp")  # short: it is part of the paths of sockets
        (Path(self._folder) / "ray").mkdir()
        self._before = {name: os.environ.get(name) for name in ("RAY_TMPDIR", "PYTHONPATH")}
        os.environ["RAY_TMPDIR"] = self._folder
        # Ray's own processes have 15 s to come up. Each imports requests, and with that chardet, which takes a second.
        (Path(self._folder) / "chardet.py").write_text("raise ImportError")
        os.environ["PYTHONPATH"] = os.pathsep.join(filter(None, (self._folder, os.environ.get("PYTHONPATH"))))
        self.nodes: list[Any] = []
        self._cluster = Cluster()
        self._started({"num_cpus": 0, "no_monitor": True, "include_dashboard": False, **_NODE})
        ray.init(address=self._cluster.address, log_to_driver=False, logging_level=40)

    @property
    def address(self) -> str:
        """HOST:PORT."""
        return str(self._cluster.address)

    def add(self, cpus: int = 1, gpus: int = 0) -> Any:
        """One more node; of GPUs Ray believes what it is told."""
        node = self._started({"num_cpus": cpus, "num_gpus": gpus, **_NODE})
        self.nodes.append(node)
        return node

    def _started(self, options: dict[str, Any]) -> Any:
        """One more node; on a busy machine at the second or third try."""
        for left in reversed(range(_TRIES)):
            before = children()
            try:
                return self._cluster.add_node(**options)
            except Exception:
                end_children(before)
                if not left:
                    raise
        raise AssertionError

    def lose(self, node: Any) -> None:
        """A node is gone without a word."""
        self._cluster.remove_node(node, allow_graceful=False)
        self.nodes.remove(node)

    def forget(self, node: Any) -> None:
        """A node is gone, and Ray knows it: until then it counts as a place for replicas, up to 20 s."""
        self.lose(node)
        until = time.monotonic() + 60
        while node.node_id in nodes():
            assert time.monotonic() < until, "Ray does not see that a node is gone"
            time.sleep(0.1)

    def silence(self, node: Any) -> list[psutil.Process]:
        """All processes of a node stop, with its connections open; `wake` has them go on, and is never left out."""
        raylet = psutil.Process(node.all_processes["raylet"][0].process.pid)
        stopped = [raylet, *raylet.children(recursive=True)]
        for process in stopped:
            with contextlib.suppress(psutil.NoSuchProcess):
                process.suspend()
        self.nodes.remove(node)
        return stopped

    def wake(self, stopped: list[psutil.Process]) -> None:
        """They go on."""
        for process in stopped:
            with contextlib.suppress(psutil.NoSuchProcess):
                process.resume()

    def warn(self, node: Any) -> None:
        """Whoever lent the node will take it back in a minute, and says so to Ray."""
        import ray
        from ray.core.generated import autoscaler_pb2

        reason = autoscaler_pb2.DrainNodeReason.Value("DRAIN_NODE_REASON_PREEMPTION")
        client = ray._raylet.GcsClient(address=self.address)
        is_accepted, why = client.drain_node(node.node_id, reason, "preempted", int(time.time() + 60) * 1000)
        assert is_accepted, why

    def of(self, count: int, cpus: int = 1) -> None:
        """As many nodes as that."""
        while len(self.nodes) > count:
            self.lose(self.nodes[-1])
        while len(self.nodes) < count:
            self.add(cpus)

    def close(self) -> None:
        """End everything."""
        import ray

        ray.shutdown()
        self._cluster.shutdown()
        shutil.rmtree(self._folder, ignore_errors=True)
        for name, value in self._before.items():
            os.environ.pop(name, None)
            os.environ.update({} if value is None else {name: value})
