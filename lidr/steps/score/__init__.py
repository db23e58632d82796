"""score: what each of a policy's answers is worth, by one scorer or several; `pair` can choose by it.

prompts, responses -> score -> answer_scores

One scorer is one file in `scorers/` and one row in its `__init__`.
"""

from lidr.steps.score.best_of import best_answers, scorer_of
from lidr.steps.score.score_rows import REFEREES, AnswerScores
from lidr.steps.score.score_step import STEP, ScoreConfig, run_score
from lidr.steps.score.scorers import SCORERS

__all__ = ["REFEREES", "SCORERS", "STEP", "AnswerScores", "ScoreConfig", "best_answers", "run_score", "scorer_of"]
