"""What sharing costs: ratios in one run, never times. Real Ray, real actors, an engine that sleeps and needs no core.

    python -m tests.benchmarks.replicas [ROWS]        rows of one engine; default 400

Goals: 2, 4 and 8 replicas take at most 1 / .95 of what one of them takes for its share; one replica over Ray takes at
most 1.05 of the engine without Ray; two nodes are at least 1.9 times as fast as one. The first answers are not timed:
starting is paid once.
"""

from __future__ import annotations

import json
import sys
import time
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

DELAY_S = 0.02


def main(rows: int) -> None:
    """Print the ratios."""
    from lidr.engines import ChatRequest, Engine, EngineSpec, Sampling, open_engine
    from tests.engines.replicas.simulated import Simulated

    def asked(count: int) -> list[ChatRequest]:
        sampling = Sampling(max_tokens=64)
        return [ChatRequest(f"k{i}", ({"role": "user", "content": f"Question {i}?"},), sampling) for i in range(count)]

    def timed(engine: Engine, count: int) -> tuple[float, float]:
        """Seconds, and milliseconds of this process's CPU for a row."""
        list(engine.generate(asked(32)))
        began, cpu = time.monotonic(), time.process_time()
        assert len({answer.key for answer in engine.generate(asked(count))}) == count
        return time.monotonic() - began, (time.process_time() - cpu) / count * 1e3

    cluster = Simulated()
    try:
        with TemporaryDirectory() as folder:
            script = Path(folder) / "answers.jsonl"
            script.write_text(json.dumps({"text": "Honey and wax. " * 20, "delay_s": DELAY_S}) + "\n")

            def spec(replicas: int) -> EngineSpec:
                return EngineSpec("scripted", model=str(script), replicas=replicas, cluster=cluster.address)

            log = Path(folder) / "log"
            with open_engine(spec(1), log=log) as engine:
                bare, _ = timed(engine, rows)
            cluster.of(1, cpus=8)
            with _over_ray(spec(1), log) as engine:
                one, cpu = timed(engine, rows)
            print(f"1 replica over Ray / without Ray: {one / bare:.3f} (at most 1.05); driver {cpu:.2f} ms CPU a row")
            for replicas in (2, 4, 8):
                with open_engine(spec(replicas), log=log) as engine:
                    taken, cpu = timed(engine, rows * replicas)
                linear = f"{one / taken:.3f} of linear (at least .95)"
                print(f"{replicas} replicas, {rows * replicas:,} rows: {linear}; driver {cpu:.2f} ms CPU a row")
            cluster.of(2, cpus=8)
            with open_engine(spec(2), log=log) as engine:
                both, _ = timed(engine, rows)
                nodes = getattr(engine, "facts", {})["nodes"]
            print(f"2 replicas on {nodes} nodes, {rows:,} rows: {one / both:.2f} times as fast as one (at least 1.9)")
    finally:
        cluster.close()


def _over_ray(spec: Any, log: Path) -> Any:
    """One replica, which `open_engine` would open without Ray."""
    from lidr.engines.replicas.ray_engine import RayEngine

    return RayEngine(spec, log=log)


if __name__ == "__main__":
    main(int(sys.argv[1]) if len(sys.argv) > 1 else 400)
