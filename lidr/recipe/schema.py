"""What a recipe may say: frozen models, unknown keys forbidden.

The step configurations themselves live with their steps (`lidr/steps/pair/` holds `PairConfig`): a recipe line leads
to its function in one hop.
"""

from __future__ import annotations

import re
from pathlib import Path
from typing import Annotated, Any, Literal

from pydantic import AfterValidator, ConfigDict, Field, model_validator

from lidr.engines import engine_row, engines
from lidr.language_tags import unknown_language
from lidr.languages import LANGUAGES
from lidr.recipe.frozen import Frozen as Frozen
from lidr.recipe.runtime import Runtime
from lidr.references import UNPINNED, HubReference, ServerReference, parse_reference

ProvenanceKind = Literal["paper", "authors-code", "sibling", "follow-up", "library-default", "ours"]
Dtype = Literal["float32", "bfloat16", "float16"]


def _language(code: str) -> str:
    if code not in LANGUAGES:
        raise ValueError(unknown_language(code))
    return code


def _reference(text: str) -> str:
    parse_reference(text)
    return text


LanguageCode = Annotated[str, AfterValidator(_language)]
ReferenceText = Annotated[str, AfterValidator(_reference)]


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


class PolicyConfig(Frozen):
    """The first policy."""

    model: ReferenceText
    """A model: org/name on the Hub, ./folder, run:NAME/iter_K/train, dist:PACKAGE/FILE.gguf, or openai:MODEL@URL."""
    revision: str | None = None
    """For a Hub model: a 40-hex commit, or `unpinned` until `lidr lock` fills it."""
    dtype: Dtype = "float32"
    """Number format of the weights in generation and training."""
    trust_remote_code: bool = False
    """Run code that comes with the model. Only for a pinned revision."""
    double_bos: bool = False
    """Begin every prompt of generate, translate and train with one more BOS token, as the authors' code does: the chat
    template writes one, its tokenizer another. `evaluate` sends one."""

    @model_validator(mode="after")
    def _revision_fits(self) -> PolicyConfig:
        reference = parse_reference(self.model)
        is_hub = isinstance(reference, HubReference)
        if self.revision and not is_hub:
            raise ValueError("revision belongs to a Hub model (org/name); take it out")
        if isinstance(reference, HubReference) and self.revision and reference.revision:
            raise ValueError(f"{self.model} and revision both name a revision; keep one")
        if self.revision and self.revision != UNPINNED and not re.fullmatch(r"[0-9a-f]{40}", self.revision):
            raise ValueError(
                f'revision "{self.revision}" is no 40-hex commit; write `revision: {UNPINNED}` and run '
                "`lidr lock RECIPE`"
            )
        if self.trust_remote_code and is_hub and self.pinned is None:
            raise ValueError("trust_remote_code needs a pinned revision: code that can change must not run")
        return self

    @property
    def pinned(self) -> str | None:
        """The commit of a Hub model, if the recipe names one; a branch or a tag is no pin."""
        reference = parse_reference(self.model)
        given = self.revision or (reference.revision if isinstance(reference, HubReference) else None)
        return given if given is not None and re.fullmatch(r"[0-9a-f]{40}", given) else None


class PromptsConfig(Frozen):
    """Parallel prompts, aligned by id."""

    source: str
    """A folder with LANG.jsonl, LANG.json or LANG.parquet; $LIDR_DATA stands for that variable. Or a .json list of
    published files, see lidr/hub/prompt_sources.py."""
    license: str
    """SPDX identifier, lower case, as Hub cards write it. It flows into every card."""
    id_prefix: Literal["language"] | None = None
    """`language`: ids begin with the language code (degsm8k_0), which is cut off before joining."""
    language_instruction: bool = False
    """Wrap each prompt in the paper's instruction to answer in its language; the pairs hold the wrapped prompt."""


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

    model_config = ConfigDict(frozen=True, extra="forbid", populate_by_name=True, use_attribute_docstrings=True)

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
    iterations: tuple[Iteration, ...] = Field(min_length=1)
    """What each iteration is made of, at most; or {repeat: until_saturated, max: N, prompts_each: N}."""
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
        for number, later in enumerate(self.iterations):
            if any(later.start < earlier.stop and earlier.start < later.stop for earlier in self.iterations[:number]):
                raise ValueError(
                    f"iterations[{number}].prompts {later.prompts} repeats prompts of an earlier iteration: each needs "
                    "fresh ones"
                )
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
        if self.policy.double_bos and asks == "server":
            able = " or ".join(engines(lambda row: row.model == "folder" and not row.only_translates))
            raise ValueError(
                f"policy.double_bos needs an engine that sends token ids: {able}; a server puts BOS itself"
            )
        return self
