"""Settings of `evaluate`, and of a judge that a step asks."""

from __future__ import annotations

from typing import Literal

from pydantic import Field, model_validator

from lidr.hub import DATASETS
from lidr.recipe import Frozen, LanguageCode, ReferenceText
from lidr.references import FolderReference, HubReference, parse_reference


class JudgeConfig(Frozen):
    """Who compares answers, and how."""

    model: ReferenceText
    """openai:MODEL@URL (its key in LIDR_JUDGE_API_KEY), or a local model that lidr serves while it is asked."""
    mode: Literal["logprob", "logprob_swap", "text", "score"] = "logprob_swap"
    """logprob: the probabilities of the letters that name the two answers, in one random order; logprob_swap: the mean
    of both orders; text: the letter that the judge writes; score: a mark of 0-10 for each answer."""
    template: str | None = None
    """A template file; null is lidr's own."""
    seed: int = Field(0, ge=0)
    """Of the random order."""
    concurrency: int = Field(8, ge=1)
    """Questions in flight at once, with each replica of a local judge; no identity."""
    max_calls: int | None = Field(None, ge=0)
    """Most calls; more are refused before the first; no identity."""
    max_error_share: float = Field(0.05, ge=0, le=1)
    """Share of comparisons that may fail."""
    timeout_s: float | None = Field(None, gt=0, exclude_if=lambda value: value is None)
    """How long one answer of the judge may take, in seconds; null is 120, and an hour for a local one; no identity."""
    max_tokens: int | None = Field(None, ge=1)
    """Longest answer of the judge; null takes the mode's own."""


class EvaluateConfig(Frozen):
    """What every policy of the run is asked."""

    tasks: tuple[Literal["mgsm", "x_alpacaeval"], ...] = ("mgsm", "x_alpacaeval")
    """The benchmarks."""
    languages: tuple[LanguageCode, ...] = ()
    """Empty: all languages of the recipe."""
    variant: Literal["plain", "paper_instr", "instr"] = "plain"
    """MGSM's prompt: the bare question, the paper's instruction, or one line of ours in the language."""
    data: tuple[str, ...] = ("$LIDR_DATA",)
    """Where rows come from; the first that is there: a folder shaped like LIDR_DATA or recipes/prompts, or
    org/name@COMMIT."""
    limit: int | None = Field(None, ge=1)
    """Only the first rows of each task."""
    max_tokens: int = Field(2048, ge=1)
    """Longest answer, tokens."""
    repetition_penalty: float = Field(1.0, gt=0)
    """1 is none."""
    gold: Literal["number", "text"] = "number"
    """MGSM's gold answers are compared as numbers, or as text: then 2125 is not the gold "2,125" of four problems."""
    judge: JudgeConfig | None = None
    """null leaves X-AlpacaEval unjudged."""
    length_control: ReferenceText | None = Field(None, exclude_if=lambda value: value is None)
    """df_gamed.csv and instruction_difficulty.csv of AlpacaEval: ./folder, or org/name[@rev] of the data set that has
    them. With them the English task has lc_win_rate_v1, the number of AlpacaEval's leaderboard."""

    @model_validator(mode="after")
    def _of_alpaca_eval(self) -> EvaluateConfig:
        if self.length_control is None:
            return self
        reference = parse_reference(self.length_control)
        if not isinstance(reference, HubReference | FolderReference):
            raise ValueError(
                f"length_control: {self.length_control} names no folder and no data set (./folder, org/name[@rev])"
            )
        languages = not self.languages or "en" in self.languages
        if "x_alpacaeval" not in self.tasks or self.judge is None or self.limit is not None or not languages:
            raise ValueError(
                "length_control needs x_alpacaeval in tasks, en in languages, a judge and no limit: version 1 of the "
                "rate stands for AlpacaEval's 805 English instructions alone; take length_control out"
            )
        return self

    @property
    def datasets(self) -> tuple[HubReference, ...]:
        """The Hub data sets, for the lock."""
        reference = parse_reference(self.length_control) if self.length_control else None
        if not isinstance(reference, HubReference):
            return ()
        return (HubReference(f"{DATASETS}{reference.repo}", reference.revision),)
