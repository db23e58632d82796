"""What this machine and its environment have and lack for lidr, one finding a line; nothing is changed.

    ok    Python        3.11.9
    warn  extra vllm    lacks vllm: pip install 'lidr[vllm]'
    bad   store         /data/runs: no permission to write there; set LIDR_STORE

`bad` stands in the way of everything; `warn` of a part, or is worth a look.
"""

from __future__ import annotations

import importlib.metadata
import importlib.util
import os
import platform
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from queue import Empty, Queue
from threading import Thread
from typing import Literal

from packaging.requirements import Requirement

from lidr import hub
from lidr.disk_faults import locked
from lidr.secrecy import without_user
from lidr.store import store_root

State = Literal["ok", "warn", "bad"]
_ANSWER_S = 5.0  # longest wait for a Hub, and for a driver
_ROOM = 10 << 30  # bytes of free disk below which a run with a model of one's own soon ends
_PYTHON = ((3, 11), (3, 14))
_DATA = ("mgsm", "x_alpacaeval", "alpagasus", "gsm8k", "mt_bench")


@dataclass(frozen=True)
class Check:
    """One finding: what was looked at, how it is, and what to do where it is not well."""

    name: str
    state: State
    said: str
    do: str = ""


def examine(store: str = "runs") -> Iterator[Check]:
    """Look at everything, the quick things first; `store` is the folder where LIDR_STORE names none."""
    yield _python()
    yield from _packages()
    yield _machine()
    yield _gpus()
    yield from _environment()
    yield _token()
    yield from _disk(store_root(store))


def machine_said() -> str:
    """Cores, memory and GPUs, in one line."""
    return f"{_machine().said}; GPUs: {_gpus().said}"


def _python() -> Check:
    first, after = _PYTHON
    version = platform.python_version()
    if first <= sys.version_info[:2] < after:
        return Check("Python", "ok", version)
    wanted = f"{first[0]}.{first[1]} to {after[0]}.{after[1] - 1}"
    return Check("Python", "bad", f"{version}; lidr runs on {wanted}", f"make an environment with Python {wanted}")


def _packages() -> Iterator[Check]:
    """What pyproject asks for, as the installed lidr says it: the base, then each extra."""
    try:
        asked = [Requirement(text) for text in importlib.metadata.requires("lidr") or ()]
        extras = importlib.metadata.metadata("lidr").get_all("Provides-Extra") or []
    except importlib.metadata.PackageNotFoundError:
        yield Check("packages", "bad", "lidr itself is not installed", "pip install -e . in its folder")
        return
    base = [one for one in asked if one.marker is None or one.marker.evaluate({"extra": ""})]
    yield _found("packages", base, "pip install lidr", "bad")
    for extra in (name for name in extras if name not in ("dev", "all")):
        own = [one for one in asked if one not in base and one.marker and one.marker.evaluate({"extra": extra})]
        own = [one for one in own if one.name != "lidr"]
        yield _found(f"extra {extra}", own, f"pip install 'lidr[{extra}]'", "warn")


def _found(name: str, asked: list, install: str, state: State) -> Check:  # type: ignore[type-arg]
    lacking, other = [], []
    for one in asked:
        try:
            version = importlib.metadata.version(one.name)
        except importlib.metadata.PackageNotFoundError:
            lacking.append(one.name)
            continue
        if not one.specifier.contains(version, prereleases=True):
            other.append(f"{one.name} {version}, wanted {one.specifier}")
    if not lacking and not other:
        return Check(name, "ok", f"{len(asked)} packages, as pyproject asks")
    said = "; ".join([f"lacks {', '.join(lacking)}"] * bool(lacking) + other)
    return Check(name, state, said, install)


def _machine() -> Check:
    cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    return Check("machine", "ok", f"{cores} cores{_memory()}, {platform.system()} {platform.machine()}")


