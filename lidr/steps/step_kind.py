"""What a step is: settings, what it reads and writes, and a plain function from versioned inputs to one output."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal, NamedTuple

from lidr import engines
from lidr.engines import EngineSpec, engine_row
from lidr.errors import PlanError
from lidr.hub import keep_content, locked_commit
from lidr.recipe import Frozen, PolicyConfig, Recipe, reasoning_fields, server_fields, template_kwargs
from lidr.references import HubReference, ServerReference, parse_reference
from lidr.resources import resolve_source
from lidr.rows import RowType
from lidr.steps.progress import Progress
from lidr.store import Lock, Rate, Store

if TYPE_CHECKING:
    from lidr.engines import Engine, KeptEngine
    from lidr.hub import AllowedAddresses
    from lidr.store import Artifact, ArtifactWriter

Policy = RowType("policy", {}, key=())
"""The policy that enters the iteration: a folder of safetensors, or a server."""

InitialPolicy = RowType("initial_policy", {}, key=())
"""The recipe's first policy."""


class Unresolved(Exception):
    """Something outside the store is not here yet; a plan says so, a run refuses."""


class Elsewhere(Unresolved):
    """It lies on another machine, for which the recipe is planned; a job for that can be made, too."""


@dataclass(frozen=True)
class Expected:
    """How much a step will have to do, at most."""

    count: int = 0
    unit: str = ""
    tokens: int = 0  # generated, at most
    note: str = ""
    trained: int = 0  # tokens trained on, at most, each as often as it is; 0 too where nobody knows how many
    trains: bool = False  # whether it trains the policy
    calls: int = 0  # questions to a judge, at most

    @property
    def size(self) -> int:
        """Tokens of one unit, at most: two rates are of the same work only where it is the same."""
        return (self.tokens or self.trained) // self.count if self.count else 0


class Reading(NamedTuple):
    """What a model reads in forward passes alone.

    Args:
        model: which.
        dtype: as it is loaded.
        tokens: of one text, at most.
        by_vllm: many texts at once, on `runtime.tensor_parallel` GPUs; else one after the other, on one.
    """

    model: PolicyConfig
    dtype: str
    tokens: int
    by_vllm: bool


class Served(NamedTuple):
    """A model that a step serves on this machine, on one GPU (of each replica), by an engine: a local judge."""

    model: PolicyConfig
    engine: str


class Beside(NamedTuple):
    """Work of a model that no count of written or trained tokens holds: `score: reward_model`, 320,000 `passes`.

    It is in no estimate, unless it is said what is read, and how large the model is can be told; a model that is
    `served` for it takes memory and disk.
    """

    what: str
    number: int
    unit: str
    reads: Reading | None = None
    served: Served | None = None


@dataclass(frozen=True)
class Scale:
    """The size of one iteration: N prompts, L other languages, answers to each prompt, and the pairs that can exist."""

    prompts: int
    others: int
    answers: int = 1
    are_sampled: bool = False
    made: int | None = None
    """Pairs at most that an earlier step hands on; None: there is none, or it does not know."""

    @property
    def languages(self) -> int:
        """All languages."""
        return self.others + 1

    @property
    def slots(self) -> int:
        """2 N L; N (L + 1) of pairs that are chosen among several answers."""
        return self.prompts * self.languages if self.are_sampled else 2 * self.prompts * self.others

    @property
    def pairs(self) -> int:
        """Most pairs that a step after them can get."""
        return self.slots if self.made is None else self.made


LITTLE_KEPT = 0.2
"""Share of an iteration's slots below which a run warns, where the recipe says no other."""


class Outcome(NamedTuple):
    """What a step reports: what it counted, how fast it was, and what its record says of how it ran."""

    counts: dict[str, Any]
    rate: Rate
    execution: Mapping[str, Any] = {}


Changes = Mapping[str, Mapping[str, Any]]
"""Step -> its settings, by dotted name -> another value than the recipe's: {"train": {"nll.weight": 2.0}}."""


@dataclass(frozen=True)
class Decision:
    """What a step has decided about the iterations after its own; it stands in the step's record.

    Args:
        policy: the iteration whose policy goes on: the next iteration starts from it; after the last one it is the
            run's result. 0 is the first policy.
        best: the iteration with the best policy so far.
        ends: why nothing comes after; None where the run goes on.
        is_negative: whether the outcome is one that must not pass unseen (exit code 3, nothing is published by itself).
        changes: other settings for all later iterations.
    """

    policy: int
    best: int
    ends: str | None = None
    is_negative: bool = False
    changes: Changes = field(default_factory=dict)


