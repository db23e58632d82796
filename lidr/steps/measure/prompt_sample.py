"""The prompts that `measure` looks at, drawn by lot, with all that was made of them: part by part, in prompt order."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from lidr.rows import SAMPLE, Pair, Prompt, Response, Translation
from lidr.steps.measure.measure_config import MeasureConfig
from lidr.steps.measure.measurements import Row
from lidr.steps.score import AnswerScores
from lidr.steps.side_by_side import PROMPTS_PER_BATCH, aligned
from lidr.steps.step_kind import StepRun
from lidr.store import ROWS_AT_ONCE
from lidr.transforms import by_lot

if TYPE_CHECKING:
    import polars as pl

_OF_PAIRS = (
    *("pair_id", "prompt_id", "language", "other_language", "kind"),
    *("prompt_text", "chosen_text", "rejected_text"),
)

_OF_SCORES = ("prompt_id", "language", SAMPLE, "scorer", "value")

AnswerId = tuple[str, str, int | None]
"""Prompt, language, and the answer's number where the prompt has several."""


@dataclass
class SamplePart:
    """Some of the prompts.

    Attributes:
        prompts: (prompt id, language) -> text.
        every: the text of each answer that has one.
        own: (prompt id, language) -> the answers that pairs are made from: the one that was translated, or all.
        translations: (prompt id, source, target) -> text of those that can be used; none without the step `translate`.
        scores: scorer -> what it says of each answer; none without the step `score`.
    """

    prompts: dict[tuple[str, str], str] = field(default_factory=dict)
    every: dict[AnswerId, str] = field(default_factory=dict)
    own: dict[tuple[str, str], list[AnswerId]] = field(default_factory=dict)
    translations: dict[tuple[str, str, str], str] = field(default_factory=dict)
    scores: dict[str, dict[AnswerId, float | None]] = field(default_factory=dict)

    def answer(self, prompt_id: str, language: str) -> str | None:
        """The answer that was translated; None where there is none."""
        found = self.own.get((prompt_id, language))
        return self.every[found[0]] if found else None


class PromptSample:
    """The sampled prompts with their answers, translations, scores and pairs, read as often as they are asked for.

    Attributes:
        has_scores: whether the step `score` valued the answers.
    """

    def __init__(self, run: StepRun) -> None:
        """Draw the sample."""
        self.run = run
        config: MeasureConfig = run.config
        languages = run.recipe.languages
        self.dominant, self.others = languages.dominant, languages.others
        self.has_scores = AnswerScores.name in run.inputs
        self._drawn: frozenset[str] | None = None
        if config.sample is not None:
            self._drawn = by_lot(self.prompt_ids(), config.sample, run.recipe.seed)
        self.size = sum(1 for _ in self.prompt_ids())

    @property
    def is_all(self) -> bool:
        """Whether every prompt is looked at."""
        return self._drawn is None

    def prompt_ids(self) -> Iterator[str]:
        """Ids of the sampled prompts, in their order."""
        for batch in self.run.inputs[Prompt.name].batches(ROWS_AT_ONCE, ("prompt_id", "language")):
            for prompt_id, language in zip(*(column.to_pylist() for column in batch.columns), strict=True):
                if language == self.dominant and (self._drawn is None or prompt_id in self._drawn):
                    yield prompt_id

    def parts(self) -> Iterator[SamplePart]:
        """All of it, some hundred prompts at a time."""
        there = self.run.inputs
        inputs = [there[rows.name] for rows in (Prompt, Response, Translation) if rows.name in there]
        scores = [(there[AnswerScores.name], _OF_SCORES)] if self.has_scores else []
        rows = PROMPTS_PER_BATCH * (1 + len(self.others))
        for prompts, answers, *others in aligned(inputs, rows, numbers=SAMPLE in inputs[1].columns, more=scores):
            translations = others[0] if Translation.name in there else None
            yield self._part(prompts, answers, translations, others[-1] if self.has_scores else None)

    def _part(
        self,
        prompts: pl.DataFrame,
        answers: pl.DataFrame,
        translations: pl.DataFrame | None,
        scores: pl.DataFrame | None,
    ) -> SamplePart:
        import polars as pl

        from lidr.transforms import translated_answers

        part = SamplePart(self._text_of(prompts, "language"), self._answers(answers))
        if translations is not None:
            answers = translated_answers(answers, translations)
            usable = translations.filter(pl.col("status").is_in(["ok", "unclosed_at_end"]))
            part.translations = self._text_of(usable, "source", "target")
        for key in self._answers(answers):
            part.own.setdefault(key[:2], []).append(key)
        if scores is not None:
            for prompt_id, language, sample, scorer, value in self._sampled(scores).select(_OF_SCORES).iter_rows():
                part.scores.setdefault(scorer, {})[prompt_id, language, sample] = value
        return part

    def whole(self) -> SamplePart:
        """All of it at once but the scores, for judges, who are asked everything at once."""
        found = SamplePart()
        for part in self.parts():
            found.prompts |= part.prompts
            found.every |= part.every
            found.own |= part.own
            found.translations |= part.translations
        return found

    def pairs(self) -> Iterator[Row]:
        """The pairs of the sampled prompts, one by one."""
        import polars as pl

        for batch in self.run.inputs[Pair.name].batches(ROWS_AT_ONCE, _OF_PAIRS):
            yield from self._sampled(pl.DataFrame(batch)).iter_rows(named=True)

    def _answers(self, frame: pl.DataFrame) -> dict[AnswerId, str]:
        import polars as pl

        if SAMPLE not in frame.columns:
            frame = frame.with_columns(pl.lit(None, pl.Int32).alias(SAMPLE))
        return {(key[0], key[1], key[2]): text for key, text in self._text_of(frame, "language", SAMPLE).items()}

    def _sampled(self, frame: pl.DataFrame) -> pl.DataFrame:
        import polars as pl

        return frame if self._drawn is None else frame.filter(pl.col("prompt_id").is_in([*self._drawn]))

    def _text_of(self, frame: pl.DataFrame, *languages: str) -> dict[tuple[Any, ...], str]:
        """(prompt id, language, ...) -> text, where there is one."""
        rows = self._sampled(frame).select("prompt_id", *languages, "text").iter_rows()
        return {tuple(row[:-1]): row[-1] for row in rows if row[-1] and row[-1].strip()}
