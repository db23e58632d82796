"""`make prove scale:soak`: half an hour of answers on a real Ray cluster whose replicas and nodes die at random.

Each round asks the same questions of two replicas or more, and while they answer something happens every so many
answers: a replica or its worker is killed, Ray ends an actor, a node is lost, with a warning or without one, and comes
back. The answers must be those of one process, each once; no process may be left of a round. Rounds are lines of
tests/proofs/soak.jsonl; tests/proofs/soak.json has their sum. A stopped soak goes on with the next round; another
commit begins anew. LIDR_PROVE_SECONDS soaks for another time than 1,800 seconds.
"""

from __future__ import annotations

import json
import os
import random
import signal
import tempfile
import time
from collections import Counter
from contextlib import suppress
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import psutil

from lidr.engines import ChatRequest, Completion, EngineSpec, open_engine
from lidr.engines.replicas.ray_engine import RayEngine
from tests.engines.helpers import ask, by_key
from tests.engines.replicas.simulated import Simulated
from tests.faults.parts import commit_now
from tests.tiny import tiny_model

PROOFS = Path(__file__).parent / "proofs"
SECONDS, ROWS, APART = 1800, 3000, (150, 600)
"""How long it lasts, questions a round, and fewest and most answers between two faults."""


class Faults:
    """What can happen to a cluster of two nodes; `counts` says how often it did."""

    def __init__(self, cluster: Simulated, engine: RayEngine, draw: random.Random) -> None:
        self._cluster, self._engine, self._draw = cluster, engine, draw
        self.counts: Counter[str] = Counter()

    def one(self) -> None:
        """One fault, drawn at random among those that are possible now."""
        lost = [] if len(self._cluster.nodes) < 2 else [self.lose_node, self.warn_and_lose_node]
        back = [self.add_node] if len(self._cluster.nodes) < 3 else []
        act = self._draw.choice([self.kill_replica, self.kill_worker, self.end_actor, *lost, *back])
        if act():
            self.counts[act.__name__] += 1

    def _slot(self) -> Any | None:
        ready = [slot for slot in self._engine._slots if slot.state == "ready"]
        return self._draw.choice(ready) if ready else None

    def kill_replica(self) -> bool:
        """SIGKILL to an actor's process."""
        if slot := self._slot():
            with suppress(ProcessLookupError):
                os.kill(slot.hello.pid, signal.SIGKILL)
                return True
        return False

    def kill_worker(self) -> bool:
        """SIGKILL to the process that holds the model."""
        if slot := self._slot():
            with suppress(psutil.NoSuchProcess):
                for one in psutil.Process(slot.hello.pid).children():
                    one.kill()
                    return True
        return False

    def end_actor(self) -> bool:
        """As an administrator ends one."""
        import ray

        if slot := self._slot():
            ray.kill(slot.actor)
        return slot is not None

    def lose_node(self) -> bool:
        """A node is gone without a word."""
        self._cluster.lose(self._draw.choice(self._cluster.nodes))
        return True

    def warn_and_lose_node(self) -> bool:
        """A node that Ray knows will go."""
        node = self._draw.choice(self._cluster.nodes)
        self._cluster.warn(node)
        self._cluster.lose(node)
        return True

    def add_node(self) -> bool:
        """One more."""
        self._cluster.add()
        return True


def prove(machine: dict[str, Any]) -> int:
    """Soak until the time is full; 0 where every round gave what one process gives."""
    wanted, commit, lines = int(os.environ.get("LIDR_PROVE_SECONDS", SECONDS)), commit_now(), PROOFS / "soak.jsonl"
    kept = [json.loads(line) for line in lines.read_text().splitlines()] if lines.exists() else []
    rounds = [one for one in kept if one["commit"] == commit]
    rows = [ask(f"p{number}", f"What do {number} bees make?", max_tokens=8) for number in range(ROWS)]
    with tempfile.TemporaryDirectory() as work:
        model = tiny_model(Path(work) / "model", "llama3", seed=1)
        spec = EngineSpec("transformers", model=str(model), batch=16, threads=1)
        with open_engine(spec, log=Path(work) / "alone") as engine:
            alone = by_key(engine.generate(rows))
        cluster = Simulated()
        try:
            while sum(one["seconds"] for one in rounds) < wanted:
                one = soaked(len(rounds), cluster, model, rows, alone) | {"commit": commit}
                rounds.append(one)
                with lines.open("a", encoding="utf-8") as file:
                    file.write(json.dumps(one) + "\n")
                print(json.dumps(one), flush=True)
        finally:
            cluster.close()
    return write(rounds, commit, machine)