@dataclass(frozen=True)
class Surroundings:
    """What a recipe's words are resolved against."""

    recipe: Recipe
    recipe_folder: Path
    lock: Lock  # read once; what is read during the run is added to its contents
    store_root: Path
    allowed: AllowedAddresses | None = None  # for a recipe of others; None: the user's own asks where it says

    @property
    def version_folder(self) -> Path:
        """Where the recipe's version keeps its artifacts and its lock."""
        return Store(self.store_root).version_folder(self.recipe.name, self.recipe.version)

    def commit_of(self, hub: HubReference) -> str:
        """The commit at which a data set that a step names is read.

        Raises:
            Unresolved: it is not locked.
        """
        commit = locked_commit(self.recipe, hub, self.lock.commits)
        if commit is None:
            raise Unresolved(
                f"{hub} is no commit: `lidr lock RECIPE` writes the one it has now, or run --allow-unpinned"
            )
        return commit

    def digest_of(self, repo: str, commit: str) -> str | None:
        """What the lock says of the content of a commit; None where it says nothing."""
        return self.lock.digest_of(repo, commit)

    def keep_content(self, repo: str, commit: str) -> None:
        """Write to the lock what stands at a commit that was read, where the lock does not say it yet."""
        if self.digest_of(repo, commit) is None:
            self.lock.contents[f"{repo}@{commit}"] = keep_content(self.version_folder, repo, commit)


@dataclass
class StepRun:
    """What one run of a step is handed: its configuration, its inputs, and where to write."""

    around: Surroundings
    config: Any
    iteration: int
    inputs: Mapping[str, Artifact]
    out: ArtifactWriter
    progress: Progress
    kept: KeptEngine | None = None
    """What keeps an engine open from step to step; None: a step's engine ends with it."""
    ran_on: dict[str, Any] = field(default_factory=dict)
    """For the record: how an engine of several replicas ran since it was opened."""

    @property
    def recipe(self) -> Recipe:
        """The recipe that this is a step of."""
        return self.around.recipe

    @property
    def work(self) -> Path:
        """A folder for the step's own use; it outlives an interruption and is no part of the artifact."""
        return self.out.folder / "work"

    @property
    def log(self) -> Path:
        """Where the workers of this step print."""
        return self.work / "log.txt"

    def engine_spec(self) -> EngineSpec:
        """Describe the engine that answers as the current policy."""
        runtime = self.recipe.runtime
        reference = parse_reference(self.recipe.policy.model)
        url, (model, adapter) = None, policy_folders(self.inputs[Policy.name])
        kwargs = template_kwargs(self.recipe.policy.chat_template)  # a model's own folder has them in its template
        if engine_row(runtime.engine).model == "script":
            model, adapter = str(scripted_answers(self.around)), None
        elif isinstance(reference, ServerReference):
            model, url = reference.model, reference.url
        return EngineSpec(
            kind=runtime.engine,
            model=model,
            url=url,
            dtype=self.recipe.policy.dtype,
            batch=runtime.engine_batch,
            max_model_len=runtime.max_model_len,
            trust_remote_code=self.recipe.policy.trust_remote_code,
            api_key_env=runtime.api_key_env,
            timeout_s=runtime.server_timeout_s,
            tensor_parallel=runtime.tensor_parallel,
            replicas=runtime.replicas,
            cluster=runtime.cluster,
            gpu_memory=runtime.gpu_memory,
            threads=runtime.threads,
            vllm=runtime.vllm,
            double_bos=self.recipe.policy.double_bos,
            adapter=adapter,
            **reasoning_fields(self.recipe.policy.reasoning),
            **server_fields(self.recipe.policy.openai, kwargs if url else None),
        )

    @contextmanager
    def engine(self, spec: EngineSpec | None = None) -> Iterator[Engine]:
        """Start an engine once, by default the policy's. When the block ends it is gone, with all its memory, or kept
        for the next step.
        """
        spec = spec or self.engine_spec()
        if self.kept is not None:
            with self.kept.use(spec) as engine:
                self.progress.engine = engine
                yield engine
                self.ran_on |= getattr(engine, "facts", {})
            return
        with engines.open_engine(spec, log=self.log) as engine:
            self.progress.engine = engine
            yield engine
            self.ran_on |= getattr(engine, "facts", {})


BASE, ADAPTER = "base", "adapter"
"""Folders of a policy whose adapter is not merged. There is no `model` beside them, so nobody takes the base for it."""


def policy_folders(policy: Artifact) -> tuple[str, str | None]:
    """Where a policy's model lies, verified, and the adapter that goes over it, if one does."""
    if not policy.named(BASE):
        return str(policy.model), None
    return str(policy.part(BASE)), str(policy.part(ADAPTER))


def scripted_answers(around: Surroundings) -> Path:
    """The file of canned answers of a scripted recipe."""
    answers = around.recipe.runtime.answers
    if answers is None:
        engine = around.recipe.runtime.engine
        raise PlanError(f"runtime.engine is {engine}: name the file of canned answers in runtime.answers")
    path = resolve_source(answers, around.recipe_folder)
    if path is None or not path.is_file():
        raise PlanError(f"runtime.answers: no file {answers}; give a JSON-lines file of canned answers")
    return path


