"""What a recipe may say: frozen models, unknown keys forbidden.

The step configurations themselves live with their steps (`lidr/steps/pair/` holds `PairConfig`): a recipe line leads
to its function in one hop.
"""

from __future__ import annotations

from bisect import bisect
from pathlib import Path
from typing import Annotated, Any, Literal

from pydantic import (
    AfterValidator,
    ConfigDict,
    Field,
    SerializerFunctionWrapHandler,
    model_serializer,
    model_validator,
)

from lidr.engines import engine_row, engines
from lidr.language_tags import unknown_language
from lidr.languages import LANGUAGES
from lidr.recipe.column_map import PromptColumns
from lidr.recipe.frozen import Frozen as Frozen
from lidr.recipe.policy_config import Dtype as Dtype
from lidr.recipe.policy_config import PolicyConfig as PolicyConfig
from lidr.recipe.policy_config import ReferenceText as ReferenceText
from lidr.recipe.runtime import Runtime
from lidr.recipe.translate_config import ParallelConfig
from lidr.references import ServerReference, parse_reference
from lidr.train import Launch

FILLED_BY_THE_READER = ("provenance", "file", "text", "launch")
"""Fields of Recipe that no file may set."""

ProvenanceKind = Literal["paper", "authors-code", "sibling", "follow-up", "library-default", "ours"]


def _language(code: str) -> str:
    if code not in LANGUAGES:
        raise ValueError(unknown_language(code))
    return code


LanguageCode = Annotated[str, AfterValidator(_language)]


class Provenance(Frozen):
    """Where a value comes from, as data that cards print."""

    provenance: ProvenanceKind
    source: str | None = None


class Languages(Frozen):
    """The dominant language, and those that learn from it."""

    dominant: LanguageCode
    """The language the policy answers best in."""
    others: tuple[LanguageCode, ...] = Field(min_length=1)
    """The non-dominant languages."""

    @model_validator(mode="after")
    def _distinct(self) -> Languages:
        if self.dominant in self.others:
            raise ValueError(f'the dominant language "{self.dominant}" also stands in others: take it out there')
        if len(set(self.others)) != len(self.others):
            raise ValueError(f"a language stands twice in others: {', '.join(self.others)}")
        return self

    @property
    def all(self) -> tuple[str, ...]:
        """Every language, the dominant one first."""
        return (self.dominant, *self.others)


_LATER_PROMPTS = ("columns", "ids", "config", "split", "translate")


class PromptsConfig(Frozen):
    """Parallel prompts, aligned by id."""

    source: str
    """A folder with a file for each language, LANG.csv, .tsv, .jsonl, .json or .parquet; one such file with all of
    them; org/name[@revision] on the Hub; or a .json list of published files, see lidr/hub/prompt_sources.py. $LIDR_DATA
    stands for that variable; the text files may be packed, .csv.gz."""
    license: str
    """SPDX identifier, lower case, as Hub cards write it. It flows into every card."""
    id_prefix: Literal["language"] | None = None
    """`language`: ids begin with the language code (degsm8k_0), which is cut off before joining."""
    language_instruction: bool = False
    """Wrap each prompt in the paper's instruction to answer in its language; the pairs hold the wrapped prompt."""
    columns: PromptColumns | None = None
    """Which columns hold what, where they are not called id, instruction, input and language."""
    ids: Literal["content", "row"] | None = None
    """How ids are made where there are none: of the dominant text, or of the row's number, by which files of several
    languages are then joined. null: of the text, where all languages stand in one row."""
    config: str | None = None
    """Configuration of a Hub data set; null: its default."""
    split: str | None = None
    """Split of a Hub data set; null: its only one."""
    translate: ParallelConfig | None = None
    """For prompts in the dominant language alone: who translates them into the others, and how. null: all are given."""

    @model_serializer(mode="wrap")
    def _as_said(self, write: SerializerFunctionWrapHandler) -> dict[str, Any]:
        """Without the settings that earlier versions of lidr did not have, where they are at their default."""
        return {name: value for name, value in write(self).items() if value is not None or name not in _LATER_PROMPTS}

    @model_validator(mode="after")
    def _one_way_to_ids(self) -> PromptsConfig:
        if self.ids is not None and self.columns is not None and self.columns.id is not None:
            raise ValueError("columns.id names the column of ids, and ids makes others; keep one of the two")
        return self


