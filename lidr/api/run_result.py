"""What comes back from a run and from an evaluation: tables, files, and a look at them in notebooks."""

from __future__ import annotations

from dataclasses import dataclass, fields
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING

import lidr.report as report
from lidr.errors import StoreError
from lidr.evals import Results, read_results
from lidr.pipeline import DONE, Plan, PlannedStep
from lidr.store import open_artifact

if TYPE_CHECKING:
    import polars as pl

    from lidr.report import RunState


@dataclass(frozen=True)
class RunResult(Plan):
    """A plan that was carried out, and what came of it. Tables are polars data frames: `.to_pandas()` where wanted."""

    @classmethod
    def of(cls, planned: Plan) -> RunResult:
        """The result of a plan as it stands."""
        return cls(**{field.name: getattr(planned, field.name) for field in fields(Plan)})

    @cached_property
    def state(self) -> RunState:
        """The run as its records have it."""
        return report.run_state_of(self.recipe)

    @property
    def account(self) -> pl.DataFrame:
        """Where every slot went: iteration, language, what (`slots`, `STEP: REASON`, `kept`), count."""
        import polars as pl

        summary = report.summary_of(self.recipe, self.state.records)
        rows = [
            (column.iteration, column.language, row.label.partition(" (2 x")[0], count)
            for row in summary.account
            for column, count in zip(summary.columns, row.counts, strict=True)
        ]
        return pl.DataFrame(rows, {"iteration": pl.Int64, "language": pl.String, "what": pl.String, "count": pl.Int64},
                            orient="row")  # fmt: skip

    @property
    def scores(self) -> pl.DataFrame:
        """Every score that a report shows: iteration, benchmark, score, language, value, low, high (95%), n."""
        return report.scores_frame(self.state.records)

    @property
    def pairs(self) -> pl.DataFrame:
        """The pairs that are kept, of all iterations, with the columns of `lidr.load_pairs`.

        Raises:
            StoreError: a file is damaged.
        """
        import polars as pl

        last = {step.iteration: step for step in self._made("pairs")}
        tables = [pl.DataFrame(open_artifact(self.folder(step)).read()) for step in last.values()]
        return pl.concat(tables) if tables else pl.DataFrame()

    @property
    def policy(self) -> Path | None:
        """The folder of the run's policy, for transformers or vLLM; None where nothing was trained."""
        wanted = self.state.result
        trained = [step for step in self._made("policy") if wanted is None or step.iteration == wanted]
        return self.folder(trained[-1]) / "model" if trained else None

    @property
    def report(self) -> Path:
        """One HTML page about the run, written anew."""
        return report.write_page(self.state)

    def _made(self, rows: str) -> list[PlannedStep]:
        return [step for step in self.steps if step.kind.writes.name == rows and step.state in DONE]

    def _repr_html_(self) -> str:
        """The headline and a few pairs, in a notebook."""
        try:
            return report.notebook_page(self.state)
        except StoreError as error:
            return report.as_note(str(error))


@dataclass(frozen=True)
class EvaluationResult:
    """An evaluation of one checkpoint.

    Args:
        folder: results.json, samples.parquet, scores.parquet.
    """

    folder: Path

    @cached_property
    def results(self) -> Results:
        """All of it, as written."""
        return read_results(self.folder)

    @property
    def scores(self) -> pl.DataFrame:
        """Every score: benchmark, task, language, score, value, stderr, n."""
        import polars as pl

        rows = [
            (task.benchmark, task.task, task.language, name, score.value, score.stderr, score.n)
            for task in self.results.tasks
            for name, score in task.scores.items()
        ]
        text, number = pl.String, pl.Float64
        schema = {"benchmark": text, "task": text, "language": text, "score": text, "value": number, "stderr": number,
                  "n": pl.Int64}  # fmt: skip
        return pl.DataFrame(rows, schema, orient="row")

    def __str__(self) -> str:
        """The tables that `lidr eval run` prints."""
        return report.scores_text(self.results)

    def _repr_html_(self) -> str:
        return report.as_note(str(self))
