"""judge: the mark, 0 to 10, that a judge gives an answer to its prompt, without seeing any other answer."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

from lidr.evals import judge
from lidr.steps.evaluate import JudgeConfig, judge_for, judge_identity, judged_alone, judging_identity
from lidr.steps.score.scorer import Answer, Scored, Scorer, World
from lidr.steps.step_kind import Surroundings


class JudgeScorer(JudgeConfig):
    """A judge that marks each answer alone."""


def score_judge(world: World, config: JudgeScorer, asked: Sequence[Answer]) -> Iterator[Scored]:
    """Ask for every mark; the judge's cache keeps its answers. One without a mark says why.

    Raises:
        EvaluationError: more of the answers than `max_error_share` got no mark.
    """
    gradings = [judge.Grading(one.key, tuple(world.talk(one))) for one in asked]
    with judge_for(world.run, config)() as settings:
        marks = judge.grade(gradings, settings)
        judge.check_errors(marks, settings, asked="answers", again=judge.IN_A_RUN)
    for answer, mark in zip(asked, marks, strict=True):
        yield Scored(answer, mark.score, (mark.error or "").partition(":")[0])


def outside_judge(around: Surroundings, config: JudgeScorer) -> dict[str, Any]:
    """Who judges."""
    return dict(judge_identity(around, config, "score.judge.model"))


JUDGE = Scorer(
    "judge",
    JudgeScorer,
    score_judge,
    outside=outside_judge,
    alone=lambda recipe, config: judged_alone(config),
    identity=lambda config: judging_identity(config.model_dump(mode="json")),
)
