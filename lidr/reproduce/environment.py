"""What differs between here and where a release was made, listed before anything runs."""

from __future__ import annotations

import os
import platform
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from lidr.engines import ENGINES
from lidr.errors import HubError, StoreError
from lidr.hub import moved
from lidr.pipeline import package_versions
from lidr.release import OpenedRelease
from lidr.store import Record, read_contents

_MACHINE = ("machine", "cpus")


def differences(release: OpenedRelease, names: tuple[str, ...]) -> tuple[str, ...]:
    """One line for each difference: packages, processor, engine and number format.

    Args:
        names: the places that are made again.
    """
    published = release.environment.get("versions", {})
    here = package_versions()
    lines = [
        f"{name}: {published.get(name, 'not there')} -> {here.get(name, 'not installed')}"
        for name in (*published, *(name for name in here if name not in published))
        if published.get(name) != here.get(name)
    ]
    records = [release.records[name] for name in names]
    return (*lines, *_machine(records), *_engines(records), *_moved(release))


def _moved(release: OpenedRelease) -> list[str]:
    """Tags of what the release was made from that name another commit today; its own commits are read all the same."""
    try:
        return moved(read_contents(release.folder / "lidr"), target=release.found.target)
    except (HubError, StoreError):
        return []  # a repository that is not on this Hub is said where it is needed, a damaged lock by the checks


def _machine(records: list[Record]) -> list[str]:
    here = {"machine": platform.machine(), "cpus": os.cpu_count()}
    was: dict[str, set[Any]] = {name: {_text(r.execution.get(name)) for r in records} - {None} for name in _MACHINE}
    return [
        f"{name}: {', '.join(map(str, sorted(was[name], key=str)))} -> {here[name]}"
        for name in _MACHINE
        if was[name] and was[name] != {here[name]}
    ]


def _text(value: Any) -> Any:
    return value if isinstance(value, str | int | None) else str(value)


def _engines(records: list[Record]) -> list[str]:
    """What the engine was, where it is none that can run here."""
    wanted = {str(record.execution.get("engine")) for record in records} - {"None"}
    return [f"engine {engine}: {missing}" for engine in sorted(wanted) if (missing := missing_engine(engine))]


def missing_engine(engine: str) -> str | None:
    """What an engine lacks on this machine; None where it can run."""
    row, installed = ENGINES.get(engine), package_versions()
    if row is None or row.cpu_build in installed:
        return None
    if row.model == "server":
        return "a server's model has no pin, so it cannot be asked again as it was"
    if missing := [name for name in row.packages if name not in installed]:
        what = row.title or " and ".join(missing)
        return f"{what} {'are' if len(missing) > 1 else 'is'} not installed: pip install 'lidr[{row.extra}]'"
    if row.cpu_build is not None and not has_gpu():
        return f"{row.title or row.name} needs a GPU, and this machine has none"
    return None


def has_gpu() -> bool:
    """Whether there is an NVIDIA or AMD GPU that Linux knows of."""
    return any(Path(path).exists() for path in ("/dev/nvidia0", "/dev/kfd"))


def memory_gib() -> float:
    """Memory of this machine."""
    return float(os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") / 2**30)


def too_large(writes: str, weights: int) -> str | None:
    """Why a model does not fit, by the size of its files: once to answer, three times to train a LoRA; None if it may.

    Only a lower bound, and only without a GPU, whose memory is for the engine to find out.
    """
    needed, has = weights * (3 if writes == "policy" else 1), memory_gib() * 2**30
    if has_gpu() or needed <= has:
        return None
    return f"hardware: about {needed / 1e9:.0f} GB of memory or a GPU; this machine has {has / 1e9:.0f} GB and no GPU"


def machine() -> Mapping[str, Any]:
    """What it runs on, without its name."""
    return {
        "system": platform.system(),
        "machine": platform.machine(),
        "cpus": os.cpu_count(),
        "memory_gib": round(memory_gib()),
        "python": platform.python_version(),
        "packages": package_versions(),
    }
