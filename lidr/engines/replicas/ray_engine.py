"""Engines on Ray actors that share one stream of requests.

    requests --chunks--> replica, replica, ...  (at most two chunks with each)
             <--answers--

What is with whom is known here and nowhere else. Whoever dies, leaves or joins: what has no answer is handed out again,
and an answer is passed on once.
"""

from __future__ import annotations

import logging
import os
import time
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any, Literal

import ray
from ray.exceptions import ActorDiedError, NodeDiedError, ObjectLostError, RayActorError, RayError

from lidr.engines.engine import ChatRequest, Completion, Engine, EngineSpec, Failure
from lidr.engines.model_folder import ModelFolder
from lidr.engines.registry import engine_row
from lidr.engines.replicas import ray_cluster, silence
from lidr.engines.replicas.chunks import MOST_DEATHS, Chunk, Chunks
from lidr.engines.replicas.model_proof import Meant, Stamps, meant
from lidr.engines.replicas.ray_cluster import Needs
from lidr.engines.replicas.replica import Heard, Hello, Replica, versions
from lidr.errors import EngineError

_LOG = logging.getLogger("lidr.engines")

_SMALLEST, _LARGEST = 50, 256
"""Requests of a chunk: enough to be worth the journey, few enough to be asked again."""
_OF_VLLM = 1024
"""Of vLLM: its batch runs empty towards the end of each chunk, as the next begins when the last is answered."""
_IN_FLIGHT = 2
_LITTLE = 0.01
"""CPUs of a replica that holds no model: so many fit, and none is put where there is no CPU."""
_LOOK_S = 1.0
_SOON_S = 0.05
"""So often it looks for new requests while a replica has room for them."""
_COMPANY_S = 60.0
"""So long the first replica waits for the others, whose places somebody else may have taken."""
_NEW_PLACES_EVERY_S = 30.0
_END_S = 10.0
"""So long a replica that hangs has to end its worker, before it is killed itself."""
_NO_PLACE_S = 1800.0
"""So long work waits for a first replica, and for another when all are gone."""
_TELL_NO_PLACE_S = 60.0
"""After so long of it, that it waits is told."""

_LOSSES = (RayActorError, ObjectLostError, NodeDiedError)
"""What Ray says of an actor that is gone; of a lost node, also that what the actor said can no more be fetched."""

State = Literal["placing", "proving", "held", "opening", "ready"]


@dataclass
class _Slot:
    """One replica.

    Args:
        actor: Ray's handle.
        call: what is awaited of it; one call at a time, so that a death is told once.
        state: `placing` until it has a node, `proving` while the model there is compared, `held` until that is done,
            `opening` while it loads, then `ready`.
        chunks: what it is at work on.
        silent_s: so long it has been listened to since it last answered something.
        is_told: whether that was told.
    """

    actor: Any
    call: Any
    state: State = "placing"
    hello: Hello | None = None
    chunks: dict[int, Chunk] = field(default_factory=dict)
    silent_s: float = 0.0
    is_told: bool = False

    @property
    def name(self) -> str:
        """For messages."""
        return "a replica" if self.hello is None else f"the replica on {self.hello.host} (process {self.hello.pid})"


