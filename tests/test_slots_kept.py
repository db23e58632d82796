"""The setting that an account names for each reason is one that a recipe has."""

from __future__ import annotations

import re
from pathlib import Path
from types import SimpleNamespace
from typing import Any, get_args

import pytest
from pydantic import BaseModel

from lidr.pipeline.slots_kept import setting_of
from lidr.preferences import REASONS
from lidr.recipe import Recipe
from lidr.steps import STEPS
from lidr.steps.clean.clean_step import REASONS as OF_CLEAN
from lidr.steps.weigh import REASON as OF_WEIGH
from lidr.train import DROP_REASONS as OF_TRAIN
from lidr.transforms import DROP_REASONS as OF_PROMPTS
from lidr.transforms import UNTRANSLATED, NgramLimit, PairFilter, PairRules, reasons_of, sampled_reasons

FILTER: Any = PairFilter(
    languages=(),
    only_languages=("de",),
    repetition_lines=5,
    repetition_ngram=NgramLimit(8, 0.3),
    length_ratio=(0.2, 5),
    copied_source=True,
    against_source=SimpleNamespace(length=True, questions=True),  # type: ignore[arg-type]
    script_share=0.5,
    language_confidence=0.8,
    duplicates=True,
)
ALL = [
    *(("filter", reason) for reason in FILTER.reasons),
    *(("prompts", reason) for reason in (*OF_PROMPTS, UNTRANSLATED)),
    *(("pair", reason) for reason in reasons_of(PairRules(dominant="en", others=("de",), drop="joint", accept=()))),
    *(("pair", reason) for reason in sampled_reasons()),
    *(("pairs", reason) for reason in REASONS),
    *(("clean", reason) for reason in OF_CLEAN),
    ("weigh", OF_WEIGH),
    *(("train", reason) for reason in OF_TRAIN),
]


def is_setting(path: str) -> bool:
    first, *rest = path.split(".")
    found: Any = STEPS[first].config if first in STEPS else Recipe if first in Recipe.model_fields else None
    for name in [first, *rest] if found is Recipe else rest:
        fields = getattr(found, "model_fields", {})
        if name not in fields:
            return False
        kind = fields[name].annotation
        kinds = [kind, *get_args(kind)]
        found = next((one for one in kinds if isinstance(one, type) and issubclass(one, BaseModel)), None)
    return first in STEPS or first in Recipe.model_fields


@pytest.mark.parametrize(("step", "reason"), ALL)
def test_what_the_account_says_to_look_at_is_a_setting(step: str, reason: str) -> None:
    said = setting_of(step, reason)
    named = {re.split(r"[ ,:]", said)[0], *re.findall(r"\b[a-z]+\.[a-z_.]*[a-z]\b", said)}
    assert [path for path in named if not is_setting(path)] == []


@pytest.mark.parametrize("reason", [reason for step, reason in ALL if step == "pair" and reason != "translation_ok"])
def test_every_reason_of_the_pair_step_stands_in_the_page_of_troubles(reason: str) -> None:
    page = Path(__file__).parent.parent / "docs/troubleshooting.md"
    assert f"`{reason}`" in page.read_text(encoding="utf-8")