class Iteration(Frozen):
    """One round: answer, translate, pair, train."""

    prompts: str = Field("", pattern=r"^(\d+:\d+)?$")
    """Which prompts, by position in the dominant language's file, as START:STOP, the stop not included. A run that
    starts from pairs has none."""

    @model_validator(mode="after")
    def _not_empty(self) -> Iteration:
        if self.prompts and self.start >= self.stop:
            raise ValueError(f'prompts "{self.prompts}" selects nothing: START must be below STOP')
        return self

    @property
    def start(self) -> int:
        """First position."""
        return int(self.prompts.split(":")[0] or 0)

    @property
    def stop(self) -> int:
        """Position after the last."""
        return int((self.prompts or "0:0").split(":")[1])


class Repeat(Frozen):
    """`iterations` in its short form: the same number of fresh prompts each time, until nothing is gained any more.

    The reader writes it out as a list, so `{repeat: until_saturated, max: 3, prompts_each: 400}` is the list "0:400",
    "400:800", "800:1200" with `repeat: until_saturated`.
    """

    repeat: Literal["until_saturated"]
    """When to end before the last iteration: see Recipe.repeat."""
    max: int = Field(ge=1, le=100)
    """Most iterations."""
    prompts_each: int = Field(ge=1)
    """Prompts of one iteration."""
    start: int = Field(0, ge=0)
    """Position of the first prompt."""

    @property
    def iterations(self) -> list[dict[str, str]]:
        """The list that it stands for."""
        starts = range(self.start, self.start + self.max * self.prompts_each, self.prompts_each)
        return [{"prompts": f"{start}:{start + self.prompts_each}"} for start in starts]


class ChainStep(Frozen):
    """One entry of the chain: the step's name and its configuration, typed by the step."""

    name: str
    config: Any


class AuthorsCompat(Frozen):
    """What the authors' released code does otherwise than lidr would, entry by entry (arXiv 2410.08964, their
    repository at commit bd9764e). An entry sets ordinary fields and refuses others that contradict them: see
    `lidr.recipe.authors_compat`."""

    last_language_only: bool = False
    """Dominant pairs against the last of the other languages alone: their file is overwritten for each language."""
    repetition_check_off: bool = False
    """No repetition filter: theirs is imported and never called."""
    joint_drop_without_retry: bool = False
    """A failed translation takes both pairs and is not tried again."""
    translation_ids: bool = False
    """Their 88 ids, and no detector, say which prompts are bound to a language."""
    double_bos: bool = False
    """Two BOS tokens before every prompt."""
    mgsm_string_match: bool = False
    """MGSM's gold answers are compared as text, thousands separators included."""
    repetition_penalties: bool = False
    """1.1 in generation and evaluation, 1.0 in translation."""


STARTS_FROM_PAIRS = "pairs"
"""The step whose chain needs no prompts."""


