"""The prompts that `measure` looks at, drawn by lot, with all that was made of them."""

from __future__ import annotations

from typing import TYPE_CHECKING

from lidr.rows import Pair, Prompt, Response, Translation
from lidr.steps.measure.measure_config import MeasureConfig
from lidr.steps.step_kind import StepRun
from lidr.transforms import by_lot

if TYPE_CHECKING:
    import polars as pl


class PromptSample:
    """The sampled prompts with their answers, translations and pairs."""

    def __init__(self, run: StepRun) -> None:
        """Read the inputs and draw the sample."""
        import polars as pl

        self.run = run
        config: MeasureConfig = run.config
        languages = run.recipe.languages
        self.dominant, self.others = languages.dominant, languages.others
        prompts = pl.DataFrame(run.inputs[Prompt.name].read())
        ids = prompts.filter(language=self.dominant)["prompt_id"].to_list()
        drawn = by_lot(ids, config.sample or len(ids), run.recipe.seed)
        self.prompt_ids = [name for name in ids if name in drawn]
        self.prompts = self._text_of(prompts, "language")
        self.answers = self._text_of(pl.DataFrame(run.inputs[Response.name].read()), "language")
        translations = pl.DataFrame(run.inputs[Translation.name].read())
        usable = translations.filter(pl.col("status").is_in(["ok", "unclosed_at_end"]))
        self.translations = self._text_of(usable, "source", "target")
        self.pairs = self._sampled(pl.DataFrame(run.inputs[Pair.name].read()))

    def _sampled(self, frame: pl.DataFrame) -> pl.DataFrame:
        import polars as pl

        return frame.filter(pl.col("prompt_id").is_in(self.prompt_ids))

    def _text_of(self, frame: pl.DataFrame, *languages: str) -> dict[tuple[str, ...], str]:
        """(prompt id, language, ...) -> text, where there is one."""
        rows = self._sampled(frame).select("prompt_id", *languages, "text").iter_rows()
        return {tuple(row[:-1]): row[-1] for row in rows if row[-1] and row[-1].strip()}

    @property
    def directions(self) -> list[tuple[str, str]]:
        """(source, target) of every self-translation."""
        return [d for code in self.others for d in ((self.dominant, code), (code, self.dominant))]
