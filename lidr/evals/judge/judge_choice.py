"""Which judge: a server that is there, or a local model that lidr serves for as long as it is asked.

openai:gpt-4-1106-preview@https://api.openai.com/v1      a server; its key from LIDR_JUDGE_API_KEY
org/name@rev, ./folder, run:..., dist:...                a local judge, on a port of 127.0.0.1
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager, nullcontext
from pathlib import Path
from typing import Any

from lidr.evals.checkpoint import Checkpoint, find_checkpoint
from lidr.evals.judge.local import local_judge
from lidr.evals.judge.settings import Judge, JudgeSettings

_SERVED = "judge"
"""What a local judge's server calls it: a name that no folder can change, since it is part of each question."""


def judge_of(reference: str, settings: Mapping[str, Any], *, kind: str, log: Path, dtype: str = "float32") -> Judge:
    """Resolve a judge now, so that a mistake is found before anything is generated; open it later.

    Args:
        reference: the judge's model.
        settings: of JudgeSettings, but for model and base_url.
        kind: the engine that serves a local judge.
        log: of a local judge's server.
        dtype: of a local judge's weights.

    Raises:
        EvaluationError: no such judge, or a setting that cannot be used.
    """
    found = find_checkpoint(reference, dtype=dtype, where="the judge")
    if found.folder is None:
        asked = JudgeSettings.checked({**settings, "model": found.served, "base_url": found.url})
        return served(asked)
    JudgeSettings.checked({**settings, "model": _SERVED, "base_url": "http://127.0.0.1:1/v1"})
    return lambda: _local(found, settings, kind, log, dtype)


def served(settings: JudgeSettings) -> Judge:
    """A judge that is there already."""
    return lambda: nullcontext(settings)


@contextmanager
def _local(found: Checkpoint, settings: Mapping[str, Any], kind: str, log: Path, dtype: str) -> Iterator[JudgeSettings]:
    assert found.folder is not None
    digest, facts = found.facts.digest, found.facts
    shown = f"{facts.reference}@{facts.revision}" if facts.revision and "@" not in facts.reference else facts.reference
    with local_judge(found.folder, kind=kind, log=log, dtype=dtype, weights_sha256=digest, name=_SERVED) as local:
        yield JudgeSettings.checked(
            {**settings, "model": local.model, "base_url": local.url, "digest": local.digest, "shown": shown}
        )