def identity_of(config: Frozen, *, later: tuple[str, ...]) -> dict[str, Any]:
    """All settings of a step, as its identity.

    Args:
        config: the settings.
        later: fields that earlier versions of lidr did not have. At their default they are left out, so that a recipe
            that does not use them keeps its fingerprint.
    """
    fields = type(config).model_fields
    unused = {name for name in later if getattr(config, name) == fields[name].get_default()}
    return config.model_dump(mode="json", exclude=unused)


def by_server(recipe: Recipe, name: str) -> Iterator[tuple[str, str]]:
    """Of what the policy is asked, as `StepKind.alone` says it: a server is asked as one, whatever stands behind it."""
    if engine_row(recipe.runtime.engine).model == "server":
        yield name, ITS_SERVER


ITS_SERVER = "a server is asked, which has its own"
TEXTS_ALONE = "replicas give texts alone"


Outside = Callable[[Surroundings, Any], Mapping[str, Any]]
"""(surroundings, configuration) -> the identity of what lies outside the store; may raise Unresolved."""


@dataclass(frozen=True)
class StepKind:
    """What one step is, as it exports it under the name STEP.

    Args:
        name: the recipe's word for it.
        config: type of the step's settings.
        reads: row types it needs; `also_reads(config)` adds those that a setting asks for.
        writes: the row type of its output.
        run: the step itself.
        expects: how much work it is, for plans.
        counted: the same as `expects`, where what lies on this machine says more than the settings.
        beside: what its models do beside that, of which no estimate says how long it takes.
        uses: recipe fields that change its result, as dotted names; they are part of its identity.
        outside: identity of what it reads from outside the store.
        skipped: why the recipe leaves the step out for now ("push is off"), or None.
        last_only: a step of the last iteration alone, which reads what it reads of every iteration.
        at_first: also run once as iteration 0, on the first policy; later iterations then read what it wrote there.
        looks_back: reads only what its own iteration wrote, and the same rows, and its own, of each earlier iteration.
        takes: rows that it reads where a step before it in its iteration wrote them, and does without where none did.
        asks: it uses an engine of StepRun, which then stays open for a next step that asks, too; no other step finds a
            model in memory.
        decides: what its counts say about the iterations after it.
        place: `chain`: written in the chain; `run`: once before all iterations; `iteration`: first in each iteration.
        section: the recipe's section that configures a step that is not written in the chain.
        version: its rules; raised when the same inputs give another output than before. What older rules made is kept.
        alone: what of it one model does, whatever `runtime.replicas` says, and why: for plans.
        room: what of `runtime` it can run with on no machine: the setting, and what is wrong.
        lacks: what of `runtime` this machine cannot give it: the setting, what is lacking, and what to do to run here.
        chain: what of its settings needs another chain: messages that open with the setting, as `publish.policy: ...`.
        checks: what of `outside` can be looked for without a model and without a network; by default `outside` itself.
            Returns what a person should know that is no mistake.
        notes: the same that the settings and the chain alone tell.
        resumes_since: the oldest version whose unfinished answers it goes on with: since then it asks the same
            questions under the same keys. None: only its own.
    """

    name: str
    config: type[Frozen]
    reads: tuple[RowType, ...]
    writes: RowType
    run: Callable[[StepRun], Outcome]
    expects: Callable[[Any, Scale], Expected]
    uses: tuple[str, ...] = ()
    also_reads: Callable[[Any], tuple[RowType, ...]] = field(default=lambda config: ())
    outside: Outside = field(default=lambda around, config: {})
    alone: Callable[[Recipe, Any], Iterable[tuple[str, str]]] = field(default=lambda recipe, config: ())
    room: Callable[[Recipe, Any], Iterable[tuple[str, str]]] = field(default=lambda recipe, config: ())
    lacks: Callable[[Recipe, Any], Iterable[tuple[str, str, str]]] = field(default=lambda recipe, config: ())
    chain: Callable[[Recipe, Any], Iterable[str]] = field(default=lambda recipe, config: ())
    identity: Callable[[Any], dict[str, Any]] = field(default=lambda config: config.model_dump(mode="json"))
    skipped: Callable[[Recipe], str | None] = field(default=lambda recipe: None)
    last_only: bool = False
    at_first: bool = False
    looks_back: bool = False
    takes: tuple[RowType, ...] = ()
    asks: bool = False
    decides: Callable[[Mapping[str, Any]], Decision] | None = None
    place: Literal["chain", "run", "iteration"] = "chain"
    section: str = ""
    version: int = 1
    checks: Callable[[Surroundings, Any], Sequence[str] | None] | None = None
    notes: Callable[[Recipe, Any], Iterable[str]] = field(default=lambda recipe, config: ())
    resumes_since: int | None = None
    counted: Callable[[Surroundings, Any, Scale], Expected] | None = None
    beside: Callable[[Recipe, Any, Expected], Iterable[Beside]] = field(default=lambda recipe, config, expected: ())
