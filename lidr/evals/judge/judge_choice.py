"""Which judge: a server that is there, or a local model that lidr serves for as long as it is asked.

openai:gpt-4-1106-preview@https://api.openai.com/v1      a server; its key from LIDR_JUDGE_API_KEY
org/name@rev, ./folder, run:..., dist:...                a local judge, on a port of 127.0.0.1
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from contextlib import AbstractContextManager, contextmanager, nullcontext
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any, Literal

from lidr.engines import Hopeless
from lidr.errors import EvaluationError
from lidr.evals.checkpoint import Checkpoint, find_checkpoint
from lidr.evals.judge.judge_client import JudgeClient
from lidr.evals.judge.local import SERVED, LocalJudge, local_judge
from lidr.evals.judge.settings import MOST_AT_ONCE, Judge, JudgeSettings


def judge_of(
    reference: str,
    settings: Mapping[str, Any],
    *,
    kind: str,
    log: Path,
    dtype: str = "float32",
    replicas: int | Literal["all"] = 1,
    cluster: str = "local",
    ran_on: Callable[[Mapping[str, Any]], None] = lambda facts: None,
) -> Judge:
    """Resolve a judge now, so that a mistake is found before anything is generated; open it later.

    Args:
        reference: the judge's model.
        settings: of JudgeSettings, but for model and base_url.
        kind: the engine that serves a local judge.
        log: of a local judge's server.
        dtype: of a local judge's weights.
        replicas, cluster: how many of a local judge share the questions, and where. Then `concurrency` is of each.
        ran_on: told at the end how a local judge's replicas ran, where there are several.

    Raises:
        EvaluationError: no such judge, or a setting that cannot be used.
    """
    found = find_checkpoint(reference, dtype=dtype, where="the judge")
    if found.folder is None:
        asked = JudgeSettings.checked({**settings, "model": found.served, "base_url": found.url})
        return served(asked)
    JudgeSettings.checked({**settings, "model": SERVED, "base_url": "http://127.0.0.1:1/v1"})
    opened = partial(local_judge, kind=kind, log=log, dtype=dtype, replicas=replicas, cluster=cluster)
    return lambda: _local(found, settings, opened, ran_on)


@dataclass(frozen=True)
class _Served:
    settings: JudgeSettings

    def __call__(self) -> AbstractContextManager[JudgeSettings]:
        return nullcontext(self.settings)


def served(settings: JudgeSettings) -> Judge:
    """A judge that is there already."""
    return _Served(settings)


def meet_judge(judge: Judge | None, what_to_do: str) -> None:
    """Look whether the judge's server is there, before answers are made for it; a local judge is started later.

    Raises:
        EvaluationError: no server answers there; ends with what to do.
    """
    if not isinstance(judge, _Served):
        return
    client = JudgeClient(judge.settings)
    try:
        client.meet()
    except Hopeless as error:
        raise EvaluationError(
            f"the judge {judge.settings.model} at {error}. Nothing was asked yet: {what_to_do}"
        ) from None
    finally:
        client.close()


@contextmanager
def _local(
    found: Checkpoint,
    settings: Mapping[str, Any],
    opened: Callable[..., AbstractContextManager[LocalJudge]],
    ran_on: Callable[[Mapping[str, Any]], None],
) -> Iterator[JudgeSettings]:
    assert found.folder is not None
    digest, facts = found.facts.digest, found.facts
    is_folder = facts.revision is None and ":" not in facts.reference
    name = f"./{found.folder.resolve().name}" if is_folder else facts.reference  # results of one judge are compared
    shown = f"{name}@{facts.revision}" if facts.revision and "@" not in name else name
    with opened(found.folder, weights_sha256=digest, name=SERVED) as local:
        asked = JudgeSettings.checked(
            {**settings, "model": local.model, "base_url": local.url, "digest": local.digest, "shown": shown}
        )
        at_once = min(asked.concurrency * local.at_once, MOST_AT_ONCE)
        yield asked.model_copy(update={"concurrency": at_once})
    if local.ran_on:
        ran_on(local.ran_on)
