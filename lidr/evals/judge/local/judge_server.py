"""A judge on this machine that lidr starts, and ends for certain.

with local_judge(Path("models/judge"), log=Path("judge.log")) as local:
    verdicts = judge(comparisons, local.settings(mode="logprob_swap"))

The server listens on 127.0.0.1 only, on a free port, in a worker's process group: when the block ends, or this process
is killed, nothing of it lives on.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from lidr.engines import ModelFolder, engine_row
from lidr.evals.judge.settings import JudgeSettings
from lidr.extras import require
from lidr.hub import model_files
from lidr.store import file_sha256
from lidr.worker import Worker


@dataclass(frozen=True)
class LocalJudge:
    """A judge that is being served.

    Args:
        url: base URL, ending in /v1.
        model: its name, that of the model's folder.
        digest: engine, number format and weights: what its answers depend on.
    """

    url: str
    model: str
    digest: str

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

    Raises:
        EngineError: no model folder, no chat template, or the server does not come up; says where its log is.
        MissingExtraError: packages are not installed.
    """
    row, needed_for = engine_row(kind), f"a local judge ({kind})"
    require(row.extra, row.packages, needed_for=needed_for)
    require("eval", ("starlette", "uvicorn"), needed_for=needed_for)
    ModelFolder(model).check()
    name = name or model.resolve().name
    spec = {"kind": kind, "model": str(model.resolve()), "dtype": dtype, "batch": batch, "threads": threads}
    worker = Worker("lidr.evals.judge.local.judge_worker", log=log)
    try:
        worker.send({"serve": {**spec, "max_model_len": max_model_len}, "name": name, "log": str(log)})
        (reply,) = list(worker.replies())
        digest = f"{kind}/{dtype}/{weights_sha256 or folder_sha256(model)}"
        yield LocalJudge(f"http://127.0.0.1:{reply['port']}/v1", name, digest)
    finally:
        worker.close(grace_s=row.grace_s)


def folder_sha256(model: Path) -> str:
    """Digest of all files of a model: of their names and contents."""
    lines = [f"{path.name} {file_sha256(path)}\n" for path in model_files(model)]
    return hashlib.sha256("".join(lines).encode()).hexdigest()