class Recipe(Frozen):
    """A whole chain: what is iterated, how often, and from what."""

    model_config = ConfigDict(frozen=True, extra="forbid", populate_by_name=True)

    schema_: Literal[1] = Field(alias="schema")
    """Version of the recipe's form."""
    name: str = Field(pattern=r"^[a-z0-9][a-z0-9._-]*$", max_length=64)
    """Name of the run in the store: lower case, digits, . _ -"""
    version: str = Field(pattern=r"^\d+\.\d+\.\d+([.-][0-9A-Za-z.-]+)?$")
    """Bump it when anything above `runtime` changes."""
    languages: Languages
    policy: PolicyConfig
    prompts: PromptsConfig | None
    """null only where the chain starts from pairs."""
    system_prompt: str | None = None
    """System message of every conversation; null leaves it to the model's own template."""
    seed: int = Field(42, ge=0, lt=2**32)
    """One seed for sampling, training and every choice made by hash."""
    chain: tuple[ChainStep, ...] = Field(min_length=1)
    """The steps of one iteration, in order."""
    iterations: tuple[Iteration, ...] = Field(min_length=1, max_length=1000)
    """What each iteration is made of, at most 1,000 of them; or {repeat: until_saturated, max: N, prompts_each: N}, of
    which later ones may never be made."""
    repeat: Literal["until_saturated"] | None = None
    """until_saturated: end before the last iteration when a gate finds that the mean gain of the non-dominant languages
    over the iteration's starting policy has an interval that contains 0; null makes every iteration."""
    authors_compat: AuthorsCompat | None = None
    """Entries of the authors' code to follow; each sets the ordinary fields that it names."""
    runtime: Runtime = Runtime()
    provenance: dict[str, Provenance] = Field(default_factory=dict, exclude=True, repr=False)
    """Filled by the reader: path of a value -> where it comes from."""
    file: str = Field(default="", exclude=True, repr=False)
    """Filled by the reader: the file it was read from."""
    text: str = Field(default="", exclude=True, repr=False)
    """Filled by the reader: the file's text, verbatim; of a recipe with a base, the whole of it written out."""
    launch: Launch | None = Field(default=None, exclude=True, repr=False)
    """Filled by the reader: what the file of `runtime.accelerate_config` asks for, where one is given."""

    @property
    def parallel(self) -> ParallelConfig | None:
        """How prompts of the dominant language alone are made parallel; None where they are given in all."""
        return self.prompts.translate if self.prompts is not None else None

    @property
    def are_pairs_sampled(self) -> bool:
        """Whether pairs are chosen among several answers by their scores; then a slot is (prompt, language)."""
        return any(getattr(step.config, "from_", None) == "scores" for step in self.chain)

    @property
    def folder(self) -> Path:
        """Where the recipe's file stands; its relative paths are looked for there, after the working folder."""
        return Path(self.file).resolve().parent

    @model_validator(mode="after")
    def _prompts_where_needed(self) -> Recipe:
        starts_from_pairs = any(step.name == STARTS_FROM_PAIRS for step in self.chain)
        if self.prompts is None and not starts_from_pairs:
            raise ValueError("prompts: missing; it must be given, or the chain must start from `pairs`")
        for number, iteration in enumerate(self.iterations):
            if self.prompts is not None and not iteration.prompts:
                raise ValueError(f"iterations[{number}].prompts: missing; it must be given, as START:STOP")
            if self.prompts is None and iteration.prompts:
                raise ValueError(
                    f"iterations[{number}].prompts: a run that starts from pairs has no prompts; take it out"
                )
        return self

    @model_validator(mode="after")
    def _fresh_prompts(self) -> Recipe:
        earlier: list[tuple[int, int]] = []  # apart from each other, by position
        for number, later in enumerate(self.iterations):
            at = bisect(earlier, (later.start, later.stop))
            if any(later.start < stop and start < later.stop for start, stop in earlier[max(at - 1, 0) : at + 1]):
                raise ValueError(
                    f"iterations[{number}].prompts {later.prompts} repeats prompts of an earlier iteration: each needs "
                    "fresh ones"
                )
            if later.prompts:
                earlier.insert(at, (later.start, later.stop))
        return self

    @model_validator(mode="after")
    def _engine_fits(self) -> Recipe:
        is_server = isinstance(parse_reference(self.policy.model), ServerReference)
        asks = engine_row(self.runtime.engine).model
        if is_server and asks == "folder":
            raise ValueError(f"policy.model is a server: write runtime: {{engine: openai}}, not {self.runtime.engine}")
        if not is_server and asks == "server":
            raise ValueError(
                f"runtime.engine {self.runtime.engine} needs policy.model: openai:MODEL@URL, not {self.policy.model}"
            )
        reasoning = self.policy.reasoning
        if reasoning is not None and reasoning.budget is not None and self.runtime.engine != "vllm":
            how = "; say it in policy.openai.body, as the server's manual names it" if asks == "server" else ""
            raise ValueError(
                f"policy.reasoning.budget needs runtime.engine: vllm; {self.runtime.engine} cannot end a thought{how}"
            )
        if self.policy.double_bos and asks == "server":
            able = " or ".join(engines(lambda row: row.model == "folder" and not row.only_translates))
            raise ValueError(
                f"policy.double_bos needs an engine that sends token ids: {able}; a server puts BOS itself"
            )
        return self
