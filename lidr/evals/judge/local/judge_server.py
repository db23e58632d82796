"""A judge on this machine that lidr starts, and ends for certain.

with local_judge(Path("models/judge"), log=Path("judge.log")) as local:
    verdicts = judge(comparisons, local.settings(mode="logprob_swap"))

The server listens on 127.0.0.1 only, on a free port, in a worker's process group: when the block ends, or this process
is killed, nothing of it lives on. With several replicas, that server hands questions on to a judge on each.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal

from lidr.engines import ModelFolder, engine_row
from lidr.evals.judge.settings import JudgeSettings
from lidr.extras import require
from lidr.hub import model_files
from lidr.store import file_sha256
from lidr.worker import Worker

_RAY_ENDS_WITHIN_S = 20.0


@dataclass(frozen=True)
class LocalJudge:
    """A judge that is being served.

    Args:
        url: base URL, ending in /v1.
        model: its name, that of the model's folder.
        digest: engine, number format and weights: what its answers depend on.
        at_once: so many times the questions of one judge keep it busy: a replica has some at work, and as many ready.
        ran_on: of several replicas, when the block has ended: how many were started and died, and on how many nodes.
    """

    url: str
    model: str
    digest: str
    at_once: int = 1
    ran_on: dict[str, Any] = field(default_factory=dict)

    def settings(self, **values: Any) -> JudgeSettings:
        """Settings that ask this judge.

        Raises:
            EvaluationError: a value cannot be used.
        """
        return JudgeSettings.checked({**values, "model": self.model, "base_url": self.url, "digest": self.digest})


@contextmanager
def local_judge(
    model: Path,
    *,
    log: Path,
    kind: str = "transformers",
    dtype: str = "float32",
    batch: int = 8,
    threads: int = 0,
    max_model_len: int | None = None,
    weights_sha256: str | None = None,
    name: str | None = None,
    replicas: int | Literal["all"] = 1,
    cluster: str = "local",
) -> Iterator[LocalJudge]:
    """Serve a model folder for the length of a block.

    Args:
        model: folder of safetensors with tokenizer and chat template.
        log: file that receives, appended, what the server prints.
        kind: the engine that serves it: transformers behind our own small server, or vLLM's (`vllm`).
        dtype: number format of the weights.
        batch: questions in one forward pass (transformers).
        threads: CPU threads; 0 lets the libraries choose.
        max_model_len: longest question plus answer, tokens; by default what the model's config says.
        weights_sha256: digest of the model, where the caller knows it; else every file is read.
        name: what the server calls the model; by default the folder's name.
        replicas, cluster: judges that share the questions, and where: as of `EngineSpec`.

    Raises:
        EngineError: no model folder, no chat template, or the server does not come up; says where its log is.
        MissingExtraError: packages are not installed.
    """
    row, needed_for = engine_row(kind), f"a local judge ({kind})"
    require(row.extra, row.packages, needed_for=needed_for)
    require("eval", ("starlette", "uvicorn"), needed_for=needed_for)
    if replicas != 1:
        require("ray", ("ray",), needed_for=f"{needed_for} on {replicas} replicas")
    ModelFolder(model).check()
    name = name or model.resolve().name
    spec = {"kind": kind, "model": str(model.resolve()), "dtype": dtype, "batch": batch, "threads": threads}
    spec |= {"max_model_len": max_model_len, "replicas": replicas, "cluster": cluster}
    worker = Worker("lidr.evals.judge.local.judge_worker", log=log, fresh=not row.is_forked)
    try:
        worker.send({"serve": spec, "name": name, "log": str(log)})
        (reply,) = list(worker.replies())
        digest = f"{kind}/{dtype}/{weights_sha256 or folder_sha256(model)}"
        local = LocalJudge(f"http://127.0.0.1:{reply['port']}/v1", name, digest, 2 * reply["replicas"] or 1)
        yield local
        if replicas != 1:
            worker.send({"facts": True})
            (reply,) = list(worker.replies())
            local.ran_on.update(*reply["facts"])
    finally:
        worker.close(grace_s=row.grace_s + (_RAY_ENDS_WITHIN_S if replicas != 1 else 0))


def folder_sha256(model: Path) -> str:
    """Digest of all files of a model: of their names and contents."""
    lines = [f"{path.name} {file_sha256(path)}\n" for path in model_files(model)]
    return hashlib.sha256("".join(lines).encode()).hexdigest()