def soaked(
    number: int, cluster: Simulated, model: Path, rows: list[ChatRequest], alone: dict[str, Completion]
) -> dict[str, Any]:
    """One round, with the faults of its number."""
    draw, began = random.Random(number), time.monotonic()
    cluster.of(2)
    before = {one.pid for one in _at_work()}
    spec = EngineSpec("transformers", model=str(model), batch=16, threads=1, replicas="all", cluster=cluster.address)
    found: list[Any] = []
    with tempfile.TemporaryDirectory() as log, open_engine(spec, log=Path(log) / "log") as engine:
        assert isinstance(engine, RayEngine)
        engine._new_places_every_s = 0.5
        faults = Faults(cluster, engine, draw)
        following = draw.randint(*APART)
        for answer in engine.generate(iter(rows)):
            found.append(answer)
            if len(found) == following:
                faults.one()
                following += draw.randint(*APART)
        facts = dict(engine.facts)
    keys = Counter(answer.key for answer in found)
    return {
        "round": number,
        "rows": len(rows),
        "missing": len(set(alone) - set(keys)),
        "doubled": sum(count - 1 for count in keys.values()),
        "other": sum(answer != alone[answer.key] for answer in found),
        "faults": dict(faults.counts),
        "replicas_started": facts["replicas_started"],
        "replicas_died": facts["replicas_died"],
        "left": _left(before),
        "driver_mb": round(psutil.Process().memory_info().rss / 1e6),
        "seconds": round(time.monotonic() - began, 1),
    }


def _at_work() -> list[psutil.Process]:
    """Replicas and their workers, of this cluster alone, whoever their parent is by now."""
    found = []
    for one in psutil.process_iter():
        with suppress(psutil.Error):
            command = " ".join(one.cmdline())
            is_one = "ray::Replica" in command or "engine_worker" in command
            if is_one and one.environ().get("RAY_TMPDIR") == os.environ["RAY_TMPDIR"]:
                found.append(one)
    return found


def _left(before: set[int], wait_s: float = 20.0) -> int:
    """How many of them are still there, some time after the engine was closed."""
    until = time.monotonic() + wait_s
    while (left := [one for one in _at_work() if one.pid not in before]) and time.monotonic() < until:
        time.sleep(0.5)
    return len(left)


def write(rounds: list[dict[str, Any]], commit: str | None, machine: dict[str, Any]) -> int:
    """The sum of all rounds to soak.json; 0 where all went well."""
    faults: Counter[str] = Counter()
    for one in rounds:
        faults.update(one["faults"])
    wrong = {name: sum(one[name] for one in rounds) for name in ("missing", "doubled", "other", "left")}
    result = {
        "proof": "soak",
        "what": "answers of replicas that die at random are those of one process, each once; no process is left",
        "rounds": len(rounds),
        "seconds": round(sum(one["seconds"] for one in rounds)),
        "rows": sum(one["rows"] for one in rounds),
        "faults": dict(sorted(faults.items())),
        "replicas_started": sum(one["replicas_started"] for one in rounds),
        "replicas_died": sum(one["replicas_died"] for one in rounds),
        "wrong": wrong,
        "driver_mb": [rounds[0]["driver_mb"], rounds[-1]["driver_mb"]],
        "finished": datetime.now(UTC).isoformat(timespec="seconds"),
        "commit": commit,
        "machine": machine,
    }
    (PROOFS / "soak.json").write_text(json.dumps(result, indent=1) + "\n", encoding="utf-8")
    print(json.dumps(result, indent=1))
    return int(any(wrong.values()))
