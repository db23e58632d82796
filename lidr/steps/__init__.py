"""Every step that a recipe can have: a module, or a package, that exports its settings, its function and its STEP.

In: a `StepRun` (settings, inputs, where to write). Out: one artifact, and what the step counted. A step of one file is
lidr/steps/NAME.py; one of several is lidr/steps/NAME/, of which others import the package alone.
"""

from __future__ import annotations

from collections.abc import Mapping

from lidr.steps.clean import STEP as CLEAN
from lidr.steps.evaluate import STEP as EVALUATE
from lidr.steps.evaluate import check_evaluate
from lidr.steps.filter import STEP as FILTER
from lidr.steps.gate import STEP as GATE
from lidr.steps.generate import STEP as GENERATE
from lidr.steps.local_policy import ASKING, check_template, write_template
from lidr.steps.measure import STEP as MEASURE
from lidr.steps.own_dtype import halved_by_auto, own_dtype, recipe_with_dtype, with_own_dtype
from lidr.steps.pair import STEP as PAIR
from lidr.steps.pairs import STEP as PAIRS
from lidr.steps.parallel import STEP as PARALLEL
from lidr.steps.policy import STEP as POLICY
from lidr.steps.policy import unpublished_policy
from lidr.steps.policy_files import is_for_another_card
from lidr.steps.progress import Progress
from lidr.steps.prompts import STEP as PROMPTS
from lidr.steps.prompts import PromptDraft, column_form, draft_prompts
from lidr.steps.publish import STEP as PUBLISH
from lidr.steps.publish import destinations, finished_for, lines_of, published_by
from lidr.steps.score import STEP as SCORE
from lidr.steps.step_kind import (
    ITS_SERVER,
    LITTLE_KEPT,
    Beside,
    Decision,
    Elsewhere,
    Expected,
    InitialPolicy,
    Outcome,
    Policy,
    Scale,
    Served,
    StepKind,
    StepRun,
    Surroundings,
    Unresolved,
)
from lidr.steps.train import STEP as TRAIN
from lidr.steps.translate import STEP as TRANSLATE
from lidr.steps.weigh import STEP as WEIGH

__all__ = [
    "ASKING",
    "CHAIN_STEPS",
    "ITS_SERVER",
    "LITTLE_KEPT",
    "STEPS",
    "Beside",
    "Decision",
    "Elsewhere",
    "Expected",
    "InitialPolicy",
    "Outcome",
    "Policy",
    "Progress",
    "PromptDraft",
    "Scale",
    "Served",
    "StepKind",
    "StepRun",
    "Surroundings",
    "Unresolved",
    "check_evaluate",
    "check_template",
    "column_form",
    "destinations",
    "draft_prompts",
    "finished_for",
    "halved_by_auto",
    "is_for_another_card",
    "lines_of",
    "own_dtype",
    "published_by",
    "recipe_with_dtype",
    "unpublished_policy",
    "with_own_dtype",
    "write_template",
]

_ALL = (
    POLICY,
    PARALLEL,
    PROMPTS,
    GENERATE,
    SCORE,
    TRANSLATE,
    PAIR,
    PAIRS,
    FILTER,
    CLEAN,
    MEASURE,
    WEIGH,
    TRAIN,
    EVALUATE,
    GATE,
    PUBLISH,
)

STEPS: Mapping[str, StepKind] = {step.name: step for step in _ALL}
"""A recipe's word -> its step."""

CHAIN_STEPS = {name: step.config for name, step in STEPS.items() if step.place == "chain"}
"""The steps that a chain may name, each with its settings."""
