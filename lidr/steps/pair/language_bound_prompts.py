"""Which prompts are bound to a language: the detector's settings, its lists of rules, and its use in the pair step.

The rules are data, recipes/data/language_bound/LANG.yaml; what they do is in `lidr/transforms/language_bound.py`.
"""

from __future__ import annotations

from collections import Counter
from pathlib import Path
from typing import TYPE_CHECKING, Any

from pydantic import Field, ValidationError

from lidr.errors import PlanError, RowError
from lidr.hub import CardYamlError, load_card_yaml
from lidr.recipe import Frozen, LanguageCode
from lidr.resources import resolve_source
from lidr.rows import BoundClass, TranslationTypePolicy
from lidr.steps.step_kind import StepRun, Unresolved

if TYPE_CHECKING:
    import polars as pl

    from lidr.transforms import Rule


class Detector(Frozen):
    """Finds prompts that are bound to a language, by a list of rules."""

    threshold: float = Field(0.8, gt=0, le=1)
    """Score that a rule needs to count. Of the English list's hits at 0.8 more than eight in ten are bound; see
    tests/transforms/language_bound.json."""
    policies: dict[BoundClass, TranslationTypePolicy] = Field(default_factory=dict)
    """Policies of single classes, where they differ from translation_type.policy: {verse: skip}. A prompt of several
    classes is sent to the strictest."""
    rules: str = "recipes/data/language_bound"
    """Folder with a list LANG.yaml for the dominant language, whose prompts are looked at."""


class RuleLine(Frozen):
    """One line of a list."""

    name: str = Field(pattern=r"^[a-z0-9_]+$")
    """Lower case, digits and _"""
    class_: BoundClass = Field(alias="class")
    score: float = Field(gt=0, le=1)
    pattern: str = Field(min_length=1, max_length=10_000)


class RuleList(Frozen):
    """One list."""

    language: LanguageCode
    rules: tuple[RuleLine, ...] = Field(min_length=1, max_length=2_000)


def rules_file(detector: Detector, language: str, recipe_folder: Path) -> Path:
    """The list of a language.

    Raises:
        Unresolved: it lies in LIDR_DATA, which is not set.
        PlanError: there is none.
    """
    folder = resolve_source(detector.rules, recipe_folder)
    if folder is None:
        raise Unresolved(
            f"pair.translation_type.detector.rules: {detector.rules}: set LIDR_DATA to the folder that holds it, or "
            "give --data"
        )
    path = folder / f"{language}.yaml"
    if not path.is_file():
        there = ", ".join(sorted(file.stem for file in folder.glob("*.yaml"))) or "none"
        raise PlanError(
            f"pair.translation_type.detector: no list of rules for {language} in {folder} (there: {there}); write "
            f"{language}.yaml after the others, or give ids"
        )
    return path


def read_rules(path: Path) -> list[Rule]:
    """Read a list of rules.

    Raises:
        RowError: it is not YAML, not a list of rules, or a name stands twice.
    """
    from lidr.transforms import Rule

    try:
        found = RuleList.model_validate(load_card_yaml(path.read_text(encoding="utf-8")))
    except (CardYamlError, UnicodeDecodeError) as error:
        raise RowError(f"{path}: not YAML: {error}") from None
    except ValidationError as error:
        first = error.errors()[0]
        where = ".".join(str(part) for part in first["loc"])
        raise RowError(f"{path}: {where}: {first['msg'].lower()}; a rule has name, class, score 0-1, pattern") from None
    twice = [name for name, count in Counter(rule.name for rule in found.rules).items() if count > 1]
    if twice:
        raise RowError(f"{path}: the rule {twice[0]} stands twice; names must differ, because hits are counted by them")
    return [Rule(rule.name, rule.class_, rule.score, rule.pattern) for rule in found.rules]


class Detection:
    """The recipe's detector at work, batch by batch; without one it finds nothing."""

    def __init__(self, run: StepRun) -> None:
        """Read the rules."""
        setting = run.config.translation_type
        self._detector: Detector | None = setting.detector if setting else None
        self._default: TranslationTypePolicy = setting.policy if setting else "translate"
        self._dominant = run.recipe.languages.dominant
        self._rules: list[Rule] = []
        if self._detector is not None:
            self._rules = read_rules(rules_file(self._detector, self._dominant, run.around.recipe_folder))
        self._hits: Counter[str] = Counter({rule.name: 0 for rule in self._rules})
        self._sent: Counter[str] = Counter()

    def __call__(self, prompts: pl.DataFrame) -> dict[str, TranslationTypePolicy]:
        """Ids of the prompts that are bound to a language, each with its policy."""
        if self._detector is None:
            return {}
        from lidr.transforms import count_hits, detect, policy_of

        asked = prompts.filter(language=self._dominant)
        found = detect(asked["text"], self._rules, threshold=self._detector.threshold)
        self._hits.update(count_hits(found))
        policies, default = self._detector.policies, self._default
        sent = {
            prompt_id: policy_of(classes, policies, default)
            for prompt_id, classes in zip(asked["prompt_id"], found["classes"], strict=True)
            if len(classes)
        }
        self._sent.update(sent.values())
        return sent

    def counts(self) -> dict[str, Any]:
        """Prompts by policy, and hits by rule, whatever its score."""
        if self._detector is None:
            return {}
        return {"language_bound": {"sent_to": dict(sorted(self._sent.items())), "hits": dict(self._hits)}}