class RayEngine(Engine):
    """Several engines that look like one. When it is closed, their memory, GPUs' included, is free."""

    def __init__(self, spec: EngineSpec, *, log: Path) -> None:
        """Reach the cluster, start the replicas, compare their nodes, and load the model.

        Raises:
            EngineError: there is no place for them, a node has another model or other versions, or the model cannot be
                used.
        """
        row = engine_row(spec.kind)
        self._model = Path(os.path.abspath(spec.model))
        if row.model == "folder":
            ModelFolder(self._model).check()
        self._adapter = Path(os.path.abspath(spec.adapter)) if spec.adapter is not None else None
        over = str(self._adapter) if self._adapter is not None else None
        self._spec = replace(spec, model=str(self._model), adapter=over, replicas=1)
        self._log, self._wanted = log.absolute(), spec.replicas
        self._slots: list[_Slot] = []
        self._proved: dict[str, Stamps] = {}
        self._meant: tuple[Meant, ...] = ()
        self._deaths = self._starts = self._early = 0
        self._met: dict[Hello, bool] = {}
        self._is_closed = False
        self._patience = silence.Patience()
        self._new_places_every_s = _NEW_PLACES_EVERY_S
        self._placed_at = self._looked_at = time.monotonic()
        self._is_wait_told = False
        cpus = spec.threads or 1 if row.model == "folder" else _LITTLE
        ray_cluster.connect(spec.cluster)
        try:
            has_cards = any(one.get("GPU") for one in ray_cluster.nodes().values())
            self._needs = Needs(cpus, spec.gpus if has_cards and row.model == "folder" else 0)
            self._begin()
        except RayError as error:
            self.close()
            raise _of_ray(error) from error
        except BaseException:
            self.close()
            raise

    @property
    def facts(self) -> dict[str, Any]:
        """How it ran, for a record: replicas that were started, those that died, and nodes that they were on."""
        return {
            "replicas_started": self._starts,
            "replicas_died": self._deaths,
            "nodes": len({hello.node for hello in self._met}),
        }

    @property
    def replicas(self) -> tuple[int, int]:
        """How many are ready now, and how many are wanted."""
        return sum(slot.state == "ready" for slot in self._slots), len(self._slots)

    def generate(self, requests: Iterable[ChatRequest | None]) -> Iterator[Completion | Failure]:
        """Answer the requests, each as soon as it is ready.

        A stream that is left early ends the replicas that are at work; the next call starts others.
        """
        if self._is_closed:
            raise EngineError("this engine is closed")
        usual = min(max(_SMALLEST, 4 * self._spec.batch), _LARGEST)
        chunks = Chunks(requests, _OF_VLLM if self._spec.kind == "vllm" else usual, max(1, self._spec.batch // 4))
        is_done = False
        try:
            self._fill()
            while self._hand_out(chunks):
                for slot, said in self._said(self._patience_s(chunks)):
                    yield from self._hear(slot, said, chunks)
                yield from self._end_silent(chunks)
            is_done = True
        except RayError as error:
            raise _of_ray(error) from error
        finally:
            if not is_done:
                self._end([slot for slot in self._slots if slot.chunks])

    def close(self) -> None:
        """End the replicas and all that they started, and let go of the cluster."""
        if self._is_closed:
            return
        self._is_closed = True
        try:
            calls = [slot.actor.close.remote() for slot in self._slots if slot.state == "ready"]
            if calls and ray.is_initialized():
                ray.wait(calls, num_returns=len(calls), timeout=engine_row(self._spec.kind).grace_s)
            self._end(self._slots)
        finally:
            ray_cluster.disconnect()
            for hello, is_dead in self._met.items():
                name = hello.log_name(self._log)
                name.with_name(f"{name.name}.requests").unlink(missing_ok=True)
                if not is_dead:  # of one that died the log says why
                    name.unlink(missing_ok=True)

    # Starting

    def _begin(self) -> None:
        """Start as many as are wanted; none answers before the nodes of all that have a place are compared."""
        places = self._places()
        if places == 0:
            raise EngineError(f"no node has room for a replica: each needs {self._needs_said()}; {_cluster_said()}")
        is_bounded = not self._needs.is_little
        if self._spec.cluster == "local" and self._wanted != "all" and is_bounded and places < self._wanted:
            raise EngineError(
                f"runtime.replicas: {self._wanted}: this machine has room for {places}: each needs "
                f"{self._needs_said()}; {_cluster_said()}; give {places}, or `all` for as many as fit"
            )
        self._fill()
        expected = min(places, len(self._slots)) if is_bounded else len(self._slots)
        until = float("inf")
        while (there := sum(slot.state == "held" for slot in self._slots)) < expected and time.monotonic() < until:
            until = min(until, time.monotonic() + _COMPANY_S) if there else float("inf")
            self._listen()
        self._open_held()
        while not any(slot.state == "ready" for slot in self._slots):
            self._listen()

    def _places(self) -> int:
        return sum(self._needs.fit(node) for node in ray_cluster.nodes().values())

    def _fill(self) -> None:
        """As many replicas as are wanted; Ray places those for which there is no room yet when a node joins."""
        wanted = self._places() if self._wanted == "all" else self._wanted
        while len(self._slots) < wanted:
            self._slots.append(self._start())

    def _start(self) -> _Slot:
        needs = {"num_cpus": self._needs.cpus, "num_gpus": self._needs.gpus, "scheduling_strategy": "SPREAD"}
        actor = ray.remote(**needs, max_restarts=0, max_task_retries=0, max_concurrency=4)(Replica).remote()
        return _Slot(actor, actor.hello.remote())

    def _meet(self, slot: _Slot, hello: Hello) -> None:
        """Compare versions; what stands on the driver's own node is what is meant."""
        slot.hello, here = hello, versions()
        if hello.versions != here:
            names = sorted(name for name in {*here, *hello.versions} if here.get(name) != hello.versions.get(name))
            told = "; ".join(
                f"{name} {hello.versions.get(name, 'none')}, {here.get(name, 'none')} here" for name in names
            )
            raise EngineError(f"node {hello.host} has other versions: {told}. Install the same on every node")
        self._starts += 1
        self._met[hello] = False
        if hello.node == ray.get_runtime_context().get_node_id():
            self._proved.setdefault(hello.node, {})
        proving = {one.hello.node for one in self._slots if one.state == "proving" and one.hello}
        slot.state, slot.call = "held", None
        if hello.node not in self._proved and hello.node not in proving:
            self._prove(slot)

    def _prove(self, slot: _Slot) -> None:
        folders = (self._model,) if self._adapter is None else (self._model, self._adapter)
        self._meant = self._meant or tuple(map(meant, folders))
        slot.state, slot.call = "proving", slot.actor.prove.remote(self._meant)

    def _proven(self, slot: _Slot, fault: str | None, stamps: Stamps) -> None:
        assert slot.hello is not None
        if fault is not None:
            raise EngineError(
                f"node {slot.hello.host}: {fault}. Every node must have the model at the same place: put the store, "
                "and for models of a Hub HF_HOME, on storage that all nodes share"
            )
        self._proved[slot.hello.node] = stamps
        slot.state, slot.call = "held", None

    def _open_held(self) -> None:
        """Load the model on the nodes that were compared; on the others, compare."""
        for slot in self._slots:
            if slot.state == "held" and slot.hello is not None:
                if slot.hello.node in self._proved:
                    slot.state, slot.call = "opening", slot.actor.open.remote(self._spec, str(self._log))
                elif not any(
                    one.state == "proving" and one.hello and one.hello.node == slot.hello.node for one in self._slots
                ):
                    self._prove(slot)

    # Working

    def _hand_out(self, chunks: Chunks) -> bool:
        """Give work to whoever has room; whether anything is still to come."""
        self._open_held()
        for slot in self._slots:
            if slot.state != "ready":
                continue
            while len(slot.chunks) < _IN_FLIGHT and not any(chunk.deaths for chunk in slot.chunks.values()):
                chunk = chunks.take(replicas=len(self._slots), is_idle=not slot.chunks)
                if chunk is None:
                    break
                if not slot.chunks:
                    slot.silent_s, slot.is_told = 0.0, False
                slot.chunks[chunk.number] = chunk
                slot.actor.take.remote(chunk.number, chunk.load())
            if slot.chunks and slot.call is None:
                slot.call = slot.actor.collect.remote()
        self._look_for_places()
        return not chunks.is_empty or any(slot.chunks for slot in self._slots)

    def _look_for_places(self) -> None:
        """Use nodes that have joined; give up when nobody has been there for long."""
        now = time.monotonic()
        if any(slot.state in ("opening", "ready") for slot in self._slots):
            self._placed_at, self._is_wait_told = now, False
        elif now - self._placed_at > _NO_PLACE_S:
            raise EngineError(
                f"no replica has found a place for {_NO_PLACE_S / 60:.0f} minutes: each needs {self._needs_said()}; "
                f"{_cluster_said()}. Finished rows are kept: run the same command again"
            )
        elif now - self._placed_at > _TELL_NO_PLACE_S and not self._is_wait_told:
            self._is_wait_told = True
            _LOG.warning(
                "no replica has found a place yet: each needs %s; %s. Waiting up to %.0f minutes for one",
                self._needs_said(),
                _cluster_said(),
                _NO_PLACE_S / 60,
            )
        if self._wanted == "all" and now - self._looked_at > self._new_places_every_s:
            self._looked_at = now
            self._fill()

    def _patience_s(self, chunks: Chunks) -> float:
        has_room = any(slot.state == "ready" and len(slot.chunks) < _IN_FLIGHT for slot in self._slots)
        return _SOON_S if has_room and not chunks.is_empty else _LOOK_S

    def _said(self, within_s: float = _LOOK_S) -> Iterator[tuple[_Slot, Any]]:
        """What has arrived: of which replica, and what, or the error of its death."""
        calls = {slot.call: slot for slot in self._slots if slot.call is not None}
        if not calls:
            time.sleep(within_s)
            return
        began = time.monotonic()
        ready, _ = ray.wait([*calls], num_returns=1, timeout=within_s)
        waited_s = min(time.monotonic() - began, 2 * within_s)  # of a process that was stopped, not all
        for slot in calls.values():
            slot.silent_s += waited_s
        for call in ready:
            try:
                yield calls[call], ray.get(call)
            except _LOSSES as error:
                yield calls[call], error

    def _listen(self) -> None:
        """Hear whoever speaks before there is work."""
        for slot, said in self._said():
            for _ in self._hear(slot, said, None):
                pass
        self._look_for_places()

    def _hear(self, slot: _Slot, said: Any, chunks: Chunks | None) -> Iterator[Completion | Failure]:
        """Go on with a replica by what it says."""
        if isinstance(said, _LOSSES):
            yield from self._lost(slot, said, chunks)
        elif slot.state == "placing":
            self._meet(slot, said)
        elif slot.state == "proving":
            self._proven(slot, *said)
        else:
            yield from self._heard(slot, said, chunks)

    def _heard(self, slot: _Slot, said: Heard, chunks: Chunks | None) -> Iterator[Completion | Failure]:
        slot.call = None
        if said.answers or said.done:
            slot.silent_s, slot.is_told = 0.0, False
        for number, answer in said.answers:
            if number in slot.chunks and (settled := slot.chunks[number].settle(answer)) is not None:
                yield settled
        for number in said.done:
            if (chunk := slot.chunks.pop(number, None)) is not None:
                self._patience.learn(chunk)
                yield from (Failure(one.key, "the engine gave no answer") for one in chunk.waiting.values())
        if said.error is not None:
            where = "" if slot.hello is None or self._spec.cluster == "local" else f"node {slot.hello.host}: "
            raise EngineError(f"{where}{said.error}")
        if said.death is not None:
            yield from self._lost(slot, said.death, chunks)
        elif slot.state == "opening":
            slot.state, self._early = "ready", 0

    def _end_silent(self, chunks: Chunks) -> Iterator[Failure]:
        """End whoever has been silent for longer than work can take; its chunks are asked again as after a death."""
        for slot in [*self._slots]:
            if not slot.chunks or slot.silent_s <= silence.LEAST_S:
                continue
            limit_s, said = self._patience.limit_s(slot.chunks.values()), f"{slot.silent_s / 60:.3g} minutes"
            if slot.silent_s > limit_s:
                ray.wait([slot.actor.end.remote()], timeout=_END_S)
                yield from self._lost(slot, f"it was ended, having answered nothing for {said}", chunks)
            elif slot.silent_s > silence.TELL_S and not slot.is_told:
                slot.is_told = True
                until = "until it answers" if limit_s == float("inf") else f"up to {limit_s / 60:,.0f} minutes in all"
                _LOG.warning("%s has answered nothing for %s; waiting %s", slot.name, said, until)

    def _lost(self, slot: _Slot, why: RayError | str, chunks: Chunks | None) -> Iterator[Failure]:
        """A replica is gone: another takes its place, and what it has not answered goes back.

        One whose node cannot be reached might come back and answer: it is killed first.
        """
        self._end([slot])
        self._deaths += 1
        if slot.hello is not None:
            self._met[slot.hello] = True
        is_preempted = isinstance(why, ActorDiedError) and why.preempted
        is_blamed = isinstance(why, str | ActorDiedError) and not is_preempted
        said = why if isinstance(why, str) else _said_of_death(why)
        _LOG.warning("%s is gone: %s", slot.name, said)
        if slot.state == "opening" and is_blamed:
            self._early += 1
            if self._early >= MOST_DEATHS:
                raise EngineError(
                    f"{self._early} replicas in a row ended while they loaded the model; the last: {said}"
                )
        for chunk in slot.chunks.values():
            if chunks is not None:
                yield from chunks.give_back(chunk, is_blamed=is_blamed, why=said)
        self._fill()

    def _end(self, slots: Iterable[_Slot]) -> None:
        for slot in [*slots]:
            self._slots.remove(slot)
            if ray.is_initialized():
                ray.kill(slot.actor, no_restart=True)

    def _needs_said(self) -> str:
        cards = f"{self._needs.gpus} GPU{'s' * (self._needs.gpus > 1)} of one node" if self._needs.gpus else ""
        cpus = f"{max(1, self._needs.cpus):g} CPU{'s' * (self._needs.cpus > 1)}"
        return " and ".join(part for part in (cards, cpus) if part)


def _said_of_death(error: RayError) -> str:
    """What Ray says first, and where it knows why (its node has died, ...), that; the rest are numbers of Ray's own."""
    first, *more = str(error).strip().splitlines()
    return " ".join([first, *(line.strip() for line in more if " because " in line)])


def _of_ray(error: RayError) -> EngineError:
    return EngineError(f"the Ray cluster: {type(error).__name__}: {error}. Finished rows are kept")


def _cluster_said() -> str:
    found = ray_cluster.nodes().values()
    cards = sum(int(node.get("GPU", 0)) for node in found)
    return f"the cluster has {len(found)} nodes, {cards} GPUs, {sum(int(node.get('CPU', 0)) for node in found)} CPUs"
