"""What a scorer is: settings, and a plain function from answers to a value for each.

    def score(world: World, config: GoldScorer, asked: Sequence[Answer]) -> Iterator[Scored]:
        for answer in asked:
            yield Scored(answer, 1.0 if ... else 0.0)

The step keeps each value as it comes, so that a killed run asks only for the rest. A scorer whose value of one answer
rests on others finds them all in `world.answers`; one that works in batches takes them from `world.batches`, which are
the same whatever is still asked for, because a batch can change the last digits of a value.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass, field
from functools import cached_property
from typing import Any, NamedTuple

from lidr import train
from lidr.engines import Message, engine_row
from lidr.extras import require
from lidr.recipe import Frozen, Recipe
from lidr.rows import SAMPLE, UNANSWERED, Prompt, Response, RowType, answer_key
from lidr.steps.generate import conversation
from lidr.steps.local_policy import training_text
from lidr.steps.step_kind import TEXTS_ALONE, Policy, StepRun, Surroundings
from lidr.worker import Worker


@dataclass(frozen=True)
class Answer:
    """One usable answer; `sample` is None where its prompt has one answer."""

    prompt_id: str
    language: str
    sample: int | None
    text: str

    @property
    def key(self) -> str:
        """As in pairs and lineage."""
        return answer_key(self.prompt_id, self.language, self.sample)


class Scored(NamedTuple):
    """The value of one answer: the more the better. None where the scorer cannot say; then `detail` says why."""

    answer: Answer
    value: float | None
    detail: str = ""


class World:
    """What scorers see: the prompts, every usable answer in the order of responses, and the run."""

    def __init__(self, run: StepRun) -> None:
        """Read prompts and answers."""
        self.run = run
        languages = run.recipe.languages
        self.dominant, self.languages = languages.dominant, languages.all
        rows = run.inputs[Prompt.name].read().to_pylist()
        self.prompts: dict[tuple[str, str], str] = {(row["prompt_id"], row["language"]): row["text"] for row in rows}
        self.answers: list[Answer] = []
        self.unusable: list[Scored] = []
        for row in run.inputs[Response.name].read().to_pylist():
            answer = Answer(row["prompt_id"], row["language"], row.get(SAMPLE), row["text"].strip())
            reason = row["finish_reason"] if row["finish_reason"] in UNANSWERED else ""
            if reason or not answer.text:
                self.unusable.append(Scored(answer, None, reason or "empty_response"))
            else:
                self.answers.append(answer)

    @cached_property
    def of_prompt(self) -> dict[str, list[Answer]]:
        """Every usable answer to a prompt, of all languages."""
        found: dict[str, list[Answer]] = {}
        for answer in self.answers:
            found.setdefault(answer.prompt_id, []).append(answer)
        return found

    @cached_property
    def by_key(self) -> dict[str, Answer]:
        """Every usable answer by its key."""
        return {answer.key: answer for answer in self.answers}

    @property
    def loading(self) -> dict[str, Any]:
        """How the policy is loaded, and whatever is compared with it; what such a process prints goes to `log`."""
        runtime, policy = self.run.recipe.runtime, self.run.recipe.policy
        form = training_text(self.run) if Policy.name in self.run.inputs else train.TrainingText()
        return {
            "log": self.run.log,
            "dtype": policy.dtype,
            "threads": runtime.threads,
            "double_bos": policy.double_bos,
            "form": asdict(form),
        }

    def conversation(self, prompt: str) -> tuple[Message, ...]:
        """The messages of a prompt, as they were asked."""
        return conversation(self.run.recipe.system_prompt, prompt)

    def talk(self, answer: Answer) -> list[Message]:
        """Its prompt and the answer, as messages."""
        prompt = self.prompts[answer.prompt_id, answer.language]
        return [*self.conversation(prompt), {"role": "assistant", "content": answer.text}]

    def from_worker(self, module: str, message: Mapping[str, Any], *, engine: str = "transformers") -> Iterator[Scored]:
        """What a worker process says, one reply {found: [(key, value, detail)]} after another; it ends with the last.

        Args:
            module: ends with `serve(handle)` where it is run.
            message: what it gets, beside `loading`.
            engine: what it loads models with.

        Raises:
            MissingExtraError: the engine's packages are not installed.
        """
        row = engine_row(engine)
        require(row.extra, row.packages, needed_for=f"the engine {engine!r}")
        loading = {name: value for name, value in self.loading.items() if name != "log"}
        worker = Worker(module, log=self.run.log, fresh=not row.is_forked)
        try:
            worker.send({**loading, **message})
            for reply in worker.replies():
                yield from (Scored(self.by_key[key], value, detail) for key, value, detail in reply["found"])
        finally:
            worker.close(grace_s=row.grace_s)

    def batches(self, asked: Sequence[Answer]) -> Iterator[list[Answer]]:
        """All answers in batches of the recipe's micro-batch, always the same, without those batches of which nothing
        is asked for.
        """
        wanted, size = set(asked), self.run.recipe.runtime.micro_batch
        for start in range(0, len(self.answers), size):
            batch = self.answers[start : start + size]
            if not wanted.isdisjoint(batch):
                yield batch


Score = Callable[[World, Any, Sequence[Answer]], Iterator[Scored]]


def by_one(recipe: Recipe, config: Any) -> Iterable[str]:
    """Why one model does it: it reads texts, and replicas write them."""
    yield TEXTS_ALONE


@dataclass(frozen=True)
class Scorer:
    """A row of the table.

    Args:
        name: the recipe's word for it.
        config: type of its settings.
        score: yields a `Scored` for each answer asked for, in any order; more do no harm.
        reads: rows it needs beside prompts and responses.
        outside: identity of what it reads from outside the store, as of a step; may raise PlanError and Unresolved.
        identity: its settings, without those that say only where something lies.
        alone: why one model does it, whatever `runtime.replicas` says; nothing where replicas share it, or no model is
            asked.
        of_all_languages: whether the value of a dominant answer rests on answers in other languages, too.
        of_policy: what the policy does for each answer, by unit, for plans; None: a pass where the scorer reads it.
    """

    name: str
    config: type[Frozen]
    score: Score
    reads: tuple[RowType, ...] = ()
    outside: Callable[[Surroundings, Any], Mapping[str, Any]] = field(default=lambda around, config: {})
    alone: Callable[[Recipe, Any], Iterable[str]] = field(default=lambda recipe, config: ())
    of_all_languages: Callable[[Any], bool] = field(default=lambda config: False)
    of_policy: Callable[[Any], Counter[str]] | None = None
    identity: Callable[[Any], dict[str, Any]] = field(
        default=lambda config: _unlicensed(config.model_dump(mode="json"))
    )


def _unlicensed(settings: Mapping[str, Any]) -> dict[str, Any]:
    """Settings without `license`, their own and that of a model in them."""
    named = {name: value for name, value in settings.items() if name != "license"}
    return {name: _unlicensed(value) if isinstance(value, dict) else value for name, value in named.items()}