def _memory() -> str:
    try:
        total = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")
    except (ValueError, OSError):
        return ""
    return f", {total / 1e9:.0f} GB of memory"


def _gpus() -> Check:
    """By the driver's own tool: no torch is loaded."""
    tool = shutil.which("nvidia-smi")
    if tool is None:
        return Check("GPUs", "ok", "none that nvidia-smi knows; models run on the CPU")
    command = [tool, "--query-gpu=name,memory.total,memory.free", "--format=csv,noheader"]
    try:
        done = subprocess.run(command, capture_output=True, text=True, timeout=_ANSWER_S, check=True)
    except (OSError, subprocess.SubprocessError) as error:
        return Check("GPUs", "warn", f"nvidia-smi gives no answer ({type(error).__name__})", "look at the GPU's driver")
    return Check("GPUs", "ok", "; ".join(f"{line} free" for line in done.stdout.split("\n") if line.strip()) or "none")


def _environment() -> Iterator[Check]:
    endpoint = without_user(os.environ.get("HF_ENDPOINT", ""))
    yield Check("HF_ENDPOINT", "ok", endpoint or f"not set: {hub.HUGGING_FACE}")
    data = os.environ.get("LIDR_DATA")
    if not data:
        yield Check("LIDR_DATA", "ok", "not set: prompts and benchmarks are fetched where they are published")
    elif not Path(data).is_dir():
        yield Check("LIDR_DATA", "warn", f"{data}: no such folder", "set it to a folder as recipes/README.md describes")
    else:
        held = [name for name in _DATA if (Path(data) / name).is_dir()]
        yield Check(
            "LIDR_DATA", "ok" if held else "warn", f"{data}: {', '.join(held) or 'none of ' + ', '.join(_DATA)}"
        )


def _token() -> Check:
    """Whose the token is, asked of its Hub; the token itself is never shown."""
    target = hub.target_of_environment()
    if target is None or target.token is None:
        return Check("token", "ok", "none; `hf auth login`, or HF_TOKEN, for publishing and gated models")
    answers: Queue[str | Exception] = Queue()

    def ask() -> None:
        try:
            answers.put(str(target.api().whoami()["name"]))
        except Exception as error:  # the client has changed its HTTP library: its errors share no name
            answers.put(error)

    Thread(target=ask, daemon=True).start()  # one that hangs does not hold the command up
    try:
        found = answers.get(timeout=_ANSWER_S)
    except Empty:
        return Check("token", "warn", f"{target.endpoint} gives no answer in {_ANSWER_S:.0f} s", "look at your network")
    if isinstance(found, str):
        return Check("token", "ok", f"of {found} on {target.endpoint}")
    trouble = hub.read_trouble(found, target.token)
    if trouble.status in (401, 403):
        return Check("token", "bad", f"{target.endpoint} does not know it", "set HF_TOKEN to a token of this Hub")
    said = f"{target.endpoint}: {trouble.text[:200]}"
    return Check("token", "warn", said, "look at your network and HF_ENDPOINT")


def _disk(root: Path) -> Iterator[Check]:
    where = root if root.is_dir() else next(path for path in root.absolute().parents if path.is_dir())
    try:
        with (
            tempfile.TemporaryDirectory(prefix=".lidr-doctor-", dir=where) as folder,
            locked(Path(folder) / "lock", lambda: None),
        ):
            pass
    except OSError as error:
        said = f"{root}: {error.strerror or error}"
        yield Check("store", "bad", said, "set LIDR_STORE to a folder on a disk where files can be written and locked")
    else:
        yield Check("store", "ok", f"{root}{'' if root.is_dir() else ' (not there yet)'}: writable, locks work")
    free = shutil.disk_usage(where).free
    said = f"{free / 1e9:.1f} GB free at {where}"
    yield Check("disk", "ok" if free >= _ROOM else "warn", said, "" if free >= _ROOM else "set LIDR_STORE elsewhere")
